//! The same calls without telemetry: nothing is kept, run or opened.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use engine_vitals_core::analysis::LifecycleTelemetry;
use engine_vitals_core::analysis::guards::Warning;
use engine_vitals_core::analysis::hitches::Hitch;
use engine_vitals_core::analysis::{Dump, DumpOptions, Leaks, OutOfMemory, Reconciliation};
use engine_vitals_core::contract::{ResolvedProfile, VramProvider};
use engine_vitals_core::monitor::{BudgetReport, GpuFrameMonitor, MemoryResourceMonitor, PassTimeMonitor};
use engine_vitals_core::probe::{Context, PacketResult, Probe, SoftBudget, WouldCross};
use engine_vitals_core::registry::Registry;
use engine_vitals_core::tracker::Tracker;

use super::{Builder, FrameSummary, HeapProfileError};
use crate::gpu::{FrameTimer, Submissions};
use crate::instrument::{Adopted, Instrumentation};
use crate::vram::VramSource;

/// What [`start`](super::start) returns. Without the feature `telemetry` it is empty and does nothing.
#[derive(Debug)]
pub struct Vitals {
    registry: Registry,
    tracker: Tracker,
    heap: OnceLock<Arc<MemoryResourceMonitor>>,
    gpu: OnceLock<Arc<GpuFrameMonitor>>,
    passes: OnceLock<Arc<PassTimeMonitor>>,
}

impl Vitals {
    /// Takes choices and forgets them.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn with(_: Builder) -> Self {
        Self {
            registry: Registry::new(),
            tracker: Tracker::new(),
            heap: OnceLock::new(),
            gpu: OnceLock::new(),
            passes: OnceLock::new(),
        }
    }

    /// The instance itself.
    #[must_use]
    pub fn wrap(&self, instance: wgpu::Instance) -> wgpu::Instance {
        instance
    }

    /// The four themselves.
    #[must_use]
    pub fn adopt(
        &self,
        instance: wgpu::Instance,
        adapter: wgpu::Adapter,
        device: wgpu::Device,
        queue: wgpu::Queue,
    ) -> Adopted {
        Instrumentation.adopt(instance, adapter, device, queue)
    }

    /// Instruments nothing.
    #[must_use]
    pub fn instrumentation(&self) -> &Instrumentation {
        &Instrumentation
    }

    /// Nothing.
    pub fn frame(&self) -> FrameSummary {
        FrameSummary::default()
    }

    /// Nothing.
    pub fn frame_ended(&self, _: PacketResult) -> FrameSummary {
        FrameSummary::default()
    }

    /// No context.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::current()
    }

    /// [`Probe::OFF`].
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe::OFF
    }

    /// A tracker of nothing.
    #[must_use]
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// Nothing.
    pub fn set_soft_budget(&self, _: SoftBudget) {}

    /// None.
    #[must_use]
    pub fn soft_budgets(&self) -> Vec<BudgetReport> {
        Vec::new()
    }

    /// None.
    #[must_use]
    pub fn out_of_memory(&self) -> Vec<Arc<OutOfMemory>> {
        Vec::new()
    }

    /// `None`.
    #[must_use]
    pub fn reconcile(&self) -> Option<Reconciliation> {
        None
    }

    /// Nothing.
    pub fn before_over_budget(&self, _: impl Fn(&WouldCross<'_>) + Send + Sync + 'static) {}

    /// Nothing.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }

    /// None.
    #[must_use]
    pub fn hitches(&self) -> Vec<Hitch> {
        Vec::new()
    }

    /// Nothing.
    #[must_use]
    pub fn dump(&self) -> Dump {
        Dump::take(&self.tracker, &DumpOptions::default())
    }

    /// None.
    #[must_use]
    pub fn leaks(&self) -> Leaks {
        Leaks::find(&self.tracker)
    }

    /// `None`.
    #[must_use]
    pub fn heap_profile(&self) -> Option<ResolvedProfile> {
        None
    }

    /// Writes nothing.
    ///
    /// # Errors
    /// [`HeapProfileError::NotSampled`], always.
    pub fn write_heap_profile(&self, _path: impl AsRef<Path>) -> Result<(), HeapProfileError> {
        Err(HeapProfileError::NotSampled)
    }

    /// A registry that takes monitors and forgets them.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A monitor that nobody runs; made when it is first asked for.
    #[must_use]
    pub fn heap_monitor(&self) -> &Arc<MemoryResourceMonitor> {
        self.heap.get_or_init(|| Arc::new(MemoryResourceMonitor::new("heap")))
    }

    /// A monitor that nobody runs; made when it is first asked for.
    #[must_use]
    pub fn gpu_monitor(&self) -> &Arc<GpuFrameMonitor> {
        self.gpu.get_or_init(|| Arc::new(GpuFrameMonitor::new("gpu")))
    }

    /// A monitor that nobody runs; made when it is first asked for.
    #[must_use]
    pub fn pass_monitor(&self) -> &Arc<PassTimeMonitor> {
        self.passes.get_or_init(|| Arc::new(PassTimeMonitor::new("passes")))
    }

    /// Nothing.
    pub fn set_pass_times(&self, _: bool) {}

    /// Submits, and nothing more.
    #[must_use]
    pub fn submissions(&self) -> Submissions {
        Submissions::new(Probe::OFF)
    }

    /// Measures nothing.
    #[must_use]
    pub fn watch_device(&self, _: &wgpu::Device, _: &wgpu::Queue) -> DeviceWatch {
        DeviceWatch { timer: FrameTimer }
    }

    /// None.
    #[must_use]
    pub fn vram_sources(&self) -> Vec<DeviceSources> {
        Vec::new()
    }

    /// `None`.
    #[must_use]
    pub fn report(&self) -> Option<LifecycleTelemetry> {
        None
    }

    /// Nothing.
    pub fn begin_shutdown(&self) {}

    /// `None`.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        None
    }

    /// Nothing.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The sources of figures about one device's memory: none.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeviceSources {
    /// The adapter's name.
    pub adapter: String,
    /// None.
    pub sources: Vec<VramSource>,
}

impl DeviceSources {
    /// `None`.
    #[must_use]
    pub fn best(&self) -> Option<Arc<dyn VramProvider>> {
        None
    }

    /// `None`.
    #[must_use]
    pub fn get(&self, _: &str) -> Option<Arc<dyn VramProvider>> {
        None
    }
}

/// Measures nothing.
#[derive(Debug)]
pub struct DeviceWatch {
    timer: FrameTimer,
}

impl DeviceWatch {
    /// A timer that takes no time.
    #[must_use]
    pub fn timer(&self) -> &FrameTimer {
        &self.timer
    }

    /// Knows nothing.
    #[must_use]
    pub fn memory(&self) -> &dyn VramProvider {
        &Unknown
    }
}

/// Memory of which nothing is known.
#[derive(Debug)]
struct Unknown;

impl VramProvider for Unknown {
    fn source(&self) -> &'static str {
        "none"
    }

    fn get_vram_usage_bytes(&self) -> Option<u64> {
        None
    }
}

/// Nothing; so that `drop(vitals)` means the same with and without telemetry.
impl Drop for Vitals {
    fn drop(&mut self) {}
}
