//! The counters against hand-computed cases and a naive model.

use super::*;
use proptest::prelude::*;

const SMALL: usize = 100;
const LARGE: usize = LARGE_ALLOCATION_BYTES;

fn counters() -> Counters<4> {
    counters_of()
}

fn counters_of<const N: usize>() -> Counters<N> {
    Counters {
        shards: std::array::from_fn(|_| Shard::default()),
        shared: Shard::default(),
        used: AtomicUsize::new(0),
        total: Total::default(),
    }
}

/// What a thread does: the short way where it is open.
impl<const N: usize> Counters<N> {
    fn allocate(&self, shard: &Shard, size: usize, mode: PeakMode) {
        if mode == PeakMode::Exact || !shard.counts_allocated(size) {
            self.allocated(shard, size, mode);
        }
    }

    fn deallocate(&self, shard: &Shard, size: usize, mode: PeakMode) {
        if mode == PeakMode::Exact || !shard.counts_deallocated(size) {
            self.deallocated(shard, size, mode);
        }
    }

    fn reallocate(&self, shard: &Shard, old: usize, new: usize, mode: PeakMode) {
        if mode == PeakMode::Exact || !shard.counts_reallocated(old, new) {
            self.reallocated(shard, old, new, mode);
        }
    }
}

#[test]
fn a_block_is_large_from_one_mebibyte_on() {
    let counters = counters();
    for shard in [counters.claim().unwrap(), &counters.shared] {
        for size in [LARGE - 1, LARGE, LARGE + 1] {
            counters.allocate(shard, size, PeakMode::Bounded);
        }
    }
    let sums = counters.sums();
    assert_eq!((sums.small_allocations, sums.small_bytes), (2, 2 * (LARGE as u64 - 1)));
    assert_eq!((sums.large_allocations, sums.large_bytes), (4, 2 * (2 * LARGE as u64 + 1)));
}

#[test]
fn a_reallocation_moves_bytes_and_counts_as_neither() {
    let counters = counters();
    let shards = [(); 4].map(|()| counters.claim().unwrap());
    counters.allocate(shards[0], SMALL, PeakMode::Bounded);
    counters.reallocate(shards[1], SMALL, LARGE, PeakMode::Bounded);
    counters.reallocate(shards[2], LARGE, SMALL + 1, PeakMode::Bounded);
    counters.reallocate(shards[2], SMALL + 1, SMALL + 2, PeakMode::Bounded);
    let expected = Sums {
        small_allocations: 1,
        small_bytes: 3 * SMALL as u64 + 3,
        large_bytes: LARGE as u64,
        deallocated_bytes: (2 * SMALL + 1 + LARGE) as u64,
        reallocations: 3,
        ..Sums::default()
    };
    assert_eq!(counters.sums(), expected);
    counters.deallocate(shards[3], SMALL + 2, PeakMode::Bounded);
    let sums = counters.sums();
    assert_eq!(sums.deallocations, 1);
    assert_eq!(sums.small_bytes + sums.large_bytes, sums.deallocated_bytes);
}

#[test]
fn each_claims_another_shard_and_a_released_one_goes_on_from_its_figures() {
    let counters = counters();
    let shards = [(); 4].map(|()| counters.claim().unwrap());
    assert!(counters.claim().is_none());
    for shard in shards {
        counters.allocate(shard, SMALL, PeakMode::Bounded);
        counters.failed(shard);
    }
    counters.allocate(&counters.shared, SMALL, PeakMode::Bounded);
    counters.release(shards[2]);
    let again = counters.claim().unwrap();
    assert!(std::ptr::eq(again, shards[2]));
    counters.deallocate(again, SMALL, PeakMode::Bounded);
    let sums = counters.sums();
    assert_eq!((sums.small_allocations, sums.deallocations, sums.failures), (5, 1, 4));
}

#[test]
fn the_first_block_can_be_sampled_whatever_the_thread_did_before() {
    let (failed, freed) = (counters(), counters());
    let shards = [failed.claim().unwrap(), freed.claim().unwrap()];
    failed.failed(shards[0]);
    assert!(!freed.is_sampled(shards[1], 0, 1));
    freed.deallocate(shards[1], SMALL, PeakMode::Bounded);
    for (counters, shard) in [&failed, &freed].into_iter().zip(shards) {
        // A distance of mean 1 is never drawn as large as this.
        assert!(!shard.counts_allocated(SMALL));
        assert!(counters.is_sampled(shard, SMALL, 1));
    }
}

#[test]
fn bytes_reach_the_total_at_the_fold_and_not_before() {
    let counters = counters();
    let shard = counters.claim().unwrap();
    // The first takes the long way and opens the short one.
    counters.allocate(shard, 1, PeakMode::Bounded);
    counters.allocate(shard, FAR_BYTES as usize - 2, PeakMode::Bounded);
    assert_eq!(counters.peak(), 0);
    counters.allocate(shard, 1, PeakMode::Bounded);
    assert_eq!(counters.peak(), FAR_BYTES as u64);
    counters.deallocate(shard, FAR_BYTES as usize, PeakMode::Bounded);
    assert_eq!(counters.total.live.load(Ordering::Relaxed), 0);
    assert_eq!(counters.peak(), FAR_BYTES as u64);
}

#[test]
fn the_short_way_ends_where_a_sample_is_due_and_opens_again_where_nobody_takes_it() {
    let counters = counters();
    let shard = counters.claim().unwrap();
    let due = 1_000;
    shard.sample_at.store(due, Ordering::Relaxed);
    counters.allocated(shard, 1, PeakMode::Bounded);
    assert_eq!(shard.small_limit.load(Ordering::Relaxed), due);
    assert!(shard.counts_allocated(due as usize - 2) && !shard.counts_allocated(1));
    counters.allocated(shard, 1, PeakMode::Bounded);
    assert!(shard.small_limit.load(Ordering::Relaxed) > due && shard.counts_allocated(1));
}

#[test]
fn bytes_reach_the_total_at_once_in_the_shared_shard_and_at_the_end_of_a_thread() {
    let counters = counters();
    counters.allocate(&counters.shared, SMALL, PeakMode::Bounded);
    assert_eq!(counters.peak(), SMALL as u64);
    let shard = counters.claim().unwrap();
    counters.allocate(shard, 1, PeakMode::Bounded);
    counters.release(shard);
    assert_eq!(counters.peak(), SMALL as u64 + 1);
}

#[test]
fn a_reset_starts_the_peak_from_what_is_live_unfolded_bytes_included() {
    let counters = counters();
    let shards = [(); 3].map(|()| counters.claim().unwrap());
    counters.allocate(shards[0], LARGE, PeakMode::Bounded);
    counters.allocate(shards[1], SMALL, PeakMode::Bounded);
    counters.deallocate(shards[0], LARGE, PeakMode::Bounded);
    assert_eq!(counters.peak(), LARGE as u64);
    counters.reset_peak(Some(shards[0]));
    assert_eq!(counters.peak(), SMALL as u64);
    counters.deallocate(shards[2], SMALL, PeakMode::Bounded);
    counters.reset_peak(None);
    assert_eq!(counters.peak(), 0);
}

#[test]
fn a_reset_moves_the_limits_with_the_bytes() {
    let counters = counters();
    let shard = counters.claim().unwrap();
    counters.allocate(shard, LARGE, PeakMode::Bounded);
    // Much is freed, but not so much that it is folded when the limits are next set.
    counters.deallocate(shard, FAR_BYTES as usize / 2 - 1, PeakMode::Bounded);
    counters.reallocated(shard, 1, 1, PeakMode::Bounded);
    counters.reset_peak(Some(shard));
    for _ in 0..FAR_BYTES / 500 {
        counters.allocate(shard, 1_000, PeakMode::Bounded);
        assert!(shard.unfolded().abs() < FAR_BYTES, "{}", shard.unfolded());
    }
}

/// One operation of a random history: who counts, where the last is the shared shard; and whether it frees (a block of a random index)
/// or makes one of this size.
fn history() -> impl Strategy<Value = Vec<(usize, Option<usize>, usize)>> {
    let size = prop_oneof![1..200_usize, 10_000..70_000_usize, LARGE - 2..LARGE + 2];
    prop::collection::vec((0..5_usize, prop::option::of(size), any::<usize>()), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_peak_is_exact_or_within_its_bound(history in history(), reset_at in prop::collection::vec(0..200_usize, 0..6)) {
        // Two threads whose bytes go far before they reach the total, two that stay near, and the shared shard.
        let (bounded, exact) = (counters_of::<{ FAR_SHARDS + 2 }>(), counters_of::<{ FAR_SHARDS + 2 }>());
        let mut shards = [&bounded, &exact].map(|counters| {
            let mut shards: Vec<_> = (0..FAR_SHARDS + 2).filter_map(|_| counters.claim()).collect();
            shards.drain(2..FAR_SHARDS);
            shards.push(&counters.shared);
            shards
        });
        let bound = 2 * FAR_BYTES.unsigned_abs() + 2 * NEAR_BYTES.unsigned_abs();
        let (mut blocks, mut live, mut peak) = (Vec::new(), 0_u64, 0_u64);
        for (step, (who, make, pick)) in history.into_iter().enumerate() {
            if reset_at.contains(&step) {
                bounded.reset_peak((who < 4).then_some(shards[0][who]));
                exact.reset_peak(None);
                peak = live;
            }
            if pick % 16 == 0 && who < 4 {
                // One thread ends and another begins.
                bounded.release(shards[0][who]);
                shards[0][who] = bounded.claim().unwrap();
            }
            if let Some(size) = make {
                blocks.push(size);
                live += size as u64;
                bounded.allocate(shards[0][who], size, PeakMode::Bounded);
                exact.allocate(shards[1][who], size, PeakMode::Exact);
            } else if !blocks.is_empty() {
                let index = pick % blocks.len();
                let size = blocks.swap_remove(index);
                if pick % 3 == 0 {
                    let new = size / 2 + 1;
                    blocks.push(new);
                    live = live - size as u64 + new as u64;
                    bounded.reallocate(shards[0][who], size, new, PeakMode::Bounded);
                    exact.reallocate(shards[1][who], size, new, PeakMode::Exact);
                } else {
                    live -= size as u64;
                    bounded.deallocate(shards[0][who], size, PeakMode::Bounded);
                    exact.deallocate(shards[1][who], size, PeakMode::Exact);
                }
            }
            peak = peak.max(live);
            prop_assert_eq!(exact.peak(), peak);
            prop_assert!(bounded.peak().abs_diff(peak) <= bound, "{} for {}", bounded.peak(), peak);
            for (shard, reach) in shards[0].iter().zip([FAR_BYTES, FAR_BYTES, NEAR_BYTES, NEAR_BYTES, 1]) {
                prop_assert!(shard.unfolded().abs() < reach, "{} of {reach}", shard.unfolded());
            }
            let sums = bounded.sums();
            prop_assert_eq!(sums.small_bytes + sums.large_bytes - sums.deallocated_bytes, live);
            prop_assert_eq!(sums.small_allocations + sums.large_allocations - sums.deallocations, blocks.len() as u64);
            prop_assert_eq!(sums, exact.sums());
        }
    }
}
