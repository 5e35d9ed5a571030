//! Procedural meshes: a bevelled hexagonal pillar, a sphere, a torus knot, a disc.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use bytemuck::{Pod, Zeroable};
use glam::{Vec2, Vec3};

/// One vertex, as `scene.wgsl` reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct Vertex {
    position: [f32; 3],
    normal: [f32; 3],
    uv: [f32; 2],
}

impl Vertex {
    pub(crate) const ATTRIBUTES: [wgpu::VertexAttribute; 3] =
        wgpu::vertex_attr_array![0 => Float32x3, 1 => Float32x3, 2 => Float32x2];

    fn new(position: Vec3, normal: Vec3, uv: Vec2) -> Self {
        Self { position: position.to_array(), normal: normal.to_array(), uv: uv.to_array() }
    }
}

/// An indexed triangle list, counter-clockwise from outside.
#[derive(Debug, Default)]
pub(crate) struct Mesh {
    pub(crate) vertices: Vec<Vertex>,
    pub(crate) indices: Vec<u32>,
}

impl Mesh {
    /// A hexagonal pillar: its top at y = 0, its foot at y = -1, flat faces, a bevelled upper edge. Width 2.
    pub(crate) fn pillar() -> Self {
        let mut mesh = Self::default();
        let corner = |index: u32, radius: f32, height: f32| {
            let angle = TAU * index as f32 / 6.0 + FRAC_PI_2;
            Vec3::new(angle.cos() * radius, height, angle.sin() * radius)
        };
        let (bevel, depth) = (0.10, 0.05);
        for index in 0..6 {
            let next = index + 1;
            let outward = (corner(index, 1.0, 0.0) + corner(next, 1.0, 0.0)).normalize();
            mesh.quad(
                [
                    corner(index, 1.0, -1.0),
                    corner(next, 1.0, -1.0),
                    corner(next, 1.0, -depth),
                    corner(index, 1.0, -depth),
                ],
                outward,
                [Vec2::new(0.0, 0.5), Vec2::new(0.5, 0.5), Vec2::new(0.5, 0.02), Vec2::new(0.0, 0.02)],
            );
            mesh.quad(
                [
                    corner(index, 1.0, -depth),
                    corner(next, 1.0, -depth),
                    corner(next, 1.0 - bevel, 0.0),
                    corner(index, 1.0 - bevel, 0.0),
                ],
                (outward + Vec3::Y).normalize(),
                [Vec2::new(0.0, 0.02), Vec2::new(0.5, 0.02), Vec2::new(0.47, 0.0), Vec2::new(0.03, 0.0)],
            );
        }
        let centre = mesh.push(Vec3::ZERO, Vec3::Y, Vec2::splat(0.5));
        for index in 0..6 {
            let a = corner(index, 1.0 - bevel, 0.0);
            let b = corner(index + 1, 1.0 - bevel, 0.0);
            let first = mesh.push(a, Vec3::Y, Vec2::new(a.x, a.z) * 0.4 + 0.5);
            let second = mesh.push(b, Vec3::Y, Vec2::new(b.x, b.z) * 0.4 + 0.5);
            mesh.indices.extend([centre, second, first]);
        }
        mesh
    }

    /// A sphere of radius 1.
    pub(crate) fn sphere(rings: u32, segments: u32) -> Self {
        let mut mesh = Self::default();
        mesh.grid(rings, segments, |v, u| {
            let (polar, azimuth) = (v * PI, u * TAU);
            let normal = Vec3::new(polar.sin() * azimuth.cos(), polar.cos(), polar.sin() * azimuth.sin());
            (normal, normal, Vec2::new(u * 2.0, v))
        });
        mesh
    }

    /// A (2, 3) torus knot that fits in a sphere of radius about 1.5.
    pub(crate) fn torus_knot(steps: u32, sides: u32) -> Self {
        let path = |t: f32| {
            let (two, three) = (2.0 * t, 3.0 * t);
            let radius = 1.0 + 0.42 * three.cos();
            Vec3::new(radius * two.cos(), 0.55 * three.sin(), radius * two.sin())
        };
        let mut mesh = Self::default();
        mesh.grid(steps, sides, |along, around| {
            let t = along * TAU;
            let centre = path(t);
            let tangent = (path(t + 0.01) - path(t - 0.01)).normalize();
            let side = tangent.cross(centre.normalize()).normalize();
            let up = side.cross(tangent);
            let angle = around * TAU;
            let normal = up * angle.cos() + side * angle.sin();
            (centre + normal * 0.25, normal, Vec2::new(around * 2.0, along * 24.0))
        });
        mesh
    }

    /// A horizontal disc of radius 1, facing up, finer towards its centre.
    pub(crate) fn disc(rings: u32, segments: u32) -> Self {
        let mut mesh = Self::default();
        mesh.grid(rings, segments, |ring, around| {
            let (radius, angle) = (ring * ring, around * TAU);
            let position = Vec3::new(angle.cos() * radius, 0.0, angle.sin() * radius);
            (position, Vec3::Y, Vec2::new(position.x, position.z) * 40.0)
        });
        mesh
    }

    fn push(&mut self, position: Vec3, normal: Vec3, uv: Vec2) -> u32 {
        let index = self.vertices.len() as u32;
        self.vertices.push(Vertex::new(position, normal, uv));
        index
    }

    fn quad(&mut self, corners: [Vec3; 4], normal: Vec3, uvs: [Vec2; 4]) {
        let first = self.vertices.len() as u32;
        for (corner, uv) in corners.into_iter().zip(uvs) {
            self.push(corner, normal, uv);
        }
        let facing = (corners[1] - corners[0]).cross(corners[2] - corners[0]).dot(normal) > 0.0;
        let order = if facing { [0, 1, 2, 0, 2, 3] } else { [0, 2, 1, 0, 3, 2] };
        self.indices.extend(order.map(|index| first + index));
    }

    /// A parametric surface over the unit square; the winding follows the normals.
    fn grid(&mut self, rows: u32, columns: u32, surface: impl Fn(f32, f32) -> (Vec3, Vec3, Vec2)) {
        for row in 0..=rows {
            for column in 0..=columns {
                let (position, normal, uv) = surface(row as f32 / rows as f32, column as f32 / columns as f32);
                self.push(position, normal, uv);
            }
        }
        let stride = columns + 1;
        for row in 0..rows {
            for column in 0..columns {
                let a = row * stride + column;
                let (b, c, d) = (a + 1, a + stride, a + stride + 1);
                self.triangle(a, c, b);
                self.triangle(b, c, d);
            }
        }
    }

    /// Adds a triangle, turned so that it faces along its vertices' normals.
    fn triangle(&mut self, a: u32, b: u32, c: u32) {
        let at = |index: u32| Vec3::from(self.vertices[index as usize].position);
        let normal: Vec3 = [a, b, c].iter().map(|&i| Vec3::from(self.vertices[i as usize].normal)).sum();
        let facing = (at(b) - at(a)).cross(at(c) - at(a)).dot(normal) >= 0.0;
        self.indices.extend(if facing { [a, b, c] } else { [a, c, b] });
    }
}
