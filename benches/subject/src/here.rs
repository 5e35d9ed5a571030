//! What the calling thread allocates, for the cases that ask. Cheap enough to be there for all.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// Allocations and reallocations by the calling thread so far.
pub(crate) fn allocations() -> u64 {
    CALLS.with(Cell::get)
}

/// Bytes allocated by the calling thread, less those that it freed.
pub(crate) fn live_bytes() -> i64 {
    LIVE.with(Cell::get)
}

/// The system's allocator, counting the calls and bytes of each thread apart.
pub(crate) struct CountingHere;

fn count(calls: u64, gone: usize, come: usize) {
    CALLS.with(|counted| counted.set(counted.get().wrapping_add(calls)));
    LIVE.with(|live| live.set(live.get().wrapping_add_unsigned(come as u64).wrapping_sub_unsigned(gone as u64)));
}

// SAFETY: every call goes to the system's allocator unchanged, and its answer comes back unchanged; counting touches constant-initialised
// thread-locals without destructors, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingHere {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, 0, layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, 0, layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, layout.size(), 0);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(1, layout.size(), new_size);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
