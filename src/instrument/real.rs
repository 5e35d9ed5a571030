//! The real objects behind instrumented handles, and the way in for what was made from them.

use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};

use engine_vitals_core::probe::{Extent, New, Probe, ResourceId, ResourceKind};

use super::adapter::Adapter;
use super::device::Device;
use super::handles::Tracked;
use super::instance::Instance;
use super::queue::Queue;

macro_rules! reals {
    ($($(#[$doc:meta])* $function:ident: $public:ident behind $ours:ty;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $function(handle: &wgpu::$public) -> &wgpu::$public {
            let mut handle = handle;
            while let Some(ours) = handle.as_custom::<$ours>() {
                handle = &ours.real;
            }
            handle
        }
    )*};
}

reals! {
    /// The real instance behind an instrumented one, through as many layers as there are; any other is returned as it is.
    real_instance: Instance behind Instance;
    /// The real adapter behind an instrumented one, through as many layers as there are; any other is returned as it is.
    real_adapter: Adapter behind Adapter;
    /// The real device behind an instrumented one, through as many layers as there are; any other is returned as it is.
    ///
    /// Its `as_hal` works. What is made from it is not tracked, and cannot be used with the instrumented device unless it is
    /// [adopted](adopt_buffer).
    real_device: Device behind Device;
    /// The real queue behind an instrumented one, through as many layers as there are; any other is returned as it is.
    real_queue: Queue behind Queue;
    /// The real buffer behind an instrumented one, through as many layers as there are; any other is returned as it is.
    real_buffer: Buffer behind Tracked<wgpu::Buffer>;
    /// The real texture behind an instrumented one, through as many layers as there are; any other is returned as it is.
    real_texture: Texture behind Tracked<wgpu::Texture>;
}

/// The probe that an instrumented device reports to; `None` with any other device.
#[must_use]
pub fn device_probe(device: &wgpu::Device) -> Option<Probe> {
    device.as_custom::<Device>().map(|ours| ours.state.world.probe)
}

/// The resource that an instrumented buffer is; `None` for any other, and for one that is not tracked.
#[must_use]
pub fn buffer_id(buffer: &wgpu::Buffer) -> Option<ResourceId> {
    buffer.as_custom::<Tracked<wgpu::Buffer>>()?.record.record()?.ticket().id()
}

/// A program takes an instrumented texture again where it could have made another. Of any other texture nothing is known.
#[cfg(feature = "memory-pools")]
pub(crate) fn texture_reused(texture: &wgpu::Texture) {
    let tracked = texture.as_custom::<Tracked<wgpu::Texture>>();
    if let Some(record) = tracked.and_then(|tracked| tracked.record.record()) {
        record.ticket().reused();
    }
}

thread_local! {
    /// The buffer that the next creation on this thread is to stand for. wgpu has no other way to make a public buffer.
    static ADOPTED: RefCell<Option<wgpu::Buffer>> = const { RefCell::new(None) };
}

thread_local! {
    /// What the next buffer of this thread is, where its maker knows better than its descriptor says.
    static KIND: Cell<Option<ResourceKind>> = const { Cell::new(None) };
}

/// A buffer of that kind. With a device that is not instrumented its maker tells of it.
pub(crate) fn buffer_of_kind(
    device: &wgpu::Device,
    kind: ResourceKind,
    descriptor: &wgpu::BufferDescriptor<'_>,
) -> wgpu::Buffer {
    /// Takes the kind back where nobody took it, also when the creation panics: the next buffer is not meant.
    struct Once;
    impl Drop for Once {
        fn drop(&mut self) {
            KIND.take();
        }
    }

    KIND.set(Some(kind));
    let _once = Once;
    device.create_buffer(descriptor)
}

/// The kind of the buffer whose creation is under way, once: what is made on the way is not meant.
pub(super) fn take_kind() -> ResourceKind {
    KIND.take().unwrap_or(ResourceKind::BUFFER)
}

/// The buffer that the creation under way is to stand for, once.
pub(super) fn take_adopted() -> Option<wgpu::Buffer> {
    ADOPTED.take()
}

/// Brings a buffer of the device behind `device` in (of the next layer's, where there are several): tracked from now on, and usable
/// with `device`. `descriptor` is the one that it was made with. With a device that is not instrumented, the buffer itself.
#[must_use]
pub fn adopt_buffer(
    device: &wgpu::Device,
    real: wgpu::Buffer,
    descriptor: &wgpu::BufferDescriptor<'_>,
) -> wgpu::Buffer {
    if device.as_custom::<Device>().is_none() {
        return real;
    }
    ADOPTED.set(Some(real));
    let adopted = device.create_buffer(descriptor);
    // A creation that fails on the way takes none, and neither must the next one.
    drop(take_adopted());
    adopted
}

/// Brings a texture of the device behind `device` in (of the next layer's, where there are several): tracked from now on, and usable
/// with `device`. `descriptor` is the one that it was made with. With a device that is not instrumented, the texture itself.
#[must_use]
pub fn adopt_texture(
    device: &wgpu::Device,
    real: wgpu::Texture,
    descriptor: &wgpu::TextureDescriptor<'_>,
) -> wgpu::Texture {
    let Some(ours) = device.as_custom::<Device>() else { return real };
    wgpu::Texture::from_custom(ours.texture_around(real, descriptor, None), descriptor)
}

/// A texture in the words of the probe.
pub(super) fn new_texture<'a>(descriptor: &wgpu::TextureDescriptor<'a>) -> New<'a> {
    let bytes = crate::gpu::texture_bytes(descriptor).unwrap_or_default();
    let new = if descriptor.usage.contains(wgpu::TextureUsages::RENDER_ATTACHMENT) {
        New::texture_target(bytes)
    } else {
        New::texture(bytes)
    };
    let wgpu::Extent3d { width, height, depth_or_array_layers } = descriptor.size;
    let mut others = std::hash::DefaultHasher::new();
    let wgpu::TextureDescriptor { mip_level_count, sample_count, dimension, format, usage, view_formats, .. } =
        *descriptor;
    (mip_level_count, sample_count, dimension, format, usage, view_formats).hash(&mut others);
    new.label_opt(descriptor.label)
        .extent(Extent::new(width, height).layers(depth_or_array_layers))
        .descriptor(others.finish() as u16)
}
