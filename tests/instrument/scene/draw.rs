//! Render passes: many samples, depth, stencil, dynamic offsets, viewports, immediates, several targets.

use super::Log;
use super::kit::{COLOR, DEPTH, Kit, SIZE, Target, cleared};
use super::tools::{Gpu, extent, layout};

const TARGET: wgpu::TextureUsages = wgpu::TextureUsages::RENDER_ATTACHMENT;

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let kit = Kit::new(gpu);
    log.step(gpu, "kit");
    many_samples(gpu, log, &kit);
    one_sample(gpu, log, &kit);
    failures(gpu, log, &kit);
}

fn texture_of(
    gpu: &Gpu,
    label: &str,
    sample_count: u32,
    format: wgpu::TextureFormat,
    usage: wgpu::TextureUsages,
) -> wgpu::Texture {
    gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: extent(SIZE.0, SIZE.1, 1),
        mip_level_count: 1,
        sample_count,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    })
}

fn many_samples(gpu: &Gpu, log: &mut Log<'_>, kit: &Kit) {
    let target = Target::new(gpu);
    let color = texture_of(gpu, "samples", 4, COLOR, TARGET).create_view(&wgpu::TextureViewDescriptor::default());
    let depth = texture_of(gpu, "depth", 4, DEPTH, TARGET).create_view(&wgpu::TextureViewDescriptor::default());
    let pipeline = kit.pipeline(gpu, 4, true);
    log.step(gpu, "targets that only views hold");
    gpu.submit("many samples", |encoder| {
        encoder.push_debug_group("frame");
        encoder.insert_debug_marker("begin");
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("many samples"),
            color_attachments: &[Some(cleared(&color, Some(&target.view)))],
            depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
                view: &depth,
                depth_ops: Some(wgpu::Operations { load: wgpu::LoadOp::Clear(1.0), store: wgpu::StoreOp::Store }),
                stencil_ops: Some(wgpu::Operations { load: wgpu::LoadOp::Clear(1), store: wgpu::StoreOp::Discard }),
            }),
            ..Default::default()
        });
        pass.push_debug_group("objects");
        pass.set_pipeline(&pipeline);
        kit.bind(&mut pass, 0);
        pass.set_stencil_reference(1);
        pass.draw_indexed(0..6, 0, 0..3);
        pass.insert_debug_marker("second");
        pass.set_bind_group(0, &kit.uniforms, &[Kit::STRIDE]);
        pass.set_stencil_reference(2);
        pass.draw_indexed(0..3, 1, 1..3);
        pass.set_bind_group(0, &kit.uniforms, &[2 * Kit::STRIDE]);
        pass.set_viewport(8.0, 4.0, 40.0, 40.0, 0.0, 0.9);
        pass.set_scissor_rect(10, 8, 30, 30);
        pass.draw(0..3, 0..2);
        pass.pop_debug_group();
        drop(pass);
        encoder.pop_debug_group();
    });
    log.bytes("resolved", gpu.read_texture(&target.color, 0));
}

fn one_sample(gpu: &Gpu, log: &mut Log<'_>, kit: &Kit) {
    let target = Target::new(gpu);
    let format = wgpu::TextureFormat::Depth24PlusStencil8;
    let depth = texture_of(gpu, "depth", 1, format, TARGET | wgpu::TextureUsages::COPY_SRC);
    let view = depth.create_view(&wgpu::TextureViewDescriptor::default());
    let pipeline = kit.pipeline(gpu, 1, true);
    let mut encoder = gpu.encoder("one sample");
    let pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some("one sample"),
        color_attachments: &[Some(cleared(&target.view, None))],
        depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
            view: &view,
            depth_ops: Some(wgpu::Operations { load: wgpu::LoadOp::Clear(0.8), store: wgpu::StoreOp::Store }),
            stencil_ops: Some(wgpu::Operations { load: wgpu::LoadOp::Clear(5), store: wgpu::StoreOp::Store }),
        }),
        ..Default::default()
    });
    // A pass that outlives the borrow of its encoder, and loses bindings on the way.
    let mut pass = pass.forget_lifetime();
    pass.set_pipeline(&pipeline);
    kit.bind(&mut pass, 1);
    pass.set_stencil_reference(4);
    pass.draw_indexed(0..6, 0, 0..2);
    pass.set_vertex_buffer(1, None);
    pass.set_bind_group(1, None, &[]);
    pass.set_vertex_buffer(1, kit.instances.slice(28..));
    pass.set_bind_group(1, Some(&kit.picture), &[]);
    pass.draw(0..3, 0..1);
    drop(pass);
    gpu.queue.submit([encoder.finish()]);
    log.bytes("color", gpu.read_texture(&target.color, 0));
    log.bytes("stencil", gpu.read_aspect(&depth, 0, wgpu::TextureAspect::StencilOnly));
}

fn failures(gpu: &Gpu, log: &mut Log<'_>, kit: &Kit) {
    let target = Target::new(gpu);
    let pipeline = kit.pipeline(gpu, 1, false);
    let drawn = |draw: &dyn Fn(&mut wgpu::RenderPass<'_>)| {
        gpu.invalid(|| {
            let mut encoder = gpu.encoder("wrong");
            draw(&mut target.pass(&mut encoder));
            drop(encoder.finish());
        })
    };
    log.outcome("no pipeline", drawn(&|pass| pass.draw(0..3, 0..1)));
    log.outcome(
        "nothing bound",
        drawn(&|pass| {
            pass.set_pipeline(&pipeline);
            pass.draw(0..3, 0..1);
        }),
    );
    log.outcome("odd dynamic offset", drawn(&|pass| pass.set_bind_group(0, &kit.uniforms, &[7])));
    log.outcome(
        "too many vertices",
        drawn(&|pass| {
            pass.set_pipeline(&pipeline);
            kit.bind(pass, 0);
            pass.draw(0..99, 0..1);
        }),
    );
    log.outcome("viewport beyond limits", drawn(&|pass| pass.set_viewport(0.0, 0.0, 1e9, 1e9, 0.0, 1.0)));
    log.outcome("group left open", drawn(&|pass| pass.push_debug_group("open")));
    let pass_left_open = gpu.invalid(|| {
        let mut encoder = gpu.encoder("open");
        let pass = target.pass(&mut encoder).forget_lifetime();
        drop(encoder.finish());
        drop(pass);
    });
    log.outcome("pass left open", pass_left_open);
    let sampled = gpu.invalid(|| {
        let error = gpu.texture("samples", SIZE, wgpu::TextureFormat::Rgba32Uint, TARGET);
        let view = error.create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder = gpu.encoder("wrong");
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(cleared(&view, None))],
            ..Default::default()
        });
        pass.set_pipeline(&pipeline);
        drop(pass);
        drop(encoder.finish());
    });
    log.outcome("pipeline for another format", sampled);
}

/// Two targets at once, one of them a slice of a volume, and a gap between them.
pub(super) fn layers(gpu: &Gpu, log: &mut Log<'_>) {
    let usage = TARGET | wgpu::TextureUsages::COPY_SRC | wgpu::TextureUsages::COPY_DST;
    let first = Target::new(gpu);
    let volume = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("slices"),
        size: extent(SIZE.0, SIZE.1, 3),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D3,
        format: COLOR,
        usage,
        view_formats: &[],
    });
    // A pass on one slice makes wgpu take them all for initialized: the others hold what their memory held before.
    let row = 4 * SIZE.0;
    let zeros = vec![0; (row * SIZE.1 * 3) as usize];
    gpu.queue.write_texture(volume.as_image_copy(), &zeros, layout(row, SIZE.1), extent(SIZE.0, SIZE.1, 3));
    let slices = volume.create_view(&wgpu::TextureViewDescriptor::default());
    let module = gpu.shader(
        "several",
        "struct Out { @location(0) first: vec4f, @location(2) second: vec4f }
         @vertex fn vertex(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
             return vec4f(f32(i / 2u) * 4.0 - 1.0, f32(i % 2u) * 4.0 - 1.0, 0.5, 1.0);
         }
         @fragment fn fragment(@builtin(position) at: vec4f) -> Out {
             return Out(vec4f(at.x / 64.0, 0.0, 0.0, 1.0), vec4f(0.0, at.y / 48.0, 0.0, 1.0));
         }",
    );
    let options = wgpu::PipelineCompilationOptions::default;
    let target = Some(wgpu::ColorTargetState::from(COLOR));
    let pipeline = gpu.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("several"),
        layout: None,
        vertex: wgpu::VertexState { module: &module, entry_point: None, compilation_options: options(), buffers: &[] },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: None,
            compilation_options: options(),
            targets: &[target.clone(), None, target],
        }),
        multiview_mask: None,
        cache: None,
    });
    gpu.submit("several", |encoder| {
        let slice = wgpu::RenderPassColorAttachment { depth_slice: Some(1), ..cleared(&slices, None) };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("several"),
            color_attachments: &[Some(cleared(&first.view, None)), None, Some(slice)],
            ..Default::default()
        });
        pass.set_pipeline(&pipeline);
        pass.draw(0..3, 0..1);
    });
    log.bytes("first", gpu.read_texture(&first.color, 0));
    log.bytes("slices", gpu.read_texture(&volume, 0));
    log.step(gpu, "several targets");
}

/// Bytes that go along with the commands.
pub(super) fn immediates(gpu: &Gpu, log: &mut Log<'_>) {
    if !gpu.has(wgpu::Features::IMMEDIATES) {
        return log.skip("no immediates");
    }
    let module = gpu.shader(
        "immediates",
        "struct Given { color: vec4f, shift: vec2f }
         var<immediate> given: Given;
         @vertex fn vertex(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
             return vec4f(vec2f(f32(i / 2u), f32(i % 2u)) + given.shift, 0.5, 1.0);
         }
         @fragment fn fragment() -> @location(0) vec4f { return given.color; }",
    );
    let options = wgpu::PipelineCompilationOptions::default;
    let layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("immediates"),
        bind_group_layouts: &[],
        immediate_size: 32,
    });
    let pipeline = gpu.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("immediates"),
        layout: Some(&layout),
        vertex: wgpu::VertexState { module: &module, entry_point: None, compilation_options: options(), buffers: &[] },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: None,
            compilation_options: options(),
            targets: &[Some(COLOR.into())],
        }),
        multiview_mask: None,
        cache: None,
    });
    let target = Target::new(gpu);
    gpu.submit("immediates", |encoder| {
        let mut pass = target.pass(encoder);
        pass.set_pipeline(&pipeline);
        for i in 0..3 {
            let shade = i as f32 / 3.0;
            pass.set_immediates(0, bytemuck::cast_slice(&[shade, 1.0 - shade, 0.5f32, 1.0]));
            pass.set_immediates(16, bytemuck::cast_slice(&[shade - 0.9, shade * 0.5 - 0.4, 0.0f32, 0.0]));
            pass.draw(0..3, 0..1);
        }
    });
    log.bytes("picture", gpu.read_texture(&target.color, 0));
    log.outcome(
        "beyond the layout",
        gpu.invalid(|| {
            let mut encoder = gpu.encoder("wrong");
            let mut pass = target.pass(&mut encoder);
            pass.set_pipeline(&pipeline);
            pass.set_immediates(24, &[0; 16]);
            drop(pass);
            drop(encoder.finish());
        }),
    );
}
