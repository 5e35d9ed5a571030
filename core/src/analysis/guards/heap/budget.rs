//! The budget: when the heap crosses it.

use crate::probe::budget::wavers;

/// Bytes that the heap should stay within.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    bytes: u64,
    over: bool,
    /// The peak at the last step.
    peak: u64,
    crossings: u64,
}

/// How the budget was crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crossing {
    /// The heap is above it.
    Above,
    /// The heap was above it between two steps, and is not any more.
    Spike,
}

impl Budget {
    pub(super) fn of(bytes: u64) -> Self {
        Self { bytes, over: false, peak: 0, crossings: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn crossings(&self) -> u64 {
        self.crossings
    }

    /// Looks at the live bytes and at the peak since the start or its last reset.
    pub(super) fn step(&mut self, live: u64, peak: u64) -> Option<Crossing> {
        let (above, spiked) = (live > self.bytes, peak > self.bytes && peak > self.peak);
        let near = wavers(live, self.bytes);
        self.peak = peak;
        let was_over = self.over;
        self.over = above || (near && (was_over || spiked));
        let crossing = match (was_over, above, spiked) {
            (false, true, _) => Crossing::Above,
            (false, false, true) => Crossing::Spike,
            _ => return None,
        };
        self.crossings += 1;
        Some(crossing)
    }
}
