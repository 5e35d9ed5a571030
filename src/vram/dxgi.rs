//! Windows's own account of a device's memory: DXGI.

use engine_vitals_core::contract::VramHeap;
use windows::Win32::Graphics::Dxgi::{
    CreateDXGIFactory1, DXGI_MEMORY_SEGMENT_GROUP, DXGI_MEMORY_SEGMENT_GROUP_LOCAL,
    DXGI_MEMORY_SEGMENT_GROUP_NON_LOCAL, DXGI_QUERY_VIDEO_MEMORY_INFO, IDXGIAdapter3, IDXGIFactory4,
};

use super::heaps::{self, HeapProvider, HeapQuery, Segment};
use crate::instrument::real_device;

/// The memory of a device behind Direct3D 12, as Windows manages it: what this process uses of the local and of the non-local segments, and
/// its budgets, which change with what other processes need.
///
/// A refresh asks two questions, once a second on the sampler thread by default. It does not keep the device alive.
pub type DxgiProvider = HeapProvider<DxgiSegments>;

/// What a [`DxgiProvider`] asks.
#[derive(Debug)]
pub struct DxgiSegments {
    adapter: IDXGIAdapter3,
    /// Bytes of the adapter's own memory, and of the system's that it may share.
    dedicated: u64,
    shared: u64,
}

/// Why a device has no provider.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoDxgi {
    /// The device is not one of Direct3D 12.
    Backend,
    /// Windows has no such adapter, or one older than Windows 10.
    Adapter(String),
}

impl std::fmt::Display for NoDxgi {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Backend => formatter.write_str("the device is not one of Direct3D 12"),
            Self::Adapter(error) => write!(formatter, "DXGI does not give the device's adapter: {error}"),
        }
    }
}

impl std::error::Error for NoDxgi {}

impl DxgiProvider {
    /// A provider for `device`, instrumented or not. Its figures are absent until the first refresh.
    ///
    /// # Errors
    /// If the device is not one of Direct3D 12, or Windows does not give its adapter.
    pub fn new(device: &wgpu::Device) -> Result<Self, NoDxgi> {
        // SAFETY: the guard is only looked at: nothing is destroyed, and it ends here.
        let hal = unsafe { real_device(device).as_hal::<wgpu::hal::api::Dx12>() }.ok_or(NoDxgi::Backend)?;
        // SAFETY: the device lives for as long as the guard.
        let luid = unsafe { hal.raw_device().GetAdapterLuid() };
        let failed = |error: windows::core::Error| NoDxgi::Adapter(error.to_string());
        // SAFETY: takes no pointer; what it returns is counted.
        let factory: IDXGIFactory4 = unsafe { CreateDXGIFactory1() }.map_err(failed)?;
        // SAFETY: the same.
        let adapter: IDXGIAdapter3 = unsafe { factory.EnumAdapterByLuid(luid) }.map_err(failed)?;
        // SAFETY: the same.
        let memory = unsafe { adapter.GetDesc1() }.map_err(failed)?;
        let (dedicated, shared) = (memory.DedicatedVideoMemory as u64, memory.SharedSystemMemory as u64);
        Ok(Self::of(DxgiSegments { adapter, dedicated, shared }))
    }
}

impl DxgiSegments {
    /// Of the first of linked adapters, which is all that wgpu uses.
    fn segment(&self, group: DXGI_MEMORY_SEGMENT_GROUP) -> Option<Segment> {
        let mut info = DXGI_QUERY_VIDEO_MEMORY_INFO::default();
        // SAFETY: the structure lives until the call returns.
        unsafe { self.adapter.QueryVideoMemoryInfo(0, group, &raw mut info) }.ok()?;
        Some(Segment { used: info.CurrentUsage, budget: info.Budget })
    }
}

impl HeapQuery for DxgiSegments {
    fn source(&self) -> &'static str {
        "dxgi"
    }

    fn query(&self) -> Option<Vec<VramHeap>> {
        let local = self.segment(DXGI_MEMORY_SEGMENT_GROUP_LOCAL);
        let other = self.segment(DXGI_MEMORY_SEGMENT_GROUP_NON_LOCAL);
        Some(heaps::of_dxgi(local, other, self.dedicated, self.shared))
    }
}
