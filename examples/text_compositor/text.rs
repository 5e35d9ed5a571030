//! Text: a headline, columns, a clock and a line that moves.

use std::sync::Arc;

use engine_vitals::ResourceKind;
use glyphon::fontdb::{Database, Source};
use glyphon::{
    Attrs, Buffer, Cache, Color, ColorMode, Family, FontSystem, Metrics, Resolution, Shaping, SwashCache, TextArea,
    TextAtlas, TextBounds, TextRenderer, Viewport,
};

use crate::compositor::{Canvas, Failure, Gpu, Painter, Role};

const COLUMNS: &str = "A native target owns a command queue. When a layout pass gives its visual another size, some targets \
    only rebuild the texture behind them; others are made anew, and take their queue with them. A log that tells of \
    destroyed queues cannot tell the two apart, nor a storm at the start from the teardown at the end.";

/// glyphon, and what it needs.
pub(crate) struct Texts {
    fonts: FontSystem,
    glyphs: SwashCache,
    viewport: Viewport,
    atlas: TextAtlas,
    renderer: TextRenderer,
}

/// What a visual says, and how.
struct Text {
    words: String,
    /// Height of the letters, as a share of the visual's.
    size: f32,
    color: Color,
    paper: wgpu::Color,
}

impl Painter for Texts {
    const RENDERER: &'static str = "glyphon";
    const CHILDREN: [&'static str; 4] = ["columns", "headline", "clock", "ticker"];
    const SCRATCH: &'static [ResourceKind] = &[];
    const USAGE: wgpu::TextureUsages = wgpu::TextureUsages::empty();
    const LIMITS: fn() -> wgpu::Limits = wgpu::Limits::downlevel_defaults;

    fn new(gpu: Gpu<'_>) -> Result<Self, Failure> {
        // One font for all machines: those of the machine would make another picture on each.
        let mut fonts = Database::new();
        fonts.load_font_source(Source::Binary(Arc::new(epaint_default_fonts::UBUNTU_LIGHT)));
        let cache = Cache::new(gpu.device);
        let mut atlas = TextAtlas::with_color_mode(gpu.device, gpu.queue, &cache, Self::FORMAT, ColorMode::Web);
        let renderer = TextRenderer::new(&mut atlas, gpu.device, wgpu::MultisampleState::default(), None);
        Ok(Self {
            fonts: FontSystem::new_with_locale_and_db("en-US".to_owned(), fonts),
            glyphs: SwashCache::new(),
            viewport: Viewport::new(gpu.device, &cache),
            atlas,
            renderer,
        })
    }

    fn paint(&mut self, gpu: Gpu<'_>, canvas: Canvas<'_>) -> Result<(), Failure> {
        let text = Text::of(&canvas);
        let (width, height) = (canvas.size.width, canvas.size.height);
        let size = (height as f32 * text.size).max(4.0);
        let mut buffer = Buffer::new(&mut self.fonts, Metrics::new(size, size * 1.25));
        let margin = (height as f32 * 0.06).max(2.0);
        buffer.set_size(Some(width as f32 - 2.0 * margin), Some(height as f32 - margin));
        buffer.set_text(&text.words, &Attrs::new().family(Family::Name("Ubuntu")), Shaping::Advanced, None);
        buffer.shape_until_scroll(&mut self.fonts, false);
        let area = TextArea {
            buffer: &buffer,
            left: margin,
            top: margin,
            scale: 1.0,
            bounds: TextBounds { left: 0, top: 0, right: width as i32, bottom: height as i32 },
            default_color: text.color,
            custom_glyphs: &[],
        };
        self.viewport.update(gpu.queue, Resolution { width, height });
        let Self { fonts, glyphs, viewport, atlas, renderer } = self;
        let failed = |error: &dyn std::fmt::Display| Failure::Running(format!("glyphon: {error}"));
        renderer
            .prepare(gpu.device, gpu.queue, fonts, atlas, viewport, [area], glyphs)
            .map_err(|error| failed(&error))?;
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("text") });
        let attachment = wgpu::RenderPassColorAttachment {
            view: canvas.view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load: wgpu::LoadOp::Clear(text.paper), store: wgpu::StoreOp::Store },
        };
        let descriptor = wgpu::RenderPassDescriptor { color_attachments: &[Some(attachment)], ..Default::default() };
        let mut pass = encoder.begin_render_pass(&descriptor);
        renderer.render(atlas, viewport, &mut pass).map_err(|error| failed(&error))?;
        drop(pass);
        gpu.queue.submit([encoder.finish()]);
        Ok(())
    }
}

impl Text {
    fn of(canvas: &Canvas<'_>) -> Self {
        let frame = canvas.frame;
        let paper = |r, g, b| wgpu::Color { r, g, b, a: 1.0 };
        let (words, size, color, paper) = match (canvas.role, canvas.index) {
            (Role::Root | Role::Effect, _) => {
                ("Queues & targets ".repeat(24), 0.13, Color::rgb(58, 64, 92), paper(0.13, 0.15, 0.23))
            }
            (Role::Child, 1) => (COLUMNS.to_owned(), 0.082, Color::rgb(40, 42, 54), paper(0.96, 0.95, 0.91)),
            (Role::Child, 2) => {
                ("Who destroyed\nthe queues?".to_owned(), 0.34, Color::rgb(255, 244, 224), paper(0.70, 0.29, 0.27))
            }
            (Role::Child, 3) => {
                let (minutes, seconds) = (frame / 3600, frame / 60 % 60);
                let words = format!("{minutes:02}:{seconds:02}\nframe {frame}");
                (words, 0.33, Color::rgb(190, 240, 220), paper(0.10, 0.23, 0.25))
            }
            (Role::Child, _) => {
                let line = "created 9 · destroyed 5 · presented 7 · dropped 1 · ";
                let words = line.chars().cycle().skip(frame as usize % 24).take(4 * line.len()).collect();
                (words, 0.21, Color::rgb(250, 214, 120), paper(0.16, 0.17, 0.20))
            }
            (Role::Transient, key) => {
                (format!("drag\nimage {key}"), 0.34, Color::rgb(30, 30, 40), paper(0.98, 0.72, 0.35))
            }
        };
        Self { words, size, color, paper }
    }
}
