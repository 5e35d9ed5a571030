//! Staging rings and memory pools.

use super::*;
use crate::reader::Reader;
use engine_vitals_core::contract::{MemoryPoolReport, StagingRingReport, Store, StoreReport};
use engine_vitals_trace::TraceFile;
use std::sync::Weak;

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
