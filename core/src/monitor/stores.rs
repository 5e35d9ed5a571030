//! What hands out GPU memory from resources of its own: staging rings, memory pools, pools of render targets.

mod group;
#[cfg(all(test, feature = "telemetry"))]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use self::group::Group;
use crate::contract::{
    Cadence, MemoryPoolReport, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series,
    StagingRingReport, StoreReport, TargetPoolReport, Unit,
};
use crate::tracker::Tracker;

/// Exports how the staging rings, memory pools and pools of render targets stand that a [`Tracker`] lists
/// ([`Probe::list`](crate::probe::Probe::list)), each under its name.
///
/// It asks them on the registry's sampler thread, four times a second unless [`with_cadence`](Self::with_cadence) says otherwise. Those of
/// one name are one series: their bytes and counts are added up. Names beyond the [limit](Self::with_names) count as
/// [`OTHER`](Self::OTHER). When the last one of a name is gone, its gauges are absent; its counters keep what was last read.
///
/// What else a report has is in the lifecycle report and the dump: each series counts.
///
/// Its usage report gives the bytes of all of them and their peak, as far as it was seen. They are part of what the tracker counts as live.
#[derive(Debug)]
pub struct StoreMonitor {
    id: Cow<'static, str>,
    tracker: Arc<Tracker>,
    cadence: Duration,
    names: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reports: Vec<(u64, StoreReport)>,
    rings: Group<StagingRingReport>,
    pools: Group<MemoryPoolReport>,
    targets: Group<TargetPoolReport>,
    peak_bytes: u64,
}

impl StoreMonitor {
    /// The name of all rings and pools beyond the limit.
    pub const OTHER: &'static str = "other";

    /// The most names that there can be of rings, of pools, and of pools of render targets.
    pub const MAX_NAMES: usize = 64;

    /// Bytes that are kept of a name.
    pub const LONGEST_NAME: usize = 96;

    /// A monitor of this tracker, with this name, for 16 names of rings, as many of pools, and of pools of render targets.
    #[must_use]
    pub fn new(tracker: Arc<Tracker>, id: impl Into<Cow<'static, str>>) -> Self {
        Self { id: id.into(), tracker, cadence: Duration::from_millis(250), names: 16, state: Mutex::default() }
    }

    /// The same with another limit of names, [`OTHER`](Self::OTHER) left out: up to [`MAX_NAMES`](Self::MAX_NAMES).
    #[must_use]
    pub fn with_names(self, names: usize) -> Self {
        Self { names: names.min(Self::MAX_NAMES), ..self }
    }

    /// Asks this often instead.
    #[must_use]
    pub fn with_cadence(self, interval: Duration) -> Self {
        Self { cadence: interval, ..self }
    }
}

impl State {
    fn read(&mut self, tracker: &Tracker, names: usize) {
        tracker.read_stores(&mut self.reports);
        for (number, report) in self.reports.drain(..) {
            match report {
                StoreReport::StagingRing(ring) => self.rings.take(number, ring, names),
                StoreReport::MemoryPool(pool) => self.pools.take(number, pool, names),
                StoreReport::TargetPool(pool) => self.targets.take(number, pool, names),
            }
        }
        self.rings.add_up();
        self.pools.add_up();
        self.targets.add_up();
        self.peak_bytes = self.peak_bytes.max(self.bytes());
    }

    /// Of all that are there.
    fn bytes(&self) -> u64 {
        let rings = self.rings.now().map(|ring| ring.ring_bytes);
        let pools = self.pools.now().map(|pool| pool.reserved_bytes);
        let targets = self.targets.now().map(|pool| pool.used_bytes.saturating_add(pool.idle_bytes));
        rings.chain(pools).chain(targets).fold(0, u64::saturating_add)
    }

    /// Names that have figures.
    fn appeared(&self) -> usize {
        self.rings.len() + self.pools.len() + self.targets.len()
    }
}

impl ResourceMonitor for StoreMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Vram
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        let state = self.state.lock();
        if state.appeared() == 0 {
            return ResourceUsageReport::default();
        }
        ResourceUsageReport::new(Some(state.bytes()), Some(state.peak_bytes), None)
    }

    fn update(&self) {
        self.state.lock().read(&self.tracker, self.names);
    }

    fn cadence(&self) -> Cadence {
        Cadence::Every(self.cadence)
    }

    fn description_revision(&self) -> u64 {
        self.state.lock().appeared() as u64
    }

    fn describe(&self, series: &mut Series) {
        let state = self.state.lock();
        series.counter(
            "vitals_store_names_refused_total",
            Unit::Count,
            "Rings and pools that count as `other`, as there were as many names as may be",
        );
        state.rings.names().for_each(|ring| describe_ring(series, ring));
        state.pools.names().for_each(|pool| describe_pool(series, pool));
        state.targets.names().for_each(|pool| describe_targets(series, pool));
    }

    fn record(&self, row: &mut Row<'_>) {
        let state = self.state.lock();
        // A program without rings and pools has none of these figures.
        let refused = state.rings.refused() + state.pools.refused() + state.targets.refused();
        row.push((state.appeared() > 0).then_some(refused));
        state.rings.figures().for_each(|(now, counted)| record_ring(row, now, counted));
        state.pools.figures().for_each(|(now, counted)| record_pool(row, now, counted));
        state.targets.figures().for_each(|(now, counted)| record_targets(row, now, counted));
    }
}

fn describe_ring(series: &mut Series, ring: &str) {
    let ring = || ring.to_owned();
    series
        .gauge(
            "vitals_staging_ring_bytes",
            Unit::Bytes,
            "Bytes of a staging ring's buffers, those for one write included",
        )
        .label("ring", ring());
    series
        .gauge(
            "vitals_staging_in_flight_bytes",
            Unit::Bytes,
            "Bytes flushed from a staging ring that the GPU is not done with",
        )
        .label("ring", ring());
    series
        .gauge(
            "vitals_staging_unsubmitted_bytes",
            Unit::Bytes,
            "Bytes written to a staging ring that no submission has taken",
        )
        .label("ring", ring());
    series
        .gauge(
            "vitals_staging_high_water_bytes",
            Unit::Bytes,
            "The most bytes of a staging ring that were in flight at once",
        )
        .label("ring", ring());
    series
        .counter("vitals_staging_written_bytes_total", Unit::Bytes, "Bytes written to a staging ring")
        .label("ring", ring());
    series
        .counter("vitals_staging_copies_total", Unit::Count, "Copies that a staging ring has recorded")
        .label("ring", ring());
    series
        .counter(
            "vitals_staging_merged_copies_total",
            Unit::Count,
            "Writes to a staging ring that were made part of the copy before them",
        )
        .label("ring", ring());
    series
        .counter(
            "vitals_staging_wraps_total",
            Unit::Count,
            "Times that a staging ring went on with the buffer that it had filled, or one before it",
        )
        .label("ring", ring());
    series
        .counter("vitals_staging_stalls_total", Unit::Count, "Writes to a staging ring that found no buffer ready")
        .label("ring", ring());
    series
        .counter(
            "vitals_staging_stall_seconds_total",
            Unit::Seconds,
            "Time that writes to a staging ring have waited, or taken to make another buffer, as none was ready",
        )
        .label("ring", ring());
    series
        .counter(
            "vitals_staging_dedicated_total",
            Unit::Count,
            "Writes to a staging ring that got a buffer of their own",
        )
        .label("ring", ring());
    series
        .counter("vitals_staging_failures_total", Unit::Count, "Writes that a staging ring has refused")
        .label("ring", ring());
}

fn record_ring(row: &mut Row<'_>, now: Option<&StagingRingReport>, counted: &StagingRingReport) {
    row.push(now.map(|ring| ring.ring_bytes))
        .push(now.map(|ring| ring.in_flight_bytes.iter().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes))))
        .push(now.map(|ring| ring.unsubmitted_bytes))
        .push(now.map(|ring| ring.high_water_bytes))
        .push(counted.written_bytes)
        .push(counted.copies)
        .push(counted.merged_copies)
        .push(counted.wraps)
        .push(counted.stalls)
        .push(counted.stall_time)
        .push(counted.dedicated)
        .push(counted.failures);
}

fn describe_pool(series: &mut Series, pool: &str) {
    let pool = || pool.to_owned();
    series.gauge("vitals_pool_reserved_bytes", Unit::Bytes, "Bytes of a memory pool's buffers").label("pool", pool());
    series
        .gauge(
            "vitals_pool_allocated_bytes",
            Unit::Bytes,
            "Bytes of a memory pool that are not free, those that wait for the GPU included",
        )
        .label("pool", pool());
    series
        .gauge("vitals_pool_requested_bytes", Unit::Bytes, "Bytes that were asked for, of those that are not free")
        .label("pool", pool());
    series
        .gauge(
            "vitals_pool_largest_free_bytes",
            Unit::Bytes,
            "The longest run of free bytes in one buffer of a memory pool",
        )
        .label("pool", pool());
    series
        .gauge(
            "vitals_pool_loss_ratio",
            Unit::Ratio,
            "Share of a memory pool's bytes that is lost to rounding requests up and to free space that is of no use",
        )
        .label("pool", pool());
    series
        .gauge(
            "vitals_pool_budget_bytes",
            Unit::Bytes,
            "Bytes that a memory pool's buffers may have at most; absent without a limit",
        )
        .label("pool", pool());
    series
        .gauge("vitals_pool_live_blocks", Unit::Count, "Blocks of a memory pool that are in use")
        .label("pool", pool());
    series
        .gauge(
            "vitals_pool_waiting_blocks",
            Unit::Count,
            "Blocks of a memory pool that are freed and whose bytes wait for the GPU",
        )
        .label("pool", pool());
    series.gauge("vitals_pool_slabs", Unit::Count, "Buffers of a memory pool").label("pool", pool());
    series
        .counter("vitals_pool_allocations_total", Unit::Count, "Blocks that a memory pool has given out")
        .label("pool", pool());
    series
        .counter("vitals_pool_failures_total", Unit::Count, "Requests that a memory pool has refused")
        .label("pool", pool());
    series
        .counter("vitals_pool_defrag_moves_total", Unit::Count, "Blocks that defragmentation has moved")
        .label("pool", pool());
    series
        .counter(
            "vitals_pool_defrag_moved_bytes_total",
            Unit::Bytes,
            "Bytes of the blocks that defragmentation has moved",
        )
        .label("pool", pool());
    series
        .counter("vitals_pool_released_bytes_total", Unit::Bytes, "Bytes of buffers that a memory pool has given back")
        .label("pool", pool());
}

fn record_pool(row: &mut Row<'_>, now: Option<&MemoryPoolReport>, counted: &MemoryPoolReport) {
    row.push(now.map(|pool| pool.reserved_bytes))
        .push(now.map(|pool| pool.allocated_bytes))
        .push(now.map(|pool| pool.requested_bytes))
        .push(now.map(|pool| pool.largest_free_bytes))
        .push(now.and_then(MemoryPoolReport::loss_ratio))
        .push(now.and_then(|pool| pool.budget_bytes))
        .push(now.map(|pool| pool.blocks))
        .push(now.map(|pool| pool.waiting_blocks))
        .push(now.map(|pool| pool.slabs))
        .push(counted.allocations)
        .push(counted.failures)
        .push(counted.defrag_moves)
        .push(counted.defrag_moved_bytes)
        .push(counted.released_bytes);
}

fn describe_targets(series: &mut Series, pool: &str) {
    let pool = || pool.to_owned();
    series
        .gauge("vitals_target_pool_used_targets", Unit::Count, "Render targets of a pool that are in use")
        .label("pool", pool());
    series.gauge("vitals_target_pool_used_bytes", Unit::Bytes, "Bytes of the targets in use").label("pool", pool());
    series
        .gauge("vitals_target_pool_idle_targets", Unit::Count, "Render targets that a pool keeps for reuse")
        .label("pool", pool());
    series
        .gauge("vitals_target_pool_idle_bytes", Unit::Bytes, "Bytes of the targets kept for reuse")
        .label("pool", pool());
    series
        .counter("vitals_target_pool_reused_total", Unit::Count, "Requests served with a render target that was there")
        .label("pool", pool());
    series
        .counter("vitals_target_pool_created_total", Unit::Count, "Requests for which a render target was made")
        .label("pool", pool());
    series
        .counter("vitals_target_pool_released_total", Unit::Count, "Render targets kept for reuse that were given up")
        .label("pool", pool());
}

fn record_targets(row: &mut Row<'_>, now: Option<&TargetPoolReport>, counted: &TargetPoolReport) {
    row.push(now.map(|pool| pool.used))
        .push(now.map(|pool| pool.used_bytes))
        .push(now.map(|pool| pool.idle))
        .push(now.map(|pool| pool.idle_bytes))
        .push(counted.reused)
        .push(counted.created)
        .push(counted.released);
}
