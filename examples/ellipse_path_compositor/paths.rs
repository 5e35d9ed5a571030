//! Ellipses: filled, stroked, turned and overlapping.

use std::f64::consts::{PI, TAU};
use std::num::NonZeroUsize;

use engine_vitals::ResourceKind;
use vello::kurbo::{Affine, Arc, Ellipse, Rect, Stroke, Vec2};
use vello::peniko::{Color, Fill, Gradient};
use vello::{AaConfig, AaSupport, RenderParams, Renderer, RendererOptions, Scene};

use crate::compositor::{Canvas, Failure, Gpu, Painter, Role};

// vello draws into no other format.
const _: () = assert!(matches!(EllipsePaths::FORMAT, wgpu::TextureFormat::Rgba8Unorm));

/// vello, and what it draws.
pub(crate) struct EllipsePaths(Renderer);

impl Painter for EllipsePaths {
    const RENDERER: &'static str = "vello";
    const CHILDREN: [&'static str; 4] = ["orbits", "gauge", "flower", "ripples"];
    const SCRATCH: &'static [ResourceKind] = &[ResourceKind::BIND_GROUP, ResourceKind::BUFFER, ResourceKind::TEXTURE];
    const USAGE: wgpu::TextureUsages = wgpu::TextureUsages::STORAGE_BINDING;
    const LIMITS: fn() -> wgpu::Limits = wgpu::Limits::default;

    fn new(gpu: Gpu<'_>) -> Result<Self, Failure> {
        let options = RendererOptions {
            antialiasing_support: AaSupport::area_only(),
            num_init_threads: NonZeroUsize::new(1),
            ..Default::default()
        };
        Renderer::new(gpu.device, options).map(Self).map_err(|error| Failure::Running(format!("vello: {error}")))
    }

    fn paint(&mut self, gpu: Gpu<'_>, canvas: Canvas<'_>) -> Result<(), Failure> {
        let (width, height) = (f64::from(canvas.size.width), f64::from(canvas.size.height));
        let mut drawing = Drawing { scene: Scene::new(), size: Vec2::new(width, height) };
        let turn = canvas.frame as f64 * 0.02;
        match (canvas.role, canvas.index) {
            (Role::Root | Role::Effect, _) => drawing.background(),
            (Role::Child, 1) => drawing.orbits(turn),
            (Role::Child, 2) => drawing.gauge(turn),
            (Role::Child, 3) => drawing.flower(turn),
            (Role::Child, _) => drawing.ripples(turn),
            (Role::Transient, key) => drawing.badge(key),
        }
        let parameters = RenderParams {
            base_color: Color::from_rgb8(24, 27, 42),
            width: canvas.size.width,
            height: canvas.size.height,
            antialiasing_method: AaConfig::Area,
        };
        self.0
            .render_to_texture(gpu.device, gpu.queue, &drawing.scene, canvas.view, &parameters)
            .map_err(|error| Failure::Running(format!("vello: {error}")))
    }
}

/// A scene and the size that it fills.
struct Drawing {
    scene: Scene,
    size: Vec2,
}

impl Drawing {
    fn background(&mut self) {
        let Vec2 { x, y } = self.size;
        let ramp = Gradient::new_linear((0.0, 0.0), (x, y)).with_stops([
            Color::from_rgb8(38, 42, 74),
            Color::from_rgb8(78, 52, 92),
            Color::from_rgb8(178, 92, 86),
        ]);
        self.scene.fill(Fill::NonZero, Affine::IDENTITY, &ramp, None, &Rect::new(0.0, 0.0, x, y));
        for ring in 0..9_u32 {
            let radii = self.size * (0.12 + 0.11 * f64::from(ring));
            let ellipse = Ellipse::new((x * 0.15, y * 1.05), radii, 0.35);
            let color = Color::from_rgba8(255, 220, 190, 26 - 2 * ring as u8);
            self.scene.stroke(&Stroke::new(3.0), Affine::IDENTITY, color, None, &ellipse);
        }
    }

    /// Planets on turned ellipses.
    fn orbits(&mut self, turn: f64) {
        let center = self.size / 2.0;
        let unit = self.size.x.min(self.size.y);
        self.disc(center, unit * 0.09, Color::from_rgb8(255, 205, 96));
        for orbit in 1..=5_u32 {
            let step = f64::from(orbit);
            let radii = Vec2::new(self.size.x * 0.080 * step, self.size.y * 0.062 * step) + Vec2::new(unit * 0.05, 0.0);
            let tilt = 0.11 * step;
            let ellipse = Ellipse::new(center.to_point(), radii, tilt);
            let shade = 90 + 28 * orbit as u8;
            let color = Color::from_rgb8(shade, 130, 240 - 20 * orbit as u8);
            self.scene.stroke(&Stroke::new(1.5), Affine::IDENTITY, color, None, &ellipse);
            let at = turn * (3.0 - 0.4 * step) + 1.9 * step;
            let place = Affine::rotate(tilt) * Vec2::new(radii.x * at.cos(), radii.y * at.sin()).to_point();
            self.disc(center + place.to_vec2(), unit * (0.018 + 0.006 * step), color);
        }
    }

    /// Arcs of ellipses, and a needle of one.
    fn gauge(&mut self, turn: f64) {
        let center = Vec2::new(self.size.x / 2.0, self.size.y * 0.86);
        let radii = Vec2::new(self.size.x * 0.42, self.size.y * 0.68);
        let parts = 24_u32;
        for part in 0..parts {
            let share = f64::from(part) / f64::from(parts);
            let arc = Arc::new(center.to_point(), radii, PI * (1.0 + share), PI / f64::from(parts) * 0.7, 0.0);
            let color = Color::from_rgb8((60.0 + 190.0 * share) as u8, (210.0 - 130.0 * share) as u8, 110);
            self.scene.stroke(&Stroke::new(self.size.y * 0.11), Affine::IDENTITY, color, None, &arc);
        }
        let lean = (turn * 1.3).sin() * 0.9;
        let needle = Ellipse::new((0.0, -radii.y * 0.42), (self.size.y * 0.025, radii.y * 0.45), 0.0);
        let pose = Affine::translate(center) * Affine::rotate(lean);
        self.scene.fill(Fill::NonZero, pose, Color::from_rgb8(245, 245, 250), None, &needle);
        self.disc(center, self.size.y * 0.06, Color::from_rgb8(245, 245, 250));
    }

    /// Petals that shine through each other.
    fn flower(&mut self, turn: f64) {
        let center = self.size / 2.0;
        let unit = self.size.x.min(self.size.y);
        for petal in 0..18_u32 {
            let angle = turn * 0.5 + TAU * f64::from(petal) / 18.0;
            let ellipse = Ellipse::new((unit * 0.26, 0.0), (unit * 0.20, unit * 0.07), 0.0);
            let color = Color::from_rgba8(255 - petal as u8 * 2, 70 + petal as u8 * 8, 190 - petal as u8 * 5, 130);
            let pose = Affine::translate(center) * Affine::rotate(angle);
            self.scene.fill(Fill::NonZero, pose, color, None, &ellipse);
        }
        self.disc(center, unit * 0.07, Color::from_rgb8(255, 236, 170));
    }

    /// Rings on water, seen from the side.
    fn ripples(&mut self, turn: f64) {
        for source in 0..3_u32 {
            let step = f64::from(source);
            let center = Vec2::new(self.size.x * (0.2 + 0.3 * step), self.size.y * (0.35 + 0.18 * step));
            for ring in 0..7_u32 {
                let share = ((f64::from(ring) + turn + step * 0.3) / 7.0).fract();
                let radii = Vec2::new(self.size.x * 0.34, self.size.y * 0.36) * share;
                let ellipse = Ellipse::new(center.to_point(), radii, 0.0);
                let color = Color::from_rgba8(120, 210, 235, (220.0 * (1.0 - share)) as u8);
                self.scene.stroke(&Stroke::new(2.0), Affine::IDENTITY, color, None, &ellipse);
            }
        }
    }

    fn badge(&mut self, key: usize) {
        let center = self.size / 2.0;
        let color = Color::from_rgb8(255, 150 - 20 * key.min(6) as u8, 60);
        let ellipse = Ellipse::new(center.to_point(), self.size * 0.38, 0.0);
        self.scene.fill(Fill::NonZero, Affine::IDENTITY, color, None, &ellipse);
    }

    fn disc(&mut self, center: Vec2, radius: f64, color: Color) {
        let disc = Ellipse::new(center.to_point(), (radius, radius), 0.0);
        self.scene.fill(Fill::NonZero, Affine::IDENTITY, color, None, &disc);
    }
}
