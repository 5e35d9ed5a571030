//! Handles that were not made through the instance that they are used with: every call says so in an error, and goes on.

use crate::bench::Bench;
use crate::scene::{Gpu, noop_instance, panic_of};
use wgpu::BufferUsages as B;
use wgpu::TextureUsages as T;

/// One object of each sort, of one device.
struct Things {
    gpu: Gpu,
    buffer: wgpu::Buffer,
    texture: wgpu::Texture,
    view: wgpu::TextureView,
    sampler: wgpu::Sampler,
    layout: wgpu::BindGroupLayout,
    group: wgpu::BindGroup,
    pipeline_layout: wgpu::PipelineLayout,
    module: wgpu::ShaderModule,
    compute: wgpu::ComputePipeline,
    render: wgpu::RenderPipeline,
    queries: wgpu::QuerySet,
    bundle: wgpu::RenderBundle,
    cache: wgpu::PipelineCache,
    blas: wgpu::Blas,
    tlas: wgpu::Tlas,
    external: wgpu::ExternalTexture,
}

const SHADER: &str = "
    @group(0) @binding(0) var<storage, read_write> n: array<u32>;
    @compute @workgroup_size(1) fn compute() { n[0] += 1u; }
    @vertex fn vertex() -> @builtin(position) vec4f { return vec4f(0.0); }
    @fragment fn fragment() -> @location(0) vec4f { return vec4f(1.0); }
";
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
const EXTENT: wgpu::Extent3d = wgpu::Extent3d { width: 4, height: 4, depth_or_array_layers: 1 };

impl Things {
    fn of(gpu: Gpu) -> Self {
        let device = &gpu.device;
        let usage = B::STORAGE | B::COPY_SRC | B::COPY_DST | B::VERTEX | B::INDEX | B::INDIRECT | B::QUERY_RESOLVE;
        let buffer = gpu.buffer("thing", 256, usage | B::BLAS_INPUT);
        let texture =
            gpu.texture("thing", (4, 4), FORMAT, T::COPY_SRC | T::COPY_DST | T::TEXTURE_BINDING | T::RENDER_ATTACHMENT);
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let layout = storage_layout(device);
        let pipeline_layout = pipeline_layout(device, &layout);
        let module = gpu.shader("thing", SHADER);
        let parts = Parts { layout: &pipeline_layout, module: &module, cache: None };
        let (compute, render) = (parts.compute(device), parts.render(device));
        let count = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 2 };
        let cache = wgpu::PipelineCacheDescriptor { label: None, data: None, fallback: true };
        Self {
            sampler: device.create_sampler(&wgpu::SamplerDescriptor::default()),
            group: bind(device, &layout, buffer.as_entire_binding()),
            queries: device.create_query_set(&count),
            bundle: bundle_encoder(device).finish(&wgpu::RenderBundleDescriptor::default()),
            // SAFETY: no data is given.
            cache: unsafe { device.create_pipeline_cache(&cache) },
            blas: blas(device),
            tlas: tlas(device),
            external: external(device, &view),
            buffer,
            texture,
            view,
            layout,
            pipeline_layout,
            module,
            compute,
            render,
            gpu,
        }
    }
}

fn storage_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    layout_of(
        device,
        wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: false },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
    )
}

fn layout_of(device: &wgpu::Device, ty: wgpu::BindingType) -> wgpu::BindGroupLayout {
    let visibility = wgpu::ShaderStages::COMPUTE;
    let entries = &[wgpu::BindGroupLayoutEntry { binding: 0, visibility, ty, count: None }];
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries })
}

fn bind(device: &wgpu::Device, layout: &wgpu::BindGroupLayout, resource: wgpu::BindingResource<'_>) -> wgpu::BindGroup {
    let entries = &[wgpu::BindGroupEntry { binding: 0, resource }];
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries })
}

fn pipeline_layout(device: &wgpu::Device, group: &wgpu::BindGroupLayout) -> wgpu::PipelineLayout {
    let bind_group_layouts = &[Some(group)];
    device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts,
        immediate_size: 0,
    })
}

#[derive(Clone, Copy)]
struct Parts<'a> {
    layout: &'a wgpu::PipelineLayout,
    module: &'a wgpu::ShaderModule,
    cache: Option<&'a wgpu::PipelineCache>,
}

impl Parts<'_> {
    fn compute(self, device: &wgpu::Device) -> wgpu::ComputePipeline {
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: Some(self.layout),
            module: self.module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: self.cache,
        })
    }

    fn render(self, device: &wgpu::Device) -> wgpu::RenderPipeline {
        let options = wgpu::PipelineCompilationOptions::default;
        device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: None,
            layout: Some(self.layout),
            vertex: wgpu::VertexState {
                module: self.module,
                entry_point: None,
                compilation_options: options(),
                buffers: &[],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: None,
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: self.module,
                entry_point: None,
                compilation_options: options(),
                targets: &[Some(FORMAT.into())],
            }),
            multiview_mask: None,
            cache: self.cache,
        })
    }
}

fn bundle_encoder(device: &wgpu::Device) -> wgpu::RenderBundleEncoder<'_> {
    device.create_render_bundle_encoder(&wgpu::RenderBundleEncoderDescriptor {
        color_formats: &[Some(FORMAT)],
        sample_count: 1,
        ..Default::default()
    })
}

fn triangle() -> wgpu::BlasTriangleGeometrySizeDescriptor {
    wgpu::BlasTriangleGeometrySizeDescriptor {
        vertex_format: wgpu::VertexFormat::Float32x3,
        vertex_count: 3,
        index_format: None,
        index_count: None,
        flags: wgpu::AccelerationStructureGeometryFlags::OPAQUE,
    }
}

fn blas(device: &wgpu::Device) -> wgpu::Blas {
    let descriptor = wgpu::CreateBlasDescriptor {
        label: None,
        flags: wgpu::AccelerationStructureFlags::ALLOW_COMPACTION,
        update_mode: wgpu::AccelerationStructureUpdateMode::Build,
    };
    device.create_blas(&descriptor, wgpu::BlasGeometrySizeDescriptors::Triangles { descriptors: vec![triangle()] })
}

fn tlas(device: &wgpu::Device) -> wgpu::Tlas {
    device.create_tlas(&wgpu::CreateTlasDescriptor {
        label: None,
        max_instances: 1,
        flags: wgpu::AccelerationStructureFlags::empty(),
        update_mode: wgpu::AccelerationStructureUpdateMode::Build,
    })
}

fn external(device: &wgpu::Device, plane: &wgpu::TextureView) -> wgpu::ExternalTexture {
    let linear = wgpu::ExternalTextureTransferFunction { a: 1.0, b: 1.0, g: 1.0, k: 1.0 };
    let descriptor = wgpu::ExternalTextureDescriptor {
        label: None,
        width: 4,
        height: 4,
        format: wgpu::ExternalTextureFormat::Rgba,
        yuv_conversion_matrix: [0.0; 16],
        gamut_conversion_matrix: [0.0; 9],
        src_transfer_function: linear,
        dst_transfer_function: linear,
        sample_transform: [1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        load_transform: [1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
    };
    device.create_external_texture(&descriptor, &[plane])
}

type Call = fn(&Things, &Things);

/// Calls on the first one's device with a handle of the second one's.
const CALLS: &[(&str, Call)] = &[
    ("Queue::write_buffer", |a, b| a.gpu.queue.write_buffer(&b.buffer, 0, &[0; 4])),
    ("Queue::write_buffer_with", |a, b| {
        assert!(a.gpu.queue.write_buffer_with(&b.buffer, 0, std::num::NonZeroU64::new(4).unwrap()).is_none());
    }),
    ("Queue::write_texture", |a, b| {
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(16), rows_per_image: None };
        a.gpu.queue.write_texture(b.texture.as_image_copy(), &[0; 64], layout, EXTENT);
    }),
    ("Queue::submit", |a, b| _ = a.gpu.queue.submit([b.gpu.encoder("theirs").finish()])),
    ("copy from a buffer", |a, b| recorded(a, |e| e.copy_buffer_to_buffer(&b.buffer, 0, &a.buffer, 0, 16))),
    ("copy to a buffer", |a, b| recorded(a, |e| e.copy_buffer_to_buffer(&a.buffer, 0, &b.buffer, 0, 16))),
    ("copy to a texture", |a, b| {
        recorded(a, |e| e.copy_buffer_to_texture(rows(&a.buffer), b.texture.as_image_copy(), EXTENT));
    }),
    ("copy from a texture", |a, b| {
        recorded(a, |e| e.copy_texture_to_buffer(b.texture.as_image_copy(), rows(&a.buffer), EXTENT));
    }),
    ("copy between textures", |a, b| {
        recorded(a, |e| e.copy_texture_to_texture(a.texture.as_image_copy(), b.texture.as_image_copy(), EXTENT));
    }),
    ("clear of a buffer", |a, b| recorded(a, |e| e.clear_buffer(&b.buffer, 0, None))),
    ("clear of a texture", |a, b| recorded(a, |e| e.clear_texture(&b.texture, &Default::default()))),
    ("resolve of a query set", |a, b| recorded(a, |e| e.resolve_query_set(&b.queries, 0..2, &a.buffer, 0))),
    ("resolve to a buffer", |a, b| recorded(a, |e| e.resolve_query_set(&a.queries, 0..2, &b.buffer, 0))),
    ("timestamp", |a, b| recorded(a, |e| e.write_timestamp(&b.queries, 0))),
    ("transition of a buffer", |a, b| {
        let state = wgpu::BufferUses::COPY_SRC;
        let one = wgpu::BufferTransition { buffer: &b.buffer, state };
        recorded(a, |e| e.transition_resources([one].into_iter(), std::iter::empty()));
    }),
    ("build of a BLAS", |a, b| recorded(a, |e| build(e, &b.blas, &a.buffer))),
    ("build from a buffer", |a, b| recorded(a, |e| build(e, &a.blas, &b.buffer))),
    ("build of a TLAS", |a, b| recorded(a, |e| e.build_acceleration_structures([], [&b.tlas]))),
    ("TLAS of a BLAS", |a, b| {
        let mut tlas = tlas(&a.gpu.device);
        tlas[0] = Some(wgpu::TlasInstance::new(&b.blas, [0.0; 12], 0, 0xff));
        recorded(a, |e| e.build_acceleration_structures([], [&tlas]));
    }),
    ("bind of a buffer", |a, b| drop(bind(&a.gpu.device, &a.layout, b.buffer.as_entire_binding()))),
    ("bind by a layout", |a, b| drop(bind(&a.gpu.device, &b.layout, a.buffer.as_entire_binding()))),
    ("bind of a sampler", |a, b| {
        let layout = layout_of(&a.gpu.device, wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering));
        drop(bind(&a.gpu.device, &layout, wgpu::BindingResource::Sampler(&b.sampler)));
    }),
    ("bind of a view", |a, b| drop(bind(&a.gpu.device, &a.layout, wgpu::BindingResource::TextureView(&b.view)))),
    ("bind of views", |a, b| {
        drop(bind(&a.gpu.device, &a.layout, wgpu::BindingResource::TextureViewArray(&[&a.view, &b.view])));
    }),
    ("bind of buffers", |a, b| {
        let one = |buffer| wgpu::BufferBinding { buffer, offset: 0, size: None };
        let both = [one(&a.buffer), one(&b.buffer)];
        drop(bind(&a.gpu.device, &a.layout, wgpu::BindingResource::BufferArray(&both)));
    }),
    ("bind of a TLAS", |a, b| {
        drop(bind(&a.gpu.device, &a.layout, wgpu::BindingResource::AccelerationStructure(&b.tlas)));
    }),
    ("bind of an external texture", |a, b| {
        drop(bind(&a.gpu.device, &a.layout, wgpu::BindingResource::ExternalTexture(&b.external)));
    }),
    ("external texture of a plane", |a, b| drop(external(&a.gpu.device, &b.view))),
    ("pipeline layout", |a, b| drop(pipeline_layout(&a.gpu.device, &b.layout))),
    ("compute pipeline by a layout", |a, b| drop(a.parts().layout(b).compute(&a.gpu.device))),
    ("compute pipeline of a module", |a, b| drop(a.parts().module(b).compute(&a.gpu.device))),
    ("compute pipeline in a cache", |a, b| drop(a.parts().cache(b).compute(&a.gpu.device))),
    ("render pipeline by a layout", |a, b| drop(a.parts().layout(b).render(&a.gpu.device))),
    ("render pipeline of a module", |a, b| drop(a.parts().module(b).render(&a.gpu.device))),
    ("render pipeline in a cache", |a, b| drop(a.parts().cache(b).render(&a.gpu.device))),
    ("pass to a view", |a, b| recorded(a, |e| drop(pass(e, &b.view)))),
    ("pass that resolves to a view", |a, b| {
        let (view, resolve_target) = (&a.view, Some(&b.view));
        let ops = wgpu::Operations::default();
        let attachment = wgpu::RenderPassColorAttachment { view, depth_slice: None, resolve_target, ops };
        let color_attachments = &[Some(attachment)];
        recorded(a, |e| {
            e.begin_render_pass(&wgpu::RenderPassDescriptor { color_attachments, ..Default::default() });
        });
    }),
    ("pass with depth", |a, b| {
        let ops = Some(wgpu::Operations::default());
        let depth = wgpu::RenderPassDepthStencilAttachment { view: &b.view, depth_ops: ops, stencil_ops: None };
        recorded(a, |e| {
            let depth_stencil_attachment = Some(depth);
            e.begin_render_pass(&wgpu::RenderPassDescriptor { depth_stencil_attachment, ..Default::default() });
        });
    }),
    ("pass with occlusion queries", |a, b| {
        recorded(a, |e| {
            e.begin_render_pass(&wgpu::RenderPassDescriptor {
                occlusion_query_set: Some(&b.queries),
                ..Default::default()
            });
        });
    }),
    ("pass with times", |a, b| {
        let writes = wgpu::ComputePassTimestampWrites {
            query_set: &b.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: None,
        };
        recorded(a, |e| {
            e.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(writes) });
        });
    }),
    ("RenderPass::set_pipeline", |a, b| passed(a, |p| p.set_pipeline(&b.render))),
    ("RenderPass::set_bind_group", |a, b| passed(a, |p| p.set_bind_group(0, &b.group, &[]))),
    ("RenderPass::set_vertex_buffer", |a, b| passed(a, |p| p.set_vertex_buffer(0, b.buffer.slice(..)))),
    ("RenderPass::set_index_buffer", |a, b| {
        passed(a, |p| p.set_index_buffer(b.buffer.slice(..), wgpu::IndexFormat::Uint16));
    }),
    ("RenderPass::draw_indirect", |a, b| passed(a, |p| p.draw_indirect(&b.buffer, 0))),
    ("RenderPass::draw_indexed_indirect", |a, b| passed(a, |p| p.draw_indexed_indirect(&b.buffer, 0))),
    ("RenderPass::multi_draw_indirect", |a, b| passed(a, |p| p.multi_draw_indirect(&b.buffer, 0, 1))),
    ("RenderPass::multi_draw_indirect_count", |a, b| {
        passed(a, |p| p.multi_draw_indirect_count(&a.buffer, 0, &b.buffer, 0, 1));
    }),
    ("RenderPass::write_timestamp", |a, b| passed(a, |p| p.write_timestamp(&b.queries, 0))),
    ("RenderPass::begin_pipeline_statistics_query", |a, b| {
        passed(a, |p| p.begin_pipeline_statistics_query(&b.queries, 0));
    }),
    ("RenderPass::execute_bundles", |a, b| passed(a, |p| p.execute_bundles([&a.bundle, &b.bundle]))),
    ("ComputePass::set_pipeline", |a, b| computed(a, |p| p.set_pipeline(&b.compute))),
    ("ComputePass::set_bind_group", |a, b| computed(a, |p| p.set_bind_group(0, &b.group, &[]))),
    ("ComputePass::dispatch_workgroups_indirect", |a, b| computed(a, |p| p.dispatch_workgroups_indirect(&b.buffer, 0))),
    ("bundle of a pipeline", |a, b| bundled(a, |bundle| bundle.set_pipeline(&b.render))),
    ("bundle of a bind group", |a, b| bundled(a, |bundle| bundle.set_bind_group(0, &b.group, &[]))),
    ("bundle of a buffer", |a, b| bundled(a, |bundle| bundle.set_vertex_buffer(0, b.buffer.slice(..)))),
];

impl Things {
    fn parts(&self) -> Parts<'_> {
        Parts { layout: &self.pipeline_layout, module: &self.module, cache: Some(&self.cache) }
    }
}

impl<'a> Parts<'a> {
    fn layout(self, of: &'a Things) -> Self {
        Self { layout: &of.pipeline_layout, ..self }
    }

    fn module(self, of: &'a Things) -> Self {
        Self { module: &of.module, ..self }
    }

    fn cache(self, of: &'a Things) -> Self {
        Self { cache: Some(&of.cache), ..self }
    }
}

fn recorded(things: &Things, record: impl FnOnce(&mut wgpu::CommandEncoder)) {
    let mut encoder = things.gpu.encoder("ours");
    record(&mut encoder);
    drop(encoder.finish());
}

fn pass<'e>(encoder: &'e mut wgpu::CommandEncoder, view: &wgpu::TextureView) -> wgpu::RenderPass<'e> {
    let attachment =
        wgpu::RenderPassColorAttachment { view, depth_slice: None, resolve_target: None, ops: Default::default() };
    let color_attachments = &[Some(attachment)];
    encoder.begin_render_pass(&wgpu::RenderPassDescriptor { color_attachments, ..Default::default() })
}

fn passed(things: &Things, work: impl FnOnce(&mut wgpu::RenderPass<'_>)) {
    recorded(things, |encoder| work(&mut pass(encoder, &things.view)));
}

fn computed(things: &Things, work: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
    recorded(things, |encoder| work(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default())));
}

fn bundled<'a>(things: &'a Things, work: impl FnOnce(&mut wgpu::RenderBundleEncoder<'a>)) {
    let mut encoder = bundle_encoder(&things.gpu.device);
    work(&mut encoder);
    drop(encoder.finish(&wgpu::RenderBundleDescriptor::default()));
}

fn rows(buffer: &wgpu::Buffer) -> wgpu::TexelCopyBufferInfo<'_> {
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(256), rows_per_image: None };
    wgpu::TexelCopyBufferInfo { buffer, layout }
}

fn build(encoder: &mut wgpu::CommandEncoder, blas: &wgpu::Blas, vertices: &wgpu::Buffer) {
    let size = triangle();
    let geometry = wgpu::BlasTriangleGeometry {
        size: &size,
        vertex_buffer: vertices,
        first_vertex: 0,
        vertex_stride: 12,
        index_buffer: None,
        first_index: None,
        transform_buffer: None,
        transform_buffer_offset: None,
    };
    let geometry = wgpu::BlasGeometries::TriangleGeometries(vec![geometry]);
    encoder.build_acceleration_structures([&wgpu::BlasBuildEntry { blas, geometry }], []);
}

#[test]
fn every_call_with_a_handle_from_elsewhere_says_so_in_an_error() {
    let ours = Bench::on_noop();
    let other = Bench::on_noop();
    let ours_things = Things::of(ours.gpu);
    let strangers = [("the plain one", Gpu::open(&noop_instance()).unwrap()), ("another instrumented one", other.gpu)];
    let mut wrong = Vec::new();
    for (whose, gpu) in strangers {
        let theirs = Things::of(gpu);
        for (what, call) in CALLS {
            let mut error = None;
            let panicked = panic_of(|| error = ours_things.gpu.invalid(|| call(&ours_things, &theirs)));
            let text = error.map(|error| error.to_string()).unwrap_or_default();
            if panicked != "no panic" || !text.contains("engine-vitals") || !text.contains("instrumented instance") {
                wrong.push(format!("{what}, handle of {whose}: panic: {panicked}; error: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The device works as before.
    let error = ours_things.gpu.invalid(|| {
        ours_things.gpu.submit("after", |encoder| encoder.clear_buffer(&ours_things.buffer, 0, None));
        ours_things.gpu.wait();
    });
    assert!(error.is_none(), "{error:?}");
    drop(ours_things);
    let mut books = ours.books;
    books.assert_closed();
    books.assert_told();
}
