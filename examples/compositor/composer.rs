//! The effect pipeline, and the picture: shadows of the children, and all layers over each other with round corners.

use super::painter::Gpu;
use super::size::Size;

/// Of every target and of the picture. sRGB values, blended as they are, as on the web.
pub(crate) const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// Layers of one pass.
const MOST_LAYERS: usize = 64;

/// Pipelines that put layers into a target.
#[derive(Debug)]
pub(crate) struct Composer {
    shader: wgpu::ShaderModule,
    group_layout: wgpu::BindGroupLayout,
    sampler: wgpu::Sampler,
    layers: wgpu::RenderPipeline,
    shadows: wgpu::RenderPipeline,
    /// The looks of the pass that is submitted next.
    looks: wgpu::Buffer,
}

/// A texture as a layer.
#[derive(Debug)]
pub(crate) struct Layer(wgpu::BindGroup);

/// Where a layer lies and how it looks.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Look {
    /// Left, top, width and height, in shares of the target.
    pub(crate) place: [f32; 4],
    /// Width and height in pixels, radius of the corners in pixels, opacity.
    pub(crate) shape: [f32; 4],
}

impl Look {
    pub(crate) fn new(place: [f32; 4], of: Size, radius: f32, opacity: f32) -> Self {
        let [.., width, height] = place;
        Self { place, shape: [width * of.width as f32, height * of.height as f32, radius, opacity] }
    }

    /// The shadow that a layer of this look throws, `reach` pixels around it and a little below.
    pub(crate) fn shadow(self, of: Size, reach: f32, strength: f32) -> Self {
        let [left, top, width, height] = self.place;
        let (across, down) = (reach / of.width as f32, reach / of.height as f32);
        let place = [left - across, top - down * 0.6, width + 2.0 * across, height + 2.0 * down];
        Self::new(place, of, reach * 2.0, strength)
    }
}

impl Composer {
    pub(crate) fn new(device: &wgpu::Device) -> Self {
        let shader = device.create_shader_module(wgpu::include_wgsl!("compose.wgsl"));
        let fragment = wgpu::ShaderStages::FRAGMENT;
        let texture = wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: true },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let sampler = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering);
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry { binding, visibility: fragment, ty, count: None };
        let group_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("layer"),
            entries: &[entry(0, texture), entry(1, sampler)],
        });
        Self {
            layers: pipeline(device, &shader, "layers", &[Some(&group_layout)], FORMAT),
            shadows: pipeline(device, &shader, "shadows", &[], FORMAT),
            shader,
            group_layout,
            sampler: device.create_sampler(&wgpu::SamplerDescriptor {
                label: Some("layer"),
                mag_filter: wgpu::FilterMode::Linear,
                min_filter: wgpu::FilterMode::Linear,
                ..Default::default()
            }),
            looks: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("looks"),
                size: (MOST_LAYERS * size_of::<Look>()) as u64,
                usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        }
    }

    /// What is seen through `view`, as a layer.
    pub(crate) fn layer(&self, device: &wgpu::Device, view: &wgpu::TextureView, label: &str) -> Layer {
        Layer(device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(label),
            layout: &self.group_layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(view) },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::Sampler(&self.sampler) },
            ],
        }))
    }

    /// Puts the layers over each other. Those beyond the limit are not shown.
    pub(crate) fn compose(
        &self,
        gpu: Gpu<'_>,
        to: &wgpu::TextureView,
        layers: &[(&Layer, Look)],
    ) -> wgpu::SubmissionIndex {
        self.put(gpu, &self.layers, to, layers)
    }

    /// What [`show`](Self::show) draws with onto surfaces of a format.
    pub(crate) fn presenter(&self, device: &wgpu::Device, format: wgpu::TextureFormat) -> wgpu::RenderPipeline {
        pipeline(device, &self.shader, "layers", &[Some(&self.group_layout)], format)
    }

    /// Puts a picture onto the whole of a surface's texture.
    pub(crate) fn show(
        &self,
        gpu: Gpu<'_>,
        presenter: &wgpu::RenderPipeline,
        to: &wgpu::TextureView,
        (picture, look): (&Layer, Look),
    ) -> wgpu::SubmissionIndex {
        self.put(gpu, presenter, to, &[(picture, look)])
    }

    /// Writes the looks of the most layers there can be, for a pass that may never come.
    pub(crate) fn write(&self, queue: &wgpu::Queue) {
        queue.write_buffer(&self.looks, 0, &[0; MOST_LAYERS * size_of::<Look>()]);
    }

    fn put(
        &self,
        gpu: Gpu<'_>,
        pipeline: &wgpu::RenderPipeline,
        to: &wgpu::TextureView,
        layers: &[(&Layer, Look)],
    ) -> wgpu::SubmissionIndex {
        let looks: Vec<_> = layers.iter().map(|(_, look)| *look).collect();
        self.pass(gpu, to, &looks, |pass, shown| {
            pass.set_pipeline(pipeline);
            for ((layer, _), place) in layers.iter().zip(0..shown) {
                pass.set_bind_group(0, &layer.0, &[]);
                pass.draw(0..4, place..place + 1);
            }
        })
    }

    /// Draws the shadows of layers. Those beyond the limit have none.
    pub(crate) fn shade(&self, gpu: Gpu<'_>, to: &wgpu::TextureView, looks: &[Look]) -> wgpu::SubmissionIndex {
        self.pass(gpu, to, looks, |pass, shown| {
            pass.set_pipeline(&self.shadows);
            pass.draw(0..4, 0..shown);
        })
    }

    fn pass(
        &self,
        gpu: Gpu<'_>,
        to: &wgpu::TextureView,
        looks: &[Look],
        draw: impl FnOnce(&mut wgpu::RenderPass<'_>, u32),
    ) -> wgpu::SubmissionIndex {
        let looks = &looks[..looks.len().min(MOST_LAYERS)];
        gpu.queue.write_buffer(&self.looks, 0, bytemuck::cast_slice(looks));
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("compose") });
        let attachment = wgpu::RenderPassColorAttachment {
            view: to,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT), store: wgpu::StoreOp::Store },
        };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("compose"),
            color_attachments: &[Some(attachment)],
            ..Default::default()
        });
        pass.set_vertex_buffer(0, self.looks.slice(..));
        draw(&mut pass, looks.len() as u32);
        drop(pass);
        gpu.queue.submit([encoder.finish()])
    }
}

/// A pipeline of the entry points `corner` and `name`.
fn pipeline(
    device: &wgpu::Device,
    shader: &wgpu::ShaderModule,
    name: &str,
    groups: &[Option<&wgpu::BindGroupLayout>],
    format: wgpu::TextureFormat,
) -> wgpu::RenderPipeline {
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(name),
        bind_group_layouts: groups,
        immediate_size: 0,
    });
    let looks = wgpu::VertexBufferLayout {
        array_stride: size_of::<Look>() as u64,
        step_mode: wgpu::VertexStepMode::Instance,
        attributes: &wgpu::vertex_attr_array![0 => Float32x4, 1 => Float32x4],
    };
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some(name),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: shader,
            entry_point: Some("corner"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[Some(looks)],
        },
        primitive: wgpu::PrimitiveState { topology: wgpu::PrimitiveTopology::TriangleStrip, ..Default::default() },
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: shader,
            entry_point: Some(name),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::ColorTargetState {
                format,
                blend: Some(wgpu::BlendState::ALPHA_BLENDING),
                write_mask: wgpu::ColorWrites::ALL,
            })],
        }),
        multiview_mask: None,
        cache: None,
    })
}
