//! Runs the guards over a tracker and over the heap: gives them what they look at, and logs what they warn of.

use crate::analysis::guards::heap::{GrowthSuspect, HeapGuardSettings, HeapGuards, HeapInput};
use crate::analysis::guards::{Guard, GuardInput, GuardSettings, Guards, Warning};
use crate::contract::{HeapTotals, MemoryReport, TagTotals};
use crate::log::warning;
use crate::probe::Clock;
use crate::tracker::{OwnerTotals, Totals, Tracker};

/// Guards over one tracker, with the memory of their reading.
#[derive(Debug)]
pub(super) struct GuardWatch {
    guards: Guards,
    owners: Vec<OwnerTotals>,
}

impl GuardWatch {
    pub(super) fn new(settings: GuardSettings) -> Self {
        Self { guards: Guards::new(settings), owners: Vec::new() }
    }

    /// Looks if a window has passed, and gives what is to be told. `totals` were just read.
    pub(super) fn update(&mut self, tracker: &Tracker, totals: &Totals) -> Vec<Warning> {
        if !self.guards.due(totals.time) {
            return Vec::new();
        }
        tracker.owner_totals(&mut self.owners);
        let input = GuardInput {
            time: totals.time,
            level: tracker.level(),
            totals,
            owners: &self.owners,
            misuses: &tracker.misuses(),
            unsubmitted: tracker.unsubmitted(),
            oldest_in_flight: tracker.oldest_in_flight(),
            lives: &|| tracker.lives().ended,
            owner: &|owner| tracker.owner(owner),
        };
        self.guards.step(&input).collect()
    }

    pub(super) fn warnings(&self) -> Vec<Warning> {
        self.guards.warnings()
    }

    pub(super) fn raised(&self, guard: Guard) -> u64 {
        self.guards.raised(guard)
    }
}

/// The heap's guards, with their clock.
#[derive(Debug)]
pub(super) struct HeapWatch {
    guards: HeapGuards,
    clock: Clock,
}

impl HeapWatch {
    pub(super) fn new(settings: HeapGuardSettings, budget: Option<u64>) -> Self {
        Self { guards: HeapGuards::new(settings, budget), clock: Clock::system() }
    }

    /// Looks at what was just read, and gives what is to be told. Without tags the heap is one.
    pub(super) fn update(&mut self, totals: &HeapTotals, report: &MemoryReport, tags: &[TagTotals]) -> Vec<Warning> {
        let whole = [TagTotals {
            name: "heap",
            allocations: totals.allocations(),
            allocated_bytes: totals.allocated_bytes(),
            deallocations: totals.deallocations,
            deallocated_bytes: totals.deallocated_bytes,
        }];
        self.guards.step(&HeapInput {
            time: self.clock.now(),
            live_bytes: report.current_usage_bytes,
            peak_bytes: report.peak_usage_bytes,
            tags: if tags.is_empty() { &whole } else { tags },
        })
    }

    pub(super) fn growth_suspects(&self) -> Vec<GrowthSuspect> {
        self.guards.growth_suspects().to_vec()
    }

    pub(super) fn budget_crossings(&self) -> Option<u64> {
        self.guards.budget_crossings()
    }

    pub(super) fn warnings(&self) -> Vec<Warning> {
        self.guards.warnings()
    }

    pub(super) fn raised(&self, guard: Guard) -> u64 {
        self.guards.raised(guard)
    }
}

/// Logs warnings. No lock is held: whoever takes the log may ask the monitor.
pub(super) fn tell(warnings: &[Warning]) {
    for warning in warnings {
        warning!("{warning}");
    }
}
