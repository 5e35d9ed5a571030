//! What the tracker's figures and records mean: differences, leaks, churn, windows, graphs and reports.
//!
//! This room owns pure steps over plain data: what a [`tracker`](crate::tracker) answers goes in, an answer with names in place of ids comes
//! out, as data, as aligned text and as JSON. It must not know who asks for it, when, or where it is written to: that is the business of
//! monitors, exporters and `start`. Where the [`tracker`](crate::tracker) says what is, this room says what it means.

mod assert;
mod build;
mod churn;
#[cfg(feature = "telemetry")]
mod diff;
mod dump;
#[cfg(feature = "telemetry")]
mod group;
pub mod guards;
mod heap_profile;
pub mod hitches;
mod lanes;
#[cfg(feature = "telemetry")]
mod leaks;
#[cfg(not(feature = "telemetry"))]
mod noop;
mod out_of_memory;
mod readiness;
mod reasons;
mod reconcile;
mod report;
mod report_text;
mod stores_text;
pub(crate) mod text;
mod times;
mod trend;
mod windows;

pub use build::Answers;
pub use churn::{Churn, Rules};
pub use dump::*;
pub use heap_profile::{TopSite, TopSites};
pub use lanes::{LaneFigures, Latencies};
#[cfg(not(feature = "telemetry"))]
pub use noop::{Diff, LeakCheck, Leaks, diff};
pub use out_of_memory::{Large, Later, OutOfMemory, Share};
pub use readiness::{PoolFigures, Readiness, ReuseFigures, WorkingSet, queue_reuse_ratio};
pub use reconcile::{Named, Reconciliation, Sources};
pub use report::{
    Contributor, DestroyBurst, DestroyReason, DestroyedResource, KindFigures, LifecycleTelemetry, LifetimeBucket,
    Others, OwnerKindFigures, OwnerName, PacketFigures, PacketRef, ReasonFigures, RecreateLoop, StartupReport,
    WindowReport,
};
pub use times::{TimeStats, TimeWindow};
pub(crate) use trend::Trend;
pub use windows::{Analyzer, Detail, Edge, Observation, StartupEnd, Window};
#[cfg(feature = "telemetry")]
pub use {
    diff::{Change, Diff, DiffText, StoreChange, diff},
    group::Group,
    leaks::{LeakCheck, Leaks},
};
