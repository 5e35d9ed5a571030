//! A shadow around the process's global allocator, and loads that allocate under it.
//!
//! [`shadow`] counts every call in the process once more, in a way that is right by its simplicity: of the load, of the standard library, of
//! threads that start and end. When nobody allocates, the tracking allocator's totals must equal it to the byte. [`load`] keeps threads
//! coming and going, [`soak`] runs it in a process of its own, from before `main` to after the last exit handler.

mod blocks;
#[cfg(target_os = "linux")]
mod edges;
mod load;
mod planted;
mod random;
mod shadow;
mod soak;
mod switches;
mod tags;
mod wills;

use std::sync::{Barrier, Mutex};
use std::time::Instant;

use engine_vitals_core::contract::TagTotals;
use engine_vitals_core::memory::{
    MOST_TAGS, PEAK_BOUND_BYTES, get_extended_memory_stats, get_size_histogram, read_heap_tags,
};

use crate::{EXACT_PEAK, MEAN_INTERVAL};
use blocks::Block;
use load::{Load, Planned};
use random::Random;
pub(crate) use shadow::Shadow;
use shadow::{in_one_order, peaks, reset_peaks};
use soak::{soak, was_the_child};

/// All tests of the program, or the child's work if it is that.
pub(crate) fn test() {
    if was_the_child() {
        return;
    }
    end_the_process_on_a_panic();
    run("totals_equal_a_shadow_to_the_byte", soak);
    run("live_bytes_are_never_negative", live_is_never_negative);
    run("more_threads_than_shards_are_counted_to_the_byte", more_threads_than_shards);
    if let Some(mean_interval) = MEAN_INTERVAL {
        run("a_known_load_is_estimated_without_bias", || planted::is_estimated_without_bias(mean_interval));
    }
    // To the end.
    in_one_order();
    if EXACT_PEAK {
        run("the_exact_peak_is_the_true_peak", || the_peak_is_within(0));
    } else {
        run("the_peak_is_within_its_bound", || the_peak_is_within(PEAK_BOUND_BYTES));
    }
}

/// A load whose peaks lie no further than this from the truth. All operations wait for one lock.
fn the_peak_is_within(bound: u64) -> String {
    let (mut worst, mut highest) = (0, 0);
    let load = Load { threads: 8, operations: fewer_operations(), rests: 10, seed: seed() };
    load.run(|round| {
        let (ours, shadow) = peaks();
        (worst, highest) = (worst.max(ours.abs_diff(shadow)), highest.max(shadow));
        assert!(worst <= bound, "round {round}: peak {ours}, true peak {shadow}");
        reset_peaks();
    });
    format!("of {highest} bytes at most {worst} off, {bound} allowed")
}

/// `ENGINE_VITALS_SEED`, or 1.
fn seed() -> u64 {
    number("ENGINE_VITALS_SEED", 1)
}

/// Operations of a load, those of all its threads together: `ENGINE_VITALS_SOAK_OPS`, or ten million, or one without optimisation.
fn operations() -> u64 {
    number("ENGINE_VITALS_SOAK_OPS", if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 })
}

/// Where operations take longer: a tenth, and ten million at most.
fn fewer_operations() -> u64 {
    (operations() / 10).min(10_000_000)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")))
}

/// Threads that make and free a block over and over, so that little is live and much is freed while a reader reads: live bytes below zero
/// would show at once.
fn live_is_never_negative() -> String {
    const SIZE: usize = 256 << 10;
    const THREADS: u64 = 8;
    let pairs = fewer_operations() / (2 * THREADS);
    let polls = std::thread::scope(|scope| {
        let pair = || (0..pairs).for_each(|_| drop(std::hint::black_box(Vec::<u8>::with_capacity(SIZE))));
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(pair)).collect();
        let mut polls = 0_u64;
        let mut polled = Polled::new();
        while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            polled.again();
            polls += 1;
        }
        polls
    });
    assert!(polls > 0);
    format!("{polls} polls beside {pairs} pairs on each of {THREADS} threads")
}

/// More threads at once than there are shards, each of which frees what another made, and leaves some to a thread-local's destructor.
fn more_threads_than_shards() -> String {
    const CROWD: usize = 300;
    const EACH: usize = if cfg!(debug_assertions) { 100 } else { 2_000 };
    for round in 0..3_u64 {
        let barrier = Barrier::new(CROWD);
        let mailbox = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let one = |seed| {
                let (barrier, mailbox) = (&barrier, &mailbox);
                move || {
                    let mut random = Random::new(seed);
                    wills::FIRST.with(|will| will.leave(Block::new(&mut random)));
                    mailbox.lock().expect("no panic").push(Block::new(&mut random));
                    barrier.wait();
                    for _ in 0..EACH {
                        Block::new(&mut random);
                    }
                    let other = mailbox.lock().expect("no panic").pop();
                    drop(other);
                }
            };
            let threads: Vec<_> = (0..CROWD as u64).map(|thread| scope.spawn(one(round << 32 | thread))).collect();
            // A scope does not wait for destructors of thread-locals; joining does.
            for thread in threads {
                thread.join().expect("a thread of the crowd panicked: see above");
            }
        });
        drop(mailbox);
        shadow::assert_equal_to_the_byte(&format!("after crowd {round}"));
    }
    format!("3 crowds of {CROWD} threads with {EACH} blocks each")
}

/// What a reader may rely on while others allocate.
struct Polled {
    tags: Vec<TagTotals>,
}

impl Polled {
    fn new() -> Self {
        Self { tags: Vec::with_capacity(MOST_TAGS) }
    }

    /// Reads everything, and the totals twice. Allocates nothing.
    fn again(&mut self) {
        let first = get_extended_memory_stats().expect("the heap is counted");
        let second = get_extended_memory_stats().expect("the heap is counted");
        for totals in [first, second] {
            assert!(totals.live_bytes().is_some(), "more bytes freed than allocated: {totals:?}");
            assert!(totals.live_allocations().is_some(), "more blocks freed than allocated: {totals:?}");
        }
        assert!(second.allocations() >= first.allocations() && second.allocated_bytes() >= first.allocated_bytes());
        assert!(second.deallocations >= first.deallocations && second.deallocated_bytes >= first.deallocated_bytes);
        assert_eq!(read_heap_tags(&mut self.tags), MEAN_INTERVAL.is_some());
        for tag in &self.tags {
            assert!(
                tag.live_bytes().is_some() && tag.live_allocations().is_some(),
                "more freed than allocated: {tag:?}"
            );
            assert!(!tag.name.is_empty(), "a tag is read before it has a name");
        }
        for bucket in get_size_histogram().iter().flat_map(|histogram| &histogram.buckets) {
            assert!(bucket.live().is_some(), "more blocks lost a size than were given it: {bucket:?}");
        }
    }
}

/// Prints a test's name and what it did, as the standard harness would, and how long it took.
///
/// Leaves it out when the command line filters by another name, as the standard harness does.
fn run(name: &str, test: impl FnOnce() -> String) {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if filter.is_some_and(|filter| !name.contains(&filter)) {
        println!("test {name} ... filtered out");
        return;
    }
    let start = Instant::now();
    let what = test();
    let took = start.elapsed();
    println!("test {name} ... ok: {what} ({took:.1?})");
}

/// A panic that the load plans makes the hook allocate; any other, on whatever thread, is reported and ends the process, since the other
/// threads of a load would wait for ever.
fn end_the_process_on_a_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(planned) = panic.payload().downcast_ref::<Planned>() {
            planned.told_to_the_hook(panic.location());
        } else {
            report(panic);
            std::process::exit(101);
        }
    }));
}
