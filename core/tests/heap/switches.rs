//! What an allocator counts beside the totals, compared with the shadow: tags, sizes and the sample of call sites.

use std::sync::Mutex;

use engine_vitals_core::contract::{HeapTotals, SizeHistogram, TagTotals};
use engine_vitals_core::memory::{MOST_TAGS, get_heap_profile, get_size_histogram, read_heap_tags};

use super::shadow::{Count, ZERO};
use super::tags;

/// How far from the truth an estimate may lie, in standard deviations, beside what [`sigmas`] allows for few samples.
pub(super) const MOST_SIGMAS: f64 = 6.0;

/// Blocks that were given a size of a bucket, and that have lost one.
static SIZES: [(Count, Count); SizeHistogram::BUCKETS] = [const { (ZERO, ZERO) }; SizeHistogram::BUCKETS];
static TAGS: Mutex<Vec<TagTotals>> = Mutex::new(Vec::new());

pub(super) fn given(size: usize) {
    if crate::MEAN_INTERVAL.is_some() {
        SIZES[bucket(size)].0.add(1);
    }
}

pub(super) fn taken(size: usize) {
    if crate::MEAN_INTERVAL.is_some() {
        SIZES[bucket(size)].1.add(1);
    }
}

/// The first power of two that is no less, counted up to.
fn bucket(size: usize) -> usize {
    (0..SizeHistogram::BUCKETS - 1).find(|&power| size <= 1 << power).unwrap_or(SizeHistogram::BUCKETS - 1)
}

/// By how much it is wrong what is counted where everything is switched on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errors {
    /// All figures of all tags, and the differences of their sums to the totals.
    pub(super) tags: u64,
    /// All figures of all buckets.
    pub(super) sizes: u64,
    /// The estimated bytes allocated over life, in standard deviations at most.
    pub(super) allocated_sigmas: f64,
    /// The estimated bytes live, likewise.
    pub(super) live_sigmas: f64,
}

/// Makes room for [`Errors::now`], which reads before it allocates.
pub(super) fn make_room() {
    TAGS.lock().expect("no panic").reserve(MOST_TAGS);
}

impl Errors {
    /// Whether all that is counted is right, and all that is estimated near enough.
    pub(super) fn none(&self) -> bool {
        self.tags == 0 && self.sizes == 0 && self.allocated_sigmas.max(self.live_sigmas) <= MOST_SIGMAS
    }

    /// With the totals of the shadow, read just before. `None` if nothing is switched on. Call it while no other thread allocates.
    pub(super) fn now(totals: &HeapTotals) -> Option<Self> {
        let mut tags = TAGS.lock().expect("no panic");
        let by_tag = read_heap_tags(&mut tags);
        let by_size = get_size_histogram();
        let sizes = by_size.map_or(0, |histogram| size_error(&histogram));
        let Some(mean_interval) = crate::MEAN_INTERVAL else {
            assert!(!by_tag && by_size.is_none() && get_heap_profile().is_none(), "nothing is switched on");
            return None;
        };
        assert!(by_tag && by_size.is_some(), "tags and sizes are switched on");
        let (allocated, live) = get_heap_profile().map_or((0, 0), |profile| {
            profile.all().fold((0, 0), |sum, site| (sum.0 + site.allocated_bytes, sum.1 + site.live_bytes))
        });
        Some(Self {
            tags: tags::error(&tags, totals),
            sizes,
            allocated_sigmas: sigmas(allocated, totals.allocated_bytes(), mean_interval),
            live_sigmas: sigmas(live, totals.live_bytes()?, mean_interval),
        })
    }
}

/// How many standard deviations an estimate of `truth` bytes lies from them, at most.
///
/// A block of `s` bytes is in the sample with the probability `p = 1 - exp(-s/m)` and stands for `s/p` bytes: the variance of its estimate
/// is `s^2 (1-p)/p`, which is `s m x / (exp(x) - 1)` with `x = s/m`, and at most `s m`. Blocks are independent, so that of all together it
/// is at most their bytes times `m`. That is a bound for many samples; of few the distribution has a longer tail, for which 14 samples
/// (`14 m` bytes) are allowed beside: with both, a Poisson number of any mean lies beyond once in some hundred million runs.
fn sigmas(estimate: u64, truth: u64, mean_interval: u64) -> f64 {
    let mean = mean_interval as f64;
    ((estimate as f64 - truth as f64).abs() - 14.0 * mean).max(0.0) / (truth as f64 * mean).sqrt()
}

fn size_error(histogram: &SizeHistogram) -> u64 {
    let error = |(bucket, (given, taken)): (usize, &(Count, Count))| {
        let counted = &histogram.buckets[bucket];
        counted.given.abs_diff(given.get()) + counted.taken.abs_diff(taken.get())
    };
    SIZES.iter().enumerate().map(error).sum()
}

/// Asserts that every tag of the load has something to prove, if tags are switched on.
pub(super) fn assert_all_tags_occurred() {
    if crate::MEAN_INTERVAL.is_some() {
        // Not under the lock: after a failure the handler at exit takes it too.
        let tags = TAGS.lock().expect("no panic").clone();
        tags::assert_all_occurred(&tags);
    }
}
