//! Figures about GPU memory that need no graphics library to be read.
//!
//! This room owns providers: sources that answer the contract's [`VramProvider`](crate::contract::VramProvider) from files of the
//! operating system. Each takes the path of the root that its files lie under, so that a tree kept from one machine can be read on
//! another. It knows nothing of the monitors that read them or of the resources that an engine reports itself. Sources that need wgpu live
//! in the crate `engine-vitals`.
//!
//! - [`DrmFdinfoProvider`]: what Linux's graphics drivers say of this process
//! - [`AmdgpuProvider`]: what the driver amdgpu says of the device
//! - `NvmlProvider` (feature `nvml`): what NVIDIA's driver says of the device and of this process

mod amdgpu;
mod device;
mod drm;
#[cfg(feature = "nvml")]
mod nvml;

pub use amdgpu::AmdgpuProvider;
pub use device::{NoPciAddress, PciAddress};
pub use drm::DrmFdinfoProvider;
#[cfg(feature = "nvml")]
pub use nvml::{NoNvml, NvmlProvider};

/// Names a test that this machine cannot run, past the capture of its output, so that the log has every one to count.
#[cfg(test)]
fn skipped(test: &str, why: &str) {
    use std::io::Write as _;
    std::io::stderr().write_all(format!("SKIPPED: {test}: {why}\n").as_bytes()).unwrap();
}
