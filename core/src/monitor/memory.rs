//! The heap of this process.

mod figures;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use web_time::Instant;

use self::figures::{
    describe_frame, describe_heap, describe_samples, describe_tag, record_frame, record_heap, record_samples,
    record_tag,
};
use super::guards::{self, HeapWatch};
use crate::analysis::guards::heap::{GrowthSuspect, HeapGuardSettings};
use crate::analysis::guards::{Guard, Warning};
use crate::contract::{
    HeapSampleCounts, HeapTotals, Histogram, MemoryMonitor, MemoryReport, MonitorRef, MonitoredResourceType,
    ResourceMonitor, ResourceUsageReport, Row, Series, SizeHistogram, TagTotals, Unit,
};
use crate::memory;

/// The buckets of sizes that are exported: up to 16 bytes, and each power of two up to 1 GiB.
const EXPORTED_SIZES: std::ops::RangeInclusive<usize> = 4..=30;

/// How long sizes stand before they are read again, of which nobody needs each frame's.
const SIZES_STAND: Duration = Duration::from_millis(100);

/// Reports what the [`TrackingAllocator`](crate::memory::TrackingAllocator) counts, and warns of what should not be: a heap above its
/// budget, and tags that grow without end.
///
/// While none is the global allocator, its report is `None` and its figures are absent; so are those of tags and of sizes where the
/// allocator does not keep them. Its usage report gives the live bytes, their peak, and as capacity the [budget](Self::with_budget), if
/// there is one.
///
/// The totals and the peak are the process's: two monitors show the same, and [`reset_peak_usage`](MemoryMonitor::reset_peak_usage)
/// resets the one peak. The count of reports and the changes since the last report are each monitor's own.
#[derive(Debug)]
pub struct MemoryResourceMonitor {
    id: Cow<'static, str>,
    sizes: Arc<Histogram>,
    settings: HeapGuardSettings,
    budget: Option<u64>,
    state: Mutex<State>,
}

impl MemoryResourceMonitor {
    /// A monitor with this name and no budget.
    #[must_use]
    pub fn new(id: impl Into<Cow<'static, str>>) -> Self {
        let settings = HeapGuardSettings::default();
        let bounds: Vec<_> = EXPORTED_SIZES.filter_map(SizeHistogram::upper_bytes).collect();
        Self {
            id: id.into(),
            sizes: Arc::new(Histogram::of_bytes(bounds)),
            state: Mutex::new(State::new(settings, None)),
            settings,
            budget: None,
        }
    }

    /// The same monitor with a budget in bytes; 0 is none.
    ///
    /// The budget is the capacity of the usage report, so that the registry's health check looks at it. Each time that the heap crosses it
    /// is counted (`vitals_soft_budget_crossings_total`) and warned of, with the largest tags and those that grow fastest. A heap that
    /// wavers there has crossed it once: only when it has fallen below 95 % can it cross anew. A spike between two updates is seen too, by
    /// the peak: within the peak's bound, and unless the peak was higher before.
    #[must_use]
    pub fn with_budget(self, bytes: u64) -> Self {
        let budget = Some(bytes).filter(|&bytes| bytes > 0);
        let state = Mutex::new(State::new(self.settings, budget));
        Self { budget, state, ..self }
    }

    /// The same monitor with other thresholds of growth than the defaults.
    #[must_use]
    pub fn with_guards(self, settings: HeapGuardSettings) -> Self {
        let state = Mutex::new(State::new(settings, self.budget));
        Self { settings, state, ..self }
    }

    /// The tags that grow without end, those that gained most first; as of the last window ([`HeapGuardSettings::window`]) that has ended.
    /// Where the allocator keeps no tags, the heap as a whole is followed, as `heap`.
    #[must_use]
    pub fn growth_suspects(&self) -> Vec<GrowthSuspect> {
        self.state.lock().watch.growth_suspects()
    }

    /// What was warned of: the last 64 warnings, one for each guard and tag, the last raised at the end.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.state.lock().watch.warnings()
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
            self.budget,
        )
    }

    fn update(&self) {
        self.update_memory_stats();
    }

    fn description_revision(&self) -> u64 {
        self.state.lock().tags.len() as u64
    }

    fn describe(&self, series: &mut Series) {
        describe_heap(series);
        describe_frame(series);
        describe_samples(series);
        for guard in Guard::ALL.into_iter().filter(|guard| guard.is_of_heap()) {
            series
                .counter("vitals_guard_warnings_total", Unit::Count, "Windows and subjects that a guard has warned of")
                .label("guard", guard.name());
        }
        series.histogram(
            "vitals_heap_allocation_size_bytes",
            "Sizes that blocks were given, by allocations and by reallocations",
            &self.sizes,
        );
        for tag in &self.state.lock().tags {
            describe_tag(series, tag.name);
        }
    }

    fn record(&self, row: &mut Row<'_>) {
        let state = self.state.lock();
        record_heap(row, &state);
        record_frame(row, state.report, self.budget, state.totals.and(state.watch.budget_crossings()));
        record_samples(row, state.samples);
        for guard in Guard::ALL.into_iter().filter(|guard| guard.is_of_heap()) {
            row.push(state.totals.map(|_| state.watch.raised(guard)));
        }
        for tag in &state.tags {
            record_tag(row, tag);
        }
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
        let warnings = {
            let mut state = self.state.lock();
            let totals = memory::get_extended_memory_stats();
            // The peak second: it is then no older than the live bytes that it is compared with.
            let peak = memory::get_peak_allocated_bytes();
            memory::read_heap_tags(&mut state.tags);
            state.samples = memory::get_heap_sample_counts();
            if state.sizes_read.is_none_or(|read| read.elapsed() >= SIZES_STAND) {
                state.sizes_read = Some(Instant::now());
                take_over(&self.sizes, memory::get_size_histogram(), totals);
            }
            state.step(totals, peak)
        };
        guards::tell(&warnings);
    }

    fn reset_peak_usage(&self) {
        memory::reset_peak();
    }
}

/// What the last update has read, and what came of it.
#[derive(Debug)]
struct State {
    totals: Option<HeapTotals>,
    /// In the order of their appearance, which is that of the described figures. Empty where the allocator keeps none.
    tags: Vec<TagTotals>,
    report: Option<MemoryReport>,
    /// The totals of the last report.
    reported: HeapTotals,
    /// Reports made.
    reports: u64,
    /// Blocks sampled for call sites, and missed.
    samples: Option<HeapSampleCounts>,
    sizes_read: Option<Instant>,
    watch: HeapWatch,
}

impl State {
    fn new(settings: HeapGuardSettings, budget: Option<u64>) -> Self {
        Self {
            totals: None,
            tags: Vec::new(),
            report: None,
            reported: HeapTotals::default(),
            reports: 0,
            samples: None,
            sizes_read: None,
            watch: HeapWatch::new(settings, budget),
        }
    }

    /// Makes the next report and has the guards look; gives what is to be told. The changes that the first report gives are since
    /// nothing was allocated.
    fn step(&mut self, totals: Option<HeapTotals>, peak: Option<u64>) -> Vec<Warning> {
        self.totals = totals;
        self.report = totals.zip(peak).and_then(|(totals, peak)| {
            let mut report = MemoryReport::from_totals(totals, self.reported, peak, self.reports + 1)?;
            report.own_bytes = self.tags.iter().find(|tag| tag.name == OWN).and_then(TagTotals::live_bytes);
            self.reported = totals;
            Some(report)
        });
        self.reports += u64::from(self.report.is_some());
        let Some((totals, report)) = totals.zip(self.report) else { return Vec::new() };
        self.watch.update(&totals, &report, &self.tags)
    }
}

/// Hands the sizes to the histogram that the registry reads.
fn take_over(histogram: &Histogram, sizes: Option<SizeHistogram>, totals: Option<HeapTotals>) {
    let Some((sizes, totals)) = sizes.zip(totals) else { return };
    let given = |buckets: &[crate::contract::SizeBucket]| buckets.iter().map(|bucket| bucket.given).sum::<u64>();
    let (first, last) = (*EXPORTED_SIZES.start(), *EXPORTED_SIZES.end());
    let counts = [given(&sizes.buckets[..=first])]
        .into_iter()
        .chain(sizes.buckets[first + 1..=last].iter().map(|bucket| bucket.given))
        .chain([given(&sizes.buckets[last + 1..])]);
    histogram.set_bytes(counts, totals.allocated_bytes());
}

/// The name of [`HeapTag::OWN`](memory::HeapTag::OWN).
const OWN: &str = "engine-vitals";
