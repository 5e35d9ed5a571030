//! How little is lost under churn, judged in every frame: the layout with and without moves, and offset-allocator alone.

use std::collections::VecDeque;

use clap::ValueEnum;
use engine_vitals::resources::pool::MemoryPoolConfig;
use engine_vitals::resources::pool::layout::LayoutConfig;
use offset_allocator::{Allocation, Allocator};

use super::hour::{Blocks, Held, Hour, Quality};
use super::layout::OnLayout;
use super::traces::{FRAMES_A_SECOND, FRAMES_IN_FLIGHT, Kind, Occupancy, Request, Trace};
use super::{GROUP, OURS};
use crate::harness::Effort;
use crate::report::Row;

const BUDGET: u64 = 64 << 20;
const FRAMES: u64 = 21_600;
/// Bytes of a block are a multiple of this in offset-allocator, which counts in `u32`.
const UNIT: u64 = 16;

pub(super) fn run(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    let most_moves = MemoryPoolConfig::default().defrag_moves;
    for &kind in Kind::value_variants() {
        for (occupancy, at) in [(Occupancy::Sweep, "30 to 90 %"), (Occupancy::Steady(0.9), "90 %")] {
            let case = format!("{}, {at} of 64 MiB asked for", kind.name());
            let config = LayoutConfig { budget_bytes: Some(BUDGET), ..LayoutConfig::default() };
            let frames = effort.times(FRAMES).max(3_600);
            let hour = || Hour::new(Trace::new(kind, 1, BUDGET, occupancy));
            let moved = play(hour(), &mut OnLayout::new(config, Some((BUDGET / 256, most_moves))), frames);
            let unmoved = play(hour(), &mut OnLayout::new(config, None), frames);
            let offset = play(hour(), &mut OnOffsets::new(), frames);
            for (subject, quality) in [(OURS, moved), ("without moves", unmoved), ("offset-allocator", offset)] {
                let row = |what: &str, unit, value| Row::new(GROUP, format!("{case}: {what}"), subject, unit, value);
                let found = [
                    (row("lost, in the worst frame", "%", 100.0 * quality.worst_loss), 5.0),
                    (row("lost, in the mean", "%", 100.0 * quality.mean_loss()), 5.0),
                    (row("reserved, in the worst frame", "x peak", quality.worst_reserved), 1.25),
                    (row("reserved, in the mean", "x peak", quality.mean_reserved()), 1.25),
                    (row("failed", "of 1,000", failed(&quality)), 0.0),
                ];
                rows.extend(found.map(|(row, most)| if subject == OURS { row.at_most(most) } else { row }));
                let a_frame = |count: u64| count as f64 / quality.frames as f64;
                rows.push(row("blocks in a frame", "blocks", a_frame(quality.allocations)));
                rows.push(row("buffers made in a frame", "buffers", a_frame(quality.buffers_made)));
                rows.push(row("moved in a frame", "bytes", a_frame(quality.moved_bytes)));
            }
        }
    }
    rows
}

fn failed(quality: &Quality) -> f64 {
    1_000.0 * quality.failures as f64 / quality.allocations as f64
}

fn play(mut hour: Hour, blocks: &mut impl Blocks, frames: u64) -> Quality {
    for _ in 0..frames {
        hour.frame(blocks);
    }
    hour.quality()
}

/// One arena of all bytes of the budget.
struct OnOffsets {
    allocator: Allocator<u32>,
    blocks: Vec<Option<Block>>,
    frame: u64,
    /// What was freed, and in which frame.
    waiting: VecDeque<(u64, Block)>,
    allocated: u64,
    requested: u64,
    largest: u64,
    /// Free bytes that the largest request so far could not use, a second ago at most.
    unusable: u64,
}

struct Block {
    allocation: Allocation<u32>,
    requested: u64,
    allocated: u64,
}

impl OnOffsets {
    fn new() -> Self {
        Self {
            allocator: Allocator::with_max_allocs((BUDGET / UNIT) as u32, 1 << 20),
            blocks: Vec::new(),
            frame: 1,
            waiting: VecDeque::new(),
            allocated: 0,
            requested: 0,
            largest: 0,
            unusable: 0,
        }
    }

    /// By its report of free regions, each of which is at least as large as it says.
    fn unusable(&self) -> u64 {
        let regions = self.allocator.storage_report_full().free_regions;
        let usable = |size: u32| u64::from(size) * UNIT >= self.largest;
        let free: u64 = regions
            .iter()
            .filter(|region| usable(region.size))
            .map(|region| u64::from(region.size) * u64::from(region.count))
            .sum();
        (BUDGET - self.allocated).saturating_sub(free * UNIT)
    }
}

impl Blocks for OnOffsets {
    fn allocate(&mut self, Request { key, bytes, align }: Request) -> bool {
        let index = key as usize;
        if self.blocks.len() <= index {
            self.blocks.resize_with(index + 1, || None);
        }
        self.largest = self.largest.max(bytes);
        // It knows no alignment: what is missing to one is asked for too.
        let allocated = (bytes + align.saturating_sub(UNIT)).next_multiple_of(UNIT);
        let Some(allocation) = self.allocator.allocate((allocated / UNIT) as u32) else { return false };
        self.allocated += allocated;
        self.requested += bytes;
        self.blocks[index] = Some(Block { allocation, requested: bytes, allocated });
        true
    }

    fn free(&mut self, key: u32) {
        if let Some(block) = self.blocks[key as usize].take() {
            self.waiting.push_back((self.frame, block));
        }
    }

    fn write(&mut self, _: u32) {}

    fn end_frame(&mut self) -> Held {
        if self.frame.is_multiple_of(FRAMES_A_SECOND) {
            self.unusable = self.unusable();
        }
        let lost_bytes = self.allocated - self.requested + self.unusable.min(BUDGET - self.allocated);
        self.frame += 1;
        let done = self.frame.saturating_sub(FRAMES_IN_FLIGHT + 1);
        while let Some((_, block)) = self.waiting.pop_front_if(|(frame, _)| *frame <= done) {
            self.allocated -= block.allocated;
            self.requested -= block.requested;
            self.allocator.free(block.allocation);
        }
        Held { reserved_bytes: BUDGET, lost_bytes, moved_bytes: 0, buffers_made: 1 }
    }
}
