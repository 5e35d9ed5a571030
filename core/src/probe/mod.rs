//! The write side: what a program reports of its resources, frames and submissions, and the book that it is written in.
//!
//! This room owns [`Probe`], [`Ticket`], [`Packet`], [`Context`], the identities and kinds, the event schema, the clock
//! and the book. It must not know who reads: the [`tracker`](crate::tracker) room does that, and nothing here calls it.
//!
//! # How it holds together
//! * A [`Ticket`] is one resource's life. Its steps are counted in the shard of the thread that takes them
//!   (`tally.rs`: monotone words, one writer each), so counting takes no lock and shares no cache line.
//! * What is known of a live resource lies in a slot (`slot.rs`), written only by the ticket's holder and read through a
//!   seqlock (`seqcell.rs`). Slots, ids and shards are handed to threads by the batch (`slots.rs`, `local.rs`).
//! * At [`Level::Events`] each step is also offered to the thread's ring (`ring.rs`), after it is counted. Rings are
//!   bounded and overwrite the oldest; readers count what they missed. Rings change no total.
//! * What is rare is written down one by one under a lock: packets (`packets.rs`), submissions (`submissions.rs`), the ends of
//!   followed kinds' lives and misuses (`chronicle.rs`). What is frequent is counted in the thread's shard: by kind and owner
//!   kind (`tally.rs`), by owner (`owner_rows.rs`), lifetimes and bursts (`lifetimes.rs`), short lives by sort (`alike.rs`), and what
//!   time is spent on (`efforts.rs`).
//! * Soft budgets (`budgets.rs`) are held against the same counters: while there is one, a step that changes a row's bytes settles the row in
//!   the book's sum under one short lock. Without one a step pays a relaxed load and a branch.
//! * A book is never freed: probes and tickets are valid for the life of the program.
//!
//! # A packet's events
//! Queueing a packet is a [`EventKind::Marker`] named `packet queued`; its end is an [`EventKind::Present`] if it was
//! presented, and a marker named `packet finished` with the [`PacketResult`] otherwise.
//!
//! Without the feature `telemetry` the same calls compile to nothing: [`Probe`], [`Ticket`], [`Packet`] and [`Context`] take
//! no space and do no work.

mod activity;
pub(crate) mod budget;
mod clock;
mod counts;
mod event;
mod ids;
pub(crate) mod kind;
mod new;
mod shortage;

pub use activity::Activity;
pub use budget::{
    BudgetCalls, BudgetScope, BudgetStatus, PRESSURE_BEGINS_PERCENT, PRESSURE_ENDS_PERCENT, Pressure, SoftBudget,
    WouldCross,
};
pub use clock::{Clock, ManualClock, Timestamp};
pub use counts::{Counts, PEAK_FOLD_BYTES};
pub use event::{Event, EventKind, Mark};
pub use ids::{Lane, Level, OwnerId, PacketId, PacketResult, ResourceId};
pub use kind::{Backend, MAX_USER_OWNER_KINDS, MAX_USER_RESOURCE_KINDS, OwnerKind, ResourceKind};
pub use new::{Extent, New};
pub use shortage::{Shortage, ShortageCalls};

#[cfg(feature = "telemetry")]
pub(crate) mod alike;
#[cfg(feature = "telemetry")]
pub(crate) mod book;
#[cfg(feature = "telemetry")]
pub(crate) mod budgets;
#[cfg(feature = "telemetry")]
pub(crate) mod chronicle;
#[cfg(feature = "telemetry")]
mod context;
#[cfg(feature = "telemetry")]
pub(crate) mod efforts;
#[cfg(feature = "telemetry")]
pub(crate) mod lifetimes;
#[cfg(feature = "telemetry")]
mod live;
#[cfg(feature = "telemetry")]
pub(crate) mod local;
#[cfg(feature = "telemetry")]
mod owner_rows;
#[cfg(feature = "telemetry")]
pub(crate) mod packets;
#[cfg(feature = "telemetry")]
pub(crate) mod record;
#[cfg(feature = "telemetry")]
pub(crate) mod ring;
#[cfg(feature = "telemetry")]
mod seqcell;
#[cfg(feature = "telemetry")]
pub(crate) mod slot;
#[cfg(feature = "telemetry")]
mod slots;
#[cfg(feature = "telemetry")]
mod stores;
#[cfg(feature = "telemetry")]
pub(crate) mod submissions;
#[cfg(feature = "telemetry")]
mod tables;
#[cfg(feature = "telemetry")]
pub(crate) mod tally;
#[cfg(feature = "telemetry")]
mod ticket;

#[cfg(feature = "telemetry")]
pub use {
    budgets::Announced,
    context::{Context, ContextGuard},
    live::{Packet, Probe},
    ticket::{Ticket, Touches},
};

#[cfg(not(feature = "telemetry"))]
mod noop;
#[cfg(not(feature = "telemetry"))]
pub use noop::{Announced, Context, ContextGuard, Packet, Probe, Ticket, Touches};
