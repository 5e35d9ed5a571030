//! What pools and caches could save: the counters that an optimisation needs before it is made.

use super::churn::ratio;
use crate::probe::{Counts, ResourceKind};
use crate::tracker::{PoolCandidate, ResourceRecord, Totals};

/// What was reused, rebuilt and made anew since the tracker's start.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Readiness {
    /// Targets, surfaces and queues of which any were made.
    pub kinds: Vec<ReuseFigures>,
    /// Calls that asked for another size, of every kind.
    pub resize_requests: u64,
    /// Resources rebuilt in another size, of every kind.
    pub resize_rebuilds: u64,
    /// Queues reused / (reused + created), 0 to 1; `None` while there are neither.
    pub queue_reuse_ratio: Option<f64>,
    /// Sorts of short-lived resources that were made again and again alike, those first of which a pool would have saved most.
    pub pool_candidates: Vec<PoolFigures>,
    /// More sorts.
    pub pool_candidates_left_out: u64,
    /// Bytes that pools of all sorts would not have had to make: an estimate.
    pub pool_candidate_bytes: u64,
}

/// One kind of target, surface or queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ReuseFigures {
    /// Name of the kind.
    pub kind: &'static str,
    /// Made.
    pub created: u64,
    /// Taken again where one could have been made.
    pub reused: u64,
    /// Made in the place of one that was destroyed, as far as each end was written down.
    pub recreated: u64,
    /// Calls that asked for another size.
    pub resize_requests: u64,
    /// Rebuilt in another size.
    pub resize_rebuilds: u64,
}

/// A sort of resource that a pool could keep.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PoolFigures {
    /// Name of the kind.
    pub kind: &'static str,
    /// Bytes of each.
    pub bytes: u64,
    /// Width and height as images.
    pub size: Option<(u32, u32)>,
    /// How many were made alike and had a short life.
    pub made: u64,
    /// Bytes that a pool would not have had to make: an estimate.
    pub saved_bytes: u64,
}

/// What the newest packets touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WorkingSet {
    /// Newest packets of each lane that are looked at.
    pub packets: u64,
    /// Live resources that one of them touched.
    pub resources: u64,
    /// Their bytes, suballocations left out.
    pub bytes: u64,
    /// Live resources in all.
    pub live_resources: u64,
    /// Bytes of all live resources, suballocations left out.
    pub live_bytes: u64,
}

const QUEUES: [ResourceKind; 2] = [ResourceKind::COMMAND_QUEUE, ResourceKind::QUEUE];
const REUSABLE: [ResourceKind; 5] = [
    ResourceKind::NATIVE_TARGET,
    ResourceKind::TEXTURE_TARGET,
    ResourceKind::SURFACE,
    ResourceKind::COMMAND_QUEUE,
    ResourceKind::QUEUE,
];

/// Queues reused / (reused + created), 0 to 1, since the tracker's start; `None` while there are neither.
#[must_use]
pub fn queue_reuse_ratio(totals: &Totals) -> Option<f64> {
    reuse_ratio(|kind| totals.kind(kind).device)
}

fn reuse_ratio(counts: impl Fn(ResourceKind) -> Counts) -> Option<f64> {
    let queues = QUEUES.into_iter().map(counts);
    let (reused, created) = queues.fold((0_u64, 0_u64), |(reused, created), counts| {
        (reused.saturating_add(counts.reused), created.saturating_add(counts.created))
    });
    ratio(reused, reused.saturating_add(created))
}

/// Of all counts by kind, suballocations included, since the tracker's start. `recreated` counts the replaced of a kind.
pub(super) fn readiness(
    kinds: &[(ResourceKind, Counts)],
    recreated: impl Fn(ResourceKind) -> u64,
    candidates: &[PoolCandidate],
    top: usize,
) -> Readiness {
    let counts = |wanted: ResourceKind| {
        kinds.iter().find(|(kind, _)| *kind == wanted).map_or_else(Counts::default, |(_, counts)| *counts)
    };
    let reuse = |kind: ResourceKind| {
        let counts = counts(kind);
        ReuseFigures {
            kind: kind.name(),
            created: counts.created,
            reused: counts.reused,
            recreated: recreated(kind),
            resize_requests: counts.resize_requests,
            resize_rebuilds: counts.rebuilds,
        }
    };
    Readiness {
        kinds: REUSABLE.into_iter().map(reuse).filter(|figures| figures.created + figures.reused > 0).collect(),
        resize_requests: kinds.iter().map(|(_, counts)| counts.resize_requests).sum(),
        resize_rebuilds: kinds.iter().map(|(_, counts)| counts.rebuilds).sum(),
        queue_reuse_ratio: reuse_ratio(counts),
        pool_candidates: candidates.iter().take(top).map(pool).collect(),
        pool_candidates_left_out: candidates.len().saturating_sub(top) as u64,
        pool_candidate_bytes: candidates.iter().fold(0, |sum, candidate| sum.saturating_add(candidate.saved_bytes)),
    }
}

fn pool(candidate: &PoolCandidate) -> PoolFigures {
    PoolFigures {
        kind: candidate.kind.name(),
        bytes: candidate.bytes,
        size: candidate.extent.map(|extent| (extent.width, extent.height)),
        made: candidate.made,
        saved_bytes: candidate.saved_bytes,
    }
}

/// What the last `packets` packets of each lane touched. `queued` is the number of a lane's newest packet. `None` if no resource was ever
/// touched.
pub(super) fn working_set(
    resources: &[ResourceRecord],
    packets: u64,
    queued: impl Fn(crate::probe::Lane) -> u64,
) -> Option<WorkingSet> {
    resources.iter().any(|resource| resource.last_packet.is_some()).then_some(())?;
    let mut set = WorkingSet { packets, resources: 0, bytes: 0, live_resources: 0, live_bytes: 0 };
    for resource in resources.iter().filter(|resource| resource.is_live()) {
        let bytes = if resource.within.is_some() { 0 } else { resource.bytes };
        set.live_resources += 1;
        set.live_bytes += bytes;
        let recent = |last: crate::probe::PacketId| queued(last.lane()).saturating_sub(last.number()) < packets;
        if resource.last_packet.is_some_and(recent) {
            set.resources += 1;
            set.bytes += bytes;
        }
    }
    Some(set)
}
