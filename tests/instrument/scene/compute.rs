//! Compute passes: several dispatches, dynamic offsets, indirect counts, constants, a cache of pipelines.

use super::Log;
use super::tools::{Gpu, pattern};

const DOUBLED: &str = "
    override factor: u32 = 2u;
    @group(0) @binding(0) var<storage, read_write> numbers: array<u32>;
    @group(1) @binding(0) var<uniform> added: vec4u;
    @compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {
        let place = id.x + 64u * id.y;
        if place < arrayLength(&numbers) { numbers[place] = numbers[place] * factor + added.x + id.y; }
    }
";

struct Parts {
    pipeline: wgpu::ComputePipeline,
    numbers: wgpu::Buffer,
    groups: [wgpu::BindGroup; 2],
}

fn parts(gpu: &Gpu, factor: f64, cache: Option<&wgpu::PipelineCache>) -> Parts {
    let numbers = gpu.filled("numbers", &pattern(1024, 1), wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let mut steps = vec![0u32; 192];
    (steps[0], steps[64], steps[128]) = (5, 70, 900);
    let added = gpu.filled("added", bytemuck::cast_slice(&steps), wgpu::BufferUsages::UNIFORM);
    let entry = |ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
        binding: 0,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    };
    let layouts = [
        entry(wgpu::BufferBindingType::Storage { read_only: false }, false),
        entry(wgpu::BufferBindingType::Uniform, true),
    ]
    .map(|entry| {
        let descriptor = wgpu::BindGroupLayoutDescriptor { label: Some("numbers"), entries: &[entry] };
        gpu.device.create_bind_group_layout(&descriptor)
    });
    let group = |layout, resource| {
        let entries = &[wgpu::BindGroupEntry { binding: 0, resource }];
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some("numbers"), layout, entries })
    };
    let block = wgpu::BufferBinding { buffer: &added, offset: 0, size: std::num::NonZeroU64::new(16) };
    let groups =
        [group(&layouts[0], numbers.as_entire_binding()), group(&layouts[1], wgpu::BindingResource::Buffer(block))];
    let layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("numbers"),
        bind_group_layouts: &[Some(&layouts[0]), Some(&layouts[1])],
        immediate_size: 0,
    });
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("numbers"),
        layout: Some(&layout),
        module: &gpu.shader("numbers", DOUBLED),
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &[("factor", factor)],
            ..Default::default()
        },
        cache,
    });
    Parts { pipeline, numbers, groups }
}

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let Parts { pipeline, numbers, groups } = parts(gpu, 3.0, None);
    let counts = gpu.filled("counts", bytemuck::cast_slice(&[9u32, 4, 2, 1]), wgpu::BufferUsages::INDIRECT);
    log.step(gpu, "parts");
    gpu.submit("compute", |encoder| {
        let descriptor = wgpu::ComputePassDescriptor { label: Some("compute"), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        pass.push_debug_group("dispatches");
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &groups[0], &[]);
        pass.set_bind_group(1, &groups[1], &[0]);
        pass.dispatch_workgroups(10, 1, 1);
        pass.insert_debug_marker("another block");
        pass.set_bind_group(1, &groups[1], &[256]);
        pass.dispatch_workgroups(3, 1, 1);
        pass.set_bind_group(1, &groups[1], &[512]);
        pass.dispatch_workgroups_indirect(&counts, 4);
        pass.pop_debug_group();
        drop(pass);
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    });
    log.bytes("numbers", gpu.read(&numbers));
    let dispatched = |work: &dyn Fn(&mut wgpu::ComputePass<'_>)| {
        gpu.invalid(|| {
            let mut encoder = gpu.encoder("wrong");
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime();
            work(&mut pass);
            drop(pass);
            drop(encoder.finish());
        })
    };
    log.outcome("no pipeline", dispatched(&|pass| pass.dispatch_workgroups(1, 1, 1)));
    log.outcome(
        "nothing bound",
        dispatched(&|pass| {
            pass.set_pipeline(&pipeline);
            pass.dispatch_workgroups(1, 1, 1);
        }),
    );
    log.outcome(
        "too many groups",
        dispatched(&|pass| {
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &groups[0], &[]);
            pass.set_bind_group(1, &groups[1], &[0]);
            pass.dispatch_workgroups(1 << 24, 1, 1);
        }),
    );
    log.outcome(
        "a layout that does not fit",
        gpu.invalid(|| {
            let layout = pipeline.get_bind_group_layout(1);
            let entries = &[wgpu::BindGroupEntry { binding: 0, resource: counts.as_entire_binding() }];
            drop(gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("wrong"),
                layout: &layout,
                entries,
            }));
        }),
    );
}

pub(super) fn cache(gpu: &Gpu, log: &mut Log<'_>) {
    if !gpu.has(wgpu::Features::PIPELINE_CACHE) {
        return log.skip("no pipeline cache");
    }
    let make = |data: Option<&[u8]>| {
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("cache"), data, fallback: true };
        // SAFETY: the data is none, or what another cache of this device has given.
        unsafe { gpu.device.create_pipeline_cache(&descriptor) }
    };
    let first = make(None);
    let one = parts(gpu, 7.0, Some(&first));
    let data = first.get_data();
    log.text("data", format!("{:?}", data.as_ref().map(|data| data.len() > 32)));
    let second = make(data.as_deref());
    let other = parts(gpu, 7.0, Some(&second));
    log.step(gpu, "caches");
    for (what, parts) in [("without data", one), ("with data", other)] {
        gpu.submit("cached", |encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&parts.pipeline);
            pass.set_bind_group(0, &parts.groups[0], &[]);
            pass.set_bind_group(1, &parts.groups[1], &[0]);
            pass.dispatch_workgroups(4, 1, 1);
        });
        log.bytes(what, gpu.read(&parts.numbers));
    }
}
