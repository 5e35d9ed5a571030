//! The read side of the book: totals, snapshots of every resource, and cursors over the events.
//!
//! This room owns [`Tracker`] and the plain data that it answers with. It reads what the [`probe`](crate::probe) room
//! keeps and writes nothing there but the level and its switches. It must not know what the figures are used for: windows,
//! churn, leaks and monitors are the business of those who read from here.
//!
//! ```
//! use engine_vitals_core::{probe::New, tracker::Tracker};
//!
//! let tracker = Tracker::new();
//! let ticket = tracker.probe().create(New::buffer(1024).label("vertices"));
//! # #[cfg(feature = "telemetry")]
//! assert_eq!(tracker.totals().device().live_bytes(), 1024);
//! drop(ticket);
//! assert_eq!(tracker.totals().device().live_bytes(), 0);
//! ```

mod activities;
mod records;
mod snapshot;
mod totals;

pub use activities::{Activities, ActivityTotals};
pub use records::{
    Burst, LifeRecord, Lifetimes, Lives, Misuse, MisuseKind, Misuses, OwnerTotals, PacketRecord, PoolCandidate,
    SubmissionRecord, Unsubmitted,
};
pub use snapshot::{Owner, ReadOutcome, ResourceRecord, Snapshot};
pub use totals::{EventTotals, KindTotals, LaneTotals, OverflowTotals, PacketTotals, SubmissionTotals, Totals};

#[cfg(feature = "telemetry")]
mod builder;
#[cfg(feature = "telemetry")]
mod cursor;
#[cfg(feature = "telemetry")]
mod history;
#[cfg(feature = "telemetry")]
mod live;
#[cfg(feature = "telemetry")]
pub(crate) use live::reader;
#[cfg(feature = "telemetry")]
pub use {builder::TrackerBuilder, cursor::EventCursor, live::Tracker};

#[cfg(not(feature = "telemetry"))]
mod noop;
#[cfg(not(feature = "telemetry"))]
pub use noop::{EventCursor, Tracker, TrackerBuilder};

use crate::probe::ResourceKind;

/// The kinds whose ends are written down one by one by default.
pub const FOLLOWED_KINDS: [ResourceKind; 6] = [
    ResourceKind::COMMAND_QUEUE,
    ResourceKind::NATIVE_TARGET,
    ResourceKind::TEXTURE_TARGET,
    ResourceKind::QUEUE,
    ResourceKind::SURFACE,
    ResourceKind::DEVICE,
];

/// The kinds that every frame makes by its nature, by default: what they add to churn says nothing.
pub const PASSING_KINDS: [ResourceKind; 4] = [
    ResourceKind::COMMAND_ENCODER,
    ResourceKind::COMMAND_BUFFER,
    ResourceKind::SURFACE_TEXTURE,
    ResourceKind::TEXTURE_VIEW,
];
