//! Which submissions are in flight, and for how long they were. Plain data: the clock is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use web_time::Instant;

/// Numbers submissions and follows each until it is done.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Numbers in flight, ascending, with the time each was begun.
    in_flight: VecDeque<(u64, Instant)>,
    submitted: u64,
    completed: u64,
    abandoned: u64,
    last_latency: Option<Duration>,
}

impl Ledger {
    /// Begins the next submission: 1, 2, 3, …
    pub(crate) fn begin(&mut self, now: Instant) -> u64 {
        self.submitted += 1;
        self.in_flight.push_back((self.submitted, now));
        self.submitted
    }

    /// The submission is done; gives its latency. `None`, and nothing changes, if it is not in flight.
    pub(crate) fn complete(&mut self, number: u64, now: Instant) -> Option<Duration> {
        let begun = self.remove(number)?;
        let latency = now.saturating_duration_since(begun);
        self.completed += 1;
        self.last_latency = Some(latency);
        Some(latency)
    }

    /// The submission will never be known to be done; false if it is not in flight.
    pub(crate) fn abandon(&mut self, number: u64) -> bool {
        let known = self.remove(number).is_some();
        self.abandoned += u64::from(known);
        known
    }

    /// Whether the submission was begun and is no longer in flight.
    pub(crate) fn is_done(&self, number: u64) -> bool {
        (1..=self.submitted).contains(&number) && self.position(number).is_err()
    }

    /// The highest number up to which no submission is in flight; 0 if the first is.
    pub(crate) fn done_up_to(&self) -> u64 {
        self.in_flight.front().map_or(self.submitted, |(oldest, _)| oldest - 1)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(crate) fn submitted(&self) -> u64 {
        self.submitted
    }

    pub(crate) fn completed(&self) -> u64 {
        self.completed
    }

    pub(crate) fn abandoned(&self) -> u64 {
        self.abandoned
    }

    pub(crate) fn last_latency(&self) -> Option<Duration> {
        self.last_latency
    }

    fn position(&self, number: u64) -> Result<usize, usize> {
        self.in_flight.binary_search_by_key(&number, |&(number, _)| number)
    }

    fn remove(&mut self, number: u64) -> Option<Instant> {
        let position = self.position(number).ok()?;
        self.in_flight.remove(position).map(|(_, begun)| begun)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn latency_is_from_begin_to_completion() {
        let mut ledger = Ledger::default();
        let start = Instant::now();
        let number = ledger.begin(start);
        assert_eq!((number, ledger.done_up_to(), ledger.is_done(number)), (1, 0, false));
        let latency = Duration::from_millis(7);
        assert_eq!(ledger.complete(number, start + latency), Some(latency));
        assert_eq!((ledger.done_up_to(), ledger.is_done(number), ledger.last_latency()), (1, true, Some(latency)));
        assert_eq!(ledger.complete(number, start), None, "a submission completes once");
        assert!(!ledger.is_done(0) && !ledger.is_done(2), "these were never begun");
    }

    proptest! {
        #[test]
        fn the_ledger_agrees_with_a_map(steps in prop::collection::vec((0_u8..3, 0_u64..40), 0..200)) {
            let mut ledger = Ledger::default();
            let mut model = BTreeMap::new();
            let (mut begun, mut completed, mut abandoned) = (0_u64, 0_u64, 0_u64);
            let start = Instant::now();
            for (step, (action, number)) in steps.into_iter().enumerate() {
                let now = start + Duration::from_millis(step as u64);
                match action {
                    0 => {
                        begun += 1;
                        prop_assert_eq!(ledger.begin(now), begun);
                        model.insert(begun, now);
                    }
                    1 => {
                        let latency = model.remove(&number).map(|begun| now - begun);
                        completed += u64::from(latency.is_some());
                        prop_assert_eq!(ledger.complete(number, now), latency);
                    }
                    _ => {
                        let known = model.remove(&number).is_some();
                        abandoned += u64::from(known);
                        prop_assert_eq!(ledger.abandon(number), known);
                    }
                }
                prop_assert_eq!(ledger.in_flight(), model.len());
                prop_assert_eq!(ledger.submitted(), completed + abandoned + model.len() as u64);
                prop_assert_eq!((ledger.completed(), ledger.abandoned()), (completed, abandoned));
                prop_assert_eq!(ledger.done_up_to(), model.keys().next().map_or(begun, |oldest| oldest - 1));
                prop_assert_eq!(ledger.is_done(number), number >= 1 && number <= begun && !model.contains_key(&number));
            }
        }
    }
}
