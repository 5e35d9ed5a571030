//! What Metal says of a device's memory.

use engine_vitals_core::contract::VramHeap;
use objc2_metal::MTLDevice as _;

use super::heaps::{self, HeapProvider, HeapQuery};
use crate::instrument::real_device;

/// The memory that this process has allocated on a device behind Metal, and how much the device should have at most: Metal's
/// `currentAllocatedSize` and `recommendedMaxWorkingSetSize`.
///
/// There is no capacity: the memory is mostly the system's. A refresh asks two questions. It holds the device, and so keeps it alive.
pub type MetalProvider = HeapProvider<MetalDevice>;

/// What a [`MetalProvider`] asks.
#[derive(Debug)]
pub struct MetalDevice {
    /// The real one.
    device: wgpu::Device,
}

impl MetalProvider {
    /// A provider for `device`, instrumented or not; `None` if it is not one of Metal. Its figures are absent until the first refresh.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Option<Self> {
        let metal = MetalDevice { device: real_device(device).clone() };
        metal.numbers().is_some().then(|| Self::of(metal))
    }
}

impl MetalDevice {
    /// Bytes allocated, and recommended at most.
    fn numbers(&self) -> Option<(u64, u64)> {
        // SAFETY: the guard is only looked at: nothing is destroyed, and it ends here.
        let hal = unsafe { self.device.as_hal::<wgpu::hal::api::Metal>() }?;
        let device = hal.raw_device();
        Some((device.currentAllocatedSize() as u64, device.recommendedMaxWorkingSetSize()))
    }
}

impl HeapQuery for MetalDevice {
    fn source(&self) -> &'static str {
        "metal"
    }

    fn query(&self) -> Option<Vec<VramHeap>> {
        let (allocated, recommended) = self.numbers()?;
        Some(heaps::of_metal(allocated, recommended))
    }
}
