//! What the lines say: every event, every field.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "common/mod.rs"]
mod common;

use common::Sink;
use engine_vitals_core::probe::{
    Backend, Clock, Event, EventKind, Extent, Lane, Level, Mark, New, OwnerId, OwnerKind, PacketId, PacketResult,
    Probe, ResourceId, ResourceKind, Timestamp,
};
use engine_vitals_core::tracker::Tracker;
use engine_vitals_trace::{EventLine, EventLog, Options, write_event};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// A log that reads when it is stopped, and not before.
fn on_stop(tracker: &Arc<Tracker>) -> (EventLog, Sink) {
    let sink = Sink::default();
    let options = Options::new().interval(Duration::from_secs(3600)).stop_within(Duration::from_secs(60));
    (EventLog::start(Arc::clone(tracker), sink.clone(), options).unwrap(), sink)
}

fn thread_id() -> u64 {
    let mut hasher = DefaultHasher::new();
    std::thread::current().id().hash(&mut hasher);
    hasher.finish()
}

/// Without what differs from run to run, once it was found right.
fn lines_of_this_thread(sink: &Sink) -> Vec<Value> {
    let mut lines = sink.lines();
    for line in &mut lines {
        assert_eq!(line.as_object_mut().unwrap().remove("threadId"), Some(json!(thread_id())), "{line}");
    }
    lines
}

#[test]
fn every_event_has_its_line() {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_700_000_000_000_999_999));
    let tracker = Arc::new(Tracker::builder().level(Level::Events).clock(clock).build());
    let probe = tracker.probe();
    let (mut log, sink) = on_stop(&tracker);
    let step = || hand.advance(Duration::from_millis(1));

    let owner = probe.owner_named(OwnerKind::TRANSIENT, 77, "blur \"large\"\n");
    let packet = probe.packet(probe.lane("main\twindow"));
    step();
    let context = packet.context().with_owner(owner).enter();
    let extent = Extent::new(640, 480).layers(6).scale(1.5);
    let new = New::texture(4096).backend(Backend::D3D12).native(u64::MAX).extent(extent);
    let mut texture = probe.create(new.label("shadow map").took(Duration::from_nanos(12_345)));
    step();
    drop(context);
    let part = probe.create(New::buffer(64).within(texture.id()));
    let queue = probe.create(New::of(ResourceKind::QUEUE, 0).backend(Backend::Vulkan));
    let [id, part_id, queue_id] = [&texture, &part, &queue].map(|ticket| ticket.id().unwrap().get());
    step();
    probe.event(Mark::Bind { resource: &texture });
    probe.event(Mark::Unbind { resource: &texture });
    step();
    texture.resize_to(1024, Extent::new(320, 240));
    probe.staged(500);
    probe.event(Mark::Submit { correlation: 9, queue: Some(&queue), command_buffers: &[] });
    probe.event(Mark::submit(10));
    step();
    probe.event(Mark::Complete { correlation: 9, queue: Some(&queue) });
    probe.event(Mark::marker("load \"level 2\"\r\n\u{1}\u{7f}"));
    step();
    packet.finish(PacketResult::Presented);
    probe.packet(Lane::NONE).finish(PacketResult::NoOp);
    probe.event(Mark::Present { surface: None });
    step();
    drop(part);
    drop(texture);

    assert!(log.stop());
    let base = 1_700_000_000_000_u64;
    let texture = json!({
        "backend": "D3D12", "resourceType": "texture", "resourceId": id, "nativeHandle": u64::MAX,
        "width": 640, "height": 480, "scale": 1.5, "depthOrLayers": 6, "bytes": 4096,
        "ownerKind": "transient", "ownerKey": 77, "ownerName": "blur \"large\"\n",
    });
    let small = json!({"width": 320, "height": 240, "depthOrLayers": 1, "bytes": 1024});
    let part = json!({"backend": "Common", "resourceType": "buffer", "resourceId": part_id, "bytes": 64, "suballocation": true});
    let queue = json!({"backend": "Vulkan", "resourceType": "queue", "resourceId": queue_id});
    let framed = json!({"backend": "Common", "laneId": "main\twindow", "packetId": 1});
    let other = json!({"backend": "Common", "laneId": "other", "packetId": 1});
    let none = json!({"backend": "Common"});
    let unscaled = without(&with(&texture, &small), &["scale"]);
    let expected = [
        with(&framed, &json!({"ts": base, "event": "Marker", "marker": "packet queued"})),
        with(
            &with(&framed, &texture),
            &json!({"ts": base + 1, "event": "Create", "sequence": 0, "tookUs": 12.345, "label": "shadow map"}),
        ),
        with(&part, &json!({"ts": base + 2, "event": "Create", "sequence": 0})),
        with(&queue, &json!({"ts": base + 2, "event": "Create", "sequence": 0, "bytes": 0})),
        with(&texture, &json!({"ts": base + 3, "event": "Bind", "sequence": 1})),
        with(&texture, &json!({"ts": base + 3, "event": "Unbind", "sequence": 2})),
        with(&unscaled, &json!({"ts": base + 4, "event": "ResizeRebuild", "sequence": 3})),
        with(&queue, &json!({"ts": base + 4, "event": "Submit", "sequence": 1, "correlationId": 9, "bytes": 500})),
        with(&none, &json!({"ts": base + 4, "event": "Submit", "correlationId": 10, "bytes": 0})),
        with(&queue, &json!({"ts": base + 5, "event": "Complete", "sequence": 2, "correlationId": 9})),
        with(&none, &json!({"ts": base + 5, "event": "Marker", "marker": "load \"level 2\"\r\n\u{1}\u{7f}"})),
        with(&framed, &json!({"ts": base + 6, "event": "Present", "result": "presented"})),
        with(&other, &json!({"ts": base + 6, "event": "Marker", "marker": "packet queued"})),
        with(&other, &json!({"ts": base + 6, "event": "Marker", "marker": "packet finished", "result": "no_op"})),
        with(&none, &json!({"ts": base + 6, "event": "Present"})),
        with(&part, &json!({"ts": base + 7, "event": "Destroy", "sequence": 1, "lifetimeUs": 5000.0})),
        with(&unscaled, &json!({"ts": base + 7, "event": "Destroy", "sequence": 4, "lifetimeUs": 6000.0})),
    ];
    let lines = lines_of_this_thread(&sink);
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!(line, expected);
    }
    assert_eq!(lines.len(), expected.len());
    assert_eq!((log.delivered(), log.lost(), log.unwritten()), (expected.len() as u64, 0, 0));
    for kind in EventKind::ALL {
        assert!(lines.iter().any(|line| line["event"] == kind.name()), "no {kind:?}");
    }
}

/// `object` with all of `more`.
fn with(object: &Value, more: &Value) -> Value {
    let mut fields = object.as_object().unwrap().clone();
    fields.extend(more.as_object().unwrap().clone());
    Value::Object(fields)
}

fn without(object: &Value, fields: &[&str]) -> Value {
    let mut object = object.as_object().unwrap().clone();
    object.retain(|name, _| !fields.contains(&name.as_str()));
    Value::Object(object)
}

#[test]
fn threads_have_numbers_of_their_own() {
    let tracker = Arc::new(Tracker::builder().level(Level::Events).build());
    let (mut log, sink) = on_stop(&tracker);
    let probe = tracker.probe();
    let report = move || {
        probe.event(Mark::marker("here"));
        thread_id()
    };
    let ids = [report(), std::thread::spawn(report).join().unwrap()];
    assert_ne!(ids[0], ids[1]);
    assert!(log.stop());
    let mut written: Vec<_> = sink.lines().iter().map(|line| line["threadId"].as_u64().unwrap()).collect();
    written.sort_by_key(|id| ids.iter().position(|known| known == id));
    assert_eq!(written, ids);
}

#[test]
fn every_backend_has_its_name() {
    let tracker = Arc::new(Tracker::builder().level(Level::Events).build());
    let (mut log, sink) = on_stop(&tracker);
    let tickets = Backend::ALL.map(|backend| tracker.probe().create(New::buffer(1).backend(backend)));
    assert!(log.stop());
    drop(tickets);
    let names: Vec<_> = sink.lines().iter().map(|line| line["backend"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["Common", "Metal", "D3D12", "Vulkan", "Gl", "WebGpu", "Noop"]);
}

/// An owner, and its kind, key and name as the lines have them.
type KnownOwner = (OwnerId, &'static str, Option<u64>, Option<&'static str>);

/// A tracker that knows some owners and lanes, and an event of it to change.
struct Known {
    tracker: Tracker,
    event: Event,
    owners: Vec<KnownOwner>,
    lanes: Vec<(Lane, &'static str)>,
    packets: Vec<(PacketId, u64)>,
}

const WILD: [&str; 5] =
    ["plain", "a \"quoted\" \\ name", "two\nlines\r\n", "\0\u{1}\u{1f}\u{7f}\u{9b}", "日本 \u{2028}\u{1f600}"];

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let tracker = Tracker::builder().level(Level::Events).owner_capacity(6).lane_capacity(WILD.len()).build();
    let probe: Probe = tracker.probe();
    let mut owners = vec![(probe.owner(OwnerKind::ROOT_VISUAL, u64::MAX), "root_visual", Some(u64::MAX), None)];
    for (key, name) in (0..).zip(WILD) {
        let owner = probe.owner_named(OwnerKind::EFFECT_PIPELINE, key, name);
        owners.push((owner, "effect_pipeline", Some(key), Some(name)));
    }
    // One too many: its kind is all that is known of it.
    owners.push((probe.owner(OwnerKind::TRANSIENT, 1), "transient", None, None));
    let lanes: Vec<_> = WILD.map(|name| (probe.lane(name), name)).into_iter().chain([(Lane::OTHER, "other")]).collect();
    let packets = lanes.iter().flat_map(|(lane, _)| [1, 2].map(|number| (probe.packet(*lane).id(), number))).collect();
    probe.event(Mark::marker("base"));
    let event = tracker.recent_events(1)[0];
    Known { tracker, event, owners, lanes, packets }
});

fn extents() -> impl Strategy<Value = Extent> {
    let scale = proptest::option::of(proptest::num::f32::ANY);
    (any::<u32>(), any::<u32>(), any::<u32>(), scale).prop_map(|(width, height, depth, scale)| {
        let extent = Extent::new(width, height).layers(depth);
        scale.map_or(extent, |scale| extent.scale(scale))
    })
}

/// Times that serde_json reads back to the nanosecond: it rounds the last digits of longer ones.
fn spans() -> impl Strategy<Value = Option<Duration>> {
    proptest::option::of((0..1_u64 << 48).prop_map(Duration::from_nanos))
}

fn one_of<T: Clone + std::fmt::Debug + 'static>(all: impl Into<Vec<T>>) -> impl Strategy<Value = T> {
    proptest::sample::select(all.into())
}

fn perhaps<T: Clone + std::fmt::Debug + 'static>(all: impl Into<Vec<T>>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(one_of(all))
}

proptest! {
    #[test]
    fn any_event_comes_back_from_its_line(
        (time, event, backend, kind) in (
            any::<u64>(), one_of(EventKind::ALL), one_of(Backend::ALL),
            perhaps([ResourceKind::OTHER, ResourceKind::TEXTURE, ResourceKind::CPU_MEMORY]),
        ),
        (resource, native, thread, extent) in
            (any::<u64>(), any::<Option<u64>>(), any::<u64>(), proptest::option::of(extents())),
        (owner, packet, lane) in (perhaps(KNOWN.owners.clone()), perhaps(KNOWN.packets.clone()), perhaps(KNOWN.lanes.clone())),
        (bytes, sequence, correlation) in (any::<Option<u64>>(), any::<Option<u32>>(), any::<Option<u64>>()),
        (label, marker, result) in (perhaps(WILD), perhaps(WILD), perhaps(PacketResult::ALL)),
        (took, lifetime, suballocation) in (spans(), spans(), any::<bool>()),
    ) {
        let mut given = KNOWN.event;
        given.time = Timestamp::from_unix_nanos(time);
        given.event = event;
        given.backend = backend;
        given.resource_kind = kind;
        given.resource = ResourceId::new(resource);
        given.label = label;
        given.native = native;
        given.thread = thread;
        given.owner = owner.map(|(id, ..)| id);
        given.packet = packet.map(|(id, _)| id);
        given.lane = lane.map(|(id, _)| id);
        given.extent = extent;
        given.bytes = bytes;
        given.sequence = sequence;
        given.correlation = correlation;
        given.marker = marker;
        given.result = result;
        given.took = took;
        given.lifetime = lifetime;
        given.suballocation = suballocation;

        let mut text = Vec::new();
        write_event(&mut text, &given, &KNOWN.tracker).unwrap();
        prop_assert_eq!(text.iter().position(|byte| *byte == b'\n'), Some(text.len() - 1));
        prop_assert!(text[..text.len() - 1].iter().all(|byte| *byte >= 0x20));
        let mut line: Map<String, Value> = serde_json::from_slice(&text).unwrap();
        prop_assert!(line.values().all(|value| !value.is_null()));
        let same = serde_json::to_string(&EventLine::new(&given, &KNOWN.tracker)).unwrap() + "\n";
        prop_assert_eq!(String::from_utf8_lossy(&text), same);

        // Numbers that JSON keeps as decimals are compared as what they were.
        let scale = line.remove("scale").map(|scale| scale.as_f64().unwrap() as f32);
        prop_assert_eq!(scale, extent.and_then(|extent| extent.scale).filter(|scale| scale.is_finite()));
        for (field, given) in [("tookUs", took), ("lifetimeUs", lifetime)] {
            let read = line.remove(field).map(|us| Duration::from_nanos((us.as_f64().unwrap() * 1e3).round() as u64));
            prop_assert_eq!(read, given);
        }

        // The rest is exactly this, and nothing more.
        let fields = [
            ("ts", Some(json!(time / 1_000_000))),
            ("backend", Some(json!(format!("{backend:?}")))),
            ("event", Some(json!(format!("{event:?}")))),
            ("resourceType", kind.map(|kind| json!(format!("{kind:?}")))),
            ("resourceId", (resource != 0).then(|| json!(resource))),
            ("label", label.map(|label| json!(label))),
            ("nativeHandle", native.map(|native| json!(native))),
            ("threadId", Some(json!(thread))),
            ("width", extent.map(|extent| json!(extent.width))),
            ("height", extent.map(|extent| json!(extent.height))),
            ("depthOrLayers", extent.map(|extent| json!(extent.depth_or_layers))),
            ("bytes", bytes.map(|bytes| json!(bytes))),
            ("ownerKind", owner.map(|(_, kind, ..)| json!(kind))),
            ("ownerKey", owner.and_then(|(_, _, key, _)| key).map(|key| json!(key))),
            ("ownerName", owner.and_then(|(.., name)| name).map(|name| json!(name))),
            ("laneId", lane.map(|(_, name)| json!(name))),
            ("packetId", packet.map(|(_, number)| json!(number))),
            ("sequence", sequence.map(|sequence| json!(sequence))),
            ("correlationId", correlation.map(|correlation| json!(correlation))),
            ("marker", marker.map(|marker| json!(marker))),
            ("result", result.map(|result| json!(result.name()))),
            ("suballocation", suballocation.then_some(Value::Bool(true))),
        ];
        let expected: Map<_, _> =
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        prop_assert_eq!(line, expected);
    }
}
