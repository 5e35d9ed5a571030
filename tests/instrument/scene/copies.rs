//! Copies of each sort, clears, and transitions.

use super::Log;
use super::tools::{Gpu, extent, layout, pattern};

const BOTH: wgpu::BufferUsages = wgpu::BufferUsages::COPY_DST.union(wgpu::BufferUsages::COPY_SRC);
const TEXTURE_BOTH: wgpu::TextureUsages = wgpu::TextureUsages::COPY_DST.union(wgpu::TextureUsages::COPY_SRC);

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let from = gpu.filled("from", &pattern(2048, 1), BOTH);
    let to = gpu.buffer("to", 2048, BOTH);
    let layers = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("layers"),
        size: extent(16, 8, 4),
        mip_level_count: 3,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: TEXTURE_BOTH,
        view_formats: &[],
    });
    let volume = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("volume"),
        size: extent(16, 8, 4),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D3,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: TEXTURE_BOTH,
        view_formats: &[],
    });
    let line = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("line"),
        size: extent(64, 1, 1),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D1,
        format: wgpu::TextureFormat::R32Uint,
        usage: TEXTURE_BOTH,
        view_formats: &[],
    });
    let source = |layout| wgpu::TexelCopyBufferInfo { buffer: &from, layout };
    gpu.submit("copies", |encoder| {
        encoder.copy_buffer_to_buffer(&from, 0, &to, 1024, Some(512));
        encoder.copy_buffer_to_buffer(&from, 512, &to, 256, 128);
        encoder.copy_buffer_to_texture(source(layout(256, 8)), line.as_image_copy(), extent(64, 1, 1));
        encoder.copy_buffer_to_texture(source(layout(256, 2)), at(&layers, 0, 3, 2, 1), extent(13, 2, 3));
        encoder.copy_texture_to_texture(at(&layers, 0, 3, 2, 1), at(&layers, 1, 0, 0, 0), extent(5, 1, 1));
        encoder.copy_texture_to_texture(at(&layers, 0, 0, 0, 1), at(&volume, 0, 0, 0, 0), extent(16, 8, 3));
        let destination = wgpu::TexelCopyBufferInfo { buffer: &to, layout: layout(256, 2) };
        encoder.copy_texture_to_buffer(at(&volume, 0, 4, 2, 1), destination, extent(8, 2, 1));
    });
    log.step(gpu, "copied");
    log.bytes("buffer", gpu.read(&to));
    for mip in 0..3 {
        log.bytes(&format!("layers, mip {mip}"), gpu.read_texture(&layers, mip));
    }
    log.bytes("volume", gpu.read_texture(&volume, 0));
    log.bytes("line", gpu.read_texture(&line, 0));
    failures(gpu, log, [&from, &to], &layers);
}

fn failures(gpu: &Gpu, log: &mut Log<'_>, [from, to]: [&wgpu::Buffer; 2], layers: &wgpu::Texture) {
    let recorded = |record: &dyn Fn(&mut wgpu::CommandEncoder)| {
        gpu.invalid(|| {
            let mut encoder = gpu.encoder("wrong");
            record(&mut encoder);
            drop(encoder.finish());
        })
    };
    log.outcome("onto itself", recorded(&|encoder| encoder.copy_buffer_to_buffer(from, 0, from, 0, 64)));
    log.outcome("beyond the end", recorded(&|encoder| encoder.copy_buffer_to_buffer(from, 4096, to, 0, 64)));
    let beyond = recorded(&|encoder| {
        encoder.copy_texture_to_texture(at(layers, 0, 8, 0, 0), at(layers, 1, 0, 0, 0), extent(16, 8, 1));
    });
    log.outcome("beyond the texture", beyond);
    log.outcome("no such group", recorded(&|encoder| encoder.pop_debug_group()));
}

pub(super) fn clears(gpu: &Gpu, log: &mut Log<'_>) {
    let buffer = gpu.filled("cleared", &pattern(256, 2), BOTH);
    gpu.submit("clear", |encoder| encoder.clear_buffer(&buffer, 64, Some(32)));
    log.bytes("part", gpu.read(&buffer));
    gpu.submit("clear", |encoder| encoder.clear_buffer(&buffer, 128, None));
    log.bytes("the rest", gpu.read(&buffer));
    if !gpu.has(wgpu::Features::CLEAR_TEXTURE) {
        return log.skip("no clear_texture");
    }
    let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("cleared"),
        size: extent(8, 8, 3),
        mip_level_count: 2,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::R32Float,
        usage: TEXTURE_BOTH | wgpu::TextureUsages::RENDER_ATTACHMENT,
        view_formats: &[],
    });
    gpu.queue.write_texture(texture.as_image_copy(), &pattern(8 * 8 * 4 * 3, 3), layout(32, 8), extent(8, 8, 3));
    gpu.submit("clear", |encoder| {
        let layer = wgpu::ImageSubresourceRange {
            base_array_layer: 1,
            array_layer_count: Some(1),
            mip_level_count: Some(1),
            ..Default::default()
        };
        encoder.clear_texture(&texture, &layer);
    });
    log.bytes("one layer", gpu.read_texture(&texture, 0));
    log.step(gpu, "texture");
}

/// Explicit transitions change nothing that can be seen, but must be taken.
pub(super) fn transitions(gpu: &Gpu, log: &mut Log<'_>) {
    let buffer = gpu.filled("moved", &pattern(64, 4), BOTH);
    let texture = gpu.texture("moved", (8, 8), wgpu::TextureFormat::R8Unorm, TEXTURE_BOTH);
    gpu.queue.write_texture(texture.as_image_copy(), &pattern(64, 5), layout(8, 8), extent(8, 8, 1));
    gpu.submit("transition", |encoder| {
        encoder.transition_resources(
            [wgpu::BufferTransition { buffer: &buffer, state: wgpu::BufferUses::COPY_SRC }].into_iter(),
            [wgpu::TextureTransition { texture: &texture, selector: None, state: wgpu::TextureUses::COPY_SRC }]
                .into_iter(),
        );
    });
    log.bytes("buffer", gpu.read(&buffer));
    log.bytes("texture", gpu.read_texture(&texture, 0));
    let error = gpu.invalid(|| {
        let mut encoder = gpu.encoder("wrong");
        let wrong = wgpu::BufferTransition { buffer: &buffer, state: wgpu::BufferUses::VERTEX };
        encoder.transition_resources([wrong].into_iter(), std::iter::empty());
        drop(encoder.finish());
    });
    log.outcome("into a state without its usage", error);
}

fn at(texture: &wgpu::Texture, mip_level: u32, x: u32, y: u32, z: u32) -> wgpu::TexelCopyTextureInfo<'_> {
    let origin = wgpu::Origin3d { x, y, z };
    wgpu::TexelCopyTextureInfo { texture, mip_level, origin, aspect: wgpu::TextureAspect::All }
}
