//! Ways for bytes to reach the GPU through the queue, and the staging belt on top of mapping.

use super::Log;
use super::tools::{Gpu, extent, layout, pattern};
use std::num::NonZeroU64;

const READABLE: wgpu::BufferUsages = wgpu::BufferUsages::COPY_DST.union(wgpu::BufferUsages::COPY_SRC);

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let buffer = gpu.buffer("written", 1024, READABLE);
    gpu.queue.write_buffer(&buffer, 0, &pattern(512, 1));
    gpu.queue.write_buffer(&buffer, 256, &pattern(64, 2));
    log.step(gpu, "writes without a submit");
    let mut view = gpu.queue.write_buffer_with(&buffer, 512, NonZeroU64::new(256).unwrap()).unwrap();
    view.copy_from_slice(&pattern(256, 3));
    view.slice(16..20).copy_from_slice(&[9; 4]);
    log.text("view", format!("{} {}", view.len(), view.is_empty()));
    drop(view);
    // Two at once, dropped in the order of their making.
    let mut one = gpu.queue.write_buffer_with(&buffer, 768, NonZeroU64::new(16).unwrap()).unwrap();
    let mut two = gpu.queue.write_buffer_with(&buffer, 784, NonZeroU64::new(16).unwrap()).unwrap();
    two.copy_from_slice(&[2; 16]);
    one.copy_from_slice(&[1; 16]);
    drop(one);
    drop(two);
    log.bytes("buffer", gpu.read(&buffer));
    let refused =
        gpu.invalid(|| assert!(gpu.queue.write_buffer_with(&buffer, 1020, NonZeroU64::new(8).unwrap()).is_none()));
    log.outcome("view beyond the end", refused);
    log.outcome("write beyond the end", gpu.invalid(|| gpu.queue.write_buffer(&buffer, 1000, &[0; 64])));
    log.outcome("odd offset", gpu.invalid(|| gpu.queue.write_buffer(&buffer, 3, &[0; 4])));
    textures(gpu, log);
    // An empty submission takes writes along.
    gpu.queue.write_buffer(&buffer, 0, &[7; 8]);
    gpu.queue.submit([]);
    gpu.wait();
    log.bytes("after an empty submission", gpu.read(&buffer));
    initialised(gpu, log);
}

fn textures(gpu: &Gpu, log: &mut Log<'_>) {
    let usage = wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::COPY_SRC;
    let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("written"),
        size: extent(17, 9, 3),
        mip_level_count: 2,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage,
        view_formats: &[],
    });
    let whole = texture.as_image_copy();
    gpu.queue.write_texture(whole, &pattern(17 * 4 * 9 * 3, 4), layout(17 * 4, 9), extent(17, 9, 3));
    let part = wgpu::TexelCopyTextureInfo { mip_level: 1, origin: wgpu::Origin3d { x: 2, y: 1, z: 1 }, ..whole };
    gpu.queue.write_texture(part, &pattern(4 * 4 * 2, 5), layout(16, 2), extent(4, 2, 1));
    log.bytes("texture", gpu.read_texture(&texture, 0));
    log.bytes("its second mip", gpu.read_texture(&texture, 1));
    log.step(gpu, "textures");
    let short = gpu.invalid(|| gpu.queue.write_texture(whole, &[0; 16], layout(17 * 4, 9), extent(17, 9, 3)));
    log.outcome("too few bytes", short);
    if gpu.has(wgpu::Features::TEXTURE_COMPRESSION_BC) {
        let blocks = gpu.texture("blocks", (16, 8), wgpu::TextureFormat::Bc1RgbaUnorm, usage);
        gpu.queue.write_texture(blocks.as_image_copy(), &pattern(8 * 4 * 2, 6), layout(32, 2), extent(16, 8, 1));
        log.bytes("blocks", gpu.read_texture(&blocks, 0));
    } else {
        log.skip("no BC textures");
    }
}

/// wgpu's own helpers, which map at creation.
fn initialised(gpu: &Gpu, log: &mut Log<'_>) {
    use wgpu::util::{BufferInitDescriptor, DeviceExt, TextureDataOrder};
    let contents = pattern(100, 8);
    let buffer = gpu.device.create_buffer_init(&BufferInitDescriptor {
        label: Some("initialised"),
        contents: &contents,
        usage: wgpu::BufferUsages::COPY_SRC,
    });
    log.bytes("initialised buffer", gpu.read(&buffer));
    let descriptor = wgpu::TextureDescriptor {
        label: Some("initialised"),
        size: extent(8, 8, 2),
        mip_level_count: 2,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::R8Unorm,
        usage: wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    };
    let texels = pattern(2 * (64 + 16), 9);
    let texture = gpu.device.create_texture_with_data(&gpu.queue, &descriptor, TextureDataOrder::LayerMajor, &texels);
    log.bytes("initialised texture", gpu.read_texture(&texture, 0));
    log.bytes("its second mip", gpu.read_texture(&texture, 1));
}

pub(super) fn belt(gpu: &Gpu, log: &mut Log<'_>) {
    let buffer = gpu.buffer("target of the belt", 4096, READABLE);
    let mut belt = wgpu::util::StagingBelt::new(gpu.device.clone(), 512);
    for frame in 0..4 {
        let mut encoder = gpu.encoder("belt");
        for piece in 0..5u64 {
            let size = NonZeroU64::new(64 + 4 * piece).unwrap();
            let mut view = belt.write_buffer(&mut encoder, &buffer, frame * 1024 + piece * 128, size);
            view.copy_from_slice(&pattern(size.get() as usize, (frame * 5 + piece) as usize));
        }
        if frame == 2 {
            belt.finish();
            gpu.queue.submit([encoder.finish()]);
            belt.recall();
        } else {
            belt.finish_and_recall_on_submit(&encoder);
            gpu.queue.submit([encoder.finish()]);
        }
        gpu.wait();
        log.text(&format!("belt after frame {frame}"), chunks(&belt));
        log.step(gpu, "a frame with the belt");
    }
    // One piece larger than a chunk.
    let mut encoder = gpu.encoder("belt");
    belt.write_buffer(&mut encoder, &buffer, 1024, NonZeroU64::new(900).unwrap()).copy_from_slice(&pattern(900, 77));
    belt.finish();
    gpu.queue.submit([encoder.finish()]);
    belt.recall();
    gpu.wait();
    log.bytes("written through the belt", gpu.read(&buffer));
    log.text("belt at the end", chunks(&belt));
    log.step(gpu, "belt");
}

/// How many chunks the belt has in each state.
fn chunks(belt: &wgpu::util::StagingBelt) -> String {
    let text = format!("{belt:?}");
    text[text.find("active_chunks").unwrap()..].to_owned()
}
