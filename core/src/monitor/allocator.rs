//! What the allocator inside the tracking allocator says of its own memory.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use web_time::Instant;

use crate::contract::{
    Cadence, Histogram, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit,
};
use crate::memory::{self, AllocatorMemory, InnerAllocator};

/// Reports the memory of the [allocator inside](crate::memory::inner_allocator) the process's `TrackingAllocator`, by its own figures, and
/// with it the heap's fragmentation.
///
/// It asks on the registry's sampler thread: jemalloc and mimalloc every second, glibc every 30 seconds, as it holds a lock while it walks
/// its free blocks ([what a read costs](InnerAllocator::read_memory)). After a read that took long the next waits until 2,000 times as
/// long has passed, so that reads never take more than a 2,000th of the time. What the allocator does not count is absent.
///
/// The fragmentation that it finds is also that of `MemoryReport` and `HeapTotals`, for as long as the monitor lives.
#[derive(Debug)]
pub struct AllocatorMonitor {
    id: Cow<'static, str>,
    allocator: InnerAllocator,
    cadence: Duration,
    began: Instant,
    state: Mutex<State>,
    /// How long reads took.
    reads: Arc<Histogram>,
}

impl AllocatorMonitor {
    /// A monitor with this name.
    #[must_use]
    pub fn new(id: impl Into<Cow<'static, str>>) -> Self {
        Self::of(memory::inner_allocator(), id.into())
    }

    /// Asks this often instead, whatever the allocator; after reads that take long still less often.
    #[must_use]
    pub fn with_cadence(mut self, interval: Duration) -> Self {
        self.cadence = interval;
        self.state.get_mut().pace = Pace::of(Duration::ZERO);
        self
    }

    /// Which allocator it asks.
    #[must_use]
    pub fn allocator(&self) -> InnerAllocator {
        self.allocator
    }

    /// What the last read has found; `None` before the first and where the allocator has no figures.
    #[must_use]
    pub fn get_allocator_memory(&self) -> Option<AllocatorMemory> {
        self.state.lock().last
    }

    fn of(allocator: InnerAllocator, id: Cow<'static, str>) -> Self {
        let pace = Pace::of(if allocator == InnerAllocator::System { WALK_EVERY } else { Duration::ZERO });
        Self {
            id,
            allocator,
            cadence: ASK_EVERY,
            began: Instant::now(),
            state: Mutex::new(State { last: None, pace }),
            reads: Arc::new(Histogram::new([10, 100, 1_000, 10_000, 100_000, 1_000_000].map(Duration::from_micros))),
        }
    }
}

impl ResourceMonitor for AllocatorMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::SystemRam
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        let held = self.get_allocator_memory().and_then(|memory| memory.resident.or(memory.mapped));
        ResourceUsageReport::new(held, None, None)
    }

    fn update(&self) {
        let now = self.began.elapsed();
        if !self.state.lock().pace.is_due(now) {
            return;
        }
        // Readers do not wait for the allocator.
        let read = self.allocator.read_memory();
        let took = self.began.elapsed().saturating_sub(now);
        if read.is_some() {
            self.reads.record(took);
        }
        let mut state = self.state.lock();
        state.last = read;
        state.pace.done(now, took);
        memory::keep_fragmentation_ratio(read.and_then(|memory| memory.fragmentation_ratio()));
    }

    fn cadence(&self) -> Cadence {
        Cadence::Every(self.cadence)
    }

    fn describe(&self, series: &mut Series) {
        for state in ["allocated", "active", "resident", "mapped", "retained"] {
            series
                .gauge(
                    "vitals_heap_allocator_bytes",
                    Unit::Bytes,
                    "Memory of the allocator by its own figures: handed out, in pages in use, physical, taken from the system, addresses kept",
                )
                .label("state", state);
        }
        series.gauge(
            "vitals_heap_fragmentation_ratio",
            Unit::Ratio,
            "Share of the allocator's resident memory (where it does not know that: mapped) that is not allocated, from the allocator's own figures",
        );
        series
            .gauge("vitals_heap_allocator_info", Unit::Count, "1, with the allocator inside the one that counts")
            .label("allocator", self.allocator.name());
        series.histogram(
            "vitals_heap_allocator_read_seconds",
            "Time that a read of the allocator's figures took",
            &self.reads,
        );
        series.counter(
            "vitals_heap_allocator_reads_deferred_total",
            Unit::Count,
            "Reads of the allocator's figures put off because the one before took long",
        );
    }

    fn record(&self, row: &mut Row<'_>) {
        let state = self.state.lock();
        let memory = state.last.unwrap_or_default();
        row.push(memory.allocated)
            .push(memory.active)
            .push(memory.resident)
            .push(memory.mapped)
            .push(memory.retained)
            .push(memory.fragmentation_ratio())
            .push((self.allocator != InnerAllocator::Unknown).then_some(1_u64))
            .push(state.last.map(|_| state.pace.deferred));
    }
}

impl Drop for AllocatorMonitor {
    /// Nobody keeps it up to date.
    fn drop(&mut self) {
        memory::keep_fragmentation_ratio(None);
    }
}

/// How often the sampler asks whether a read is due.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How often an allocator is read that walks its blocks.
const WALK_EVERY: Duration = Duration::from_secs(30);

/// How much longer than a read took the time to the next is at least.
const REST: u32 = 2_000;

#[derive(Debug)]
struct State {
    last: Option<AllocatorMemory>,
    pace: Pace,
}

/// When the next read may be. All times are since the same instant.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pace {
    /// From the beginning of one read to that of the next, where reads are quick.
    interval: Duration,
    /// When one is due by the interval.
    due: Duration,
    /// When one may be, after what the last took.
    rested: Duration,
    /// Whether the one that is due has been put off.
    put_off: bool,
    /// Reads put off, over life.
    deferred: u64,
}

impl Pace {
    fn of(interval: Duration) -> Self {
        Self { interval, ..Self::default() }
    }

    /// Whether to read now. Counts what is due and put off.
    fn is_due(&mut self, now: Duration) -> bool {
        if now < self.due {
            return false;
        }
        let rested = now >= self.rested;
        if !rested && !self.put_off {
            self.put_off = true;
            self.deferred += 1;
        }
        rested
    }

    /// A read that began then took so long.
    fn done(&mut self, began: Duration, took: Duration) {
        self.due = began.saturating_add(self.interval);
        self.rested = began.saturating_add(took.saturating_mul(REST));
        self.put_off = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Value;

    const NAMES: [&str; 8] = [
        "vitals_heap_allocator_bytes allocated",
        "vitals_heap_allocator_bytes active",
        "vitals_heap_allocator_bytes resident",
        "vitals_heap_allocator_bytes mapped",
        "vitals_heap_allocator_bytes retained",
        "vitals_heap_fragmentation_ratio",
        "vitals_heap_allocator_info jemalloc",
        "vitals_heap_allocator_reads_deferred_total",
    ];

    fn recorded(monitor: &AllocatorMonitor) -> [Option<Value>; NAMES.len()] {
        let mut values = [None; NAMES.len()];
        let mut row = Row::new(&mut values);
        monitor.record(&mut row);
        assert_eq!(row.beyond(), 0);
        values
    }

    #[test]
    fn figures_stand_in_the_order_described_and_what_is_unknown_is_absent() {
        let monitor = AllocatorMonitor::of(InnerAllocator::Jemalloc, "allocator".into());
        let mut series = Series::with_cap(100);
        monitor.describe(&mut series);
        let (figures, overflow) = series.finish();
        assert_eq!(overflow, Default::default());
        let names: Vec<_> = figures
            .into_iter()
            .map(|figure| figure.unwrap())
            .filter(|figure| !figure.name.ends_with("seconds"))
            .map(|figure| {
                figure.labels.iter().fold(figure.name.to_string(), |name, (_, value)| format!("{name} {value}"))
            })
            .collect();
        assert_eq!(names, NAMES);

        let mut expected = [None; NAMES.len()];
        expected[6] = Some(Value::U64(1));
        assert_eq!(recorded(&monitor), expected, "before the first read");
        assert_eq!(monitor.get_usage_report(), ResourceUsageReport::default());

        let mut memory = AllocatorMemory::default();
        (memory.allocated, memory.mapped) = (Some(3), Some(4));
        monitor.state.lock().last = Some(memory);
        expected[0] = Some(Value::U64(3));
        expected[3] = Some(Value::U64(4));
        expected[5] = Some(Value::F64(0.25));
        expected[7] = Some(Value::U64(0));
        assert_eq!(recorded(&monitor), expected);
        assert_eq!(monitor.get_usage_report().current_bytes, Some(4));
        memory.resident = Some(12);
        monitor.state.lock().last = Some(memory);
        assert_eq!(recorded(&monitor)[5], Some(Value::F64(0.75)));
        assert_eq!(monitor.get_usage_report().current_bytes, Some(12));
    }

    #[test]
    fn an_allocator_that_is_not_known_is_not_read_and_has_no_figures() {
        let monitor = AllocatorMonitor::of(InnerAllocator::Unknown, "allocator".into());
        monitor.update();
        assert_eq!(recorded(&monitor), [None; NAMES.len()]);
        assert_eq!(monitor.reads.snapshot().count, 0);
    }

    #[test]
    fn quick_reads_keep_the_interval() {
        let (seconds, quick) = (Duration::from_secs, Duration::from_micros(10));
        let mut pace = Pace::of(seconds(30));
        assert!(pace.is_due(seconds(0)), "the first is due at once");
        pace.done(seconds(0), quick);
        assert!(!pace.is_due(seconds(29)));
        assert!(pace.is_due(seconds(30)));
        assert_eq!(pace.deferred, 0);
    }

    #[test]
    fn after_a_read_that_took_long_the_next_is_put_off_and_counted_once() {
        let seconds = Duration::from_secs;
        let mut pace = Pace::of(seconds(30));
        pace.done(seconds(100), Duration::from_millis(50));
        assert!(!pace.is_due(seconds(129)));
        assert_eq!(pace.deferred, 0, "it was not due yet");
        for now in [130, 131, 199] {
            assert!(!pace.is_due(seconds(now)));
            assert_eq!(pace.deferred, 1);
        }
        assert!(pace.is_due(seconds(200)), "2,000 times 50 ms after it began");
        pace.done(seconds(200), Duration::from_micros(1));
        assert!(pace.is_due(seconds(230)));
        assert_eq!(pace.deferred, 1);
        // Whatever a clock says.
        pace.done(seconds(230), Duration::MAX);
        assert!(!pace.is_due(seconds(u64::from(u32::MAX))));
    }
}
