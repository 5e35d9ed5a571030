//! Plays a trace on whoever gives out blocks, and keeps how well it does.

use std::collections::VecDeque;

use super::traces::{Event, FRAMES_A_MINUTE, Request, Trace};

/// Frames in which nothing is judged yet: half a minute.
const WARM_UP: u64 = FRAMES_A_MINUTE / 2;

/// Gives out blocks.
pub(crate) trait Blocks {
    /// A block under that key. False if there is none to be had: the key is then freed all the same some time.
    fn allocate(&mut self, request: Request) -> bool;
    /// The block is not needed any more.
    fn free(&mut self, key: u32);
    /// This frame writes to the block.
    fn write(&mut self, key: u32);
    /// The frame is over.
    fn end_frame(&mut self) -> Held;
}

/// What it holds at the end of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Bytes of all of its memory.
    pub(crate) reserved_bytes: u64,
    /// Bytes of that which nobody can use: see the definition of the loss.
    pub(crate) lost_bytes: u64,
    /// Bytes that it chose to move in this frame.
    pub(crate) moved_bytes: u64,
    /// Buffers made so far.
    pub(crate) buffers_made: u64,
}

/// How well it did. Shares are of frames after the warm-up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quality {
    pub(crate) frames: u64,
    pub(crate) allocations: u64,
    /// Allocations that failed although the demand was within the budget.
    pub(crate) failures: u64,
    /// Lost bytes as a share of the reserved ones, in the worst frame.
    pub(crate) worst_loss: f64,
    /// Reserved bytes as a multiple of the most that was asked for in the minute before, in the worst frame.
    pub(crate) worst_reserved: f64,
    pub(crate) moved_bytes: u64,
    /// In the frame with most.
    pub(crate) most_moved_bytes: u64,
    pub(crate) buffers_made: u64,
    /// The most blocks that lived at once.
    pub(crate) most_blocks: usize,
    /// The least and the most that was asked for in a frame.
    pub(crate) demand: [u64; 2],
    losses: f64,
    reserves: f64,
}

impl Quality {
    /// The loss in the mean; NaN where nothing was judged.
    pub(crate) fn mean_loss(&self) -> f64 {
        self.losses / self.judged() as f64
    }

    /// The reserved bytes as a multiple of the peak demand, in the mean; NaN where nothing was judged.
    pub(crate) fn mean_reserved(&self) -> f64 {
        self.reserves / self.judged() as f64
    }

    fn judged(&self) -> u64 {
        self.frames.saturating_sub(WARM_UP)
    }
}

/// A trace that is played.
#[derive(Debug)]
pub(crate) struct Hour {
    trace: Trace,
    quality: Quality,
    /// Frames and demands: the first is the largest of the minute, and each further one the largest after it.
    peaks: VecDeque<(u64, u64)>,
}

impl Hour {
    pub(crate) fn new(trace: Trace) -> Self {
        Self { trace, quality: Quality::default(), peaks: VecDeque::new() }
    }

    /// The next frame.
    pub(crate) fn frame(&mut self, blocks: &mut impl Blocks) -> Held {
        for &event in self.trace.frame() {
            match event {
                Event::Allocate(request) => {
                    self.quality.allocations += 1;
                    self.quality.failures += u64::from(!blocks.allocate(request));
                }
                Event::Free(key) => blocks.free(key),
                Event::Use(key) => blocks.write(key),
            }
        }
        let held = blocks.end_frame();
        self.judge(&held);
        held
    }

    pub(crate) fn quality(&self) -> Quality {
        self.quality
    }

    fn judge(&mut self, held: &Held) {
        let quality = &mut self.quality;
        quality.frames += 1;
        quality.moved_bytes += held.moved_bytes;
        quality.most_moved_bytes = quality.most_moved_bytes.max(held.moved_bytes);
        quality.buffers_made = held.buffers_made;
        quality.most_blocks = quality.most_blocks.max(self.trace.live());
        let (frame, demand) = (quality.frames, self.trace.demand());
        while self.peaks.pop_back_if(|&mut (_, peak)| peak <= demand).is_some() {}
        self.peaks.push_back((frame, demand));
        while self.peaks.pop_front_if(|&mut (at, _)| at + FRAMES_A_MINUTE <= frame).is_some() {}
        let peak = self.peaks.front().map_or(demand, |&(_, peak)| peak);
        if frame > WARM_UP {
            let [least, most] = quality.demand;
            quality.demand = [if least == 0 { demand } else { least.min(demand) }, most.max(demand)];
            let loss = held.lost_bytes as f64 / held.reserved_bytes as f64;
            let reserved = held.reserved_bytes as f64 / peak as f64;
            quality.worst_loss = quality.worst_loss.max(loss);
            quality.worst_reserved = quality.worst_reserved.max(reserved);
            quality.losses += loss;
            quality.reserves += reserved;
        }
    }
}
