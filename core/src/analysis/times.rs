//! The last times of something, and their statistics.

use std::fmt;
use std::time::Duration;

/// The last `N` values of a figure. Pushing is one store; the memory is taken once.
#[derive(Debug, Clone)]
pub(crate) struct Last<const N: usize> {
    values: Box<[u64; N]>,
    /// Values ever pushed.
    pushed: usize,
}

impl<const N: usize> Default for Last<N> {
    fn default() -> Self {
        Self { values: Box::new([0; N]), pushed: 0 }
    }
}

impl<const N: usize> Last<N> {
    /// Takes a value, in place of the oldest if all are taken.
    pub(crate) fn push(&mut self, value: u64) {
        self.values[self.pushed % N] = value;
        self.pushed += 1;
    }

    /// Values ever pushed.
    pub(crate) fn pushed(&self) -> usize {
        self.pushed
    }

    /// The values kept, in no order.
    pub(crate) fn kept(&self) -> &[u64] {
        &self.values[..self.pushed.min(N)]
    }

    /// The lower median of the values kept; 0 of nothing.
    pub(crate) fn median(&self) -> u64 {
        let mut values = *self.values;
        let kept = &mut values[..self.pushed.min(N)];
        match kept.len() {
            0 => 0,
            length => *kept.select_nth_unstable((length - 1) / 2).1,
        }
    }
}

/// The last [`KEPT`](Self::KEPT) times of something that happens once a frame, in the order in which they became known.
///
/// Taking a time is one store and no allocation; statistics are made when they are asked for, from a sorted copy, and are exact.
#[derive(Debug, Clone, Default)]
pub struct TimeWindow(Last<{ TimeWindow::KEPT }>);

impl TimeWindow {
    /// Times kept: 17 s at 60 frames per second.
    pub const KEPT: usize = 1_024;

    /// Takes a time, in place of the oldest once [`KEPT`](Self::KEPT) are held. Beyond 584 years it is taken for 584 years.
    pub fn push(&mut self, time: Duration) {
        self.0.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The statistics of the times held; `None` without any. Takes some ten microseconds.
    #[must_use]
    pub fn stats(&self) -> Option<TimeStats> {
        let mut sorted = self.0.kept().to_vec();
        sorted.sort_unstable();
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let sum: u128 = sorted.iter().copied().map(u128::from).sum();
        let mean = u64::try_from(sum / sorted.len() as u128).unwrap_or(u64::MAX);
        // The nearest rank: the least time that is not below so many hundredths of them.
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            Duration::from_nanos(sorted.get(rank.saturating_sub(1)).copied().unwrap_or(max))
        };
        Some(TimeStats {
            count: sorted.len(),
            min: Duration::from_nanos(min),
            mean: Duration::from_nanos(mean),
            p50: rank(50),
            p95: rank(95),
            p99: rank(99),
            max: Duration::from_nanos(max),
        })
    }
}

/// Exact statistics of some times. Its `Display` is one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TimeStats {
    /// How many times there are.
    pub count: usize,
    /// The shortest.
    pub min: Duration,
    /// Their sum by their number, rounded down to a nanosecond.
    pub mean: Duration,
    /// The median: the least time that half of all do not exceed. This and the other percentiles are each one of the times.
    pub p50: Duration,
    /// The least time that 95 % do not exceed.
    pub p95: Duration,
    /// The least time that 99 % do not exceed.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl fmt::Display for TimeStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, min, mean, p50, p95, p99, max } = self;
        write!(
            f,
            "{count} frames: min {min:.1?}, mean {mean:.1?}, p50 {p50:.1?}, p95 {p95:.1?}, p99 {p99:.1?}, max {max:.1?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_nothing_there_are_no_statistics() {
        assert_eq!(TimeWindow::default().stats(), None);
        assert_eq!(Last::<4>::default().median(), 0);
    }

    #[test]
    fn a_line_names_every_statistic() {
        let mut window = TimeWindow::default();
        (1..=100).for_each(|ms| window.push(Duration::from_millis(ms)));
        assert_eq!(
            window.stats().unwrap().to_string(),
            "100 frames: min 1.0ms, mean 50.5ms, p50 50.0ms, p95 95.0ms, p99 99.0ms, max 100.0ms"
        );
    }

    #[test]
    fn a_time_beyond_all_times_is_the_longest() {
        let mut window = TimeWindow::default();
        window.push(Duration::MAX);
        window.push(Duration::MAX);
        assert_eq!(window.stats().unwrap().mean, Duration::from_nanos(u64::MAX));
    }

    proptest! {
        /// By definition: the least time such that at least so many hundredths of all times are no longer.
        #[test]
        fn statistics_are_those_of_a_list_of_the_last_times(
            times in prop::collection::vec(prop_oneof![0_u64..20, any::<u64>()], 1..2_500),
        ) {
            let mut window = TimeWindow::default();
            let mut model = VecDeque::new();
            for &time in &times {
                window.push(Duration::from_nanos(time));
                model.push_back(time);
                if model.len() > TimeWindow::KEPT {
                    model.pop_front();
                }
            }
            let stats = window.stats().unwrap();
            prop_assert_eq!(stats.count, model.len());
            prop_assert_eq!(stats.min.as_nanos(), u128::from(*model.iter().min().unwrap()));
            prop_assert_eq!(stats.max.as_nanos(), u128::from(*model.iter().max().unwrap()));
            let sum: u128 = model.iter().map(|&time| u128::from(time)).sum();
            prop_assert_eq!(stats.mean.as_nanos(), sum / model.len() as u128);
            let no_longer = |limit: u64| model.iter().filter(|&&time| time <= limit).count();
            for (percent, given) in [(50, stats.p50), (95, stats.p95), (99, stats.p99)] {
                let given = u64::try_from(given.as_nanos()).unwrap();
                prop_assert!(model.contains(&given));
                prop_assert!(no_longer(given) * 100 >= percent * model.len());
                let shorter = model.iter().filter(|&&time| time < given).count();
                prop_assert!(shorter * 100 < percent * model.len());
            }
        }

        #[test]
        fn the_last_values_are_kept_and_the_median_is_the_lower_one(values in prop::collection::vec(0_u64..50, 0..20)) {
            let mut last = Last::<7>::default();
            values.iter().for_each(|&value| last.push(value));
            let mut model: Vec<_> = values.iter().rev().take(7).copied().collect();
            let mut kept = last.kept().to_vec();
            model.sort_unstable();
            kept.sort_unstable();
            prop_assert_eq!(&kept, &model);
            prop_assert_eq!(last.pushed(), values.len());
            prop_assert_eq!(last.median(), if model.is_empty() { 0 } else { model[(model.len() - 1) / 2] });
        }
    }
}
