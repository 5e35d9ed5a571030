//! The memory of a graphics adapter, from one source.

use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::contract::{
    Cadence, MonitorRef, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit, VramMonitor,
    VramProvider, VramReport,
};

/// Reports what a [`VramProvider`] knows.
///
/// The provider is held weakly: whoever made it keeps it, so that a monitor never keeps a device alive. When it is gone, the report is
/// `None` and the figures are absent. It is refreshed on the sampler thread, as often as it asks to be.
#[derive(Debug)]
pub struct VramResourceMonitor {
    id: Cow<'static, str>,
    provider: Weak<dyn VramProvider>,
    source: &'static str,
    interval: Duration,
}

impl VramResourceMonitor {
    /// A monitor of this provider, with this name.
    #[must_use]
    pub fn new(provider: Weak<dyn VramProvider>, id: impl Into<Cow<'static, str>>) -> Self {
        let (source, interval) = provider
            .upgrade()
            .map_or(("lost", Duration::from_secs(1)), |provider| (provider.source(), provider.refresh_interval()));
        Self { id: id.into(), provider, source, interval }
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
        if let Some(provider) = self.provider.upgrade() {
            provider.refresh();
        }
    }

    fn cadence(&self) -> Cadence {
        Cadence::Every(self.interval)
    }

    fn describe(&self, series: &mut Series) {
        for (name, help) in [
            ("vitals_vram_used_bytes", "Bytes of the adapter's memory in use, as this source has it"),
            ("vitals_vram_peak_bytes", "The most bytes that this source was seen to have in use"),
            (
                "vitals_vram_budget_bytes",
                "Bytes that this process may use before the system takes some away, as this source has it",
            ),
            ("vitals_vram_capacity_bytes", "Bytes that the adapter's memory holds, as this source has it"),
        ] {
            series.gauge(name, Unit::Bytes, help).label("source", self.source);
        }
        describe_allocator(series);
    }

    fn record(&self, row: &mut Row<'_>) {
        // Not from the report, of which there is none while the usage is unknown.
        let Some(provider) = self.provider.upgrade() else { return };
        row.push(provider.get_vram_usage_bytes())
            .push(provider.get_vram_peak_bytes())
            .push(provider.get_vram_budget_bytes())
            .push(provider.get_vram_capacity_bytes())
            .push(provider.get_vram_allocated_bytes())
            .push(provider.get_vram_reserved_bytes());
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
            ..VramReport::new(provider.get_vram_usage_bytes()?)
        })
    }
}

/// Figures of the one allocator inside the process, whatever the source is called.
fn describe_allocator(series: &mut Series) {
    series.gauge(
        "vitals_vram_allocated_bytes",
        Unit::Bytes,
        "Bytes given out by the allocator of the graphics library",
    );
    series.gauge(
        "vitals_vram_reserved_bytes",
        Unit::Bytes,
        "Bytes taken from the driver by the allocator of the graphics library",
    );
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::contract::Value;

    /// Knows its usage after the first refresh.
    #[derive(Debug, Default)]
    struct Source(AtomicU64);

    impl VramProvider for Source {
        fn source(&self) -> &'static str {
            "test"
        }
        fn refresh(&self) {
            self.0.fetch_add(1 << 20, Ordering::Relaxed);
        }
        fn get_vram_usage_bytes(&self) -> Option<u64> {
            Some(self.0.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
        }
        fn get_vram_capacity_bytes(&self) -> Option<u64> {
            Some(4 << 20)
        }
    }

    fn recorded(monitor: &VramResourceMonitor) -> [Option<Value>; 6] {
        let mut values = [None; 6];
        monitor.record(&mut Row::new(&mut values));
        values
    }

    #[test]
    fn figures_are_the_providers_and_absent_when_it_is_gone() {
        let provider: Arc<dyn VramProvider> = Arc::new(Source::default());
        let monitor = VramResourceMonitor::new(Arc::downgrade(&provider), "vram");
        assert_eq!(monitor.get_vram_report(), None, "unknown before the first refresh");
        assert_eq!(recorded(&monitor)[..4], [None, None, None, Some(Value::U64(4 << 20))], "the capacity is known");
        assert_eq!(monitor.get_usage_report().total_capacity_bytes, Some(4 << 20));
        monitor.update();
        let report = monitor.get_vram_report().unwrap();
        assert_eq!(
            (report.current_usage_bytes, report.capacity_bytes, report.peak_usage_bytes),
            (1 << 20, Some(4 << 20), None)
        );
        assert_eq!((report.current_usage_mb(), report.capacity_mb(), report.peak_usage_mb()), (1.0, Some(4.0), None));
        assert_eq!(monitor.get_usage_report().usage_percent(), Some(25.0));
        assert_eq!(recorded(&monitor)[..4], [Some(Value::U64(1 << 20)), None, None, Some(Value::U64(4 << 20))]);
        drop(provider);
        monitor.update();
        assert_eq!(monitor.get_vram_report(), None);
        assert_eq!(monitor.get_usage_report(), ResourceUsageReport::default());
        assert_eq!(recorded(&monitor), [None; 6]);
    }
}
