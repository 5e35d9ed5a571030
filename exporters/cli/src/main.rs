//! The command-line tool of engine-vitals.
//!
//! ```text
//!  adapters   what this machine offers ─▶ table or JSON
//!  inspect    snapshot file ─▶ tables
//!  diff       two snapshot files ─▶ what appeared, is gone, grew
//!  watch      address ─▶ fetch ─▶ exposition ─▶ sample ─▶ rates ─▶ view, summary
//! ```
//!
//! - `adapters` asks wgpu; it needs no engine.
//! - `inspect` and `diff` (in `snapshots`) read files that an engine wrote; what they show is made by engine-vitals-core.
//! - `watch` reads `/metrics` of a served engine over HTTP; it needs no GPU.
//! - `failure` is why the program stopped, and the exit code that says so.

mod adapters;
mod failure;
mod snapshots;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Looks at what engine-vitals measures, from a terminal.
#[derive(Debug, Parser)]
#[command(name = "engine-vitals", version, after_help = failure::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Adapters(adapters::Options),
    Diff(snapshots::DiffOptions),
    Inspect(snapshots::InspectOptions),
    Watch(watch::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Adapters(options) => adapters::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Diff(options) => snapshots::diff(&options),
        Command::Inspect(options) => snapshots::inspect(&options).map(|()| ExitCode::SUCCESS),
        Command::Watch(options) => watch::run(options).map(|()| ExitCode::SUCCESS),
    };
    match done {
        // Whoever reads our output (`| head`) has seen enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            failure::print(&failure);
            failure.exit_code()
        }
        Ok(code) => code,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn options_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
