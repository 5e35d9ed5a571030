//! Writes into textures: rows at the pitch that copies ask for.

use super::{StagingError, StagingRing};

/// A copy from the ring into a texture.
#[derive(Debug)]
pub(super) struct TextureCopy {
    buffer: u32,
    layout: wgpu::TexelCopyBufferLayout,
    texture: wgpu::Texture,
    mip_level: u32,
    origin: wgpu::Origin3d,
    aspect: wgpu::TextureAspect,
    size: wgpu::Extent3d,
}

impl TextureCopy {
    pub(super) fn buffer(&self) -> u32 {
        self.buffer
    }

    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder, from: &wgpu::Buffer) {
        encoder.copy_buffer_to_texture(
            wgpu::TexelCopyBufferInfo { buffer: from, layout: self.layout },
            wgpu::TexelCopyTextureInfo {
                texture: &self.texture,
                mip_level: self.mip_level,
                origin: self.origin,
                aspect: self.aspect,
            },
            self.size,
        );
    }
}

impl StagingRing {
    /// Writes `data` into a texture, with the next flush: as `Queue::write_texture` does, with the same layout of `data`.
    ///
    /// Rows are laid out at a pitch of 256 bytes in the ring. What is larger than a buffer is written row by row of blocks, several at a time.
    ///
    /// # Errors
    /// [`StagingError`]: `data` is too short for its layout, the format has no one size of its blocks for the aspect, the size is not one of whole
    /// blocks, one row is larger than a buffer, or the ring is stalled. Rows before one that stalls have been written.
    pub fn write_texture(
        &mut self,
        texture: wgpu::TexelCopyTextureInfo<'_>,
        data: &[u8],
        layout: wgpu::TexelCopyBufferLayout,
        size: wgpu::Extent3d,
    ) -> Result<(), StagingError> {
        let format = texture.texture.format();
        let block = format
            .block_copy_size(Some(texture.aspect))
            .ok_or(StagingError::Texture("name one aspect of a format that has several"))?;
        let (block_width, block_height) = format.block_dimensions();
        let columns = size.width.div_ceil(block_width);
        let rows = size.height.div_ceil(block_height);
        let tight = columns.checked_mul(block).ok_or(StagingError::Texture("a row is larger than any texture's"))?;
        if columns == 0 || rows == 0 || size.depth_or_array_layers == 0 {
            return Ok(());
        }
        let rows_given = layout.rows_per_image.unwrap_or(rows);
        let pitch_given = layout.bytes_per_row.unwrap_or(tight);
        if pitch_given < tight || rows_given < rows {
            return Err(StagingError::Texture("bytes_per_row or rows_per_image is less than the size takes"));
        }
        let image_given = u64::from(pitch_given) * u64::from(rows_given);
        let last = image_given
            .checked_mul(u64::from(size.depth_or_array_layers - 1))
            .and_then(|images| images.checked_add(u64::from(pitch_given) * u64::from(rows - 1) + u64::from(tight)))
            .and_then(|bytes| bytes.checked_add(layout.offset));
        if last.is_none_or(|last| last > data.len() as u64) {
            return Err(StagingError::Texture("the data ends before its last row"));
        }
        let pitch = tight.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let most_rows =
            (self.stats().ring.buffer_bytes / u64::from(self.stats().ring.buffers.max(1)) / u64::from(pitch))
                .min(rows.into()) as u32;
        if most_rows == 0 {
            return Err(StagingError::Texture("one row is larger than a buffer of the ring"));
        }
        for layer in 0..size.depth_or_array_layers {
            for first in (0..rows).step_by(most_rows as usize) {
                let count = most_rows.min(rows - first);
                let from = layout.offset + image_given * u64::from(layer) + u64::from(pitch_given) * u64::from(first);
                let strip = Strip { from, count, tight, pitch, pitch_given };
                let reserved =
                    self.take(u64::from(pitch) * u64::from(count), u64::from(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT))?;
                strip.write(self.view(reserved)?, data);
                let origin = wgpu::Origin3d {
                    x: texture.origin.x,
                    y: texture.origin.y + first * block_height,
                    z: texture.origin.z + layer,
                };
                let height = (count * block_height).min(size.height - first * block_height);
                let copy = TextureCopy {
                    buffer: reserved.buffer,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset: reserved.offset,
                        bytes_per_row: Some(pitch),
                        rows_per_image: Some(count),
                    },
                    texture: texture.texture.clone(),
                    mip_level: texture.mip_level,
                    origin,
                    aspect: texture.aspect,
                    size: wgpu::Extent3d { width: size.width, height, depth_or_array_layers: 1 },
                };
                self.send_texture(reserved, copy);
            }
        }
        Ok(())
    }
}

/// Rows of blocks that go into the ring together.
struct Strip {
    from: u64,
    count: u32,
    tight: u32,
    pitch: u32,
    pitch_given: u32,
}

impl Strip {
    fn write(&self, mut view: wgpu::WriteOnly<'_, [u8]>, data: &[u8]) {
        let Self { from, count, tight, pitch, pitch_given } = *self;
        let (tight, pitch) = (tight as usize, pitch as usize);
        for row in 0..count as usize {
            let begin = from as usize + row * pitch_given as usize;
            view.slice(row * pitch..row * pitch + tight).copy_from_slice(&data[begin..begin + tight]);
        }
    }
}
