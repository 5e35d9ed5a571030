//! Resources that are reported when they are made and when they go: each handle is kept beside what reports its end.

use std::ops::Deref;

use wgpu::util::DeviceExt;

/// A wgpu handle that is tracked for as long as it lives.
#[derive(Debug)]
pub(crate) struct Tracked<T> {
    handle: T,
}

impl<T> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.handle
    }
}

/// Makes tracked resources on one device.
#[derive(Clone, Debug)]
pub(crate) struct Maker {
    pub(crate) device: wgpu::Device,
}

impl Maker {
    pub(crate) fn new(device: wgpu::Device) -> Self {
        Self { device }
    }

    pub(crate) fn buffer(&self, descriptor: &wgpu::BufferDescriptor<'_>) -> Tracked<wgpu::Buffer> {
        Tracked { handle: self.device.create_buffer(descriptor) }
    }

    pub(crate) fn buffer_init(&self, label: &str, contents: &[u8], usage: wgpu::BufferUsages) -> Tracked<wgpu::Buffer> {
        let descriptor = wgpu::util::BufferInitDescriptor { label: Some(label), contents, usage };
        Tracked { handle: self.device.create_buffer_init(&descriptor) }
    }

    pub(crate) fn texture(&self, descriptor: &wgpu::TextureDescriptor<'_>) -> Tracked<wgpu::Texture> {
        Tracked { handle: self.device.create_texture(descriptor) }
    }

    pub(crate) fn view(
        &self,
        texture: &wgpu::Texture,
        descriptor: &wgpu::TextureViewDescriptor<'_>,
    ) -> Tracked<wgpu::TextureView> {
        Tracked { handle: texture.create_view(descriptor) }
    }

    pub(crate) fn sampler(&self, descriptor: &wgpu::SamplerDescriptor<'_>) -> Tracked<wgpu::Sampler> {
        Tracked { handle: self.device.create_sampler(descriptor) }
    }

    pub(crate) fn bind_group(&self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> Tracked<wgpu::BindGroup> {
        Tracked { handle: self.device.create_bind_group(descriptor) }
    }

    pub(crate) fn render_pipeline(
        &self,
        descriptor: &wgpu::RenderPipelineDescriptor<'_>,
    ) -> Tracked<wgpu::RenderPipeline> {
        Tracked { handle: self.device.create_render_pipeline(descriptor) }
    }
}
