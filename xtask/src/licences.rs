//! Licences, bans and sources of all dependencies by cargo-deny, against deny.toml.

use crate::shell::{Shell, has_program};
use crate::test::in_ci;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// The version that is installed where there is none.
const CARGO_DENY: &str = "0.20.2";

pub(crate) fn run(shell: &Shell) -> Result<()> {
    let program = match cargo_deny(shell) {
        Ok(program) => program,
        Err(error) if !in_ci() => {
            shell.skip("licences", &format!("{error:#}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    shell.program(program, ["--workspace", "--all-features", "check", "licenses", "bans", "sources"]).watch()
}

/// The program: the user's own, or one that is built once and kept under target/.
fn cargo_deny(shell: &Shell) -> Result<PathBuf> {
    if has_program("cargo-deny") {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let kept = shell.root().join("target/tools");
    let program = kept.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    if !program.is_file() {
        // It runs for a second: what it takes is to be built.
        let arguments = ["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--debug", "--quiet", "--root"];
        shell.cargo(arguments).args([&kept]).watch().context("cargo-deny is not installed and cannot be built")?;
    }
    Ok(program)
}
