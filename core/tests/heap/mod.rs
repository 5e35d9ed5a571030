//! A shadow around the process's global allocator, and loads that allocate under it.
//!
//! [`shadow`] counts every call in the process once more, in a way that is right by its simplicity: of the load, of the standard library, of
//! threads that start and end. When nobody allocates, the tracking allocator's totals must equal it to the byte. [`load`] keeps threads
//! coming and going, [`soak`] runs it in a process of its own, from before `main` to after the last exit handler.

mod blocks;
#[cfg(target_os = "linux")]
mod edges;
mod load;
mod random;
mod shadow;
mod soak;
mod wills;

use std::sync::{Barrier, Mutex};
use std::time::Instant;

use engine_vitals_core::memory::get_extended_memory_stats;

use blocks::Block;
use load::{Load, Planned};
use random::Random;
pub(crate) use shadow::{Shadow, in_one_order, peaks, reset_peaks};
pub(crate) use soak::{soak, was_the_child};

/// A load for [`in_one_order`], where all threads wait for one lock.
pub(crate) fn load_in_one_order() -> Load {
    Load { threads: 8, operations: fewer_operations(), rests: 10, seed: seed() }
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
pub(crate) fn live_is_never_negative() -> String {
    const SIZE: usize = 256 << 10;
    const THREADS: u64 = 8;
    let pairs = fewer_operations() / (2 * THREADS);
    let polls = std::thread::scope(|scope| {
        let pair = || (0..pairs).for_each(|_| drop(std::hint::black_box(Vec::<u8>::with_capacity(SIZE))));
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(pair)).collect();
        let mut polls = 0_u64;
        while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            poll();
            polls += 1;
        }
        polls
    });
    assert!(polls > 0);
    format!("{polls} polls beside {pairs} pairs on each of {THREADS} threads")
}

/// More threads at once than there are shards, each of which frees what another made, and leaves some to a thread-local's destructor.
pub(crate) fn more_threads_than_shards() -> String {
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

/// What a reader may rely on while others allocate. Allocates nothing itself.
fn poll() {
    let first = get_extended_memory_stats().expect("the heap is counted");
    let second = get_extended_memory_stats().expect("the heap is counted");
    for totals in [first, second] {
        assert!(totals.live_bytes().is_some(), "more bytes freed than allocated: {totals:?}");
        assert!(totals.live_allocations().is_some(), "more blocks freed than allocated: {totals:?}");
    }
    assert!(second.allocations() >= first.allocations() && second.allocated_bytes() >= first.allocated_bytes());
    assert!(second.deallocations >= first.deallocations && second.deallocated_bytes >= first.deallocated_bytes);
}

/// Prints a test's name and what it did, as the standard harness would, and how long it took.
///
/// Leaves it out when the command line filters by another name, as the standard harness does.
pub(crate) fn run(name: &str, test: impl FnOnce() -> String) {
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
pub(crate) fn end_the_process_on_a_panic() {
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
