//! What the rings lost, and what there was no room for.

use super::*;
use crate::reader::Reader;
use engine_vitals_core::probe::{Mark, New, PacketResult};
use engine_vitals_trace::TraceFile;

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
