//! `cargo xtask bench`: the benchmark program in release, with its own arguments.
//!
//! The groups `instrument` and `gpu` compare programs, which are built here: one source, against a wgpu with and without the feature `custom`. The
//! features of all packages of one build are one, so each is a build of its own, and what cargo says of it is checked.

use crate::shell::Shell;
use anyhow::{Context, Result, bail};
use cargo_metadata::Message;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The group to measure; all of them without one
    group: Option<String>,
    /// Fewer and shorter rounds: shows that it works, proves no figure
    #[arg(long)]
    quick: bool,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
}

const SUBJECT: &str = "engine-vitals-bench-subject";

/// The programs to compare, by their features; whether wgpu has `custom` in each.
const SUBJECTS: [(&str, &str, bool); 4] =
    [("plain", "", false), ("timed", "timed", false), ("custom", "custom", true), ("instrumented", "instrument", true)];

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let mut call = shell.cargo(["run", "--release", "--quiet", "--package", "engine-vitals-benches", "--"]);
    call = call.args(&options.group);
    call = call.args(options.quick.then_some("--quick"));
    call = call.args(options.json.then_some("--json"));
    if options.group.as_ref().is_none_or(|group| matches!(group.as_str(), "instrument" | "gpu")) {
        call = call.args([Path::new("--subjects"), &subjects(shell)?]);
    }
    call.become_it()
}

/// Builds the programs: the folder that they lie in.
fn subjects(shell: &Shell) -> Result<PathBuf> {
    let folder = shell.root().join("target/bench-subjects");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, features, custom) in SUBJECTS {
        let arguments = ["build", "--release", "--package", SUBJECT, "--features", features];
        let said = shell.cargo(arguments).args(["--message-format", "json-render-diagnostics"]).read()?;
        let built = built(&said, custom).with_context(|| format!("the subject `{name}`"))?;
        let to = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        std::fs::copy(&built, &to).with_context(|| format!("cannot copy {} to {}", built.display(), to.display()))?;
    }
    Ok(folder)
}

/// The program that cargo says it built.
///
/// # Errors
/// When its wgpu has the feature `custom` and should not, or the other way round.
fn built(said: &str, custom: bool) -> Result<PathBuf> {
    let (mut program, mut found) = (None, None);
    for message in Message::parse_stream(said.as_bytes()) {
        if let Message::CompilerArtifact(artifact) = message.context("cargo's messages")? {
            if artifact.target.name == "wgpu" {
                found = Some(artifact.features.iter().any(|feature| feature == "custom"));
            }
            program = artifact.executable.or(program);
        }
    }
    match found {
        None => bail!("no wgpu was built"),
        Some(found) if found != custom => bail!("wgpu has its feature `custom`: {found}, and should have: {custom}"),
        Some(_) => program.map(PathBuf::from).context("no program was built"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of a build whose wgpu has these features.
    fn messages(features: &str) -> String {
        let artifact = |name: &str, kind: &str, features: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{name}","manifest_path":"/Cargo.toml","target":{{"kind":["{kind}"],
                "crate_types":["{kind}"],"name":"{name}","src_path":"/lib.rs","edition":"2024","doc":true,"doctest":true,"test":true}},
                "profile":{{"opt_level":"3","debuginfo":0,"debug_assertions":false,"overflow_checks":false,"test":false}},
                "features":[{features}],"filenames":[],"executable":{executable},"fresh":true}}"#
            )
            .replace('\n', "")
        };
        [artifact("wgpu", "lib", features, "null"), artifact("program", "bin", "", r#""/program""#)].join("\n")
    }

    #[test]
    fn a_baseline_with_custom_is_refused() -> Result<()> {
        assert_eq!(built(&messages(r#""std","wgsl""#), false)?, Path::new("/program"));
        assert_eq!(built(&messages(r#""custom","std""#), true)?, Path::new("/program"));
        assert!(built(&messages(r#""custom","std""#), false).is_err());
        assert!(built(&messages(r#""std""#), true).is_err());
        Ok(())
    }
}
