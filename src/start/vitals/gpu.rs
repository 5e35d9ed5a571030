//! What [`Vitals`] tells of the GPU: its memory, its times, its devices.

use std::sync::Arc;

use engine_vitals_core::analysis::{OutOfMemory, Reconciliation};
use engine_vitals_core::monitor::{BudgetReport, GpuFrameMonitor, PassTimeMonitor};
use engine_vitals_core::probe::{SoftBudget, WouldCross};

use super::super::{DeviceSources, DeviceWatch};
use super::Vitals;
use crate::gpu::Submissions;

impl Vitals {
    /// Sets a soft budget of GPU memory, in place of the one of the same scope; one of 0 bytes lifts it
    /// ([`Tracker::set_soft_budget`](crate::Tracker::set_soft_budget)).
    ///
    /// ```
    /// use engine_vitals::probe::SoftBudget;
    ///
    /// let vitals = engine_vitals::Vitals::builder().without_server().start();
    /// vitals.set_soft_budget(SoftBudget::process(512 << 20).watermark(80, 75));
    /// # drop(vitals);
    /// ```
    pub fn set_soft_budget(&self, budget: SoftBudget) {
        self.tracker.set_soft_budget(budget);
    }

    /// The soft budgets: how each stands, and when it will be exhausted at the present pace. The process's comes first.
    #[must_use]
    pub fn soft_budgets(&self) -> Vec<BudgetReport> {
        self.budgets.budgets()
    }

    /// What there was when a device's memory ran out: the last 16 times, the last one at the end, at least a second apart; each has the
    /// number of those within the second after it ([`OutOfMemory::later`]), and prints itself as a report. Seen are errors of instrumented
    /// devices, whether a scope, a handler or wgpu's panic took them
    /// ([`on_out_of_memory`](crate::instrument::InstrumentationBuilder::on_out_of_memory)); `vitals_gpu_out_of_memory_total` counts them.
    #[must_use]
    pub fn out_of_memory(&self) -> Vec<Arc<OutOfMemory>> {
        self.budgets.out_of_memory()
    }

    /// Where the bytes of GPU memory are: what is tracked against what wgpu's allocator has given out and reserved, and against the driver,
    /// each difference under the name of what it is. It prints itself as a report. `None` while no device is measured. Takes as long as a
    /// dump: ask for it now and then, not in each frame (docs/VRAM.md).
    #[must_use]
    pub fn reconcile(&self) -> Option<Reconciliation> {
        self.reconcile.reconcile()
    }

    /// Calls `call` before a creation that would leave a soft budget exceeded, so that the program can make room
    /// ([`Tracker::before_over_budget`](crate::Tracker::before_over_budget)).
    pub fn before_over_budget(&self, call: impl Fn(&WouldCross<'_>) + Send + Sync + 'static) {
        self.tracker.before_over_budget(call);
    }

    /// The monitor of frame times on the GPU, for engines with timers of their own
    /// ([`update_from_frame_stats`](GpuFrameMonitor::update_from_frame_stats)).
    #[must_use]
    pub fn gpu_monitor(&self) -> &Arc<GpuFrameMonitor> {
        &self.gpu
    }

    /// The monitor of the passes' times on the GPU: its [`report`](PassTimeMonitor::report) lists them, that which takes longest first.
    #[must_use]
    pub fn pass_monitor(&self) -> &Arc<PassTimeMonitor> {
        &self.passes
    }

    /// Whether the time of passes on the GPU is taken from now on: of those in encoders that are made from now on, on devices of
    /// [`wrap`](Self::wrap) and [`adopt`](Self::adopt) that have time stamps. On from the start, unless
    /// [`Builder::pass_times`](crate::Builder::pass_times) says otherwise.
    pub fn set_pass_times(&self, on: bool) {
        self.instrumentation.set_pass_times(on);
    }

    /// Numbers submissions to one queue, reports them to the probe and measures their latency. Make one per queue.
    #[must_use]
    pub fn submissions(&self) -> Submissions {
        Submissions::new(self.probe()).with_latencies(self.lifecycle.submission_latency())
    }

    /// Measures a device from now on, until what this returns is dropped: its memory, the adapter's name, and the time of frames through
    /// [`DeviceWatch::timer`].
    ///
    /// Ask for [`gpu::wanted_features`](crate::gpu::wanted_features) when you request the device, or times on the GPU are absent.
    #[must_use = "dropping it ends the measuring"]
    pub fn watch_device(&self, device: &wgpu::Device, queue: &wgpu::Queue) -> DeviceWatch {
        DeviceWatch::new(&self.devices, Arc::clone(&self.gpu), self.probe(), device, queue, &self.notices)
    }

    /// The sources of figures about GPU memory, device by device: those that there are, best first, and those that are absent, with the
    /// reason. Each that there is has a monitor: `vram` for wgpu's allocator, `vram-drm`, `vram-nvml`, `vram-vulkan` and so on.
    ///
    /// Devices are those that are measured now: instrumented ones while their handles live, others while their
    /// [`DeviceWatch`] is kept.
    ///
    /// ```
    /// let vitals = engine_vitals::Vitals::builder().without_server().start();
    /// // make a device
    /// for device in vitals.vram_sources() {
    ///     println!("{}", device.adapter);
    ///     device.sources.iter().for_each(|source| println!("  {source}"));
    ///     if let Some(best) = device.best() {
    ///         println!("{}: {:?} bytes", best.source(), best.get_vram_usage_bytes());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn vram_sources(&self) -> Vec<DeviceSources> {
        self.devices.sources()
    }
}
