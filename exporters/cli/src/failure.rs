//! Why the program stopped, and the exit code that says so.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::watch::FetchError;

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done; diff: nothing changed
  1  failed while running (terminal, output); diff: something changed
  2  an argument is not valid
  3  adapters: no GPU adapter
  4  watch --once: no answer from the engine
  5  watch --once: an answer that is a refusal or not metrics of engine-vitals
  6  inspect, diff: a snapshot could not be read; diff: the output not be written";

/// What ends the program early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An argument is not valid.
    Usage(String),
    /// No driver offers an adapter.
    NoAdapter,
    /// The engine could not be read.
    Fetch(FetchError),
    /// A snapshot could not be read, or what it says not be written; in words.
    Snapshot(String),
    /// The output could not be written.
    Output(io::Error),
    /// The terminal could not be used.
    Terminal(io::Error),
    /// Anything else, in words.
    Running(String),
}

impl Failure {
    /// The code as [`EXIT_CODES`] has it; clap ends with 2 by itself too.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Output(_) | Self::Terminal(_) | Self::Running(_) => 1,
            Self::Usage(_) => 2,
            Self::NoAdapter => 3,
            Self::Fetch(FetchError::NoAnswer(_)) => 4,
            Self::Fetch(FetchError::Unusable(_)) => 5,
            Self::Snapshot(_) => 6,
        })
    }
}

/// Tells the user, on standard error.
pub(crate) fn print(what: &dyn fmt::Display) {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "engine-vitals: {what}");
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAdapter => f.write_str(
                "no GPU adapter\n\
                 Install a driver. On Debian and Ubuntu a software Vulkan driver that needs no GPU is in\n\
                 \x20   apt-get install mesa-vulkan-drivers libvulkan1\n\
                 If there is a driver, look at WGPU_BACKEND (vulkan, gl, metal, dx12) and VK_DRIVER_FILES.",
            ),
            Self::Fetch(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
            Self::Terminal(error) => write!(
                f,
                "cannot use the terminal: {error}\nWith --once, or with the output sent elsewhere (`| cat`), no terminal is needed."
            ),
            Self::Usage(what) | Self::Snapshot(what) | Self::Running(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}
