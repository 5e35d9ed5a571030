//! Bytes are pending for exactly as long as wgpu keeps the memory of what has no handle any more.

use crate::bench::Bench;
use crate::books::Books;
use crate::scene::Gpu;
use engine_vitals::probe::ResourceKind;

const USAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_DST)
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::VERTEX);

/// Live and pending bytes of the kind are these, and wgpu has memory under the label as long as there are any.
#[track_caller]
fn expect(bench: &Bench, kind: ResourceKind, label: &str, live: u64, pending: u64) {
    expect_of_the_books(bench, kind, label, live, pending);
    if let Some(allocated) = bench.allocated(label) {
        assert_eq!(allocated, live + pending > 0, "wgpu's allocator has {label:?}");
    }
}

/// The bytes are pending for a submission. That it is done is known at the next poll, and wgpu may know it sooner.
#[track_caller]
fn expect_in_flight(bench: &Bench, kind: ResourceKind, label: &str, pending: u64) {
    expect_of_the_books(bench, kind, label, 0, pending);
}

#[track_caller]
fn expect_of_the_books(bench: &Bench, kind: ResourceKind, label: &str, live: u64, pending: u64) {
    assert_eq!(bench.bytes(kind), (live, pending), "live and pending bytes of {kind:?}");
    let resource = bench.resource(label);
    assert_eq!(resource.as_ref().is_some_and(|resource| resource.is_live()), live > 0, "{resource:?}");
}

fn storage_layout(gpu: &Gpu) -> wgpu::BindGroupLayout {
    gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("storage"),
        entries: &[wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: false },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        }],
    })
}

fn bind_group(gpu: &Gpu, layout: &wgpu::BindGroupLayout, resource: wgpu::BindingResource<'_>) -> wgpu::BindGroup {
    let entries = &[wgpu::BindGroupEntry { binding: 0, resource }];
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some("group"), layout, entries })
}

#[test]
fn a_bind_group_alone_keeps_a_buffer() {
    for bench in Bench::on_both("a_bind_group_alone_keeps_a_buffer") {
        let gpu = &bench.gpu;
        let buffer = gpu.buffer("kept", 4096, USAGE);
        expect(&bench, ResourceKind::BUFFER, "kept", 4096, 0);
        let group = bind_group(gpu, &storage_layout(gpu), buffer.as_entire_binding());
        let (clone, second) = (buffer.clone(), group.clone());
        drop(buffer);
        expect(&bench, ResourceKind::BUFFER, "kept", 4096, 0);
        drop(clone);
        expect(&bench, ResourceKind::BUFFER, "kept", 0, 4096);
        drop(group);
        expect(&bench, ResourceKind::BUFFER, "kept", 0, 4096);
        drop(second);
        gpu.wait();
        expect(&bench, ResourceKind::BUFFER, "kept", 0, 0);
        bench.close();
    }
}

#[test]
fn a_view_keeps_a_texture_and_a_bind_group_a_view() {
    for bench in Bench::on_both("a_view_keeps_a_texture_and_a_bind_group_a_view") {
        let gpu = &bench.gpu;
        let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST;
        let texture = gpu.texture("kept", (32, 16), wgpu::TextureFormat::Rgba8Unorm, usage);
        let view = texture.create_view(&wgpu::TextureViewDescriptor { label: Some("view"), ..Default::default() });
        // A public view has a clone of its texture, which keeps that live.
        drop(texture);
        expect(&bench, ResourceKind::TEXTURE, "kept", 2048, 0);
        let layout = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("texture"),
            entries: &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::FRAGMENT,
                ty: wgpu::BindingType::Texture {
                    sample_type: wgpu::TextureSampleType::Float { filterable: true },
                    view_dimension: wgpu::TextureViewDimension::D2,
                    multisampled: false,
                },
                count: None,
            }],
        });
        let group = bind_group(gpu, &layout, wgpu::BindingResource::TextureView(&view));
        drop(view);
        expect(&bench, ResourceKind::TEXTURE, "kept", 0, 2048);
        assert!(bench.resource("view").is_some_and(|view| view.handle_dropped));
        drop((group, layout));
        gpu.wait();
        expect(&bench, ResourceKind::TEXTURE, "kept", 0, 0);
        assert_eq!(bench.resource("view"), None);
        bench.close();
    }
}

#[test]
fn recorded_commands_and_a_submission_in_flight_keep_a_buffer() {
    for bench in Bench::on_both("recorded_commands_and_a_submission_in_flight_keep_a_buffer") {
        let gpu = &bench.gpu;
        let kept = gpu.buffer("kept", 1 << 16, USAGE);
        let other = gpu.buffer("other", 1 << 16, USAGE);
        let mut encoder = gpu.encoder("commands");
        encoder.copy_buffer_to_buffer(&kept, 0, &other, 0, None);
        drop((kept, other));
        assert_eq!(bench.bytes(ResourceKind::BUFFER), (0, 2 << 16), "an encoder keeps what it recorded");
        let commands = encoder.finish();
        assert_eq!(bench.bytes(ResourceKind::BUFFER), (0, 2 << 16), "commands keep what they use");
        gpu.queue.submit([commands]);
        assert_eq!(bench.bytes(ResourceKind::BUFFER), (0, 2 << 16), "so does the submission until a poll");
        assert_eq!(bench.books.tracker.totals().submissions.in_flight(), 1);
        gpu.wait();
        expect(&bench, ResourceKind::BUFFER, "kept", 0, 0);
        assert_eq!(bench.books.tracker.totals().submissions.in_flight(), 0);
        // Commands that are thrown away let go at once.
        let kept = gpu.buffer("thrown away", 64, USAGE);
        let mut encoder = gpu.encoder("commands");
        encoder.clear_buffer(&kept, 0, None);
        drop(kept);
        expect(&bench, ResourceKind::BUFFER, "thrown away", 0, 64);
        drop(encoder.finish());
        gpu.wait();
        expect(&bench, ResourceKind::BUFFER, "thrown away", 0, 0);
        bench.close();
    }
}

#[test]
fn a_bind_group_in_flight_keeps_its_buffer() {
    for bench in Bench::on_both("a_bind_group_in_flight_keeps_its_buffer") {
        let gpu = &bench.gpu;
        let layout = storage_layout(gpu);
        let module = gpu.shader(
            "shader",
            "@group(0) @binding(0) var<storage, read_write> n: array<u32>;
             @compute @workgroup_size(1) fn main() { n[0] += 1u; }",
        );
        let pipeline = {
            let layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some("layout of the pipeline"),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some("pipeline"),
                layout: Some(&layout),
                module: &module,
                entry_point: None,
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        };
        let buffer = gpu.buffer("kept", 256, USAGE);
        let group = bind_group(gpu, &layout, buffer.as_entire_binding());
        gpu.submit("dispatch", |encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        });
        drop((buffer, group, layout, module));
        expect_in_flight(&bench, ResourceKind::BUFFER, "kept", 256);
        assert!(bench.resource("group").is_some_and(|group| group.handle_dropped));
        gpu.wait();
        expect(&bench, ResourceKind::BUFFER, "kept", 0, 0);
        assert_eq!(bench.resource("group"), None);
        for kept in ["layout of the pipeline", "storage"] {
            assert!(bench.resource(kept).is_some_and(|kept| kept.handle_dropped), "the pipeline keeps {kept:?}");
        }
        drop(pipeline);
        gpu.wait();
        assert_eq!(bench.resource("layout of the pipeline"), None);
        bench.close();
    }
}

#[test]
fn writes_keep_their_target_until_they_are_submitted_and_done() {
    for bench in Bench::on_both("writes_keep_their_target_until_they_are_submitted_and_done") {
        let gpu = &bench.gpu;
        let kept = gpu.buffer("kept", 1024, USAGE);
        gpu.queue.write_buffer(&kept, 0, &[1; 512]);
        drop(kept);
        gpu.wait();
        expect(&bench, ResourceKind::BUFFER, "kept", 0, 1024);
        gpu.queue.submit([]);
        expect_in_flight(&bench, ResourceKind::BUFFER, "kept", 1024);
        gpu.wait();
        expect(&bench, ResourceKind::BUFFER, "kept", 0, 0);
        bench.close();
    }
}

/// wgpu submits what was written by itself where it must.
#[test]
fn a_mapping_submits_what_was_written_before() {
    for bench in Bench::on_both("a_mapping_submits_what_was_written_before") {
        let gpu = &bench.gpu;
        let mapped = gpu.buffer("mapped", 64, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let [other, kept] = ["other", "kept"].map(|label| gpu.buffer(label, 64, USAGE));
        let totals = || {
            let totals = bench.books.tracker.totals().submissions;
            [totals.submitted, totals.completed, totals.staged_bytes, totals.submitted_bytes]
        };
        gpu.queue.write_buffer(&other, 0, &[1; 16]);
        mapped.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
        gpu.wait();
        assert_eq!(totals(), [0, 0, 16, 0], "nothing was written to this buffer");
        mapped.unmap();
        gpu.queue.write_buffer(&mapped, 0, &[7; 64]);
        gpu.queue.write_buffer(&kept, 0, &[1; 16]);
        drop(kept);
        mapped.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
        assert_eq!(totals(), [1, 0, 96, 96]);
        gpu.wait();
        assert_eq!(totals(), [1, 1, 96, 96]);
        assert_eq!(*mapped.get_mapped_range(..).unwrap(), [7; 64]);
        mapped.unmap();
        assert_eq!(bench.resource("kept"), None);
        drop((other, mapped));
        bench.close();
    }
}

#[test]
fn destroyed_memory_is_free_when_its_last_use_is_done() {
    for bench in Bench::on_both("destroyed_memory_is_free_when_its_last_use_is_done") {
        let gpu = &bench.gpu;
        let buffer = gpu.buffer("destroyed", 8192, USAGE);
        let group = bind_group(gpu, &storage_layout(gpu), buffer.as_entire_binding());
        buffer.destroy();
        expect(&bench, ResourceKind::BUFFER, "destroyed", 0, 0);
        assert!(bench.resource("destroyed").is_some_and(|buffer| buffer.destroyed && !buffer.handle_dropped));
        drop(group);
        drop(buffer);
        assert_eq!(bench.resource("destroyed"), None);
        // In use by a submission: pending until that is done.
        let used = gpu.buffer("used", 8192, USAGE);
        gpu.submit("use", |encoder| encoder.clear_buffer(&used, 0, None));
        used.destroy();
        expect_in_flight(&bench, ResourceKind::BUFFER, "used", 8192);
        gpu.wait();
        expect(&bench, ResourceKind::BUFFER, "used", 0, 0);
        used.destroy();
        let counts = bench.books.tracker.totals().kind(ResourceKind::BUFFER).device;
        assert_eq!((counts.created, counts.destroyed, counts.released), (2, 2, 1));
        drop(used);
        bench.close();
    }
}

#[test]
fn a_mapping_under_way_keeps_its_buffer() {
    for bench in Bench::on_both("a_mapping_under_way_keeps_its_buffer") {
        let gpu = &bench.gpu;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let buffer = gpu.buffer("mapped", 256, usage);
        gpu.submit("clear", |encoder| encoder.clear_buffer(&buffer, 0, None));
        buffer.map_async(wgpu::MapMode::Read, .., |_| {});
        drop(buffer);
        expect_in_flight(&bench, ResourceKind::BUFFER, "mapped", 256);
        gpu.wait();
        gpu.wait();
        expect(&bench, ResourceKind::BUFFER, "mapped", 0, 0);
        bench.close();
    }
}

#[test]
fn what_was_never_submitted_goes_with_the_queue() {
    for bench in Bench::on_both("what_was_never_submitted_goes_with_the_queue") {
        let Bench { gpu, mut books } = bench;
        let [kept, written, destroyed] = ["kept", "written", "destroyed"].map(|label| gpu.buffer(label, 64, USAGE));
        gpu.queue.write_buffer(&written, 0, &[1; 16]);
        gpu.queue.write_buffer(&destroyed, 0, &[1; 16]);
        destroyed.destroy();
        drop(written);
        let bytes = |books: &Books| {
            let counts = books.tracker.totals().kind(ResourceKind::BUFFER).device;
            (counts.live_bytes(), counts.pending_bytes())
        };
        assert_eq!(bytes(&books), (64, 128));
        drop(gpu);
        assert_eq!(bytes(&books), (64, 0), "buffers that outlive the queue keep none of its writes");
        drop((kept, destroyed));
        books.assert_closed();
        books.assert_told();
    }
}

#[test]
fn the_books_close_without_a_last_poll() {
    for bench in Bench::on_both("the_books_close_without_a_last_poll") {
        let gpu = &bench.gpu;
        let buffer = gpu.buffer("used", 1 << 16, USAGE);
        for _ in 0..20 {
            gpu.queue.write_buffer(&buffer, 0, &[1; 64]);
            gpu.submit("use", |encoder| encoder.clear_buffer(&buffer, 0, None));
        }
        let mappable = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        gpu.buffer("mapped", 64, mappable).map_async(wgpu::MapMode::Read, .., |_| {});
        drop(buffer);
        bench.close();
    }
}
