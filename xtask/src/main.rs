//! Development tasks: `cargo xtask <task>`. Each task is a module; this file only reads the command line.
//!
//! A task runs the tools that a developer would run by hand and prints each command line, so that any step can be
//! repeated without it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

mod bench;
mod demo;
mod licences;
mod metrics_doc;
mod packages;
mod perfetto;
mod platforms;
mod shell;
mod soak;
mod steps;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use shell::Shell;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of engine-vitals", max_term_width = 120)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the demo engine in release; installs a software Vulkan driver where the machine has none
    Demo(demo::Options),
    /// Run every check: format, lints, feature matrix, docs, tests, models, packages, licences, dashboards
    Test(test::Options),
    /// Run a long campaign; list them without a name
    Soak(soak::Options),
    /// Measure against the peers and the limit; the arguments go to the benchmark program
    Bench(bench::Options),
    /// Check the architecture's arrows, the metric names and the words that do not belong in the project
    Tidy,
    /// Write docs/METRICS.md from the descriptions in the code
    MetricsDoc(metrics_doc::Options),
    /// Type-check and lint for Windows, macOS and wasm; Miri on the unsafe parts; draw a scene in Bevy
    Platforms,
}

fn main() -> ExitCode {
    let task = Options::parse().task;
    let done = Shell::new().and_then(|shell| match task {
        Task::Demo(options) => demo::run(&shell, &options),
        Task::Test(options) => test::run(&shell, &options),
        Task::Soak(options) => soak::run(&shell, &options),
        Task::Bench(options) => bench::run(&shell, &options),
        Task::Tidy => tidy::run(&shell),
        Task::MetricsDoc(options) => metrics_doc::run(&shell, &options),
        Task::Platforms => platforms::run(&shell),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
