//! Views of all sorts, samplers, arrays of bindings, and textures of several planes, each read by a compute shader.

use super::Log;
use super::kit::{compute_pipeline, run_compute};
use super::tools::{Gpu, extent, layout, pattern};

const SAMPLED: wgpu::TextureUsages = wgpu::TextureUsages::TEXTURE_BINDING.union(wgpu::TextureUsages::COPY_DST);

/// What a shader reads through a view is written to a buffer of 16 numbers.
fn read_through(gpu: &Gpu, view: &wgpu::TextureView, declared: &str, read: &str) -> Vec<u8> {
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> seen: array<vec4f, 16>;
         @group(0) @binding(1) var picture: {declared};
         @compute @workgroup_size(16) fn main(@builtin(local_invocation_index) i: u32) {{ seen[i] = {read}; }}"
    );
    let pipeline = compute_pipeline(gpu, declared, &source);
    let seen = gpu.buffer("seen", 256, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let resources = [seen.as_entire_binding(), wgpu::BindingResource::TextureView(view)];
    run_compute(gpu, &pipeline, &resources, (1, 1, 1));
    gpu.read(&seen)
}

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("viewed"),
        size: extent(8, 8, 12),
        mip_level_count: 2,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: SAMPLED,
        view_formats: &[wgpu::TextureFormat::Rgba8UnormSrgb],
    });
    gpu.queue.write_texture(texture.as_image_copy(), &pattern(8 * 8 * 4 * 12, 1), layout(32, 8), extent(8, 8, 12));
    let second = wgpu::TexelCopyTextureInfo { mip_level: 1, ..texture.as_image_copy() };
    gpu.queue.write_texture(second, &pattern(4 * 4 * 4 * 12, 2), layout(16, 4), extent(4, 4, 12));
    let of = |dimension, base_array_layer, layers, base_mip_level, format| {
        texture.create_view(&wgpu::TextureViewDescriptor {
            label: Some("view"),
            format,
            dimension: Some(dimension),
            usage: None,
            aspect: wgpu::TextureAspect::All,
            base_mip_level,
            mip_level_count: Some(1),
            base_array_layer,
            array_layer_count: Some(layers),
        })
    };
    use wgpu::TextureViewDimension::{Cube, CubeArray, D2, D2Array};
    let srgb = Some(wgpu::TextureFormat::Rgba8UnormSrgb);
    let flat = "texture_2d<f32>";
    let load = "textureLoad(picture, vec2u(i % 4u, i / 4u), 0)";
    log.bytes("flat", read_through(gpu, &of(D2, 0, 1, 0, None), flat, load));
    log.bytes("a later layer", read_through(gpu, &of(D2, 7, 1, 0, None), flat, load));
    log.bytes("the second mip", read_through(gpu, &of(D2, 3, 1, 1, None), flat, load));
    log.bytes("in another format", read_through(gpu, &of(D2, 0, 1, 0, srgb), flat, load));
    let layered = "textureLoad(picture, vec2u(i % 4u, i / 4u), i % 5u, 0)";
    log.bytes("layers", read_through(gpu, &of(D2Array, 2, 5, 0, None), "texture_2d_array<f32>", layered));
    let size = "vec4f(vec2f(textureDimensions(picture)), f32(textureNumLevels(picture)), f32(i))";
    log.bytes("cube", read_through(gpu, &of(Cube, 6, 6, 0, None), "texture_cube<f32>", size));
    log.bytes("cubes", read_through(gpu, &of(CubeArray, 0, 12, 0, None), "texture_cube_array<f32>", size));
    log.step(gpu, "views");
    log.outcome("too many layers", gpu.invalid(|| drop(of(D2Array, 10, 5, 0, None))));
    log.outcome("a format that was not named", {
        gpu.invalid(|| drop(of(D2, 0, 1, 0, Some(wgpu::TextureFormat::Bgra8Unorm))))
    });
    volumes(gpu, log);
    storage(gpu, log);
}

fn volumes(gpu: &Gpu, log: &mut Log<'_>) {
    let volume = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("volume"),
        size: extent(4, 4, 4),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D3,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: SAMPLED,
        view_formats: &[],
    });
    gpu.queue.write_texture(volume.as_image_copy(), &pattern(256, 4), layout(16, 4), extent(4, 4, 4));
    let view = volume.create_view(&wgpu::TextureViewDescriptor::default());
    let load = "textureLoad(picture, vec3u(i % 4u, i / 4u, i % 3u), 0)";
    log.bytes("volume", read_through(gpu, &view, "texture_3d<f32>", load));
    let both = gpu.texture("depth and stencil", (4, 4), wgpu::TextureFormat::Depth24PlusStencil8, SAMPLED);
    for (aspect, declared, read) in [
        (wgpu::TextureAspect::DepthOnly, "texture_depth_2d", "vec4f(textureLoad(picture, vec2u(i % 4u, i / 4u), 0))"),
        (wgpu::TextureAspect::StencilOnly, "texture_2d<u32>", "vec4f(textureLoad(picture, vec2u(i % 4u, i / 4u), 0))"),
    ] {
        let view = both.create_view(&wgpu::TextureViewDescriptor { aspect, ..Default::default() });
        log.bytes(&format!("{aspect:?}"), read_through(gpu, &view, declared, read));
    }
}

fn storage(gpu: &Gpu, log: &mut Log<'_>) {
    let usage = wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_SRC;
    let texture = gpu.texture("stored", (8, 2), wgpu::TextureFormat::Rgba8Unorm, usage);
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    let pipeline = compute_pipeline(
        gpu,
        "stored",
        "@group(0) @binding(0) var picture: texture_storage_2d<rgba8unorm, write>;
         @compute @workgroup_size(8, 2) fn main(@builtin(local_invocation_id) id: vec3u) {
             textureStore(picture, id.xy, vec4f(f32(id.x) / 8.0, f32(id.y), 0.5, 1.0));
         }",
    );
    run_compute(gpu, &pipeline, &[wgpu::BindingResource::TextureView(&view)], (1, 1, 1));
    log.bytes("stored", gpu.read_texture(&texture, 0));
}

pub(super) fn samplers(gpu: &Gpu, log: &mut Log<'_>) {
    let texture = gpu.texture("sampled", (4, 4), wgpu::TextureFormat::Rgba8Unorm, SAMPLED);
    gpu.queue.write_texture(texture.as_image_copy(), &pattern(64, 6), layout(16, 4), extent(4, 4, 1));
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    let pipeline = compute_pipeline(
        gpu,
        "sampled",
        "@group(0) @binding(0) var<storage, read_write> seen: array<vec4f, 16>;
         @group(0) @binding(1) var picture: texture_2d<f32>;
         @group(0) @binding(2) var how: sampler;
         @compute @workgroup_size(16) fn main(@builtin(local_invocation_index) i: u32) {
             seen[i] = textureSampleLevel(picture, how, vec2f(f32(i) / 5.0 - 1.0, 0.4), 0.0);
         }",
    );
    for mode in [wgpu::AddressMode::ClampToEdge, wgpu::AddressMode::Repeat, wgpu::AddressMode::MirrorRepeat] {
        for filter in [wgpu::FilterMode::Nearest, wgpu::FilterMode::Linear] {
            let sampler = gpu.device.create_sampler(&wgpu::SamplerDescriptor {
                label: Some("sampler"),
                address_mode_u: mode,
                address_mode_v: mode,
                mag_filter: filter,
                min_filter: filter,
                ..Default::default()
            });
            let seen = gpu.buffer("seen", 256, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
            let resources = [
                seen.as_entire_binding(),
                wgpu::BindingResource::TextureView(&view),
                wgpu::BindingResource::Sampler(&sampler),
            ];
            run_compute(gpu, &pipeline, &resources, (1, 1, 1));
            log.bytes(&format!("{mode:?} {filter:?}"), gpu.read(&seen));
        }
    }
    let wrong = wgpu::SamplerDescriptor { anisotropy_clamp: 0, ..Default::default() };
    log.outcome("anisotropy of zero", gpu.invalid(|| drop(gpu.device.create_sampler(&wrong))));
}

/// One binding that holds several views and samplers.
pub(super) fn arrays(gpu: &Gpu, log: &mut Log<'_>) {
    if !gpu.has(wgpu::Features::TEXTURE_BINDING_ARRAY) {
        return log.skip("no arrays of textures");
    }
    let textures = [1, 2, 3].map(|seed| {
        let texture = gpu.texture("of an array", (4, 4), wgpu::TextureFormat::Rgba8Unorm, SAMPLED);
        gpu.queue.write_texture(texture.as_image_copy(), &pattern(64, seed), layout(16, 4), extent(4, 4, 1));
        texture
    });
    let views: Vec<_> = textures.iter().map(|t| t.create_view(&wgpu::TextureViewDescriptor::default())).collect();
    let samplers = [wgpu::FilterMode::Nearest, wgpu::FilterMode::Linear]
        .map(|mag_filter| gpu.device.create_sampler(&wgpu::SamplerDescriptor { mag_filter, ..Default::default() }));
    let entry = |binding, ty, count: u32| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty,
        count: std::num::NonZeroU32::new(count),
    };
    let layout = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("arrays"),
        entries: &[
            entry(
                0,
                wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: false },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                0,
            ),
            entry(
                1,
                wgpu::BindingType::Texture {
                    sample_type: wgpu::TextureSampleType::Float { filterable: true },
                    view_dimension: wgpu::TextureViewDimension::D2,
                    multisampled: false,
                },
                3,
            ),
            entry(2, wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering), 2),
        ],
    });
    let module = gpu.shader(
        "arrays",
        "enable wgpu_binding_array;
         @group(0) @binding(0) var<storage, read_write> seen: array<vec4f, 16>;
         @group(0) @binding(1) var pictures: binding_array<texture_2d<f32>, 3>;
         @group(0) @binding(2) var hows: binding_array<sampler, 2>;
         @compute @workgroup_size(4) fn main(@builtin(local_invocation_index) i: u32) {
             let at = vec2f(f32(i) / 5.0, 0.3);
             seen[i] = textureSampleLevel(pictures[0], hows[0], at, 0.0);
             seen[i + 4u] = textureSampleLevel(pictures[1], hows[1], at, 0.0);
             seen[i + 8u] = textureSampleLevel(pictures[2], hows[1], at, 0.0);
         }",
    );
    let pipeline = super::kit::compute_pipeline_of(gpu, "arrays", Some(&layout), &module);
    let seen = gpu.buffer("seen", 256, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let (views, samplers): (Vec<_>, Vec<_>) = (views.iter().collect(), samplers.iter().collect());
    let resources = [
        seen.as_entire_binding(),
        wgpu::BindingResource::TextureViewArray(&views),
        wgpu::BindingResource::SamplerArray(&samplers),
    ];
    run_compute(gpu, &pipeline, &resources, (1, 1, 1));
    log.bytes("seen", gpu.read(&seen));
    log.step(gpu, "arrays");
}

/// Textures of two planes, and external textures.
pub(super) fn planes(gpu: &Gpu, log: &mut Log<'_>) {
    if gpu.has(wgpu::Features::TEXTURE_FORMAT_NV12) {
        let texture = gpu.texture("planes", (8, 8), wgpu::TextureFormat::NV12, wgpu::TextureUsages::TEXTURE_BINDING);
        let luma = texture.create_view(&wgpu::TextureViewDescriptor {
            format: Some(wgpu::TextureFormat::R8Unorm),
            aspect: wgpu::TextureAspect::Plane0,
            ..Default::default()
        });
        let load = "textureLoad(picture, vec2u(i % 4u, i / 4u), 0)";
        log.bytes("luma", read_through(gpu, &luma, "texture_2d<f32>", load));
    } else {
        log.skip("no NV12");
    }
    if !gpu.has(wgpu::Features::EXTERNAL_TEXTURE) {
        return log.skip("no external textures");
    }
    let plane = gpu.texture("plane", (4, 4), wgpu::TextureFormat::Rgba8Unorm, SAMPLED);
    gpu.queue.write_texture(plane.as_image_copy(), &pattern(64, 3), layout(16, 4), extent(4, 4, 1));
    let view = plane.create_view(&wgpu::TextureViewDescriptor::default());
    let identity = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
    let linear = wgpu::ExternalTextureTransferFunction { a: 1.0, b: 1.0, g: 1.0, k: 1.0 };
    let descriptor = wgpu::ExternalTextureDescriptor {
        label: Some("external"),
        width: 4,
        height: 4,
        format: wgpu::ExternalTextureFormat::Rgba,
        yuv_conversion_matrix: identity,
        gamut_conversion_matrix: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        src_transfer_function: linear,
        dst_transfer_function: linear,
        sample_transform: [1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        load_transform: [1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
    };
    let external = gpu.device.create_external_texture(&descriptor, &[&view]);
    let pipeline = compute_pipeline(
        gpu,
        "external",
        "@group(0) @binding(0) var<storage, read_write> seen: array<vec4f, 16>;
         @group(0) @binding(1) var picture: texture_external;
         @compute @workgroup_size(16) fn main(@builtin(local_invocation_index) i: u32) {
             seen[i] = textureLoad(picture, vec2u(i % 4u, i / 4u));
         }",
    );
    let seen = gpu.buffer("seen", 256, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let resources = [seen.as_entire_binding(), wgpu::BindingResource::ExternalTexture(&external)];
    run_compute(gpu, &pipeline, &resources, (1, 1, 1));
    log.bytes("external", gpu.read(&seen));
    log.step(gpu, "external texture");
    external.destroy();
}
