//! Everything whose size follows the picture's: made anew when the size changes.

use crate::options::Size;
use crate::pipelines::{DEPTH, HDR, PICTURE, Pipelines};
use crate::tracked::{Maker, Tracked};

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
    pub(crate) bloom: Vec<Tracked<wgpu::TextureView>>,
    /// The finished picture.
    pub(crate) picture: Target,
    /// Reads `hdr` (first) and then each bloom level.
    pub(crate) sources: Vec<Tracked<wgpu::BindGroup>>,
    /// Reads `hdr` and the first bloom level.
    pub(crate) composition: Tracked<wgpu::BindGroup>,
    _bloom_texture: Tracked<wgpu::Texture>,
}

/// A texture and the view of all of it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) texture: Tracked<wgpu::Texture>,
    pub(crate) view: Tracked<wgpu::TextureView>,
}

impl Targets {
    pub(crate) fn new(maker: &Maker, pipelines: &Pipelines, linear: &wgpu::Sampler, samples: u32, size: Size) -> Self {
        let attachment = wgpu::TextureUsages::RENDER_ATTACHMENT;
        let sampled = attachment | wgpu::TextureUsages::TEXTURE_BINDING;
        let target = |label, format, count, usage| Target::new(maker, label, size, format, count, usage);
        let hdr = target("hdr", HDR, 1, sampled);
        let (bloom_texture, bloom) = bloom_chain(maker, size, sampled);

        let bind = |label: &str, source: &wgpu::TextureView, bloom: &wgpu::TextureView| {
            maker.bind_group(&wgpu::BindGroupDescriptor {
                label: Some(label),
                layout: &pipelines.post_layout,
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(source) },
                    wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::Sampler(linear) },
                    wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::TextureView(bloom) },
                ],
            })
        };
        // Only the composition reads binding 2; for the others it names what they read anyway.
        let mut sources = vec![bind("post hdr", &hdr.view, &hdr.view)];
        sources.extend(bloom.iter().map(|level| bind("post bloom", level, level)));
        let composition = bind("composition", &hdr.view, &bloom[0]);

        Self {
            size,
            multisampled: (samples > 1).then(|| target("hdr multisampled", HDR, samples, attachment)),
            depth: target("depth", DEPTH, samples, attachment),
            picture: target("picture", PICTURE, 1, sampled | wgpu::TextureUsages::COPY_SRC),
            hdr,
            bloom,
            sources,
            composition,
            _bloom_texture: bloom_texture,
        }
    }
}

impl Target {
    fn new(
        maker: &Maker,
        label: &str,
        size: Size,
        format: wgpu::TextureFormat,
        sample_count: u32,
        usage: wgpu::TextureUsages,
    ) -> Self {
        let texture = maker.texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage,
            view_formats: &[],
        });
        let view = maker.view(&texture, &wgpu::TextureViewDescriptor { label: Some(label), ..Default::default() });
        Self { texture, view }
    }
}

/// One texture whose mip levels are the bloom chain, and a view of each level.
fn bloom_chain(
    maker: &Maker,
    size: Size,
    usage: wgpu::TextureUsages,
) -> (Tracked<wgpu::Texture>, Vec<Tracked<wgpu::TextureView>>) {
    let (width, height) = ((size.width / 2).max(1), (size.height / 2).max(1));
    let levels = BLOOM_LEVELS.min(width.max(height).ilog2() + 1);
    let texture = maker.texture(&wgpu::TextureDescriptor {
        label: Some("bloom"),
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: levels,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: HDR,
        usage,
        view_formats: &[],
    });
    let views = (0..levels)
        .map(|level| {
            let descriptor = wgpu::TextureViewDescriptor {
                label: Some("bloom level"),
                base_mip_level: level,
                mip_level_count: Some(1),
                ..Default::default()
            };
            maker.view(&texture, &descriptor)
        })
        .collect();
    (texture, views)
}
