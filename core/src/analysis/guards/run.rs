//! Growth without a fall, window by window.

/// Windows without a fall, at least every other of which ended with more than the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    start: u64,
    pub(super) last: u64,
    /// Windows that ended with more.
    grown: u32,
    pub(super) windows: u32,
    /// The most that one window gained.
    jump: u64,
}

/// What a run must gain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gain {
    /// Beside its largest jump: a window made larger is no growth without end.
    in_all: u64,
    /// By a window, to count as grown: a quarter of its share.
    in_one: u64,
}

impl Gain {
    /// So much over so many windows.
    pub(super) fn of(in_all: u64, windows: u32) -> Self {
        let share = in_all / (4 * u64::from(windows.max(1)));
        Self { in_all, in_one: share.max(1) }
    }
}

impl Run {
    pub(super) fn begun(now: u64) -> Self {
        Self { start: now, last: now, grown: 0, windows: 0, jump: 0 }
    }

    pub(super) fn look(&mut self, now: u64, gain: Gain) {
        let gained = now.checked_sub(self.last);
        self.windows = self.windows.saturating_add(1);
        self.grown = self.grown.saturating_add(u32::from(gained.is_some_and(|gained| gained >= gain.in_one)));
        self.jump = self.jump.max(gained.unwrap_or_default());
        if gained.is_none() || self.windows > self.grown.saturating_mul(2) {
            *self = Self::begun(now);
        }
        self.last = now;
    }

    pub(super) fn endless(&self, windows: u32, gain: Gain) -> bool {
        self.grown >= windows.max(1) && self.gained().saturating_sub(self.jump) >= gain.in_all
    }

    pub(super) fn gained(&self) -> u64 {
        self.last.saturating_sub(self.start)
    }
}
