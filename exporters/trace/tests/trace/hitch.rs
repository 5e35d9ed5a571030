//! Frames that took too long.

use super::*;
use crate::reader::Reader;
use engine_vitals_core::monitor::HitchMonitor;
use engine_vitals_core::probe::{New, PacketResult};
use engine_vitals_trace::TraceFile;

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
