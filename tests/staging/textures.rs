//! Textures: rows, strips, mips, layers, blocks; and what cannot be written.

use engine_vitals::Probe;
use engine_vitals::resources::staging::{StagingConfig, StagingError, StagingRing};

use crate::kit::{self, Gpu};

fn small_ring(gpu: &Gpu) -> StagingRing {
    let config = StagingConfig { ring_count: 8, buffer_size: 4 << 10, ..StagingConfig::default() };
    StagingRing::with_config(&gpu.device, Probe::OFF, "textures", config)
}

fn extent([width, height, depth_or_array_layers]: [u32; 3]) -> wgpu::Extent3d {
    wgpu::Extent3d { width, height, depth_or_array_layers }
}

fn layout(bytes_per_row: u32, rows_per_image: u32) -> wgpu::TexelCopyBufferLayout {
    wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(bytes_per_row), rows_per_image: Some(rows_per_image) }
}

fn run(gpu: &Gpu, ring: &mut StagingRing) {
    let mut encoder = gpu.encoder();
    ring.flush(&mut encoder);
    ring.advance_ring(gpu.run(encoder));
}

#[test]
fn textures_larger_than_a_buffer_are_written_in_strips() {
    let Some(gpu) = kit::gpu("textures_larger_than_a_buffer_are_written_in_strips", wgpu::Features::empty()) else {
        return;
    };
    let mut ring = small_ring(&gpu);
    for (size, copies, dedicated) in [
        ([1, 1, 1], 1, 0),
        ([60, 8, 2], 1, 0),
        // 16 rows of 256 bytes are a buffer: three and a bit for each image.
        ([64, 50, 1], 4, 0),
        ([64, 17, 2], 4, 0),
        // A row of 8 KiB is two buffers.
        ([2048, 3, 1], 3, 3),
    ] {
        let before = ring.stats();
        let texture = gpu.texture(wgpu::TextureFormat::Rgba8Uint, size, 1);
        let data: Vec<u8> = (0..size.iter().product::<u32>() * 4).map(|byte| (byte % 251) as u8).collect();
        ring.write_texture(texture.as_image_copy(), &data, layout(size[0] * 4, size[1]), extent(size)).unwrap();
        run(&gpu, &mut ring);
        assert!(gpu.read_texture(&texture, 0) == data, "{size:?} differs");
        let stats = ring.stats();
        assert_eq!((stats.copies - before.copies, stats.dedicated - before.dedicated), (copies, dedicated), "{size:?}");
        assert_eq!(stats.written_bytes - before.written_bytes, data.len() as u64, "{size:?}");
    }
}

#[test]
fn mips_and_blocks_are_written() {
    let features = wgpu::Features::TEXTURE_COMPRESSION_BC;
    let Some(gpu) = kit::gpu("mips_and_blocks_are_written", features) else { return };
    let mut ring = small_ring(&gpu);
    let mut formats = vec![wgpu::TextureFormat::R16Uint, wgpu::TextureFormat::Rgba32Uint];
    if gpu.device.features().contains(features) {
        formats.extend([wgpu::TextureFormat::Bc1RgbaUnorm, wgpu::TextureFormat::Bc7RgbaUnorm]);
    } else {
        crate::support::skipped("mips_and_blocks_are_written", "the adapter has no BC");
    }
    for format in formats {
        let texture = gpu.texture(format, [32, 16, 1], 6);
        let (wide, high) = format.block_dimensions();
        let block = format.block_copy_size(None).unwrap();
        let mut expected = Vec::new();
        for mip_level in 0..6 {
            let width = (32_u32 >> mip_level).max(1).next_multiple_of(wide);
            let height = (16_u32 >> mip_level).max(1).next_multiple_of(high);
            let bytes = width / wide * block * (height / high);
            let data: Vec<u8> = (0..bytes).map(|byte| (byte * 7 + mip_level) as u8).collect();
            let to = wgpu::TexelCopyTextureInfo { mip_level, ..texture.as_image_copy() };
            ring.write_texture(to, &data, layout(width / wide * block, height / high), extent([width, height, 1]))
                .unwrap();
            expected.push(data);
        }
        run(&gpu, &mut ring);
        for (mip_level, expected) in expected.iter().enumerate() {
            assert!(gpu.read_texture(&texture, mip_level as u32) == *expected, "{format:?}, level {mip_level} differs");
        }
    }
}

#[test]
fn what_cannot_be_written_is_refused_before_the_encoder_sees_it() {
    let Some(gpu) = kit::gpu("what_cannot_be_written_is_refused_before_the_encoder_sees_it", wgpu::Features::empty())
    else {
        return;
    };
    let mut ring = small_ring(&gpu);
    let texture = gpu.texture(wgpu::TextureFormat::Rgba8Uint, [16, 16, 2], 2);
    let data = [0; 16 * 16 * 4 * 2];
    let whole = layout(64, 16);
    let to = texture.as_image_copy();
    let at = |x, y, z| wgpu::TexelCopyTextureInfo { origin: wgpu::Origin3d { x, y, z }, ..to };
    let mut refused =
        |to, data: &[u8], layout, size, why: &str| match ring.write_texture(to, data, layout, extent(size)) {
            Err(StagingError::Texture(said)) => assert!(said.contains(why), "{said}, not {why}"),
            other => panic!("{why}: {other:?}"),
        };
    refused(at(1, 0, 0), &data, whole, [16, 16, 1], "beyond the mip level");
    refused(at(0, u32::MAX, 0), &data, whole, [16, 16, 1], "beyond the mip level");
    refused(at(0, 0, 1), &data, whole, [16, 16, 2], "beyond the mip level");
    refused(wgpu::TexelCopyTextureInfo { mip_level: 1, ..to }, &data, whole, [16, 16, 1], "beyond the mip level");
    refused(wgpu::TexelCopyTextureInfo { mip_level: 2, ..to }, &data, whole, [1, 1, 1], "no such mip level");
    refused(to, &data[1..], whole, [16, 16, 2], "ends before its last row");
    refused(to, &data, wgpu::TexelCopyBufferLayout { offset: u64::MAX, ..whole }, [16, 16, 2], "ends before");
    refused(to, &data, layout(63, 16), [16, 16, 1], "less than the size takes");
    refused(to, &data, layout(64, 15), [16, 16, 1], "less than the size takes");
    refused(to, &data, wgpu::TexelCopyBufferLayout::default(), [16, 16, 1], "need bytes_per_row");
    let no_images = wgpu::TexelCopyBufferLayout { rows_per_image: None, ..whole };
    refused(to, &data, no_images, [16, 16, 2], "need rows_per_image");
    let depth = gpu.texture(wgpu::TextureFormat::Depth16Unorm, [16, 16, 1], 1);
    refused(depth.as_image_copy(), &data, layout(32, 16), [8, 16, 1], "only whole images");
    let depth = gpu.texture(wgpu::TextureFormat::Depth32Float, [16, 16, 1], 1);
    refused(depth.as_image_copy(), &data, layout(64, 16), [16, 16, 1], "Depth16Unorm");
    let both = gpu.texture(wgpu::TextureFormat::Depth24PlusStencil8, [16, 16, 1], 1);
    refused(both.as_image_copy(), &data, layout(64, 16), [16, 16, 1], "one aspect");
    assert_eq!(ring.stats().failures, 14);
    for size in [[0, 16, 1], [16, 0, 1], [16, 16, 0]] {
        ring.write_texture(to, &data, whole, extent(size)).unwrap();
    }
    assert_eq!(ring.stats().written_bytes, 0);
    run(&gpu, &mut ring);
}

#[test]
fn depth_and_stencil_are_written_whole() {
    let Some(gpu) = kit::gpu("depth_and_stencil_are_written_whole", wgpu::Features::empty()) else { return };
    let mut ring = small_ring(&gpu);
    let depth = gpu.texture(wgpu::TextureFormat::Depth16Unorm, [64, 40, 1], 1);
    let data: Vec<u8> = (0..64 * 40 * 2_u32).map(|byte| (byte % 253) as u8).collect();
    ring.write_texture(depth.as_image_copy(), &data, layout(128, 40), extent([64, 40, 1])).unwrap();
    let stencil = gpu.texture(wgpu::TextureFormat::Stencil8, [64, 40, 1], 1);
    ring.write_texture(stencil.as_image_copy(), &data, layout(64, 40), extent([64, 40, 1])).unwrap();
    assert_eq!(ring.stats().dedicated, 2, "strips are not allowed there");
    run(&gpu, &mut ring);
    assert!(gpu.read_texture(&depth, 0) == data && gpu.read_texture(&stencil, 0) == data[..64 * 40]);
}
