//! `cargo xtask platforms`: the code of the other platforms, type-checked and linted here; Miri on the unsafe parts.

use crate::shell::Shell;
use crate::steps::{self, Step};
use anyhow::Result;

const STEPS: &[Step] = &[
    Step { name: "windows", about: "x86_64-pc-windows-gnu", run: |shell| lint(shell, "x86_64-pc-windows-gnu", NATIVE) },
    Step { name: "macos", about: "aarch64-apple-darwin", run: |shell| lint(shell, "aarch64-apple-darwin", NATIVE) },
    Step { name: "wasm", about: "wasm32-unknown-unknown", run: |shell| lint(shell, "wasm32-unknown-unknown", WASM) },
    Step {
        name: "wasm-off",
        about: "the same, measuring nothing",
        run: |shell| lint(shell, "wasm32-unknown-unknown", OFF),
    },
    Step { name: "miri", about: "undefined behaviour in the unsafe parts", run: miri },
];

/// The libraries and the tool, as users build them.
const NATIVE: &[&str] = &["--workspace", "--exclude", "xtask"];
/// No sockets and no processes there: all but the server and the stream of events.
const WASM: &[&str] = &["--package", "engine-vitals", "--no-default-features", "--features", "telemetry,instrument"];
/// The twins that do nothing.
const OFF: &[&str] = &["--package", "engine-vitals", "--no-default-features"];

/// Runs all of it; what rustup cannot fetch is named and skipped.
pub(crate) fn run(shell: &Shell) -> Result<()> {
    steps::run(shell, STEPS)
}

fn lint(shell: &Shell, target: &str, what: &[&str]) -> Result<()> {
    if shell.program("rustup", ["target", "add", target]).ask().is_none() {
        shell.skip(target, "rustup cannot fetch this target");
        return Ok(());
    }
    shell.cargo(["clippy", "--target", target]).args(what).args(["--", "-D", "warnings"]).watch()
}

fn miri(shell: &Shell) -> Result<()> {
    if shell.program("rustup", ["+nightly", "component", "add", "miri", "rust-src"]).ask().is_none() {
        shell.skip("miri", "rustup cannot fetch the nightly components miri and rust-src");
        return Ok(());
    }
    let arguments = ["run", "nightly", "cargo", "miri", "test", "--package", "engine-vitals-core", "--lib", "memory::"];
    shell.program("rustup", arguments).env("MIRIFLAGS", "-Zmiri-disable-isolation").watch()
}
