//! engine-vitals in this engine: what is measured, and where it is served.
//!
//! Without the feature `telemetry` the same source compiles to calls that do nothing; only serving asks for its feature.

use std::sync::Arc;

use engine_vitals::gpu::{FrameSink, Submissions};
use engine_vitals::vram::AllocatorReportProvider;
use engine_vitals_core::contract::{GpuMonitor, ResourceMonitor, VramProvider};
use engine_vitals_core::memory::{TrackingAllocator, get_currently_allocated_bytes};
use engine_vitals_core::monitor::{GpuFrameMonitor, MemoryResourceMonitor, ProcessMemoryMonitor, VramResourceMonitor};
use engine_vitals_core::probe::Probe;
use engine_vitals_core::registry::Registry;
use engine_vitals_core::tracker::Tracker;

use crate::failure::Failure;
use crate::options::Options;

/// Counts the heap of this program.
#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system();

/// The monitors, the registry that runs them, and the server that shows them.
pub(crate) struct Telemetry {
    tracker: Tracker,
    registry: Registry,
    gpu: Arc<GpuFrameMonitor>,
    // The monitor holds its provider weakly.
    vram: Option<Arc<AllocatorReportProvider>>,
    #[cfg(feature = "serve")]
    _exporter: engine_vitals_prometheus::Exporter,
}

impl Telemetry {
    /// Starts measuring and serving, and prints where.
    ///
    /// # Errors
    /// When `--listen` cannot be listened on.
    pub(crate) fn start(options: &Options) -> Result<Self, Failure> {
        let registry = Registry::new();
        let gpu = Arc::new(GpuFrameMonitor::new("gpu"));
        register(&registry, Arc::new(MemoryResourceMonitor::new("heap")))?;
        register(&registry, Arc::new(ProcessMemoryMonitor::new("process")))?;
        register(&registry, Arc::clone(&gpu))?;
        #[cfg(feature = "serve")]
        let exporter = {
            let exporter = engine_vitals_prometheus::Exporter::builder(&registry)
                .app("engine", env!("CARGO_PKG_VERSION"))
                .listen_on(options.listen)
                .start()
                .map_err(|error| Failure::Running(format!("--listen {}: {error}", options.listen)))?;
            println!("page:    {}", exporter.url());
            println!("metrics: {}metrics", exporter.url());
            exporter
        };
        if !cfg!(feature = "serve") {
            println!("telemetry is off or not served: nothing listens on {}", options.listen);
        }
        Ok(Self {
            tracker: Tracker::new(),
            registry,
            gpu,
            vram: None,
            #[cfg(feature = "serve")]
            _exporter: exporter,
        })
    }

    /// What resources are reported to.
    pub(crate) fn probe(&self) -> Probe {
        self.tracker.probe()
    }

    /// What takes the times of frames.
    pub(crate) fn frame_sink(&self) -> Arc<dyn FrameSink> {
        Arc::clone(&self.gpu) as Arc<dyn FrameSink>
    }

    /// Measures the device's memory from now on.
    ///
    /// # Errors
    /// When that is done already.
    pub(crate) fn watch(&mut self, device: &wgpu::Device) -> Result<(), Failure> {
        let provider = Arc::new(AllocatorReportProvider::new(device));
        let weak = Arc::downgrade(&provider) as std::sync::Weak<dyn VramProvider>;
        register(&self.registry, Arc::new(VramResourceMonitor::new(weak, "vram")))?;
        self.vram = Some(provider);
        Ok(())
    }

    /// A frame is done: the figures are brought up to date.
    pub(crate) fn frame(&self) {
        self.registry.update();
    }

    /// The main figures in a few words; what is not known is left out.
    pub(crate) fn status(&self, submissions: &Submissions) -> String {
        let device = self.tracker.totals().device();
        let mut parts = vec![
            self.gpu
                .get_gpu_report()
                .and_then(|report| report.frame_total_duration())
                .map(|time| format!("gpu {time:.1?}")),
            get_currently_allocated_bytes().map(|bytes| format!("heap {}", mebibytes(bytes))),
            self.vram
                .as_ref()
                .and_then(|vram| vram.get_vram_allocated_bytes())
                .map(|bytes| format!("vram {}", mebibytes(bytes))),
        ];
        if cfg!(feature = "telemetry") {
            let (live, bytes) = (device.live(), mebibytes(device.live_bytes()));
            parts.push(Some(format!("{live} resources, {bytes}")));
            parts.push(Some(format!("{} submissions in flight", submissions.stats().in_flight)));
        }
        parts.into_iter().flatten().map(|part| format!("  {part}")).collect()
    }
}

fn register<M: ResourceMonitor>(registry: &Registry, monitor: Arc<M>) -> Result<(), Failure> {
    registry.register(monitor).map_err(|error| Failure::Running(error.to_string()))
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", engine_vitals_core::contract::bytes_to_mb(bytes))
}
