//! Where a figure is going: its slope over the last windows, robust against single jumps.

use std::time::Duration;

use crate::probe::Timestamp;

/// Samples kept, one a window.
const SAMPLES: usize = 23;
/// Fewer say nothing.
const LEAST: usize = 6;

/// The last samples of one figure, a window apart, and their slope: the repeated median (Siegel), the median over all samples of the median of
/// each one's slopes to the others, which a load in one window does not turn into growth.
#[derive(Clone, Debug)]
pub(crate) struct Trend {
    window: Duration,
    samples: Vec<(Timestamp, u64)>,
    slope: Option<f64>,
}

impl Trend {
    /// No samples yet.
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, samples: Vec::with_capacity(SAMPLES), slope: None }
    }

    /// Takes a sample, if a window has passed since the last one. A clock that goes back begins anew, as does one that stood for so long that
    /// the samples before say nothing of now.
    pub(crate) fn sample(&mut self, time: Timestamp, value: u64) {
        if let Some(&(last, _)) = self.samples.last() {
            match time.since(last) {
                Some(since) if since < self.window => return,
                Some(since) if since < 8 * self.window => {}
                _ => self.samples.clear(),
            }
        }
        if self.samples.len() >= SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push((time, value));
        self.slope = self.repeated_median();
    }

    /// What the figure gains in a second; `None` while too little was seen.
    pub(crate) fn per_second(&self) -> Option<f64> {
        self.slope
    }

    /// How long it takes from `value` to `limit` at this pace: zero if it is there; `None` while it does not grow, or nobody can tell.
    pub(crate) fn time_to(&self, limit: u64, value: u64) -> Option<Duration> {
        let slope = self.slope.filter(|slope| *slope > 0.0)?;
        Duration::try_from_secs_f64(limit.saturating_sub(value) as f64 / slope).ok()
    }

    fn repeated_median(&self) -> Option<f64> {
        if self.samples.len() < LEAST {
            return None;
        }
        // Of an odd number, so that a load in the middle of them is outvoted by the samples on one side of it.
        let samples = self.samples.get(usize::from(self.samples.len().is_multiple_of(2))..)?;
        let slope = |&(from, before): &(Timestamp, u64), &(to, after): &(Timestamp, u64)| {
            let seconds = to.since(from)?.as_secs_f64();
            Some((after as f64 - before as f64) / seconds)
        };
        let mut medians = Vec::with_capacity(SAMPLES);
        for (index, sample) in samples.iter().enumerate() {
            let earlier = samples.iter().take(index).map(|other| slope(other, sample));
            let later = samples.iter().skip(index + 1).map(|other| slope(sample, other));
            medians.push(lower_median(earlier.chain(later).collect::<Option<_>>()?)?);
        }
        lower_median(medians)
    }
}

fn lower_median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len().checked_sub(1)? / 2;
    let (_, median, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*median)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(1);

    fn trend(values: impl IntoIterator<Item = u64>) -> Trend {
        let mut trend = Trend::new(WINDOW);
        for (second, value) in (0_u64..).zip(values) {
            trend.sample(Timestamp::from_unix_nanos(second * 1_000_000_000), value);
        }
        trend
    }

    #[test]
    fn steady_growth_ends_when_it_will() {
        let trend = trend((0..30).map(|second| 1_000 + 50 * second));
        assert_eq!(trend.per_second(), Some(50.0));
        assert_eq!(trend.time_to(5_000, 2_500), Some(Duration::from_secs(50)));
        assert_eq!(trend.time_to(2_000, 2_500), Some(Duration::ZERO), "it is there");
    }

    #[test]
    fn what_does_not_grow_never_ends() {
        assert_eq!(trend([7; 30]).time_to(10, 7), None);
        assert_eq!(trend((0..30).map(|second| 1_000 - second)).time_to(2_000, 970), None);
        assert_eq!(trend((0..4).map(|second| second * 100)).time_to(2_000, 300), None, "four samples say nothing");
    }

    #[test]
    fn one_load_is_no_growth_and_noise_hides_none() {
        for load in 0..30 {
            let load = trend((0..30).map(|second| if second < load { 1_000 } else { 900_000 }));
            assert_eq!(load.time_to(1_000_000, 900_000), None);
        }
        let steps = trend((0..24).map(|second| second / 3 * 300));
        assert!((90.0..110.0).contains(&steps.per_second().unwrap()), "{steps:?}");
        let noisy = trend((0..24).map(|second| 1_000 + 100 * second + 37 * (second * 7919 % 5)));
        let slope = noisy.per_second().unwrap();
        assert!((90.0..110.0).contains(&slope), "{slope}");
    }

    #[test]
    fn samples_closer_than_a_window_do_not_count_and_a_pause_begins_anew() {
        let mut trend = trend((0..24).map(|second| second * 10));
        let at = |nanos| Timestamp::from_unix_nanos(nanos);
        trend.sample(at(23_500_000_000), 99_999);
        assert_eq!(trend.per_second(), Some(10.0));
        trend.sample(at(100_000_000_000), 5);
        assert_eq!(trend.per_second(), None);
        trend.sample(at(1), 5);
        assert_eq!(trend.per_second(), None);
    }
}
