//! The measuring of one device.

use std::sync::{Arc, Weak};

use engine_vitals_core::contract::{ResourceMonitor, VramProvider};
use engine_vitals_core::memory::HeapTag;
use engine_vitals_core::monitor::{AdapterMonitor, GpuFrameMonitor, VramResourceMonitor};
use engine_vitals_core::probe::Probe;
use engine_vitals_core::registry::Registry;
use parking_lot::Mutex;

use crate::gpu::{AdapterFacts, FrameTimer, TimestampSupport};
use crate::vram::AllocatorReportProvider;

/// Measures a device for as long as it is kept. It keeps the device too: drop it with the device.
pub struct DeviceWatch {
    /// Absent for an instrumented device, which has its own.
    _monitors: Option<DeviceMonitors>,
    timer: FrameTimer,
    provider: Arc<AllocatorReportProvider>,
}

/// The monitors of one device, registered for as long as it is kept. It keeps the device.
pub(super) struct DeviceMonitors {
    registry: Registry,
    ids: Vec<String>,
    /// The monitors know it for as long as it is here.
    _provider: Arc<AllocatorReportProvider>,
}

impl DeviceWatch {
    pub(super) fn new(
        registry: &Registry,
        gpu: Arc<GpuFrameMonitor>,
        probe: Probe,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        notices: &Mutex<Vec<String>>,
    ) -> Self {
        let provider = Arc::new(AllocatorReportProvider::new(device));
        let monitors = (!is_watched(device)).then(|| DeviceMonitors::around(registry, device, Arc::clone(&provider)));
        let timer = FrameTimer::new(device, queue, gpu).numbered_by(probe);
        if timer.support() == TimestampSupport::None {
            let facts = AdapterFacts::new(&device.adapter_info());
            let notice = format!(
                "no times on the GPU for {}: ask for engine_vitals::gpu::wanted_features(&adapter) when requesting the device \
                 (an adapter may have none)",
                facts.name
            );
            // Devices may be made again and again.
            let mut notices = notices.lock();
            if !notices.contains(&notice) {
                notices.push(notice);
            }
        }
        Self { _monitors: monitors, timer, provider }
    }

    /// The timer of this device's frames, which reports to [`Vitals::gpu_monitor`](super::Vitals::gpu_monitor). Its frames bear the numbers
    /// that [`Vitals::frame`](super::Vitals::frame) counts by: a frame is that of the number under way when it begins.
    #[must_use]
    pub fn timer(&self) -> &FrameTimer {
        &self.timer
    }

    /// What wgpu's allocator says of the device's memory, read once a second.
    #[must_use]
    pub fn memory(&self) -> &dyn VramProvider {
        &*self.provider
    }
}

/// Whether the device was measured as soon as it was made.
fn is_watched(device: &wgpu::Device) -> bool {
    #[cfg(feature = "instrument")]
    return crate::instrument::is_guarded(device);
    #[cfg(not(feature = "instrument"))]
    {
        let _ = device;
        false
    }
}

impl DeviceMonitors {
    /// Measures a device that was just made.
    #[cfg(feature = "instrument")]
    pub(super) fn new(registry: &Registry, device: &wgpu::Device) -> Self {
        Self::around(registry, device, Arc::new(AllocatorReportProvider::new(device)))
    }

    fn around(registry: &Registry, device: &wgpu::Device, provider: Arc<AllocatorReportProvider>) -> Self {
        let _own = HeapTag::OWN.enter();
        let facts = AdapterFacts::new(&device.adapter_info());
        let weak = Arc::downgrade(&provider) as Weak<dyn VramProvider>;
        let mut monitors = Self { registry: registry.clone(), ids: Vec::new(), _provider: provider };
        monitors.register("vram", |id| Arc::new(VramResourceMonitor::new(Weak::clone(&weak), id)));
        monitors.register("adapter", |id| Arc::new(AdapterMonitor::new(id, &facts.name, facts.backend, &facts.driver)));
        monitors
    }

    /// Registers a monitor as `name`, or for a second device as `name-2`, and so on.
    fn register(&mut self, name: &str, make: impl Fn(String) -> Arc<dyn ResourceMonitor>) {
        let ids = (1_u32..).map(|number| if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
        for id in ids.take(1_000) {
            if self.registry.register_dyn(make(id.clone())).is_ok() {
                self.ids.push(id);
                return;
            }
        }
    }
}

impl Drop for DeviceMonitors {
    fn drop(&mut self) {
        for id in &self.ids {
            self.registry.unregister(id);
        }
    }
}

impl std::fmt::Debug for DeviceWatch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("DeviceWatch").field("timer", &self.timer.support()).finish_non_exhaustive()
    }
}
