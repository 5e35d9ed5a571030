//! Staging rings, memory pools and pools of render targets, by their names: of one sample, and between two. Pure.

use std::collections::BTreeMap;

use super::exposition::Series;
use super::rates::Span;
use super::sample::{Figure, Sample, add, entry};

/// What one scrape says of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stores {
    rings: BTreeMap<String, RingTotals>,
    pools: BTreeMap<String, PoolTotals>,
    targets: BTreeMap<String, TargetTotals>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct RingTotals {
    bytes: Figure,
    in_flight: Figure,
    written: Figure,
    copies: Figure,
    stalls: Figure,
    stall_seconds: Figure,
    dedicated: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct PoolTotals {
    reserved: Figure,
    allocated: Figure,
    loss: Figure,
    blocks: Figure,
    waiting: Figure,
    slabs: Figure,
    allocations: Figure,
    moved: Figure,
    failures: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct TargetTotals {
    used: Figure,
    idle: Figure,
    reused: Figure,
    created: Figure,
}

/// A staging ring.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Ring {
    pub(crate) name: String,
    pub(crate) bytes: Figure,
    pub(crate) in_flight: Figure,
    pub(crate) written_per_second: Figure,
    pub(crate) copies_per_second: Figure,
    /// In between.
    pub(crate) stalls: Figure,
    /// Seconds of them in a second.
    pub(crate) stalled: Figure,
    /// Writes in between that got a buffer of their own.
    pub(crate) dedicated: Figure,
}

/// A memory pool.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) reserved: Figure,
    pub(crate) allocated: Figure,
    /// A share.
    pub(crate) loss: Figure,
    pub(crate) blocks: Figure,
    /// Blocks freed that wait for the GPU.
    pub(crate) waiting: Figure,
    pub(crate) slabs: Figure,
    pub(crate) allocations_per_second: Figure,
    /// Bytes that defragmentation moves in a second.
    pub(crate) moved_per_second: Figure,
    /// Since the engine's start.
    pub(crate) failures: Figure,
}

/// A pool of render targets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Targets {
    pub(crate) name: String,
    /// Bytes in use.
    pub(crate) used: Figure,
    /// Bytes kept.
    pub(crate) idle: Figure,
    pub(crate) reused_per_second: Figure,
    pub(crate) created_per_second: Figure,
}

impl Stores {
    pub(super) fn take(&mut self, series: &Series) -> bool {
        let figure = match series.name.as_str() {
            "vitals_staging_ring_bytes" => &mut entry(&mut self.rings, series, "ring").bytes,
            "vitals_staging_in_flight_bytes" => &mut entry(&mut self.rings, series, "ring").in_flight,
            "vitals_staging_written_bytes_total" => &mut entry(&mut self.rings, series, "ring").written,
            "vitals_staging_copies_total" => &mut entry(&mut self.rings, series, "ring").copies,
            "vitals_staging_stalls_total" => &mut entry(&mut self.rings, series, "ring").stalls,
            "vitals_staging_stall_seconds_total" => &mut entry(&mut self.rings, series, "ring").stall_seconds,
            "vitals_staging_dedicated_total" => &mut entry(&mut self.rings, series, "ring").dedicated,
            "vitals_pool_reserved_bytes" => &mut entry(&mut self.pools, series, "pool").reserved,
            "vitals_pool_allocated_bytes" => &mut entry(&mut self.pools, series, "pool").allocated,
            "vitals_pool_loss_ratio" => &mut entry(&mut self.pools, series, "pool").loss,
            "vitals_pool_live_blocks" => &mut entry(&mut self.pools, series, "pool").blocks,
            "vitals_pool_waiting_blocks" => &mut entry(&mut self.pools, series, "pool").waiting,
            "vitals_pool_slabs" => &mut entry(&mut self.pools, series, "pool").slabs,
            "vitals_pool_allocations_total" => &mut entry(&mut self.pools, series, "pool").allocations,
            "vitals_pool_defrag_moved_bytes_total" => &mut entry(&mut self.pools, series, "pool").moved,
            "vitals_pool_failures_total" => &mut entry(&mut self.pools, series, "pool").failures,
            "vitals_target_pool_used_bytes" => &mut entry(&mut self.targets, series, "pool").used,
            "vitals_target_pool_idle_bytes" => &mut entry(&mut self.targets, series, "pool").idle,
            "vitals_target_pool_reused_total" => &mut entry(&mut self.targets, series, "pool").reused,
            "vitals_target_pool_created_total" => &mut entry(&mut self.targets, series, "pool").created,
            _ => return false,
        };
        add(figure, series.value);
        true
    }
}

/// Those of most bytes first.
pub(super) fn rings(span: Span<'_>, now: &Sample) -> Vec<Ring> {
    let rings = now.stores.rings.iter().map(|(name, ring)| {
        let before = |of: fn(&RingTotals) -> Figure| move |sample: &Sample| of(sample.stores.rings.get(name)?);
        Ring {
            name: name.clone(),
            bytes: ring.bytes,
            in_flight: ring.in_flight,
            written_per_second: span.rate(before(|ring| ring.written), now),
            copies_per_second: span.rate(before(|ring| ring.copies), now),
            stalls: span.growth(before(|ring| ring.stalls), ring.stalls),
            stalled: span.rate(before(|ring| ring.stall_seconds), now),
            dedicated: span.growth(before(|ring| ring.dedicated), ring.dedicated),
        }
    });
    most_first(rings, |ring| ring.bytes)
}

/// Those of most bytes first.
pub(super) fn pools(span: Span<'_>, now: &Sample) -> Vec<Pool> {
    let pools = now.stores.pools.iter().map(|(name, pool)| {
        let before = |of: fn(&PoolTotals) -> Figure| move |sample: &Sample| of(sample.stores.pools.get(name)?);
        Pool {
            name: name.clone(),
            reserved: pool.reserved,
            allocated: pool.allocated,
            loss: pool.loss,
            blocks: pool.blocks,
            waiting: pool.waiting,
            slabs: pool.slabs,
            allocations_per_second: span.rate(before(|pool| pool.allocations), now),
            moved_per_second: span.rate(before(|pool| pool.moved), now),
            failures: pool.failures,
        }
    });
    most_first(pools, |pool| pool.reserved)
}

/// Those of most bytes in use first.
pub(super) fn targets(span: Span<'_>, now: &Sample) -> Vec<Targets> {
    let targets = now.stores.targets.iter().map(|(name, pool)| {
        let before = |of: fn(&TargetTotals) -> Figure| move |sample: &Sample| of(sample.stores.targets.get(name)?);
        Targets {
            name: name.clone(),
            used: pool.used,
            idle: pool.idle,
            reused_per_second: span.rate(before(|pool| pool.reused), now),
            created_per_second: span.rate(before(|pool| pool.created), now),
        }
    });
    most_first(targets, |pool| pool.used)
}

/// Stable: those with as many stay in the order of their names; those that are gone come last.
fn most_first<T>(all: impl Iterator<Item = T>, of: fn(&T) -> Figure) -> Vec<T> {
    let mut all: Vec<_> = all.collect();
    all.sort_by(|a, b| of(b).unwrap_or(-1.0).total_cmp(&of(a).unwrap_or(-1.0)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::rates::Rates;

    const FIRST: &str = "vitals_staging_ring_bytes{ring=\"a\"} 100\n\
        vitals_staging_written_bytes_total{ring=\"a\"} 10\nvitals_staging_written_bytes_total{ring=\"gone\"} 5\n\
        vitals_staging_dedicated_total{ring=\"a\"} 7\n\
        vitals_staging_stalls_total{ring=\"a\"} 3\nvitals_staging_stall_seconds_total{ring=\"a\"} 1\n\
        vitals_pool_reserved_bytes{pool=\"p\"} 1000\nvitals_pool_defrag_moved_bytes_total{pool=\"p\"} 0\n\
        vitals_target_pool_created_total{pool=\"bloom\"} 3\nvitals_target_pool_reused_total{pool=\"bloom\"} 0\n";
    const SECOND: &str = "vitals_staging_ring_bytes{ring=\"a\"} 100\nvitals_staging_in_flight_bytes{ring=\"a\"} 40\n\
        vitals_staging_written_bytes_total{ring=\"a\"} 110\nvitals_staging_written_bytes_total{ring=\"gone\"} 5\n\
        vitals_staging_dedicated_total{ring=\"a\"} 8\nvitals_pool_slabs{pool=\"p\"} 4\n\
        vitals_pool_waiting_blocks{pool=\"p\"} 2\nvitals_pool_live_blocks{pool=\"p\"} 9\n\
        vitals_staging_stalls_total{ring=\"a\"} 5\nvitals_staging_stall_seconds_total{ring=\"a\"} 1.5\n\
        vitals_pool_reserved_bytes{pool=\"p\"} 1000\nvitals_pool_reserved_bytes{pool=\"q\"} 2000\n\
        vitals_pool_loss_ratio{pool=\"p\"} 0.04\nvitals_pool_defrag_moved_bytes_total{pool=\"p\"} 64\n\
        vitals_target_pool_used_bytes{pool=\"bloom\"} 8\n\
        vitals_target_pool_created_total{pool=\"bloom\"} 3\nvitals_target_pool_reused_total{pool=\"bloom\"} 120\n";

    #[test]
    fn rings_and_pools_have_rates_and_the_largest_comes_first() {
        let [before, after] = [FIRST, SECOND].map(|text| Sample::read(text).unwrap());
        let rates = Rates::between(Some((&before, 2.0)), &after);
        let rings: Vec<_> = rates.rings.iter().map(|ring| (ring.name.as_str(), ring.bytes)).collect();
        assert_eq!(rings, [("a", Some(100.0)), ("gone", None)]);
        let ring = &rates.rings[0];
        assert_eq!((ring.in_flight, ring.written_per_second), (Some(40.0), Some(50.0)));
        assert_eq!((ring.stalls, ring.stalled, ring.copies_per_second), (Some(2.0), Some(0.25), None));
        assert_eq!(ring.dedicated, Some(1.0));
        let pools: Vec<_> =
            rates.pools.iter().map(|pool| (pool.name.as_str(), pool.loss, pool.moved_per_second)).collect();
        assert_eq!(pools, [("q", None, None), ("p", Some(0.04), Some(32.0))]);
        let pool = &rates.pools[1];
        assert_eq!((pool.blocks, pool.waiting, pool.slabs), (Some(9.0), Some(2.0), Some(4.0)));
        let targets = &rates.targets[0];
        assert_eq!((targets.used, targets.idle), (Some(8.0), None));
        assert_eq!((targets.reused_per_second, targets.created_per_second), (Some(60.0), Some(0.0)));
        let first = Rates::between(None, &after);
        assert_eq!((first.rings[0].written_per_second, first.rings[0].stalls), (None, None));
    }
}
