//! Perfetto's own reader of traces, which the tests of traces ask: Python packages of fixed versions, in an environment of
//! their own below `target/`.

use crate::packages::{self, Purpose};
use crate::shell::Shell;
use anyhow::{Context, Result};
use std::fs;

/// The packages and their versions.
const REQUIREMENTS: &str = "exporters/trace/tests/reader/requirements.txt";
/// Where `exporters/trace/tests/reader/mod.rs` looks for it.
const FOLDER: &str = "target/perfetto-reader";

/// Installs the reader unless it is there in these versions; then it says nothing.
///
/// # Errors
/// When Python, or the packages, cannot be had.
pub(crate) fn ensure(shell: &Shell) -> Result<()> {
    let folder = shell.root().join(FOLDER);
    let wanted = fs::read_to_string(shell.root().join(REQUIREMENTS)).with_context(|| REQUIREMENTS.to_owned())?;
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    packages::ensure(shell, &[Purpose::Python])?;
    println!("installing Perfetto's reader of traces into {FOLDER}");
    shell.program("python3", ["-m", "venv", "--clear", FOLDER]).watch()?;
    let python = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", REQUIREMENTS];
    shell.program(folder.join(python), pip).watch()?;
    fs::write(&installed, wanted).with_context(|| format!("cannot write {}", installed.display()))
}
