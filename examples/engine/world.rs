//! What moves: the pillars, the knot, the orbs, the camera. Plain data, a function of time.

use bytemuck::{Pod, Zeroable};
use glam::camera::rh::{proj::directx, view};
use glam::{Mat4, Quat, Vec3, Vec4};

use crate::material::Layer;

/// How many glowing orbs there are; `common.wgsl` has the same number of lights.
pub(crate) const ORBS: usize = 6;
const RINGS: i32 = 13;
const SPACING: f32 = 1.78;

/// One instance, as `scene.wgsl` reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct Instance {
    position: [f32; 3],
    scale: [f32; 3],
    rotation: [f32; 4],
    color: [f32; 3],
    surface: [f32; 4],
}

impl Instance {
    pub(crate) const ATTRIBUTES: [wgpu::VertexAttribute; 5] =
        wgpu::vertex_attr_array![3 => Float32x3, 4 => Float32x3, 5 => Float32x4, 6 => Float32x3, 7 => Float32x4];
}

/// The per-frame constants, as `common.wgsl` reads them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct Globals {
    view_projection: [f32; 16],
    inverse_view_projection: [f32; 16],
    sun_view_projection: [f32; 16],
    eye: [f32; 4],
    sun_direction: [f32; 4],
    sun_color: [f32; 4],
    lights: [[[f32; 4]; 2]; ORBS],
}

/// The instances of one frame, in the order in which they are drawn.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    /// One buffer for all meshes.
    pub(crate) all: Vec<Instance>,
    /// How many of them each mesh has: pillars, orbs, knot, floor.
    pub(crate) counts: [u32; 4],
}

/// The number of instances in every frame.
pub(crate) fn instance_count() -> usize {
    (3 * RINGS * (RINGS + 1) + 1) as usize + ORBS + 2
}

/// Fills `instances` with the scene at `seconds`, keeping its allocation.
pub(crate) fn animate(seconds: f32, instances: &mut Instances) {
    instances.all.clear();
    pillars(seconds, &mut instances.all);
    let pillar_count = instances.all.len() as u32;
    for orb in 0..ORBS {
        let (position, color) = orb_at(orb, seconds);
        instances.all.push(Instance {
            position: position.to_array(),
            scale: [0.34; 3],
            rotation: Quat::IDENTITY.to_array(),
            color: color.to_array(),
            surface: [Layer::Brushed as u32 as f32, 0.4, 0.0, 5.0],
        });
    }
    let tilt = Quat::from_rotation_y(seconds * 0.45) * Quat::from_rotation_x(1.15 + 0.2 * (seconds * 0.4).sin());
    instances.all.push(Instance {
        position: [0.0, 5.2 + 0.25 * (seconds * 0.8).sin(), 0.0],
        scale: [2.3; 3],
        rotation: tilt.to_array(),
        color: [1.0, 0.70, 0.28],
        surface: [Layer::Brushed as u32 as f32, 0.26, 1.0, 0.0],
    });
    instances.all.push(Instance {
        position: [0.0, -0.4, 0.0],
        scale: [140.0, 1.0, 140.0],
        rotation: Quat::IDENTITY.to_array(),
        color: [0.16, 0.14, 0.20],
        surface: [Layer::Paving as u32 as f32, 0.35, 0.0, 0.0],
    });
    instances.counts = [pillar_count, ORBS as u32, 1, 1];
}

/// The constants of the frame at `seconds` for a target of the given aspect ratio.
pub(crate) fn globals(seconds: f32, aspect: f32) -> Globals {
    let angle = 0.62 + seconds * 0.09;
    let eye = Vec3::new(angle.cos() * 23.0, 9.6 + 1.0 * (seconds * 0.21).sin(), angle.sin() * 23.0);
    let target = Vec3::new(0.0, 3.2, 0.0);
    // A narrow target sees as much of the scene's width as a wide one.
    let field_of_view = 2.0 * ((0.40_f32).tan() * (16.0 / 9.0 / aspect).max(1.0)).atan();
    let view_projection =
        directx::perspective(field_of_view, aspect, 0.5, 200.0) * view::look_at_mat4(eye, target, Vec3::Y);

    let sun = Vec3::new(-0.88, 0.34, -0.20).normalize();
    let extent = 27.0;
    let sun_view_projection = directx::orthographic(-extent, extent, -extent, extent, 1.0, 100.0)
        * view::look_at_mat4(sun * 50.0, Vec3::ZERO, Vec3::Y);

    Globals {
        view_projection: columns(view_projection),
        inverse_view_projection: columns(view_projection.inverse()),
        sun_view_projection: columns(sun_view_projection),
        eye: eye.extend(1.0).to_array(),
        sun_direction: sun.extend(0.0).to_array(),
        sun_color: [3.0, 1.75, 0.95, 0.0],
        lights: std::array::from_fn(|orb| {
            let (position, color) = orb_at(orb, seconds);
            [position.extend(7.5).to_array(), Vec4::from((color * 7.0, 0.0)).to_array()]
        }),
    }
}

fn columns(matrix: Mat4) -> [f32; 16] {
    matrix.to_cols_array()
}

/// A hexagonal field whose heights are waves that run outwards, low in the middle and at the rim.
fn pillars(seconds: f32, into: &mut Vec<Instance>) {
    for q in -RINGS..=RINGS {
        for r in (-RINGS).max(-q - RINGS)..=RINGS.min(-q + RINGS) {
            let x = SPACING * 0.866 * q as f32;
            let z = SPACING * (r as f32 + q as f32 * 0.5);
            let distance = (x * x + z * z).sqrt();
            let wave = (distance * 0.55 - seconds * 1.1).sin() * 0.5
                + (x * 0.31 + seconds * 0.6).sin() * (z * 0.27 - seconds * 0.45).cos() * 0.5;
            let rim = smoothstep(RINGS as f32 * SPACING * 0.98, RINGS as f32 * SPACING * 0.55, distance);
            let basin = smoothstep(2.0, 8.5, distance);
            let height = 0.25 + rim * (0.5 + basin * (1.5 + 1.5 * wave));
            let layer = if (q - r).rem_euclid(3) == 0 { Layer::Terrazzo } else { Layer::Marble };
            let polished = (q + 2 * r).rem_euclid(7) == 0;
            into.push(Instance {
                position: [x, height - 0.4, z],
                scale: [0.98, height + 0.5, 0.98],
                rotation: Quat::from_rotation_y(std::f32::consts::FRAC_PI_6).to_array(),
                color: palette(height / 4.2, distance / 24.0).to_array(),
                surface: [
                    layer as u32 as f32,
                    if polished { 0.16 } else { 0.62 },
                    if polished { 0.75 } else { 0.0 },
                    0.0,
                ],
            });
        }
    }
}

/// From deep indigo in the valleys over teal to sand and coral on the crests.
fn palette(height: f32, distance: f32) -> Vec3 {
    let stops = [
        Vec3::new(0.12, 0.14, 0.36),
        Vec3::new(0.06, 0.36, 0.52),
        Vec3::new(0.14, 0.60, 0.58),
        Vec3::new(0.93, 0.75, 0.46),
        Vec3::new(0.95, 0.42, 0.28),
    ];
    let at = (height + 0.12 * distance).clamp(0.0, 0.999) * (stops.len() - 1) as f32;
    let lower = at as usize;
    // The stops are written as they look; light is linear.
    stops[lower].lerp(stops[lower + 1], at.fract()).powf(2.2)
}

/// Where an orb is, and its colour.
fn orb_at(orb: usize, seconds: f32) -> (Vec3, Vec3) {
    let colors = [
        Vec3::new(1.0, 0.45, 0.15),
        Vec3::new(0.15, 0.75, 1.0),
        Vec3::new(1.0, 0.25, 0.55),
        Vec3::new(0.30, 1.0, 0.60),
        Vec3::new(0.65, 0.35, 1.0),
        Vec3::new(1.0, 0.80, 0.30),
    ];
    let angle = seconds * 0.35 + orb as f32 * std::f32::consts::TAU / ORBS as f32;
    let radius = 9.0 + 2.2 * (seconds * 0.5 + orb as f32 * 1.7).sin();
    let height = 4.3 + 0.7 * (seconds * 0.9 + orb as f32 * 2.3).sin();
    (Vec3::new(angle.cos() * radius, height, angle.sin() * radius), colors[orb])
}

fn smoothstep(from: f32, to: f32, value: f32) -> f32 {
    let t = ((value - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
