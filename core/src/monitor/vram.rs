//! The memory of a graphics adapter, from one source.

use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use self::parts::{Parts, Told};
use crate::contract::{
    Cadence, MonitorRef, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit, VramHeap,
    VramMonitor, VramProvider, VramReport,
};

mod parts;

/// Reports what a [`VramProvider`] knows.
///
/// The provider is held weakly: whoever made it keeps it, so that a monitor never keeps a device alive. When it is gone, the report is
/// `None` and the figures are absent. It is refreshed on the sampler thread, as often as it asks to be. Figures of heaps, of engines and of
/// an allocator are described when the source first tells of them.
#[derive(Debug)]
pub struct VramResourceMonitor {
    id: Cow<'static, str>,
    provider: Weak<dyn VramProvider>,
    source: &'static str,
    interval: Duration,
    parts: Mutex<Parts>,
}

impl VramResourceMonitor {
    /// A monitor of this provider, with this name.
    #[must_use]
    pub fn new(provider: Weak<dyn VramProvider>, id: impl Into<Cow<'static, str>>) -> Self {
        let (source, interval) = provider
            .upgrade()
            .map_or(("lost", Duration::from_secs(1)), |provider| (provider.source(), provider.refresh_interval()));
        Self { id: id.into(), provider, source, interval, parts: Mutex::default() }
    }
}

impl ResourceMonitor for VramResourceMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Vram
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        self.provider.upgrade().map_or_else(ResourceUsageReport::default, |provider| {
            ResourceUsageReport::new(
                provider.get_vram_usage_bytes(),
                provider.get_vram_peak_bytes(),
                provider.get_vram_capacity_bytes(),
            )
        })
    }

    fn update(&self) {
        let told = self.provider.upgrade().map_or_else(Told::nothing, |provider| {
            provider.refresh();
            Told::by(&*provider)
        });
        self.parts.lock().take(told);
    }

    fn cadence(&self) -> Cadence {
        Cadence::Every(self.interval)
    }

    fn description_revision(&self) -> u64 {
        self.parts.lock().revision()
    }

    fn describe(&self, series: &mut Series) {
        for (name, help) in [
            ("vitals_vram_used_bytes", "Bytes of the adapter's memory in use by this process, as this source has it"),
            ("vitals_vram_peak_bytes", "The most bytes that this source was seen to have in use"),
            (
                "vitals_vram_budget_bytes",
                "Bytes that this process may use before the system takes some away, as this source has it",
            ),
            ("vitals_vram_capacity_bytes", "Bytes that the adapter's memory holds, as this source has it"),
            (
                "vitals_vram_device_used_bytes",
                "Bytes of the adapter's memory in use by all processes, as this source has it",
            ),
        ] {
            series.gauge(name, Unit::Bytes, help).label("source", self.source);
        }
        series
            .gauge(
                "vitals_gpu_busy_ratio",
                Unit::Ratio,
                "Share of the time that the adapter was busy of late for all processes, as this source has it",
            )
            .label("source", self.source);
        self.parts.lock().describe(series, self.source);
    }

    fn record(&self, row: &mut Row<'_>) {
        // Not from the report, of which there is none while the usage is unknown.
        let Some(provider) = self.provider.upgrade() else { return };
        row.push(provider.get_vram_usage_bytes())
            .push(provider.get_vram_peak_bytes())
            .push(provider.get_vram_budget_bytes())
            .push(provider.get_vram_capacity_bytes())
            .push(provider.get_vram_device_usage_bytes())
            .push(provider.get_device_busy_ratio());
        self.parts.lock().record(row);
    }

    fn view(self: Arc<Self>) -> Option<MonitorRef> {
        Some(MonitorRef::Vram(self))
    }
}

impl VramMonitor for VramResourceMonitor {
    fn get_vram_report(&self) -> Option<VramReport> {
        let provider = self.provider.upgrade()?;
        Some(VramReport {
            peak_usage_bytes: provider.get_vram_peak_bytes(),
            capacity_bytes: provider.get_vram_capacity_bytes(),
            budget_bytes: provider.get_vram_budget_bytes(),
            allocated_bytes: provider.get_vram_allocated_bytes(),
            reserved_bytes: provider.get_vram_reserved_bytes(),
            device_usage_bytes: provider.get_vram_device_usage_bytes(),
            ..VramReport::new(provider.get_vram_usage_bytes()?)
        })
    }

    fn get_vram_heaps(&self) -> Vec<VramHeap> {
        self.provider.upgrade().map(|provider| provider.get_vram_heaps()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::parts::MOST;
    use super::*;
    use crate::contract::{EngineBusy, Value};

    /// What is known after the first refresh.
    #[derive(Debug, Default)]
    struct Source(Mutex<Known>);

    #[derive(Debug, Default, Clone)]
    struct Known {
        used: Option<u64>,
        device: Option<u64>,
        busy: Option<f64>,
        reserved: Option<u64>,
        heaps: Vec<VramHeap>,
        engines: Vec<EngineBusy>,
    }

    impl VramProvider for Source {
        fn source(&self) -> &'static str {
            "test"
        }
        fn refresh(&self) {
            let mut known = self.0.lock();
            known.used = Some(known.used.unwrap_or_default() + (1 << 20));
        }
        fn get_vram_usage_bytes(&self) -> Option<u64> {
            self.0.lock().used
        }
        fn get_vram_capacity_bytes(&self) -> Option<u64> {
            Some(4 << 20)
        }
        fn get_vram_device_usage_bytes(&self) -> Option<u64> {
            self.0.lock().device
        }
        fn get_device_busy_ratio(&self) -> Option<f64> {
            self.0.lock().busy
        }
        fn get_vram_reserved_bytes(&self) -> Option<u64> {
            self.0.lock().reserved
        }
        fn get_vram_heaps(&self) -> Vec<VramHeap> {
            self.0.lock().heaps.clone()
        }
        fn get_engines_busy(&self) -> Vec<EngineBusy> {
            self.0.lock().engines.clone()
        }
    }

    /// A monitor of a source, which knows this.
    fn monitored(known: Known) -> (Arc<Source>, VramResourceMonitor) {
        let source = Arc::new(Source(Mutex::new(known)));
        let provider = Arc::downgrade(&source) as Weak<dyn VramProvider>;
        (source, VramResourceMonitor::new(provider, "vram"))
    }

    /// The figures as `name{values of labels}` with their values, in the order described.
    fn recorded(monitor: &VramResourceMonitor) -> Vec<(String, Option<Value>)> {
        let mut series = Series::with_cap(1_000);
        monitor.describe(&mut series);
        let figures = series.finish().0.into_iter().flatten().map(|figure| {
            let labels: Vec<_> = figure.labels.iter().map(|(_, value)| value.as_ref()).collect();
            format!("{}{{{}}}", figure.name.trim_start_matches("vitals_"), labels.join(","))
        });
        let figures: Vec<_> = figures.collect();
        let mut values = vec![None; figures.len()];
        let mut row = Row::new(&mut values);
        monitor.record(&mut row);
        assert_eq!(row.beyond(), 0);
        figures.into_iter().zip(values).collect()
    }

    /// Those that are there.
    fn present(monitor: &VramResourceMonitor) -> Vec<(String, f64)> {
        recorded(monitor).into_iter().filter_map(|(name, value)| Some((name, value?.as_f64()))).collect()
    }

    fn named(figures: &[(&str, f64)]) -> Vec<(String, f64)> {
        figures.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
    }

    const MIB: f64 = 1_048_576.0;

    #[test]
    fn figures_are_the_providers_and_absent_when_it_is_gone() {
        let (provider, monitor) = monitored(Known::default());
        assert_eq!(monitor.get_vram_report(), None, "unknown before the first refresh");
        let capacity = ("vram_capacity_bytes{test}", 4.0 * MIB);
        assert_eq!(present(&monitor), named(&[capacity]), "the capacity is known");
        assert_eq!(monitor.get_usage_report().total_capacity_bytes, Some(4 << 20));
        monitor.update();
        let report = monitor.get_vram_report().unwrap();
        assert_eq!(
            (report.current_usage_bytes, report.capacity_bytes, report.peak_usage_bytes),
            (1 << 20, Some(4 << 20), None)
        );
        assert_eq!((report.current_usage_mb(), report.capacity_mb(), report.peak_usage_mb()), (1.0, Some(4.0), None));
        assert_eq!(monitor.get_usage_report().usage_percent(), Some(25.0));
        assert_eq!(present(&monitor), named(&[("vram_used_bytes{test}", MIB), capacity]));
        drop(provider);
        monitor.update();
        assert_eq!((monitor.get_vram_report(), monitor.get_vram_heaps()), (None, vec![]));
        assert_eq!(monitor.get_usage_report(), ResourceUsageReport::default());
        assert_eq!(present(&monitor), []);
    }

    #[test]
    fn parts_are_described_when_they_are_first_told_of_and_keep_their_place() {
        let (source, monitor) = monitored(Known { device: Some(9), ..Known::default() });
        monitor.update();
        let revision = monitor.description_revision();
        assert!(recorded(&monitor).iter().all(|(name, _)| !name.contains("heap") && !name.contains("reserved")));
        let heap = |name: &'static str, used| VramHeap { used_bytes: Some(used), ..VramHeap::new(name) };
        *source.0.lock() = Known {
            device: Some(9),
            busy: Some(0.25),
            heaps: vec![VramHeap {
                budget_bytes: Some(7),
                capacity_bytes: Some(8),
                peak_bytes: Some(6),
                ..heap("a", 5)
            }],
            engines: vec![EngineBusy { name: "copy".into(), busy: Duration::from_millis(2_500), count: 2 }],
            ..Known::default()
        };
        monitor.update();
        assert_ne!(monitor.description_revision(), revision);
        let always = [
            ("vram_used_bytes{test}", MIB),
            ("vram_capacity_bytes{test}", 4.0 * MIB),
            ("vram_device_used_bytes{test}", 9.0),
            ("gpu_busy_ratio{test}", 0.25),
        ];
        let first = [
            ("vram_heap_used_bytes{test,a}", 5.0),
            ("vram_heap_peak_bytes{test,a}", 6.0),
            ("vram_heap_budget_bytes{test,a}", 7.0),
            ("vram_heap_capacity_bytes{test,a}", 8.0),
            ("gpu_engine_busy_seconds_total{test,copy}", 2.5),
        ];
        assert_eq!(present(&monitor), named(&[&always[..], &first].concat()));
        assert_eq!(monitor.get_vram_report().unwrap().device_usage_bytes, Some(9));
        assert_eq!(monitor.get_vram_heaps().len(), 1);

        *source.0.lock() = Known { heaps: vec![heap("b", 1)], reserved: Some(3), ..Known::default() };
        monitor.update();
        let now = [
            ("vram_used_bytes{test}", MIB),
            ("vram_capacity_bytes{test}", 4.0 * MIB),
            ("vram_reserved_bytes{}", 3.0),
            ("vram_heap_used_bytes{test,b}", 1.0),
        ];
        assert_eq!(present(&monitor), named(&now), "what is not told of any more is absent");
        let names: Vec<_> = recorded(&monitor).into_iter().skip(6).map(|(name, _)| name).collect();
        assert_eq!(names[4], "gpu_engine_busy_seconds_total{test,copy}", "and keeps its place");
    }

    #[test]
    fn parts_beyond_the_cap_are_counted() {
        let heaps = (0..MOST as u64 + 5)
            .map(|number| VramHeap { used_bytes: Some(number), ..VramHeap::new(number.to_string()) });
        let (_source, monitor) = monitored(Known { heaps: heaps.collect(), ..Known::default() });
        monitor.update();
        monitor.update();
        let figures = recorded(&monitor);
        assert_eq!(figures.len(), 6 + 4 * MOST + 1);
        assert_eq!(figures.last().unwrap(), &("label_overflow_total{vram}".to_owned(), Some(Value::U64(5))));
    }
}
