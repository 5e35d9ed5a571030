//! What can be asked: adapters, features, limits, accessors of objects, what a compiler says.

use super::Log;
use super::tools::{Gpu, panic_of};

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let Gpu { instance, adapter, device, queue } = gpu;
    log.text("adapter", format!("{:?}", adapter.get_info()));
    log.text("adapter's features", format!("{:?}", adapter.features()));
    log.text("adapter's limits", format!("{:?}", adapter.limits()));
    log.text("downlevel", format!("{:?}", adapter.get_downlevel_capabilities()));
    log.text("matrices", adapter.cooperative_matrix_properties().len());
    log.text("device's adapter", format!("{:?}", device.adapter_info()));
    log.text("device's features", format!("{:?}", device.features()));
    log.text("device's limits", format!("{:?}", device.limits()));
    log.text("timestamp period", queue.get_timestamp_period());
    log.text("language", format!("{:?}", instance.wgsl_language_features()));
    for format in [
        wgpu::TextureFormat::Rgba8Unorm,
        wgpu::TextureFormat::Depth24PlusStencil8,
        wgpu::TextureFormat::Bc7RgbaUnorm,
        wgpu::TextureFormat::Rg11b10Ufloat,
        wgpu::TextureFormat::NV12,
    ] {
        log.text(&format!("{format:?}"), format!("{:?}", adapter.get_texture_format_features(format)));
    }
    let all = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let names: Vec<_> = all.iter().map(|adapter| adapter.get_info().name).collect();
    log.text("adapters", names.join(", "));
    let wrong = wgpu::DeviceDescriptor {
        required_limits: wgpu::Limits { max_bind_groups: u32::MAX, ..adapter.limits() },
        ..Default::default()
    };
    let refused = pollster::block_on(adapter.request_device(&wrong)).map(|_| ());
    log.text("too much asked for", refused.map_or_else(|error| error.to_string(), |()| "granted".to_owned()));
    objects(gpu, log);
}

/// Accessors, and handles as values.
fn objects(gpu: &Gpu, log: &mut Log<'_>) {
    let buffer = gpu.buffer("asked", 260, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
    let other = gpu.buffer("asked", 260, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
    let clone = buffer.clone();
    log.text("buffer", format!("{} {:?}", buffer.size(), buffer.usage()));
    log.text("buffer equals", format!("{} {}", buffer == clone, buffer == other));
    log.text("buffer's slice", format!("{} {}", clone.slice(8..16).offset(), clone.slice(8..).size()));
    let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("asked"),
        size: super::tools::extent(20, 12, 6),
        mip_level_count: 3,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING,
        view_formats: &[wgpu::TextureFormat::Rgba8UnormSrgb],
    });
    let size = (texture.size(), texture.width(), texture.height(), texture.depth_or_array_layers());
    let shape = (texture.mip_level_count(), texture.sample_count(), texture.dimension());
    log.text("texture", format!("{size:?} {shape:?} {:?} {:?}", texture.format(), texture.usage()));
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    log.text("view's texture", *view.texture() == texture);
    let set = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
        label: Some("asked"),
        ty: wgpu::QueryType::Occlusion,
        count: 9,
    });
    log.text("query set", format!("{:?} {}", set.ty(), set.count()));
    let same_device = (gpu.device.clone() == gpu.device, gpu.queue.clone() == gpu.queue);
    log.text("device and queue", format!("{same_device:?}"));
    log.step(gpu, "objects");
    log.text("slice beyond the end", panic_of(|| _ = buffer.slice(256..300)));
}

pub(super) fn shaders(gpu: &Gpu, log: &mut Log<'_>) {
    let good = gpu.shader("good", "@compute @workgroup_size(1) fn main() {}");
    log.text("good", format!("{:?}", pollster::block_on(good.get_compilation_info()).messages));
    for (name, source) in [
        ("unknown name", "@compute @workgroup_size(1) fn main() { let a = nothing; }"),
        ("wrong type", "@compute @workgroup_size(1) fn main() { var a: u32 = 1.5; }"),
        ("no entry", "fn helper() {"),
    ] {
        let mut module = None;
        let error = gpu.invalid(|| module = Some(gpu.shader(name, source)));
        log.outcome(name, error);
        let info = pollster::block_on(module.unwrap().get_compilation_info());
        log.text(&format!("{name}, info"), format!("{:?}", info.messages));
    }
    // SAFETY: the shader neither loops nor indexes.
    let trusted = unsafe {
        let source = wgpu::ShaderSource::Wgsl("@compute @workgroup_size(1) fn main() {}".into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some("trusted"), source };
        gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
    };
    log.text("trusted", format!("{:?}", pollster::block_on(trusted.get_compilation_info()).messages));
    log.step(gpu, "modules");
    auto_layouts(gpu, log);
}

/// Layouts that a pipeline derives from its shader can be asked for and used.
fn auto_layouts(gpu: &Gpu, log: &mut Log<'_>) {
    let module = gpu.shader(
        "derived",
        "@group(0) @binding(0) var<storage, read_write> numbers: array<u32>;
         @group(1) @binding(3) var<uniform> factor: vec4u;
         @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) { numbers[id.x] = id.x * factor.y; }",
    );
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("derived"),
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let numbers = gpu.buffer("numbers", 16, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let factor = gpu.filled("factor", bytemuck::cast_slice(&[3u32, 5, 7, 9]), wgpu::BufferUsages::UNIFORM);
    let group = |index: u32, binding: u32, buffer: &wgpu::Buffer| {
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("derived"),
            layout: &pipeline.get_bind_group_layout(index),
            entries: &[wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }],
        })
    };
    let groups = [group(0, 0, &numbers), group(1, 3, &factor)];
    gpu.submit("derived", |encoder| {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &groups[0], &[]);
        pass.set_bind_group(1, &groups[1], &[]);
        pass.dispatch_workgroups(1, 1, 1);
    });
    log.bytes("derived", gpu.read(&numbers));
    log.step(gpu, "derived layouts");
    log.outcome("no such group", gpu.invalid(|| drop(pipeline.get_bind_group_layout(2))));
}
