//! How many bytes a texture's texels take. Arithmetic over a descriptor.

/// Bytes of a texture's texels: the sum over its mip levels of blocks, layers (or depth slices) and samples.
///
/// This is the size that the description calls for, not what a driver takes: alignment, tiling, compression metadata and
/// the allocator's rounding come on top, and a driver may store a depth format in another layout. `Depth24Plus` counts
/// as 4 bytes a texel, `Depth24PlusStencil8` as 4 and `Depth32FloatStencil8` as 8, the layouts that are common.
///
/// `None` for a format whose size this release does not know, for more mip levels than any texture can have (32), and
/// for a description so large that its bytes do not fit `u64`.
#[must_use]
pub fn texture_bytes(descriptor: &wgpu::TextureDescriptor<'_>) -> Option<u64> {
    if descriptor.mip_level_count > u32::BITS {
        return None;
    }
    (0..descriptor.mip_level_count).try_fold(0_u64, |sum, level| {
        let extent = descriptor.mip_level_size(level)?;
        let texels = level_bytes(descriptor.format, extent)?;
        let bytes = texels
            .checked_mul(u64::from(extent.depth_or_array_layers))?
            .checked_mul(u64::from(descriptor.sample_count))?;
        sum.checked_add(bytes)
    })
}

/// Bytes of one layer of one sample of one mip level.
fn level_bytes(format: wgpu::TextureFormat, extent: wgpu::Extent3d) -> Option<u64> {
    let (width, height) = (u64::from(extent.width), u64::from(extent.height));
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    match format {
        // A plane of luma and one of two chroma channels at half the resolution, in bytes and in words.
        wgpu::TextureFormat::NV12 => (width * height).checked_add(chroma * 2),
        wgpu::TextureFormat::P010 => (width * height).checked_mul(2)?.checked_add(chroma.checked_mul(4)?),
        _ => {
            let (block_width, block_height) = format.block_dimensions();
            let blocks = width.div_ceil(block_width.into()) * height.div_ceil(block_height.into());
            blocks.checked_mul(block_bytes(format)?)
        }
    }
}

/// Bytes of one block of a format with one plane; a block is one texel where nothing is compressed.
fn block_bytes(format: wgpu::TextureFormat) -> Option<u64> {
    use wgpu::TextureFormat;

    match format {
        TextureFormat::Depth24Plus | TextureFormat::Depth24PlusStencil8 => Some(4),
        TextureFormat::Depth32FloatStencil8 => Some(8),
        other => other.block_copy_size(None).map(u64::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::{TextureDimension, TextureFormat};

    fn described(
        format: TextureFormat,
        [width, height, depth_or_array_layers]: [u32; 3],
        mip_level_count: u32,
        sample_count: u32,
        dimension: TextureDimension,
    ) -> Option<u64> {
        texture_bytes(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width, height, depth_or_array_layers },
            mip_level_count,
            sample_count,
            dimension,
            format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        })
    }

    fn flat(format: TextureFormat, width: u32, height: u32, mips: u32) -> Option<u64> {
        described(format, [width, height, 1], mips, 1, TextureDimension::D2)
    }

    #[test]
    fn plain_formats_count_texels() {
        assert_eq!(flat(TextureFormat::R8Unorm, 7, 3, 1), Some(21));
        assert_eq!(flat(TextureFormat::Rgba8UnormSrgb, 256, 256, 1), Some(262_144));
        assert_eq!(flat(TextureFormat::Rgba16Float, 960, 540, 1), Some(960 * 540 * 8));
        assert_eq!(flat(TextureFormat::Rgba32Float, 1, 1, 1), Some(16));
        assert_eq!(flat(TextureFormat::Rgb9e5Ufloat, 4, 4, 1), Some(64));
    }

    #[test]
    fn mips_halve_down_to_one_texel() {
        // 8x4, 4x2, 2x1, 1x1 texels of 4 bytes.
        assert_eq!(flat(TextureFormat::Rgba8Unorm, 8, 4, 4), Some((32 + 8 + 2 + 1) * 4));
        // 5x3, 2x1, 1x1: odd sizes round down.
        assert_eq!(flat(TextureFormat::Rgba8Unorm, 5, 3, 3), Some((15 + 2 + 1) * 4));
    }

    #[test]
    fn compressed_mips_round_up_to_whole_blocks() {
        // BC1: 8 bytes a 4x4 block. 8x8 has 4 blocks; 4x4, 2x2 and 1x1 have one each.
        assert_eq!(flat(TextureFormat::Bc1RgbaUnorm, 8, 8, 4), Some((4 + 1 + 1 + 1) * 8));
        // BC7: 16 bytes. 12x4 has 3 blocks, 6x2 two, 3x1 one.
        assert_eq!(flat(TextureFormat::Bc7RgbaUnorm, 12, 4, 3), Some((3 + 2 + 1) * 16));
        assert_eq!(flat(TextureFormat::Bc4RUnorm, 5, 5, 1), Some(4 * 8));
        assert_eq!(flat(TextureFormat::Etc2Rgba8Unorm, 4, 4, 1), Some(16));
        let astc = TextureFormat::Astc { block: wgpu::AstcBlock::B10x5, channel: wgpu::AstcChannel::Unorm };
        assert_eq!(flat(astc, 20, 11, 1), Some(2 * 3 * 16));
    }

    #[test]
    fn layers_depth_and_samples_multiply() {
        // A cube: six layers, in every mip.
        let cube = described(TextureFormat::Rgba8Unorm, [4, 4, 6], 3, 1, TextureDimension::D2);
        assert_eq!(cube, Some((16 + 4 + 1) * 6 * 4));
        // A volume: its depth halves too. 4x4x4, 2x2x2, 1x1x1.
        let volume = described(TextureFormat::R8Unorm, [4, 4, 4], 3, 1, TextureDimension::D3);
        assert_eq!(volume, Some(64 + 8 + 1));
        let multisampled = described(TextureFormat::Rgba16Float, [960, 540, 1], 1, 4, TextureDimension::D2);
        assert_eq!(multisampled, Some(960 * 540 * 8 * 4));
        let line = described(TextureFormat::R32Float, [16, 1, 1], 1, 1, TextureDimension::D1);
        assert_eq!(line, Some(64));
    }

    #[test]
    fn depth_and_planar_formats_have_their_own_sizes() {
        for (format, bytes) in [
            (TextureFormat::Stencil8, 1),
            (TextureFormat::Depth16Unorm, 2),
            (TextureFormat::Depth24Plus, 4),
            (TextureFormat::Depth24PlusStencil8, 4),
            (TextureFormat::Depth32Float, 4),
            (TextureFormat::Depth32FloatStencil8, 8),
        ] {
            assert_eq!(flat(format, 10, 10, 1), Some(100 * bytes), "{format:?}");
        }
        // 4x2 luma bytes, 2x1 chroma pairs.
        assert_eq!(flat(TextureFormat::NV12, 4, 2, 1), Some(8 + 4));
        assert_eq!(flat(TextureFormat::P010, 4, 2, 1), Some(16 + 8));
    }

    #[test]
    fn absurd_sizes_are_unknown_instead_of_wrong() {
        let most = u32::MAX;
        assert_eq!(described(TextureFormat::Rgba32Float, [most, most, most], 1, 1, TextureDimension::D2), None);
        assert_eq!(flat(TextureFormat::R8Unorm, 1, 1, 32), Some(32), "levels beyond the last have one texel");
        assert_eq!(flat(TextureFormat::R8Unorm, 1, 1, 33), None);
        assert_eq!(flat(TextureFormat::R8Unorm, 1, 1, u32::MAX), None);
    }
}
