//! What hands out memory from resources of its own is in every report for as long as it lives, and in none after.
#![cfg(feature = "telemetry")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use engine_vitals_core::analysis::{Diff, Dump, DumpOptions, diff};
use engine_vitals_core::contract::{
    LifecycleMonitor, MemoryPoolReport, ResourceMonitor, StagingRingReport, Store, StoreReport, TargetPoolReport,
};
use engine_vitals_core::monitor::LifecycleResourceMonitor;
use engine_vitals_core::probe::{Level, Probe};
use engine_vitals_core::registry::Registry;
use engine_vitals_core::tracker::Tracker;
use proptest::prelude::*;

/// A store that always stands so.
#[derive(Debug)]
struct Fake(StoreReport);

impl Store for Fake {
    fn report(&self) -> StoreReport {
        self.0.clone()
    }
}

fn list(probe: Probe, report: StoreReport) -> Arc<Fake> {
    let fake = Arc::new(Fake(report));
    let weak: Weak<Fake> = Arc::downgrade(&fake);
    probe.list(weak);
    fake
}

fn ring() -> StagingRingReport {
    StagingRingReport {
        name: "uploads".into(),
        ring_bytes: 48 << 20,
        in_flight_bytes: vec![16 << 20, 0, 1 << 10],
        unsubmitted_bytes: 4096,
        high_water_bytes: 32 << 20,
        written_bytes: 3 << 30,
        copies: 120,
        merged_copies: 880,
        wraps: 40,
        stalls: 2,
        stall_time: Duration::from_nanos(1_234_567_891),
        dedicated: 5,
        failures: 1,
    }
}

fn pool() -> MemoryPoolReport {
    MemoryPoolReport {
        name: "meshes \u{1b}[2J".into(),
        reserved_bytes: 64 << 20,
        allocated_bytes: 40 << 20,
        requested_bytes: 38 << 20,
        unusable_bytes: 0,
        largest_free_bytes: 8 << 20,
        budget_bytes: Some(256 << 20),
        blocks: 1000,
        waiting_blocks: 3,
        slabs: 16,
        allocations: 5000,
        failures: 0,
        defrag_moves: 77,
        defrag_moved_bytes: 1 << 20,
        released_bytes: 4 << 20,
    }
}

fn targets() -> TargetPoolReport {
    TargetPoolReport {
        name: "bloom".into(),
        used: 2,
        used_bytes: 8 << 20,
        idle: 1,
        idle_bytes: 4 << 20,
        reused: 600,
        created: 3,
        released: 0,
    }
}

/// All three.
fn stores(probe: Probe) -> [Arc<Fake>; 3] {
    [StoreReport::StagingRing(ring()), StoreReport::MemoryPool(pool()), StoreReport::TargetPool(targets())]
        .map(|report| list(probe, report))
}

#[test]
fn the_lifecycle_report_lists_each_for_as_long_as_it_lives() {
    let tracker = Arc::new(Tracker::new());
    let life = Arc::new(LifecycleResourceMonitor::new(Arc::clone(&tracker), "life"));
    let registry = Registry::new();
    registry.register_dyn(Arc::clone(&life) as Arc<dyn ResourceMonitor>).unwrap();
    let listed = stores(tracker.probe());
    registry.update();
    let report = registry.lifecycle("life").and_then(|life| life.get_lifecycle_report()).unwrap();
    assert_eq!((report.staging_rings, report.memory_pools), (vec![ring()], vec![pool()]));
    assert_eq!(report.target_pools, [targets()]);
    assert_eq!(report.live_bytes, 0, "what they hold is counted by their tickets, and by nothing else");
    // One that is gone is in no report, without an update between.
    let [ring, ..] = listed;
    drop(ring);
    let report = life.get_lifecycle_report().unwrap();
    assert_eq!((report.staging_rings.len(), report.memory_pools.len()), (0, 1));
}

#[test]
fn the_report_for_people_and_its_json_have_them() {
    let tracker = Arc::new(Tracker::new());
    let life = LifecycleResourceMonitor::new(Arc::clone(&tracker), "life");
    let before = life.telemetry().unwrap().to_string();
    assert!(!before.contains("Staging rings") && !before.contains("pools;"), "{before}");
    let _listed = stores(tracker.probe());
    let report = life.telemetry().unwrap();
    let text = report.to_string();
    for part in [
        "Staging rings\n",
        "16.0 MiB, 0 B, 1.00 KiB",
        "3.00 GiB (5)",
        "120 (880)",
        "2, 1.23 s",
        "Memory pools; loss",
        "3.1 %",
        "1000 (3)",
        "77, 1.00 MiB",
        r"meshes \u{1b}[2J",
        "Pools of render targets\n",
        "2, 8.00 MiB",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["staging_rings"][0]["stall_seconds"], 1.234_567_891);
    assert_eq!(json["staging_rings"][0]["in_flight_bytes"][2], 1024);
    assert_eq!(json["memory_pools"][0]["defrag_moves"], 77);
    assert_eq!(json["target_pools"][0]["reused"], 600);
}

#[test]
fn a_dump_has_them_and_reads_back_as_it_was() {
    let tracker = Tracker::builder().level(Level::Off).build();
    let listed = stores(tracker.probe());
    let dump = Dump::take(&tracker, &DumpOptions::default());
    let mut file = Vec::new();
    dump.write_json(&mut file).unwrap();
    let read = Dump::read_json(&file[..], 1 << 20).unwrap();
    assert_eq!(read, dump);
    assert_eq!((&read.staging_rings[..], &read.memory_pools[..]), (&[ring()][..], &[pool()][..]));
    assert_eq!(read.target_pools, [targets()]);
    let text = read.summary().to_string();
    assert!(text.contains("staging rings\n") && text.contains("3.1 %") && text.contains("2, 1.23 s"), "{text}");
    drop(listed);
    let empty = Dump::take(&tracker, &DumpOptions::default());
    let mut file = Vec::new();
    empty.write_json(&mut file).unwrap();
    assert!(!String::from_utf8(file).unwrap().contains("staging_rings"), "what there is none of takes no room");
}

#[test]
fn a_file_with_figures_that_cannot_be_is_refused_or_shown_and_no_more() {
    let tracker = Tracker::new();
    let _listed = stores(tracker.probe());
    let mut file = Vec::new();
    let dump = Dump::take(&tracker, &DumpOptions::default());
    dump.write_json(&mut file).unwrap();
    let text = String::from_utf8(file).unwrap();
    for time in ["-1.0", "1e300", "\"1\"", "null"] {
        let damaged = text.replace("\"stall_seconds\":1.234567891", &format!("\"stall_seconds\":{time}"));
        assert_ne!(damaged, text);
        let error = Dump::read_json(damaged.as_bytes(), 1 << 20).unwrap_err().to_string();
        assert!(error.starts_with("line "), "{time}: {error}");
    }
    // More asked for than allocated, more allocated than reserved.
    let max = u64::MAX.to_string();
    for (field, value) in [("requested_bytes", (38 << 20).to_string()), ("unusable_bytes", "0".to_owned())] {
        let damaged = text.replace(&format!("\"{field}\":{value}"), &format!("\"{field}\":{max}"));
        assert_ne!(damaged, text);
        let read = Dump::read_json(damaged.as_bytes(), 1 << 20).unwrap();
        assert!(read.to_string().contains("memory pools"));
        assert!(diff(&dump, &read).to_string().contains("memory pools"));
    }
    // Two of one name that have counted as much as there are numbers.
    let most = text.replace("\"stalls\":2", &format!("\"stalls\":{max}"));
    let mut most = Dump::read_json(most.as_bytes(), 1 << 20).unwrap();
    most.staging_rings.push(most.staging_rings[0].clone());
    let text = diff(&dump, &most).to_string();
    assert!(text.contains("+9223372036854775807"), "{text}");
}

/// Dumps of these, one run's.
fn differs(older: &[StoreReport], newer: &[StoreReport]) -> Diff {
    let tracker = Tracker::new();
    let take = |reports: &[StoreReport]| {
        let _listed: Vec<_> = reports.iter().map(|report| list(tracker.probe(), report.clone())).collect();
        Dump::take(&tracker, &DumpOptions::default())
    };
    diff(&take(older), &take(newer))
}

#[test]
fn a_difference_tells_how_rings_and_pools_grew() {
    let grown = StagingRingReport {
        ring_bytes: 64 << 20,
        stalls: 5,
        stall_time: Duration::from_nanos(2_734_567_891),
        dedicated: 6,
        failures: 3,
        written_bytes: 4 << 30,
        ..ring()
    };
    let fuller = MemoryPoolReport {
        reserved_bytes: 96 << 20,
        requested_bytes: 37 << 20,
        unusable_bytes: 1 << 20,
        blocks: 990,
        slabs: 24,
        failures: 2,
        ..pool()
    };
    let more = TargetPoolReport { used: 3, used_bytes: 12 << 20, created: 4, ..targets() };
    let [ring, pool, targets] =
        [StoreReport::StagingRing(ring()), StoreReport::MemoryPool(pool()), StoreReport::TargetPool(targets())];
    let now = [
        StoreReport::StagingRing(grown.clone()),
        StoreReport::MemoryPool(fuller.clone()),
        StoreReport::TargetPool(more.clone()),
    ];
    let found = differs(&[ring, pool, targets], &now);
    assert_eq!((found.staging_rings[0].net_bytes, found.staging_rings[0].after.as_ref()), (16 << 20, Some(&grown)));
    assert_eq!((found.memory_pools[0].net_bytes, found.memory_pools[0].after.as_ref()), (32 << 20, Some(&fuller)));
    assert_eq!((found.target_pools[0].net_bytes, found.target_pools[0].after.as_ref()), (4 << 20, Some(&more)));
    assert!(!found.is_empty() && found.changes.is_empty());
    let text = found.to_string();
    let cells =
        |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("|");
    let lines: Vec<_> = text.lines().skip(1).map(cells).collect();
    let expected = [
        "staging rings",
        "net|now|written|apart|stalls|refused|state|ring",
        "+16.0 MiB|64.0 MiB|+1.00 GiB|+1|+3, +1.50 s|+2|there|uploads",
        "memory pools",
        "net|now|slabs|requested|lost|blocks|refused|state|pool",
        r"+32.0 MiB|96.0 MiB|+8|-1.00 MiB|+2.00 MiB|-10|+2|there|meshes \u{1b}[2J",
        "pools of render targets",
        "net|now|targets|made|given up|state|pool",
        "+4.00 MiB|16.0 MiB|+1|+1|0|there|bloom",
    ];
    assert_eq!(lines, expected, "{text}");
    let mut json = Vec::new();
    found.write_json(&mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["memory_pools"][0]["before"]["requested_bytes"], 38 << 20);
    assert_eq!(
        (&json["staging_rings"][0]["net_bytes"], &json["staging_rings"][0]["name"]),
        (&(16 << 20).into(), &"uploads".into())
    );
}

#[test]
fn a_difference_tells_which_rings_and_pools_came_and_went() {
    let named = |name: &str| StoreReport::StagingRing(StagingRingReport { name: name.into(), ..ring() });
    let found = differs(&[named("old"), named("kept")], &[named("kept"), named("new"), named("another")]);
    let changes: Vec<_> =
        found.staging_rings.iter().map(|one| (&*one.name, one.before.is_some(), one.after.is_some())).collect();
    assert_eq!(changes, [("another", false, true), ("new", false, true), ("old", true, false)]);
    let text = found.to_string();
    let row = |name: &str| text.lines().find(|line| line.ends_with(name)).unwrap();
    assert!(row("new").contains("+48.0 MiB  48.0 MiB") && row("new").contains("appeared"), "{text}");
    assert!(row("old").contains("-48.0 MiB       0 B") && row("old").contains("gone"), "{text}");
    assert!(found.most(1).to_string().ends_with("another\n  and 2 more\n"), "{}", found.most(1));
    // Those of one name are one: half of them gone is half of the bytes gone.
    let found = differs(&[named("twin"), named("twin")], &[named("twin")]);
    let twins = &found.staging_rings[0];
    assert_eq!((twins.net_bytes, twins.before.as_ref().unwrap().ring_bytes), (-(48 << 20), 96 << 20));
    assert_eq!(twins.before.as_ref().unwrap().stalls, 4);
}

#[test]
fn what_passes_through_is_no_difference() {
    let before =
        [StoreReport::StagingRing(ring()), StoreReport::MemoryPool(pool()), StoreReport::TargetPool(targets())];
    let after = [
        StoreReport::StagingRing(StagingRingReport {
            in_flight_bytes: vec![0, 1 << 20, 0],
            unsubmitted_bytes: 0,
            high_water_bytes: 40 << 20,
            written_bytes: 5 << 30,
            copies: 240,
            merged_copies: 990,
            wraps: 41,
            ..ring()
        }),
        StoreReport::MemoryPool(MemoryPoolReport {
            largest_free_bytes: 9 << 20,
            waiting_blocks: 0,
            allocations: 6000,
            defrag_moves: 80,
            defrag_moved_bytes: 2 << 20,
            ..pool()
        }),
        StoreReport::TargetPool(TargetPoolReport {
            used: 1,
            used_bytes: 4 << 20,
            idle: 2,
            idle_bytes: 8 << 20,
            reused: 700,
            ..targets()
        }),
    ];
    let found = differs(&before, &after);
    assert!(found.is_empty() && found.to_string().ends_with("nothing changed\n"), "{found}");
}

#[test]
fn rings_and_pools_come_and_go_while_they_are_read() {
    let tracker = Tracker::new();
    let made = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let listed = stores(tracker.probe());
                        made.fetch_add(listed.len() as u64, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut reports = Vec::new();
        while !threads.iter().all(|thread| thread.is_finished()) {
            tracker.read_stores(&mut reports);
            assert!(reports.len() <= 9, "each thread has three at most");
            let numbers: Vec<_> = reports.iter().map(|(number, _)| *number).collect();
            assert!(numbers.is_sorted() && numbers.windows(2).all(|pair| pair[0] != pair[1]), "{numbers:?}");
        }
    });
    assert_eq!(tracker.stores(), []);
    let _last = stores(tracker.probe());
    let mut reports = Vec::new();
    tracker.read_stores(&mut reports);
    assert_eq!(reports[0].0, made.load(Ordering::Relaxed) + 1, "numbers are never used again");
}

/// A pool of one of three names that says what it likes, most often little.
fn any_pool() -> impl Strategy<Value = MemoryPoolReport> {
    let figure = || prop_oneof![4 => 0..4_u64, 1 => any::<u64>()];
    let bytes = (figure(), figure(), figure(), figure());
    (0..3_usize, bytes, figure(), figure(), figure()).prop_map(|(name, bytes, blocks, failures, allocations)| {
        let (reserved_bytes, allocated_bytes, requested_bytes, unusable_bytes) = bytes;
        let name = ["a", "b", "c"][name].into();
        let counted = MemoryPoolReport { blocks, failures, allocations, ..MemoryPoolReport::default() };
        MemoryPoolReport { name, reserved_bytes, allocated_bytes, requested_bytes, unusable_bytes, ..counted }
    })
}

/// What those of a name are together, figure by figure: reserved, requested, lost, blocks, refused; `None` where there is none.
fn together(pools: &[MemoryPoolReport], name: &str) -> Option<[u64; 5]> {
    let of_name = || pools.iter().filter(|pool| &*pool.name == name);
    let sum = |of: fn(&MemoryPoolReport) -> u64| of_name().map(of).fold(0, u64::saturating_add);
    let (allocated, requested) = (sum(|pool| pool.allocated_bytes), sum(|pool| pool.requested_bytes));
    let lost = allocated.saturating_sub(requested).saturating_add(sum(|pool| pool.unusable_bytes));
    let figures =
        [sum(|pool| pool.reserved_bytes), requested, lost, sum(|pool| pool.blocks), sum(|pool| pool.failures)];
    (of_name().count() > 0).then_some(figures)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_difference_of_pools_is_that_of_their_sums(
        older in proptest::collection::vec(any_pool(), 0..5),
        newer in proptest::collection::vec(any_pool(), 0..5),
    ) {
        let reports = |pools: &[MemoryPoolReport]| pools.iter().cloned().map(StoreReport::MemoryPool).collect::<Vec<_>>();
        let found = differs(&reports(&older), &reports(&newer));
        let mut expected = Vec::new();
        for name in ["a", "b", "c"] {
            let (before, after) = (together(&older, name), together(&newer, name));
            if before != after {
                let reserved = |sums: Option<[u64; 5]>| i128::from(sums.map_or(0, |[reserved, ..]| reserved));
                let net = (reserved(after) - reserved(before)).clamp(i64::MIN.into(), i64::MAX.into());
                expected.push((net, name, before.is_some(), after.is_some()));
            }
        }
        expected.sort_by_key(|(net, name, ..)| (std::cmp::Reverse(*net), *name));
        let changes: Vec<_> = found.memory_pools.iter()
            .map(|one| (i128::from(one.net_bytes), &*one.name, one.before.is_some(), one.after.is_some()))
            .collect();
        prop_assert_eq!(changes, expected);
        prop_assert_eq!(found.is_empty(), found.memory_pools.is_empty());
        // Whatever it is, it can be shown.
        prop_assert_eq!(found.to_string().contains("memory pools"), !found.is_empty());
        found.write_json(Vec::new()).unwrap();
    }
}
