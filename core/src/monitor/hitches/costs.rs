//! What a block of the heap costs on this machine, in this build.

use std::hint::black_box;
use std::time::Duration;

use web_time::Instant;

use crate::analysis::hitches::HitchCosts;
use crate::memory;

/// Blocks that are allocated at once, and how often.
const BLOCKS: usize = 256;
const ROUNDS: usize = 5;

impl HitchCosts {
    /// The default costs, but for that of a block of the heap, which is measured now where the heap is counted: it differs tenfold between
    /// allocators, builds and machines. Takes some 100 microseconds.
    #[must_use]
    pub fn measured() -> Self {
        let mut costs = Self::default();
        if memory::get_currently_allocated_bytes().is_some() {
            let mut rounds: [Duration; ROUNDS] = std::array::from_fn(|_| round());
            rounds.sort_unstable();
            let each = rounds[ROUNDS / 2] / BLOCKS as u32;
            // Whatever held up the measuring is no cost of a block.
            costs.per_heap_allocation = each.clamp(Duration::from_nanos(5), Duration::from_micros(2));
        }
        costs
    }
}

/// How long it takes to fill that many new blocks.
fn round() -> Duration {
    let mut blocks: Vec<Box<[u8; 64]>> = Vec::with_capacity(BLOCKS);
    let began = Instant::now();
    for _ in 0..BLOCKS {
        blocks.push(black_box(Box::new([1; 64])));
    }
    let took = began.elapsed();
    drop(black_box(blocks));
    took
}
