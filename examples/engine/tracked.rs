//! Resources that report themselves: a handle, and the ticket that is its entry in the book.

use std::ops::Deref;
use std::time::Instant;

use engine_vitals::probe::{Backend, Context, Extent, New, OwnerId, PacketId, Probe, ResourceKind, Ticket};
use wgpu::util::DeviceExt;

/// A wgpu handle that is tracked for as long as it lives.
#[derive(Debug)]
pub(crate) struct Tracked<T> {
    // In this order: the handle is dropped before its release is reported.
    handle: T,
    ticket: Ticket,
}

impl<T> Tracked<T> {
    /// Notes that a frame uses this.
    pub(crate) fn touch(&self, packet: PacketId) {
        self.ticket.touch(packet);
    }
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
    probe: Probe,
    backend: Backend,
}

impl Maker {
    pub(crate) fn new(device: wgpu::Device, probe: Probe) -> Self {
        let backend = engine_vitals::gpu::probe_backend(device.adapter_info().backend);
        Self { device, probe, backend }
    }

    /// The owner of that kind, number and name.
    pub(crate) fn owner(&self, kind: &str, key: u64, name: &str) -> OwnerId {
        self.probe.owner_named(self.probe.owner_kind(kind), key, name)
    }

    /// Runs `make` in the name of `owner`, which what it makes belongs to.
    pub(crate) fn owned_by<R>(&self, owner: OwnerId, make: impl FnOnce() -> R) -> R {
        let _context = Context::current().with_owner(owner).enter();
        make()
    }

    pub(crate) fn buffer(&self, descriptor: &wgpu::BufferDescriptor<'_>) -> Tracked<wgpu::Buffer> {
        let handle = self.device.create_buffer(descriptor);
        self.track(handle, New::buffer(descriptor.size).label_opt(descriptor.label))
    }

    pub(crate) fn buffer_init(&self, label: &str, contents: &[u8], usage: wgpu::BufferUsages) -> Tracked<wgpu::Buffer> {
        let descriptor = wgpu::util::BufferInitDescriptor { label: Some(label), contents, usage };
        let handle = self.device.create_buffer_init(&descriptor);
        let bytes = handle.size();
        self.track(handle, New::buffer(bytes).label(label))
    }

    pub(crate) fn texture(&self, descriptor: &wgpu::TextureDescriptor<'_>) -> Tracked<wgpu::Texture> {
        let handle = self.device.create_texture(descriptor);
        let kind = if descriptor.usage.contains(wgpu::TextureUsages::RENDER_ATTACHMENT) {
            ResourceKind::TEXTURE_TARGET
        } else {
            ResourceKind::TEXTURE
        };
        let new = New::of(kind, bytes_of(descriptor)).extent(extent_of(descriptor)).label_opt(descriptor.label);
        self.track(handle, new)
    }

    /// Makes the texture anew, in another size: the same entry in the book, rebuilt.
    pub(crate) fn rebuild(&self, texture: &mut Tracked<wgpu::Texture>, descriptor: &wgpu::TextureDescriptor<'_>) {
        texture.handle = self.device.create_texture(descriptor);
        texture.ticket.resize_to(bytes_of(descriptor), extent_of(descriptor));
    }

    pub(crate) fn view(
        &self,
        texture: &wgpu::Texture,
        descriptor: &wgpu::TextureViewDescriptor<'_>,
    ) -> Tracked<wgpu::TextureView> {
        let handle = texture.create_view(descriptor);
        self.track(handle, New::of(ResourceKind::TEXTURE_VIEW, 0).label_opt(descriptor.label))
    }

    pub(crate) fn sampler(&self, descriptor: &wgpu::SamplerDescriptor<'_>) -> Tracked<wgpu::Sampler> {
        let handle = self.device.create_sampler(descriptor);
        self.track(handle, New::of(ResourceKind::SAMPLER, 0).label_opt(descriptor.label))
    }

    pub(crate) fn bind_group(&self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> Tracked<wgpu::BindGroup> {
        let handle = self.device.create_bind_group(descriptor);
        self.track(handle, New::bind_group().label_opt(descriptor.label))
    }

    pub(crate) fn render_pipeline(
        &self,
        descriptor: &wgpu::RenderPipelineDescriptor<'_>,
    ) -> Tracked<wgpu::RenderPipeline> {
        let start = Instant::now();
        let handle = self.device.create_render_pipeline(descriptor);
        self.track(handle, New::render_pipeline().took(start.elapsed()).label_opt(descriptor.label))
    }

    /// Notes bytes that `Queue::write_*` staged for the next submission.
    pub(crate) fn staged(&self, bytes: usize) {
        self.probe.staged(bytes as u64);
    }

    fn track<T>(&self, handle: T, new: New<'_>) -> Tracked<T> {
        Tracked { handle, ticket: self.probe.create(new.backend(self.backend)) }
    }
}

/// All formats of this program have a size that is known.
fn bytes_of(descriptor: &wgpu::TextureDescriptor<'_>) -> u64 {
    engine_vitals::gpu::texture_bytes(descriptor).unwrap_or_default()
}

fn extent_of(descriptor: &wgpu::TextureDescriptor<'_>) -> Extent {
    let wgpu::Extent3d { width, height, depth_or_array_layers } = descriptor.size;
    Extent::new(width, height).layers(depth_or_array_layers)
}
