//! What the two compositors have apart: the renderer that draws a visual's content.

use engine_vitals::ResourceKind;

use super::failure::Failure;
use super::size::Size;
use super::visual::Role;

/// A device and its queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gpu<'a> {
    pub(crate) device: &'a wgpu::Device,
    pub(crate) queue: &'a wgpu::Queue,
}

/// What is to be painted, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Canvas<'a> {
    pub(crate) role: Role,
    /// Which of the children, or of the transients.
    pub(crate) index: usize,
    /// Frames so far: what is animated moves with it.
    pub(crate) frame: u64,
    pub(crate) size: Size,
    /// To be covered wholly, with no alpha below 1.
    pub(crate) view: &'a wgpu::TextureView,
}

/// Draws what visuals show. The renderers behind it know nothing of engine-vitals.
pub(crate) trait Painter: Sized {
    /// The renderer's name.
    const RENDERER: &'static str;
    /// The children's names.
    const CHILDREN: [&'static str; 4];
    /// What the renderer makes anew for each picture by its nature: no figure of churn is to count that.
    const SCRATCH: &'static [ResourceKind];
    /// What it needs of the textures that it paints into.
    const USAGE: wgpu::TextureUsages;
    /// The format of all textures that it paints into.
    const FORMAT: wgpu::TextureFormat = super::composer::FORMAT;
    /// What it needs of the device.
    const LIMITS: fn() -> wgpu::Limits;

    /// # Errors
    /// When the renderer cannot be set up on this device.
    fn new(gpu: Gpu<'_>) -> Result<Self, Failure>;

    /// Paints the whole canvas and submits what does so.
    ///
    /// # Errors
    /// When the renderer fails.
    fn paint(&mut self, gpu: Gpu<'_>, canvas: Canvas<'_>) -> Result<(), Failure>;
}
