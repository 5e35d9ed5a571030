//! vello: filled and stroked paths, a gradient, a clipped layer and an image, rasterized in compute shaders.

use crate::gpu::{Gpu, SIZE};
use vello::kurbo::{Affine, BezPath, Circle, Rect, RoundedRect, Stroke};
use vello::peniko::{Blob, Color, Fill, Gradient, ImageAlphaType, ImageData, ImageFormat};
use vello::{AaConfig, AaSupport, RenderParams, Renderer, RendererOptions, Scene};

pub(crate) fn draw(instance: wgpu::Instance) -> Vec<u8> {
    let gpu = Gpu::new(instance, wgpu::Features::empty());
    let options = RendererOptions {
        antialiasing_support: AaSupport::area_only(),
        num_init_threads: std::num::NonZeroUsize::new(1),
        ..Default::default()
    };
    let mut renderer = Renderer::new(&gpu.device, options).unwrap();
    let target = gpu.target(wgpu::TextureFormat::Rgba8Unorm, wgpu::TextureUsages::STORAGE_BINDING);
    let view = target.create_view(&wgpu::TextureViewDescriptor::default());
    let parameters = RenderParams {
        base_color: Color::from_rgb8(20, 24, 40),
        width: SIZE.width,
        height: SIZE.height,
        antialiasing_method: AaConfig::Area,
    };
    let mut bytes = Vec::new();
    for frame in 0..3 {
        renderer.render_to_texture(&gpu.device, &gpu.queue, &scene(frame), &view, &parameters).unwrap();
        bytes.extend(gpu.texels(&target));
    }
    bytes
}

fn scene(frame: u32) -> Scene {
    let mut scene = Scene::new();
    let gradient = Gradient::new_linear((0.0, 0.0), (256.0, 192.0)).with_stops([
        Color::from_rgb8(250, 120, 30),
        Color::from_rgb8(40, 90, 220),
        Color::from_rgb8(60, 200, 120),
    ]);
    scene.fill(Fill::NonZero, Affine::IDENTITY, &gradient, None, &RoundedRect::new(10.0, 10.0, 246.0, 182.0, 24.0));
    scene.push_clip_layer(Fill::NonZero, Affine::IDENTITY, &Circle::new((128.0, 96.0), 80.0));
    // More paths with each frame, so that the renderer's buffers must grow.
    for i in 0..50 * (frame + 1) {
        let turn = Affine::rotate_about(f64::from(i) * 0.37, (128.0, 96.0));
        let mut path = BezPath::new();
        path.move_to((128.0, 96.0));
        path.curve_to((150.0, 20.0), (220.0, 60.0), (200.0 + f64::from(i % 40), 100.0));
        let color = Color::from_rgba8((i * 37) as u8, (i * 91) as u8, (i * 53) as u8, 160);
        scene.stroke(&Stroke::new(1.0 + f64::from(i % 5)), turn, color, None, &path);
    }
    scene.pop_layer();
    scene.fill(Fill::EvenOdd, Affine::IDENTITY, Color::WHITE, None, &Rect::new(4.0, 4.0, 20.0, 20.0));
    scene.draw_image(&image(), Affine::translate((200.0, 20.0)) * Affine::scale(2.0));
    scene
}

fn image() -> ImageData {
    let texels: Vec<u8> = (0..16 * 16_u32).flat_map(|i| [i as u8, (i * 3) as u8, (i * 11) as u8, 255]).collect();
    ImageData {
        data: Blob::from(texels),
        format: ImageFormat::Rgba8,
        alpha_type: ImageAlphaType::Alpha,
        width: 16,
        height: 16,
    }
}
