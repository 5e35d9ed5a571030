//! All totals of a tracker at about one moment.

use super::Lifetimes;
use crate::probe::kind::{OWNER_KINDS, RESOURCE_KINDS, kind_row, owner_row};
use crate::probe::{BudgetCalls, BudgetStatus, Counts, Lane, OwnerKind, PacketResult, ResourceKind, Timestamp};

/// What [`Tracker::read_totals`](super::Tracker::read_totals) fills in. Keep one and fill it again: that allocates nothing
/// but when lanes were added.
///
/// Each figure is exact as of a moment during the reading; the moments differ, and never so that a difference within
/// one figure (live, pending, in flight) would be negative.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Totals {
    /// When the reading began.
    pub time: Timestamp,
    pub(crate) rows: Vec<Counts>,
    pub(crate) peak_live_bytes: u64,
    pub(crate) peak_error_bytes: u64,
    /// Packets of each lane that has had any.
    pub lanes: Vec<LaneTotals>,
    /// Work submitted and completed, and the bytes that wait for it.
    pub submissions: SubmissionTotals,
    /// The soft budgets, and how each stands.
    pub soft_budgets: Vec<BudgetStatus>,
    /// How often a program was called before a budget would be exceeded, and how often it panicked then.
    pub budget_calls: BudgetCalls,
    /// How long the released resources lived.
    pub lifetimes: Lifetimes,
    /// Uses of resources against their life ([`Tracker::misuses`](super::Tracker::misuses)).
    pub misuses: u64,
    /// Events offered to the rings.
    pub events: EventTotals,
    /// What was not kept for want of room.
    pub overflows: OverflowTotals,
    /// Bytes that the tracker itself takes: counters, slots, rings, tables.
    pub telemetry_bytes: u64,
    /// Rows that this reading found with a negative difference. Always 0 unless the accounting is wrong.
    pub inconsistencies: u64,
}

/// One resource kind or owner kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindTotals {
    /// Resources with memory of their own.
    pub device: Counts,
    /// Suballocations: resources within a block that is counted itself. Never add these bytes to the device's.
    pub within: Counts,
}

/// The packets of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneTotals {
    /// The lane.
    pub lane: Lane,
    /// Its name; `other` for those beyond the limit.
    pub name: &'static str,
    /// Its packets.
    pub packets: PacketTotals,
}

/// Packets, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketTotals {
    /// Packets queued, ended or not.
    pub queued: u64,
    /// Packets with work submitted in their context.
    pub submitted: u64,
    /// Shown.
    pub presented: u64,
    /// Given up.
    pub dropped: u64,
    /// With nothing to draw.
    pub no_op: u64,
    /// Failed.
    pub failed: u64,
}

impl PacketTotals {
    /// Packets with that result.
    #[must_use]
    pub fn with_result(&self, result: PacketResult) -> u64 {
        match result {
            PacketResult::Presented => self.presented,
            PacketResult::Dropped => self.dropped,
            PacketResult::NoOp => self.no_op,
            PacketResult::Failed => self.failed,
        }
    }

    /// Packets that have not ended yet.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.queued.saturating_sub(self.presented + self.dropped + self.no_op + self.failed)
    }
}

/// Work submitted and completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubmissionTotals {
    /// Submissions.
    pub submitted: u64,
    /// Submissions completed.
    pub completed: u64,
    /// Submissions that will never be known to complete: their device was lost.
    pub abandoned: u64,
    /// Completions of submissions that were not seen, as those made while the level was off.
    pub unmatched_completions: u64,
    /// Bytes staged.
    pub staged_bytes: u64,
    /// Bytes staged that a submission took with it.
    pub submitted_bytes: u64,
}

impl SubmissionTotals {
    /// Submissions that are neither completed nor abandoned.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.submitted.saturating_sub(self.completed + self.abandoned)
    }

    /// Bytes staged that wait for a submission.
    #[must_use]
    pub fn unsubmitted_bytes(&self) -> u64 {
        self.staged_bytes.saturating_sub(self.submitted_bytes)
    }
}

/// Events offered to the rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventTotals {
    /// Events offered.
    pub produced: u64,
    /// Of these, events that newer ones have overwritten, read or not. What a reader lost, its own cursor counts.
    pub overwritten: u64,
}

/// What was not kept for want of room. Each call that found none counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverflowTotals {
    /// Resources that got an empty ticket, since as many were tracked as may be.
    pub resources: u64,
    /// Resource kinds counted as [`ResourceKind::OTHER`].
    pub resource_kinds: u64,
    /// Owner kinds counted as [`OwnerKind::OTHER`].
    pub owner_kinds: u64,
    /// Owners known by their kind alone.
    pub owners: u64,
    /// Lanes counted as [`Lane::OTHER`].
    pub lanes: u64,
    /// Labels not kept.
    pub labels: u64,
    /// Creations whose event does not carry its label, as there were too many different ones. The resource has it.
    pub event_labels: u64,
    /// Marker names not kept.
    pub markers: u64,
    /// Creation sites not kept.
    pub sites: u64,
    /// Sizes beyond 2^48 bytes, counted as 2^48.
    pub bytes: u64,
}

impl OverflowTotals {
    /// Names that were not kept: kinds, owners, lanes, labels, markers and sites.
    #[must_use]
    pub fn names(&self) -> u64 {
        self.resource_kinds + self.owner_kinds + self.owners + self.lanes + self.labels + self.markers + self.sites
    }
}

impl Totals {
    /// The totals of one resource kind.
    #[must_use]
    pub fn kind(&self, kind: ResourceKind) -> KindTotals {
        KindTotals { device: self.row(kind_row(kind, false)), within: self.row(kind_row(kind, true)) }
    }

    /// The totals of one owner kind, all resource kinds together.
    #[must_use]
    pub fn owner_kind(&self, kind: OwnerKind) -> KindTotals {
        KindTotals { device: self.row(owner_row(kind, false)), within: self.row(owner_row(kind, true)) }
    }

    /// Every resource kind that has ever been created.
    pub fn kinds(&self) -> impl Iterator<Item = (ResourceKind, KindTotals)> + '_ {
        let all = (0..RESOURCE_KINDS).map(ResourceKind::at);
        all.map(|kind| (kind, self.kind(kind))).filter(|(_, totals)| totals.used())
    }

    /// Every owner kind in whose name anything has ever been created.
    pub fn owner_kinds(&self) -> impl Iterator<Item = (OwnerKind, KindTotals)> + '_ {
        let all = (0..OWNER_KINDS).map(OwnerKind::at);
        all.map(|kind| (kind, self.owner_kind(kind))).filter(|(_, totals)| totals.used())
    }

    /// All resources with memory of their own.
    #[must_use]
    pub fn device(&self) -> Counts {
        self.sum(|totals| totals.device)
    }

    /// All suballocations.
    #[must_use]
    pub fn suballocations(&self) -> Counts {
        self.sum(|totals| totals.within)
    }

    /// The most bytes of [`device`](Self::device) that were live at once, to within
    /// [`peak_error_bytes`](Self::peak_error_bytes).
    #[must_use]
    pub fn peak_live_bytes(&self) -> u64 {
        self.peak_live_bytes.max(self.device().live_bytes())
    }

    /// How far [`peak_live_bytes`](Self::peak_live_bytes) can be from the truth, up or down: 64 KiB per thread that has
    /// reported at the same time as others.
    #[must_use]
    pub fn peak_error_bytes(&self) -> u64 {
        self.peak_error_bytes
    }

    /// The packets of all lanes.
    #[must_use]
    pub fn packets(&self) -> PacketTotals {
        self.lanes.iter().fold(PacketTotals::default(), |sum, lane| PacketTotals {
            queued: sum.queued + lane.packets.queued,
            submitted: sum.submitted + lane.packets.submitted,
            presented: sum.presented + lane.packets.presented,
            dropped: sum.dropped + lane.packets.dropped,
            no_op: sum.no_op + lane.packets.no_op,
            failed: sum.failed + lane.packets.failed,
        })
    }

    fn row(&self, row: usize) -> Counts {
        self.rows.get(row).copied().unwrap_or_default()
    }

    fn sum(&self, part: impl Fn(KindTotals) -> Counts) -> Counts {
        self.kinds().fold(Counts::default(), |mut sum, (_, totals)| {
            sum += part(totals);
            sum
        })
    }
}

impl KindTotals {
    fn used(&self) -> bool {
        self.device.created > 0 || self.within.created > 0
    }
}
