//! `cargo xtask tidy`: the rules of this project that no other tool knows.
//!
//! Each rule is a pure function from file contents to [`Fault`]s, tested on planted faults; this file reads the files.

mod arrows;
pub(crate) mod figures;
mod metrics;
mod words;

use crate::shell::Shell;
use anyhow::{Context, Result, bail};
use ignore::{DirEntry, WalkBuilder};
use std::fmt;

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

/// Every text file of the project but what .gitignore names.
pub(crate) fn files(shell: &Shell) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let outside = |entry: &DirEntry| entry.depth() != 1 || entry.file_name() != ".git";
    for entry in WalkBuilder::new(shell.root()).hidden(false).require_git(false).filter_entry(outside).build() {
        let entry = entry.context("cannot list the project's files")?;
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path().strip_prefix(shell.root()).unwrap_or(entry.path()).to_string_lossy().replace('\\', "/");
        let bytes = std::fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path, text });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_listed_without_git_and_what_is_built() -> Result<()> {
        let files = files(&Shell::new()?)?;
        let listed = |path: &str| files.iter().any(|file| file.path == path);
        assert!(listed("xtask/src/tidy/mod.rs") && listed(".cargo/config.toml") && listed(".ci/run"));
        assert!(!files.iter().any(|file| file.path.starts_with("target/") || file.path.starts_with(".git/")));
        Ok(())
    }
}
