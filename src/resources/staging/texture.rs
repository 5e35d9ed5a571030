//! Writes into textures: rows at the pitch that copies ask for.

use super::copy::Way;
use super::{StagingError, StagingRing};

/// Copies into textures begin at a multiple of this: Direct3D 12 asks for it.
const PLACEMENT: u64 = 512;

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
    /// Rows are laid out at a pitch of 256 bytes in the ring. What is larger than a buffer gets a dedicated one, and what is larger than that may be
    /// is split at whole images, or else at whole rows of blocks (not of depth and stencil, which is written in whole images only).
    ///
    /// # Errors
    /// [`StagingError`]: `data` is too short for its layout, the texture cannot be written there or like that, or no buffer is ready. Only of what is
    /// split may parts have been written then.
    #[track_caller]
    pub fn write_texture(
        &mut self,
        texture: wgpu::TexelCopyTextureInfo<'_>,
        data: &[u8],
        layout: wgpu::TexelCopyBufferLayout,
        size: wgpu::Extent3d,
    ) -> Result<(), StagingError> {
        let rows = Rows::of(&texture, data, layout, size).map_err(|what| self.failed(StagingError::Texture(what)))?;
        let layers = size.depth_or_array_layers;
        if size.width == 0 || size.height == 0 || layers == 0 {
            return Ok(());
        }
        let config = *self.shared.lock().plan.config();
        let most = config.buffer_bytes.max(config.largest_dedicated_bytes);
        let images = (most / rows.image()).min(layers.into()) as u32;
        if images > 0 {
            for layer in (0..layers).step_by(images as usize) {
                let layers = images.min(layers - layer);
                self.write_strip(&texture, data, &rows, Strip { layer, layers, first: 0, count: rows.count }, size)?;
            }
            return Ok(());
        }
        // A row that is larger than any buffer is refused as such.
        let whole = texture.texture.format().is_depth_stencil_format();
        let most = if whole { rows.count } else { (most / u64::from(rows.pitch)).max(1) as u32 };
        for layer in 0..layers {
            for first in (0..rows.count).step_by(most as usize) {
                let count = most.min(rows.count - first);
                self.write_strip(&texture, data, &rows, Strip { layer, layers: 1, first, count }, size)?;
            }
        }
        Ok(())
    }

    #[track_caller]
    fn write_strip(
        &mut self,
        texture: &wgpu::TexelCopyTextureInfo<'_>,
        data: &[u8],
        rows: &Rows,
        strip: Strip,
        size: wgpu::Extent3d,
    ) -> Result<(), StagingError> {
        let all = u64::from(strip.layers) * u64::from(strip.count);
        let (reserved, way) = self.take(u64::from(rows.pitch) * (all - 1) + u64::from(rows.tight), PLACEMENT, 0)?;
        let written = all * u64::from(rows.tight);
        let probe = self.maker.probe;
        self.maker.staged(written);
        if let Some(view) = self.view(reserved) {
            probe.uploading(written, || rows.copy(way, view, data, strip));
        }
        let first = strip.first * rows.block_height;
        let height = (strip.count * rows.block_height).min(size.height - first);
        let single = all == 1;
        let wgpu::Origin3d { x, y, z } = texture.origin;
        self.textures.push(TextureCopy {
            buffer: reserved.buffer,
            layout: wgpu::TexelCopyBufferLayout {
                offset: reserved.offset,
                bytes_per_row: (!single).then_some(rows.pitch),
                rows_per_image: (!single).then_some(strip.count),
            },
            texture: texture.texture.clone(),
            mip_level: texture.mip_level,
            origin: wgpu::Origin3d { x, y: y + first, z: z + strip.layer },
            aspect: texture.aspect,
            size: wgpu::Extent3d { width: size.width, height, depth_or_array_layers: strip.layers },
        });
        let number = self.textures.len() as u64 - 1;
        self.shared.lock().plan.copy_other(written, number);
        Ok(())
    }
}

/// Some rows of blocks of some images.
#[derive(Debug, Clone, Copy)]
struct Strip {
    layer: u32,
    layers: u32,
    first: u32,
    count: u32,
}

/// The rows of blocks of what is written: how they lie in the data, and how in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rows {
    /// In an image.
    count: u32,
    block_height: u32,
    /// Bytes of one.
    tight: u32,
    /// Bytes from one to the next in the ring.
    pitch: u32,
    /// Where the data begins, bytes from one row to the next there, and from one image to the next.
    begin: u64,
    pitch_given: u64,
    image_given: u64,
}

impl Rows {
    /// Checks all that can be checked: what is left out here ends in an error of the encoder, long after the write.
    fn of(
        to: &wgpu::TexelCopyTextureInfo<'_>,
        data: &[u8],
        layout: wgpu::TexelCopyBufferLayout,
        size: wgpu::Extent3d,
    ) -> Result<Self, &'static str> {
        let format = to.texture.format();
        if format.is_multi_planar_format() {
            return Err("video formats of several planes are left to Queue::write_texture");
        }
        let of_aspect = format.aspect_specific_format(to.aspect).ok_or("its format has no such aspect")?;
        let block = of_aspect.block_copy_size(None).ok_or("name one aspect of a format that has several")?;
        let (block_width, block_height) = format.block_dimensions();
        if !size.width.is_multiple_of(block_width) || !size.height.is_multiple_of(block_height) {
            return Err("the size is not one of whole blocks");
        }
        Self::check(to, size, [block_width, block_height])?;
        let tight = (size.width / block_width).checked_mul(block);
        let pitch = tight.and_then(|tight| tight.checked_next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT));
        let (Some(tight), Some(pitch)) = (tight, pitch) else { return Err("a row is larger than any texture's") };
        let count = size.height / block_height;
        let layers = size.depth_or_array_layers;
        if layout.bytes_per_row.is_none() && (count > 1 || layers > 1) {
            return Err("several rows need bytes_per_row");
        }
        if layout.rows_per_image.is_none() && layers > 1 {
            return Err("several images need rows_per_image");
        }
        let pitch_given = layout.bytes_per_row.unwrap_or(tight);
        let rows_given = layout.rows_per_image.unwrap_or(count);
        if pitch_given < tight || rows_given < count {
            return Err("bytes_per_row or rows_per_image is less than the size takes");
        }
        let image_given = u64::from(pitch_given) * u64::from(rows_given);
        let last_row = u64::from(pitch_given) * u64::from(count.saturating_sub(1));
        let end = image_given
            .checked_mul(u64::from(layers.saturating_sub(1)))
            .and_then(|images| images.checked_add(last_row + u64::from(tight)))
            .and_then(|bytes| bytes.checked_add(layout.offset));
        if count > 0 && layers > 0 && end.is_none_or(|end| end > data.len() as u64) {
            return Err("the data ends before its last row");
        }
        let pitch_given = u64::from(pitch_given);
        Ok(Self { count, block_height, tight, pitch, begin: layout.offset, pitch_given, image_given })
    }

    /// Whether the texture has that place and can be written there.
    fn check(
        to: &wgpu::TexelCopyTextureInfo<'_>,
        size: wgpu::Extent3d,
        [block_width, block_height]: [u32; 2],
    ) -> Result<(), &'static str> {
        let texture = to.texture;
        if !texture.usage().contains(wgpu::TextureUsages::COPY_DST) {
            return Err("it was made without COPY_DST: add that to its usages");
        }
        if texture.sample_count() != 1 {
            return Err("it has several samples a texel");
        }
        if to.mip_level >= texture.mip_level_count() {
            return Err("it has no such mip level");
        }
        let is_deep = texture.dimension() == wgpu::TextureDimension::D3;
        let at_level = |texels: u32| (texels >> to.mip_level).max(1);
        let has = [
            at_level(texture.width()).next_multiple_of(block_width),
            at_level(texture.height()).next_multiple_of(block_height),
            if is_deep { at_level(texture.depth_or_array_layers()) } else { texture.depth_or_array_layers() },
        ];
        let wgpu::Origin3d { x, y, z } = to.origin;
        if !x.is_multiple_of(block_width) || !y.is_multiple_of(block_height) {
            return Err("the origin is not at the corner of a block");
        }
        let wanted = [(x, size.width), (y, size.height), (z, size.depth_or_array_layers)];
        let fits = |((from, length), has): ((u32, u32), u32)| from.checked_add(length).is_some_and(|end| end <= has);
        if !wanted.into_iter().zip(has).all(fits) {
            return Err("origin and size go beyond the mip level");
        }
        let format = texture.format();
        if format.is_depth_stencil_format() {
            if [(x, size.width), (y, size.height)] != [(0, has[0]), (0, has[1])] {
                return Err("of depth and stencil only whole images can be written");
            }
            // `of` has found that the format has the aspect, and that it is one.
            let of_aspect = format.aspect_specific_format(to.aspect);
            let writable = [wgpu::TextureFormat::Depth16Unorm, wgpu::TextureFormat::Stencil8].map(Some);
            if !writable.contains(&of_aspect) {
                return Err("of depth only Depth16Unorm can be written");
            }
        }
        Ok(())
    }

    /// Bytes of an image in the ring.
    fn image(&self) -> u64 {
        u64::from(self.pitch) * u64::from(self.count)
    }

    /// Copies a strip of the data into the ring, each row to its pitch.
    fn copy(&self, way: Way, mut view: wgpu::WriteOnly<'_, [u8]>, data: &[u8], strip: Strip) {
        let Self { tight, pitch, begin, pitch_given, image_given, .. } = *self;
        let (tight, pitch) = (tight as usize, pitch as usize);
        for layer in 0..strip.layers {
            let begin = begin + u64::from(strip.layer + layer) * image_given + u64::from(strip.first) * pitch_given;
            let to = layer as usize * strip.count as usize * pitch;
            if pitch_given == pitch as u64 {
                let bytes = (strip.count as usize - 1) * pitch + tight;
                way.copy(view.slice(to..to + bytes), &data[begin as usize..][..bytes]);
                continue;
            }
            for row in 0..strip.count as usize {
                let from = begin as usize + row * pitch_given as usize;
                way.copy(view.slice(to + row * pitch..to + row * pitch + tight), &data[from..from + tight]);
            }
        }
    }
}
