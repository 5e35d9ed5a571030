//! `cargo xtask tidy`: the rules of this project that no other tool knows.
//!
//! Each rule is a pure function from file contents to [`Fault`]s, tested on planted faults; this file reads the files.

mod arrows;
pub(crate) mod figures;
mod metrics;
mod words;

use crate::shell::Shell;
use anyhow::{Context, Result, bail};
use std::fmt;
use std::path::PathBuf;

/// Where the arrows are written down.
const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
/// Where the metrics are written down.
pub(crate) const METRICS: &str = "docs/METRICS.md";

/// A broken rule, with its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    file: String,
    line: usize,
    what: String,
}

impl Fault {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// A text file of the project, by its path from the root.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) fn run(shell: &Shell) -> Result<()> {
    let files = files(shell)?;
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let mut faults = words::check(&files);
    faults.extend(match text(ARCHITECTURE) {
        Some(page) => arrows::check(&files, ARCHITECTURE, page)?,
        None => vec![Fault::new(ARCHITECTURE, 1, "is missing: it holds the table of arrows between rooms")],
    });
    faults.extend(metrics::check(&files, METRICS, text(METRICS).unwrap_or_default())?);
    for fault in &faults {
        println!("{fault}");
    }
    if !faults.is_empty() {
        bail!("{} faults", faults.len());
    }
    println!("tidy: {} files, no fault", files.len());
    Ok(())
}

/// Every text file that git tracks or would track.
pub(crate) fn files(shell: &Shell) -> Result<Vec<File>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = shell.program("git", arguments).ask().context("cannot list the project's files with git")?;
    let mut files = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        let Ok(bytes) = std::fs::read(shell.root().join(PathBuf::from(path))) else { continue };
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}
