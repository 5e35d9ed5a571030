//! What the book knows of packets, submissions, owners and lives: plain data, exact at every level but Off.

use crate::probe::{Counts, Extent, Lane, OwnerId, PacketId, PacketResult, ResourceId, ResourceKind, Timestamp};
use std::panic::Location;
use std::time::Duration;

/// A packet: one frame on a lane. What has not happened yet is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketRecord {
    /// Its id.
    pub id: PacketId,
    /// Its lane.
    pub lane: Lane,
    /// The program's own number for the render command that it carries out.
    pub command: Option<u64>,
    /// When it was queued.
    pub queued: Timestamp,
    /// When work was first submitted in its context.
    pub submitted: Option<Timestamp>,
    /// When the last work submitted in its context was known to be completed; `None` while any of it is in flight.
    pub completed: Option<Timestamp>,
    /// When it ended; the time of the present, if it was presented.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub result: Option<PacketResult>,
    /// Submissions in its context.
    pub submissions: u32,
    /// Resources that the whole program created while the packet was open, up to now if it is, without the
    /// [passing kinds](super::TrackerBuilder::passing_kinds). With several lanes at a time, packets overlap.
    pub created: u64,
    /// Resources that the whole program released while the packet was open, up to now if it is, without the passing kinds.
    pub released: u64,
}

impl PacketRecord {
    /// Time from being queued to being presented.
    #[must_use]
    pub fn queue_to_present(&self) -> Option<Duration> {
        self.ended.filter(|_| self.result == Some(PacketResult::Presented))?.since(self.queued)
    }

    /// Time from the first submission to the completion of the last.
    #[must_use]
    pub fn submit_to_complete(&self) -> Option<Duration> {
        self.completed?.since(self.submitted?)
    }
}

/// One submission. What is unknown is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubmissionRecord {
    /// The program's number, which its completion has too.
    pub correlation: u64,
    /// The queue.
    pub queue: Option<ResourceId>,
    /// The packet in whose context it was made.
    pub packet: Option<PacketId>,
    /// The owner in whose context it was made.
    pub owner: Option<OwnerId>,
    /// The line of source that reported it; `None` for what was instrumented.
    pub site: Option<&'static Location<'static>>,
    /// When it was made.
    pub submitted: Timestamp,
    /// When it was known to be completed.
    pub completed: Option<Timestamp>,
    /// It will never be known to complete.
    pub abandoned: bool,
    /// Staged bytes that went with it.
    pub staged_bytes: u64,
    /// Command buffers in it, as far as they were named.
    pub command_buffers: u32,
}

impl SubmissionRecord {
    /// Neither completed nor abandoned.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        self.completed.is_none() && !self.abandoned
    }
}

/// Staged bytes that wait for a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsubmitted {
    /// The bytes.
    pub bytes: u64,
    /// Since when there have been any. Approximate to the microseconds of a race between threads.
    pub since: Timestamp,
    /// The resource that was written first, if it was named.
    pub first: Option<ResourceId>,
    /// The owner of that resource, or in whose context the first bytes were staged.
    pub owner: Option<OwnerId>,
    /// The line of source that reported the first bytes; `None` for what was instrumented.
    pub site: Option<&'static Location<'static>>,
}

/// What one owner has made and released, suballocations included. Kinds that every frame makes by its nature
/// ([`TrackerBuilder::passing_kinds`](super::TrackerBuilder::passing_kinds)) are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerTotals {
    /// The owner. Those beyond the tracker's limit are counted by kind alone ([`Totals::owner_kind`](super::Totals::owner_kind)).
    pub owner: OwnerId,
    /// Its counts. Bytes of suballocations are in them: they are not part of any device total.
    pub counts: Counts,
    /// Resources that it made after it had released others, one for one, by the thread that released them: at least so many were
    /// made again.
    pub remade: u64,
    /// The kind of the resource that it released last, or made last if it has released none.
    pub kind: Option<ResourceKind>,
    /// Where that resource was made.
    pub site: Option<&'static Location<'static>>,
}

/// The lives of the kinds that are followed one by one
/// ([`TrackerBuilder::followed_kinds`](super::TrackerBuilder::followed_kinds)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lives {
    /// Lives that have ended, in the order of their end; the newest are kept.
    pub ended: Vec<LifeRecord>,
    /// Lives that had ended and are no longer kept.
    pub missed: u64,
}

/// One life that has ended. What is unknown is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LifeRecord {
    /// The resource.
    pub id: ResourceId,
    /// What it was.
    pub kind: ResourceKind,
    /// Its name for people.
    pub label: Option<String>,
    /// Its owner.
    pub owner: Option<OwnerId>,
    /// The line of source that reported its creation.
    pub site: Option<&'static Location<'static>>,
    /// Its bytes at the end.
    pub bytes: u64,
    /// When it was created.
    pub created: Timestamp,
    /// The packet in which it was created.
    pub created_in: Option<PacketId>,
    /// When it was released.
    pub released: Timestamp,
    /// The packet in whose context it was released.
    pub released_in: Option<PacketId>,
    /// The packet that touched it last.
    pub last_packet: Option<PacketId>,
    /// It was destroyed explicitly before.
    pub explicit: bool,
}

/// Creations and releases of a tenth of a second, without the [passing kinds](super::TrackerBuilder::passing_kinds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Burst {
    /// When it began.
    pub from: Timestamp,
    /// Resources created in it.
    pub created: u64,
    /// Resources released in it.
    pub released: u64,
}

impl Burst {
    /// How long each is.
    pub const SPAN: Duration = Duration::from_millis(100);
}

/// Uses of resources against their life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misuses {
    /// The first of them, in order.
    pub records: Vec<Misuse>,
    /// How many there were in all.
    pub total: u64,
}

/// What kind of misuse it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MisuseKind {
    /// Destroyed explicitly, or a hand-tracked ticket ended, while the packet that used it was open.
    DestroyedInUse,
    /// Touched by a packet after it was destroyed explicitly.
    UsedAfterDestroy,
}

impl MisuseKind {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DestroyedInUse => "destroyed_in_use",
            Self::UsedAfterDestroy => "used_after_destroy",
        }
    }
}

/// One misuse. What is unknown is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misuse {
    /// What it was.
    pub what: MisuseKind,
    /// When.
    pub time: Timestamp,
    /// The resource.
    pub resource: ResourceId,
    /// What it is.
    pub kind: ResourceKind,
    /// Its name for people.
    pub label: Option<String>,
    /// Its owner.
    pub owner: Option<OwnerId>,
    /// The line of source that reported its creation.
    pub site: Option<&'static Location<'static>>,
    /// The packet that used it.
    pub packet: PacketId,
    /// The line of source of the misuse; `None` for what was instrumented and for tickets that were dropped.
    pub at: Option<&'static Location<'static>>,
}

/// Short-lived resources that were alike: what a pool would have saved.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolCandidate {
    /// What they were.
    pub kind: ResourceKind,
    /// Bytes of each.
    pub bytes: u64,
    /// Their size as images.
    pub extent: Option<Extent>,
    /// What else they have in common, as the producer folded it.
    pub descriptor: u16,
    /// How many were made and released after a short life.
    pub made: u64,
    /// An estimate of the bytes that a pool would not have had to make: those of all but one per thread.
    pub saved_bytes: u64,
}

/// Lifetimes of all released resources, without the [passing kinds](super::TrackerBuilder::passing_kinds).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lifetimes {
    /// Upper bound (inclusive) and the number of lives that were not longer: cumulative, 262 us to 73 minutes, each four times
    /// the one before. Lives beyond the last bound are in
    /// [`count`](Self::count) only.
    pub buckets: [(Duration, u64); 13],
    /// All lives.
    pub count: u64,
    /// The sum of their times.
    pub sum: Duration,
}
