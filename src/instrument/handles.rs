//! The object that stands for one of wgpu's, and how it is found behind a handle.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use wgpu::custom;

use super::record::Held;
use super::state::DeviceState;

/// One of a device's objects: the real one, and its record.
pub(super) struct Tracked<T> {
    pub(super) real: T,
    pub(super) record: Held,
    pub(super) device: Arc<DeviceState>,
}

impl<T> Drop for Tracked<T> {
    #[inline]
    fn drop(&mut self) {
        // wgpu unmaps a buffer whose handle is dropped, which writes it.
        if let Some(bytes) = self.record.take_unwritten() {
            self.device.staged(&self.record, bytes);
        }
        self.record.handle_dropped();
    }
}

impl<T: fmt::Debug> fmt::Debug for Tracked<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.record.record().and_then(|record| record.ticket().id());
        out.debug_struct("Tracked").field("real", &self.real).field("id", &id).finish_non_exhaustive()
    }
}

/// A handle behind which one of our objects may be: wgpu's public type, or the type that its interface passes.
pub(super) trait Handle {
    /// wgpu's public type.
    type Real;
    /// What it is called.
    const WHAT: &'static str;

    /// Our object.
    fn tracked(&self) -> Option<&Tracked<Self::Real>>;
}

macro_rules! handles {
    ($($real:ident, $dispatch:ident, $what:literal;)*) => {$(
        impl Handle for wgpu::$real {
            type Real = Self;
            const WHAT: &'static str = $what;

            #[inline]
            fn tracked(&self) -> Option<&Tracked<Self>> {
                self.as_custom()
            }
        }

        impl Handle for custom::$dispatch {
            type Real = wgpu::$real;
            const WHAT: &'static str = $what;

            #[inline(always)]
            fn tracked(&self) -> Option<&Tracked<wgpu::$real>> {
                // As its `as_custom`, with one indirect call less: this is on the way of each bind.
                let object: &dyn Any = &**self;
                object.downcast_ref()
            }
        }
    )*};
}

handles! {
    BindGroup, DispatchBindGroup, "bind group";
    BindGroupLayout, DispatchBindGroupLayout, "bind group layout";
    Blas, DispatchBlas, "bottom-level acceleration structure";
    Buffer, DispatchBuffer, "buffer";
    ComputePipeline, DispatchComputePipeline, "compute pipeline";
    ExternalTexture, DispatchExternalTexture, "external texture";
    PipelineCache, DispatchPipelineCache, "pipeline cache";
    PipelineLayout, DispatchPipelineLayout, "pipeline layout";
    QuerySet, DispatchQuerySet, "query set";
    RenderBundle, DispatchRenderBundle, "render bundle";
    RenderPipeline, DispatchRenderPipeline, "render pipeline";
    Sampler, DispatchSampler, "sampler";
    ShaderModule, DispatchShaderModule, "shader module";
    Texture, DispatchTexture, "texture";
    TextureView, DispatchTextureView, "texture view";
    Tlas, DispatchTlas, "top-level acceleration structure";
}

// Interfaces without methods.
impl custom::BindGroupInterface for Tracked<wgpu::BindGroup> {}
impl custom::BindGroupLayoutInterface for Tracked<wgpu::BindGroupLayout> {}
impl custom::PipelineLayoutInterface for Tracked<wgpu::PipelineLayout> {}
impl custom::RenderBundleInterface for Tracked<wgpu::RenderBundle> {}
impl custom::SamplerInterface for Tracked<wgpu::Sampler> {}
impl custom::TextureViewInterface for Tracked<wgpu::TextureView> {}
impl custom::TlasInterface for Tracked<wgpu::Tlas> {}
