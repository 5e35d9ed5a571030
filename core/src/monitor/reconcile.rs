//! GPU memory, source against source.

use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::analysis::{Named, Reconciliation, Sources};
use crate::contract::{
    Cadence, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit, VramProvider,
};
use crate::probe::{ResourceKind, kind};
use crate::tracker::Tracker;

/// How often the sources are compared.
const INTERVAL: Duration = Duration::from_secs(5);
/// How the names of the graphics library's own sources begin; the others are the driver's.
const LIBRARY: &str = "wgpu";
/// Longest name of an allocation that can be a label of the book's, in bytes.
const LONGEST_NAME: usize = 128;

/// Compares what a [`Tracker`] has live and pending with what the graphics library's allocator has given out and taken, and with what the
/// driver says: where the bytes are, and how many nobody accounts for.
///
/// Its sources are held weakly: whoever made them keeps them. Several devices' allocators count together; of the driver's sources the first that
/// was added and knows the process's usage is taken, for a program that uses one adapter. It runs on the sampler thread, every five seconds by
/// default, and looks at each resource and each allocation.
#[derive(Debug)]
pub struct ReconciliationMonitor {
    id: Cow<'static, str>,
    tracker: Arc<Tracker>,
    interval: Duration,
    sources: Mutex<Vec<Weak<dyn VramProvider>>>,
    last: Mutex<Option<Reconciliation>>,
}

impl ReconciliationMonitor {
    /// A monitor of this tracker, with this name and no other source.
    #[must_use]
    pub fn new(tracker: Arc<Tracker>, id: impl Into<Cow<'static, str>>) -> Self {
        Self { id: id.into(), tracker, interval: INTERVAL, sources: Mutex::default(), last: Mutex::default() }
    }

    /// The same monitor, comparing this often. A second at least.
    #[must_use]
    pub fn with_interval(self, interval: Duration) -> Self {
        Self { interval: interval.max(Duration::from_secs(1)), ..self }
    }

    /// Asks this source too, for as long as it is there.
    pub fn add(&self, source: Weak<dyn VramProvider>) {
        let mut sources = self.sources.lock();
        sources.retain(|known| known.strong_count() > 0);
        sources.push(source);
    }

    /// Compares the sources now: asks the allocators anew and takes the driver's last figures. `None` while there is no source beside the
    /// book. Takes as long as a [snapshot](Tracker::snapshot) and a report of each allocator.
    #[must_use]
    pub fn reconcile(&self) -> Option<Reconciliation> {
        // Upgraded under the lock, asked and dropped outside: a source may be the last to hold a device.
        let sources: Vec<_> = self.sources.lock().iter().filter_map(Weak::upgrade).collect();
        if sources.is_empty() {
            return None;
        }
        let (mut allocated, mut reserved) = (None::<Vec<_>>, None::<u64>);
        for report in sources.iter().filter_map(|source| source.get_allocations()) {
            allocated.get_or_insert_default().extend(report.allocations);
            reserved = Some(reserved.unwrap_or(0).saturating_add(report.reserved_bytes));
        }
        let drivers = || sources.iter().filter(|source| !source.source().starts_with(LIBRARY));
        let driver = drivers().find(|source| source.get_vram_usage_bytes().is_some());
        let (mut live, mut pending) = (Vec::new(), Vec::new());
        self.tracker.visit(|resource| {
            if resource.bytes == 0
                || resource.freed
                || resource.within.is_some()
                || resource.kind == ResourceKind::CPU_MEMORY
            {
                return;
            }
            let rows = if resource.is_live() { &mut live } else { &mut pending };
            rows.push((resource.label.unwrap_or_default(), resource.bytes));
        });
        let allocated =
            allocated.map(|allocations| allocations.into_iter().map(|one| (one.name, one.bytes)).collect::<Vec<_>>());
        let allocated = allocated.as_deref().map(named);
        let mut result = Reconciliation::of(&Sources {
            live: &named(&live),
            pending: &named(&pending),
            allocated: allocated.as_deref(),
            reserved,
            process: driver.and_then(|driver| driver.get_vram_usage_bytes()),
            device: drivers().find_map(|driver| driver.get_vram_device_usage_bytes()),
        });
        if let Some(driver) = driver {
            result.driver = Some(driver.source());
            result.heaps = driver.get_vram_heaps();
        }
        Some(result)
    }

    /// The result of the last update; `None` before the first, and while there is no source beside the book.
    #[must_use]
    pub fn last(&self) -> Option<Reconciliation> {
        self.last.lock().clone()
    }

    /// What the graphics library's allocators had given out and taken when their sources were refreshed last.
    #[must_use]
    pub fn allocator_bytes(&self) -> (Option<u64>, Option<u64>) {
        let sources: Vec<_> = self.sources.lock().iter().filter_map(Weak::upgrade).collect();
        let sum = |figure: fn(&dyn VramProvider) -> Option<u64>| {
            sources.iter().filter_map(|source| figure(&**source)).reduce(u64::saturating_add)
        };
        (sum(|source| source.get_vram_allocated_bytes()), sum(|source| source.get_vram_reserved_bytes()))
    }
}

fn named(rows: &[(String, u64)]) -> Vec<Named<'_>> {
    // The book keeps so much of a label.
    rows.iter().map(|(name, bytes)| Named { name: kind::cut(name, LONGEST_NAME), bytes: *bytes }).collect()
}

/// The classes that are exported, and the figure of each.
fn classes(result: &Reconciliation) -> [(&'static str, Option<i64>); 8] {
    let signed = |bytes: Option<u64>| bytes.and_then(|bytes| i64::try_from(bytes).ok());
    [
        ("alignment", result.alignment),
        ("wgpu_internal", signed(result.wgpu_internal)),
        ("telemetry", signed(result.telemetry)),
        ("untracked", signed(result.untracked)),
        ("elsewhere", signed(result.elsewhere)),
        ("block_slack", signed(result.block_slack)),
        ("beyond_reserved", result.beyond_reserved),
        ("other_processes", signed(result.other_processes)),
    ]
}

impl ResourceMonitor for ReconciliationMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Vram
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }

    fn update(&self) {
        let result = self.reconcile();
        *self.last.lock() = result;
    }

    fn cadence(&self) -> Cadence {
        Cadence::Every(self.interval)
    }

    fn describe(&self, series: &mut Series) {
        series.gauge(
            "vitals_vram_unaccounted_bytes",
            Unit::Bytes,
            "Bytes that wgpu's allocator has given out and no tracked resource explains, alignment, wgpu's own and the telemetry's aside",
        );
        for (class, _) in classes(&Reconciliation::default()) {
            series
                .gauge(
                    "vitals_vram_class_bytes",
                    Unit::Bytes,
                    "Differences between one source of GPU memory and the next, by what they are; never to be added to one another",
                )
                .label("class", class);
        }
    }

    fn record(&self, row: &mut Row<'_>) {
        let last = self.last.lock();
        let Some(result) = &*last else { return };
        row.push(result.unaccounted_bytes());
        for (_, bytes) in classes(result) {
            row.push(bytes);
        }
    }
}

#[cfg(all(test, feature = "telemetry"))]
mod tests {
    use super::*;
    use crate::contract::{Allocation, Allocations, Value};
    use crate::probe::New;

    #[derive(Debug)]
    struct Allocator;

    impl VramProvider for Allocator {
        fn source(&self) -> &'static str {
            "wgpu"
        }
        fn get_vram_usage_bytes(&self) -> Option<u64> {
            Some(1 << 20)
        }
        fn get_vram_reserved_bytes(&self) -> Option<u64> {
            Some(1 << 20)
        }
        fn get_vram_allocated_bytes(&self) -> Option<u64> {
            Some(5_000)
        }
        fn get_allocations(&self) -> Option<Allocations> {
            let one = |name: &str, bytes| Allocation { name: name.to_owned(), bytes };
            let allocations = vec![one("mesh", 1_024), one("ghost", 777), one("(wgpu internal) x", 99)];
            Some(Allocations { allocations, reserved_bytes: 1 << 20 })
        }
    }

    #[derive(Debug)]
    struct Driver;

    impl VramProvider for Driver {
        fn source(&self) -> &'static str {
            "driver"
        }
        fn get_vram_usage_bytes(&self) -> Option<u64> {
            Some(3 << 20)
        }
        fn get_vram_device_usage_bytes(&self) -> Option<u64> {
            Some(4 << 20)
        }
    }

    #[test]
    fn sources_are_compared_while_they_are_there() {
        let tracker = Arc::new(Tracker::new());
        let monitor = ReconciliationMonitor::new(Arc::clone(&tracker), "reconcile");
        assert_eq!(monitor.reconcile(), None, "the book alone compares with nothing");
        let _mesh = tracker.probe().create(New::buffer(1_000).label("mesh"));
        let _cache = tracker.probe().create(New::of(ResourceKind::CPU_MEMORY, 123_456));
        let (allocator, driver): (Arc<dyn VramProvider>, Arc<dyn VramProvider>) =
            (Arc::new(Allocator), Arc::new(Driver));
        monitor.add(Arc::downgrade(&allocator));
        monitor.add(Arc::downgrade(&driver));
        monitor.update();
        let result = monitor.last().unwrap();
        assert_eq!((result.live, result.pending, result.allocated), (1_000, 0, Some(1_900)));
        assert_eq!((result.alignment, result.untracked, result.wgpu_internal), (Some(24), Some(777), Some(99)));
        assert_eq!((result.beyond_reserved, result.other_processes), (Some(2 << 20), Some(1 << 20)));
        assert_eq!(result.driver, Some("driver"));
        assert_eq!(monitor.allocator_bytes(), (Some(5_000), Some(1 << 20)));
        let mut values = [None; 9];
        monitor.record(&mut Row::new(&mut values));
        let expected = [777, 24, 99, 0, 777, 0].map(|bytes| Some(Value::I64(bytes)));
        assert_eq!((values[0], &values[1..6]), (Some(Value::U64(777)), &expected[1..]));
        drop((allocator, driver));
        monitor.update();
        assert_eq!(monitor.last(), None);
    }
}
