//! The adapter.

use std::pin::Pin;
use std::sync::Arc;

use wgpu::custom::{AdapterInterface, DispatchDevice, DispatchQueue, DispatchSurface, RequestDeviceFuture};

use super::device::Device;
use super::state::World;
use super::surface::Surface;
use crate::gpu::wanted_features;

/// An adapter around another one.
#[derive(Debug)]
pub(super) struct Adapter {
    pub(super) real: wgpu::Adapter,
    world: Arc<World>,
}

impl Adapter {
    pub(super) fn new(real: wgpu::Adapter, world: Arc<World>) -> Self {
        Self { real, world }
    }
}

impl AdapterInterface for Adapter {
    fn request_device(&self, descriptor: &wgpu::DeviceDescriptor<'_>) -> Pin<Box<dyn RequestDeviceFuture>> {
        let world = Arc::clone(&self.world);
        let wanted = if world.timestamps { wanted_features(&self.real) } else { wgpu::Features::empty() };
        let added = wanted - descriptor.required_features;
        let label = descriptor.label.map(str::to_owned);
        let required_features = descriptor.required_features | added;
        #[cfg(feature = "fault")]
        if let Some(error) = world.no_device(descriptor.label) {
            return Box::pin(std::future::ready(Err(error)));
        }
        let device = self.real.request_device(&wgpu::DeviceDescriptor { required_features, ..descriptor.clone() });
        Box::pin(async move {
            let (device, queue) = device.await?;
            let (device, queue) = Device::around(device, queue, added, &world, label.as_deref());
            // A device that was made just now has no handler yet.
            device.state.errors.catch_uncaptured(&device.real);
            Ok((DispatchDevice::custom(device), DispatchQueue::custom(queue)))
        })
    }

    fn is_surface_supported(&self, surface: &DispatchSurface) -> bool {
        self.real.is_surface_supported(Surface::real_of(surface, &self.world))
    }

    fn features(&self) -> wgpu::Features {
        self.real.features()
    }

    fn limits(&self) -> wgpu::Limits {
        self.real.limits()
    }

    fn downlevel_capabilities(&self) -> wgpu::DownlevelCapabilities {
        self.real.get_downlevel_capabilities()
    }

    fn get_info(&self) -> wgpu::AdapterInfo {
        self.real.get_info()
    }

    fn get_texture_format_features(&self, format: wgpu::TextureFormat) -> wgpu::TextureFormatFeatures {
        self.real.get_texture_format_features(format)
    }

    fn get_presentation_timestamp(&self) -> wgpu::PresentationTimestamp {
        self.real.get_presentation_timestamp()
    }

    fn cooperative_matrix_properties(&self) -> Vec<wgpu::wgt::CooperativeMatrixProperties> {
        self.real.cooperative_matrix_properties()
    }
}
