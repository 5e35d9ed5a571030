//! The memory of this process and of the machine, as the operating system has it.

use std::borrow::Cow;
use std::time::Duration;

use parking_lot::Mutex;

use crate::contract::{Cadence, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit};
use crate::memory::process::{ProcessMemory, ProcessMemoryReader};

/// Reports what the operating system says of the memory of this process and of the machine.
///
/// It asks on the registry's sampler thread, every second unless [`with_cadence`](Self::with_cadence) says otherwise. What the platform
/// does not tell is absent. Its usage report gives the resident bytes and, as capacity, the limit of the process or else the machine's
/// memory.
#[derive(Debug)]
pub struct ProcessMemoryMonitor {
    id: Cow<'static, str>,
    cadence: Cadence,
    reader: Mutex<ProcessMemoryReader>,
    last: Mutex<ProcessMemory>,
}

impl ProcessMemoryMonitor {
    /// A monitor with this name that asks once a second.
    #[must_use]
    pub fn new(id: impl Into<Cow<'static, str>>) -> Self {
        Self {
            id: id.into(),
            cadence: Cadence::Every(Duration::from_secs(1)),
            reader: Mutex::new(ProcessMemoryReader::new()),
            last: Mutex::new(ProcessMemory::default()),
        }
    }

    /// Asks this often instead.
    #[must_use]
    pub fn with_cadence(mut self, interval: Duration) -> Self {
        self.cadence = Cadence::Every(interval);
        self
    }

    /// What the last update has read; all `None` before the first.
    #[must_use]
    pub fn get_process_memory(&self) -> ProcessMemory {
        *self.last.lock()
    }
}

impl ResourceMonitor for ProcessMemoryMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::SystemRam
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        let last = self.get_process_memory();
        ResourceUsageReport::new(last.resident_bytes, None, last.limit_bytes.or(last.system_bytes))
    }

    fn update(&self) {
        // Readers wait for the copy, not for the operating system.
        let read = self.reader.lock().read();
        *self.last.lock() = read;
    }

    fn cadence(&self) -> Cadence {
        self.cadence
    }

    fn describe(&self, series: &mut Series) {
        series.gauge("vitals_process_resident_bytes", Unit::Bytes, "Physical memory that the process occupies");
        series.gauge(
            "vitals_process_limit_bytes",
            Unit::Bytes,
            "The most memory that the process and those in its control group may occupy together",
        );
        series.gauge("vitals_system_memory_bytes", Unit::Bytes, "Physical memory of the machine");
        series.gauge(
            "vitals_system_memory_available_bytes",
            Unit::Bytes,
            "Physical memory that the machine could give to programs without swapping",
        );
    }

    fn record(&self, row: &mut Row<'_>) {
        let last = self.get_process_memory();
        row.push(last.resident_bytes).push(last.limit_bytes).push(last.system_bytes).push(last.system_available_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Value;

    fn recorded(monitor: &ProcessMemoryMonitor) -> [Option<Value>; 4] {
        let mut values = [None; 4];
        let mut row = Row::new(&mut values);
        monitor.record(&mut row);
        assert_eq!(row.beyond(), 0);
        values
    }

    #[test]
    fn nothing_is_claimed_before_the_first_update() {
        let monitor = ProcessMemoryMonitor::new("process");
        assert_eq!(recorded(&monitor), [None; 4]);
        assert_eq!(monitor.get_usage_report(), ResourceUsageReport::default());
        assert_eq!(monitor.cadence(), Cadence::Every(Duration::from_secs(1)));
        let slow = monitor.with_cadence(Duration::from_secs(5));
        assert_eq!(slow.cadence(), Cadence::Every(Duration::from_secs(5)));
    }

    #[test]
    fn figures_stand_in_the_order_described_and_what_is_unknown_is_absent() {
        let monitor = ProcessMemoryMonitor::new("process");
        let mut series = Series::with_cap(100);
        monitor.describe(&mut series);
        let (figures, overflow) = series.finish();
        assert_eq!(overflow, Default::default());
        let names: Vec<_> = figures.iter().map(|figure| figure.as_ref().unwrap().name.as_ref()).collect();
        assert_eq!(
            names,
            [
                "vitals_process_resident_bytes",
                "vitals_process_limit_bytes",
                "vitals_system_memory_bytes",
                "vitals_system_memory_available_bytes"
            ]
        );

        let known = ProcessMemory { resident_bytes: Some(1), system_bytes: Some(3), ..ProcessMemory::default() };
        *monitor.last.lock() = known;
        assert_eq!(recorded(&monitor), [Some(Value::U64(1)), None, Some(Value::U64(3)), None]);
        assert_eq!(monitor.get_usage_report().total_capacity_bytes, Some(3));
        *monitor.last.lock() = ProcessMemory { limit_bytes: Some(2), ..known };
        assert_eq!(monitor.get_usage_report().total_capacity_bytes, Some(2));
    }

    #[cfg(all(feature = "telemetry", target_os = "linux", not(miri)))]
    #[test]
    fn an_update_reads_the_system() {
        let monitor = ProcessMemoryMonitor::new("process");
        monitor.update();
        let [resident, _, system, available] = recorded(&monitor);
        assert!(resident.is_some() && system.is_some() && available.is_some());
        assert!(monitor.get_usage_report().usage_percent().is_some_and(|percent| percent > 0.0 && percent < 100.0));
    }
}
