//! What programs do with a heap: vectors and strings grow, maps fill, and blocks are freed by another thread than made them.

use std::alloc::Layout;
use std::fmt::{self, Write};
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::{Barrier, Mutex, PoisonError};

use allocator_api2::alloc::{AllocError, Allocator};
use allocator_api2::vec::Vec as VecIn;
use engine_vitals_core::heap_scope;
use hashbrown::{DefaultHashBuilder, HashMap};

use super::subjects::Heap;
use crate::harness::cpu_ns;

/// Collections in an allocator that is measured.
#[derive(Clone, Copy)]
struct In(Heap);

// SAFETY: blocks come from a `GlobalAlloc`, which keeps them until they are freed; copies of `In` are the same allocator.
unsafe impl Allocator for In {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(NonNull::slice_from_raw_parts(layout.dangling_ptr(), 0));
        }
        // SAFETY: the size is not 0.
        let block = unsafe { self.0.alloc(layout) };
        NonNull::new(block).map(|block| NonNull::slice_from_raw_parts(block, layout.size())).ok_or(AllocError)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller says that the block is from `allocate` with this layout.
            unsafe { self.0.dealloc(block.as_ptr(), layout) };
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() == 0 {
            return self.allocate(new);
        }
        if old.align() != new.align() {
            return Err(AllocError);
        }
        // SAFETY: the caller says that the block is from `allocate` with the old layout; the new size is no smaller, so not 0.
        let block = unsafe { self.0.realloc(block.as_ptr(), old, new.size()) };
        NonNull::new(block).map(|block| NonNull::slice_from_raw_parts(block, new.size())).ok_or(AllocError)
    }
}

type Text = VecIn<u8, In>;

struct Writer<'a>(&'a mut Text);

impl Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn text(heap: In, number: u64) -> Text {
    let mut text = Text::new_in(heap);
    // Writing to a vector does not fail.
    let _ = write!(Writer(&mut text), "node {number}, child of node {}", number / 7);
    text
}

/// An index of names is built and read, and a vector of numbers sorted.
fn step(heap: In, seed: u64) -> u64 {
    let mut numbers = VecIn::new_in(heap);
    let mut names = HashMap::with_hasher_in(DefaultHashBuilder::default(), heap);
    for index in 0..64 {
        let number = (seed + index).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        numbers.push(number);
        names.insert(number, text(heap, number));
    }
    numbers.sort_unstable();
    numbers.iter().filter_map(|number| names.get(number)).map(|name| name.len() as u64).sum()
}

/// Nanoseconds of one step on this thread.
pub(super) fn churn(heap: Heap, times: u64) -> f64 {
    heap_scope!("churn");
    let mut seed = 0;
    cpu_ns(times, || {
        seed += 64;
        black_box(step(In(heap), seed));
    })
}

/// Nanoseconds of one step on two threads together: one also makes texts, which the other frees. Neither waits for the other.
pub(super) fn churn_and_hand_over(heap: Heap, times: u64) -> f64 {
    let heap = In(heap);
    let (start, mailbox) = (Barrier::new(2), Mutex::new(Vec::<Text>::with_capacity(16 * times as usize)));
    let open = || mailbox.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            heap_scope!("consumer");
            start.wait();
            cpu_ns(times, || {
                black_box(step(heap, 1));
                for _ in 0..16 {
                    let next = open().pop();
                    drop(next);
                }
            })
        });
        heap_scope!("producer");
        start.wait();
        let mut seed = 0;
        let producer = cpu_ns(times, || {
            seed += 64;
            black_box(step(heap, seed));
            for index in 0..16 {
                let text = text(heap, seed + index);
                open().push(text);
            }
        });
        producer + consumer.join().unwrap_or(f64::NAN)
    })
}
