//! How often the calling thread allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Allocations and reallocations by the calling thread so far.
pub(crate) fn allocations() -> u64 {
    CALLS.with(Cell::get)
}

/// The system's allocator, counting the calls of each thread apart.
pub(crate) struct CountingHere;

fn count() {
    CALLS.with(|calls| calls.set(calls.get().wrapping_add(1)));
}

// SAFETY: every call goes to the system's allocator unchanged, and its answer comes back unchanged; counting touches a constant-initialised
// thread-local without destructor, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingHere {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
