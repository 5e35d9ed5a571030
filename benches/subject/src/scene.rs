//! The device, and what the cases draw with.

use std::error::Error;
use std::fmt;

use crate::Backend;

/// Bind groups and vertex buffers that a frame takes turns with.
pub(crate) const TURNS: usize = 256;
const SIDE: u32 = 64;
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

const SHADER: &str = "
@group(0) @binding(0) var<uniform> tint: vec4f;
@group(0) @binding(1) var image: texture_2d<f32>;
@group(0) @binding(2) var nearest: sampler;

@vertex
fn vertex(@location(0) position: vec4f) -> @builtin(position) vec4f {
    return position;
}

@fragment
fn fragment(@builtin(position) at: vec4f) -> @location(0) vec4f {
    return tint * textureSampleLevel(image, nearest, at.xy, 0.0);
}
";

/// All that lives from case to case.
pub(crate) struct Scene {
    /// The adapter's name.
    pub(crate) adapter: String,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) pipeline: wgpu::RenderPipeline,
    pub(crate) groups: Vec<wgpu::BindGroup>,
    pub(crate) vertices: Vec<wgpu::Buffer>,
    /// Drawn into.
    pub(crate) target: wgpu::TextureView,
    /// Written to.
    pub(crate) buffer: wgpu::Buffer,
    layout: wgpu::BindGroupLayout,
    image: wgpu::TextureView,
    sampler: wgpu::Sampler,
}

impl Scene {
    /// Opens the adapter and makes everything.
    ///
    /// # Errors
    /// Where the machine has no such adapter, or it gives no device.
    pub(crate) fn open(
        instance: &wgpu::Instance,
        backend: Backend,
        features: wgpu::Features,
    ) -> Result<Self, Box<dyn Error>> {
        let options = wgpu::RequestAdapterOptions {
            force_fallback_adapter: backend == Backend::Lavapipe,
            ..wgpu::RequestAdapterOptions::default()
        };
        let adapter = pollster::block_on(instance.request_adapter(&options))?;
        let descriptor = wgpu::DeviceDescriptor { required_features: features, ..wgpu::DeviceDescriptor::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
        let layout = layout(&device);
        let pipeline = pipeline(&device, &layout);
        let image = texture(&device, false).create_view(&wgpu::TextureViewDescriptor::default());
        let target = texture(&device, true).create_view(&wgpu::TextureViewDescriptor::default());
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor::default());
        let usages = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = buffer(&device, usages);
        let vertices = (0..TURNS).map(|_| self::buffer(&device, wgpu::BufferUsages::VERTEX)).collect();
        let mut scene = Self {
            adapter: adapter.get_info().name,
            device,
            queue,
            pipeline,
            groups: Vec::new(),
            vertices,
            target,
            buffer,
            layout,
            image,
            sampler,
        };
        scene.groups = (0..TURNS).map(|_| scene.bind_group(&self::buffer(&scene.device, usages))).collect();
        Ok(scene)
    }

    /// A bind group of a uniform buffer, a texture and a sampler.
    pub(crate) fn bind_group(&self, uniform: &wgpu::Buffer) -> wgpu::BindGroup {
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("material"),
            layout: &self.layout,
            entries: &[
                entry(0, uniform.as_entire_binding()),
                entry(1, wgpu::BindingResource::TextureView(&self.image)),
                entry(2, wgpu::BindingResource::Sampler(&self.sampler)),
            ],
        })
    }

    pub(crate) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("frame") })
    }

    /// A pass that clears the target.
    pub(crate) fn pass<'a>(&self, encoder: &'a mut wgpu::CommandEncoder) -> wgpu::RenderPass<'a> {
        self.named_pass(encoder, Some("main"), None)
    }

    /// The same with a name and stamps.
    pub(crate) fn named_pass<'a>(
        &self,
        encoder: &'a mut wgpu::CommandEncoder,
        label: Option<&str>,
        timestamp_writes: Option<wgpu::RenderPassTimestampWrites<'_>>,
    ) -> wgpu::RenderPass<'a> {
        encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label,
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.target,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store: wgpu::StoreOp::Store },
            })],
            timestamp_writes,
            ..wgpu::RenderPassDescriptor::default()
        })
    }

    /// So that a draw is valid.
    pub(crate) fn set_up(&self, pass: &mut wgpu::RenderPass<'_>) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.groups[0], &[]);
        pass.set_vertex_buffer(0, self.vertices[0].slice(..));
    }

    /// Draws, each with a bind group and a vertex buffer of its own.
    pub(crate) fn draw(&self, pass: &mut wgpu::RenderPass<'_>, draws: usize) {
        self.set_up(pass);
        for turn in 0..draws {
            pass.set_bind_group(0, &self.groups[turn % TURNS], &[]);
            pass.set_vertex_buffer(0, self.vertices[turn % TURNS].slice(..));
            pass.draw(0..3, 0..1);
        }
    }
}

impl fmt::Debug for Scene {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Scene").field("adapter", &self.adapter).finish_non_exhaustive()
    }
}

/// A buffer of 256 bytes.
pub(crate) fn buffer(device: &wgpu::Device, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor { label: Some("buffer"), size: 256, usage, mapped_at_creation: false })
}

/// A texture that can be sampled, and drawn into if it is a target.
pub(crate) fn texture(device: &wgpu::Device, target: bool) -> wgpu::Texture {
    let drawn = if target { wgpu::TextureUsages::RENDER_ATTACHMENT } else { wgpu::TextureUsages::COPY_DST };
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some("texture"),
        size: wgpu::Extent3d { width: SIDE, height: SIDE, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: FORMAT,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | drawn,
        view_formats: &[],
    })
}

fn layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let entry =
        |binding, ty| wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::FRAGMENT, ty, count: None };
    let uniform = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    let image = wgpu::BindingType::Texture {
        sample_type: wgpu::TextureSampleType::Float { filterable: true },
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    };
    let sampler = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering);
    let entries = [entry(0, uniform), entry(1, image), entry(2, sampler)];
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some("material"), entries: &entries })
}

fn pipeline(device: &wgpu::Device, layout: &wgpu::BindGroupLayout) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("shader"),
        source: wgpu::ShaderSource::Wgsl(SHADER.into()),
    });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("pipeline"),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    let attributes = wgpu::vertex_attr_array![0 => Float32x4];
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("pipeline"),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("vertex"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[Some(wgpu::VertexBufferLayout {
                array_stride: 16,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes: &attributes,
            })],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("fragment"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(FORMAT.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}
