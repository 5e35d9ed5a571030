//! What refers to what: a view to its texture, a bind group to its members, a submission to its queue and command buffers,
//! staged bytes to where they go.

use crate::bench::Bench;
use engine_vitals::probe::{Context, Event, EventKind, OwnerKind, PacketResult, ResourceId, ResourceKind};
use wgpu::TextureFormat as F;

fn id(bench: &Bench, label: &str) -> ResourceId {
    bench.resource(label).unwrap().id
}

#[test]
fn a_view_names_its_texture_and_a_bind_group_its_members() {
    let bench = Bench::on_noop();
    let gpu = &bench.gpu;
    let texture = gpu.texture("texture", (4, 4), F::Rgba8Unorm, wgpu::TextureUsages::TEXTURE_BINDING);
    let view = texture.create_view(&wgpu::TextureViewDescriptor { label: Some("view"), ..Default::default() });
    let uniforms = gpu.buffer("uniforms", 64, wgpu::BufferUsages::UNIFORM);
    let entry =
        |binding, ty| wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::FRAGMENT, ty, count: None };
    let image = wgpu::BindingType::Texture {
        sample_type: wgpu::TextureSampleType::Float { filterable: true },
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    };
    let buffer = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    let layout = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("layout"),
        entries: &[entry(0, image), entry(1, buffer)],
    });
    let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("group"),
        layout: &layout,
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) },
            wgpu::BindGroupEntry { binding: 1, resource: uniforms.as_entire_binding() },
        ],
    });
    assert_eq!(bench.resource("view").unwrap().links, [id(&bench, "texture")]);
    let mut members = bench.resource("group").unwrap().links;
    members.retain(|member| *member != id(&bench, "layout"));
    assert_eq!(members, [id(&bench, "view"), id(&bench, "uniforms")]);
    assert_eq!(bench.resource("texture").unwrap().links, []);

    let again = gpu.texture("again", (4, 4), F::Rgba8Unorm, wgpu::TextureUsages::TEXTURE_BINDING);
    let other = gpu.texture("other", (4, 4), F::Rgba8UnormSrgb, wgpu::TextureUsages::TEXTURE_BINDING);
    let descriptor = |label| bench.resource(label).unwrap().descriptor;
    assert_eq!(descriptor("again"), descriptor("texture"));
    assert_ne!(descriptor("other"), descriptor("texture"), "another format");
    drop((texture, view, uniforms, layout, group, again, other));
    bench.close();
}

#[test]
fn a_submission_names_its_queue_packet_owner_and_command_buffers() {
    let mut bench = Bench::on_noop();
    let probe = bench.books.tracker.probe();
    let owner = probe.owner(OwnerKind::EFFECT_PIPELINE, 5);
    let packet = probe.packet(probe.lane("frames")).with_command(77);
    let target = bench.gpu.buffer("target", 64, wgpu::BufferUsages::COPY_DST);
    let number = {
        let _here = packet.context().with_owner(owner).enter();
        let commands = ["first", "second"].map(|label| {
            let mut encoder = bench.gpu.encoder(label);
            encoder.clear_buffer(&target, 0, None);
            encoder.finish()
        });
        bench.gpu.queue.submit(commands);
        bench.gpu.wait();
        bench.books.tracker.submissions(8).iter().find(|submission| submission.command_buffers == 2).copied().unwrap()
    };
    let queue =
        bench.books.tracker.snapshot().resources.into_iter().find(|one| one.kind == ResourceKind::QUEUE).unwrap();
    assert_eq!((number.queue, number.packet, number.owner), (Some(queue.id), Some(packet.id()), Some(owner)));
    assert_eq!((number.site, number.in_flight(), number.abandoned), (None, false, false));
    let of_submission = |event: &Event| event.correlation == Some(number.correlation);
    let taken: Vec<_> = bench.events(EventKind::Bind).into_iter().filter(of_submission).collect();
    assert!(taken.iter().all(|event| event.resource_kind == Some(ResourceKind::COMMAND_BUFFER)));
    assert_eq!(taken.len(), 2);
    let submitted: Vec<_> = bench.events(EventKind::Submit).into_iter().filter(of_submission).collect();
    assert_eq!(submitted.iter().map(|event| event.resource).collect::<Vec<_>>(), [Some(queue.id)]);
    packet.finish(PacketResult::Presented);
    let record = bench.books.tracker.packets(1)[0];
    assert_eq!((record.command, record.result), (Some(77), Some(PacketResult::Presented)));
    assert!(record.submissions >= 1 && record.submit_to_complete().is_some(), "{record:?}");
    drop(target);
    bench.close();
}

#[test]
fn bytes_that_wait_for_a_submission_name_the_buffer_that_they_go_to() {
    let bench = Bench::on_noop();
    let probe = bench.books.tracker.probe();
    let owner = probe.owner(OwnerKind::CHILD_VISUAL, 2);
    let target = {
        let _here = Context::current().with_owner(owner).enter();
        bench.gpu.buffer("target", 64, wgpu::BufferUsages::COPY_DST)
    };
    assert_eq!(bench.books.tracker.unsubmitted(), None);
    bench.gpu.queue.write_buffer(&target, 0, &[1; 16]);
    bench.gpu.queue.write_buffer(&target, 16, &[1; 16]);
    let waiting = bench.books.tracker.unsubmitted().unwrap();
    let expected = (32, Some(id(&bench, "target")), Some(owner), None);
    assert_eq!((waiting.bytes, waiting.first, waiting.owner, waiting.site), expected);
    bench.gpu.queue.submit([]);
    assert_eq!(bench.books.tracker.unsubmitted(), None);
    bench.gpu.wait();
    drop(target);
    bench.close();
}
