//! Procedural textures with mip chains: a linear tint in RGB, roughness variation in A.

/// The layers of the albedo array, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Layer {
    Marble,
    Brushed,
    Terrazzo,
    Paving,
}

impl Layer {
    pub(crate) const ALL: [Self; 4] = [Self::Marble, Self::Brushed, Self::Terrazzo, Self::Paving];

    /// Colour and roughness variation at `(x, y)` of a tile of `size` texels, each in 0..=1.
    fn texel(self, x: u32, y: u32, size: u32) -> [f32; 4] {
        let (u, v) = (x as f32 / size as f32, y as f32 / size as f32);
        match self {
            Self::Marble => {
                let warp = turbulence(u, v, 4, 5) * 2.2;
                let vein = ((u + v + warp) * std::f32::consts::TAU).sin().abs().powf(0.35);
                let grey = 0.72 + 0.28 * vein;
                [grey, grey * 0.99, grey * 0.97, 0.35 + 0.3 * (1.0 - vein)]
            }
            Self::Brushed => {
                let streak = value_noise(u, v, 128, 4, 11) * 0.6 + value_noise(u, v, 64, 2, 12) * 0.4;
                let grey = 0.84 + 0.16 * streak;
                [grey, grey, grey, 0.3 + 0.4 * streak]
            }
            Self::Terrazzo => {
                let chip = value_noise(u, v, 24, 24, 21);
                let grain = value_noise(u, v, 96, 96, 22);
                let grey = if chip > 0.62 { 0.98 } else { 0.78 } + 0.08 * (grain - 0.5);
                [grey, grey * 0.985, grey * 0.96, if chip > 0.62 { 0.25 } else { 0.6 }]
            }
            Self::Paving => {
                let cell = |t: f32| (t * 4.0).fract();
                let edge = cell(u).min(1.0 - cell(u)).min(cell(v).min(1.0 - cell(v)));
                let joint = (edge * 30.0).min(1.0);
                let grey = (0.62 + 0.25 * turbulence(u, v, 8, 31)) * (0.45 + 0.55 * joint);
                [grey, grey, grey * 1.04, 0.25 + 0.5 * (1.0 - joint) + 0.2 * turbulence(u, v, 16, 32)]
            }
        }
    }
}

/// All mips of one layer, largest first, RGBA8.
pub(crate) fn layer_mips(layer: Layer, size: u32) -> Vec<Vec<u8>> {
    let mut level: Vec<[f32; 4]> =
        (0..size * size).map(|index| layer.texel(index % size, index / size, size)).collect();
    let mut extent = size;
    let mut mips = Vec::new();
    loop {
        mips.push(level.iter().flat_map(|texel| texel.map(|value| (value.clamp(0.0, 1.0) * 255.0) as u8)).collect());
        if extent == 1 {
            return mips;
        }
        extent /= 2;
        level = (0..extent * extent).map(|index| box_filter(&level, index % extent, index / extent, extent)).collect();
    }
}

fn box_filter(level: &[[f32; 4]], x: u32, y: u32, extent: u32) -> [f32; 4] {
    let at = |dx: u32, dy: u32| level[((y * 2 + dy) * extent * 2 + x * 2 + dx) as usize];
    let corners = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)];
    std::array::from_fn(|channel| corners.iter().map(|texel| texel[channel]).sum::<f32>() / 4.0)
}

/// Tileable value noise in 0..=1, with its own number of cells along each axis.
fn value_noise(u: f32, v: f32, columns: u32, rows: u32, seed: u32) -> f32 {
    let (x, y) = (u * columns as f32, v * rows as f32);
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (fx, fy) = (smooth(x.fract()), smooth(y.fract()));
    let corner = |dx: u32, dy: u32| hash((x as u32 + dx) % columns, (y as u32 + dy) % rows, seed);
    let top = corner(0, 0) * (1.0 - fx) + corner(1, 0) * fx;
    let bottom = corner(0, 1) * (1.0 - fx) + corner(1, 1) * fx;
    top * (1.0 - fy) + bottom * fy
}

fn turbulence(u: f32, v: f32, cells: u32, seed: u32) -> f32 {
    (0..4).map(|octave| value_noise(u, v, cells << octave, cells << octave, seed + octave) / (2 << octave) as f32).sum()
}

fn hash(x: u32, y: u32, seed: u32) -> f32 {
    let mut state = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ seed.wrapping_mul(0xC2B2_AE3D);
    state ^= state >> 15;
    state = state.wrapping_mul(0x2C1B_3C6D);
    state ^= state >> 12;
    state = state.wrapping_mul(0x297A_2D39);
    state ^= state >> 15;
    (state & 0xFFFF) as f32 / 65535.0
}
