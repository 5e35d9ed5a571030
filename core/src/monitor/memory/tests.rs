//! The report's changes, the figures' order, and what the guards of the heap are given.

use super::*;
use crate::contract::{FigureKind, SizeBucket, Value};

const TOTALS: HeapTotals = HeapTotals {
    large_allocations: 1,
    large_allocation_bytes: 2 << 20,
    small_allocations: 3,
    small_allocation_bytes: 600,
    deallocations: 2,
    deallocated_bytes: 500,
    reallocations: 1,
    failed_allocations: 4,
    fragmentation_ratio: None,
};

/// The names with labels, histograms left out.
fn described(monitor: &MemoryResourceMonitor) -> Vec<String> {
    let mut series = Series::with_cap(1_000);
    monitor.describe(&mut series);
    let (figures, overflow) = series.finish();
    assert_eq!(overflow, Default::default());
    figures
        .into_iter()
        .filter(|figure| !matches!(figure.as_ref().unwrap().kind, FigureKind::Histogram(_)))
        .map(|figure| {
            let figure = figure.unwrap();
            let labels: Vec<_> = figure.labels.iter().map(|(name, value)| format!("{{{name}={value}}}")).collect();
            format!("{}{}", figure.name, labels.concat())
        })
        .collect()
}

#[test]
fn a_report_gives_the_change_since_the_one_before() {
    let mut state = State::new(HeapGuardSettings::default(), None);
    state.step(Some(TOTALS), Some(3 << 20));
    let first = state.report.unwrap();
    assert_eq!(first.current_usage_bytes, (2 << 20) + 100);
    assert_eq!((first.allocation_delta_bytes, first.sample_count), ((2 << 20) + 100, 1));

    let freed = HeapTotals { deallocations: 3, deallocated_bytes: 500 + (2 << 20), ..TOTALS };
    state.step(Some(freed), Some(3 << 20));
    let second = state.report.unwrap();
    assert_eq!((first.allocation_delta_count, first.frame_allocations), (2, 4));
    assert_eq!((first.frame_allocated_bytes, second.frame_allocated_bytes), ((2 << 20) + 600, 0));
    assert_eq!((second.allocation_delta_count, second.frame_allocations), (-1, 0));
    assert_eq!((second.current_usage_bytes, second.peak_usage_bytes), (100, 3 << 20));
    assert_eq!((second.allocation_delta_bytes, second.sample_count), (-(2 << 20), 2));
}

#[test]
fn without_an_allocator_that_counts_there_is_no_report_and_no_figure() {
    let monitor = MemoryResourceMonitor::new("heap").with_budget(1 << 20);
    monitor.state.lock().step(None, None);
    assert_eq!(monitor.get_memory_report(), None);
    assert_eq!(monitor.get_usage_report(), ResourceUsageReport::new(None, None, Some(1 << 20)));
    let names = described(&monitor);
    let mut values = vec![Some(Value::U64(7)); names.len()];
    monitor.record(&mut Row::new(&mut values));
    let known: Vec<_> = names.iter().zip(&values).filter(|(_, value)| value.is_some()).map(|(name, _)| name).collect();
    assert_eq!(known, ["vitals_heap_budget_bytes"]);
    assert_eq!(monitor.state.lock().reports, 0);
}

#[test]
fn freed_beyond_the_allocated_is_absent_and_not_zero() {
    let mut state = State::new(HeapGuardSettings::default(), None);
    state.step(Some(HeapTotals { deallocated_bytes: 3 << 20, ..TOTALS }), Some(0));
    assert_eq!(state.report, None);
}

/// A tag's totals: 100 bytes a block, of which so many went back.
fn tag(name: &'static str, allocations: u64, deallocations: u64) -> TagTotals {
    TagTotals {
        allocations,
        allocated_bytes: allocations * 100,
        deallocations,
        deallocated_bytes: deallocations * 100,
        ..TagTotals::new(name)
    }
}

#[test]
fn every_figure_is_described_and_written_in_that_order() {
    let monitor = MemoryResourceMonitor::new("heap").with_budget(1 << 20);
    {
        let mut state = monitor.state.lock();
        state.step(
            Some(HeapTotals { small_allocations: 1, small_allocation_bytes: 700, ..HeapTotals::default() }),
            Some(700),
        );
        state.tags = vec![tag("untagged", 9, 4), tag(OWN, 3, 1)];
        state.samples = Some(HeapSampleCounts { samples: 70, missed: 6, unplaced: 5 });
        state.step(Some(HeapTotals { small_allocation_bytes: 800, ..TOTALS }), Some(3 << 20));
    }
    let names = described(&monitor);
    let mut values = vec![None; names.len()];
    let mut row = Row::new(&mut values);
    monitor.record(&mut row);
    assert_eq!(row.beyond(), 0);
    let value = |name: &str| values[names.iter().position(|described| described == name).unwrap()];
    let expected = [
        ("vitals_heap_bytes", (2 << 20) + 300),
        ("vitals_heap_peak_bytes", 3 << 20),
        ("vitals_heap_live_allocations", 2),
        ("vitals_heap_allocations_total{size_class=small}", 3),
        ("vitals_heap_allocations_total{size_class=large}", 1),
        ("vitals_heap_allocated_bytes_total{size_class=small}", 800),
        ("vitals_heap_allocated_bytes_total{size_class=large}", 2 << 20),
        ("vitals_heap_deallocations_total", 2),
        ("vitals_heap_deallocated_bytes_total", 500),
        ("vitals_heap_reallocations_total", 1),
        ("vitals_heap_failed_allocations_total", 4),
        ("vitals_heap_frame_allocations", 3),
        ("vitals_heap_frame_allocated_bytes", (2 << 20) + 100),
        ("vitals_heap_budget_bytes", 1 << 20),
        ("vitals_heap_samples_total", 70),
        ("vitals_heap_missed_samples_total", 6),
        ("vitals_heap_unplaced_samples_total", 5),
        ("vitals_heap_tag_bytes{tag=untagged}", 500),
        ("vitals_heap_tag_live_allocations{tag=untagged}", 5),
        ("vitals_heap_tag_allocations_total{tag=untagged}", 9),
        ("vitals_heap_tag_allocated_bytes_total{tag=untagged}", 900),
        ("vitals_heap_tag_bytes{tag=engine-vitals}", 200),
        ("vitals_heap_tag_live_allocations{tag=engine-vitals}", 2),
        ("vitals_heap_tag_allocations_total{tag=engine-vitals}", 3),
        ("vitals_heap_tag_allocated_bytes_total{tag=engine-vitals}", 300),
    ];
    for (name, expected) in expected {
        assert_eq!(value(name), Some(Value::U64(expected)), "{name}");
    }
    assert_eq!(value("vitals_heap_delta_allocations"), Some(Value::I64(1)));
    assert_eq!(value("vitals_heap_delta_bytes"), Some(Value::I64((2 << 20) - 400)));
    let live = f64::from((2 << 20) + 300);
    assert_eq!(value("vitals_heap_efficiency_ratio"), Some(Value::F64(live / f64::from((2 << 20) + 800))));
    let raised = [
        "vitals_soft_budget_crossings_total{budget=heap}",
        "vitals_guard_warnings_total{guard=heap_budget}",
        "vitals_guard_warnings_total{guard=heap_growth}",
    ]
    .map(value);
    let telemetry = cfg!(feature = "telemetry");
    let zero = Some(Value::U64(0));
    let crossed = Some(Value::U64(1));
    assert_eq!(raised, if telemetry { [crossed, crossed, zero] } else { [None, zero, zero] });
    assert_eq!(names.len(), expected.len() + 6);
}

#[test]
fn our_own_bytes_are_those_of_our_tag() {
    if cfg!(feature = "telemetry") {
        assert_eq!(OWN, memory::HeapTag::OWN.name());
    }
    let mut state = State::new(HeapGuardSettings::default(), None);
    state.step(Some(TOTALS), Some(0));
    assert_eq!(state.report.unwrap().own_bytes, None, "no tags");
    state.tags = vec![tag("untagged", 2, 1)];
    state.step(Some(TOTALS), Some(0));
    assert_eq!(state.report.unwrap().own_bytes, None, "nothing of ours is known");
    state.tags.push(tag(OWN, 5, 2));
    state.step(Some(TOTALS), Some(0));
    let report = state.report.unwrap();
    assert_eq!((report.own_bytes, report.engine_usage_bytes()), (Some(300), Some((2 << 20) - 200)));
}

#[test]
fn a_budget_is_the_capacity() {
    let monitor = MemoryResourceMonitor::new("heap").with_budget(4 << 20);
    monitor.state.lock().step(Some(HeapTotals { small_allocation_bytes: 500, ..TOTALS }), Some(3 << 20));
    let usage = monitor.get_usage_report();
    assert_eq!((usage.total_capacity_bytes, usage.usage_percent()), (Some(4 << 20), Some(50.0)));
    let none = MemoryResourceMonitor::new("heap").with_budget(0);
    assert_eq!(none.get_usage_report().total_capacity_bytes, None);
    assert_eq!(monitor.with_guards(HeapGuardSettings::default()).budget, Some(4 << 20), "in either order");
}

#[test]
fn a_new_tag_is_a_new_description() {
    let monitor = MemoryResourceMonitor::new("heap");
    let (before, names) = (monitor.description_revision(), described(&monitor).len());
    monitor.state.lock().tags.push(tag("late", 1, 0));
    assert_ne!(monitor.description_revision(), before);
    assert_eq!(described(&monitor).len(), names + 4);
}

#[test]
fn sizes_below_and_above_the_exported_ones_are_in_the_first_and_last_bucket() {
    let monitor = MemoryResourceMonitor::new("heap");
    let mut buckets = [SizeBucket::default(); SizeHistogram::BUCKETS];
    for (bytes, given) in
        [(1_u64, 1), (16, 10), (17, 100), (1 << 30, 1_000), ((1 << 30) + 1, 10_000), (u64::MAX, 100_000)]
    {
        buckets[SizeHistogram::bucket_of(bytes)] = SizeBucket { given, taken: 0 };
    }
    take_over(&monitor.sizes, Some(SizeHistogram::new(buckets)), Some(TOTALS));
    let snapshot = monitor.sizes.snapshot();
    assert_eq!(snapshot.buckets.len(), 28);
    assert_eq!(snapshot.buckets[..2], [(Some(16.0), 11), (Some(32.0), 111)]);
    assert_eq!(
        snapshot.buckets[25..],
        [(Some(f64::from(1 << 29)), 111), (Some(f64::from(1 << 30)), 1_111), (None, 111_111)]
    );
    assert_eq!((snapshot.count, snapshot.sum), (111_111, f64::from((2 << 20) + 600)));
    take_over(&monitor.sizes, None, Some(TOTALS));
    assert_eq!(monitor.sizes.snapshot(), snapshot, "what is unknown changes nothing");
}
