//! `cargo xtask demo`: from a machine with nothing but Rust to a served engine.

use crate::packages::{self, Purpose};
use crate::shell::Shell;
use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Options of the engine; `cargo xtask demo -- --help` lists them
    #[arg(last = true, allow_hyphen_values = true)]
    engine: Vec<String>,
}

/// Builds the engine, sees that there is an adapter, becomes the engine.
pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    packages::ensure(shell, &[Purpose::Vulkan])?;
    shell.cargo(["build", "--release", "--example", "engine"]).run()?;
    shell.cargo(["build", "--release", "--package", "engine-vitals-cli"]).run()?;
    let adapters =
        || shell.cargo(["run", "--release", "--quiet", "--package", "engine-vitals-cli", "--", "adapters"]).run();
    if adapters().is_err() {
        packages::ensure_software_vulkan(shell)?;
        adapters()?;
    }
    shell.cargo(["run", "--release", "--quiet", "--example", "engine", "--"]).args(&options.engine).become_it()
}
