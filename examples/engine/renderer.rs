//! The passes: shadow map, main pass with MSAA and depth, bloom chain, composition.

use engine_vitals::heap_scope;
use engine_vitals::probe::{Context, OwnerId, Probe};
use engine_vitals::resources::pool::{BlockLocation, PoolBlock};

use crate::device::OpenDevice;
use crate::failure::Failure;
use crate::material::{Layer, layer_mips};
use crate::memory::Memory;
use crate::mesh::Mesh;
use crate::pipelines::{DEPTH, HDR, Pipelines};
use crate::size::Size;
use crate::targets::Targets;
use crate::world::{self, Globals, Instance, Instances};

const SHADOW_SIZE: u32 = 1024;
const LAYER_SIZE: u32 = 256;

/// Draws the world into its picture.
#[derive(Debug)]
pub(crate) struct Renderer {
    device: wgpu::Device,
    /// In whose name all but the targets is made.
    owner: OwnerId,
    pipelines: Pipelines,
    targets: Targets,
    linear: wgpu::Sampler,
    meshes: Meshes,
    globals: wgpu::Buffer,
    instances: wgpu::Buffer,
    globals_group: wgpu::BindGroup,
    scene_group: wgpu::BindGroup,
    shadow_view: wgpu::TextureView,
    /// Kept for as long as they are in use: without their handles these bytes would be pending, not live.
    _textures: [wgpu::Texture; 2],
    frame: Instances,
}

/// All meshes, each with a block for its vertices and one for its indices.
#[derive(Debug)]
struct Meshes {
    /// Pillar, sphere, knot, floor.
    all: Vec<MeshBlocks>,
    /// The pool's, when their places were asked for.
    generation: Option<u64>,
}

#[derive(Debug)]
struct MeshBlocks {
    vertices: PoolBlock,
    indices: PoolBlock,
    index_count: u32,
    /// Where both lie, as of the generation.
    places: Option<[BlockLocation; 2]>,
}

impl Renderer {
    /// # Errors
    /// When the pool has no room for the meshes.
    pub(crate) fn new(
        open: &OpenDevice,
        probe: Probe,
        memory: &mut Memory,
        size: Size,
        samples: u32,
    ) -> Result<Self, Failure> {
        heap_scope!("scene");
        let OpenDevice { adapter, device, queue, .. } = open;
        let owner = probe.owner_named(probe.owner_kind("scene"), 0, "scene");
        let _context = Context::current().with_owner(owner).enter();
        let possible = |format| adapter.get_texture_format_features(format).flags.sample_count_supported(samples);
        let samples = if [HDR, DEPTH].into_iter().all(possible) { samples } else { 1 };
        let pipelines = Pipelines::new(device, samples);

        let linear = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("linear"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let repeat = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("albedo"),
            address_mode_u: wgpu::AddressMode::Repeat,
            address_mode_v: wgpu::AddressMode::Repeat,
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let comparison = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("shadow"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            compare: Some(wgpu::CompareFunction::LessEqual),
            ..Default::default()
        });

        let usage = wgpu::BufferUsages::COPY_DST;
        let globals = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("globals"),
            size: size_of::<Globals>() as u64,
            usage: usage | wgpu::BufferUsages::UNIFORM,
            mapped_at_creation: false,
        });
        let instances = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("instances"),
            size: (world::instance_count() * size_of::<Instance>()) as u64,
            usage: usage | wgpu::BufferUsages::VERTEX,
            mapped_at_creation: false,
        });
        let shadow = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("shadow map"),
            size: wgpu::Extent3d { width: SHADOW_SIZE, height: SHADOW_SIZE, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: DEPTH,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        });
        let shadow_view = shadow.create_view(&wgpu::TextureViewDescriptor::default());
        let (albedo, albedo_view) = upload_albedo(device, queue);

        let globals_entry = wgpu::BindGroupEntry { binding: 0, resource: globals.as_entire_binding() };
        let globals_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("globals"),
            layout: &pipelines.globals_layout,
            entries: std::slice::from_ref(&globals_entry),
        });
        let scene_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("scene"),
            layout: &pipelines.scene_layout,
            entries: &[
                globals_entry.clone(),
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::TextureView(&shadow_view) },
                wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::Sampler(&comparison) },
                wgpu::BindGroupEntry { binding: 3, resource: wgpu::BindingResource::TextureView(&albedo_view) },
                wgpu::BindGroupEntry { binding: 4, resource: wgpu::BindingResource::Sampler(&repeat) },
            ],
        });
        let targets = Targets::new(device, probe, memory, &pipelines, &linear, samples, size)?;
        let meshes = Meshes::new(memory)?;
        Ok(Self {
            device: device.clone(),
            owner,
            pipelines,
            targets,
            linear,
            meshes,
            globals,
            instances,
            globals_group,
            scene_group,
            shadow_view,
            _textures: [shadow, albedo],
            frame: Instances::default(),
        })
    }

    /// Rebuilds the targets when the size differs.
    ///
    /// # Errors
    /// When there is no memory for one.
    pub(crate) fn resize(&mut self, memory: &Memory, size: Size) -> Result<(), Failure> {
        if size != self.targets.size {
            let _context = Context::current().with_owner(self.owner).enter();
            self.targets.resize(&self.device, memory, &self.pipelines, &self.linear, size)?;
        }
        Ok(())
    }

    pub(crate) fn size(&self) -> Size {
        self.targets.size
    }

    /// Bytes of each block that the meshes lie in.
    pub(crate) fn block_sizes(&self) -> Vec<u64> {
        self.meshes.all.iter().flat_map(|mesh| [mesh.vertices.size(), mesh.indices.size()]).collect()
    }

    /// How often defragmentation has moved a block that the meshes lie in.
    pub(crate) fn moves(&self) -> u64 {
        self.meshes.all.iter().map(|mesh| mesh.vertices.generation() + mesh.indices.generation()).sum()
    }

    /// The texture that holds the finished picture.
    pub(crate) fn picture(&self) -> &wgpu::Texture {
        self.targets.picture.texture()
    }

    /// A view of the finished picture.
    pub(crate) fn picture_view(&self) -> &wgpu::TextureView {
        self.targets.picture.view()
    }

    /// Uploads what the frame at `seconds` needs.
    ///
    /// # Errors
    /// When it cannot be staged.
    pub(crate) fn prepare(&mut self, memory: &mut Memory, seconds: f32) -> Result<(), Failure> {
        heap_scope!("scene");
        let aspect = self.targets.size.width as f32 / self.targets.size.height as f32;
        world::animate(seconds, &mut self.frame);
        let globals = world::globals(seconds, aspect);
        for (buffer, bytes) in
            [(&self.globals, bytemuck::bytes_of(&globals)), (&self.instances, bytemuck::cast_slice(&self.frame.all))]
        {
            memory.upload(buffer, 0, bytes)?;
        }
        self.meshes.locate(memory);
        Ok(())
    }

    /// Records the passes of the prepared frame.
    pub(crate) fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        main_pass: Option<wgpu::RenderPassTimestampWrites<'_>>,
    ) {
        self.shadow_pass(encoder);
        self.main_pass(encoder, main_pass);
        self.bloom_passes(encoder);
        let (source, picture) = (&self.targets.groups.composition, self.targets.picture.view());
        let clear = wgpu::LoadOp::Clear(wgpu::Color::BLACK);
        post_pass(encoder, "compose", &self.pipelines.compose, source, picture, clear);
    }

    fn shadow_pass(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("shadow"),
            depth_stencil_attachment: Some(depth_attachment(&self.shadow_view, wgpu::StoreOp::Store)),
            ..Default::default()
        });
        pass.set_pipeline(&self.pipelines.shadow);
        pass.set_bind_group(0, &self.globals_group, &[]);
        self.draw_meshes(&mut pass);
    }

    fn main_pass(&self, encoder: &mut wgpu::CommandEncoder, timestamps: Option<wgpu::RenderPassTimestampWrites<'_>>) {
        let hdr = self.targets.hdr.view();
        let (view, resolve_target, store) = match &self.targets.multisampled {
            Some(multisampled) => (multisampled.view(), Some(hdr), wgpu::StoreOp::Discard),
            None => (hdr, None, wgpu::StoreOp::Store),
        };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("main"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view,
                depth_slice: None,
                resolve_target,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store },
            })],
            depth_stencil_attachment: Some(depth_attachment(self.targets.depth.view(), wgpu::StoreOp::Discard)),
            timestamp_writes: timestamps,
            ..Default::default()
        });
        pass.set_pipeline(&self.pipelines.main);
        pass.set_bind_group(0, &self.scene_group, &[]);
        self.draw_meshes(&mut pass);
        pass.set_pipeline(&self.pipelines.sky);
        pass.set_bind_group(0, &self.globals_group, &[]);
        pass.draw(0..3, 0..1);
    }

    fn draw_meshes(&self, pass: &mut wgpu::RenderPass<'_>) {
        pass.set_vertex_buffer(1, self.instances.slice(..));
        let mut first = 0;
        for (mesh, count) in self.meshes.all.iter().zip(self.frame.counts) {
            if let Some([vertices, indices]) = &mesh.places {
                pass.set_vertex_buffer(0, vertices.slice());
                pass.set_index_buffer(indices.slice(), wgpu::IndexFormat::Uint32);
                pass.draw_indexed(0..mesh.index_count, 0, first..first + count);
            }
            first += count;
        }
    }

    fn bloom_passes(&self, encoder: &mut wgpu::CommandEncoder) {
        let (levels, groups) = (self.targets.bloom.levels(), &self.targets.groups);
        let clear = wgpu::LoadOp::Clear(wgpu::Color::BLACK);
        post_pass(encoder, "bloom bright", &self.pipelines.bright, &groups.hdr, &levels[0], clear);
        for (source, target) in groups.bloom.iter().zip(&levels[1..]) {
            post_pass(encoder, "bloom down", &self.pipelines.down, source, target, clear);
        }
        for (source, target) in groups.bloom[1..].iter().zip(levels).rev() {
            post_pass(encoder, "bloom up", &self.pipelines.up, source, target, wgpu::LoadOp::Load);
        }
    }
}

impl Meshes {
    fn new(memory: &mut Memory) -> Result<Self, Failure> {
        let meshes = [
            ("pillar", Mesh::pillar()),
            ("sphere", Mesh::sphere(16, 24)),
            ("knot", Mesh::torus_knot(220, 20)),
            ("floor", Mesh::disc(24, 48)),
        ];
        let blocks = meshes.iter().map(|(name, mesh)| {
            Ok(MeshBlocks {
                vertices: memory.block("scene", &format!("{name} vertices"), bytemuck::cast_slice(&mesh.vertices))?,
                indices: memory.block("scene", &format!("{name} indices"), bytemuck::cast_slice(&mesh.indices))?,
                index_count: mesh.indices.len() as u32,
                places: None,
            })
        });
        Ok(Self { all: blocks.collect::<Result<_, Failure>>()?, generation: None })
    }

    /// Asks where the blocks lie, if any of the pool has moved.
    fn locate(&mut self, memory: &Memory) {
        let generation = Some(memory.pool.generation());
        if self.generation != generation {
            self.generation = generation;
            for mesh in &mut self.all {
                mesh.places = Some([mesh.vertices.location(), mesh.indices.location()]);
            }
        }
    }
}

fn upload_albedo(device: &wgpu::Device, queue: &wgpu::Queue) -> (wgpu::Texture, wgpu::TextureView) {
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("albedo"),
        size: wgpu::Extent3d { width: LAYER_SIZE, height: LAYER_SIZE, depth_or_array_layers: Layer::ALL.len() as u32 },
        mip_level_count: LAYER_SIZE.ilog2() + 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    for layer in Layer::ALL {
        for (level, texels) in layer_mips(layer, LAYER_SIZE).iter().enumerate() {
            let extent = LAYER_SIZE >> level;
            queue.write_texture(
                wgpu::TexelCopyTextureInfo {
                    texture: &texture,
                    mip_level: level as u32,
                    origin: wgpu::Origin3d { x: 0, y: 0, z: layer as u32 },
                    aspect: wgpu::TextureAspect::All,
                },
                texels,
                wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(extent * 4), rows_per_image: None },
                wgpu::Extent3d { width: extent, height: extent, depth_or_array_layers: 1 },
            );
        }
    }
    let view = texture.create_view(&wgpu::TextureViewDescriptor {
        dimension: Some(wgpu::TextureViewDimension::D2Array),
        ..Default::default()
    });
    (texture, view)
}

fn depth_attachment(view: &wgpu::TextureView, store: wgpu::StoreOp) -> wgpu::RenderPassDepthStencilAttachment<'_> {
    wgpu::RenderPassDepthStencilAttachment {
        view,
        depth_ops: Some(wgpu::Operations { load: wgpu::LoadOp::Clear(1.0), store }),
        stencil_ops: None,
    }
}

/// One full-screen triangle from `source` into `target`.
fn post_pass(
    encoder: &mut wgpu::CommandEncoder,
    label: &str,
    pipeline: &wgpu::RenderPipeline,
    source: &wgpu::BindGroup,
    target: &wgpu::TextureView,
    load: wgpu::LoadOp<wgpu::Color>,
) {
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some(label),
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: target,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load, store: wgpu::StoreOp::Store },
        })],
        ..Default::default()
    });
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, source, &[]);
    pass.draw(0..3, 0..1);
}
