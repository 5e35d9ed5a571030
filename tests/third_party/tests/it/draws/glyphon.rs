//! glyphon: text that grows until its atlas must be made anew.

use crate::gpu::{Gpu, SIZE};
use glyphon::fontdb::{Database, Source};
use glyphon::{
    Attrs, Buffer, Cache, Color, Family, FontSystem, Metrics, Resolution, Shaping, SwashCache, TextArea, TextAtlas,
    TextBounds, TextRenderer, Viewport,
};
use std::sync::Arc;

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8UnormSrgb;

pub(crate) fn draw(instance: wgpu::Instance) -> Vec<u8> {
    let gpu = Gpu::new(instance, wgpu::Features::empty());
    // Fonts of the machine would make another picture on each.
    let mut fonts = Database::new();
    fonts.load_font_source(Source::Binary(Arc::new(epaint_default_fonts::UBUNTU_LIGHT)));
    let mut fonts = FontSystem::new_with_locale_and_db("en-US".to_owned(), fonts);
    let mut glyphs = SwashCache::new();
    let cache = Cache::new(&gpu.device);
    let mut viewport = Viewport::new(&gpu.device, &cache);
    viewport.update(&gpu.queue, Resolution { width: SIZE.width, height: SIZE.height });
    let mut atlas = TextAtlas::new(&gpu.device, &gpu.queue, &cache, FORMAT);
    let mut renderer = TextRenderer::new(&mut atlas, &gpu.device, wgpu::MultisampleState::default(), None);
    let target = gpu.target(FORMAT, wgpu::TextureUsages::RENDER_ATTACHMENT);

    let mut bytes = Vec::new();
    for size in [14.0, 90.0, 180.0] {
        let mut buffer = Buffer::new(&mut fonts, Metrics::new(size, size * 1.2));
        buffer.set_size(Some(SIZE.width as f32), Some(SIZE.height as f32));
        let attributes = Attrs::new().family(Family::Name("Ubuntu"));
        buffer.set_text("Hamburgefonstiv 0123456789 & unmodified", &attributes, Shaping::Advanced, None);
        buffer.shape_until_scroll(&mut fonts, false);
        let area = TextArea {
            buffer: &buffer,
            left: 4.0,
            top: 4.0,
            scale: 1.0,
            bounds: TextBounds { left: 0, top: 0, right: SIZE.width as i32, bottom: SIZE.height as i32 - 8 },
            default_color: Color::rgb(240, 220, 180),
            custom_glyphs: &[],
        };
        let (device, queue) = (&gpu.device, &gpu.queue);
        renderer.prepare(device, queue, &mut fonts, &mut atlas, &viewport, [area], &mut glyphs).unwrap();
        paint(&gpu, &renderer, &atlas, &viewport, &target);
        atlas.trim();
        bytes.extend(gpu.texels(&target));
    }
    bytes
}

fn paint(gpu: &Gpu, renderer: &TextRenderer, atlas: &TextAtlas, viewport: &Viewport, target: &wgpu::Texture) {
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("text") });
    let attachment = wgpu::RenderPassColorAttachment {
        view: &target.create_view(&wgpu::TextureViewDescriptor::default()),
        depth_slice: None,
        resolve_target: None,
        ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store: wgpu::StoreOp::Store },
    };
    let descriptor = wgpu::RenderPassDescriptor { color_attachments: &[Some(attachment)], ..Default::default() };
    let mut pass = encoder.begin_render_pass(&descriptor);
    renderer.render(atlas, viewport, &mut pass).unwrap();
    drop(pass);
    gpu.queue.submit([encoder.finish()]);
}
