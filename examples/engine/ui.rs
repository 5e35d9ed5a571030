//! The live panel over the picture, by egui and its renderer for wgpu, neither of which knows that it is measured.

use engine_vitals::probe::{Context, OwnerId, Probe};
use engine_vitals::{Vitals, heap_scope};

use crate::device::OpenDevice;
use crate::panel::Panel;
use crate::pipelines::PICTURE;
use crate::size::Size;

/// egui, and what it draws.
pub(crate) struct Ui {
    context: egui::Context,
    renderer: egui_wgpu::Renderer,
    panel: Panel,
    /// In whose name egui's renderer makes its resources.
    owner: OwnerId,
}

impl Ui {
    pub(crate) fn new(device: &wgpu::Device, probe: Probe) -> Self {
        heap_scope!("ui");
        let owner = probe.owner_named(probe.owner_kind("egui"), 0, "live panel");
        let _context = Context::current().with_owner(owner).enter();
        let context = egui::Context::default();
        context.set_theme(egui::Theme::Dark);
        Self {
            context,
            renderer: egui_wgpu::Renderer::new(device, PICTURE, egui_wgpu::RendererOptions::default()),
            panel: Panel::default(),
            owner,
        }
    }

    pub(crate) fn context(&self) -> &egui::Context {
        &self.context
    }

    /// Records the panel over `picture`; returns what egui asks of the window.
    pub(crate) fn draw(
        &mut self,
        mut input: egui::RawInput,
        vitals: &Vitals,
        open: &OpenDevice,
        encoder: &mut wgpu::CommandEncoder,
        picture: &wgpu::TextureView,
        size: Size,
    ) -> egui::PlatformOutput {
        heap_scope!("ui");
        let _context = Context::current().with_owner(self.owner).enter();
        let OpenDevice { device, queue, .. } = open;
        let points = egui::vec2(size.width as f32, size.height as f32) / self.context.pixels_per_point();
        input.screen_rect.get_or_insert(egui::Rect::from_min_size(egui::Pos2::ZERO, points));
        self.panel.read(vitals);
        let mut output = self.context.run_ui(input, |ui| self.panel.show(ui.ctx()));

        for (id, deltas) in output.textures_delta.set.drain() {
            for delta in &deltas {
                self.renderer.update_texture(device, queue, id, delta);
            }
        }
        let shapes = self.context.tessellate(output.shapes, output.pixels_per_point);
        let size_in_pixels = [size.width, size.height];
        let screen = egui_wgpu::ScreenDescriptor { size_in_pixels, pixels_per_point: output.pixels_per_point };
        // Only paint callbacks have command buffers of their own, and the panel has none.
        drop(self.renderer.update_buffers(device, queue, encoder, &shapes, &screen));
        let pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("egui"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: picture,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load: wgpu::LoadOp::Load, store: wgpu::StoreOp::Store },
            })],
            ..Default::default()
        });
        self.renderer.render(&mut pass.forget_lifetime(), &shapes, &screen);
        for id in output.textures_delta.free.drain() {
            self.renderer.free_texture(&id);
        }
        output.platform_output
    }
}
