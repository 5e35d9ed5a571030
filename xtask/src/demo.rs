//! `cargo xtask demo`: from a machine with nothing but Rust to a served engine.

use crate::packages::{self, Purpose};
use crate::shell::{Call, Shell};
use anyhow::{Result, bail};

/// How the engine says that it found no adapter.
const NO_ADAPTER: i32 = 3;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Options of the engine, after `--`; `cargo xtask demo -- --help` lists them
    #[arg(last = true)]
    engine: Vec<String>,
}

/// Builds the engine, lets it draw one frame to see that there is an adapter, then becomes it.
pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    packages::ensure(shell, &[Purpose::Vulkan])?;
    shell.cargo(["build", "--release", "--example", "engine"]).run()?;
    if !finds_an_adapter(shell)? {
        packages::ensure_software_vulkan(shell)?;
        if !finds_an_adapter(shell)? {
            bail!("the engine still finds no adapter: see `vulkaninfo --summary`");
        }
    }
    engine(shell).args(&options.engine).become_it()
}

fn engine(shell: &Shell) -> Call<'_> {
    shell.cargo(["run", "--release", "--quiet", "--example", "engine", "--"])
}

fn finds_an_adapter(shell: &Shell) -> Result<bool> {
    let one_frame = ["--frames", "1", "--size", "64x64", "--listen", "127.0.0.1:0"];
    match engine(shell).args(one_frame).code()? {
        0 => Ok(true),
        NO_ADAPTER => Ok(false),
        code => bail!("the engine ended with exit code {code} after one frame"),
    }
}
