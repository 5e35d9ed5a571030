//! A distribution of times or sizes in fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Unit;

/// What one sample can add to a sum, so that a wild one does not wrap it.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Counts times, or sizes in bytes, in fixed buckets: no lock and no allocation per sample, any number of writers and readers.
///
/// A reader may see a sample in its bucket and not yet in the sum, for as long as [`record`](Self::record) runs. The sum holds 584 years,
/// or 16 EiB.
#[derive(Debug)]
pub struct Histogram {
    unit: Unit,
    /// Upper bounds in nanoseconds or bytes, ascending; the last bucket has none.
    bounds: Box<[u64]>,
    counts: Box<[AtomicU64]>,
    /// In nanoseconds or bytes.
    sum: AtomicU64,
}

impl Histogram {
    /// A histogram of times with these upper bounds (inclusive), sorted here; a last bucket without bound is added.
    #[must_use]
    pub fn new(bounds: impl Into<Vec<Duration>>) -> Self {
        Self::with(Unit::Seconds, bounds.into().into_iter().map(nanos).collect())
    }

    /// A histogram of sizes with these upper bounds (inclusive) in bytes, sorted here; a last bucket without bound is added. Its counts
    /// come from elsewhere, by [`set_bytes`](Self::set_bytes).
    #[must_use]
    pub fn of_bytes(bounds: impl Into<Vec<u64>>) -> Self {
        Self::with(Unit::Bytes, bounds.into())
    }

    fn with(unit: Unit, mut bounds: Vec<u64>) -> Self {
        bounds.sort_unstable();
        bounds.dedup();
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { unit, bounds: bounds.into(), counts, sum: AtomicU64::new(0) }
    }

    /// Buckets for frame times: 1 ms to 1 s, dense around 60 and 30 frames per second.
    #[must_use]
    pub fn for_frames() -> Self {
        Self::new(
            [
                1_000, 2_000, 4_000, 6_000, 8_400, 11_200, 16_700, 20_000, 25_000, 33_400, 50_000, 100_000, 250_000,
                1_000_000,
            ]
            .map(Duration::from_micros),
        )
    }

    /// Buckets for work on the GPU: 50 us to 250 ms.
    #[must_use]
    pub fn for_gpu_work() -> Self {
        Self::new(
            [50, 100, 250, 500, 1_000, 2_000, 4_000, 8_000, 12_000, 16_700, 25_000, 33_400, 50_000, 100_000, 250_000]
                .map(Duration::from_micros),
        )
    }

    /// What it counts: [`Unit::Seconds`] or [`Unit::Bytes`].
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Counts one time; beyond a day it adds a day to the sum.
    #[inline]
    pub fn record(&self, time: Duration) {
        let time_ns = nanos(time);
        let bucket = self.bounds.partition_point(|&bound| bound < time_ns);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos(time.min(LONGEST)), Ordering::Relaxed);
    }

    /// Replaces what was counted by what was counted elsewhere, with the same bounds: samples in each bucket (not cumulative), the one
    /// without bound last, and the sum of all samples. Buckets beyond these become empty.
    ///
    /// For one writer: samples recorded meanwhile are lost. Neither counts nor sum may be less than before, or rates taken from them are
    /// wrong.
    pub fn set(&self, counts: impl IntoIterator<Item = u64>, sum: Duration) {
        self.replace(counts, nanos(sum));
    }

    /// [`set`](Self::set) for a histogram of sizes: the sum is in bytes.
    pub fn set_bytes(&self, counts: impl IntoIterator<Item = u64>, sum: u64) {
        self.replace(counts, sum);
    }

    fn replace(&self, counts: impl IntoIterator<Item = u64>, sum: u64) {
        let mut counts = counts.into_iter();
        for bucket in &self.counts {
            bucket.store(counts.next().unwrap_or(0), Ordering::Relaxed);
        }
        self.sum.store(sum, Ordering::Relaxed);
    }

    /// The counts up to now.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut count = 0;
        let buckets = self
            .bounds
            .iter()
            .map(|&bound| Some(self.in_unit(bound)))
            .chain([None])
            .zip(&self.counts)
            .map(|(bound, counted)| {
                count += counted.load(Ordering::Relaxed);
                (bound, count)
            })
            .collect();
        HistogramSnapshot { unit: self.unit, buckets, sum: self.in_unit(self.sum.load(Ordering::Relaxed)), count }
    }

    #[expect(clippy::cast_precision_loss, reason = "as the exposition format has it; exact to 2^53 bytes")]
    fn in_unit(&self, value: u64) -> f64 {
        match self.unit {
            Unit::Seconds => Duration::from_nanos(value).as_secs_f64(),
            _ => value as f64,
        }
    }
}

/// Times beyond 584 years are as long as these.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What a [`Histogram`] had counted at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HistogramSnapshot {
    /// [`Unit::Seconds`] or [`Unit::Bytes`].
    pub unit: Unit,
    /// Upper bound in that unit (`None`: no bound) and how many samples lay at or below it: cumulative, ascending.
    pub buckets: Vec<(Option<f64>, u64)>,
    /// Sum of all samples in that unit.
    pub sum: f64,
    /// Number of samples.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_fall_in_the_bucket_whose_bound_they_do_not_exceed() {
        let second = Duration::from_secs(1);
        let histogram = Histogram::new([2 * second, second]);
        for time in [Duration::ZERO, second, second + Duration::from_nanos(1), 2 * second, 3 * second] {
            histogram.record(time);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.buckets, [(Some(1.0), 2), (Some(2.0), 4), (None, 5)]);
        assert_eq!((snapshot.unit, snapshot.count, snapshot.sum), (Unit::Seconds, 5, 7.000_000_001));
    }

    #[test]
    fn sizes_are_bytes() {
        let sizes = Histogram::of_bytes([1 << 20, 16]);
        sizes.set_bytes([3, 2, 1], (1 << 30) + 5);
        let snapshot = sizes.snapshot();
        assert_eq!(snapshot.buckets, [(Some(16.0), 3), (Some(1_048_576.0), 5), (None, 6)]);
        assert_eq!((snapshot.unit, snapshot.count, snapshot.sum), (Unit::Bytes, 6, 1_073_741_829.0));
    }

    #[test]
    fn counts_taken_over_are_those_of_a_histogram_that_saw_the_samples() {
        let second = Duration::from_secs(1);
        let (seen, taken_over) = (Histogram::new([second, 2 * second]), Histogram::new([second, 2 * second]));
        for time in [second, second, 2 * second, 5 * second] {
            seen.record(time);
        }
        taken_over.record(second);
        taken_over.set([2, 1, 1], 9 * second);
        assert_eq!(taken_over.snapshot(), seen.snapshot());
    }

    #[test]
    fn a_wild_sample_never_takes_the_sum_back() {
        let histogram = Histogram::for_frames();
        let mut last = 0.0;
        for _ in 0..100 {
            histogram.record(Duration::MAX);
            let sum = histogram.snapshot().sum;
            assert!(sum > last);
            last = sum;
        }
    }
}
