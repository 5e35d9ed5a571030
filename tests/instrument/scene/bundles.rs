//! Render bundles: every operation, more than one execution, and what a bundle refuses.

use super::Log;
use super::kit::{COLOR, Kit, SIZE, Target};
use super::tools::{Gpu, panic_of};

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let kit = Kit::new(gpu);
    let pipeline = kit.pipeline(gpu, 1, false);
    let commands: [u32; 9] = [3, 2, 0, 0, 6, 1, 0, 0, 2];
    let indirect = gpu.filled("commands", bytemuck::cast_slice(&commands), wgpu::BufferUsages::INDIRECT);
    let encoder = || {
        gpu.device.create_render_bundle_encoder(&wgpu::RenderBundleEncoderDescriptor {
            label: Some("bundle"),
            color_formats: &[Some(COLOR)],
            depth_stencil: None,
            sample_count: 1,
            multiview: None,
        })
    };
    let bind = |bundle: &mut wgpu::RenderBundleEncoder<'_>, block: u32| {
        bundle.set_bind_group(0, &kit.uniforms, &[block * Kit::STRIDE]);
        bundle.set_bind_group(1, &kit.picture, &[]);
    };
    let mut first = encoder();
    first.set_pipeline(&pipeline);
    bind(&mut first, 0);
    first.set_vertex_buffer(0, kit.vertices.slice(..));
    first.set_vertex_buffer(1, kit.instances.slice(..));
    first.set_index_buffer(kit.indices.slice(..), wgpu::IndexFormat::Uint16);
    first.draw_indexed(0..6, 0, 0..1);
    bind(&mut first, 1);
    first.draw(0..3, 1..2);
    let first = first.finish(&wgpu::RenderBundleDescriptor { label: Some("first") });
    let mut second = encoder();
    second.set_pipeline(&pipeline);
    bind(&mut second, 2);
    second.set_vertex_buffer(0, kit.vertices.slice(..));
    second.set_vertex_buffer(1, kit.instances.slice(28..));
    second.set_index_buffer(kit.indices.slice(..), wgpu::IndexFormat::Uint16);
    second.draw_indirect(&indirect, 0);
    second.draw_indexed_indirect(&indirect, 16);
    let second = second.finish(&wgpu::RenderBundleDescriptor { label: Some("second") });
    log.step(gpu, "bundles");
    let target = Target::new(gpu);
    for round in 0..2 {
        gpu.submit("bundles", |encoder| {
            let mut pass = target.pass(encoder);
            pass.set_blend_constant(wgpu::Color { r: 0.5, g: 0.5, b: 1.0, a: 1.0 });
            pass.execute_bundles([&first, &second]);
            if round == 1 {
                pass.execute_bundles(std::iter::repeat_n(&first, 2));
            }
        });
        log.bytes(&format!("round {round}"), gpu.read_texture(&target.color, 0));
    }
    drop((kit, pipeline, indirect));
    gpu.wait();
    log.step(gpu, "bundles alone hold what they use");
    gpu.submit("bundles", |encoder| target.pass(encoder).execute_bundles([&second]));
    log.bytes("afterwards", gpu.read_texture(&target.color, 0));
    refused(gpu, log, &first);
}

fn refused(gpu: &Gpu, log: &mut Log<'_>, bundle: &wgpu::RenderBundle) {
    // wgpu panics here rather than ask the scopes.
    let unrecordable = panic_of(|| {
        let mut wrong = gpu.device.create_render_bundle_encoder(&wgpu::RenderBundleEncoderDescriptor {
            label: Some("wrong"),
            color_formats: &[Some(COLOR)],
            sample_count: 1,
            ..Default::default()
        });
        wrong.draw(0..3, 0..1);
        drop(wrong.finish(&wgpu::RenderBundleDescriptor { label: Some("wrong") }));
    });
    log.text("a draw without a pipeline", unrecordable);
    log.outcome(
        "a pass of another format",
        gpu.invalid(|| {
            let usage = wgpu::TextureUsages::RENDER_ATTACHMENT;
            let texture = gpu.texture("other", SIZE, wgpu::TextureFormat::R8Unorm, usage);
            let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
            let mut encoder = gpu.encoder("wrong");
            let other = Target { color: texture, view };
            other.pass(&mut encoder).execute_bundles([bundle]);
            drop(encoder.finish());
        }),
    );
}
