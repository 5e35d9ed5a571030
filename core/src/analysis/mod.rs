//! What the tracker's figures and records mean: differences, leaks, churn, windows, graphs and reports.
//!
//! This room owns pure steps over plain data: what a [`tracker`](crate::tracker) answers goes in, an answer with names in place of ids comes
//! out, as data, as aligned text and as JSON. It must not know who asks for it, when, or where it is written to: that is the business of
//! monitors, exporters and `start`. Where the [`tracker`](crate::tracker) says what is, this room says what it means.

mod assert;
#[cfg(feature = "telemetry")]
mod diff;
mod dump;
#[cfg(feature = "telemetry")]
mod group;
pub mod guards;
#[cfg(feature = "telemetry")]
mod leaks;
#[cfg(not(feature = "telemetry"))]
mod noop;
#[cfg(feature = "telemetry")]
pub(crate) mod text;

pub use dump::*;
#[cfg(not(feature = "telemetry"))]
pub use noop::{Diff, LeakCheck, Leaks, diff};
#[cfg(feature = "telemetry")]
pub use {
    diff::{Change, Diff, DiffText, diff},
    group::Group,
    leaks::{LeakCheck, Leaks},
};
