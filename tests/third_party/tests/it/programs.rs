//! Programs of this package that tests run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Builds an example.
pub(crate) fn example(name: &str) -> PathBuf {
    build(name, &["build", "--example"])
}

/// Builds a test program.
pub(crate) fn suite(name: &str) -> PathBuf {
    build(name, &["test", "--no-run", "--test"])
}

/// With the features that the whole workspace has: after `cargo test --workspace` little is left to build.
fn build(name: &str, command: &[&str]) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(command).arg(name).args(["--quiet", "--workspace", "--message-format", "json"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{name} does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .unwrap()
}
