//! The description of a resource that is being created.

use super::{Backend, ResourceId, ResourceKind, Timestamp};
use std::time::Duration;

/// Size of an image in texels or pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Extent {
    /// Width in texels.
    pub width: u32,
    /// Height in texels.
    pub height: u32,
    /// Depth in texels, or array layers.
    pub depth_or_layers: u32,
    /// Pixels per logical pixel of the surface behind it, where there is one.
    pub scale: Option<f32>,
}

impl Extent {
    /// An image of one layer.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height, depth_or_layers: 1, scale: None }
    }

    /// With that depth or number of layers.
    #[must_use]
    pub const fn layers(self, depth_or_layers: u32) -> Self {
        Self { depth_or_layers, ..self }
    }

    /// With that many pixels per logical pixel.
    #[must_use]
    pub const fn scale(self, scale: f32) -> Self {
        Self { scale: Some(scale), ..self }
    }
}

/// What [`Probe::create`](super::Probe::create) is told of a new resource. All but the kind and the bytes is optional.
///
/// ```
/// use engine_vitals_core::probe::{Backend, Extent, New, Probe};
///
/// let new = New::texture(4 * 256 * 256).label("grass").extent(Extent::new(256, 256)).backend(Backend::Vulkan);
/// let ticket = Probe::OFF.create(new);
/// assert_eq!(ticket.id(), None); // nothing is tracked here
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct New<'a> {
    /// What it is.
    pub kind: ResourceKind,
    /// Bytes that it takes; 0 for what takes none worth counting. More than 2^48 counts as 2^48, and is counted.
    pub bytes: u64,
    /// Its name for people, kept to 128 bytes.
    pub label: Option<&'a str>,
    /// The API that made it.
    pub backend: Backend,
    /// The API's own handle.
    pub native: Option<u64>,
    /// Its size, for an image.
    pub extent: Option<Extent>,
    /// The block that it lies within: its bytes are the block's, and left out of the device's totals.
    pub within: Option<ResourceId>,
    /// Time that its creation took.
    pub took: Option<Duration>,
    /// When its creation began, from which follows how long it took, if that is not told.
    pub begun: Option<Timestamp>,
    /// The caller of [`Probe::create`](super::Probe::create) is its creation site.
    pub sited: bool,
    /// What else tells it from others of its kind and size: usage, format, mips, as the producer folds them. 15 bits are kept.
    /// Resources that agree in all of these are interchangeable, and count as candidates for a pool.
    pub descriptor: u16,
    /// Resources that it refers to: a view's texture, a bind group's members. The first 1,024 are kept.
    pub links: &'a [ResourceId],
}

impl<'a> New<'a> {
    /// A resource of that kind and size.
    #[must_use]
    pub const fn of(kind: ResourceKind, bytes: u64) -> Self {
        Self {
            kind,
            bytes,
            label: None,
            backend: Backend::Common,
            native: None,
            extent: None,
            within: None,
            took: None,
            begun: None,
            sited: true,
            descriptor: 0,
            links: &[],
        }
    }

    /// A buffer.
    #[must_use]
    pub const fn buffer(bytes: u64) -> Self {
        Self::of(ResourceKind::BUFFER, bytes)
    }

    /// A buffer through which uploads or readbacks pass.
    #[must_use]
    pub const fn staging_buffer(bytes: u64) -> Self {
        Self::of(ResourceKind::STAGING_BUFFER, bytes)
    }

    /// A texture, with all of its mips, layers and samples.
    #[must_use]
    pub const fn texture(bytes: u64) -> Self {
        Self::of(ResourceKind::TEXTURE, bytes)
    }

    /// A render target in a texture.
    #[must_use]
    pub const fn texture_target(bytes: u64) -> Self {
        Self::of(ResourceKind::TEXTURE_TARGET, bytes)
    }

    /// A render target of a window.
    #[must_use]
    pub const fn native_target(bytes: u64) -> Self {
        Self::of(ResourceKind::NATIVE_TARGET, bytes)
    }

    /// A render pipeline.
    #[must_use]
    pub const fn render_pipeline() -> Self {
        Self::of(ResourceKind::RENDER_PIPELINE, 0)
    }

    /// A compute pipeline.
    #[must_use]
    pub const fn compute_pipeline() -> Self {
        Self::of(ResourceKind::COMPUTE_PIPELINE, 0)
    }

    /// A bind group.
    #[must_use]
    pub const fn bind_group() -> Self {
        Self::of(ResourceKind::BIND_GROUP, 0)
    }

    /// With a name for people. A kept label costs the tracker one uncontended lock and a copy of at most 128 bytes.
    #[must_use]
    pub const fn label(self, label: &'a str) -> Self {
        Self { label: Some(label), ..self }
    }

    /// With the name that a descriptor has, if it has one.
    #[must_use]
    pub const fn label_opt(self, label: Option<&'a str>) -> Self {
        Self { label, ..self }
    }

    /// With the API that made it.
    #[must_use]
    pub const fn backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// With the API's own handle.
    #[must_use]
    pub const fn native(self, handle: u64) -> Self {
        Self { native: Some(handle), ..self }
    }

    /// With its size as an image.
    #[must_use]
    pub const fn extent(self, extent: Extent) -> Self {
        Self { extent: Some(extent), ..self }
    }

    /// With the block that it lies within; `None` (a block that is not tracked) changes nothing.
    #[must_use]
    pub const fn within(self, block: Option<ResourceId>) -> Self {
        Self { within: block, ..self }
    }

    /// Without a creation site: for a layer that reports what other code made.
    #[must_use]
    pub const fn without_site(self) -> Self {
        Self { sited: false, ..self }
    }

    /// With what else two resources have in common that one could be used for the other.
    #[must_use]
    pub const fn descriptor(self, descriptor: u16) -> Self {
        Self { descriptor, ..self }
    }

    /// With the resources that it refers to. Keeping them costs one uncontended lock and a copy.
    #[must_use]
    pub const fn links(self, links: &'a [ResourceId]) -> Self {
        Self { links, ..self }
    }

    /// With the time that its creation took.
    #[must_use]
    pub const fn took(self, took: Duration) -> Self {
        Self { took: Some(took), ..self }
    }
    /// With the moment in which its creation began ([`Probe::now`](super::Probe::now)): it took from then until it is told.
    #[must_use]
    pub const fn begun(self, begun: Option<Timestamp>) -> Self {
        Self { begun, ..self }
    }
}
