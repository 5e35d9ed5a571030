//! Textures: rows, strips, mips, layers, blocks; and what cannot be written.

use engine_vitals::Probe;
use engine_vitals::resources::staging::{StagingConfig, StagingError, StagingRing, StallPolicy};

use crate::kit::{self, Gpu, LONG};

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
fn a_texture_of_any_size_is_written_by_one_call() {
    let Some(gpu) = kit::gpu("a_texture_of_any_size_is_written_by_one_call", wgpu::Features::empty()) else { return };
    // The ring's buffers hold 4 KiB, a dedicated one 64 KiB, both together no more.
    let limits = |stall| StagingConfig { ring_count: 1, buffer_size: 4 << 10, stall, ..StagingConfig::default() };
    for (size, copies, dedicated) in [
        ([1, 1, 1], 1, 0),
        ([60, 8, 2], 1, 0),
        ([64, 17, 1], 1, 1),
        ([64, 17, 2], 1, 1),
        // A row of 8 KiB is two buffers of the ring.
        ([2048, 8, 1], 1, 1),
    ] {
        for stall in
            [StallPolicy::Grow { most_buffers: 2 }, StallPolicy::Wait { timeout: LONG }, StallPolicy::WouldStall]
        {
            let mut ring = StagingRing::with_config(&gpu.device, Probe::OFF, "textures", limits(stall));
            round_trip(&gpu, &mut ring, size, wgpu::TextureDimension::D2);
            let stats = ring.stats();
            assert_eq!((stats.copies, stats.dedicated, stats.failures), (copies, dedicated, 0), "{size:?} {stall:?}");
        }
    }
}

#[test]
fn what_is_larger_than_a_dedicated_buffer_is_split_at_images_or_rows() {
    let test = "what_is_larger_than_a_dedicated_buffer_is_split_at_images_or_rows";
    let Some(gpu) = kit::gpu(test, wgpu::Features::empty()) else { return };
    let config = StagingConfig { most_dedicated_bytes: 10_000, buffer_size: 1 << 10, ..StagingConfig::default() };
    let limited = || StagingRing::with_config(&gpu.device, Probe::OFF, "textures", config);
    let texture = gpu.texture(wgpu::TextureFormat::Rgba8Uint, [64, 100, 1], 1);
    let data = vec![7; 64 * 100 * 4];
    let mut ring = limited();
    // 39 rows of 256 bytes each time, and all buffers are of their own: the second waits for the first.
    let refused = ring.write_texture(texture.as_image_copy(), &data, layout(256, 100), extent([64, 100, 1]));
    assert!(matches!(refused, Err(StagingError::WouldStall { .. })), "{refused:?}");
    let mut ring = limited();
    round_trip(&gpu, &mut ring, [64, 39, 1], wgpu::TextureDimension::D2);
    let row = gpu.texture(wgpu::TextureFormat::Rgba8Uint, [4096, 1, 1], 1);
    let refused = ring.write_texture(row.as_image_copy(), &vec![1; 4 << 12], layout(4 << 12, 1), extent([4096, 1, 1]));
    assert_eq!(refused, Err(StagingError::TooLarge { bytes: 4 << 12, most: 10_000 }));
}

#[test]
fn large_textures_volumes_and_layers_arrive() {
    let Some(gpu) = kit::gpu("large_textures_volumes_and_layers_arrive", wgpu::Features::empty()) else { return };
    let mut ring = StagingRing::new(&gpu.device, 2, 1 << 20);
    round_trip(&gpu, &mut ring, [4096, 4096, 1], wgpu::TextureDimension::D2);
    round_trip(&gpu, &mut ring, [100, 90, 12], wgpu::TextureDimension::D2);
    round_trip(&gpu, &mut ring, [50, 40, 30], wgpu::TextureDimension::D3);
    assert_eq!(ring.stats().failures, 0);
}

/// Writes a texture whole, and compares.
fn round_trip(gpu: &Gpu, ring: &mut StagingRing, size: [u32; 3], dimension: wgpu::TextureDimension) {
    let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: extent(size),
        mip_level_count: 1,
        sample_count: 1,
        dimension,
        format: wgpu::TextureFormat::Rgba8Uint,
        usage: wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let before = ring.stats().written_bytes;
    let noise: Vec<u8> = (0..1_009_u32).map(|byte| (byte * 31 % 251) as u8).collect();
    let bytes = size.iter().product::<u32>() as usize * 4;
    let mut data = noise.repeat(bytes / noise.len() + 1);
    data.truncate(bytes);
    ring.write_texture(texture.as_image_copy(), &data, layout(size[0] * 4, size[1]), extent(size)).unwrap();
    run(gpu, ring);
    assert!(gpu.read_texture(&texture, 0) == data, "{size:?} differs");
    assert_eq!(ring.stats().written_bytes - before, data.len() as u64, "{size:?}");
}

#[test]
fn the_last_write_wins_whichever_way_each_goes() {
    let Some(gpu) = kit::gpu("the_last_write_wins_whichever_way_each_goes", wgpu::Features::empty()) else { return };
    let mut ring = small_ring(&gpu);
    let texture = gpu.texture(wgpu::TextureFormat::R8Uint, [64, 64, 1], 1);
    let buffer = gpu.buffer(16 << 10);
    // Into the ring, into a dedicated buffer over it, into the ring over that; the same for the texture.
    ring.write_buffer(&buffer, 0, &[1; 200]).unwrap();
    ring.write_buffer(&buffer, 100, &[2; 8 << 10]).unwrap();
    ring.write_buffer(&buffer, 150, &[3; 20]).unwrap();
    for (value, size) in [(1_u8, [16, 16]), (2, [64, 64]), (3, [8, 8])] {
        let data = vec![value; size[0] * size[1]];
        let [width, height] = size.map(|texels| texels as u32);
        ring.write_texture(texture.as_image_copy(), &data, layout(width, height), extent([width, height, 1])).unwrap();
    }
    run(&gpu, &mut ring);
    let read = gpu.read(&buffer);
    assert_eq!((&read[..100], &read[100..150], &read[150..170]), (&[1; 100][..], &[2; 50][..], &[3; 20][..]));
    assert_eq!(read[170..8292], [2; 8122]);
    let texels = gpu.read_texture(&texture, 0);
    let expected = |at: usize| if at % 64 < 8 && at / 64 < 8 { 3 } else { 2 };
    assert!(texels.iter().enumerate().all(|(at, &texel)| texel == expected(at)));
    assert_eq!(ring.stats().dedicated, 2);
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
    // An aspect that the format has not.
    let small = gpu.texture(wgpu::TextureFormat::Depth16Unorm, [16, 16, 1], 1);
    let stencil = gpu.texture(wgpu::TextureFormat::Stencil8, [16, 16, 1], 1);
    for (texture, aspect) in [
        (&texture, wgpu::TextureAspect::DepthOnly),
        (&texture, wgpu::TextureAspect::StencilOnly),
        (&texture, wgpu::TextureAspect::Plane0),
        (&small, wgpu::TextureAspect::StencilOnly),
        (&stencil, wgpu::TextureAspect::DepthOnly),
        (&stencil, wgpu::TextureAspect::Plane1),
    ] {
        let to = wgpu::TexelCopyTextureInfo { aspect, ..texture.as_image_copy() };
        refused(to, &data, whole, [16, 16, 1], "no such aspect");
    }
    assert_eq!(ring.stats().failures, 20);
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
    run(&gpu, &mut ring);
    assert_eq!(ring.stats().dedicated, 2, "each is larger than a buffer");
    assert!(gpu.read_texture(&depth, 0) == data && gpu.read_texture(&stencil, 0) == data[..64 * 40]);
}
