//! The registry as a monitor of itself.

use std::borrow::Cow;

use super::{Registry, WeakRegistry};
use crate::contract::{MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit};

/// Exports what a registry counts of itself: updates, deferrals, monitors moved to the sampler thread, series refused.
///
/// It does not keep its registry. It has no bytes, so its usage report is empty.
#[derive(Debug)]
pub struct RegistryMonitor {
    id: Cow<'static, str>,
    registry: WeakRegistry,
}

impl RegistryMonitor {
    /// A monitor of this registry, with this name.
    #[must_use]
    pub fn new(registry: &Registry, id: impl Into<Cow<'static, str>>) -> Self {
        Self { id: id.into(), registry: registry.downgrade() }
    }
}

impl ResourceMonitor for RegistryMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Other("registry")
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }

    fn describe(&self, series: &mut Series) {
        series.gauge("vitals_registry_monitors", Unit::Count, "Monitors registered");
        series.counter("vitals_registry_updates_total", Unit::Count, "Updates of the registry");
        series.counter(
            "vitals_registry_updates_skipped_total",
            Unit::Count,
            "Updates that did nothing since another was under way",
        );
        series.counter(
            "vitals_registry_runs_deferred_total",
            Unit::Count,
            "Runs of monitors left to a later update since the budget was spent",
        );
        series.counter(
            "vitals_registry_demotions_total",
            Unit::Count,
            "Times that a monitor was moved to the sampler thread",
        );
        series
            .counter("vitals_label_overflow_total", Unit::Count, "Names, labels or series refused for want of room")
            .label("table", "series");
    }

    fn record(&self, row: &mut Row<'_>) {
        let Some(registry) = self.registry.upgrade() else { return };
        let stats = registry.stats();
        row.push(stats.monitors as u64)
            .push(stats.updates)
            .push(stats.updates_skipped)
            .push(stats.runs_deferred)
            .push(stats.demotions)
            .push(stats.figures_refused);
    }
}
