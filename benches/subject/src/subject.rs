//! Where the instance comes from.

use std::error::Error;

use crate::Backend;

/// What this program is made to be, besides how it was built.
#[derive(Debug, clap::Args)]
pub(crate) struct Subject {}

impl Subject {
    /// A plain instance.
    pub(crate) fn instance(&self, backend: Backend) -> Result<wgpu::Instance, Box<dyn Error>> {
        Ok(real(backend))
    }
}

fn real(backend: Backend) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.flags = wgpu::InstanceFlags::empty();
    match backend {
        Backend::Noop => {
            descriptor.backends = wgpu::Backends::NOOP;
            descriptor.backend_options.noop = wgpu::NoopBackendOptions::enabled();
        }
        Backend::Lavapipe => descriptor.backends = wgpu::Backends::VULKAN,
    }
    wgpu::Instance::new(descriptor)
}
