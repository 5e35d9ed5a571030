//! What the builder can be told: kinds, labels, owners, backtraces, timestamp features.

use crate::bench::Bench;
use crate::scene::Gpu;
use engine_vitals::instrument::{Instrumentation, real_device};
use engine_vitals::probe::{Context, OwnerKind, ResourceKind};
use engine_vitals::tracker::Tracker;
use std::num::NonZeroU32;

fn buffer(gpu: &Gpu, label: &str) -> wgpu::Buffer {
    gpu.buffer(label, 64, wgpu::BufferUsages::COPY_DST)
}

#[test]
fn a_kind_that_is_left_out_still_keeps_what_it_kept() {
    let bench = Bench::noop_with(|builder| builder.without_kind(ResourceKind::TEXTURE_VIEW));
    let usage = wgpu::TextureUsages::TEXTURE_BINDING;
    let texture = bench.gpu.texture("viewed", (4, 4), wgpu::TextureFormat::R8Unorm, usage);
    let pipeline = crate::scene::compute_pipeline(
        &bench.gpu,
        "look",
        "@group(0) @binding(0) var picture: texture_2d<f32>;
         @compute @workgroup_size(1) fn main() { let seen = textureLoad(picture, vec2u(0u), 0); }",
    );
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    let group = bench.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) }],
    });
    assert_eq!(bench.books.tracker.totals().kind(ResourceKind::TEXTURE_VIEW).device.created, 0);
    drop((texture, view));
    assert_eq!(bench.bytes(ResourceKind::TEXTURE), (0, 16));
    drop((group, pipeline));
    bench.gpu.wait();
    assert_eq!(bench.bytes(ResourceKind::TEXTURE), (0, 0));
    bench.close();
}

#[test]
fn labels_choose_what_is_tracked() {
    let bench = Bench::noop_with(|builder| builder.only_labels_starting("game").without_labels_starting("game tmp"));
    let buffers = ["game mesh", "game tmp 1", "ui"].map(|label| buffer(&bench.gpu, label));
    let tracked = ["game mesh", "game tmp 1", "ui"].map(|label| bench.resource(label).is_some());
    assert_eq!(tracked, [true, false, false]);
    // What is not tracked works all the same.
    bench.gpu.submit("all", |encoder| buffers.iter().for_each(|buffer| encoder.clear_buffer(buffer, 0, None)));
    drop(buffers);
    bench.gpu.wait();
    bench.close();
}

#[test]
fn labels_name_owners_and_are_kept_up_to_a_limit() {
    let tracker = Tracker::new();
    let owner = tracker.probe().owner(OwnerKind::EFFECT_PIPELINE, 5);
    let instrumentation =
        Instrumentation::builder(tracker.probe()).owner_of_label("bloom", owner).label_limit(3).build();
    let gpu = Gpu::open(&instrumentation.wrap(crate::scene::noop_instance())).unwrap();
    // The device and its queue have a label each.
    let first = buffer(&gpu, "bloom down");
    let second = buffer(&gpu, "bloom up");
    let of = |label: Option<&str>| {
        let resources = tracker.snapshot().resources.into_iter();
        let buffers = resources.filter(|resource| resource.kind == ResourceKind::BUFFER);
        buffers.filter(|resource| resource.label.as_deref() == label).map(|resource| resource.owner).collect::<Vec<_>>()
    };
    assert_eq!((of(Some("bloom down")), of(None)), (vec![Some(owner)], vec![Some(owner)]));
    drop(first);
    // What is not tracked takes no label's place.
    let _untracked: Vec<_> = {
        let _here = Context::current().untracked().enter();
        (0..9).map(|_| buffer(&gpu, "a tool's")).collect()
    };
    let third = buffer(&gpu, "other");
    assert_eq!(of(Some("other")), [None], "its label has the place of the one that is gone");
    drop((second, third));
}

#[test]
fn backtraces_tell_where_sampled_resources_were_made() {
    let tracker = Tracker::new();
    let each = NonZeroU32::new(2).unwrap();
    let instrumentation = Instrumentation::builder(tracker.probe()).backtraces_every(each).build();
    let gpu = Gpu::open(&instrumentation.wrap(crate::scene::noop_instance())).unwrap();
    let buffers: Vec<_> = (0..8).map(|_| buffer(&gpu, "made here")).collect();
    let ids: Vec<_> =
        tracker.snapshot().resources.iter().filter(|r| r.kind == ResourceKind::BUFFER).map(|r| r.id).collect();
    let traces: Vec<_> = ids.iter().filter_map(|id| instrumentation.backtrace(*id)).collect();
    assert_eq!(traces.len(), 4, "of every second one");
    for trace in &traces {
        assert!(trace.to_string().contains("backtraces_tell_where"), "{trace}");
    }
    drop(buffers);
    assert!(ids.iter().all(|id| instrumentation.backtrace(*id).is_none()), "they go with their resource");
}

#[test]
fn devices_have_the_adapters_timestamp_features_and_do_not_show_them() {
    let timestamps = wgpu::Features::TIMESTAMP_QUERY;
    for (switch, asked) in [(true, false), (true, true), (false, false), (false, true)] {
        let tracker = Tracker::new();
        let instrumentation = Instrumentation::builder(tracker.probe()).timestamps(switch).build();
        let instance = instrumentation.wrap(crate::scene::noop_instance());
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
        let required_features = if asked { timestamps } else { wgpu::Features::empty() };
        let descriptor = wgpu::DeviceDescriptor { required_features, ..Default::default() };
        let (device, _queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
        assert_eq!(device.features(), required_features, "what was asked for");
        assert_eq!(real_device(&device).features().contains(timestamps), switch || asked);
    }
}
