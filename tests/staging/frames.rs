//! Random writes into buffers and textures, frame after frame, compared byte for byte with what was written.

use std::collections::VecDeque;

use engine_vitals::Probe;
use engine_vitals::resources::staging::{StagingConfig, StagingError, StagingRing, StallPolicy, StalledOn};

use crate::kit::{self, Gpu, LONG, Random, Readback};

/// Frames whose results are on their way while the next are written.
const AHEAD: usize = 3;
const SMALL: u64 = 64 << 10;
const LARGE: u64 = (64 << 20) + 4096;
/// Textures by their width, height and layers, bytes of a texel, and levels. A row is at most 256 bytes, the pitch of copies.
const TEXTURES: [([u32; 3], u32, u32); 3] = [([61, 37, 1], 1, 1), ([61, 37, 2], 4, 1), ([53, 40, 3], 4, 5)];
/// The side of a texture of 64 MiB.
const LARGE_SIDE: u32 = 4096;
/// Of the frames, one in so many writes up to 64 MiB: into a buffer, and into a texture by turns.
const LARGE_EVERY: u64 = 500;

fn frames() -> u64 {
    std::env::var("ENGINE_VITALS_SOAK_FRAMES")
        .map_or(1_000, |frames| frames.parse().expect("ENGINE_VITALS_SOAK_FRAMES"))
}

#[test]
fn what_is_written_arrives_with_one_buffer() {
    random_frames("what_is_written_arrives_with_one_buffer", 1);
}

#[test]
fn what_is_written_arrives_with_two_buffers() {
    random_frames("what_is_written_arrives_with_two_buffers", 2);
}

#[test]
fn what_is_written_arrives_with_three_buffers() {
    random_frames("what_is_written_arrives_with_three_buffers", 3);
}

/// More than the caches hold: the last pieces go past them, each where the one before it ended.
#[test]
fn a_long_upload_in_pieces_arrives() {
    let Some(gpu) = kit::gpu("a_long_upload_in_pieces_arrives", wgpu::Features::empty()) else { return };
    let mut random = Random::seeded(20);
    let data: Vec<u8> = (0..(20 << 20) / 8).flat_map(|_| random.next().to_le_bytes()).collect();
    let target = gpu.buffer(data.len() as u64);
    let mut ring = StagingRing::new(&gpu.device, 1, 32 << 20);
    let mut at = 0;
    while at < data.len() {
        let bytes = (4 * random.size(15) as usize).min(data.len() - at);
        ring.write_buffer(&target, at as u64, &data[at..at + bytes]).unwrap();
        at += bytes;
    }
    let mut encoder = gpu.encoder();
    assert_eq!(ring.flush(&mut encoder), 1, "{:?}", ring.stats());
    ring.advance_ring(gpu.run(encoder));
    assert!(gpu.read(&target) == data);
}

/// The destinations, and what must be in them.
struct World<'a> {
    gpu: &'a Gpu,
    ring: StagingRing,
    random: Random,
    /// Where the bytes to write are taken from.
    noise: Vec<u8>,
    small: wgpu::Buffer,
    large: wgpu::Buffer,
    large_texture: wgpu::Texture,
    levels: Vec<Level>,
    expected_small: Vec<u8>,
    expected_large: Vec<u8>,
    expected_large_texture: Vec<u8>,
    written: u64,
}

/// A level of a texture.
struct Level {
    texture: wgpu::Texture,
    mip_level: u32,
    size: [u32; 3],
    texel: u32,
    /// Tightly, layer after layer.
    expected: Vec<u8>,
    /// Where a frame's readback has it.
    at: u64,
}

/// What a frame must have left, and where it can be read.
struct Frame {
    number: u64,
    readback: Readback,
    small: Vec<u8>,
    levels: Vec<Vec<u8>>,
    submission: Option<wgpu::SubmissionIndex>,
}

fn random_frames(test: &str, ring_count: u32) {
    let Some(gpu) = kit::gpu(test, wgpu::Features::empty()) else { return };
    let mut world = World::new(&gpu, ring_count);
    let mut ahead: VecDeque<Frame> = VecDeque::new();
    let mut spare: Vec<Readback> = Vec::new();
    for number in 0..frames() {
        for _ in 0..1 + world.random.below(6) {
            world.write();
        }
        if number % LARGE_EVERY == LARGE_EVERY / 2 {
            let most = number < 2 * LARGE_EVERY;
            if (number / LARGE_EVERY).is_multiple_of(2) {
                world.write_large(most);
            } else {
                world.write_large_texture(most);
            }
        }
        let readback = spare.pop().unwrap_or_else(|| world.readback());
        let mut encoder = gpu.encoder();
        world.ring.flush(&mut encoder);
        world.read(&mut encoder, &readback);
        let submission = gpu.queue.submit([encoder.finish()]);
        world.ring.advance_ring(submission.clone());
        readback.0.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
        let levels = world.levels.iter().map(|level| level.expected.clone()).collect();
        let small = world.expected_small.clone();
        ahead.push_back(Frame { number, readback, small, levels, submission: Some(submission) });
        if ahead.len() > AHEAD {
            spare.extend(ahead.pop_front().map(|frame| frame.compare(&world)));
        }
    }
    ahead.into_iter().for_each(|frame| drop(frame.compare(&world)));
    let stats = world.ring.stats();
    assert_eq!((stats.buffers, stats.grown, stats.written_bytes), (ring_count, 0, world.written), "{stats:?}");
    assert!(stats.wraps > 0 && stats.merged > 0 && stats.edges > 0 && stats.dedicated > 0, "{stats:?}");
    assert_eq!((stats.dropped_bytes, stats.broken), (0, 0), "{stats:?}");
}

impl<'a> World<'a> {
    fn new(gpu: &'a Gpu, ring_count: u32) -> Self {
        let mut random = Random::seeded(ring_count.into());
        let config = StagingConfig {
            ring_count,
            buffer_size: 32 << 10,
            stall: StallPolicy::Wait { timeout: LONG },
            most_dedicated_bytes: 200 << 20,
            ..StagingConfig::default()
        };
        let mut levels = Vec::new();
        let mut at = SMALL;
        for (size, texel, mips) in TEXTURES {
            let format = if texel == 1 { wgpu::TextureFormat::R8Uint } else { wgpu::TextureFormat::Rgba8Uint };
            let texture = gpu.texture(format, size, mips);
            for mip_level in 0..mips {
                let size = [size[0] >> mip_level, size[1] >> mip_level, size[2]];
                let expected = vec![0; (size.iter().product::<u32>() * texel) as usize];
                levels.push(Level { texture: texture.clone(), mip_level, size, texel, expected, at });
                at += 256 * u64::from(size[1] * size[2]);
            }
        }
        Self {
            gpu,
            ring: StagingRing::with_config(&gpu.device, Probe::OFF, "frames", config),
            noise: (0..(64 << 20) / 8 + 1).flat_map(|_| random.next().to_le_bytes()).collect(),
            random,
            small: gpu.buffer(SMALL),
            large: gpu.buffer(LARGE),
            large_texture: gpu.texture(wgpu::TextureFormat::Rgba8Uint, [LARGE_SIDE, LARGE_SIDE, 1], 1),
            levels,
            expected_small: vec![0; SMALL as usize],
            expected_large: vec![0; LARGE as usize],
            expected_large_texture: vec![0; 4 * (LARGE_SIDE * LARGE_SIDE) as usize],
            written: 0,
        }
    }

    /// One write into something small.
    fn write(&mut self) {
        match self.random.below(6) {
            0..3 => self.write_buffer(),
            3 => self.write_neighbours(),
            4 => self.write_reserved(),
            _ => self.write_texture(),
        }
    }

    fn noise(&mut self, bytes: u64) -> std::ops::Range<usize> {
        let begin = self.random.below(self.noise.len() as u64 - bytes + 1) as usize;
        begin..begin + bytes as usize
    }

    fn write_buffer(&mut self) {
        let bytes = self.random.size(16);
        let offset = self.random.below(SMALL - bytes + 1);
        self.write_there(offset, bytes);
    }

    fn write_neighbours(&mut self) {
        let mut offset = self.random.below(SMALL / 2);
        for _ in 0..4 {
            let bytes = self.random.size(7);
            self.write_there(offset, bytes);
            offset += bytes;
        }
    }

    fn write_there(&mut self, offset: u64, bytes: u64) {
        let noise = self.noise(bytes);
        let (small, gpu) = (&self.small, self.gpu);
        let data = &self.noise[noise];
        write(gpu, &mut self.ring, |ring| ring.write_buffer(small, offset, data));
        self.expected_small[offset as usize..][..data.len()].copy_from_slice(data);
        self.written += bytes;
    }

    fn write_reserved(&mut self) {
        let bytes = self.random.size(15);
        let offset = self.random.below((SMALL - bytes) / 4 + 1) * 4;
        let align = 1 << self.random.below(10);
        let noise = self.noise(bytes);
        let (small, gpu) = (&self.small, self.gpu);
        let data = &self.noise[noise];
        write(gpu, &mut self.ring, |ring| {
            let mut slice = ring.reserve(bytes, align)?;
            slice.bytes().copy_from_slice(data);
            slice.copy_to_buffer(small, offset)
        });
        self.expected_small[offset as usize..][..data.len()].copy_from_slice(data);
        self.written += bytes;
    }

    fn write_texture(&mut self) {
        let which = self.random.below(self.levels.len() as u64) as usize;
        let Level { size: has, texel, mip_level, .. } = self.levels[which];
        let [width, height, _] = has;
        let size = has.map(|most| 1 + self.random.below(most.into()) as u32);
        let origin = std::array::from_fn(|axis| self.random.below(u64::from(has[axis] - size[axis] + 1)) as u32);
        let [wide, high, deep] = size;
        let row = wide * texel;
        // Sometimes the data has gaps of its own.
        let pitch = row + self.random.below(3) as u32 * 5;
        let image = high + self.random.below(2) as u32;
        let noise = self.noise(u64::from(pitch) * u64::from(image) * u64::from(deep));
        let (level, gpu) = (&mut self.levels[which], self.gpu);
        let [x, y, z]: [u32; 3] = origin;
        let origin = wgpu::Origin3d { x, y, z };
        let to = wgpu::TexelCopyTextureInfo { origin, mip_level, ..level.texture.as_image_copy() };
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(pitch), rows_per_image: Some(image) };
        let extent = wgpu::Extent3d { width: wide, height: high, depth_or_array_layers: deep };
        let data = &self.noise[noise];
        write(gpu, &mut self.ring, |ring| ring.write_texture(to, data, layout, extent));
        for layer in 0..deep {
            for line in 0..high {
                let from = ((layer * image + line) * pitch) as usize;
                let to = ((((z + layer) * height + y + line) * width + x) * texel) as usize;
                level.expected[to..to + row as usize].copy_from_slice(&data[from..from + row as usize]);
            }
        }
        self.written += u64::from(row * high * deep);
    }

    fn write_large(&mut self, most: bool) {
        let bytes = if most { 64 << 20 } else { 1 + self.random.below(64 << 20) };
        let offset = self.random.below(LARGE - bytes + 1);
        let noise = self.noise(bytes);
        let (large, gpu) = (&self.large, self.gpu);
        let data = &self.noise[noise];
        write(gpu, &mut self.ring, |ring| ring.write_buffer(large, offset, data));
        self.expected_large[offset as usize..][..data.len()].copy_from_slice(data);
        self.written += bytes;
        self.run();
        assert!(gpu.read(&self.large) == self.expected_large, "the large buffer differs");
    }

    fn write_large_texture(&mut self, most: bool) {
        let side = u64::from(LARGE_SIDE);
        let size = [(); 2].map(|()| if most { side } else { 1 + self.random.below(side) });
        let origin = size.map(|texels| self.random.below(side - texels + 1));
        let noise = self.noise(4 * size[0] * size[1]);
        let data = &self.noise[noise];
        let ([wide, high], [x, y]) = (size.map(|texels| texels as u32), origin.map(|texels| texels as u32));
        let origin = wgpu::Origin3d { x, y, z: 0 };
        let to = wgpu::TexelCopyTextureInfo { origin, ..self.large_texture.as_image_copy() };
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * wide), rows_per_image: None };
        let extent = wgpu::Extent3d { width: wide, height: high, depth_or_array_layers: 1 };
        write(self.gpu, &mut self.ring, |ring| ring.write_texture(to, data, layout, extent));
        for (line, row) in data.chunks(4 * wide as usize).enumerate() {
            let to = 4 * ((y as usize + line) * LARGE_SIDE as usize + x as usize);
            self.expected_large_texture[to..to + row.len()].copy_from_slice(row);
        }
        self.written += data.len() as u64;
        self.run();
        // A row of it is a multiple of the pitch of copies: the bytes lie in a buffer as they do here.
        let whole = self.gpu.buffer(4 * side * side);
        let mut encoder = self.gpu.encoder();
        let bytes_per_row = Some(4 * LARGE_SIDE);
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row, rows_per_image: None };
        encoder.copy_texture_to_buffer(
            self.large_texture.as_image_copy(),
            wgpu::TexelCopyBufferInfo { buffer: &whole, layout },
            self.large_texture.size(),
        );
        self.gpu.run(encoder);
        assert!(self.gpu.read(&whole) == self.expected_large_texture, "the large texture differs");
    }

    fn run(&mut self) {
        let mut encoder = self.gpu.encoder();
        self.ring.flush(&mut encoder);
        let submission = self.gpu.run(encoder);
        self.ring.advance_ring(submission);
    }

    fn readback(&self) -> Readback {
        let levels = self.levels.iter().map(|level| 256 * u64::from(level.size[1] * level.size[2]));
        Readback::new(self.gpu, SMALL + levels.sum::<u64>())
    }

    fn read(&self, encoder: &mut wgpu::CommandEncoder, readback: &Readback) {
        encoder.copy_buffer_to_buffer(&self.small, 0, &readback.0, 0, SMALL);
        for Level { texture, mip_level, size, at, .. } in &self.levels {
            let [width, height, depth_or_array_layers] = *size;
            let layout =
                wgpu::TexelCopyBufferLayout { offset: *at, bytes_per_row: Some(256), rows_per_image: Some(height) };
            encoder.copy_texture_to_buffer(
                wgpu::TexelCopyTextureInfo { mip_level: *mip_level, ..texture.as_image_copy() },
                wgpu::TexelCopyBufferInfo { buffer: &readback.0, layout },
                wgpu::Extent3d { width, height, depth_or_array_layers },
            );
        }
    }
}

/// Writes; where all buffers are filled, what is in them is submitted first.
fn write(gpu: &Gpu, ring: &mut StagingRing, mut call: impl FnMut(&mut StagingRing) -> Result<(), StagingError>) {
    // A texture may be written in part before it stalls, and is then written again.
    for _ in 0..8 {
        match call(ring) {
            Ok(()) => return,
            Err(StagingError::WouldStall { on: StalledOn::AFlush }) => {
                let mut encoder = gpu.encoder();
                ring.flush(&mut encoder);
                let submission = gpu.queue.submit([encoder.finish()]);
                ring.advance_ring(submission);
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it stalls for ever: {:?}", ring.stats());
}

impl Frame {
    fn compare(self, world: &World<'_>) -> Readback {
        world.gpu.wait(self.submission);
        let bytes = self.readback.0.get_mapped_range(..).unwrap();
        assert!(bytes[..SMALL as usize] == self.small[..], "frame {}: the buffer differs", self.number);
        for (level, expected) in world.levels.iter().zip(&self.levels) {
            let row = (level.size[0] * level.texel) as usize;
            let rows = bytes[level.at as usize..].chunks(256).zip(expected.chunks(row));
            let same = rows.into_iter().all(|(row, expected)| row[..expected.len()] == *expected);
            assert!(same, "frame {}: level {} of {:?} differs", self.number, level.mip_level, level.texture.size());
        }
        drop(bytes);
        self.readback.0.unmap();
        self.readback
    }
}
