//! The memory of this process and of the machine, as the operating system has it.

use std::borrow::Cow;
use std::time::Duration;

use parking_lot::Mutex;

use crate::contract::{Cadence, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit};
use crate::memory::process::{ProcessMemory, ProcessMemoryReader};

/// Reports what the operating system says of the memory of this process and of the machine.
///
/// It asks on the registry's sampler thread, every second unless [`with_cadence`](Self::with_cadence) says otherwise. What the platform
/// does not tell is absent. Its usage report gives the resident bytes and, as capacity, the limit of the process's control group (a
/// container's limit) or else the machine's memory. A limit of addresses is a figure of its own: it is no limit of resident bytes.
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
        ResourceUsageReport::new(last.resident_bytes, None, last.capacity_bytes())
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
        series.gauge(
            "vitals_process_limit_used_bytes",
            Unit::Bytes,
            "What the control group whose limit that is occupies of it, cached files included",
        );
        series.gauge(
            "vitals_process_virtual_bytes",
            Unit::Bytes,
            "Addresses that the process has mapped, with memory behind them or without",
        );
        series.gauge(
            "vitals_process_virtual_limit_bytes",
            Unit::Bytes,
            "The most addresses that the process may map (RLIMIT_AS)",
        );
        series.gauge(
            "vitals_process_virtual_limit_ratio",
            Unit::Ratio,
            "Addresses mapped as a share of the most that may be; near 1 the next large allocation fails",
        );
        series.gauge("vitals_process_swapped_bytes", Unit::Bytes, "Memory of the process that is swapped out");
        for kind in ["minor", "major"] {
            series
                .counter(
                    "vitals_process_page_faults_total",
                    Unit::Count,
                    "Page faults of the process; major ones waited for a disk",
                )
                .label("kind", kind);
        }
        series.gauge("vitals_system_memory_bytes", Unit::Bytes, "Physical memory of the machine");
        series.gauge(
            "vitals_system_memory_available_bytes",
            Unit::Bytes,
            "Physical memory that the machine could give to programs without swapping",
        );
        series.gauge("vitals_system_swap_bytes", Unit::Bytes, "Swap space of the machine");
        series.gauge("vitals_system_swap_used_bytes", Unit::Bytes, "Swap space of the machine that is in use");
    }

    fn record(&self, row: &mut Row<'_>) {
        let last = self.get_process_memory();
        row.push(last.resident_bytes)
            .push(last.limit_bytes)
            .push(last.limit_used_bytes)
            .push(last.virtual_bytes)
            .push(last.virtual_limit_bytes)
            .push(last.virtual_limit_ratio())
            .push(last.swapped_bytes)
            .push(last.minor_faults)
            .push(last.major_faults)
            .push(last.system_bytes)
            .push(last.system_available_bytes)
            .push(last.system_swap_bytes)
            .push(last.system_swap_used_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Value;

    const NAMES: [&str; 13] = [
        "vitals_process_resident_bytes",
        "vitals_process_limit_bytes",
        "vitals_process_limit_used_bytes",
        "vitals_process_virtual_bytes",
        "vitals_process_virtual_limit_bytes",
        "vitals_process_virtual_limit_ratio",
        "vitals_process_swapped_bytes",
        "vitals_process_page_faults_total minor",
        "vitals_process_page_faults_total major",
        "vitals_system_memory_bytes",
        "vitals_system_memory_available_bytes",
        "vitals_system_swap_bytes",
        "vitals_system_swap_used_bytes",
    ];

    fn recorded(monitor: &ProcessMemoryMonitor) -> [Option<Value>; NAMES.len()] {
        let mut values = [None; NAMES.len()];
        let mut row = Row::new(&mut values);
        monitor.record(&mut row);
        assert_eq!(row.beyond(), 0);
        values
    }

    #[test]
    fn nothing_is_claimed_before_the_first_update() {
        let monitor = ProcessMemoryMonitor::new("process");
        assert_eq!(recorded(&monitor), [None; NAMES.len()]);
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
        let names: Vec<_> = figures
            .into_iter()
            .map(|figure| {
                let figure = figure.unwrap();
                figure.labels.iter().fold(figure.name.to_string(), |name, (_, value)| format!("{name} {value}"))
            })
            .collect();
        assert_eq!(names, NAMES);

        let known = ProcessMemory {
            resident_bytes: Some(1),
            limit_used_bytes: Some(2),
            virtual_bytes: Some(3),
            virtual_limit_bytes: Some(4),
            swapped_bytes: Some(5),
            minor_faults: Some(6),
            major_faults: Some(7),
            system_bytes: Some(8),
            system_available_bytes: Some(9),
            system_swap_bytes: Some(10),
            system_swap_used_bytes: Some(0),
            ..ProcessMemory::default()
        };
        *monitor.last.lock() = known;
        let expected = [1, 0, 2, 3, 4, 0, 5, 6, 7, 8, 9, 10, 0].map(|value| Some(Value::U64(value)));
        let mut recorded = recorded(&monitor);
        assert_eq!((recorded[1].take(), recorded[5].take()), (None, Some(Value::F64(0.75))));
        assert_eq!(recorded[..1], expected[..1]);
        assert_eq!(recorded[2..5], expected[2..5]);
        assert_eq!(recorded[6..], expected[6..]);
        assert_eq!(monitor.get_usage_report().total_capacity_bytes, Some(8));
        *monitor.last.lock() = ProcessMemory { limit_bytes: Some(2), ..known };
        assert_eq!(monitor.get_usage_report().total_capacity_bytes, Some(2));
    }

    #[cfg(all(feature = "telemetry", target_os = "linux", not(miri)))]
    #[test]
    fn an_update_reads_the_system() {
        let monitor = ProcessMemoryMonitor::new("process");
        monitor.update();
        for (name, value) in NAMES.into_iter().zip(recorded(&monitor)) {
            assert!(value.is_some() || name.contains("limit"), "{name} is absent");
        }
        assert!(monitor.get_usage_report().usage_percent().is_some_and(|percent| percent > 0.0 && percent < 100.0));
    }
}
