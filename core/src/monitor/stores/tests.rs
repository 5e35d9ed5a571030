//! Each name has its figures, counters never fall, and nothing is kept beyond the limits.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::contract::{FigureKind, Store, Value};

/// A store that stands as it is told.
#[derive(Debug)]
struct Fake(Mutex<StoreReport>);

impl Fake {
    fn listed(tracker: &Tracker, report: StoreReport) -> Arc<Self> {
        let fake = Arc::new(Self(Mutex::new(report)));
        let weak: std::sync::Weak<Self> = Arc::downgrade(&fake);
        tracker.probe().list(weak);
        fake
    }

    fn set(&self, report: StoreReport) {
        *self.0.lock() = report;
    }
}

impl Store for Fake {
    fn report(&self) -> StoreReport {
        self.0.lock().clone()
    }
}

fn ring(name: &str, bytes: u64, written_bytes: u64) -> StoreReport {
    StoreReport::StagingRing(StagingRingReport {
        name: name.into(),
        ring_bytes: bytes,
        in_flight_bytes: vec![bytes / 2, bytes / 4],
        high_water_bytes: bytes,
        written_bytes,
        stalls: 1,
        stall_time: Duration::from_millis(1_500),
        ..StagingRingReport::default()
    })
}

fn pool(name: &str, budget_bytes: Option<u64>) -> MemoryPoolReport {
    MemoryPoolReport {
        name: name.into(),
        reserved_bytes: 1_000,
        allocated_bytes: 600,
        requested_bytes: 580,
        unusable_bytes: 30,
        largest_free_bytes: 300,
        budget_bytes,
        blocks: 7,
        waiting_blocks: 2,
        slabs: 3,
        allocations: 40,
        failures: 1,
        defrag_moves: 5,
        defrag_moved_bytes: 320,
        released_bytes: 64,
    }
}

/// By metric and label's value.
fn figures(monitor: &StoreMonitor) -> BTreeMap<String, Option<Value>> {
    let mut series = Series::with_cap(4_096);
    monitor.describe(&mut series);
    let (described, overflow) = series.finish();
    assert_eq!((overflow.beyond_cap, overflow.invalid), (0, 0), "{overflow:?}");
    let described: Vec<_> = described.into_iter().flatten().collect();
    for (at, figure) in described.iter().enumerate() {
        assert!(!described[..at].iter().any(|earlier| earlier.same_series(figure)), "{figure:?} is there twice");
        assert!(!matches!(figure.kind, FigureKind::Histogram(_)));
    }
    let mut values = vec![None; described.len()];
    let mut row = Row::new(&mut values);
    monitor.record(&mut row);
    assert_eq!(row.beyond(), 0);
    let name = |figure: &crate::contract::Figure| match figure.labels.first() {
        Some((_, value)) => format!("{} {value}", figure.name),
        None => figure.name.to_string(),
    };
    described.iter().map(name).zip(values).collect()
}

fn set_up() -> (Arc<Tracker>, StoreMonitor) {
    let tracker = Arc::new(Tracker::new());
    let monitor = StoreMonitor::new(Arc::clone(&tracker), "stores");
    (tracker, monitor)
}

#[test]
fn a_program_without_rings_and_pools_has_none_of_their_figures() {
    let (_tracker, monitor) = set_up();
    monitor.update();
    assert!(figures(&monitor).values().all(Option::is_none));
    assert_eq!(monitor.get_usage_report(), ResourceUsageReport::default());
    assert_eq!(monitor.description_revision(), 0);
}

#[test]
fn each_figure_is_the_one_that_its_name_says() {
    let (tracker, monitor) = set_up();
    let report = StagingRingReport {
        name: "uploads".into(),
        ring_bytes: 1,
        in_flight_bytes: vec![2, 20, 200],
        unsubmitted_bytes: 3,
        high_water_bytes: 4,
        written_bytes: 5,
        copies: 6,
        merged_copies: 7,
        wraps: 8,
        stalls: 9,
        stall_time: Duration::from_millis(10_500),
        dedicated: 11,
        failures: 12,
    };
    let _ring = Fake::listed(&tracker, StoreReport::StagingRing(report));
    let _pool = Fake::listed(&tracker, StoreReport::MemoryPool(pool("meshes", Some(4_096))));
    let targets = TargetPoolReport {
        name: "bloom".into(),
        used: 1,
        used_bytes: 2,
        idle: 3,
        idle_bytes: 4,
        reused: 5,
        created: 6,
        released: 7,
    };
    let _targets = Fake::listed(&tracker, StoreReport::TargetPool(targets));
    monitor.update();
    let known: Vec<_> = figures(&monitor).into_iter().map(|(name, value)| (name, value.map(Value::as_f64))).collect();
    let expected = [
        ("vitals_pool_allocated_bytes meshes", 600.0),
        ("vitals_pool_allocations_total meshes", 40.0),
        ("vitals_pool_budget_bytes meshes", 4_096.0),
        ("vitals_pool_defrag_moved_bytes_total meshes", 320.0),
        ("vitals_pool_defrag_moves_total meshes", 5.0),
        ("vitals_pool_failures_total meshes", 1.0),
        ("vitals_pool_largest_free_bytes meshes", 300.0),
        ("vitals_pool_live_blocks meshes", 7.0),
        ("vitals_pool_loss_ratio meshes", 0.05),
        ("vitals_pool_released_bytes_total meshes", 64.0),
        ("vitals_pool_requested_bytes meshes", 580.0),
        ("vitals_pool_reserved_bytes meshes", 1_000.0),
        ("vitals_pool_slabs meshes", 3.0),
        ("vitals_pool_waiting_blocks meshes", 2.0),
        ("vitals_staging_copies_total uploads", 6.0),
        ("vitals_staging_dedicated_total uploads", 11.0),
        ("vitals_staging_failures_total uploads", 12.0),
        ("vitals_staging_high_water_bytes uploads", 4.0),
        ("vitals_staging_in_flight_bytes uploads", 222.0),
        ("vitals_staging_merged_copies_total uploads", 7.0),
        ("vitals_staging_ring_bytes uploads", 1.0),
        ("vitals_staging_stall_seconds_total uploads", 10.5),
        ("vitals_staging_stalls_total uploads", 9.0),
        ("vitals_staging_unsubmitted_bytes uploads", 3.0),
        ("vitals_staging_wraps_total uploads", 8.0),
        ("vitals_staging_written_bytes_total uploads", 5.0),
        ("vitals_store_names_refused_total", 0.0),
        ("vitals_target_pool_created_total bloom", 6.0),
        ("vitals_target_pool_idle_bytes bloom", 4.0),
        ("vitals_target_pool_idle_targets bloom", 3.0),
        ("vitals_target_pool_released_total bloom", 7.0),
        ("vitals_target_pool_reused_total bloom", 5.0),
        ("vitals_target_pool_used_bytes bloom", 2.0),
        ("vitals_target_pool_used_targets bloom", 1.0),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
    assert_eq!(known, expected);
    assert_eq!(monitor.get_usage_report().current_bytes, Some(1 + 1_000 + 6));
}

#[test]
fn what_is_gone_keeps_its_counters_and_loses_its_gauges() {
    let (tracker, monitor) = set_up();
    let first = Fake::listed(&tracker, ring("uploads", 400, 1_000));
    monitor.update();
    first.set(ring("uploads", 800, 3_000));
    monitor.update();
    drop(first);
    monitor.update();
    let gone = figures(&monitor);
    assert_eq!(gone["vitals_staging_ring_bytes uploads"], None);
    assert_eq!(gone["vitals_staging_in_flight_bytes uploads"], None);
    assert_eq!(gone["vitals_staging_written_bytes_total uploads"], Some(Value::U64(3_000)));
    assert_eq!(monitor.get_usage_report(), ResourceUsageReport::new(Some(0), Some(800), None));
    // The next one of the name counts on.
    let _second = Fake::listed(&tracker, ring("uploads", 100, 50));
    monitor.update();
    let again = figures(&monitor);
    assert_eq!(again["vitals_staging_ring_bytes uploads"], Some(Value::U64(100)));
    assert_eq!(again["vitals_staging_written_bytes_total uploads"], Some(Value::U64(3_050)));
    assert_eq!(again["vitals_staging_stall_seconds_total uploads"], Some(Value::F64(3.0)));
    assert_eq!(monitor.description_revision(), 1, "the series are the same");
}

#[test]
fn those_of_one_name_are_one_series() {
    let (tracker, monitor) = set_up();
    let _first = Fake::listed(&tracker, StoreReport::MemoryPool(pool("meshes", Some(2_000))));
    let second = Fake::listed(&tracker, StoreReport::MemoryPool(pool("meshes", Some(3_000))));
    monitor.update();
    let both = figures(&monitor);
    assert_eq!(both["vitals_pool_reserved_bytes meshes"], Some(Value::U64(2_000)));
    assert_eq!(both["vitals_pool_largest_free_bytes meshes"], Some(Value::U64(300)), "they are no one run of bytes");
    assert_eq!(both["vitals_pool_loss_ratio meshes"], Some(Value::F64(0.05)));
    assert_eq!(both["vitals_pool_budget_bytes meshes"], Some(Value::U64(5_000)));
    assert_eq!(both["vitals_pool_allocations_total meshes"], Some(Value::U64(80)));
    second.set(StoreReport::MemoryPool(pool("meshes", None)));
    monitor.update();
    assert_eq!(figures(&monitor)["vitals_pool_budget_bytes meshes"], None, "one has no limit, so both have none");
    // Of a pool without buffers no share can be told.
    let (tracker, monitor) = set_up();
    let empty = MemoryPoolReport { name: "empty".into(), ..MemoryPoolReport::default() };
    let _empty = Fake::listed(&tracker, StoreReport::MemoryPool(empty));
    monitor.update();
    let figures = figures(&monitor);
    assert_eq!(
        (figures["vitals_pool_loss_ratio empty"], figures["vitals_pool_live_blocks empty"]),
        (None, Some(Value::U64(0)))
    );
}

#[test]
fn names_beyond_the_limit_are_others_and_counted() {
    let tracker = Arc::new(Tracker::new());
    let monitor = StoreMonitor::new(Arc::clone(&tracker), "stores").with_names(2);
    let rings: Vec<_> = ["a", "b", "c", "d", "a"].iter().map(|name| Fake::listed(&tracker, ring(name, 8, 1))).collect();
    let _pool = Fake::listed(&tracker, StoreReport::MemoryPool(pool("a", None)));
    for _ in 0..3 {
        monitor.update();
        let figures = figures(&monitor);
        assert_eq!(figures["vitals_staging_written_bytes_total a"], Some(Value::U64(2)));
        assert_eq!(figures["vitals_staging_written_bytes_total other"], Some(Value::U64(2)));
        assert_eq!(figures["vitals_store_names_refused_total"], Some(Value::U64(2)));
        assert_eq!(figures["vitals_pool_live_blocks a"], Some(Value::U64(7)), "rings and pools have names apart");
    }
    drop(rings);
    let _other = Fake::listed(&tracker, ring("other", 8, 1));
    monitor.update();
    let shown = figures(&monitor);
    assert_eq!(shown["vitals_staging_written_bytes_total other"], Some(Value::U64(3)));
    assert_eq!(
        shown["vitals_store_names_refused_total"],
        Some(Value::U64(2)),
        "one that is called so is not one too many"
    );
    let (tracker, monitor) = set_up();
    let _rings = [ring("", 8, 1), ring(&"ä".repeat(1_000), 8, 1), ring(&"ä".repeat(100), 8, 1)]
        .map(|report| Fake::listed(&tracker, report));
    monitor.update();
    let shown = figures(&monitor);
    assert_eq!(shown["vitals_staging_written_bytes_total unnamed"], Some(Value::U64(1)));
    let cut = format!("vitals_staging_written_bytes_total {}", "ä".repeat(StoreMonitor::LONGEST_NAME / 2));
    assert_eq!(shown[&cut], Some(Value::U64(2)));
    assert_eq!(StoreMonitor::new(tracker, "stores").with_names(usize::MAX).names, StoreMonitor::MAX_NAMES);
}

/// What is done with rings of some names.
#[derive(Debug, Clone)]
enum Step {
    Make { name: usize },
    Drop { which: usize },
    Write { which: usize, bytes: u64 },
    Update,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..6_usize).prop_map(|name| Step::Make { name }),
        1 => any::<usize>().prop_map(|which| Step::Drop { which }),
        4 => (any::<usize>(), 0..1_000_u64).prop_map(|(which, bytes)| Step::Write { which, bytes }),
        2 => Just(Step::Update),
    ]
}

proptest! {
    #[test]
    fn counters_are_what_was_seen_of_each_and_never_fall(steps in proptest::collection::vec(step(), 0..80)) {
        let tracker = Arc::new(Tracker::new());
        let monitor = StoreMonitor::new(Arc::clone(&tracker), "stores").with_names(4);
        // Rings that are there, with what they have written; and what the monitor must have seen of those that were.
        let mut rings: Vec<(usize, u64, u64, Arc<Fake>)> = Vec::new();
        let mut seen_of_gone = 0;
        let mut last = BTreeMap::new();
        for step in steps {
            match step {
                Step::Make { name } => {
                    rings.push((name, 0, 0, Fake::listed(&tracker, ring(&name.to_string(), 8, 0))));
                }
                Step::Drop { which } if !rings.is_empty() => {
                    let at = which % rings.len();
                    let (_, _, seen, _) = rings.remove(at);
                    seen_of_gone += seen;
                }
                Step::Write { which, bytes } if !rings.is_empty() => {
                    let at = which % rings.len();
                    let (name, written, _, fake) = &mut rings[at];
                    *written += bytes;
                    fake.set(ring(&name.to_string(), 8, *written));
                }
                Step::Drop { .. } | Step::Write { .. } => {}
                Step::Update => {
                    monitor.update();
                    for (_, written, seen, _) in &mut rings {
                        *seen = *written;
                    }
                    let now: BTreeMap<_, _> = figures(&monitor)
                        .into_iter()
                        .filter(|(name, _)| name.starts_with("vitals_staging_written_bytes_total"))
                        .map(|(name, value)| (name, value.and_then(Value::as_u64).unwrap()))
                        .collect();
                    prop_assert!(now.len() <= 5);
                    prop_assert_eq!(now.values().sum::<u64>(), seen_of_gone + rings.iter().map(|ring| ring.1).sum::<u64>());
                    for (name, before) in &last {
                        prop_assert!(now[name] >= *before, "{} falls", name);
                    }
                    prop_assert_eq!(monitor.get_usage_report().current_bytes.unwrap_or(0), 8 * rings.len() as u64);
                    last = now;
                }
            }
        }
    }
}
