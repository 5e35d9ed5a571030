//! The instance.

use std::pin::Pin;
use std::sync::Arc;

use engine_vitals_core::probe::Probe;
use wgpu::custom::{DispatchAdapter, DispatchSurface, EnumerateAdapterFuture, InstanceInterface, RequestAdapterFuture};

use super::adapter::Adapter;
use super::instrumentation::Instrumentation;
use super::state::World;
use super::surface::Surface;

/// An instance around another one.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) real: wgpu::Instance,
    world: Arc<World>,
}

impl Instance {
    pub(super) fn new(real: wgpu::Instance, world: Arc<World>) -> Self {
        Self { real, world }
    }
}

impl InstanceInterface for Instance {
    /// wgpu does not call this: it makes instances of its own backends only.
    fn new(descriptor: wgpu::InstanceDescriptor) -> Self {
        Self::new(wgpu::Instance::new(descriptor), Instrumentation::new(Probe::OFF).world())
    }

    unsafe fn create_surface(
        &self,
        target: wgpu::SurfaceTargetUnsafe,
    ) -> Result<DispatchSurface, wgpu::CreateSurfaceError> {
        // SAFETY: the caller keeps what the target names for as long as the surface, which keeps the real one.
        let real = unsafe { self.real.create_surface_unsafe(target)? };
        Ok(DispatchSurface::custom(Surface::new(real, Arc::clone(&self.world))))
    }

    fn request_adapter(&self, options: &wgpu::RequestAdapterOptions<'_, '_>) -> Pin<Box<dyn RequestAdapterFuture>> {
        let world = Arc::clone(&self.world);
        let options = wgpu::RequestAdapterOptions {
            compatible_surface: options.compatible_surface.map(|surface| Surface::real(surface, &world)),
            ..options.clone()
        };
        let adapter = self.real.request_adapter(&options);
        Box::pin(async move { Ok(DispatchAdapter::custom(Adapter::new(adapter.await?, world))) })
    }

    fn poll_all_devices(&self, force_wait: bool) -> bool {
        let empty = self.real.poll_all(force_wait);
        #[cfg(feature = "fault")]
        let empty = self.world.polled_all(empty);
        empty
    }

    fn wgsl_language_features(&self) -> wgpu::WgslLanguageFeatures {
        self.real.wgsl_language_features()
    }

    fn enumerate_adapters(&self, backends: wgpu::Backends) -> Pin<Box<dyn EnumerateAdapterFuture>> {
        let world = Arc::clone(&self.world);
        let adapters = self.real.enumerate_adapters(backends);
        Box::pin(async move {
            let custom = |real| DispatchAdapter::custom(Adapter::new(real, Arc::clone(&world)));
            adapters.await.into_iter().map(custom).collect()
        })
    }
}
