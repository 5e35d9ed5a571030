//! Takes programs from where they are written down, so that they are compiled as they are: the recipes of
//! docs/RECIPES.md, and tests that a crate's archive has.

use cargo_metadata::MetadataCommand;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const RECIPES: &str = "../../docs/RECIPES.md";

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    println!("cargo::rerun-if-changed={RECIPES}");
    recipes(&out)?;
    profiler_suite(&out)
}

/// The program below `## Some name and more` becomes `recipe_some.rs`.
fn recipes(out: &Path) -> Result<(), Box<dyn Error>> {
    let page = fs::read_to_string(RECIPES).map_err(|error| format!("{RECIPES}: {error}"))?;
    for section in page.split("\n## ").skip(1) {
        let name = section.split_whitespace().next().unwrap_or_default().to_lowercase();
        let Some((_, program)) = section.split_once("```rust\n") else { continue };
        let (program, _) = program.split_once("```").ok_or("a program of the recipes has no end")?;
        fs::write(out.join(format!("recipe_{name}.rs")), program)?;
    }
    Ok(())
}

/// A module with wgpu-profiler's own tests.
fn profiler_suite(out: &Path) -> Result<(), Box<dyn Error>> {
    let metadata = MetadataCommand::new().exec()?;
    let package = metadata.packages.iter().find(|package| package.name == "wgpu-profiler");
    let manifest = &package.ok_or("no package wgpu-profiler in the dependencies")?.manifest_path;
    let tests = manifest.parent().ok_or("a manifest lies in no folder")?.join("tests/src/mod.rs");
    if !tests.is_file() {
        return Err(format!("wgpu-profiler's archive has no {tests}").into());
    }
    // Lints are for code of ours.
    let include = format!("#[expect(warnings, clippy::unwrap_used)]\n#[path = {tests:?}]\nmod src;\n");
    fs::write(out.join("profiler_suite.rs"), include)?;
    Ok(())
}
