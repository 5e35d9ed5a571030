//! Figures about GPU memory from every source there is.
//!
//! This room owns providers that need wgpu: sources that answer the core's [`VramProvider`](crate::VramProvider). It knows nothing of the
//! monitor that reads them or of the resources that the engine reports itself. Those that need no wgpu live in the core and are found here
//! too.
//!
//! - [`detect`]: all that this machine has, ranked and explained
//! - [`AllocatorReportProvider`], [`InternalCountersProvider`]: what wgpu says of itself
//! - [`DrmFdinfoProvider`], [`AmdgpuProvider`], `NvmlProvider` (feature `nvml`): what kernel and driver say
//! - `VulkanBudgetProvider` (feature `vulkan`), `DxgiProvider` (`dx12`), `MetalProvider` (`metal`): what the graphics API says
//!
//! Which to believe for what is told in `docs/VRAM.md`.

mod allocator_report;
mod counters;
#[cfg(feature = "telemetry")]
mod detect;
#[cfg(all(feature = "dx12", windows))]
mod dxgi;
mod heaps;
#[cfg(all(feature = "metal", target_vendor = "apple"))]
mod metal;
#[cfg(not(feature = "telemetry"))]
mod off;
mod source;
#[cfg(test)]
#[cfg(all(feature = "telemetry", unix))]
mod tests;
#[cfg(all(feature = "vulkan", any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
mod vulkan;

pub use allocator_report::AllocatorReportProvider;
pub use counters::{InternalCountersProvider, NoCounters};
#[cfg(feature = "telemetry")]
pub use detect::detect;
#[cfg(all(feature = "dx12", windows))]
pub use dxgi::{DxgiProvider, DxgiSegments, NoDxgi};
pub use engine_vitals_core::vram::{AmdgpuProvider, DrmFdinfoProvider, NoPciAddress, PciAddress};
#[cfg(feature = "nvml")]
pub use engine_vitals_core::vram::{NoNvml, NvmlProvider};
pub use heaps::{HeapProvider, HeapQuery};
#[cfg(all(feature = "metal", target_vendor = "apple"))]
pub use metal::{MetalDevice, MetalProvider};
#[cfg(not(feature = "telemetry"))]
pub use off::detect;
pub use source::{DetectOptions, Detected, VramKnowledge, VramSource};
#[cfg(all(feature = "vulkan", any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub use vulkan::{NoBudget, VulkanBudgetProvider, VulkanHeaps};
