//! Churn: what is created and destroyed for each packet presented, when it calms down, and when it storms.

use std::collections::VecDeque;
use std::time::Duration;

use crate::probe::Timestamp;

/// What the figures of churn are judged by. Change fields of [`Rules::default`].
///
/// Kinds that every frame makes by its nature are the tracker's own setting
/// ([`TrackerBuilder::passing_kinds`](crate::tracker::TrackerBuilder::passing_kinds)): no figure of churn counts them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rules {
    /// How many presented packets in a row a window has that may be called stable: 30 by default, 1 to 4,096.
    pub stable_packets: u32,
    /// The churn ratio up to which such a window is stable: 1.0 by default.
    pub stable_ratio: f64,
    /// A program that has not become stable after this time (10 s by default) and [`give_up_packets`](Self::give_up_packets) gets its
    /// startup report all the same.
    pub give_up_time: Duration,
    /// See [`give_up_time`](Self::give_up_time); 600 ended packets by default.
    pub give_up_packets: u64,
    /// Resources destroyed in a tenth of a second of the startup that make a startup burst: 16 by default.
    pub burst: u64,
    /// Queues, targets, surfaces and devices (the tracker's followed kinds) destroyed in a second, and as many created, that make a
    /// recreate storm: 10 by default.
    pub storm: u64,
    /// Resources that one owner made again in a window after it had destroyed others, from which on a recreate loop is suspected: 8 by default.
    /// Owners of the kind [`TRANSIENT`](crate::probe::OwnerKind::TRANSIENT) are never suspected.
    pub remade: u64,
    /// Entries of a report's lists of the greatest: 10 by default.
    pub top: usize,
    /// Destroyed resources that a window lists one by one: 256 by default.
    pub listed: usize,
    /// Newest packets of all lanes that the lanes' rolling figures are taken over: 1,024 by default, as far as the tracker keeps them.
    pub recent_packets: usize,
    /// A resource belongs to the working set if one of its lane's last so many packets touched it: 60 by default.
    pub working_set_packets: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            stable_packets: 30,
            stable_ratio: 1.0,
            give_up_time: Duration::from_secs(10),
            give_up_packets: 600,
            burst: 16,
            storm: 10,
            remade: 8,
            top: 10,
            listed: 256,
            recent_packets: 1024,
            working_set_packets: 60,
        }
    }
}

/// Resources created and destroyed (released: the last reference is gone).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Churn {
    /// Created.
    pub created: u64,
    /// Destroyed.
    pub destroyed: u64,
}

impl Churn {
    /// So many created and destroyed.
    #[must_use]
    pub fn new(created: u64, destroyed: u64) -> Self {
        Self { created, destroyed }
    }

    /// Created and destroyed together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.created.saturating_add(self.destroyed)
    }

    /// What came since `earlier`, which was read before: counters only grow.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        debug_assert!(self.created >= earlier.created && self.destroyed >= earlier.destroyed, "counters only grow");
        Self {
            created: self.created.saturating_sub(earlier.created),
            destroyed: self.destroyed.saturating_sub(earlier.destroyed),
        }
    }

    /// (created + destroyed) / presented packets; `None` when none was presented.
    #[must_use]
    pub fn ratio(self, presented: u64) -> Option<f64> {
        ratio(self.total(), presented)
    }
}

/// A quotient of counts; `None` without a divisor.
#[expect(clippy::cast_precision_loss, reason = "a ratio for people, exact to 2^53")]
pub(super) fn ratio(of: u64, by: u64) -> Option<f64> {
    (by > 0).then(|| of as f64 / by as f64)
}

/// Where a window of presented packets began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    presented: u64,
    churn: u64,
}

/// Finds the first stable window: so many presented packets in a row over which the churn ratio stays within the threshold.
#[derive(Debug)]
pub(super) struct StableSearch {
    packets: u64,
    ratio: f64,
    /// One per step that saw more packets presented than the step before; enough of them to reach back over a window.
    samples: VecDeque<Sample>,
}

impl StableSearch {
    pub(super) fn new(rules: &Rules) -> Self {
        let packets = rules.stable_packets.clamp(1, 4096);
        let mut samples = VecDeque::with_capacity(packets as usize + 1);
        samples.push_back(Sample { presented: 0, churn: 0 });
        Self { packets: packets.into(), ratio: rules.stable_ratio, samples }
    }

    /// The next step's counters. When a stable window ends here: how many packets had been presented when it began.
    ///
    /// A window reaches from one step to another; what was created between the two steps that a packet was presented at is
    /// counted to the packet after.
    pub(super) fn step(&mut self, presented: u64, churn: u64) -> Option<u64> {
        if self.samples.back().is_some_and(|newest| newest.presented >= presented) {
            return None;
        }
        // The newest sample from which on enough packets were presented is the first that is kept.
        while self.samples.get(1).is_some_and(|second| second.presented + self.packets <= presented) {
            self.samples.pop_front();
        }
        let began = self.samples.front().copied();
        if self.samples.len() == self.samples.capacity() {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { presented, churn });
        let began = began.filter(|began| began.presented + self.packets <= presented)?;
        let churn = Churn::new(churn.saturating_sub(began.churn), 0);
        (churn.ratio(presented - began.presented)? <= self.ratio).then_some(began.presented)
    }
}

/// Counts recreate storms: seconds in which at least so many followed resources were destroyed and as many created, taken as
/// one storm while they follow on each other.
#[derive(Debug)]
pub(super) struct Storms {
    threshold: u64,
    from: Timestamp,
    before: Churn,
    /// This second has reached the threshold; the one before had.
    raging: bool,
    raged: bool,
    total: u64,
}

impl Storms {
    const SPAN: Duration = Duration::from_secs(1);

    pub(super) fn new(rules: &Rules, from: Timestamp) -> Self {
        Self { threshold: rules.storm.max(1), from, before: Churn::default(), raging: false, raged: false, total: 0 }
    }

    /// The next step's counters of followed kinds.
    pub(super) fn step(&mut self, now: Timestamp, followed: Churn) {
        let seen = followed.since(self.before);
        let passed = now.since(self.from);
        // Where nobody looked for several seconds, as many times more are needed.
        let threshold = self.threshold.saturating_mul(passed.map_or(1, |passed| passed.as_secs().max(1)));
        if !self.raging && seen.created >= threshold && seen.destroyed >= threshold {
            self.raging = true;
            self.total += u64::from(!self.raged);
        }
        if passed.is_some_and(|passed| passed >= Self::SPAN) {
            (self.raged, self.raging) = (self.raging, false);
            (self.from, self.before) = (now, followed);
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(packets: u32, ratio: f64) -> Rules {
        Rules { stable_packets: packets, stable_ratio: ratio, ..Rules::default() }
    }

    #[test]
    fn the_ratio_is_created_and_destroyed_over_presented() {
        assert_eq!(Churn::new(7, 5).ratio(4), Some(3.0));
        assert_eq!(Churn::new(7, 5).ratio(0), None);
        assert_eq!(Churn::new(9, 5).since(Churn::new(7, 5)), Churn::new(2, 0));
    }

    #[test]
    fn a_window_is_stable_once_its_own_churn_is_low_whatever_came_before() {
        let mut search = StableSearch::new(&rules(3, 1.0));
        // 100 made before the first packet, then 4 for each up to the third, then 1 for each.
        let churn = [100, 104, 108, 109, 110, 111];
        let found: Vec<_> = churn.iter().zip(1..).map(|(&churn, presented)| search.step(presented, churn)).collect();
        // Over packets 4, 5 and 6 it is 3: the window that began when three had been presented.
        assert_eq!(found, [None, None, None, None, None, Some(3)]);
    }

    #[test]
    fn the_threshold_itself_is_stable_and_one_more_is_not() {
        for (churn, stable) in [(4, true), (5, false)] {
            let mut search = StableSearch::new(&rules(2, 2.0));
            assert_eq!(search.step(1, 0), None, "two packets are needed");
            assert_eq!(search.step(1, 0), None, "nothing was presented");
            assert_eq!(search.step(2, churn), stable.then_some(0));
        }
    }

    #[test]
    fn storms_that_follow_on_each_other_are_one() {
        let at = |tenths: u64| Timestamp::from_unix_nanos(tenths * 100_000_000);
        let mut storms = Storms::new(&Rules { storm: 3, ..Rules::default() }, at(0));
        let mut counts = Vec::new();
        for (tenths, created, destroyed) in [
            (5, 9, 2),   // many created: a start, no storm
            (9, 9, 3),   // a storm, seen at once
            (10, 9, 3),  // the second is over
            (15, 12, 6), // the next one storms too: the same storm
            (20, 12, 6), // over
            (30, 12, 6), // a calm second
            (31, 15, 9), // a storm of its own
            (41, 15, 9),
            (141, 44, 38), // 29 in ten seconds that nobody looked at: fewer than 3 in each
            (241, 74, 68), // 30
        ] {
            storms.step(at(tenths), Churn::new(created, destroyed));
            counts.push(storms.total());
        }
        assert_eq!(counts, [0, 1, 1, 1, 1, 1, 2, 2, 2, 3]);
    }

    /// Every step is kept, and the newest from which enough packets were presented is looked for.
    fn naive(steps: &[(u64, u64)], packets: u64, threshold: f64) -> Vec<Option<u64>> {
        let mut seen: Vec<(u64, u64)> = vec![(0, 0)];
        let mut found = Vec::new();
        for &(presented, churn) in steps {
            let advanced = presented > seen.last().map_or(0, |last| last.0);
            let began = seen.iter().rev().find(|(began, _)| presented - began >= packets).filter(|_| advanced);
            let stable = began.filter(|(presented_then, churn_then)| {
                (churn - churn_then) as f64 / (presented - presented_then) as f64 <= threshold
            });
            found.push(stable.map(|(presented_then, _)| *presented_then));
            if advanced {
                seen.push((presented, churn));
            }
        }
        found
    }

    proptest! {
        #[test]
        fn the_search_finds_what_a_search_over_everything_finds(
            deltas in prop::collection::vec((0_u64..4, 0_u64..12), 1..120),
            packets in 1_u32..12,
            threshold in 0_u32..8,
        ) {
            let (mut presented, mut churn) = (0, 0);
            let steps: Vec<_> = deltas.iter().map(|(p, c)| { presented += p; churn += c; (presented, churn) }).collect();
            let mut search = StableSearch::new(&rules(packets, f64::from(threshold)));
            let capacity = search.samples.capacity();
            let found: Vec<_> = steps.iter().map(|&(p, c)| search.step(p, c)).collect();
            prop_assert_eq!(found, naive(&steps, packets.into(), f64::from(threshold)));
            prop_assert_eq!(search.samples.capacity(), capacity);
        }
    }
}
