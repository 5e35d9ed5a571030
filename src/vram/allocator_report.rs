//! wgpu's own allocator, asked for its report.

use std::time::Duration;

use engine_vitals_core::contract::{Allocation, Allocations, VramProvider};
use parking_lot::Mutex;

/// What wgpu's allocator has given out and what it has taken from the driver (Vulkan and DX12; other backends have no such
/// report, and every figure is absent).
///
/// The usage is what was taken from the driver: that is what the device cannot use for anything else. The figures include
/// the buffers that wgpu makes for itself.
///
/// A report lists every allocation, so its cost grows with them (a fraction of a millisecond for thousands): the
/// figures are read by [`refresh`](VramProvider::refresh), once a second on the sampler thread by default, and kept.
/// Peaks are the highest values seen at a refresh. Holds the device, and so keeps it alive.
#[derive(Debug)]
pub struct AllocatorReportProvider {
    device: wgpu::Device,
    interval: Duration,
    figures: Mutex<Figures>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    last: Option<Totals>,
    peak_allocated: Option<u64>,
    peak_reserved: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Totals {
    allocated: u64,
    reserved: u64,
}

impl AllocatorReportProvider {
    /// A provider for `device`. Its figures are absent until the first refresh.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Self {
        Self { device: device.clone(), interval: Duration::from_secs(1), figures: Mutex::new(Figures::default()) }
    }

    /// How often the figures are to be read; one second by default.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The most bytes that were seen given out at a refresh.
    #[must_use]
    pub fn peak_allocated_bytes(&self) -> Option<u64> {
        self.figures.lock().peak_allocated
    }
}

impl VramProvider for AllocatorReportProvider {
    fn source(&self) -> &'static str {
        "wgpu"
    }

    fn refresh(&self) {
        // Outside the lock: this is the costly part, and readers are to find the last figures meanwhile.
        let totals = self
            .device
            .generate_allocator_report()
            .map(|report| Totals { allocated: report.total_allocated_bytes, reserved: report.total_reserved_bytes });
        let mut figures = self.figures.lock();
        figures.last = totals;
        if let Some(Totals { allocated, reserved }) = totals {
            figures.peak_allocated = figures.peak_allocated.max(Some(allocated));
            figures.peak_reserved = figures.peak_reserved.max(Some(reserved));
        }
    }

    fn refresh_interval(&self) -> Duration {
        self.interval
    }

    fn get_vram_usage_bytes(&self) -> Option<u64> {
        self.get_vram_reserved_bytes()
    }

    fn get_vram_peak_bytes(&self) -> Option<u64> {
        self.figures.lock().peak_reserved
    }

    fn get_vram_allocated_bytes(&self) -> Option<u64> {
        self.figures.lock().last.map(|totals| totals.allocated)
    }

    fn get_vram_reserved_bytes(&self) -> Option<u64> {
        self.figures.lock().last.map(|totals| totals.reserved)
    }

    fn get_allocations(&self) -> Option<Allocations> {
        let report = self.device.generate_allocator_report()?;
        let allocations =
            report.allocations.into_iter().map(|one| Allocation { name: own_name(one.name), bytes: one.size });
        Some(Allocations { allocations: allocations.collect(), reserved_bytes: report.total_reserved_bytes })
    }
}

/// The name that the program gave; empty for one that wgpu gives to what has none.
fn own_name(name: String) -> String {
    if NAMELESS.contains(&name.as_str()) { String::new() } else { name }
}

const NAMELESS: [&str; 4] = [
    "Unlabeled buffer",
    "Unlabeled texture",
    "Unlabeled acceleration structure",
    "Unlabeled acceleration structure buffer",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing;

    #[test]
    fn a_created_buffer_shows_after_a_refresh_and_its_peak_stays() {
        let Some(gpu) = testing::gpu("a_created_buffer_shows_after_a_refresh_and_its_peak_stays") else { return };
        let provider = AllocatorReportProvider::new(&gpu.device);
        assert_eq!(provider.get_vram_allocated_bytes(), None, "nothing was read yet");
        provider.refresh();
        let (Some(before), Some(_)) = (provider.get_vram_allocated_bytes(), provider.get_vram_reserved_bytes()) else {
            assert!(!gpu.has_allocator_report(), "no figures from a backend that has a report");
            return;
        };
        let size = 8 << 20;
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("eight MiB"),
            size,
            usage: wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        assert_eq!(provider.get_vram_allocated_bytes(), Some(before), "figures change at a refresh only");
        provider.refresh();
        let with_buffer = provider.get_vram_allocated_bytes().unwrap();
        assert!(with_buffer >= before + size, "{with_buffer} after {before}");
        assert!(provider.get_vram_reserved_bytes().unwrap() >= with_buffer);
        drop(buffer);
        gpu.wait();
        provider.refresh();
        assert!(provider.get_vram_allocated_bytes().unwrap() <= with_buffer - size);
        assert_eq!(provider.peak_allocated_bytes(), Some(with_buffer));
        assert!(provider.get_vram_peak_bytes() >= provider.get_vram_reserved_bytes());
    }

    #[test]
    fn a_backend_without_a_report_has_no_figures() {
        let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let provider = AllocatorReportProvider::new(&device);
        provider.refresh();
        assert_eq!(provider.get_vram_usage_bytes(), None);
        assert_eq!(provider.get_vram_peak_bytes(), None);
    }
}
