//! Whether the GPU has made some copies: told by the GPU itself.
//!
//! wgpu calls a command buffer's callbacks after a submission that it has refused too, so being called proves nothing. Behind the copies the same
//! commands copy a stamp into a small buffer that is then mapped: if the stamp is there, so is all that was copied before.

use std::sync::Arc;

use parking_lot::Mutex;

use super::slab::{Maker, SlabBuffer};
use super::state::Telling;

/// What a proof holds after one pass and after the next: never the same twice.
const STAMPS: [u32; 2] = [1, 2];
const STAMP_BYTES: u64 = size_of::<u32>() as u64;

/// The buffers for it, used again.
#[derive(Default)]
pub(super) struct Proofs {
    stamps: Mutex<Option<Arc<SlabBuffer>>>,
    idle: Arc<Mutex<Vec<Proof>>>,
}

/// A buffer that a stamp is copied to.
pub(super) struct Proof {
    buffer: SlabBuffer,
    stamps: Arc<SlabBuffer>,
    /// What it holds.
    last: u32,
}

impl Proofs {
    /// One that is not used; `None` if there is no memory for another.
    pub(super) fn take(&self, maker: &Maker, name: &str) -> Option<Proof> {
        if let Some(proof) = self.idle.lock().pop() {
            return Some(proof);
        }
        let stamps = self.stamps(maker, name)?;
        let buffer = maker.raw_buffer(&wgpu::BufferDescriptor {
            label: Some(name),
            size: STAMP_BYTES,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        // Buffers begin with zeros.
        Some(Proof { buffer: buffer.ok()?, stamps, last: 0 })
    }

    /// Records the stamp behind the copies in `encoder`, and tells when the GPU has got there, or that it has not.
    pub(super) fn record(&self, mut proof: Proof, encoder: &mut wgpu::CommandEncoder, telling: Vec<Telling>) {
        let stamp = if proof.last == STAMPS[0] { 1 } else { 0 };
        let from = stamp * STAMP_BYTES;
        encoder.copy_buffer_to_buffer(&proof.stamps.buffer, from, &proof.buffer.buffer, 0, STAMP_BYTES);
        let (buffer, idle) = (proof.buffer.buffer.clone(), Arc::clone(&self.idle));
        encoder.map_buffer_on_submit(&buffer, wgpu::MapMode::Read, .., move |mapped| {
            if mapped.is_err() {
                return;
            }
            let found = proof.read();
            proof.buffer.buffer.unmap();
            if found == Some(STAMPS[stamp as usize]) {
                proof.last = STAMPS[stamp as usize];
                telling.into_iter().for_each(Telling::made);
            }
            idle.lock().push(proof);
        });
    }

    fn stamps(&self, maker: &Maker, name: &str) -> Option<Arc<SlabBuffer>> {
        if let Some(stamps) = &*self.stamps.lock() {
            return Some(Arc::clone(stamps));
        }
        // Made with no lock held: of two threads that do, one's is kept.
        let made = maker.raw_buffer(&wgpu::BufferDescriptor {
            label: Some(name),
            size: STAMP_BYTES * STAMPS.len() as u64,
            usage: wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        });
        let made = Arc::new(made.ok()?);
        made.buffer.slice(..).get_mapped_range_mut().ok()?.copy_from_slice(&STAMPS.map(u32::to_le_bytes).concat());
        made.buffer.unmap();
        Some(Arc::clone(self.stamps.lock().get_or_insert(made)))
    }
}

impl Proof {
    fn read(&self) -> Option<u32> {
        let bytes = self.buffer.buffer.slice(..).get_mapped_range().ok()?;
        Some(u32::from_le_bytes(bytes.first_chunk().copied()?))
    }
}
