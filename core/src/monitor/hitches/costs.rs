//! What the heap costs on this machine, in this build.

use std::hint::black_box;
use std::time::Duration;

use web_time::Instant;

use crate::analysis::hitches::HitchCosts;
use crate::memory;

/// Small blocks that are allocated at once, and how often.
const BLOCKS: u32 = 256;
const ROUNDS: usize = 5;

/// Blocks of new memory, and their size: together as much as an allocator is unlikely to have left over.
const FRESH_BLOCKS: usize = 16;
const FRESH_BYTES: usize = 32 << 10;

impl HitchCosts {
    /// The default costs, but for those of the heap, which are measured now where the heap is counted: they differ tenfold between
    /// allocators, builds and machines. Takes some 100 microseconds, and half a mebibyte of the heap meanwhile.
    #[must_use]
    pub fn measured() -> Self {
        let mut costs = Self::default();
        if memory::get_currently_allocated_bytes().is_some() {
            let mut rounds: [Duration; ROUNDS] = std::array::from_fn(|_| small_blocks());
            rounds.sort_unstable();
            // Whatever held up the measuring is no cost of a block, or of a byte.
            let each = rounds[ROUNDS / 2] / BLOCKS;
            costs.per_heap_allocation = each.clamp(Duration::from_nanos(5), Duration::from_micros(2));
            let bytes = (FRESH_BLOCKS * FRESH_BYTES) as u128;
            let each = fresh_bytes().as_nanos() * 1_000 / bytes;
            let least = u128::from(costs.picoseconds_per_heap_byte);
            costs.picoseconds_per_heap_byte = u64::try_from(each.clamp(least, 4_000)).unwrap_or(4_000);
        }
        costs
    }
}

/// How long it takes to fill that many small blocks.
fn small_blocks() -> Duration {
    let mut blocks: Vec<Box<[u8; 64]>> = Vec::with_capacity(BLOCKS as usize);
    let began = Instant::now();
    for _ in 0..BLOCKS {
        blocks.push(black_box(Box::new([1; 64])));
    }
    let took = began.elapsed();
    drop(black_box(blocks));
    took
}

/// How long it takes to touch memory that the process did not have before, as far as the allocator had none left.
fn fresh_bytes() -> Duration {
    let mut blocks: Vec<Vec<u8>> = Vec::with_capacity(FRESH_BLOCKS);
    let began = Instant::now();
    for _ in 0..FRESH_BLOCKS {
        let mut block: Vec<u8> = Vec::with_capacity(FRESH_BYTES);
        block.resize(FRESH_BYTES, 1);
        blocks.push(black_box(block));
    }
    let took = began.elapsed();
    drop(black_box(blocks));
    took
}
