//! wgpu's internal counters.

use std::time::Duration;

use engine_vitals_core::contract::{VramHeap, VramProvider};
use parking_lot::Mutex;
use wgpu::wgt::{HalCounters, InternalCounter};

/// What wgpu has given out to buffers and textures, by its internal counters: the same bytes as those of its allocator's report, apart by
/// kind, and read in a tenth of a microsecond.
///
/// wgpu counts only where something in the program turns its feature `counters` on (ours of that name does), and memory only on Vulkan and
/// Direct3D 12. It gives 0 where it does not count: then every figure is absent here. Acceleration structures are counted on Direct3D 12
/// alone. The figures hold what wgpu makes for itself, and are not in use of the device but in use of wgpu's blocks: what was taken from the
/// driver is more.
///
/// Peaks are the highest values seen at a refresh, once a second on the sampler thread by default. Holds the device, and so keeps it alive.
#[derive(Debug)]
pub struct InternalCountersProvider {
    device: wgpu::Device,
    backend: wgpu::Backend,
    interval: Duration,
    figures: Mutex<Figures>,
}

#[derive(Debug, Clone, Default)]
struct Figures {
    heaps: Vec<VramHeap>,
    peak: Option<u64>,
}

/// Why wgpu's counters tell nothing of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoCounters {
    /// wgpu's feature `counters` is off.
    Feature,
    /// The backend does not count memory.
    Backend(wgpu::Backend),
}

impl std::fmt::Display for NoCounters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Feature => {
                formatter.write_str("wgpu's internal counters are off: the feature `counters` turns them on")
            }
            Self::Backend(backend) => write!(formatter, "wgpu counts no memory on its backend {backend:?}"),
        }
    }
}

impl std::error::Error for NoCounters {}

impl InternalCountersProvider {
    /// A provider for `device`, instrumented or not. Its figures are absent until the first refresh.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Self {
        let backend = device.adapter_info().backend;
        Self { device: device.clone(), backend, interval: Duration::from_secs(1), figures: Mutex::default() }
    }

    /// How often the figures are to be read; one second by default.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Why all figures of memory stay absent; `None` if they do not.
    #[must_use]
    pub fn missing(&self) -> Option<NoCounters> {
        if !counts() {
            Some(NoCounters::Feature)
        } else if !counts_memory(self.backend) {
            Some(NoCounters::Backend(self.backend))
        } else {
            None
        }
    }

    /// How many objects of each kind wgpu has now, its own among them. Counters that are known to be wrong are left out: Vulkan's textures,
    /// which wgpu counts when they go and not when they come, and everywhere the memory allocations, which it never counts.
    #[must_use]
    pub fn objects(&self) -> Vec<(&'static str, u64)> {
        if counts() { objects(&self.device.get_internal_counters().hal, self.backend) } else { Vec::new() }
    }
}

impl VramProvider for InternalCountersProvider {
    fn source(&self) -> &'static str {
        "wgpu-counters"
    }

    fn refresh(&self) {
        let now = match self.missing() {
            None => memory(&self.device.get_internal_counters().hal, self.backend),
            Some(_) => Vec::new(),
        };
        let mut figures = self.figures.lock();
        let heaps = now.into_iter().map(|(name, bytes)| {
            let before = figures.heaps.iter().find(|heap| heap.name == name).and_then(|heap| heap.peak_bytes);
            let mut heap = VramHeap::new(name);
            (heap.used_bytes, heap.peak_bytes) = (bytes, before.max(bytes));
            heap
        });
        let heaps: Vec<_> = heaps.collect();
        figures.heaps = heaps;
        figures.peak = figures.peak.max(sum(&figures.heaps));
    }

    fn refresh_interval(&self) -> Duration {
        self.interval
    }

    fn get_vram_usage_bytes(&self) -> Option<u64> {
        sum(&self.figures.lock().heaps)
    }

    fn get_vram_peak_bytes(&self) -> Option<u64> {
        self.figures.lock().peak
    }

    fn get_vram_heaps(&self) -> Vec<VramHeap> {
        self.figures.lock().heaps.clone()
    }
}

fn sum(heaps: &[VramHeap]) -> Option<u64> {
    heaps.iter().map(|heap| heap.used_bytes).reduce(|sum, bytes| sum?.checked_add(bytes?)).flatten()
}

/// Whether wgpu counts at all, which is decided when it is compiled, by whatever crate of the program.
fn counts() -> bool {
    let counter = InternalCounter::new();
    counter.add(1);
    counter.read() == 1
}

fn counts_memory(backend: wgpu::Backend) -> bool {
    match backend {
        wgpu::Backend::Vulkan | wgpu::Backend::Dx12 => true,
        wgpu::Backend::Noop | wgpu::Backend::Metal | wgpu::Backend::Gl | wgpu::Backend::BrowserWebGpu => false,
    }
}

/// Bytes by what they were given out to; a counter below zero is a wrong one, and unknown.
fn memory(counters: &HalCounters, backend: wgpu::Backend) -> Vec<(&'static str, Option<u64>)> {
    let mut kinds = vec![("buffers", &counters.buffer_memory), ("textures", &counters.texture_memory)];
    if backend == wgpu::Backend::Dx12 {
        kinds.push(("acceleration-structures", &counters.acceleration_structure_memory));
    }
    kinds.into_iter().map(|(name, counter)| (name, u64::try_from(counter.read()).ok())).collect()
}

fn objects(counters: &HalCounters, backend: wgpu::Backend) -> Vec<(&'static str, u64)> {
    match backend {
        wgpu::Backend::Vulkan | wgpu::Backend::Dx12 | wgpu::Backend::Metal | wgpu::Backend::Gl => {}
        wgpu::Backend::Noop | wgpu::Backend::BrowserWebGpu => return Vec::new(),
    }
    let textures = (backend != wgpu::Backend::Vulkan).then_some(("textures", &counters.textures));
    let others = [
        ("buffers", &counters.buffers),
        ("texture-views", &counters.texture_views),
        ("bind-groups", &counters.bind_groups),
        ("bind-group-layouts", &counters.bind_group_layouts),
        ("render-pipelines", &counters.render_pipelines),
        ("compute-pipelines", &counters.compute_pipelines),
        ("pipeline-layouts", &counters.pipeline_layouts),
        ("samplers", &counters.samplers),
        ("command-encoders", &counters.command_encoders),
        ("shader-modules", &counters.shader_modules),
        ("query-sets", &counters.query_sets),
        ("fences", &counters.fences),
    ];
    let known = others.into_iter().chain(textures);
    known.filter_map(|(name, counter)| Some((name, u64::try_from(counter.read()).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing;

    /// Where wgpu's feature is on, as in our own tests.
    fn counters(set: impl FnOnce(&HalCounters)) -> HalCounters {
        let counters = HalCounters::default();
        set(&counters);
        counters
    }

    #[test]
    fn counters_that_are_known_to_be_wrong_are_left_out() {
        assert!(counts(), "our tests turn wgpu's feature `counters` on");
        let counters = counters(|counters| {
            counters.textures.sub(3);
            counters.buffers.add(2);
            counters.buffer_memory.add(700);
            counters.texture_memory.sub(1);
            counters.acceleration_structure_memory.add(5);
        });
        let textures = |backend| objects(&counters, backend).iter().any(|&(name, _)| name == "textures");
        assert!(
            !textures(wgpu::Backend::Vulkan) && !textures(wgpu::Backend::Dx12),
            "below zero is no number of things"
        );
        assert!(objects(&counters, wgpu::Backend::Vulkan).contains(&("buffers", 2)));
        assert_eq!(objects(&counters, wgpu::Backend::Noop), []);
        let vulkan = [("buffers", Some(700)), ("textures", None)];
        assert_eq!(memory(&counters, wgpu::Backend::Vulkan), vulkan);
        assert_eq!(memory(&counters, wgpu::Backend::Dx12)[2], ("acceleration-structures", Some(5)));
    }

    #[test]
    fn a_created_buffer_shows_and_its_peak_stays() {
        let Some(gpu) = testing::gpu("a_created_buffer_shows_and_its_peak_stays") else { return };
        let provider = InternalCountersProvider::new(&gpu.device);
        assert_eq!(provider.get_vram_usage_bytes(), None, "nothing was read yet");
        provider.refresh();
        let Some(before) = provider.get_vram_usage_bytes() else {
            assert!(provider.missing().is_some(), "no figures, and no reason");
            return;
        };
        let size = 8 << 20;
        let buffers = |provider: &InternalCountersProvider| {
            provider.objects().into_iter().find(|&(name, _)| name == "buffers").unwrap().1
        };
        let count = buffers(&provider);
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        assert_eq!(buffers(&provider), count + 1);
        provider.refresh();
        let with_buffer = provider.get_vram_usage_bytes().unwrap();
        assert!((before + size..before + size + (64 << 10)).contains(&with_buffer), "{with_buffer} after {before}");
        let heap = |provider: &InternalCountersProvider| provider.get_vram_heaps().remove(0);
        assert_eq!(heap(&provider).used_bytes, heap(&provider).peak_bytes);
        drop(buffer);
        gpu.wait();
        provider.refresh();
        assert!(provider.get_vram_usage_bytes().unwrap() <= with_buffer - size);
        assert_eq!(provider.get_vram_peak_bytes(), Some(with_buffer));
        assert!(heap(&provider).peak_bytes >= Some(size) && heap(&provider).used_bytes < heap(&provider).peak_bytes);
    }

    #[test]
    fn what_a_backend_does_not_count_is_unknown() {
        let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let provider = InternalCountersProvider::new(&device);
        provider.refresh();
        assert_eq!(provider.missing(), Some(NoCounters::Backend(wgpu::Backend::Noop)));
        assert_eq!((provider.get_vram_usage_bytes(), provider.get_vram_peak_bytes()), (None, None));
        assert!(provider.get_vram_heaps().is_empty() && provider.objects().is_empty());
    }
}
