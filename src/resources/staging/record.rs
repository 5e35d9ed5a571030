//! What a flush becomes in an encoder.

use super::plan::{BufferCopy, Copy, Edges};
use super::ring::StagingRing;
use super::shared::Returning;
use super::slot::Word;

impl StagingRing {
    /// Records the copies of all that was written since the last flush, and has its buffers mapped again when the GPU is done with them. Put it
    /// before what reads the destinations, outside of passes, and submit the encoder: until then no buffer of this flush comes back. A flush ends
    /// the buffer that is being filled, so one a frame is best.
    ///
    /// Returns how many copies there were.
    pub fn flush(&mut self, encoder: &mut wgpu::CommandEncoder) -> u64 {
        self.tell();
        self.filled.flushed();
        self.collect();
        let mut flush = std::mem::take(&mut self.flush);
        let any = self.shared.lock().plan.flush(&mut flush);
        if any {
            for &number in &flush.buffers {
                if let Some(slot) = self.slot_mut(number) {
                    // The view must be gone before the buffer is unmapped.
                    slot.view = None;
                    slot.buffer.unmap();
                    slot.submission = None;
                }
            }
            for copy in &flush.copies {
                match copy {
                    Copy::Buffer(copy) => self.record_buffer(encoder, copy),
                    Copy::Other(number) => {
                        let copy = &self.textures[*number as usize];
                        if let Some(slot) = self.slot(copy.buffer()) {
                            copy.record(encoder, &slot.buffer);
                        }
                    }
                }
            }
            for &number in &flush.buffers {
                if let Some(slot) = self.slot(number) {
                    let returning = Returning::new(&self.shared, number, flush.number);
                    let told = move |mapped: Result<(), _>| returning.mapped(mapped.is_ok());
                    encoder.map_buffer_on_submit(&slot.buffer, wgpu::MapMode::Write, .., told);
                }
            }
        }
        self.destinations.clear();
        self.textures.clear();
        let copies = flush.copies.len() as u64;
        self.flush = flush;
        copies
    }

    fn record_buffer(&self, encoder: &mut wgpu::CommandEncoder, copy: &BufferCopy) {
        let Some(slot) = self.slot(copy.from.buffer) else { return };
        let (from, to) = (&slot.buffer, &self.destinations[copy.to.buffer as usize]);
        let (mut at, mut goes) = (copy.from.offset, copy.to.offset);
        let Edges { head, body, tail } = copy.edges();
        if head > 0 {
            self.record_edge(encoder, (from, at), (to, goes), head);
            (at, goes) = (at + head, goes + head);
        }
        if body > 0 {
            encoder.copy_buffer_to_buffer(from, at, to, goes, body);
            (at, goes) = (at + body, goes + body);
        }
        if tail > 0 {
            self.record_edge(encoder, (from, at), (to, goes), tail);
        }
    }

    /// Some bytes of a word: the word as it is and the bytes come together in four texels, whose copies may begin at any byte, and go back as one.
    fn record_edge(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        (from, at): (&wgpu::Buffer, u64),
        (to, goes): (&wgpu::Buffer, u64),
        bytes: u64,
    ) {
        let Some(Word { texels, .. }) = &self.word else { return };
        let word = goes & !(wgpu::COPY_BUFFER_ALIGNMENT - 1);
        // A buffer may end within a word.
        let width = (to.size() - word).min(wgpu::COPY_BUFFER_ALIGNMENT) as u32;
        let in_buffer = |buffer, offset| wgpu::TexelCopyBufferInfo {
            buffer,
            layout: wgpu::TexelCopyBufferLayout { offset, bytes_per_row: None, rows_per_image: None },
        };
        let in_texels = |x| wgpu::TexelCopyTextureInfo {
            texture: texels,
            mip_level: 0,
            origin: wgpu::Origin3d { x, y: 0, z: 0 },
            aspect: wgpu::TextureAspect::All,
        };
        let extent = |width| wgpu::Extent3d { width, height: 1, depth_or_array_layers: 1 };
        encoder.copy_buffer_to_texture(in_buffer(to, word), in_texels(0), extent(width));
        encoder.copy_buffer_to_texture(in_buffer(from, at), in_texels((goes - word) as u32), extent(bytes as u32));
        encoder.copy_texture_to_buffer(in_texels(0), in_buffer(to, word), extent(width));
    }
}
