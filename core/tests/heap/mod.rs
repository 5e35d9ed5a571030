//! A shadow oracle around the process's global allocator, and a random load for it.
//!
//! [`Shadow`] stands outside the tracking allocator and keeps its own tally of every call in the process: of the load, of the standard
//! library, of threads that start and end. The tally is kept under one lock and is right by its simplicity. When all threads of the load
//! rest, the tracking allocator's totals must equal it to the byte.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Instant;

use engine_vitals_core::contract::HeapTotals;
use engine_vitals_core::memory::{
    LARGE_ALLOCATION_BYTES, TrackingAllocator, get_currently_allocated_bytes, get_extended_memory_stats,
    get_peak_allocated_bytes, reset_peak,
};

/// Threads of the load.
pub(crate) const THREADS: usize = 8;

/// Operations of all threads together: `ENGINE_VITALS_SOAK_OPS`, or a million.
pub(crate) fn operations() -> u64 {
    number("ENGINE_VITALS_SOAK_OPS", 1_000_000)
}

/// `ENGINE_VITALS_SEED`, or 1.
pub(crate) fn seed() -> u64 {
    number("ENGINE_VITALS_SEED", 1)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")))
}

/// The tracking allocator under test with the oracle around it.
pub(crate) struct Shadow<A> {
    under_test: TrackingAllocator<A>,
}

impl<A> Shadow<A> {
    pub(crate) const fn new(under_test: TrackingAllocator<A>) -> Self {
        Self { under_test }
    }
}

/// The oracle. Its figures are only touched under its lock; atomics spare it `unsafe`.
struct Oracle {
    locked: AtomicBool,
    /// Whether the lock is held while the allocator under test runs, so that both see one order of operations.
    in_order: AtomicBool,
    large_allocations: AtomicU64,
    large_bytes: AtomicU64,
    small_allocations: AtomicU64,
    small_bytes: AtomicU64,
    deallocations: AtomicU64,
    deallocated_bytes: AtomicU64,
    reallocations: AtomicU64,
    failures: AtomicU64,
    live: AtomicU64,
    peak: AtomicU64,
}

static ORACLE: Oracle = Oracle {
    locked: AtomicBool::new(false),
    in_order: AtomicBool::new(false),
    large_allocations: AtomicU64::new(0),
    large_bytes: AtomicU64::new(0),
    small_allocations: AtomicU64::new(0),
    small_bytes: AtomicU64::new(0),
    deallocations: AtomicU64::new(0),
    deallocated_bytes: AtomicU64::new(0),
    reallocations: AtomicU64::new(0),
    failures: AtomicU64::new(0),
    live: AtomicU64::new(0),
    peak: AtomicU64::new(0),
};

fn add(counter: &AtomicU64, value: u64) {
    counter.store(counter.load(Ordering::Relaxed) + value, Ordering::Relaxed);
}

impl Oracle {
    fn lock(&self) {
        while self.locked.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
    }

    fn unlock(&self) {
        self.locked.store(false, Ordering::Release);
    }

    /// Runs the allocator under test and then the tally, both under the lock or the tally alone.
    fn observe<R>(&self, run: impl FnOnce() -> R, tally: impl FnOnce(&Self, &R)) -> R {
        let in_order = self.in_order.load(Ordering::Relaxed);
        if in_order {
            self.lock();
        }
        let result = run();
        if !in_order {
            self.lock();
        }
        tally(self, &result);
        self.unlock();
        result
    }

    fn gain(&self, size: usize, block: bool) {
        let (count, bytes) = if size >= LARGE_ALLOCATION_BYTES {
            (&self.large_allocations, &self.large_bytes)
        } else {
            (&self.small_allocations, &self.small_bytes)
        };
        add(count, block.into());
        add(bytes, size as u64);
    }

    fn loss(&self, size: usize, block: bool) {
        add(&self.deallocations, block.into());
        add(&self.deallocated_bytes, size as u64);
    }

    fn change_live(&self, gain: usize, loss: usize) {
        // Tallies of two threads may come in another order than their operations: the block's freeing before its making.
        let live = self.live.load(Ordering::Relaxed).wrapping_add(gain as u64).wrapping_sub(loss as u64);
        self.live.store(live, Ordering::Relaxed);
        if live.cast_signed() > self.peak.load(Ordering::Relaxed).cast_signed() {
            self.peak.store(live, Ordering::Relaxed);
        }
    }

    fn made(&self, block: *mut u8, size: usize) {
        if block.is_null() {
            add(&self.failures, 1);
        } else {
            self.gain(size, true);
            self.change_live(size, 0);
        }
    }
}

// SAFETY: every call goes to the allocator under test unchanged, and its answer comes back unchanged.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Shadow<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let run = || unsafe { self.under_test.alloc(layout) };
        ORACLE.observe(run, |oracle, &block| oracle.made(block, layout.size()))
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let run = || unsafe { self.under_test.alloc_zeroed(layout) };
        ORACLE.observe(run, |oracle, &block| oracle.made(block, layout.size()))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        let run = || unsafe { self.under_test.dealloc(block, layout) };
        ORACLE.observe(run, |oracle, ()| {
            oracle.loss(layout.size(), true);
            oracle.change_live(0, layout.size());
        });
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let run = || unsafe { self.under_test.realloc(block, layout, new_size) };
        ORACLE.observe(run, |oracle, moved| {
            if moved.is_null() {
                add(&oracle.failures, 1);
            } else {
                add(&oracle.reallocations, 1);
                oracle.gain(new_size, false);
                oracle.loss(layout.size(), false);
                oracle.change_live(new_size, layout.size());
            }
        })
    }
}

/// Makes the oracle and the allocator under test see one order of operations from here on, so that the peaks can be compared.
/// Call it while no other thread allocates.
pub(crate) fn in_one_order() {
    ORACLE.in_order.store(true, Ordering::Relaxed);
}

/// Starts both peaks anew. Call it while no other thread allocates.
pub(crate) fn reset_peaks() {
    reset_peak();
    ORACLE.peak.store(ORACLE.live.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// The peak of the allocator under test and the oracle's.
pub(crate) fn peaks() -> (u64, u64) {
    (get_peak_allocated_bytes().expect("the heap is counted"), ORACLE.peak.load(Ordering::Relaxed))
}

/// Asserts that the totals equal the oracle's to the byte. Call it while no other thread allocates.
pub(crate) fn assert_equal_to_the_byte(when: &str) {
    let totals = get_extended_memory_stats().expect("the heap is counted");
    let oracle = HeapTotals {
        large_allocations: ORACLE.large_allocations.load(Ordering::Relaxed),
        large_allocation_bytes: ORACLE.large_bytes.load(Ordering::Relaxed),
        small_allocations: ORACLE.small_allocations.load(Ordering::Relaxed),
        small_allocation_bytes: ORACLE.small_bytes.load(Ordering::Relaxed),
        deallocations: ORACLE.deallocations.load(Ordering::Relaxed),
        deallocated_bytes: ORACLE.deallocated_bytes.load(Ordering::Relaxed),
        reallocations: ORACLE.reallocations.load(Ordering::Relaxed),
        failed_allocations: ORACLE.failures.load(Ordering::Relaxed),
        fragmentation_ratio: None,
    };
    assert_eq!(totals, oracle, "{when}");
    let live = ORACLE.live.load(Ordering::Relaxed);
    assert_eq!(totals.live_bytes(), Some(live), "{when}");
    assert_eq!(get_currently_allocated_bytes(), Some(live), "{when}");
}

/// What a load did, so that a test can say that it did something.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) operations: u64,
    pub(crate) crossed_threads: u64,
    pub(crate) threads_come_and_gone: u64,
    pub(crate) polls: u64,
}

/// Runs about `operations` random operations on [`THREADS`] threads while another polls the totals, in ten rounds; `rest` runs between the
/// rounds, while nobody allocates.
pub(crate) fn run_load(operations: u64, seed: u64, mut rest: impl FnMut(u64)) -> Done {
    const ROUNDS: u64 = 10;
    let mailbox = Mutex::new(Vec::new());
    let barrier = Barrier::new(THREADS + 1);
    let done = AtomicBool::new(false);
    let (crossed, spawned, polls) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let each = operations.div_ceil(ROUNDS * THREADS as u64);
    let poller_runs = Barrier::new(2);
    let work = |thread: usize| {
        let mut worker = Worker::new(seed.wrapping_mul(1_000).wrapping_add(thread as u64), &mailbox);
        for _ in 0..ROUNDS {
            barrier.wait();
            for _ in 0..each {
                worker.step();
            }
            barrier.wait();
            barrier.wait();
        }
        crossed.fetch_add(worker.crossed, Ordering::Relaxed);
        spawned.fetch_add(worker.spawned, Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        let work = &work;
        let mut threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.push(scope.spawn(|| {
            poller_runs.wait();
            while !done.load(Ordering::Relaxed) {
                poll();
                polls.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
        }));
        // A starting thread allocates: all have started before the first rest.
        poller_runs.wait();
        for round in 0..ROUNDS {
            barrier.wait();
            barrier.wait();
            rest(round);
            barrier.wait();
        }
        done.store(true, Ordering::Relaxed);
        // A scope does not wait for destructors of thread-locals; joining does.
        for thread in threads {
            thread.join().expect("a thread of the load panicked: see above");
        }
    });
    drop(mailbox);
    Done {
        operations: each * ROUNDS * THREADS as u64,
        crossed_threads: crossed.into_inner(),
        threads_come_and_gone: spawned.into_inner(),
        polls: polls.into_inner(),
    }
}

/// A load in which the totals must equal the oracle's in every rest and at the end, when the load's threads are gone.
pub(crate) fn totals_equal_the_oracle(operations: u64, seed: u64) -> String {
    let done = run_load(operations, seed, |round| assert_equal_to_the_byte(&format!("seed {seed}, round {round}")));
    assert_equal_to_the_byte(&format!("seed {seed}, at the end"));
    assert!(done.operations >= operations && done.polls > 0, "{done:?}");
    assert!(done.crossed_threads > 0 && done.threads_come_and_gone > 0, "{done:?}");
    format!("seed {seed}: {done:?}")
}

/// Threads that make and free a block over and over, so that little is live and much is freed while a reader reads: live bytes below zero
/// would show at once.
pub(crate) fn live_is_never_negative(operations: u64) -> String {
    const SIZE: usize = 256 << 10;
    let pairs = operations / (2 * THREADS as u64);
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
    for round in 0..3_u64 {
        let barrier = Barrier::new(CROWD);
        let mailbox = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let one = |seed| {
                let (barrier, mailbox) = (&barrier, &mailbox);
                move || {
                    let mut random = Random(seed);
                    let block = Block::new(&mut random, false);
                    LAST_WILL.with_borrow_mut(|blocks| blocks.push(Block::new(&mut random, true)));
                    mailbox.lock().expect("no panic").push(block);
                    barrier.wait();
                    for _ in 0..50 {
                        Block::new(&mut random, false);
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
        assert_equal_to_the_byte(&format!("after crowd {round}"));
    }
    format!("3 crowds of {CROWD} threads")
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

/// A block with a known byte throughout.
struct Block {
    at: *mut u8,
    layout: Layout,
    tag: u8,
}

// SAFETY: a block has one owner, who alone reads and writes it.
unsafe impl Send for Block {}

impl Block {
    fn new(random: &mut Random, zeroed: bool) -> Self {
        let layout = Layout::from_size_align(random.size(), 1 << random.below(13)).expect("small sizes");
        let make = if zeroed { std::alloc::alloc_zeroed } else { std::alloc::alloc };
        // SAFETY: the size is not 0.
        let at = unsafe { make(layout) };
        assert!(!at.is_null() && at.addr().is_multiple_of(layout.align()));
        let mut block = Self { at, layout, tag: 0 };
        if zeroed {
            block.check(layout.size());
        }
        block.fill(random.below(256) as u8);
        block
    }

    /// Writes the tag to both ends: a whole megabyte each time would be slow and prove no more.
    fn fill(&mut self, tag: u8) {
        self.tag = tag;
        let (size, part) = (self.layout.size(), self.layout.size().min(64));
        // SAFETY: both lie within the block.
        unsafe { self.at.write_bytes(tag, part) };
        // SAFETY: as above.
        let end = unsafe { self.at.add(size - part) };
        // SAFETY: as above.
        unsafe { end.write_bytes(tag, part) };
    }

    /// Asserts that the first bytes are as they were written.
    fn check(&self, size: usize) {
        // SAFETY: these bytes lie within the block and were written by `fill` or zeroed.
        let head = unsafe { std::slice::from_raw_parts(self.at, size.min(64)) };
        assert!(head.iter().all(|&byte| byte == self.tag), "a block changed under its owner");
    }

    fn resize(&mut self, size: usize, tag: u8) {
        // SAFETY: the block is from this allocator with this layout, and the size is neither 0 nor near the limit.
        let moved = unsafe { std::alloc::realloc(self.at, self.layout, size) };
        assert!(!moved.is_null());
        let kept = size.min(self.layout.size());
        self.at = moved;
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("small sizes");
        self.check(kept);
        self.fill(tag);
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.check(self.layout.size());
        // SAFETY: the block is from this allocator with this layout.
        unsafe { std::alloc::dealloc(self.at, self.layout) };
    }
}

thread_local! {
    /// Freed by the destructor of a thread-local, after the thread's own function has ended.
    static LAST_WILL: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

struct Worker<'a> {
    random: Random,
    blocks: Vec<Block>,
    mailbox: &'a Mutex<Vec<Block>>,
    crossed: u64,
    spawned: u64,
}

impl<'a> Worker<'a> {
    fn new(seed: u64, mailbox: &'a Mutex<Vec<Block>>) -> Self {
        Self { random: Random(seed), blocks: Vec::new(), mailbox, crossed: 0, spawned: 0 }
    }

    fn step(&mut self) {
        let any = |random: &mut Random, blocks: &[Block]| random.below(blocks.len() as u64) as usize;
        match self.random.below(1_000) {
            0..300 => self.blocks.push(Block::new(&mut self.random, false)),
            300..400 => self.blocks.push(Block::new(&mut self.random, true)),
            400..600 if !self.blocks.is_empty() => {
                let index = any(&mut self.random, &self.blocks);
                let (size, tag) = (self.random.size(), self.random.below(256) as u8);
                self.blocks[index].resize(size, tag);
            }
            600..700 if !self.blocks.is_empty() => {
                let index = any(&mut self.random, &self.blocks);
                let block = self.blocks.swap_remove(index);
                self.mailbox.lock().expect("no panic").push(block);
            }
            700..800 => {
                let block = self.mailbox.lock().expect("no panic").pop();
                self.crossed += u64::from(block.is_some());
            }
            800 => self.short_lived_thread(),
            _ if !self.blocks.is_empty() => {
                let index = any(&mut self.random, &self.blocks);
                self.blocks.swap_remove(index);
            }
            _ => {}
        }
        if self.blocks.len() > 500 {
            self.blocks.truncate(100);
        }
    }

    /// A thread that allocates, takes a block of ours, and leaves some to its thread-local's destructor.
    fn short_lived_thread(&mut self) {
        let seed = self.random.next();
        let given = self.blocks.pop();
        let body = move || {
            let mut random = Random(seed);
            let own = (0..random.below(5)).map(|_| Block::new(&mut random, false)).chain(given);
            LAST_WILL.with_borrow_mut(|blocks| blocks.extend(own));
        };
        std::thread::spawn(body).join().expect("the thread panics only when a block is damaged");
        self.spawned += 1;
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Mostly small; one in 64 around the border of the size classes and above.
    fn size(&mut self) -> usize {
        let border = LARGE_ALLOCATION_BYTES as u64;
        let size = match self.below(64) {
            0 => [border - 1, border, border + 1, 3 * border][self.below(4) as usize],
            _ => {
                let bits = self.below(14);
                1 + self.below(1 << bits)
            }
        };
        size as usize
    }
}

/// Prints a test's name and what it did, as the standard harness would, and how long it took.
///
/// Leaves it out when the command line filters by another name, as the standard harness does.
/// A panic on any thread ends the process, since the other threads of a load would wait for ever.
pub(crate) fn run(name: &str, test: impl FnOnce() -> String) {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if filter.is_some_and(|filter| !name.contains(&filter)) {
        println!("test {name} ... filtered out");
        return;
    }
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
    let start = Instant::now();
    let what = test();
    let took = start.elapsed();
    println!("test {name} ... ok: {what} ({took:.1?})");
}
