//! The measuring of one device.

use std::sync::{Arc, Weak};

use engine_vitals_core::contract::{ResourceMonitor, VramProvider};
use engine_vitals_core::memory::HeapTag;
use engine_vitals_core::monitor::{AdapterMonitor, GpuFrameMonitor, ReconciliationMonitor, VramResourceMonitor};
use engine_vitals_core::probe::Probe;
use engine_vitals_core::registry::Registry;
use parking_lot::Mutex;

use crate::gpu::{AdapterFacts, FrameTimer, TimestampSupport};
use crate::instrument::real_device;
use crate::vram::{self, AllocatorReportProvider, DetectOptions, Detected, VramSource};

/// Measures a device for as long as it is kept. It keeps the device too: drop it with the device.
pub struct DeviceWatch {
    /// Absent for an instrumented device, which has its own.
    _monitors: Option<DeviceMonitors>,
    timer: FrameTimer,
    provider: Arc<dyn VramProvider>,
}

/// The monitors of one device, registered for as long as it is kept. It keeps the device.
pub(super) struct DeviceMonitors {
    ids: Vec<String>,
    devices: Devices,
    /// Among the devices.
    number: u64,
    /// wgpu's.
    allocator: Arc<dyn VramProvider>,
}

/// The devices that are measured now, where their monitors are registered, and what is known of their memory.
#[derive(Debug, Clone)]
pub(super) struct Devices {
    registry: Registry,
    /// Compares the sources. Weak: devices may outlive `Vitals`, and it keeps the tracker.
    reconcile: Weak<ReconciliationMonitor>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    next: u64,
    devices: Vec<Measured>,
}

#[derive(Debug)]
struct Measured {
    number: u64,
    /// The real one.
    device: wgpu::Device,
    sources: DeviceSources,
    /// wgpu's.
    allocator: Arc<dyn VramProvider>,
    /// All others. The monitors know them for as long as they are here.
    _others: Vec<Arc<dyn VramProvider>>,
}

/// The sources of figures about one device's memory, as they were found when its measuring began.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeviceSources {
    /// The adapter's name.
    pub adapter: String,
    /// Those that there are, by rank, then those that are absent, with reasons.
    pub sources: Vec<VramSource>,
    /// As many as have a rank, in its order. They are gone with the device's measuring.
    providers: Vec<Weak<dyn VramProvider>>,
}

impl DeviceSources {
    fn new(adapter: String, detected: &Detected) -> Self {
        let providers = detected.providers().iter().map(Arc::downgrade).collect();
        Self { adapter, sources: detected.sources().to_vec(), providers }
    }

    /// The provider of the source that knows best what this process uses; `None` if none knows, or if the device is not measured any more.
    ///
    /// The sampler refreshes it once a second: read its figures as they are. It may keep the device alive, so do not keep it for longer than
    /// the device.
    #[must_use]
    pub fn best(&self) -> Option<Arc<dyn VramProvider>> {
        let best = self.sources.first().filter(|source| source.knows.used)?;
        self.get(best.name)
    }

    /// The provider of the source of this name, as [`best`](Self::best) gives it; `None` if the source is absent, or if the device is not
    /// measured any more.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<dyn VramProvider>> {
        let index = self.sources.iter().position(|source| source.name == name)?;
        self.providers.get(index)?.upgrade()
    }
}

impl DeviceWatch {
    pub(super) fn new(
        devices: &Devices,
        gpu: Arc<GpuFrameMonitor>,
        probe: Probe,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        notices: &Mutex<Vec<String>>,
    ) -> Self {
        let monitors = (!is_watched(device)).then(|| DeviceMonitors::new(devices, device));
        let provider = match &monitors {
            Some(monitors) => Arc::clone(&monitors.allocator),
            None => devices.allocator(device).unwrap_or_else(|| alone(device)),
        };
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

    /// What wgpu's allocator says of the device's memory ([`AllocatorReportProvider`], the source `wgpu`), read once a second: what it has given
    /// out and taken from the driver. It is there on every backend, and knows nothing on those whose allocator is not wgpu's. For the source
    /// that knows best what this process uses see [`DeviceSources::best`].
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

/// The source whose monitor is called `vram`.
const ALLOCATOR: &str = "wgpu";

/// wgpu's allocator, for a device whose monitors are elsewhere.
fn alone(device: &wgpu::Device) -> Arc<dyn VramProvider> {
    Arc::new(AllocatorReportProvider::new(device))
}

impl Devices {
    pub(super) fn in_registry(registry: &Registry, reconcile: &Arc<ReconciliationMonitor>) -> Self {
        Self { registry: registry.clone(), reconcile: Arc::downgrade(reconcile), known: Arc::default() }
    }

    /// What is known of each device, in the order in which they were made.
    pub(super) fn sources(&self) -> Vec<DeviceSources> {
        self.known.lock().devices.iter().map(|measured| measured.sources.clone()).collect()
    }

    /// wgpu's allocator of a device that is measured.
    fn allocator(&self, device: &wgpu::Device) -> Option<Arc<dyn VramProvider>> {
        let device = real_device(device);
        let known = self.known.lock();
        known.devices.iter().find(|measured| measured.device == *device).map(|measured| Arc::clone(&measured.allocator))
    }

    /// Its number.
    fn add(&self, measured: impl FnOnce(u64) -> Measured) -> u64 {
        let mut known = self.known.lock();
        let number = known.next;
        known.next += 1;
        known.devices.push(measured(number));
        number
    }

    fn remove(&self, number: u64) {
        let mut known = self.known.lock();
        let place = known.devices.iter().position(|measured| measured.number == number);
        let measured = place.map(|place| known.devices.remove(place));
        drop(known);
        // Outside the lock: the last handle of a device calls back when it goes.
        drop(measured);
    }
}

impl DeviceMonitors {
    /// Measures a device.
    pub(super) fn new(devices: &Devices, device: &wgpu::Device) -> Self {
        let _own = HeapTag::OWN.enter();
        let facts = AdapterFacts::new(&device.adapter_info());
        let detected = vram::detect(device, &DetectOptions::new());
        let allocator = detected.get(ALLOCATOR).cloned().unwrap_or_else(|| alone(device));
        let others = detected.providers().iter().filter(|provider| provider.source() != ALLOCATOR).cloned();
        let others: Vec<_> = others.collect();
        let number = devices.add(|number| Measured {
            number,
            device: real_device(device).clone(),
            sources: DeviceSources::new(facts.name.clone(), &detected),
            allocator: Arc::clone(&allocator),
            _others: others.clone(),
        });
        let mut monitors = Self { ids: Vec::new(), devices: devices.clone(), number, allocator };
        // That of the allocator is always there, so that a program finds it by its name on every backend.
        monitors.register_vram("vram", &Arc::clone(&monitors.allocator));
        for provider in &others {
            monitors.register_vram(&format!("vram-{}", provider.source()), provider);
        }
        monitors.register("adapter", |id| Arc::new(AdapterMonitor::new(id, &facts.name, facts.backend, &facts.driver)));
        monitors
    }

    fn register_vram(&mut self, name: &str, provider: &Arc<dyn VramProvider>) {
        self.register(name, |id| Arc::new(VramResourceMonitor::new(Arc::downgrade(provider), id)));
        if let Some(reconcile) = self.devices.reconcile.upgrade() {
            reconcile.add(Arc::downgrade(provider));
        }
    }

    /// Registers a monitor as `name`, or for a second device as `name-2`, and so on.
    fn register(&mut self, name: &str, make: impl Fn(String) -> Arc<dyn ResourceMonitor>) {
        let ids = (1_u32..).map(|number| if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
        for id in ids.take(1_000) {
            if self.devices.registry.register_dyn(make(id.clone())).is_ok() {
                self.ids.push(id);
                return;
            }
        }
    }
}

impl Drop for DeviceMonitors {
    fn drop(&mut self) {
        for id in &self.ids {
            self.devices.registry.unregister(id);
        }
        self.devices.remove(self.number);
    }
}

impl std::fmt::Debug for DeviceWatch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("DeviceWatch").field("timer", &self.timer.support()).finish_non_exhaustive()
    }
}
