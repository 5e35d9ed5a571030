//! What several rings or pools of one name are together.

use std::sync::Arc;

use super::{MemoryPoolReport, StagingRingReport, TargetPoolReport};

/// A report that can be added to others of its kind.
pub(crate) trait Sums: Clone + Default {
    /// The name that it has.
    fn name(&self) -> &Arc<str>;

    /// Adds how another one stands now.
    fn add_standing(&mut self, other: &Self);

    /// Adds what another one has counted over its life.
    fn add_counted(&mut self, other: &Self);
}

impl Sums for StagingRingReport {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn add_standing(&mut self, other: &Self) {
        self.ring_bytes = self.ring_bytes.saturating_add(other.ring_bytes);
        self.in_flight_bytes.extend_from_slice(&other.in_flight_bytes);
        self.unsubmitted_bytes = self.unsubmitted_bytes.saturating_add(other.unsubmitted_bytes);
        // They need not have had it at one time: of no ring there was more.
        self.high_water_bytes = self.high_water_bytes.max(other.high_water_bytes);
    }

    fn add_counted(&mut self, other: &Self) {
        self.written_bytes = self.written_bytes.saturating_add(other.written_bytes);
        self.copies = self.copies.saturating_add(other.copies);
        self.merged_copies = self.merged_copies.saturating_add(other.merged_copies);
        self.wraps = self.wraps.saturating_add(other.wraps);
        self.stalls = self.stalls.saturating_add(other.stalls);
        self.stall_time = self.stall_time.saturating_add(other.stall_time);
        self.dedicated = self.dedicated.saturating_add(other.dedicated);
        self.failures = self.failures.saturating_add(other.failures);
    }
}

impl Sums for MemoryPoolReport {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn add_standing(&mut self, other: &Self) {
        self.reserved_bytes = self.reserved_bytes.saturating_add(other.reserved_bytes);
        self.allocated_bytes = self.allocated_bytes.saturating_add(other.allocated_bytes);
        self.requested_bytes = self.requested_bytes.saturating_add(other.requested_bytes);
        self.unusable_bytes = self.unusable_bytes.saturating_add(other.unusable_bytes);
        self.largest_free_bytes = self.largest_free_bytes.max(other.largest_free_bytes);
        let budgets = self.budget_bytes.zip(other.budget_bytes);
        self.budget_bytes = budgets.map(|(one, other)| one.saturating_add(other));
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.waiting_blocks = self.waiting_blocks.saturating_add(other.waiting_blocks);
        self.slabs = self.slabs.saturating_add(other.slabs);
    }

    fn add_counted(&mut self, other: &Self) {
        self.allocations = self.allocations.saturating_add(other.allocations);
        self.failures = self.failures.saturating_add(other.failures);
        self.defrag_moves = self.defrag_moves.saturating_add(other.defrag_moves);
        self.defrag_moved_bytes = self.defrag_moved_bytes.saturating_add(other.defrag_moved_bytes);
        self.released_bytes = self.released_bytes.saturating_add(other.released_bytes);
    }
}

impl Sums for TargetPoolReport {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn add_standing(&mut self, other: &Self) {
        self.used = self.used.saturating_add(other.used);
        self.used_bytes = self.used_bytes.saturating_add(other.used_bytes);
        self.idle = self.idle.saturating_add(other.idle);
        self.idle_bytes = self.idle_bytes.saturating_add(other.idle_bytes);
    }

    fn add_counted(&mut self, other: &Self) {
        self.reused = self.reused.saturating_add(other.reused);
        self.created = self.created.saturating_add(other.created);
        self.released = self.released.saturating_add(other.released);
    }
}
