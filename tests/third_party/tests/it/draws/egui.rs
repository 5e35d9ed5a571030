//! egui-wgpu: three frames of a window with text, widgets and a texture of our own, whose buffers and font atlas grow.

use crate::gpu::{Gpu, SIZE};
use egui_wgpu::{Renderer, RendererOptions, ScreenDescriptor};

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

pub(crate) fn draw(instance: wgpu::Instance) -> Vec<u8> {
    let gpu = Gpu::new(instance, wgpu::Features::empty());
    let mut renderer = Renderer::new(&gpu.device, FORMAT, RendererOptions { msaa_samples: 4, ..Default::default() });
    let view = gpu.picture().create_view(&wgpu::TextureViewDescriptor::default());
    let picture = renderer.register_native_texture(&gpu.device, &view, wgpu::FilterMode::Linear);
    let context = egui::Context::default();
    let target = gpu.target(FORMAT, wgpu::TextureUsages::RENDER_ATTACHMENT);
    let mut bytes = Vec::new();
    for frame in 0..3 {
        let size = egui::vec2(SIZE.width as f32, SIZE.height as f32);
        let input = egui::RawInput {
            screen_rect: Some(egui::Rect::from_min_size(egui::Pos2::ZERO, size)),
            time: Some(f64::from(frame)),
            ..Default::default()
        };
        let output = context.run_ui(input, |ui| window(ui, picture, frame));
        paint(&gpu, &mut renderer, &context, output, &target);
        bytes.extend(gpu.texels(&target));
    }
    renderer.free_texture(&picture);
    bytes
}

fn window(ui: &mut egui::Ui, picture: egui::TextureId, frame: u32) {
    egui::Window::new("unmodified").default_pos([8.0, 8.0]).show(ui.ctx(), |ui| {
        ui.heading(format!("frame {frame}"));
        ui.horizontal(|ui| {
            ui.image((picture, egui::vec2(32.0, 32.0)));
            ui.add(egui::ProgressBar::new(0.25 * frame as f32).text("progress"));
        });
        // More of it with each frame, so that the buffers must grow, and glyphs that the atlas does not have yet.
        for line in 0..2 * frame {
            ui.label(egui::RichText::new(format!("line {line}")).size(8.0 + (line * frame) as f32));
        }
        let (area, _) = ui.allocate_exact_size(egui::vec2(200.0, 40.0), egui::Sense::hover());
        for dot in 0..1000 * frame {
            let at = area.min + egui::vec2((dot % 97) as f32 * 2.0, (dot % 19) as f32 * 2.0);
            ui.painter().circle_filled(at, 1.5, egui::Color32::from_rgb(dot as u8, 200, 90));
        }
    });
}

fn paint(
    gpu: &Gpu,
    renderer: &mut Renderer,
    context: &egui::Context,
    mut output: egui::FullOutput,
    target: &wgpu::Texture,
) {
    let screen = ScreenDescriptor { size_in_pixels: [SIZE.width, SIZE.height], pixels_per_point: 1.0 };
    for (id, deltas) in output.textures_delta.set.drain() {
        for delta in &deltas {
            renderer.update_texture(&gpu.device, &gpu.queue, id, delta);
        }
    }
    let shapes = context.tessellate(output.shapes, output.pixels_per_point);
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("egui") });
    let mut commands = renderer.update_buffers(&gpu.device, &gpu.queue, &mut encoder, &shapes, &screen);
    let samples = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("samples"),
        size: SIZE,
        mip_level_count: 1,
        sample_count: 4,
        dimension: wgpu::TextureDimension::D2,
        format: FORMAT,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
        view_formats: &[],
    });
    let attachment = wgpu::RenderPassColorAttachment {
        view: &samples.create_view(&wgpu::TextureViewDescriptor::default()),
        depth_slice: None,
        resolve_target: Some(&target.create_view(&wgpu::TextureViewDescriptor::default())),
        ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store: wgpu::StoreOp::Store },
    };
    let descriptor = wgpu::RenderPassDescriptor {
        label: Some("egui"),
        color_attachments: &[Some(attachment)],
        ..Default::default()
    };
    let mut pass = encoder.begin_render_pass(&descriptor).forget_lifetime();
    renderer.render(&mut pass, &shapes, &screen);
    drop(pass);
    commands.push(encoder.finish());
    gpu.queue.submit(commands);
    for id in output.textures_delta.free.drain() {
        renderer.free_texture(&id);
    }
}
