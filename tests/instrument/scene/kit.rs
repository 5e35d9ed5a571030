//! Pipelines that several stages use.

use super::tools::{Gpu, extent, layout, pattern};

pub(super) const COLOR: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
pub(super) const DEPTH: wgpu::TextureFormat = wgpu::TextureFormat::Depth24PlusStencil8;
pub(super) const SIZE: (u32, u32) = (64, 48);

/// A pipeline of one entry point, with the layout that follows from the shader.
pub(crate) fn compute_pipeline(gpu: &Gpu, label: &str, source: &str) -> wgpu::ComputePipeline {
    compute_pipeline_of(gpu, label, None, &gpu.shader(label, source))
}

pub(super) fn compute_pipeline_of(
    gpu: &Gpu,
    label: &str,
    group: Option<&wgpu::BindGroupLayout>,
    module: &wgpu::ShaderModule,
) -> wgpu::ComputePipeline {
    let layout = group.map(|group| {
        gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(label),
            bind_group_layouts: &[Some(group)],
            immediate_size: 0,
        })
    });
    gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: layout.as_ref(),
        module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

/// One dispatch with `resources` as bindings 0, 1, …
pub(super) fn run_compute(
    gpu: &Gpu,
    pipeline: &wgpu::ComputePipeline,
    resources: &[wgpu::BindingResource<'_>],
    (x, y, z): (u32, u32, u32),
) {
    let entries: Vec<_> =
        (0..).zip(resources).map(|(binding, r)| wgpu::BindGroupEntry { binding, resource: r.clone() }).collect();
    let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("bindings"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    gpu.submit("dispatch", |encoder| {
        let mut pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("dispatch"), timestamp_writes: None });
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(x, y, z);
    });
}

/// Meshes, uniforms at three offsets, a picture, and pipelines that draw them.
pub(super) struct Kit {
    /// Four corners: position and texture coordinates.
    pub(super) vertices: wgpu::Buffer,
    /// Two triangles.
    pub(super) indices: wgpu::Buffer,
    /// Three places and colours.
    pub(super) instances: wgpu::Buffer,
    /// Three blocks of uniforms, [`Kit::STRIDE`] apart, bound with a dynamic offset.
    pub(super) uniforms: wgpu::BindGroup,
    pub(super) picture: wgpu::BindGroup,
    layout: wgpu::PipelineLayout,
    module: wgpu::ShaderModule,
}

const SHADER: &str = "
    struct Uniforms { shift: vec2f, size: vec2f, tint: vec4f }
    @group(0) @binding(0) var<uniform> uniforms: Uniforms;
    @group(1) @binding(0) var picture: texture_2d<f32>;
    @group(1) @binding(1) var how: sampler;
    struct Corner { @builtin(position) position: vec4f, @location(0) uv: vec2f, @location(1) color: vec4f }
    @vertex fn vertex(
        @location(0) position: vec3f, @location(1) uv: vec2f, @location(2) place: vec3f, @location(3) color: vec4f,
    ) -> Corner {
        let flat = position.xy * uniforms.size + uniforms.shift + place.xy;
        return Corner(vec4f(flat, position.z + place.z, 1.0), uv, color);
    }
    @fragment fn fragment(in: Corner) -> @location(0) vec4f {
        return textureSample(picture, how, in.uv) * in.color * uniforms.tint;
    }
";

impl Kit {
    /// Bytes from one block of uniforms to the next.
    pub(super) const STRIDE: u32 = 256;

    pub(super) fn new(gpu: &Gpu) -> Self {
        let corners: [f32; 20] =
            [-0.8, -0.8, 0.2, 0.0, 1.0, 0.8, -0.8, 0.4, 1.0, 1.0, 0.8, 0.8, 0.6, 1.0, 0.0, -0.8, 0.8, 0.4, 0.0, 0.0];
        let places: [f32; 21] =
            [0.0, 0.0, 0.0, 1.0, 0.6, 0.4, 0.8, 0.5, 0.2, 0.2, 0.4, 1.0, 0.6, 0.6, -0.4, -0.3, 0.1, 0.5, 0.7, 1.0, 1.0];
        let mut blocks = vec![0f32; 3 * Self::STRIDE as usize / 4];
        for block in 0..3 {
            let at = block * Self::STRIDE as usize / 4;
            let shade = 0.4 + 0.3 * block as f32;
            let values = [0.2 * block as f32 - 0.2, 0.1, shade, 0.7, shade, 0.9, 1.0 - shade / 2.0, 0.9];
            blocks[at..at + 8].copy_from_slice(&values);
        }
        let buffer = gpu.filled("uniforms", bytemuck::cast_slice(&blocks), wgpu::BufferUsages::UNIFORM);
        let (uniforms_layout, uniforms) = Self::uniforms(gpu, &buffer);
        let (picture_layout, picture) = Self::picture(gpu);
        let layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("kit"),
            bind_group_layouts: &[Some(&uniforms_layout), Some(&picture_layout)],
            immediate_size: 0,
        });
        Self {
            vertices: gpu.filled("vertices", bytemuck::cast_slice(&corners), wgpu::BufferUsages::VERTEX),
            indices: gpu.filled("indices", bytemuck::cast_slice(&[0u16, 1, 2, 0, 2, 3]), wgpu::BufferUsages::INDEX),
            instances: gpu.filled("instances", bytemuck::cast_slice(&places), wgpu::BufferUsages::VERTEX),
            uniforms,
            picture,
            layout,
            module: gpu.shader("kit", SHADER),
        }
    }

    fn uniforms(gpu: &Gpu, buffer: &wgpu::Buffer) -> (wgpu::BindGroupLayout, wgpu::BindGroup) {
        let layout = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("uniforms"),
            entries: &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::VERTEX_FRAGMENT,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Uniform,
                    has_dynamic_offset: true,
                    min_binding_size: std::num::NonZeroU64::new(32),
                },
                count: None,
            }],
        });
        let block = wgpu::BufferBinding { buffer, offset: 0, size: std::num::NonZeroU64::new(32) };
        let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("uniforms"),
            layout: &layout,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(block) }],
        });
        (layout, group)
    }

    /// The texture and its view are dropped here: the bind group alone keeps them.
    fn picture(gpu: &Gpu) -> (wgpu::BindGroupLayout, wgpu::BindGroup) {
        let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST;
        let texture = gpu.texture("picture", (16, 16), COLOR, usage);
        gpu.queue.write_texture(texture.as_image_copy(), &pattern(16 * 16 * 4, 9), layout(64, 16), extent(16, 16, 1));
        let texture_type = wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: true },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty,
            count: None,
        };
        let sampler_type = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering);
        let layout = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("picture"),
            entries: &[entry(0, texture_type), entry(1, sampler_type)],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let sampler = gpu.device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("picture"),
            mag_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("picture"),
            layout: &layout,
            entries: &[
                entry(0, wgpu::BindingResource::TextureView(&view)),
                entry(1, wgpu::BindingResource::Sampler(&sampler)),
            ],
        });
        (layout, group)
    }

    /// A pipeline that blends, with or without depth and stencil.
    pub(super) fn pipeline(&self, gpu: &Gpu, samples: u32, depth: bool) -> wgpu::RenderPipeline {
        let stencil = wgpu::StencilFaceState {
            compare: wgpu::CompareFunction::LessEqual,
            fail_op: wgpu::StencilOperation::Keep,
            depth_fail_op: wgpu::StencilOperation::IncrementWrap,
            pass_op: wgpu::StencilOperation::Replace,
        };
        let instance = wgpu::vertex_attr_array![2 => Float32x3, 3 => Float32x4];
        let corner = wgpu::vertex_attr_array![0 => Float32x3, 1 => Float32x2];
        let vertex_layout = |array_stride, step_mode, attributes| {
            Some(wgpu::VertexBufferLayout { array_stride, step_mode, attributes })
        };
        gpu.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("kit"),
            layout: Some(&self.layout),
            vertex: wgpu::VertexState {
                module: &self.module,
                entry_point: Some("vertex"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[
                    vertex_layout(20, wgpu::VertexStepMode::Vertex, &corner),
                    vertex_layout(28, wgpu::VertexStepMode::Instance, &instance),
                ],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: depth.then(|| wgpu::DepthStencilState {
                format: DEPTH,
                depth_write_enabled: Some(true),
                depth_compare: Some(wgpu::CompareFunction::Less),
                stencil: wgpu::StencilState { front: stencil, back: stencil, read_mask: 0xff, write_mask: 0xff },
                bias: wgpu::DepthBiasState::default(),
            }),
            multisample: wgpu::MultisampleState { count: samples, ..Default::default() },
            fragment: Some(wgpu::FragmentState {
                module: &self.module,
                entry_point: Some("fragment"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets: &[Some(wgpu::ColorTargetState {
                    format: COLOR,
                    blend: Some(wgpu::BlendState {
                        color: wgpu::BlendComponent {
                            src_factor: wgpu::BlendFactor::Constant,
                            dst_factor: wgpu::BlendFactor::OneMinusSrcAlpha,
                            operation: wgpu::BlendOperation::Add,
                        },
                        alpha: wgpu::BlendComponent::OVER,
                    }),
                    write_mask: wgpu::ColorWrites::ALL,
                })],
            }),
            multiview_mask: None,
            cache: None,
        })
    }

    /// All that a draw needs, but for the pipeline; the block of uniforms by its number.
    pub(super) fn bind(&self, pass: &mut wgpu::RenderPass<'_>, block: u32) {
        pass.set_bind_group(0, &self.uniforms, &[block * Self::STRIDE]);
        pass.set_bind_group(1, &self.picture, &[]);
        pass.set_vertex_buffer(0, self.vertices.slice(..));
        pass.set_vertex_buffer(1, self.instances.slice(..));
        pass.set_index_buffer(self.indices.slice(..), wgpu::IndexFormat::Uint16);
        pass.set_blend_constant(wgpu::Color { r: 0.7, g: 0.8, b: 0.9, a: 1.0 });
    }
}

/// Where a stage draws.
pub(super) struct Target {
    pub(super) color: wgpu::Texture,
    pub(super) view: wgpu::TextureView,
}

impl Target {
    pub(super) fn new(gpu: &Gpu) -> Self {
        let usage = wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC;
        let color = gpu.texture("target", SIZE, COLOR, usage);
        let view = color.create_view(&wgpu::TextureViewDescriptor::default());
        Self { color, view }
    }

    /// A pass that clears the target.
    pub(super) fn pass<'e>(&self, encoder: &'e mut wgpu::CommandEncoder) -> wgpu::RenderPass<'e> {
        encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("pass"),
            color_attachments: &[Some(cleared(&self.view, None))],
            ..Default::default()
        })
    }
}

pub(super) fn cleared<'a>(
    view: &'a wgpu::TextureView,
    resolve_target: Option<&'a wgpu::TextureView>,
) -> wgpu::RenderPassColorAttachment<'a> {
    let load = wgpu::LoadOp::Clear(wgpu::Color { r: 0.1, g: 0.2, b: 0.3, a: 1.0 });
    let ops = wgpu::Operations { load, store: wgpu::StoreOp::Store };
    wgpu::RenderPassColorAttachment { view, depth_slice: None, resolve_target, ops }
}
