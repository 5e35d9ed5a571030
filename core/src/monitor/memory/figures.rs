//! What the figures of the heap are: their names, units and meanings.

use crate::contract::{HeapSampleCounts, MemoryReport, Row, Series, TagTotals, Unit};

use super::State;

/// The figures of the heap as a whole.
pub(super) fn describe_heap(series: &mut Series) {
    const CLASS: &str = "size_class";
    series.gauge("vitals_heap_bytes", Unit::Bytes, "Bytes live on the heap");
    series.gauge(
        "vitals_heap_peak_bytes",
        Unit::Bytes,
        "The most bytes live on the heap at once since the start or the last reset",
    );
    series.gauge("vitals_heap_live_allocations", Unit::Count, "Blocks live on the heap");
    series.gauge("vitals_heap_efficiency_ratio", Unit::Ratio, "Bytes live as a share of the bytes allocated over life");
    for class in ["small", "large"] {
        series
            .counter("vitals_heap_allocations_total", Unit::Count, "Blocks allocated; large ones have 1 MiB and more")
            .label(CLASS, class);
    }
    for class in ["small", "large"] {
        series
            .counter(
                "vitals_heap_allocated_bytes_total",
                Unit::Bytes,
                "Bytes allocated, by reallocations too, in blocks of this class; large ones have 1 MiB and more",
            )
            .label(CLASS, class);
    }
    series.counter("vitals_heap_deallocations_total", Unit::Count, "Blocks deallocated");
    series.counter(
        "vitals_heap_deallocated_bytes_total",
        Unit::Bytes,
        "Bytes deallocated, by reallocations too (their old size)",
    );
    series.counter("vitals_heap_reallocations_total", Unit::Count, "Blocks reallocated");
    series.counter(
        "vitals_heap_failed_allocations_total",
        Unit::Count,
        "Allocations and reallocations that the allocator refused",
    );
}

/// In the order of [`describe_heap`].
pub(super) fn record_heap(row: &mut Row<'_>, state: &State) {
    let (Some(totals), report) = (state.totals, state.report) else {
        row.skip(12);
        return;
    };
    row.push(report.map(|report| report.current_usage_bytes))
        .push(report.map(|report| report.peak_usage_bytes))
        .push(totals.live_allocations())
        .push(report.map(|report| report.allocation_efficiency))
        .push(totals.small_allocations)
        .push(totals.large_allocations)
        .push(totals.small_allocation_bytes)
        .push(totals.large_allocation_bytes)
        .push(totals.deallocations)
        .push(totals.deallocated_bytes)
        .push(totals.reallocations)
        .push(totals.failed_allocations);
}

/// The figures of what has happened between the last two updates, and of the budget.
pub(super) fn describe_frame(series: &mut Series) {
    series.gauge(
        "vitals_heap_frame_allocations",
        Unit::Count,
        "Blocks allocated between the last two updates, which are a frame apart where each frame makes one",
    );
    series.gauge(
        "vitals_heap_frame_allocated_bytes",
        Unit::Bytes,
        "Bytes allocated between the last two updates, by reallocations too",
    );
    series.gauge(
        "vitals_heap_delta_allocations",
        Unit::Count,
        "Change of the live blocks between the last two updates; negative when more were freed",
    );
    series.gauge(
        "vitals_heap_delta_bytes",
        Unit::Bytes,
        "Change of the live bytes between the last two updates; negative when more were freed",
    );
    series.gauge(
        "vitals_heap_budget_bytes",
        Unit::Bytes,
        "Bytes that the heap should stay within, as the program says",
    );
    series
        .counter("vitals_soft_budget_crossings_total", Unit::Count, "Times that a budget was crossed, upwards")
        .label("budget", "heap");
}

/// In the order of [`describe_frame`].
pub(super) fn record_frame(
    row: &mut Row<'_>,
    report: Option<MemoryReport>,
    budget: Option<u64>,
    crossings: Option<u64>,
) {
    row.push(report.map(|report| report.frame_allocations))
        .push(report.map(|report| report.frame_allocated_bytes))
        .push(report.map(|report| report.allocation_delta_count))
        .push(report.map(|report| report.allocation_delta_bytes))
        .push(budget)
        .push(crossings);
}

/// The figures of the sample of call sites.
pub(super) fn describe_samples(series: &mut Series) {
    series.counter("vitals_heap_samples_total", Unit::Count, "Blocks whose call site was sampled");
    series.counter(
        "vitals_heap_missed_samples_total",
        Unit::Count,
        "Blocks that were due to be sampled and were not, since their thread was taking a sample already",
    );
    series.counter(
        "vitals_heap_unplaced_samples_total",
        Unit::Count,
        "Sampled blocks whose call sites found no place in the table",
    );
}

/// In the order of [`describe_samples`].
pub(super) fn record_samples(row: &mut Row<'_>, counts: Option<HeapSampleCounts>) {
    row.push(counts.map(|counts| counts.samples))
        .push(counts.map(|counts| counts.missed))
        .push(counts.map(|counts| counts.unplaced));
}

/// The figures of a tag.
pub(super) fn describe_tag(series: &mut Series, tag: &'static str) {
    const TAG: &str = "tag";
    series.gauge("vitals_heap_tag_bytes", Unit::Bytes, "Bytes live that were allocated under a tag").label(TAG, tag);
    series
        .gauge("vitals_heap_tag_live_allocations", Unit::Count, "Blocks live that were allocated under a tag")
        .label(TAG, tag);
    series.counter("vitals_heap_tag_allocations_total", Unit::Count, "Blocks allocated under a tag").label(TAG, tag);
    series
        .counter(
            "vitals_heap_tag_allocated_bytes_total",
            Unit::Bytes,
            "Bytes allocated under a tag, by reallocations of its blocks too",
        )
        .label(TAG, tag);
}

/// In the order of [`describe_tag`].
pub(super) fn record_tag(row: &mut Row<'_>, totals: &TagTotals) {
    row.push(totals.live_bytes()).push(totals.live_allocations()).push(totals.allocations).push(totals.allocated_bytes);
}
