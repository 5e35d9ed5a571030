//! Runs the guards over a tracker: reads what they look at, and logs what they warn of.

use crate::analysis::guards::{Guard, GuardInput, GuardSettings, Guards, Warning};
use crate::log::warning;
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

/// Logs warnings. No lock is held: whoever takes the log may ask the monitor.
pub(super) fn tell(warnings: &[Warning]) {
    for warning in warnings {
        warning!("{warning}");
    }
}
