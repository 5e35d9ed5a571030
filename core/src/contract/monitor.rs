//! The monitor traits.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Allocations, EngineBusy, GpuReport, LifecycleReport, MemoryReport, ResourceUsageReport, Row, Series, VramHeap,
    VramReport,
};

/// The resource that a monitor watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MonitoredResourceType {
    /// The memory of this process or of the machine.
    SystemRam,
    /// The memory of a graphics adapter.
    Vram,
    /// The time of a graphics adapter.
    Gpu,
    /// The life of graphics resources.
    Lifecycle,
    /// Anything else, by name.
    Other(&'static str),
}

impl MonitoredResourceType {
    /// The name that tables and pages show.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SystemRam => "system_ram",
            Self::Vram => "vram",
            Self::Gpu => "gpu",
            Self::Lifecycle => "lifecycle",
            Self::Other(name) => name,
        }
    }
}

/// How often the registry runs a monitor, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Cadence {
    /// In each `Registry::update()`, on the thread that calls it: for what costs microseconds at most.
    #[default]
    EachUpdate,
    /// On the registry's sampler thread, this often: for what costs more, asks the operating system or may stall.
    Every(Duration),
}

/// Watches one resource and reports on it. The base of all monitors.
///
/// # Thread rules
/// The registry calls a monitor from the thread that updates the registry or from its sampler thread, never from two at once and never
/// while it holds a lock of its own; anybody else who holds the monitor may call it at any time. A panic in any method is caught by the
/// registry, counted, and makes the monitor's figures absent (with `panic = "abort"` there is nothing to catch).
pub trait ResourceMonitor: Any + Debug + Send + Sync {
    /// The name of this monitor, unique in its registry. Read once, at registration.
    fn monitor_id(&self) -> Cow<'static, str>;

    /// What it watches.
    fn resource_type(&self) -> MonitoredResourceType;

    /// How much of the resource is used. Exported for each monitor without its doing.
    fn get_usage_report(&self) -> ResourceUsageReport;

    /// Brings the monitor's state up to date. Nothing by default.
    fn update(&self) {}

    /// How often [`update`](Self::update) and [`record`](Self::record) run, and where. Read once, at registration.
    fn cadence(&self) -> Cadence {
        Cadence::EachUpdate
    }

    /// Describes the figures that this monitor exports, with their labels. Runs at registration and whenever
    /// [`description_revision`](Self::description_revision) has changed; it may allocate.
    fn describe(&self, _series: &mut Series) {}

    /// A number that changes when [`describe`](Self::describe) would describe other figures than before (a new pass name, say).
    fn description_revision(&self) -> u64 {
        0
    }

    /// Writes the values of the described figures, in the order described. Runs after each [`update`](Self::update) and should not
    /// allocate.
    fn record(&self, _row: &mut Row<'_>) {}

    /// The specialised face of this monitor, if it has one. Read once, at registration.
    fn view(self: Arc<Self>) -> Option<MonitorRef> {
        None
    }
}

/// Watches the memory of this process.
pub trait MemoryMonitor: ResourceMonitor {
    /// The report made by the last update; `None` before the first and while nothing counts the heap.
    fn get_memory_report(&self) -> Option<MemoryReport>;

    /// Reads the allocator's figures into a new report.
    fn update_memory_stats(&self);

    /// Starts the peak anew from the bytes that are live now.
    fn reset_peak_usage(&self);
}

/// Watches the time that frames take on a graphics adapter.
pub trait GpuMonitor: ResourceMonitor {
    /// The newest finished frame; `None` before the first.
    fn get_gpu_report(&self) -> Option<GpuReport>;
}

/// Watches the memory of a graphics adapter.
pub trait VramMonitor: ResourceMonitor {
    /// The report of the provider; `None` when it is gone or does not know its usage.
    fn get_vram_report(&self) -> Option<VramReport>;

    /// The figures of each heap, segment or region, where the source tells them apart. Allocates.
    fn get_vram_heaps(&self) -> Vec<VramHeap> {
        Vec::new()
    }
}

/// Watches the life of graphics resources, of staging rings and of memory pools.
pub trait LifecycleMonitor: ResourceMonitor {
    /// What has been created and destroyed, and what lives; `None` while nothing is tracked.
    fn get_lifecycle_report(&self) -> Option<LifecycleReport>;
}

/// A source of figures about the memory of a graphics adapter.
///
/// Monitors hold a provider weakly: whoever made it keeps it, and when it goes its figures become absent. All methods are cheap and
/// answer from what [`refresh`](Self::refresh) has read last; a figure that the source does not have is `None`.
pub trait VramProvider: Send + Sync + Debug {
    /// The name of the source (`wgpu`, `nvml`, …), a label value: few and fixed.
    fn source(&self) -> &'static str;

    /// Reads the figures anew; may cost milliseconds and runs on the sampler thread. Nothing by default.
    fn refresh(&self) {}

    /// How often to refresh; one second by default.
    fn refresh_interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Bytes in use by this process.
    fn get_vram_usage_bytes(&self) -> Option<u64>;

    /// Bytes in use by all processes.
    fn get_vram_device_usage_bytes(&self) -> Option<u64> {
        None
    }

    /// The most bytes that this process was ever seen to use at a refresh.
    fn get_vram_peak_bytes(&self) -> Option<u64> {
        None
    }

    /// Bytes that the memory holds.
    fn get_vram_capacity_bytes(&self) -> Option<u64> {
        None
    }

    /// Bytes that this process may use before the system takes some away.
    fn get_vram_budget_bytes(&self) -> Option<u64> {
        None
    }

    /// Bytes that an allocator inside the process has given out.
    fn get_vram_allocated_bytes(&self) -> Option<u64> {
        None
    }

    /// Bytes that an allocator inside the process has taken from the driver, given out or not.
    fn get_vram_reserved_bytes(&self) -> Option<u64> {
        None
    }

    /// The same figures for each heap, segment or region, where the source tells them apart. Allocates.
    fn get_vram_heaps(&self) -> Vec<VramHeap> {
        Vec::new()
    }

    /// Share of the time that the device was busy of late, for all processes: from 0 to 1. Over how long is the driver's choice, mostly less than
    /// a second.
    fn get_device_busy_ratio(&self) -> Option<f64> {
        None
    }

    /// How long this process has kept each engine of the device busy, where the source knows. Allocates.
    fn get_engines_busy(&self) -> Vec<EngineBusy> {
        Vec::new()
    }

    /// What an allocator inside the process has given out now, one by one, where the source has a list. Unlike the other figures it is read
    /// when it is asked for, which takes up to milliseconds; it allocates.
    fn get_allocations(&self) -> Option<Allocations> {
        None
    }

    /// [`get_vram_usage_bytes`](Self::get_vram_usage_bytes) in MiB.
    fn get_vram_usage_mb(&self) -> Option<f64> {
        self.get_vram_usage_bytes().map(super::bytes_to_mb)
    }

    /// [`get_vram_peak_bytes`](Self::get_vram_peak_bytes) in MiB.
    fn get_vram_peak_mb(&self) -> Option<f64> {
        self.get_vram_peak_bytes().map(super::bytes_to_mb)
    }

    /// [`get_vram_capacity_bytes`](Self::get_vram_capacity_bytes) in MiB.
    fn get_vram_capacity_mb(&self) -> Option<f64> {
        self.get_vram_capacity_bytes().map(super::bytes_to_mb)
    }
}

/// A monitor by its specialised trait.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum MonitorRef {
    /// A [`MemoryMonitor`].
    Memory(Arc<dyn MemoryMonitor>),
    /// A [`GpuMonitor`].
    Gpu(Arc<dyn GpuMonitor>),
    /// A [`VramMonitor`].
    Vram(Arc<dyn VramMonitor>),
    /// A [`LifecycleMonitor`].
    Lifecycle(Arc<dyn LifecycleMonitor>),
}
