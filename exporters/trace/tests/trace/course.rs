//! Packets, submissions and lifetimes, on one thread and on several.

use super::*;
use crate::reader::Reader;
use engine_vitals_core::probe::{Extent, Mark, New, OwnerKind, PacketResult, ResourceKind, Ticket};
use engine_vitals_trace::TraceFile;

/// Two lanes whose packets overlap, a queue whose submissions do, resources of several owners.
#[test]
fn packets_submissions_and_lifetimes_are_what_happened() {
    let Some(reader) = Reader::find("packets_submissions_and_lifetimes_are_what_happened") else { return };
    let (tracker, clock) = tracker(1 << 12);
    let probe = tracker.probe();
    let sums = "select max(extract_arg(arg_set_id, 'debug.command')) command, \
                sum(extract_arg(arg_set_id, 'debug.created')) created, \
                sum(extract_arg(arg_set_id, 'debug.released')) released, \
                sum(extract_arg(arg_set_id, 'debug.submissions')) submissions from slice where name glob 'main *'";
    let old = probe.create(New::buffer(5).label("old"));
    clock.advance(Duration::from_millis(3));
    let bytes = Bytes::default();
    let mut trace = TraceFile::start(Arc::clone(&tracker), bytes.clone(), on_stop()).unwrap();

    let queue = probe.create(New::of(ResourceKind::COMMAND_QUEUE, 0));
    let ui = probe.owner_named(OwnerKind::ROOT_VISUAL, 7, "ui");
    let lanes = ["main", "overlay"].map(|name| probe.lane(name));
    let mut kept = Vec::new();
    for frame in 0..20_u64 {
        let packets = lanes.map(|lane| {
            clock.advance(Duration::from_millis(1));
            probe.packet(lane).with_command(frame)
        });
        {
            let _guard = packets[0].context().with_owner(ui).enter();
            let mut target = probe.create(New::texture(4096).extent(Extent::new(32, 32)).label("half"));
            clock.advance(Duration::from_millis(1));
            target.resize(8192);
            kept.extend((frame % 5 == 0).then(|| probe.create(New::buffer(10))));
            probe.staged(100);
            probe.event(Mark::Submit { correlation: frame, queue: Some(&queue), command_buffers: &[] });
            probe.event(Mark::marker("half time"));
        }
        clock.advance(Duration::from_millis(1));
        // Two are in flight at a time; every other end leaves the queue out.
        if let Some(before) = frame.checked_sub(1) {
            let queue = (before % 2 == 0).then_some(&queue);
            probe.event(Mark::Complete { correlation: before, queue });
        }
        let [first, second] = packets;
        first.finish(if frame % 4 == 3 { PacketResult::Dropped } else { PacketResult::Presented });
        clock.advance(Duration::from_millis(1));
        second.finish(PacketResult::NoOp);
    }
    probe.event(Mark::Abandoned { correlation: 19 });
    drop(old);
    assert!(trace.stop());
    assert_eq!((trace.lost(), trace.left_out(), trace.unwritten()), (0, 0, 0));
    assert_eq!(trace.delivered(), tracker.totals().events.produced - 1, "all but the first creation");

    let path = file("happened.perfetto-trace", &bytes.get());
    let counts = "select category, count(*) n, sum(dur = -1) open from slice group by 1 order by 1";
    let results = "select t.name lane, extract_arg(arg_set_id, 'debug.result') result, count(*) n, min(dur) least, \
                   max(dur) most from slice s join track t on t.id = track_id where category = 'packet' group by 1, 2 order by 1, 2";
    let submissions = "select t.name queue, extract_arg(arg_set_id, 'debug.outcome') outcome, count(*) n, min(dur) least, \
                       max(dur) most from slice s join track t on t.id = track_id where category = 'submission' group by 1, 2 order by 2";
    let flows = "select count(*) n from flow join slice a on a.id = slice_out join slice b on b.id = slice_in \
                 where a.category = 'packet' and b.category = 'submission' \
                 and extract_arg(b.arg_set_id, 'debug.packet') = a.name";
    let lives = "select t.name kind, h.name heading, count(*) n, sum(dur = -1) open, \
                 sum(extract_arg(arg_set_id, 'debug.bytes')) bytes, max(extract_arg(arg_set_id, 'debug.owner')) owner, \
                 max(extract_arg(arg_set_id, 'debug.label')) label \
                 from slice s join track t on t.id = track_id join track h on h.id = t.parent_id \
                 where category = 'resource' group by 1, 2 order by 1";
    let old =
        "select name, ts, dur, extract_arg(arg_set_id, 'debug.age_at_start_ns') age from slice where name = 'old'";
    let counters = "select t.name, max(value) most from counter c join counter_track t on t.id = track_id \
                    where t.name in ('live bytes', 'live resources') group by 1 order by 1";
    let read = reader.query(&path, &[FAULTS, counts, results, submissions, flows, lives, sums, old, counters]);
    assert_eq!(rows(&read[0]), json!([]));
    assert_eq!(
        rows(&read[1]),
        json!([
            {"category": "marker", "n": 20, "open": 0},
            {"category": "packet", "n": 40, "open": 0},
            {"category": "resize", "n": 20, "open": 0},
            {"category": "resource", "n": 26, "open": 5},
            {"category": "submission", "n": 20, "open": 0},
            {"category": "trace", "n": 2, "open": 0},
        ])
    );
    assert_eq!(
        rows(&read[2]),
        json!([
            {"lane": "lane main", "result": "dropped", "n": 5, "least": 3_000_000, "most": 3_000_000},
            {"lane": "lane main", "result": "presented", "n": 15, "least": 3_000_000, "most": 3_000_000},
            {"lane": "lane overlay", "result": "no_op", "n": 20, "least": 3_000_000, "most": 3_000_000},
        ])
    );
    let queue = format!("queue {}", queue.id().unwrap().get());
    assert_eq!(
        rows(&read[3]),
        json!([
            {"queue": queue, "outcome": "abandoned", "n": 1, "least": 2_000_000, "most": 2_000_000},
            {"queue": queue, "outcome": "completed", "n": 19, "least": 6_000_000, "most": 6_000_000},
        ])
    );
    assert_eq!(rows(&read[4]), json!([{"n": 20}]));
    assert_eq!(
        rows(&read[5]),
        json!([
            {"kind": "buffer", "heading": "resources", "n": 1, "open": 0, "bytes": 5, "owner": null, "label": "old"},
            {"kind": "buffer of root_visual", "heading": "resources", "n": 4, "open": 4, "bytes": 40, "owner": "ui", "label": null},
            {"kind": "command_queue", "heading": "resources", "n": 1, "open": 1, "bytes": 0, "owner": null, "label": null},
            {"kind": "texture of root_visual", "heading": "resources", "n": 20, "open": 0, "bytes": 20 * 4096, "owner": "ui", "label": "half"},
        ])
    );
    let start = 1_700_000_000_003_000_000_u64;
    assert_eq!(rows(&read[6]), json!([{"command": 19, "created": 24, "released": 20, "submissions": 20}]));
    assert_eq!(rows(&read[7]), json!([{"name": "old", "ts": start, "dur": 100_000_000, "age": 3_000_000}]));
    assert_eq!(rows(&read[8]), json!([{"name": "live bytes", "most": 40.0}, {"name": "live resources", "most": 5.0}]));
}

/// What threads do to each other's resources and submissions comes out in its order.
#[test]
fn what_ends_on_another_thread_is_one_slice() {
    const LIVES: u64 = 5_000;
    let Some(reader) = Reader::find("what_ends_on_another_thread_is_one_slice") else { return };
    let tracker = Arc::new(Tracker::builder().level(Level::Events).ring_capacity(1 << 16).build());
    let bytes = Bytes::default();
    let reading = Options::new().interval(Duration::from_millis(1)).stop_within(GUARD);
    let mut trace =
        TraceFile::start(Arc::clone(&tracker), bytes.clone(), TraceOptions::new().reading(reading)).unwrap();
    let (send, receive) = std::sync::mpsc::sync_channel::<(Ticket, u64)>(100);
    let probe = tracker.probe();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..LIVES {
                probe.event(Mark::submit(number));
                send.send((probe.create(New::buffer(number)), number)).unwrap();
            }
        });
        for (ticket, number) in receive {
            probe.event(Mark::complete(number));
            drop(ticket);
        }
    });
    assert!(trace.stop());
    assert_eq!((trace.lost(), trace.delivered()), (0, 4 * LIVES));
    let path = file("threads.perfetto-trace", &bytes.get());
    let slices = "select category, count(*) n, sum(dur = -1) open, \
                  sum(extract_arg(arg_set_id, 'debug.begin_not_recorded') is not null) headless \
                  from slice where category != 'trace' group by 1 order by 1";
    let read = reader.query(&path, &[FAULTS, slices]);
    assert_eq!(rows(&read[0]), json!([]));
    assert_eq!(
        rows(&read[1]),
        json!([
            {"category": "resource", "n": LIVES, "open": 0, "headless": 0},
            {"category": "submission", "n": LIVES, "open": 0, "headless": 0},
        ])
    );
}
