//! Why the engine stopped, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

use super::device::OpenError;

/// What ends the engine early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No adapter, or no device on it.
    Open(OpenError),
    /// No display, or no window on it.
    Display(String),
    /// Anything else, in words.
    Running(String),
}

impl Failure {
    /// 1 failed while running, 3 no GPU adapter, 4 no display; clap ends with 2 by itself.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Running(_) | Self::Open(OpenError::Device(..)) => ExitCode::from(1),
            Self::Open(OpenError::Adapter(_) | OpenError::Backend) => ExitCode::from(3),
            Self::Display(_) => ExitCode::from(4),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Display(what) => {
                write!(f, "--window: {what}\nRun it without --window, or under xvfb-run (package xvfb).")
            }
            Self::Running(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}
