//! The command-line tool of engine-vitals.
//!
//! ```text
//!  adapters   what this machine offers ─▶ table or JSON
//!  watch      address ─▶ fetch ─▶ exposition ─▶ sample ─▶ rates ─▶ view, summary
//! ```
//!
//! - `adapters` asks wgpu; it needs no engine.
//! - `watch` reads `/metrics` of a served engine over HTTP; it needs no GPU.
//! - `failure` is why the program stopped, and the exit code that says so.

mod adapters;
mod failure;
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
    Watch(watch::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Adapters(options) => adapters::run(&options),
        Command::Watch(options) => watch::run(options),
    };
    match done {
        // Whoever reads our output (`| head`) has seen enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            failure::print(&failure);
            failure.exit_code()
        }
        Ok(()) => ExitCode::SUCCESS,
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
