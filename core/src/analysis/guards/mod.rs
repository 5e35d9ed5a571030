//! Guardrails: steps that look at what a tracker has counted in a window of time and name what should not be.
//!
//! This folder owns the guards, their thresholds ([`GuardSettings`]) and their [`Warning`]s. `Guards::step` is a pure step: plain data goes
//! in (`GuardInput`), warnings come out; time comes with the data. It must not know where the data are read and when, or where a warning
//! goes: the monitor of lifecycles does that. What each guard means, and what to do when it warns, is told in docs/GUARDS.md.
//!
//! A guard would rather miss a fault for a window than name a program that has none. So each compares what can be compared:
//! * Lives are called short by their mean, which bounds from below how many were. A level that is unloaded releases thousands of
//!   old resources; that is no storm.
//! * Time counts as far as it was watched: a step credits at most two windows, so that a process that was stopped for an hour, or a clock
//!   that was moved on, ages nothing.
//! * A clock that goes back, a tracker that was switched off and counters that are lower than before begin a new comparison.

#[cfg(feature = "telemetry")]
mod churn;
#[cfg(feature = "telemetry")]
mod costly;
#[cfg(feature = "telemetry")]
mod finding;
#[cfg(feature = "telemetry")]
mod growth;
mod guard;
pub mod heap;
#[cfg(feature = "telemetry")]
mod locate;
#[cfg(feature = "telemetry")]
mod over_budget;
#[cfg(feature = "telemetry")]
mod run;
mod settings;
#[cfg(feature = "telemetry")]
mod step;
#[cfg(all(test, feature = "telemetry"))]
mod tests;
#[cfg(feature = "telemetry")]
mod waiting;
mod warning;

pub use guard::Guard;
pub use settings::GuardSettings;
pub use warning::{Figure, OwnerName, Warning};
#[cfg(feature = "telemetry")]
pub use {
    locate::locate,
    step::{GuardInput, Guards},
};

/// How many of the released ones lived shorter than `span`, at least: however the lives were spread, no more of them can have been longer
/// than the sum of all has room for.
#[cfg(feature = "telemetry")]
fn young(counts: &crate::probe::Counts, span: std::time::Duration) -> u64 {
    let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).max(1);
    counts.released.saturating_sub(counts.lifetime_nanos / span)
}
