//! `cargo xtask bench`: the benchmark program in release, with its own arguments.

use crate::shell::Shell;
use anyhow::Result;

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

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let mut call = shell.cargo(["run", "--release", "--quiet", "--package", "engine-vitals-benches", "--"]);
    call = call.args(&options.group);
    call = call.args(options.quick.then_some("--quick"));
    call = call.args(options.json.then_some("--json"));
    call.become_it()
}
