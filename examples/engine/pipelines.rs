//! Layouts and pipelines of the scene; nothing here depends on the picture's size.

use crate::mesh::Vertex;
use crate::world::Instance;

/// The format of all light: linear, beyond 1.
pub(crate) const HDR: wgpu::TextureFormat = wgpu::TextureFormat::Rgba16Float;
pub(crate) const DEPTH: wgpu::TextureFormat = wgpu::TextureFormat::Depth32Float;
/// The format of the finished picture.
pub(crate) const PICTURE: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8UnormSrgb;

/// The pipelines and the layouts that bind groups are made with.
#[derive(Debug)]
pub(crate) struct Pipelines {
    pub(crate) globals_layout: wgpu::BindGroupLayout,
    pub(crate) scene_layout: wgpu::BindGroupLayout,
    pub(crate) post_layout: wgpu::BindGroupLayout,
    pub(crate) shadow: wgpu::RenderPipeline,
    pub(crate) main: wgpu::RenderPipeline,
    pub(crate) sky: wgpu::RenderPipeline,
    pub(crate) bright: wgpu::RenderPipeline,
    pub(crate) down: wgpu::RenderPipeline,
    pub(crate) up: wgpu::RenderPipeline,
    pub(crate) compose: wgpu::RenderPipeline,
}

impl Pipelines {
    pub(crate) fn new(device: &wgpu::Device, samples: u32) -> Self {
        let globals_layout = bind_group_layout(device, "globals", &[uniform(0)]);
        let scene_layout = bind_group_layout(
            device,
            "scene",
            &[
                uniform(0),
                texture(1, wgpu::TextureSampleType::Depth, wgpu::TextureViewDimension::D2),
                sampler(2, wgpu::SamplerBindingType::Comparison),
                texture(3, wgpu::TextureSampleType::Float { filterable: true }, wgpu::TextureViewDimension::D2Array),
                sampler(4, wgpu::SamplerBindingType::Filtering),
            ],
        );
        let post_layout = bind_group_layout(
            device,
            "post",
            &[
                texture(0, wgpu::TextureSampleType::Float { filterable: true }, wgpu::TextureViewDimension::D2),
                sampler(1, wgpu::SamplerBindingType::Filtering),
                texture(2, wgpu::TextureSampleType::Float { filterable: true }, wgpu::TextureViewDimension::D2),
            ],
        );
        let scene =
            shader(device, "scene", concat!(include_str!("shaders/common.wgsl"), include_str!("shaders/scene.wgsl")));
        let sky = shader(device, "sky", concat!(include_str!("shaders/common.wgsl"), include_str!("shaders/sky.wgsl")));
        let post = shader(device, "post", include_str!("shaders/post.wgsl"));
        let meshes = [
            Some(vertex_layout::<Vertex>(wgpu::VertexStepMode::Vertex, &Vertex::ATTRIBUTES)),
            Some(vertex_layout::<Instance>(wgpu::VertexStepMode::Instance, &Instance::ATTRIBUTES)),
        ];
        let build = |recipe: Recipe<'_>| recipe.build(device);
        let base = Recipe {
            label: "",
            layout: &post_layout,
            module: &post,
            vertex: "vs_post",
            buffers: &[],
            fragment: None,
            depth: None,
            samples: 1,
            blend: None,
        };
        Self {
            shadow: build(Recipe {
                label: "shadow",
                layout: &globals_layout,
                module: &scene,
                vertex: "vs_shadow",
                buffers: &meshes,
                depth: Some(depth_state(true, wgpu::CompareFunction::Less, 2)),
                ..base
            }),
            main: build(Recipe {
                label: "main",
                layout: &scene_layout,
                module: &scene,
                vertex: "vs_main",
                buffers: &meshes,
                fragment: Some(("fs_main", HDR)),
                depth: Some(depth_state(true, wgpu::CompareFunction::Less, 0)),
                samples,
                ..base
            }),
            sky: build(Recipe {
                label: "sky",
                layout: &globals_layout,
                module: &sky,
                vertex: "vs_sky",
                fragment: Some(("fs_sky", HDR)),
                depth: Some(depth_state(false, wgpu::CompareFunction::LessEqual, 0)),
                samples,
                ..base
            }),
            bright: build(Recipe { label: "bloom bright", fragment: Some(("fs_bright", HDR)), ..base }),
            down: build(Recipe { label: "bloom down", fragment: Some(("fs_down", HDR)), ..base }),
            up: build(Recipe {
                label: "bloom up",
                fragment: Some(("fs_up", HDR)),
                blend: Some(wgpu::BlendState {
                    color: wgpu::BlendComponent {
                        src_factor: wgpu::BlendFactor::One,
                        dst_factor: wgpu::BlendFactor::One,
                        operation: wgpu::BlendOperation::Add,
                    },
                    alpha: wgpu::BlendComponent::REPLACE,
                }),
                ..base
            }),
            compose: build(Recipe { label: "compose", fragment: Some(("fs_compose", PICTURE)), ..base }),
            globals_layout,
            scene_layout,
            post_layout,
        }
    }
}

/// What differs between the pipelines.
#[derive(Clone, Copy)]
struct Recipe<'a> {
    label: &'a str,
    layout: &'a wgpu::BindGroupLayout,
    module: &'a wgpu::ShaderModule,
    vertex: &'a str,
    buffers: &'a [Option<wgpu::VertexBufferLayout<'a>>],
    fragment: Option<(&'a str, wgpu::TextureFormat)>,
    depth: Option<DepthState>,
    samples: u32,
    blend: Option<wgpu::BlendState>,
}

#[derive(Clone, Copy)]
struct DepthState {
    write: bool,
    compare: wgpu::CompareFunction,
    bias: i32,
}

fn depth_state(write: bool, compare: wgpu::CompareFunction, bias: i32) -> DepthState {
    DepthState { write, compare, bias }
}

impl Recipe<'_> {
    fn build(self, device: &wgpu::Device) -> wgpu::RenderPipeline {
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(self.label),
            bind_group_layouts: &[Some(self.layout)],
            immediate_size: 0,
        });
        let target = self.fragment.map(|(_, format)| {
            [Some(wgpu::ColorTargetState { format, blend: self.blend, write_mask: wgpu::ColorWrites::ALL })]
        });
        device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some(self.label),
            layout: Some(&layout),
            vertex: wgpu::VertexState {
                module: self.module,
                entry_point: Some(self.vertex),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: self.buffers,
            },
            primitive: wgpu::PrimitiveState {
                cull_mode: (!self.buffers.is_empty()).then_some(wgpu::Face::Back),
                ..Default::default()
            },
            depth_stencil: self.depth.map(|depth| wgpu::DepthStencilState {
                format: DEPTH,
                depth_write_enabled: Some(depth.write),
                depth_compare: Some(depth.compare),
                stencil: wgpu::StencilState::default(),
                bias: wgpu::DepthBiasState { constant: depth.bias, slope_scale: depth.bias as f32, clamp: 0.0 },
            }),
            multisample: wgpu::MultisampleState { count: self.samples, ..Default::default() },
            fragment: self.fragment.zip(target.as_ref()).map(|((entry, _), targets)| wgpu::FragmentState {
                module: self.module,
                entry_point: Some(entry),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets,
            }),
            multiview_mask: None,
            cache: None,
        })
    }
}

fn shader(device: &wgpu::Device, label: &str, source: &'static str) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    })
}

fn vertex_layout<T>(
    step_mode: wgpu::VertexStepMode,
    attributes: &[wgpu::VertexAttribute],
) -> wgpu::VertexBufferLayout<'_> {
    wgpu::VertexBufferLayout { array_stride: size_of::<T>() as u64, step_mode, attributes }
}

fn bind_group_layout(
    device: &wgpu::Device,
    label: &str,
    entries: &[wgpu::BindGroupLayoutEntry],
) -> wgpu::BindGroupLayout {
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries })
}

fn uniform(binding: u32) -> wgpu::BindGroupLayoutEntry {
    entry(
        binding,
        wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: None,
        },
    )
}

fn texture(
    binding: u32,
    sample_type: wgpu::TextureSampleType,
    view_dimension: wgpu::TextureViewDimension,
) -> wgpu::BindGroupLayoutEntry {
    entry(binding, wgpu::BindingType::Texture { sample_type, view_dimension, multisampled: false })
}

fn sampler(binding: u32, kind: wgpu::SamplerBindingType) -> wgpu::BindGroupLayoutEntry {
    entry(binding, wgpu::BindingType::Sampler(kind))
}

fn entry(binding: u32, ty: wgpu::BindingType) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::VERTEX_FRAGMENT, ty, count: None }
}
