//! Everything whose size follows the picture's: rebuilt when the size changes.

use engine_vitals::probe::{Context, OwnerId, Probe};
use engine_vitals::resources::pool::PooledTarget;

use crate::failure::Failure;
use crate::memory::Memory;
use crate::pipelines::{DEPTH, HDR, PICTURE, Pipelines};
use crate::size::Size;

/// Levels of the bloom chain; the first has half the picture's size.
const BLOOM_LEVELS: u32 = 5;

/// The render targets and the bind groups that name them.
#[derive(Debug)]
pub(crate) struct Targets {
    pub(crate) size: Size,
    /// Multisampled colour; `None` with one sample, where the main pass draws into `hdr`.
    pub(crate) multisampled: Option<Target>,
    pub(crate) depth: Target,
    pub(crate) hdr: Target,
    /// The bloom chain, a level in each mip.
    pub(crate) bloom: Target,
    /// The finished picture.
    pub(crate) picture: Target,
    pub(crate) groups: Groups,
}

/// The bind groups through which the passes after the main pass read.
#[derive(Debug)]
pub(crate) struct Groups {
    /// Reads `hdr`.
    pub(crate) hdr: wgpu::BindGroup,
    /// Each reads a level of the bloom chain.
    pub(crate) bloom: Vec<wgpu::BindGroup>,
    /// Reads `hdr` and the first level of the bloom chain.
    pub(crate) composition: wgpu::BindGroup,
}

/// A texture that is drawn into, and a view of each of its mip levels.
#[derive(Debug)]
pub(crate) struct Target {
    recipe: Recipe,
    owner: OwnerId,
    texture: Texture,
    views: Vec<wgpu::TextureView>,
}

/// One of its own, or one of the pool.
#[derive(Debug)]
enum Texture {
    Own(wgpu::Texture),
    Pooled(PooledTarget),
}

/// What stays the same about a target when its size changes.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    label: &'static str,
    format: wgpu::TextureFormat,
    samples: u32,
    usage: wgpu::TextureUsages,
    /// Its share of the picture's size.
    divisor: u32,
    most_levels: u32,
    /// It is taken from the pool, where one of a size that was there before is found again.
    pooled: bool,
}

impl Targets {
    /// # Errors
    /// When there is no memory for one.
    pub(crate) fn new(
        device: &wgpu::Device,
        probe: Probe,
        memory: &Memory,
        pipelines: &Pipelines,
        linear: &wgpu::Sampler,
        samples: u32,
        size: Size,
    ) -> Result<Self, Failure> {
        let attachment = wgpu::TextureUsages::RENDER_ATTACHMENT;
        let sampled = attachment | wgpu::TextureUsages::TEXTURE_BINDING;
        let recipe = |label, format, samples, usage| Recipe {
            label,
            format,
            samples,
            usage,
            divisor: 1,
            most_levels: 1,
            pooled: false,
        };
        let kind = probe.owner_kind("render_target");
        let target = |key: u64, recipe: Recipe| {
            let owner = probe.owner_named(kind, key, recipe.label);
            Target::new(device, memory, owner, recipe, size)
        };
        let hdr = target(1, recipe("hdr", HDR, 1, sampled))?;
        let bloom = recipe("bloom", HDR, 1, sampled);
        let bloom = target(2, Recipe { divisor: 2, most_levels: BLOOM_LEVELS, pooled: true, ..bloom })?;
        let multisampled = || target(3, recipe("hdr multisampled", HDR, samples, attachment));
        Ok(Self {
            size,
            multisampled: (samples > 1).then(multisampled).transpose()?,
            depth: target(4, recipe("depth", DEPTH, samples, attachment))?,
            picture: target(5, recipe("picture", PICTURE, 1, sampled | wgpu::TextureUsages::COPY_SRC))?,
            groups: Groups::new(device, pipelines, linear, &hdr, &bloom),
            hdr,
            bloom,
        })
    }

    /// Rebuilds everything in another size.
    ///
    /// # Errors
    /// When there is no memory for a target.
    pub(crate) fn resize(
        &mut self,
        device: &wgpu::Device,
        memory: &Memory,
        pipelines: &Pipelines,
        linear: &wgpu::Sampler,
        size: Size,
    ) -> Result<(), Failure> {
        self.size = size;
        let always = [&mut self.depth, &mut self.hdr, &mut self.bloom, &mut self.picture];
        for target in always.into_iter().chain(&mut self.multisampled) {
            *target = Target::new(device, memory, target.owner, target.recipe, size)?;
        }
        self.groups = Groups::new(device, pipelines, linear, &self.hdr, &self.bloom);
        Ok(())
    }
}

impl Groups {
    fn new(device: &wgpu::Device, pipelines: &Pipelines, linear: &wgpu::Sampler, hdr: &Target, bloom: &Target) -> Self {
        let bind = |label: &str, source: &wgpu::TextureView, bloom: &wgpu::TextureView| {
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(label),
                layout: &pipelines.post_layout,
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(source) },
                    wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::Sampler(linear) },
                    wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::TextureView(bloom) },
                ],
            })
        };
        Self {
            // Only the composition reads binding 2; for the others it names what they read anyway.
            hdr: bind("post hdr", hdr.view(), hdr.view()),
            bloom: bloom.levels().iter().map(|level| bind("post bloom", level, level)).collect(),
            composition: bind("composition", hdr.view(), bloom.view()),
        }
    }
}

impl Target {
    fn new(
        device: &wgpu::Device,
        memory: &Memory,
        owner: OwnerId,
        recipe: Recipe,
        size: Size,
    ) -> Result<Self, Failure> {
        let _context = Context::current().with_owner(owner).enter();
        let descriptor = recipe.descriptor(size);
        let texture = match recipe.pooled {
            true => Texture::Pooled(memory.target(&descriptor)?),
            false => Texture::Own(device.create_texture(&descriptor)),
        };
        let views = recipe.views(texture.get());
        Ok(Self { recipe, owner, texture, views })
    }

    pub(crate) fn texture(&self) -> &wgpu::Texture {
        self.texture.get()
    }

    /// The view of the first mip level.
    pub(crate) fn view(&self) -> &wgpu::TextureView {
        &self.views[0]
    }

    /// A view of each mip level.
    pub(crate) fn levels(&self) -> &[wgpu::TextureView] {
        &self.views
    }
}

impl Texture {
    fn get(&self) -> &wgpu::Texture {
        match self {
            Self::Own(texture) => texture,
            Self::Pooled(target) => target.texture(),
        }
    }
}

impl Recipe {
    fn descriptor(&self, size: Size) -> wgpu::TextureDescriptor<'static> {
        let (width, height) = ((size.width / self.divisor).max(1), (size.height / self.divisor).max(1));
        wgpu::TextureDescriptor {
            label: Some(self.label),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: self.most_levels.min(width.max(height).ilog2() + 1),
            sample_count: self.samples,
            dimension: wgpu::TextureDimension::D2,
            format: self.format,
            usage: self.usage,
            view_formats: &[],
        }
    }

    fn views(&self, texture: &wgpu::Texture) -> Vec<wgpu::TextureView> {
        let view = |level| {
            texture.create_view(&wgpu::TextureViewDescriptor {
                label: Some(self.label),
                base_mip_level: level,
                mip_level_count: Some(1),
                ..Default::default()
            })
        };
        (0..texture.mip_level_count()).map(view).collect()
    }
}
