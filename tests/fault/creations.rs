//! Each creation, with a use of what it makes that wgpu refuses if the object is invalid.

use engine_vitals::instrument::fault::Call;

pub(crate) fn buffer(device: &wgpu::Device, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let descriptor = wgpu::BufferDescriptor { label: Some("buffer"), size: 64, usage, mapped_at_creation: false };
    device.create_buffer(&descriptor)
}

/// Makes an object by `call`. What is returned uses it.
pub(crate) fn creation(device: &wgpu::Device, queue: &wgpu::Queue, call: Call) -> Box<dyn FnOnce()> {
    let (device, queue) = (device.clone(), queue.clone());
    match call {
        Call::CreateBuffer => {
            let made = buffer(&device, wgpu::BufferUsages::COPY_DST);
            Box::new(move || queue.write_buffer(&made, 0, &[1; 4]))
        }
        Call::CreateTexture => {
            let made = texture(&device);
            Box::new(move || drop(made.create_view(&wgpu::TextureViewDescriptor::default())))
        }
        Call::CreateView => {
            let made = texture(&device).create_view(&wgpu::TextureViewDescriptor::default());
            Box::new(move || {
                bind(&device, VIEW, wgpu::BindingResource::TextureView(&made));
            })
        }
        Call::CreateSampler => {
            let made = device.create_sampler(&wgpu::SamplerDescriptor::default());
            Box::new(move || {
                bind(&device, SAMPLER, wgpu::BindingResource::Sampler(&made));
            })
        }
        Call::CreateQuerySet => {
            let made = queries(&device);
            Box::new(move || {
                let target = buffer(&device, wgpu::BufferUsages::QUERY_RESOLVE);
                record(&device, |encoder| encoder.resolve_query_set(&made, 0..1, &target, 0));
            })
        }
        Call::CreateShaderModule => {
            let made = module(&device, COMPUTE);
            Box::new(move || drop(compute_pipeline(&device, &made, None)))
        }
        Call::CreateBindGroupLayout => {
            let made = layout(&device, SAMPLER);
            Box::new(move || drop(pipeline_layout(&device, &[Some(&made)])))
        }
        Call::CreateBindGroup => {
            let sampler = device.create_sampler(&wgpu::SamplerDescriptor::default());
            let made = bind(&device, SAMPLER, wgpu::BindingResource::Sampler(&sampler));
            Box::new(move || in_pass(&device, |pass| pass.set_bind_group(0, &made, &[])))
        }
        Call::CreatePipelineLayout => {
            let made = pipeline_layout(&device, &[]);
            Box::new(move || drop(compute_pipeline(&device, &module(&device, COMPUTE), Some(&made))))
        }
        Call::CreateRenderPipeline => {
            let made = render_pipeline(&device);
            Box::new(move || drop(made.get_bind_group_layout(0)))
        }
        Call::CreateComputePipeline => {
            let made = compute_pipeline(&device, &module(&device, COMPUTE), None);
            Box::new(move || in_pass(&device, |pass| pass.set_pipeline(&made)))
        }
        other => panic!("{other:?} makes no object"),
    }
}

fn texture(device: &wgpu::Device) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some("texture"),
        size: wgpu::Extent3d { width: 8, height: 8, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    })
}

fn queries(device: &wgpu::Device) -> wgpu::QuerySet {
    let descriptor = wgpu::QuerySetDescriptor { label: Some("queries"), ty: wgpu::QueryType::Occlusion, count: 1 };
    device.create_query_set(&descriptor)
}

const SAMPLER: wgpu::BindingType = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering);
const VIEW: wgpu::BindingType = wgpu::BindingType::Texture {
    sample_type: wgpu::TextureSampleType::Float { filterable: true },
    view_dimension: wgpu::TextureViewDimension::D2,
    multisampled: false,
};

fn layout(device: &wgpu::Device, ty: wgpu::BindingType) -> wgpu::BindGroupLayout {
    let visibility = wgpu::ShaderStages::COMPUTE | wgpu::ShaderStages::FRAGMENT;
    let entry = wgpu::BindGroupLayoutEntry { binding: 0, visibility, ty, count: None };
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some("layout"), entries: &[entry] })
}

fn bind(device: &wgpu::Device, ty: wgpu::BindingType, resource: wgpu::BindingResource<'_>) -> wgpu::BindGroup {
    let entry = wgpu::BindGroupEntry { binding: 0, resource };
    let layout = layout(device, ty);
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some("group"), layout: &layout, entries: &[entry] })
}

fn pipeline_layout(device: &wgpu::Device, layouts: &[Option<&wgpu::BindGroupLayout>]) -> wgpu::PipelineLayout {
    device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("layout"),
        bind_group_layouts: layouts,
        immediate_size: 0,
    })
}

const COMPUTE: &str = "@compute @workgroup_size(1) fn main() {}";
const RENDER: &str = "
    @group(0) @binding(0) var<uniform> tint: vec4f;
    @vertex fn main() -> @builtin(position) vec4f { return tint; }
";

fn module(device: &wgpu::Device, source: &'static str) -> wgpu::ShaderModule {
    let source = wgpu::ShaderSource::Wgsl(source.into());
    device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("module"), source })
}

fn compute_pipeline(
    device: &wgpu::Device,
    module: &wgpu::ShaderModule,
    layout: Option<&wgpu::PipelineLayout>,
) -> wgpu::ComputePipeline {
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("pipeline"),
        layout,
        module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

fn render_pipeline(device: &wgpu::Device) -> wgpu::RenderPipeline {
    let stencil = wgpu::DepthStencilState::stencil(wgpu::TextureFormat::Stencil8, wgpu::StencilState::default());
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("pipeline"),
        layout: None,
        vertex: wgpu::VertexState {
            module: &module(device, RENDER),
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: Some(stencil),
        multisample: wgpu::MultisampleState::default(),
        fragment: None,
        multiview_mask: None,
        cache: None,
    })
}

fn record(device: &wgpu::Device, commands: impl FnOnce(&mut wgpu::CommandEncoder)) {
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    commands(&mut encoder);
    encoder.finish();
}

fn in_pass(device: &wgpu::Device, commands: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
    record(device, |encoder| commands(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default())));
}
