//! An allocator that counts the calls of each thread, for tests of what allocates nothing.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Allocations and reallocations of this thread up to now.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Counts what passes through the allocator inside.
#[derive(Debug)]
pub(crate) struct Counting<A>(pub(crate) A);

// SAFETY: all calls are passed on as they came; the counter is a plain cell of the calling thread, without a destructor, and counting
// neither allocates nor panics.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and every block came from the allocator inside.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps `realloc`'s contract, and every block came from the allocator inside.
        unsafe { self.0.realloc(block, layout, size) }
    }
}
