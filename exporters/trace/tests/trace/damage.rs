//! Traces that were cut off, and writers that fail.

use super::*;
use crate::reader::Reader;
use engine_vitals_core::probe::{Context, New, PacketResult};
use engine_vitals_trace::TraceFile;

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
