//! Names the place of tests that a crate's archive has, so that they can be compiled here as they are.

use cargo_metadata::MetadataCommand;
use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let metadata = MetadataCommand::new().exec()?;
    let package = metadata.packages.iter().find(|package| package.name == "wgpu-profiler");
    let manifest = &package.ok_or("no package wgpu-profiler in the dependencies")?.manifest_path;
    let tests = manifest.parent().ok_or("a manifest lies in no folder")?.join("tests/src/mod.rs");
    if !tests.is_file() {
        return Err(format!("wgpu-profiler's archive has no {tests}").into());
    }
    // Lints are for code of ours.
    let include = format!("#[expect(warnings, clippy::unwrap_used)]\n#[path = {tests:?}]\nmod src;\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("profiler_suite.rs"), include)?;
    Ok(())
}
