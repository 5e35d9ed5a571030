//! How long resources lived, and how many began and ended in each tenth of a second: one thread's part of both.

use super::Timestamp;
use crate::sync::{AtomicU64, Mutex, Ordering, own};
use std::collections::VecDeque;
use std::time::Duration;

/// Buckets of lifetimes with an upper bound; one more has none.
pub(crate) const BUCKETS: usize = 13;

/// The upper bound of a bucket: 2^18 ns (262 us), and four times the one before.
pub(crate) fn bound(bucket: usize) -> Duration {
    Duration::from_nanos(1 << (18 + 2 * bucket))
}

/// One thread's lives: how many began and ended, and how long those that ended were. One thread writes, any reads.
#[derive(Debug)]
pub(crate) struct LifeCounters {
    created: AtomicU64,
    released: AtomicU64,
    sum: AtomicU64,
    buckets: [AtomicU64; BUCKETS + 1],
}

impl LifeCounters {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self { created: zero(), released: zero(), sum: zero(), buckets: std::array::from_fn(|_| zero()) }
    }

    /// A life began.
    #[inline]
    pub(crate) fn begin(&self) {
        add(&self.created, 1);
    }

    /// A life of that many nanoseconds ended.
    #[inline]
    pub(crate) fn end(&self, nanos: u64) {
        add(&self.released, 1);
        add(&self.sum, nanos);
        // How many bits the time has, rounded up: 18 are the first bound's, and each has two more.
        let bits = (u64::BITS - nanos.saturating_sub(1).leading_zeros()) as usize;
        let bucket = bits.saturating_sub(18).div_ceil(2).min(BUCKETS);
        add(&self.buckets[bucket], 1);
    }

    /// Begun and ended.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let released = self.released.load(Ordering::Acquire);
        (self.created.load(Ordering::Acquire), released)
    }

    /// Adds the lives that ended to `buckets` (the last one without a bound) and their time to `sum`.
    pub(crate) fn sum_into(&self, buckets: &mut [u64; BUCKETS + 1], sum: &mut u64) {
        for (total, bucket) in buckets.iter_mut().zip(&self.buckets) {
            *total = total.wrapping_add(bucket.load(Ordering::Acquire));
        }
        *sum = sum.wrapping_add(self.sum.load(Ordering::Acquire));
    }
}

#[inline]
fn add(word: &AtomicU64, amount: u64) {
    word.store(own(word).wrapping_add(amount), Ordering::Release);
}

/// How long a bucket of bursts is.
pub(crate) const BURST_NANOS: u64 = 100_000_000;
/// Buckets of bursts that are kept.
const BURSTS: usize = 1024;

/// What one thread created and released in the tenth of a second that it worked in last. One thread writes, any reads.
#[derive(Debug)]
pub(crate) struct RunningBurst {
    /// The bucket in the upper half, the count in the lower: one word, so that they belong together.
    created: AtomicU64,
    released: AtomicU64,
}

/// What a [`RunningBurst`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Created,
    Released,
}

impl RunningBurst {
    pub(crate) fn new() -> Self {
        Self { created: AtomicU64::new(0), released: AtomicU64::new(0) }
    }

    /// Counts one in the bucket of `now`, for a book opened at `opened`.
    #[inline]
    pub(crate) fn count(&self, log: &BurstLog, opened: u64, now: Timestamp, step: Step) {
        let bucket = bucket_of(opened, now);
        let word = self.word(step);
        let before = own(word);
        if (before >> 32) as u32 == bucket && before as u32 != u32::MAX {
            word.store(before + 1, Ordering::Relaxed);
        } else {
            self.turn(log, bucket, step);
        }
    }

    /// Hands the bucket before to the log and begins the next one.
    #[cold]
    fn turn(&self, log: &BurstLog, bucket: u32, step: Step) {
        let word = self.word(step);
        let mut log = log.0.lock();
        let before = own(word);
        log.add((before >> 32) as u32, u64::from(before as u32), step);
        word.store(u64::from(bucket) << 32 | 1, Ordering::Relaxed);
    }

    fn word(&self, step: Step) -> &AtomicU64 {
        match step {
            Step::Created => &self.created,
            Step::Released => &self.released,
        }
    }
}

#[inline]
fn bucket_of(opened: u64, now: Timestamp) -> u32 {
    u32::try_from(now.unix_nanos().saturating_sub(opened) / BURST_NANOS).unwrap_or(u32::MAX)
}

/// The newest buckets of all threads that are over.
#[derive(Debug, Default)]
pub(crate) struct BurstLog(Mutex<Buckets>);

/// Bucket, created, released; ascending.
#[derive(Clone, Debug)]
struct Buckets(VecDeque<(u32, u64, u64)>);

impl Default for Buckets {
    /// None, with all the room that they will ever take.
    fn default() -> Self {
        Self(VecDeque::with_capacity(BURSTS + 1))
    }
}

impl BurstLog {
    /// All buckets kept, with those of the threads' running ones: bucket, created, released; ascending.
    pub(crate) fn read<'a>(&self, running: impl Iterator<Item = &'a RunningBurst>) -> Vec<(u32, u64, u64)> {
        // Under the lock a running bucket is either in the log or in its word.
        let log = self.0.lock();
        let mut all = log.clone();
        for burst in running {
            for step in [Step::Created, Step::Released] {
                let word = burst.word(step).load(Ordering::Acquire);
                all.add((word >> 32) as u32, u64::from(word as u32), step);
            }
        }
        all.0.into()
    }

    /// Bytes that the log takes.
    pub(crate) fn footprint(&self) -> usize {
        self.0.lock().0.capacity() * size_of::<(u32, u64, u64)>()
    }
}

impl Buckets {
    fn add(&mut self, bucket: u32, count: u64, step: Step) {
        if count == 0 {
            return;
        }
        let place = self.0.partition_point(|(known, ..)| *known < bucket);
        if self.0.get(place).is_none_or(|(known, ..)| *known != bucket) {
            if self.0.len() >= BURSTS && place == 0 {
                return; // Older than all that are kept.
            }
            self.0.insert(place, (bucket, 0, 0));
        }
        if let Some((_, created, released)) = self.0.get_mut(place) {
            match step {
                Step::Created => *created += count,
                Step::Released => *released += count,
            }
        }
        if self.0.len() > BURSTS {
            self.0.pop_front();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_life_falls_in_the_bucket_whose_bound_it_does_not_exceed() {
        let lives = LifeCounters::new();
        let first = 1 << 18;
        for nanos in
            [0, 1, first, first + 1, 4 * first, 4 * first + 1, bound(BUCKETS - 1).as_nanos() as u64, u64::MAX / 2]
        {
            lives.end(nanos);
        }
        let (mut buckets, mut sum) = ([0; BUCKETS + 1], 0);
        lives.sum_into(&mut buckets, &mut sum);
        let mut expected = [0; BUCKETS + 1];
        (expected[0], expected[1], expected[2], expected[BUCKETS - 1], expected[BUCKETS]) = (3, 2, 1, 1, 1);
        assert_eq!(buckets, expected);
        assert_eq!(lives.counts(), (0, 8));
    }

    #[test]
    fn bursts_of_threads_add_up_and_the_newest_are_kept() {
        let (log, one, two) = (BurstLog::default(), RunningBurst::new(), RunningBurst::new());
        let at = |bucket: u64| Timestamp::from_unix_nanos(7 + bucket * BURST_NANOS);
        for (burst, bucket, step) in [
            (&one, 3, Step::Created),
            (&one, 3, Step::Created),
            (&two, 3, Step::Released),
            (&one, 5, Step::Created),
            (&two, 4, Step::Created),
        ] {
            burst.count(&log, 7, at(bucket), step);
        }
        let read = || log.read([&one, &two].into_iter());
        assert_eq!(read(), [(3, 2, 1), (4, 1, 0), (5, 1, 0)]);
        for bucket in 6..2_000 {
            one.count(&log, 7, at(bucket), Step::Released);
        }
        let kept = read();
        assert_eq!(kept.len(), BURSTS);
        assert_eq!(kept.last(), Some(&(1_999, 0, 1)));
    }
}
