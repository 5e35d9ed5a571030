//! The trace as a reader that is not ours sees it: Perfetto's trace processor counts what happened.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod reader;

use engine_vitals_core::contract::{MemoryPoolReport, StagingRingReport, Store, StoreReport};
use engine_vitals_core::monitor::HitchMonitor;
use engine_vitals_core::probe::{
    Clock, Context, Extent, Level, ManualClock, Mark, New, OwnerKind, PacketResult, ResourceKind, Ticket, Timestamp,
};
use engine_vitals_core::tracker::Tracker;
use engine_vitals_trace::{Options, TraceFile, TraceOptions};
use reader::Reader;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Far longer than anything here takes.
const GUARD: Duration = Duration::from_secs(60);

/// What is wrong with a trace, by Perfetto's own account.
const FAULTS: &str = "select name, value from stats where severity in ('error', 'data_loss') and value > 0";

/// A writer's bytes.
#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    fn get(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads when it is stopped, and not before.
fn on_stop() -> TraceOptions {
    TraceOptions::new().reading(Options::new().interval(Duration::from_secs(3600)).stop_within(GUARD))
}

fn tracker(ring: usize) -> (Arc<Tracker>, ManualClock) {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_700_000_000_000_000_000));
    (Arc::new(Tracker::builder().level(Level::Events).ring_capacity(ring).clock(clock).build()), hand)
}

fn file(name: &str, trace: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, trace).unwrap();
    path
}

fn rows(value: &[Map<String, Value>]) -> Value {
    json!(value)
}

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

/// A ring or pool that stands as it is told.
#[derive(Debug)]
struct Fake(Mutex<StoreReport>);

impl Store for Fake {
    fn report(&self) -> StoreReport {
        self.0.lock().unwrap().clone()
    }
}

/// A ring that stalls, a pool that is defragmented and ends before the trace does.
#[test]
fn rings_and_pools_have_tracks_with_figures_and_instants() {
    let Some(reader) = Reader::find("rings_and_pools_have_tracks_with_figures_and_instants") else { return };
    let (tracker, clock) = tracker(1 << 8);
    let list = |report: StoreReport| {
        let fake = Arc::new(Fake(Mutex::new(report)));
        let weak: Weak<Fake> = Arc::downgrade(&fake);
        tracker.probe().list(weak);
        fake
    };
    let ring = |in_flight, stalls| {
        StoreReport::StagingRing(StagingRingReport {
            name: "uploads".into(),
            ring_bytes: 300,
            in_flight_bytes: vec![in_flight, 50],
            stalls,
            stall_time: Duration::from_millis(stalls),
            ..StagingRingReport::default()
        })
    };
    let pool = |defrag_moves, failures| {
        StoreReport::MemoryPool(MemoryPoolReport {
            name: "meshes".into(),
            reserved_bytes: 4096,
            allocated_bytes: 1024,
            defrag_moves,
            defrag_moved_bytes: 100 * defrag_moves,
            failures,
            ..MemoryPoolReport::default()
        })
    };
    // What it had counted before the trace is told by no instant.
    let rings = list(ring(0, 7));
    let bytes = Bytes::default();
    let reading = Options::new().interval(Duration::from_millis(1)).stop_within(GUARD);
    let mut trace =
        TraceFile::start(Arc::clone(&tracker), bytes.clone(), TraceOptions::new().reading(reading)).unwrap();
    let read = |what: &str, there: &dyn Fn(&[u8]) -> bool| {
        let start = std::time::Instant::now();
        while !there(&bytes.get()) {
            assert!(start.elapsed() < GUARD, "{what} is not written");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let has = |word: &'static str| move |text: &[u8]| text.windows(word.len()).any(|part| part == word.as_bytes());
    read("the ring", &has("staging ring uploads"));
    let pools = list(pool(0, 0));
    read("the pool", &has("memory pool meshes"));
    clock.advance(Duration::from_millis(5));
    *rings.0.lock().unwrap() = ring(200, 9);
    read("the stall", &has("stalled"));
    *pools.0.lock().unwrap() = pool(4, 0);
    read("the moves", &has("defragmented"));
    *pools.0.lock().unwrap() = pool(4, 1);
    read("the refusal", &has("refused"));
    drop(pools);
    assert!(trace.stop());

    let path = file("stores.perfetto-trace", &bytes.get());
    let instants = "select t.name track, h.name heading, s.name, extract_arg(arg_set_id, 'debug.count') count, \
                    extract_arg(arg_set_id, 'debug.stalls_ns') time, extract_arg(arg_set_id, 'debug.bytes') bytes \
                    from slice s join track t on t.id = track_id join track h on h.id = t.parent_id \
                    where category = 'store' order by s.id";
    let counters = "select t.name, max(value) most, min(value) least from counter c \
                    join counter_track t on t.id = track_id where t.name glob '* *: *' group by 1 order by 1";
    let shown = reader.query(&path, &[FAULTS, instants, counters]);
    assert_eq!(rows(&shown[0]), json!([]));
    let (pool, ring) = ("memory pool meshes", "staging ring uploads");
    let heading = "rings and pools";
    assert_eq!(
        rows(&shown[1]),
        json!([
            {"track": ring, "heading": heading, "name": "stalled", "count": 2, "time": 2_000_000, "bytes": null},
            {"track": pool, "heading": heading, "name": "defragmented", "count": 4, "time": null, "bytes": 400},
            {"track": pool, "heading": heading, "name": "refused", "count": 1, "time": null, "bytes": null},
        ])
    );
    assert_eq!(
        rows(&shown[2]),
        json!([
            {"name": "memory pool meshes: allocated bytes", "most": 1024.0, "least": 0.0},
            {"name": "memory pool meshes: reserved bytes", "most": 4096.0, "least": 0.0},
            {"name": "staging ring uploads: in flight bytes", "most": 250.0, "least": 50.0},
            {"name": "staging ring uploads: ring bytes", "most": 300.0, "least": 300.0},
        ])
    );
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

#[test]
fn what_is_lost_is_told_and_what_is_live_is_there_all_the_same() {
    let Some(reader) = Reader::find("what_is_lost_is_told_and_what_is_live_is_there_all_the_same") else { return };
    let (tracker, clock) = tracker(8);
    let probe = tracker.probe();
    // Seen at the start; their ends are lost.
    let gone: Vec<_> = (0..10).map(|_| probe.create(New::buffer(1))).collect();
    clock.advance(Duration::from_millis(1));
    let bytes = Bytes::default();
    let mut trace = TraceFile::start(Arc::clone(&tracker), bytes.clone(), on_stop()).unwrap();
    drop(gone);
    // Their beginnings are lost.
    let live: Vec<_> = (0..30).map(|_| probe.create(New::texture(1))).collect();
    clock.advance(Duration::from_millis(1));
    let packet = probe.packet(probe.lane("main"));
    for _ in 0..20 {
        probe.event(Mark::marker("noise"));
    }
    clock.advance(Duration::from_millis(1));
    packet.finish(PacketResult::Presented);
    assert!(trace.stop());
    let produced = tracker.totals().events.produced - 10;
    assert_eq!((trace.delivered(), trace.lost()), (8, produced - 8));

    let path = file("lost.perfetto-trace", &bytes.get());
    let lost =
        "select extract_arg(arg_set_id, 'debug.count') n from slice where category = 'loss' and name = 'events lost'";
    let lives = "select extract_arg(arg_set_id, 'debug.kind') kind, count(*) n, sum(dur = -1) open, min(ts) first, \
                 sum(extract_arg(arg_set_id, 'debug.end_not_recorded') is not null) unended \
                 from slice where category = 'resource' group by 1 order by 1";
    let packets = "select name, dur, extract_arg(arg_set_id, 'debug.begin_not_recorded') unbegun, \
                   extract_arg(arg_set_id, 'debug.result') result from slice where category = 'packet'";
    let ends = "select extract_arg(arg_set_id, 'debug.events') events, extract_arg(arg_set_id, 'debug.events_lost') lost, \
                extract_arg(arg_set_id, 'debug.left_out') left_out from slice where name = 'trace ends'";
    let read = reader.query(&path, &[FAULTS, lost, lives, packets, ends]);
    assert_eq!(rows(&read[0]), json!([]));
    assert_eq!(rows(&read[1]), json!([{"n": produced - 8}]));
    let start = 1_700_000_000_001_000_000_u64;
    assert_eq!(
        rows(&read[2]),
        json!([
            {"kind": "buffer", "n": 10, "open": 0, "first": start, "unended": 10},
            {"kind": "texture", "n": 30, "open": 30, "first": start, "unended": 0},
        ])
    );
    assert_eq!(rows(&read[3]), json!([{"name": "main 1", "dur": 1_000_000, "unbegun": null, "result": "presented"}]));
    assert_eq!(rows(&read[4]), json!([{"events": 8, "lost": produced - 8, "left_out": 0}]));
    drop(live);
}

/// Packets and submissions that were open at a loss end at their time, since the tracker knows it.
#[test]
fn packets_and_submissions_whose_end_is_lost_end_in_time() {
    let Some(reader) = Reader::find("packets_and_submissions_whose_end_is_lost_end_in_time") else { return };
    let (tracker, clock) = tracker(16);
    let probe = tracker.probe();
    let bytes = Bytes::default();
    let reading = Options::new().interval(Duration::from_millis(1)).stop_within(GUARD);
    let mut trace =
        TraceFile::start(Arc::clone(&tracker), bytes.clone(), TraceOptions::new().reading(reading)).unwrap();
    let [lost, open] = [1, 2].map(|number| {
        probe.event(Mark::submit(number));
        probe.packet(probe.lane("main"))
    });
    // Events wait until the clock has gone on.
    clock.advance(Duration::from_millis(1));
    until("they are written", || trace.delivered() == 4);
    clock.advance(Duration::from_millis(1));
    lost.finish(PacketResult::Failed);
    probe.event(Mark::complete(1));
    clock.advance(Duration::from_millis(5));
    for _ in 0..200_000 {
        probe.event(Mark::marker("noise"));
    }
    clock.advance(Duration::from_millis(1));
    assert!(trace.stop());
    assert!(trace.lost() > 0);
    let path = file("ends.perfetto-trace", &bytes.get());
    let slices = "select name, dur, extract_arg(arg_set_id, 'debug.result') result, \
                  extract_arg(arg_set_id, 'debug.outcome') outcome from slice \
                  where category in ('packet', 'submission') order by name";
    let read = reader.query(&path, &[FAULTS, slices]);
    assert_eq!(rows(&read[0]), json!([]));
    assert_eq!(
        rows(&read[1]),
        json!([
            {"name": "main 1", "dur": 2_000_000, "result": "failed", "outcome": null},
            {"name": "main 2", "dur": -1, "result": null, "outcome": null},
            {"name": "submission 1", "dur": 2_000_000, "result": null, "outcome": "completed"},
            {"name": "submission 2", "dur": -1, "result": null, "outcome": null},
        ])
    );
    drop(open);
}

#[test]
fn what_has_no_room_is_counted_and_comes_when_it_ends() {
    let Some(reader) = Reader::find("what_has_no_room_is_counted_and_comes_when_it_ends") else { return };
    let (tracker, clock) = tracker(1 << 12);
    let probe = tracker.probe();
    let bytes = Bytes::default();
    let options = on_stop().open_lifetimes(10);
    let mut trace = TraceFile::start(Arc::clone(&tracker), bytes.clone(), options).unwrap();
    clock.advance(Duration::from_millis(1));
    let mut live: Vec<_> = (0..25).map(|_| probe.create(New::buffer(1))).collect();
    clock.advance(Duration::from_millis(1));
    let released = live.split_off(20);
    drop(released);
    assert!(trace.stop());
    assert_eq!((trace.left_out(), trace.lost()), (15, 0));
    let path = file("room.perfetto-trace", &bytes.get());
    let lives = "select sum(dur = -1) open, sum(dur = 1000000) ended from slice where category = 'resource'";
    let told = "select extract_arg(arg_set_id, 'debug.count') n from slice where name = 'slices left out'";
    let read = reader.query(&path, &[FAULTS, lives, told]);
    assert_eq!(rows(&read[0]), json!([]));
    assert_eq!(rows(&read[1]), json!([{"open": 10, "ended": 5}]));
    assert_eq!(rows(&read[2]), json!([{"n": 15}]));
    drop(live);
}

#[test]
fn what_a_program_that_died_has_written_is_a_trace() {
    let Some(reader) = Reader::find("what_a_program_that_died_has_written_is_a_trace") else { return };
    let (tracker, clock) = tracker(1 << 12);
    let probe = tracker.probe();
    let bytes = Bytes::default();
    let mut trace = TraceFile::start(Arc::clone(&tracker), bytes.clone(), on_stop()).unwrap();
    let lane = probe.lane("main");
    for _ in 0..50 {
        let packet = probe.packet(lane);
        clock.advance(Duration::from_millis(1));
        drop(probe.create(New::buffer(1)));
        packet.finish(PacketResult::Presented);
    }
    assert!(trace.stop());
    let whole = bytes.get();
    let count = "select count(*) n from slice where category = 'packet'";
    let counted = |cut: usize| {
        let read = reader.query(&file("died.perfetto-trace", &whole[..cut]), &[FAULTS, count]);
        assert_eq!(rows(&read[0]), json!([]), "cut after {cut} bytes");
        read[1][0]["n"].as_u64().unwrap()
    };
    let counts: Vec<_> = (2..=10).map(|part| counted(whole.len() * part / 10)).collect();
    assert!(counts.is_sorted() && counts[0] > 0, "{counts:?}");
    assert_eq!(counts.last(), Some(&50));
}

#[test]
fn a_writer_that_fails_ends_the_trace_and_harms_nobody() {
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let (tracker, _) = tracker(16);
    let mut trace = TraceFile::start(Arc::clone(&tracker), Full, on_stop()).unwrap();
    drop(tracker.probe().create(New::buffer(1)));
    assert!(trace.stop());
    assert_eq!(trace.error().map(io::Error::kind), Some(io::ErrorKind::StorageFull));
    assert_eq!(trace.delivered(), 0);
    assert_eq!(Context::current(), Context::NONE);
    assert_eq!(Arc::strong_count(&tracker), 1, "it is let go");
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !reached() {
        assert!(start.elapsed() < GUARD, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An instant at the end of the frame that took too long, with an arrow from its packet and what explains it.
#[test]
fn a_hitch_is_on_the_frame_that_it_belongs_to() {
    let Some(reader) = Reader::find("a_hitch_is_on_the_frame_that_it_belongs_to") else { return };
    let (tracker, clock) = tracker(1 << 12);
    let probe = tracker.probe();
    let monitor = Arc::new(HitchMonitor::new(Arc::clone(&tracker), "hitches"));
    let bytes = Bytes::default();
    let reading = Options::new().interval(Duration::from_secs(3600)).stop_within(GUARD).hitches(Arc::clone(&monitor));
    let options = TraceOptions::new().reading(reading);
    let mut trace = TraceFile::start(Arc::clone(&tracker), bytes.clone(), options).unwrap();
    let lane = probe.lane("main");
    for frame in 1..=60_u64 {
        let packet = probe.packet(lane);
        clock.advance(Duration::from_millis(16));
        if frame == 50 {
            clock.advance(Duration::from_millis(40));
            drop(probe.create(New::render_pipeline().took(Duration::from_millis(38))));
        }
        monitor.frame(probe.frame_ended(), Some(packet.id()));
        packet.finish(PacketResult::Presented);
    }
    assert!(trace.stop());
    assert_eq!(monitor.count(), 1);

    let path = file("hitch.perfetto-trace", &bytes.get());
    let arg = |name: &str| format!("extract_arg(arg_set_id, 'debug.{name}') {name}");
    let args =
        ["frame", "frame_ns", "typical_ns", "budget_ns", "cause", "packet", "pipelines_ns", "explained"].map(arg);
    let hitches = format!(
        "select t.name track, s.name, dur, {} from slice s join track t on t.id = track_id where category = 'hitch'",
        args.join(", ")
    );
    let within = "select p.name packet from slice h join slice p on p.category = 'packet' \
                  and h.ts > p.ts and h.ts <= p.ts + p.dur where h.category = 'hitch'";
    let arrows = "select a.name source from flow join slice a on a.id = slice_out join slice b on b.id = slice_in \
                  where b.category = 'hitch'";
    let read = reader.query(&path, &[FAULTS, &hitches, within, arrows]);
    assert_eq!(rows(&read[0]), json!([]));
    assert_eq!(
        rows(&read[1]),
        json!([{
            "track": "hitches", "name": "hitch: pipelines", "dur": 0, "frame": 50, "frame_ns": 56_000_000, "typical_ns": 16_000_000,
            "budget_ns": 32_000_000, "cause": "pipelines", "packet": "main 50", "pipelines_ns": 38_000_000,
            "explained": "frame 50 took 56.0 ms (typical 16.0 ms, budget 32.0 ms): pipelines 38.0 ms (1, measured)",
        }])
    );
    assert_eq!(rows(&read[2]), json!([{"packet": "main 50"}]));
    assert_eq!(rows(&read[3]), json!([{"source": "main 50"}]));
}
