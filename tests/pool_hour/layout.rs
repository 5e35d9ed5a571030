//! Traces on the layout of a pool alone: no device.

use std::collections::VecDeque;

use engine_vitals::resources::pool::layout::{BlockId, Layout, LayoutConfig, LayoutError, Move};

use super::hour::{Blocks, Held};
use super::traces::{FRAMES_IN_FLIGHT, Request};

/// A layout whose copies are made by nobody, but take as long as they would.
#[derive(Debug)]
pub(crate) struct OnLayout {
    layout: Layout,
    blocks: Vec<Option<BlockId>>,
    frame: u64,
    copying: VecDeque<(u64, Vec<Move>)>,
    /// Bytes that a frame may move, in so many moves.
    moves: Option<(u64, usize)>,
    buffers_made: u64,
}

impl OnLayout {
    /// With so many bytes in so many moves a frame for defragmentation, or without.
    pub(crate) fn new(config: LayoutConfig, moves: Option<(u64, usize)>) -> Self {
        let layout = Layout::new(config);
        Self { layout, blocks: Vec::new(), frame: 1, copying: VecDeque::new(), moves, buffers_made: 0 }
    }

    fn block(&self, key: u32) -> Option<BlockId> {
        self.blocks.get(key as usize).copied().flatten()
    }
}

impl Blocks for OnLayout {
    fn allocate(&mut self, request: Request) -> bool {
        let index = request.key as usize;
        if self.blocks.len() <= index {
            self.blocks.resize(index + 1, None);
        }
        loop {
            match self.layout.allocate(request.bytes, request.align) {
                Ok(allocated) => {
                    self.buffers_made += u64::from(allocated.new_slab.is_some());
                    // As a pool does: what is new is written in this frame.
                    self.layout.used(allocated.block, self.frame);
                    self.blocks[index] = Some(allocated.block);
                    return true;
                }
                Err(LayoutError::OverBudget { .. }) => {
                    let mut released = false;
                    self.layout.release_bytes(request.bytes, |_| released = true);
                    if !released {
                        self.layout.refused();
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
    }

    fn free(&mut self, key: u32) {
        if let Some(block) = self.blocks[key as usize].take() {
            self.layout.free(block, self.frame);
        }
    }

    fn write(&mut self, key: u32) {
        if let Some(block) = self.block(key) {
            self.layout.used(block, self.frame);
        }
    }

    fn end_frame(&mut self) -> Held {
        let mut moved_bytes = 0;
        if let Some((bytes, most)) = self.moves {
            let plan = self.layout.plan(bytes, most);
            moved_bytes = plan.iter().map(|planned| planned.bytes).sum();
            if !plan.is_empty() {
                self.copying.push_back((self.frame, plan));
            }
        }
        let stats = self.layout.stats();
        // The next frame begins: the GPU is done with the one that lies so far behind.
        self.frame += 1;
        let done = self.frame.saturating_sub(FRAMES_IN_FLIGHT + 1);
        self.layout.completed(done);
        while let Some((_, moves)) = self.copying.pop_front_if(|&mut (frame, _)| frame <= done) {
            for planned in moves {
                self.layout.commit(planned, false, self.frame);
            }
        }
        self.layout.tick(|_| ());
        Held {
            reserved_bytes: stats.reserved_bytes,
            lost_bytes: stats.lost_bytes(),
            moved_bytes,
            buffers_made: self.buffers_made,
        }
    }
}
