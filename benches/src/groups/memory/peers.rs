//! What the allocators of crates are held against besides: counters that all threads share, and the least that counting can cost.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracking_allocator::{AllocationGroupId, AllocationTracker};

/// Counters for the whole process: the live bytes, their peak by compare and exchange, blocks and bytes by size class.
pub(super) struct SharedCounters<A> {
    inner: A,
    live: AtomicUsize,
    peak: AtomicUsize,
    blocks: [AtomicUsize; 2],
    bytes: [AtomicUsize; 2],
    freed: AtomicUsize,
    freed_bytes: AtomicUsize,
}

impl<A> SharedCounters<A> {
    pub(super) const fn new(inner: A) -> Self {
        Self {
            inner,
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            blocks: [AtomicUsize::new(0), AtomicUsize::new(0)],
            bytes: [AtomicUsize::new(0), AtomicUsize::new(0)],
            freed: AtomicUsize::new(0),
            freed_bytes: AtomicUsize::new(0),
        }
    }
}

impl<A> SharedCounters<A> {
    fn gain(&self, size: usize, blocks: usize) {
        let class = usize::from(size >= 1 << 20);
        self.blocks[class].fetch_add(blocks, Ordering::Relaxed);
        self.bytes[class].fetch_add(size, Ordering::Relaxed);
        let live = self.live.fetch_add(size, Ordering::Relaxed) + size;
        let mut peak = self.peak.load(Ordering::Relaxed);
        while live > peak {
            match self.peak.compare_exchange_weak(peak, live, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => peak = now,
            }
        }
    }

    fn lose(&self, size: usize, blocks: usize) {
        self.freed.fetch_add(blocks, Ordering::Relaxed);
        self.freed_bytes.fetch_add(size, Ordering::Relaxed);
        self.live.fetch_sub(size, Ordering::Relaxed);
    }
}

// SAFETY: every call is handed to the inner allocator unchanged, and its answer is handed back unchanged.
unsafe impl<A: GlobalAlloc> GlobalAlloc for SharedCounters<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the inner allocator's.
        let block = unsafe { self.inner.alloc(layout) };
        if !block.is_null() {
            self.gain(layout.size(), 1);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.lose(layout.size(), 1);
        // SAFETY: the caller keeps the contract, which is the inner allocator's.
        unsafe { self.inner.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the inner allocator's.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if !moved.is_null() {
            self.gain(new_size, 0);
            self.lose(layout.size(), 0);
        }
        moved
    }
}

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    static FREED: Cell<usize> = const { Cell::new(0) };
}

/// One store for each call, which nobody else can read.
pub(super) struct TwoStores<A>(pub(super) A);

// SAFETY: every call is handed to the inner allocator unchanged, and its answer is handed back unchanged.
unsafe impl<A: GlobalAlloc> GlobalAlloc for TwoStores<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the inner allocator's.
        let block = unsafe { self.0.alloc(layout) };
        if !block.is_null() {
            ALLOCATED.set(ALLOCATED.get().wrapping_add(layout.size()));
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        FREED.set(FREED.get().wrapping_add(layout.size()));
        // SAFETY: the caller keeps the contract, which is the inner allocator's.
        unsafe { self.0.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the inner allocator's.
        let moved = unsafe { self.0.realloc(block, layout, new_size) };
        if !moved.is_null() {
            ALLOCATED.set(ALLOCATED.get().wrapping_add(new_size));
            FREED.set(FREED.get().wrapping_add(layout.size()));
        }
        moved
    }
}

/// The least that a tracker of tracking-allocator can do: the live bytes.
#[derive(Default)]
pub(super) struct Tally(AtomicUsize);

impl AllocationTracker for Tally {
    fn allocated(&self, _address: usize, object_size: usize, _wrapped_size: usize, _group: AllocationGroupId) {
        self.0.fetch_add(object_size, Ordering::Relaxed);
    }

    fn deallocated(
        &self,
        _address: usize,
        object_size: usize,
        _wrapped_size: usize,
        _source: AllocationGroupId,
        _current: AllocationGroupId,
    ) {
        self.0.fetch_sub(object_size, Ordering::Relaxed);
    }
}
