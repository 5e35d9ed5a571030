//! Crates of others, unmodified, run through the instrumentation.
//!
//! `tests/it` draws with each of them, with a plain instance and with an instrumented one, and compares. `tests/*_suite`
//! are test suites of others; `tests/it/suites.rs` runs each of them twice and compares the results.

pub mod against_wgpu;

use engine_vitals::instrument::Instrumentation;
use engine_vitals::monitor::PassTimeMonitor;
use engine_vitals::{Probe, Tracker};
use std::sync::{Arc, OnceLock};

/// The wgpu that all of them use. Named here for suites that stand in for it.
pub use wgpu;

/// Names the [`Mode`] in which a suite runs.
pub const MODE: &str = "ENGINE_VITALS_SUITE_MODE";

/// Which instance the code under test is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// wgpu's own.
    Plain,
    /// One that reports to [`tracker`].
    Instrumented,
    /// The same around another one.
    Nested,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Instrumented, Self::Nested];

    /// What [`MODE`] is set to for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Instrumented => "instrumented",
            Self::Nested => "nested",
        }
    }

    /// As [`MODE`] says; plain where it is not set.
    ///
    /// # Panics
    /// On a name that no mode has.
    #[must_use]
    pub fn of_this_process() -> Self {
        let Some(name) = std::env::var_os(MODE) else { return Self::Plain };
        let known = Self::ALL.into_iter().find(|mode| name == mode.name());
        assert!(known.is_some(), "{MODE}={} names no mode", name.display());
        known.unwrap_or(Self::Plain)
    }
}

/// Where the instances of this process report to, but for plain ones.
pub fn tracker() -> &'static Tracker {
    static TRACKER: OnceLock<Tracker> = OnceLock::new();
    TRACKER.get_or_init(Tracker::new)
}

/// An instance in the mode of this process.
#[must_use]
pub fn instance(descriptor: wgpu::InstanceDescriptor) -> wgpu::Instance {
    let plain = wgpu::Instance::new(descriptor);
    // With the time of each pass taken: their own times must come out all the same.
    let passes = Arc::new(PassTimeMonitor::new("passes"));
    let outer = Instrumentation::builder(tracker().probe()).pass_sink(passes).build();
    match Mode::of_this_process() {
        Mode::Plain => plain,
        Mode::Instrumented => outer.wrap(plain),
        Mode::Nested => outer.wrap(Instrumentation::new(Probe::OFF).wrap(plain)),
    }
}
