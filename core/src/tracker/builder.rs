//! How a tracker is made.

use super::{FOLLOWED_KINDS, PASSING_KINDS, Tracker};
use crate::probe::book::{Book, Settings};
use crate::probe::budgets::Before;
use crate::probe::{Clock, Level, MAX_USER_RESOURCE_KINDS, ResourceKind, SoftBudget, WouldCross};
use std::sync::Arc;
use std::time::Duration;

/// How a [`Tracker`] is made. The limits bound its memory; what goes beyond them is counted in
/// [`Totals::overflows`](super::Totals::overflows).
#[derive(Clone, Debug)]
#[must_use = "build() makes the tracker"]
pub struct TrackerBuilder {
    settings: Settings,
}

impl Default for TrackerBuilder {
    fn default() -> Self {
        Self {
            settings: Settings {
                level: Level::default(),
                ring_capacity: 4096,
                resources: 1 << 22,
                owners: 65_536,
                lanes: 16,
                labels: 65_536,
                user_kinds: MAX_USER_RESOURCE_KINDS,
                packets: 256,
                short_packets: 3,
                short_nanos: 50_000_000,
                followed: ResourceKind::set_of(&FOLLOWED_KINDS),
                passing: ResourceKind::set_of(&PASSING_KINDS),
                panic_on_misuse: false,
                clock: Clock::system(),
                budgets: Vec::new(),
                before: None,
            },
        }
    }
}

impl TrackerBuilder {
    /// How much is recorded from the start; [`Level::Counters`] by default.
    pub fn level(mut self, level: Level) -> Self {
        self.settings.level = level;
        self
    }

    /// Events kept per thread at [`Level::Events`], 96 bytes each, rounded up to a power of two from 2 to 2^20; 4,096 by
    /// default.
    pub fn ring_capacity(mut self, events: usize) -> Self {
        self.settings.ring_capacity = events.min(1 << 20);
        self
    }

    /// Resources tracked at once, 128 bytes each, taken by pages of 512; 4,194,304 by default.
    pub fn resource_capacity(mut self, resources: usize) -> Self {
        self.settings.resources = resources;
        self
    }

    /// Owners kept, at most 2^24; 65,536 by default.
    pub fn owner_capacity(mut self, owners: usize) -> Self {
        self.settings.owners = owners;
        self
    }

    /// Lanes with a name of their own, at most 250; 16 by default.
    pub fn lane_capacity(mut self, lanes: usize) -> Self {
        self.settings.lanes = lanes.min(250);
        self
    }

    /// Labels kept at once, up to 128 bytes each; 65,536 by default. Of this room a thread may hold a 512th part, at most 128 labels, for
    /// those that it will make next.
    pub fn label_capacity(mut self, labels: usize) -> Self {
        self.settings.labels = labels;
        self
    }

    /// Kinds of the program's own, for resources and for owners each; all that there is room for in the process
    /// ([`MAX_USER_RESOURCE_KINDS`], [`MAX_USER_OWNER_KINDS`](crate::probe::MAX_USER_OWNER_KINDS)) by default.
    pub fn user_kind_capacity(mut self, kinds: usize) -> Self {
        self.settings.user_kinds = kinds;
        self
    }

    /// Packets kept of each lane, 128 bytes each, 1,048,576 at most; 256 by default. Their counts are exact beyond that.
    pub fn packet_capacity(mut self, packets: usize) -> Self {
        self.settings.packets = packets.clamp(1, 1 << 20);
        self
    }

    /// A life is short if it ends fewer than so many packets after the one that it began in, or within that time; 3 packets
    /// or 50 ms by default.
    pub fn short_lived(mut self, packets: u64, time: Duration) -> Self {
        self.settings.short_packets = packets;
        self.settings.short_nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// Kinds whose ends are written down one by one ([`Tracker::lives`]), at the cost of a lock each; [`FOLLOWED_KINDS`] by
    /// default.
    pub fn followed_kinds(mut self, kinds: &[ResourceKind]) -> Self {
        self.settings.followed = ResourceKind::set_of(kinds);
        self
    }

    /// Kinds that every frame makes by its nature: they count for no owner by itself, are never short-lived, and are
    /// in no lifetime, no burst and no packet's counts; [`PASSING_KINDS`] by default.
    pub fn passing_kinds(mut self, kinds: &[ResourceKind]) -> Self {
        self.settings.passing = ResourceKind::set_of(kinds);
        self
    }

    /// A [misuse](Tracker::misuses) panics where it happens, beside being written down; off by default. For debugging.
    pub fn panic_on_misuse(mut self, panic: bool) -> Self {
        self.settings.panic_on_misuse = panic;
        self
    }

    /// A soft budget from the start, beside those of other scopes; none by default. See [`Tracker::set_soft_budget`].
    pub fn soft_budget(mut self, budget: SoftBudget) -> Self {
        self.settings.budgets.push(budget);
        self
    }

    /// What is called before a creation, or a growth, that would leave a soft budget exceeded; nothing by default. See
    /// [`Tracker::before_over_budget`].
    pub fn before_over_budget(mut self, call: impl Fn(&WouldCross<'_>) + Send + Sync + 'static) -> Self {
        self.settings.before = Some(Before(Arc::new(call)));
        self
    }

    /// The clock; the system's by default.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// The tracker.
    #[must_use]
    pub fn build(self) -> Tracker {
        Tracker { book: Book::open(self.settings) }
    }
}
