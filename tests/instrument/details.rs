//! What the books tell of each object: label, size, API, owner, packet, and what happens to it.

use crate::bench::Bench;
use crate::scene::Gpu;
use engine_vitals::probe::{Backend, Context, Event, EventKind, Extent, OwnerKind, PacketResult, ResourceKind};
use wgpu::TextureFormat as F;

fn texture(
    gpu: &Gpu,
    label: &str,
    size: [u32; 3],
    mips: u32,
    samples: u32,
    format: F,
    usage: wgpu::TextureUsages,
) -> wgpu::Texture {
    let [width, height, depth_or_array_layers] = size;
    gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d { width, height, depth_or_array_layers },
        mip_level_count: mips,
        sample_count: samples,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    })
}

#[test]
fn sizes_are_exact_by_mip_layer_sample_and_block() {
    let bench = Bench::on_noop();
    let gpu = &bench.gpu;
    let (sampled, target) = (wgpu::TextureUsages::TEXTURE_BINDING, wgpu::TextureUsages::RENDER_ATTACHMENT);
    // Each with its bytes worked out by hand.
    let cases = [
        ("one", texture(gpu, "one", [5, 3, 1], 1, 1, F::Rgba8Unorm, sampled), 5 * 3 * 4),
        ("mips", texture(gpu, "mips", [8, 8, 1], 4, 1, F::R8Unorm, sampled), 64 + 16 + 4 + 1),
        ("odd mips", texture(gpu, "odd mips", [7, 5, 1], 3, 1, F::R32Float, sampled), 4 * (35 + 6 + 1)),
        ("layers", texture(gpu, "layers", [4, 4, 6], 3, 1, F::Rgba16Float, sampled), 6 * 8 * (16 + 4 + 1)),
        ("samples", texture(gpu, "samples", [10, 10, 1], 1, 4, F::Rgba8Unorm, target), 100 * 4 * 4),
        ("blocks", texture(gpu, "blocks", [12, 8, 1], 2, 1, F::Bc7RgbaUnorm, sampled), 16 * (3 * 2 + 2)),
        ("depth", texture(gpu, "depth", [6, 6, 1], 1, 1, F::Depth32Float, target), 36 * 4),
    ];
    for (label, _, bytes) in &cases {
        assert_eq!(bench.resource(label).map(|texture| texture.bytes), Some(*bytes), "{label}");
    }
    let volume = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("volume"),
        size: wgpu::Extent3d { width: 8, height: 4, depth_or_array_layers: 4 },
        mip_level_count: 2,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D3,
        format: F::R8Unorm,
        usage: sampled,
        view_formats: &[],
    });
    let record = bench.resource("volume").unwrap();
    assert_eq!((record.bytes, record.extent), (8 * 4 * 4 + 4 * 2 * 2, Some(Extent::new(8, 4).layers(4))));
    assert_eq!((record.kind, record.backend), (ResourceKind::TEXTURE, Backend::Noop));
    assert_eq!(bench.resource("samples").unwrap().kind, ResourceKind::TEXTURE_TARGET);
    let buffer = gpu.buffer("odd", 12_345, wgpu::BufferUsages::VERTEX);
    assert_eq!(bench.resource("odd").unwrap().bytes, 12_345);
    drop((cases, volume, buffer));
    bench.close();
}

#[test]
fn each_kind_of_object_is_told_with_its_label_and_api() {
    let test = "each_kind_of_object_is_told_with_its_label_and_api";
    let Some(bench) = Bench::on_gpu(test) else { return };
    let gpu = &bench.gpu;
    let buffer = gpu.buffer("a buffer", 64, wgpu::BufferUsages::STORAGE);
    let sampler =
        gpu.device.create_sampler(&wgpu::SamplerDescriptor { label: Some("a sampler"), ..Default::default() });
    let module = gpu.shader("a module", "@compute @workgroup_size(1) fn main() {}");
    let layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("a pipeline layout"),
        ..Default::default()
    });
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("a compute pipeline"),
        layout: Some(&layout),
        module: &module,
        entry_point: None,
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
        label: Some("a query set"),
        ty: wgpu::QueryType::Occlusion,
        count: 1,
    });
    let encoder = gpu.encoder("an encoder");
    let backend = match gpu.adapter.get_info().backend {
        wgpu::Backend::Vulkan => Backend::Vulkan,
        wgpu::Backend::Gl => Backend::Gl,
        wgpu::Backend::Metal => Backend::Metal,
        wgpu::Backend::Dx12 => Backend::D3D12,
        other => panic!("no such adapter is asked for: {other:?}"),
    };
    for (label, kind) in [
        ("a buffer", ResourceKind::BUFFER),
        ("a sampler", ResourceKind::SAMPLER),
        ("a module", ResourceKind::SHADER_MODULE),
        ("a pipeline layout", ResourceKind::PIPELINE_LAYOUT),
        ("a compute pipeline", ResourceKind::COMPUTE_PIPELINE),
        ("a query set", ResourceKind::QUERY_SET),
        ("an encoder", ResourceKind::COMMAND_ENCODER),
    ] {
        let record = bench.resource(label).unwrap_or_else(|| panic!("{label} is missing"));
        assert_eq!((record.kind, record.backend, record.is_live()), (kind, backend, true), "{label}");
    }
    let of = |kind| bench.books.tracker.totals().kind(kind).device.live();
    assert_eq!((of(ResourceKind::DEVICE), of(ResourceKind::QUEUE)), (1, 1));
    drop((buffer, sampler, module, layout, pipeline, queries, encoder));
    bench.close();
}

#[test]
fn what_is_made_in_an_owners_context_is_the_owners() {
    let mut bench = Bench::on_noop();
    let probe = bench.books.tracker.probe();
    let owner = probe.owner(OwnerKind::EFFECT_PIPELINE, 7);
    let packet = probe.packet(probe.lane("frames"));
    let buffer = {
        let _here = Context::current().with_owner(owner).with_packet(packet.id()).enter();
        bench.gpu.buffer("owned", 64, wgpu::BufferUsages::COPY_DST)
    };
    let other = bench.gpu.buffer("nobody's", 64, wgpu::BufferUsages::COPY_DST);
    let record = bench.resource("owned").unwrap();
    assert_eq!((record.owner, record.created_in), (Some(owner), Some(packet.id())));
    let record = bench.resource("nobody's").unwrap();
    assert_eq!((record.owner, record.created_in), (None, None));
    let created = bench.events(EventKind::Create);
    let event = created.iter().find(|event| event.owner == Some(owner)).unwrap();
    assert_eq!(
        (event.packet, event.bytes, event.resource_kind),
        (Some(packet.id()), Some(64), Some(ResourceKind::BUFFER))
    );
    let owned = bench.books.tracker.totals().owner_kind(OwnerKind::EFFECT_PIPELINE).device;
    assert_eq!((owned.created, owned.live_bytes()), (1, 64));
    packet.finish(PacketResult::NoOp);
    drop((buffer, other));
    bench.close();
}

#[test]
fn a_target_that_its_owner_makes_anew_in_another_size_is_rebuilt() {
    let mut bench = Bench::on_noop();
    let probe = bench.books.tracker.probe();
    let [mine, theirs] = [1, 2].map(|key| probe.owner(OwnerKind::ROOT_VISUAL, key));
    let target = |gpu: &Gpu, owner, label: &str, width| {
        let _owned = Context::current().with_owner(owner).enter();
        gpu.texture(label, (width, 8), F::Rgba8Unorm, wgpu::TextureUsages::RENDER_ATTACHMENT)
    };
    // Made before the old one is dropped, and after.
    let first = target(&bench.gpu, mine, "target", 8);
    let second = target(&bench.gpu, mine, "target", 16);
    assert_eq!(bench.events(EventKind::ResizeRebuild), []);
    drop(first);
    let rebuilt = bench.events(EventKind::ResizeRebuild);
    let of = |event: &Event| (event.owner, event.extent, event.resource_kind);
    let expected = (Some(mine), Some(Extent::new(16, 8)), Some(ResourceKind::TEXTURE_TARGET));
    assert_eq!(rebuilt.iter().map(of).collect::<Vec<_>>(), [expected]);
    drop(second);
    let third = target(&bench.gpu, mine, "target", 32);
    assert_eq!(bench.events(EventKind::ResizeRebuild).len(), 2);
    // Another owner's, another label's, or the same size again is none.
    drop(third);
    let others = [target(&bench.gpu, theirs, "target", 64), target(&bench.gpu, mine, "other", 64)];
    let same = target(&bench.gpu, mine, "target", 32);
    assert_eq!(bench.events(EventKind::ResizeRebuild).len(), 2);
    let counts = bench.books.tracker.totals().kind(ResourceKind::TEXTURE_TARGET).device;
    assert_eq!(counts.rebuilds, 2);
    drop((others, same));
    bench.close();
}

#[test]
fn debug_groups_and_markers_are_markers() {
    let mut bench = Bench::on_noop();
    let target = bench.gpu.texture("target", (4, 4), F::Rgba8Unorm, wgpu::TextureUsages::RENDER_ATTACHMENT);
    let view = target.create_view(&wgpu::TextureViewDescriptor::default());
    bench.gpu.submit("marked", |encoder| {
        encoder.push_debug_group("frame");
        encoder.insert_debug_marker("begun");
        let attachment = wgpu::RenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations::default(),
        };
        let color_attachments = &[Some(attachment)];
        let mut pass =
            encoder.begin_render_pass(&wgpu::RenderPassDescriptor { color_attachments, ..Default::default() });
        pass.push_debug_group("shadows");
        pass.insert_debug_marker("sun");
        pass.pop_debug_group();
        drop(pass);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.push_debug_group("particles");
        pass.insert_debug_marker("sorted");
        pass.pop_debug_group();
        drop(pass);
        encoder.pop_debug_group();
    });
    let names: Vec<_> = bench.events(EventKind::Marker).into_iter().filter_map(|event| event.marker).collect();
    assert_eq!(names, ["frame", "begun", "shadows", "sun", "particles", "sorted"]);
    drop((target, view));
    bench.gpu.wait();
    bench.close();
}

#[test]
fn staged_bytes_belong_to_the_next_submission_and_completions_to_theirs() {
    let mut bench = Bench::on_noop();
    let buffer = bench.gpu.buffer("written", 256, wgpu::BufferUsages::COPY_DST);
    let usage = wgpu::TextureUsages::COPY_DST;
    let texture = bench.gpu.texture("written", (4, 4), F::Rgba8Unorm, usage);
    let queue = &bench.gpu.queue;
    queue.write_buffer(&buffer, 0, &[1; 100]);
    queue.write_buffer_with(&buffer, 128, std::num::NonZeroU64::new(64).unwrap()).unwrap().copy_from_slice(&[2; 64]);
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(16), rows_per_image: None };
    queue.write_texture(texture.as_image_copy(), &[3; 64], layout, texture.size());
    let staged = |bench: &Bench| {
        let totals = bench.books.tracker.totals().submissions;
        (totals.staged_bytes, totals.submitted_bytes)
    };
    assert_eq!(staged(&bench), (228, 0));
    for (offset, bytes) in [(250, 16), (2, 4), (0, 3), (u64::MAX - 3, 4)] {
        let refused = bench.gpu.invalid(|| bench.gpu.queue.write_buffer(&buffer, offset, &vec![0; bytes]));
        assert!(refused.is_some(), "{bytes} bytes at {offset}");
    }
    let other = bench.gpu.buffer("not written", 64, wgpu::BufferUsages::VERTEX);
    assert!(bench.gpu.invalid(|| bench.gpu.queue.write_buffer(&other, 0, &[0; 4])).is_some());
    drop(other);
    assert_eq!(bench.resource("not written"), None);
    assert_eq!(staged(&bench), (228, 0), "what wgpu refuses is not staged");
    bench.gpu.queue.submit([]);
    assert_eq!(staged(&bench), (228, 228));
    bench.gpu.queue.write_buffer(&buffer, 0, &[1; 4]);
    assert_eq!(staged(&bench), (232, 228));
    bench.gpu.queue.submit([]);
    bench.gpu.wait();
    assert_eq!(staged(&bench), (232, 232));
    let [submitted, completed] = [EventKind::Submit, EventKind::Complete].map(|kind| bench.events(kind));
    let numbers = |events: &[Event]| events.iter().map(|event| event.correlation.unwrap()).collect::<Vec<_>>();
    assert_eq!(numbers(&submitted), numbers(&completed));
    assert_eq!(submitted.iter().map(|event| event.bytes).collect::<Vec<_>>(), [Some(228), Some(4)]);
    drop((buffer, texture));
    bench.close();
}

#[test]
fn touches_tell_the_packet_that_uses_a_resource() {
    let mut bench = Bench::on_noop();
    let probe = bench.books.tracker.probe();
    let buffer = bench.gpu.buffer("touched", 64, wgpu::BufferUsages::COPY_DST);
    let idle = bench.gpu.buffer("idle", 64, wgpu::BufferUsages::COPY_DST);
    let packet = probe.packet(probe.lane("frames"));
    let frame = |bench: &Bench| {
        let _here = packet.context().enter();
        bench.gpu.submit("use", |encoder| encoder.clear_buffer(&buffer, 0, None));
        bench.gpu.wait();
    };
    frame(&bench);
    assert_eq!(bench.resource("touched").unwrap().last_packet, None, "touch lists are off");
    bench.books.tracker.set_touch_lists(true);
    frame(&bench);
    assert_eq!(bench.resource("touched").unwrap().last_packet, Some(packet.id()));
    assert_eq!(bench.resource("idle").unwrap().last_packet, None);
    let id = bench.resource("touched").unwrap().id;
    let bound = bench.events(EventKind::Bind);
    let touches = bound.iter().filter(|event| event.resource == Some(id));
    assert_eq!(touches.map(|event| event.packet).collect::<Vec<_>>(), [Some(packet.id())]);
    packet.finish(PacketResult::Presented);
    drop((buffer, idle));
    bench.close();
}

/// wgpu returns an object whatever happens, and tells elsewhere that it is none.
#[test]
fn what_could_not_be_made_is_in_the_books_until_its_handle_is_dropped() {
    let bench = Bench::on_noop();
    let mut refused = None;
    let error = bench.gpu.invalid(|| {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE;
        refused = Some(bench.gpu.buffer("refused", 64, usage));
    });
    assert!(error.is_some());
    assert_eq!(bench.bytes(ResourceKind::BUFFER), (64, 0));
    drop(refused);
    assert_eq!(bench.bytes(ResourceKind::BUFFER), (0, 0));
    let error = bench.gpu.invalid(|| {
        let enormous = texture_of(&bench.gpu, u32::MAX);
        // No device has that much.
        assert_eq!(bench.bytes(ResourceKind::TEXTURE), (0, 0));
        drop(enormous);
    });
    assert!(error.is_some());
    assert_eq!(bench.bytes(ResourceKind::TEXTURE), (0, 0));
    bench.close();
}

fn texture_of(gpu: &Gpu, width: u32) -> wgpu::Texture {
    texture(gpu, "enormous", [width, width, 2048], 1, 1, F::Rgba32Float, wgpu::TextureUsages::COPY_DST)
}

/// Every object can be shown in a log, also while it is in use.
#[test]
fn every_object_can_be_printed() {
    let bench = Bench::on_noop();
    let gpu = &bench.gpu;
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("printed"),
        size: 64,
        usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: true,
    });
    let view = buffer.get_mapped_range_mut(..).unwrap();
    let texture = gpu.texture("printed", (4, 4), F::Rgba8Unorm, wgpu::TextureUsages::RENDER_ATTACHMENT);
    let target = texture.create_view(&wgpu::TextureViewDescriptor::default());
    let mut encoder = gpu.encoder("printed");
    let attachment = wgpu::RenderPassColorAttachment {
        view: &target,
        depth_slice: None,
        resolve_target: None,
        ops: wgpu::Operations::default(),
    };
    let color_attachments = &[Some(attachment)];
    let pass = encoder
        .begin_render_pass(&wgpu::RenderPassDescriptor { color_attachments, ..Default::default() })
        .forget_lifetime();
    let texts = [
        format!("{:?} {:?}", gpu.instance, gpu.adapter),
        format!("{:?} {:?}", gpu.device, gpu.queue),
        format!("{buffer:?} {view:?}"),
        format!("{texture:?} {target:?}"),
        format!("{pass:?} {encoder:?}"),
    ];
    assert!(texts.iter().all(|text| text.len() > 20), "{texts:?}");
    drop((view, pass));
    drop((buffer, texture, target, encoder.finish()));
    bench.close();
}
