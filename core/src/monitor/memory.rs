//! The heap of this process.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::contract::{
    HeapTotals, MemoryMonitor, MemoryReport, MonitorRef, MonitoredResourceType, ResourceMonitor, ResourceUsageReport,
    Row, Series, Unit,
};
use crate::memory;

/// Reports what the [`TrackingAllocator`](crate::memory::TrackingAllocator) counts.
///
/// While none is the global allocator, its report is `None` and its figures are absent. Its usage report gives the live bytes and their
/// peak; a heap has no capacity of its own.
///
/// The totals and the peak are the process's: two monitors show the same, and [`reset_peak_usage`](MemoryMonitor::reset_peak_usage)
/// resets the one peak. The count of reports and the change since the last report are each monitor's own.
#[derive(Debug)]
pub struct MemoryResourceMonitor {
    id: Cow<'static, str>,
    state: Mutex<State>,
}

impl MemoryResourceMonitor {
    /// A monitor with this name.
    #[must_use]
    pub fn new(id: impl Into<Cow<'static, str>>) -> Self {
        Self { id: id.into(), state: Mutex::new(State::default()) }
    }
}

impl ResourceMonitor for MemoryResourceMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::SystemRam
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        let report = self.get_memory_report();
        ResourceUsageReport::new(
            report.map(|report| report.current_usage_bytes),
            report.map(|report| report.peak_usage_bytes),
            None,
        )
    }

    fn update(&self) {
        self.update_memory_stats();
    }

    fn describe(&self, series: &mut Series) {
        const CLASS: &str = "size_class";
        series.gauge("vitals_heap_bytes", Unit::Bytes, "Bytes live on the heap");
        series.gauge(
            "vitals_heap_peak_bytes",
            Unit::Bytes,
            "The most bytes live on the heap at once since the start or the last reset",
        );
        series.gauge("vitals_heap_live_allocations", Unit::Count, "Blocks live on the heap");
        series.gauge(
            "vitals_heap_fragmentation_ratio",
            Unit::Ratio,
            "Share of the allocator's resident memory that is not allocated, from the allocator's own figures",
        );
        series.gauge(
            "vitals_heap_efficiency_ratio",
            Unit::Ratio,
            "Bytes live as a share of the bytes allocated over life",
        );
        for class in ["small", "large"] {
            series
                .counter(
                    "vitals_heap_allocations_total",
                    Unit::Count,
                    "Blocks allocated; large ones have 1 MiB and more",
                )
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

    fn record(&self, row: &mut Row<'_>) {
        let state = self.state.lock();
        let (Some(totals), report) = (state.totals, state.report) else { return };
        row.push(report.map(|report| report.current_usage_bytes))
            .push(report.map(|report| report.peak_usage_bytes))
            .push(totals.live_allocations())
            .push(totals.fragmentation_ratio)
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

    fn view(self: Arc<Self>) -> Option<MonitorRef> {
        Some(MonitorRef::Memory(self))
    }
}

impl MemoryMonitor for MemoryResourceMonitor {
    fn get_memory_report(&self) -> Option<MemoryReport> {
        self.state.lock().report
    }

    fn update_memory_stats(&self) {
        let mut state = self.state.lock();
        // The peak second: it is then no older than the live bytes that it is compared with.
        let totals = memory::get_extended_memory_stats();
        state.step(totals, memory::get_peak_allocated_bytes());
    }

    fn reset_peak_usage(&self) {
        memory::reset_peak();
    }
}

/// What the last update has read.
#[derive(Debug, Default)]
struct State {
    totals: Option<HeapTotals>,
    report: Option<MemoryReport>,
    /// Reports made.
    samples: u64,
}

impl State {
    /// Makes the next report. The change that the first one gives is since nothing was allocated.
    fn step(&mut self, totals: Option<HeapTotals>, peak: Option<u64>) {
        let last = self.report.map_or(0, |report| report.current_usage_bytes);
        self.totals = totals;
        self.report = totals.zip(peak).and_then(|(totals, peak)| {
            let change = totals.live_bytes()?.wrapping_sub(last).cast_signed();
            MemoryReport::from_totals(totals, peak, change, self.samples + 1)
        });
        self.samples += u64::from(self.report.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Value;

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

    fn described() -> Vec<String> {
        let mut series = Series::with_cap(100);
        MemoryResourceMonitor::new("heap").describe(&mut series);
        let (figures, overflow) = series.finish();
        assert_eq!(overflow, Default::default());
        figures
            .into_iter()
            .map(|figure| {
                let figure = figure.unwrap();
                let labels: Vec<_> = figure.labels.iter().map(|(name, value)| format!("{{{name}={value}}}")).collect();
                format!("{}{}", figure.name, labels.concat())
            })
            .collect()
    }

    #[test]
    fn a_report_gives_the_change_since_the_one_before() {
        let mut state = State::default();
        state.step(Some(TOTALS), Some(3 << 20));
        let first = state.report.unwrap();
        assert_eq!(first.current_usage_bytes, (2 << 20) + 100);
        assert_eq!((first.allocation_delta_bytes, first.sample_count), ((2 << 20) + 100, 1));

        let freed = HeapTotals { deallocations: 3, deallocated_bytes: 500 + (2 << 20), ..TOTALS };
        state.step(Some(freed), Some(3 << 20));
        let second = state.report.unwrap();
        assert_eq!((second.current_usage_bytes, second.peak_usage_bytes), (100, 3 << 20));
        assert_eq!((second.allocation_delta_bytes, second.sample_count), (-(2 << 20), 2));
    }

    #[test]
    fn without_an_allocator_that_counts_there_is_no_report_and_no_figure() {
        let monitor = MemoryResourceMonitor::new("heap");
        monitor.state.lock().step(None, None);
        assert_eq!(monitor.get_memory_report(), None);
        assert_eq!(monitor.get_usage_report(), ResourceUsageReport::default());
        let mut values = vec![Some(Value::U64(7)); described().len()];
        monitor.record(&mut Row::new(&mut values));
        assert!(values.iter().all(Option::is_none));
        assert_eq!(monitor.state.lock().samples, 0);
    }

    #[test]
    fn freed_beyond_the_allocated_is_absent_and_not_zero() {
        let mut state = State::default();
        state.step(Some(HeapTotals { deallocated_bytes: 3 << 20, ..TOTALS }), Some(0));
        assert_eq!(state.report, None);
    }

    #[test]
    fn every_figure_is_described_and_written_in_that_order() {
        let monitor = MemoryResourceMonitor::new("heap");
        monitor.state.lock().step(Some(TOTALS), Some(3 << 20));
        let names = described();
        let mut values = vec![None; names.len()];
        let mut row = Row::new(&mut values);
        monitor.record(&mut row);
        assert_eq!(row.beyond(), 0);
        let value = |name: &str| values[names.iter().position(|described| described == name).unwrap()];
        let expected = [
            ("vitals_heap_bytes", (2 << 20) + 100),
            ("vitals_heap_peak_bytes", 3 << 20),
            ("vitals_heap_live_allocations", 2),
            ("vitals_heap_allocations_total{size_class=small}", 3),
            ("vitals_heap_allocations_total{size_class=large}", 1),
            ("vitals_heap_allocated_bytes_total{size_class=small}", 600),
            ("vitals_heap_allocated_bytes_total{size_class=large}", 2 << 20),
            ("vitals_heap_deallocations_total", 2),
            ("vitals_heap_deallocated_bytes_total", 500),
            ("vitals_heap_reallocations_total", 1),
            ("vitals_heap_failed_allocations_total", 4),
        ];
        for (name, expected) in expected {
            assert_eq!(value(name), Some(Value::U64(expected)), "{name}");
        }
        assert_eq!(value("vitals_heap_fragmentation_ratio"), None);
        let live = f64::from((2 << 20) + 100);
        assert_eq!(value("vitals_heap_efficiency_ratio"), Some(Value::F64(live / f64::from((2 << 20) + 600))));
        assert_eq!(names.len(), expected.len() + 2);
    }
}
