//! What the graphics adapter is called.

use std::borrow::Cow;

use crate::contract::{MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit};

/// Shows an adapter's name, backend and driver as labels of `vitals_adapter_info`. It has no bytes, so its usage report is empty.
#[derive(Debug)]
pub struct AdapterMonitor {
    id: Cow<'static, str>,
    name: String,
    backend: &'static str,
    driver: String,
}

impl AdapterMonitor {
    /// A monitor with this name, of an adapter with these facts.
    #[must_use]
    pub fn new(
        id: impl Into<Cow<'static, str>>,
        name: impl Into<String>,
        backend: &'static str,
        driver: impl Into<String>,
    ) -> Self {
        Self { id: id.into(), name: name.into(), backend, driver: driver.into() }
    }
}

impl ResourceMonitor for AdapterMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Gpu
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }

    fn describe(&self, series: &mut Series) {
        series
            .gauge("vitals_adapter_info", Unit::Count, "1, with the graphics adapter's name, backend and driver")
            .label("adapter", self.name.clone())
            .label("backend", self.backend)
            .label("driver", self.driver.clone());
    }

    fn record(&self, row: &mut Row<'_>) {
        row.push(1_u64);
    }
}
