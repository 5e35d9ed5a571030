//! Random writes into buffers and textures, frame after frame, compared byte for byte with what was written.

use std::collections::VecDeque;

use engine_vitals::Probe;
use engine_vitals::resources::staging::{StagingConfig, StagingError, StagingRing, StallPolicy, StalledOn};

use crate::kit::{self, Gpu, LONG, Random, Readback};

/// Frames whose results are on their way while the next are written.
const AHEAD: usize = 3;
const SMALL: u64 = 64 << 10;
const LARGE: u64 = (64 << 20) + 4096;
const TEXTURE: [u32; 2] = [61, 37];
/// Of the frames, one in so many writes up to 64 MiB.
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

/// The destinations, and what must be in them.
struct World<'a> {
    gpu: &'a Gpu,
    ring: StagingRing,
    random: Random,
    /// Where the bytes to write are taken from.
    noise: Vec<u8>,
    small: wgpu::Buffer,
    large: wgpu::Buffer,
    textures: [wgpu::Texture; 2],
    expected_small: Vec<u8>,
    expected_large: Vec<u8>,
    expected_textures: [Vec<u8>; 2],
    written: u64,
}

/// What a frame must have left, and where it can be read.
struct Frame {
    number: u64,
    readbacks: [Readback; 3],
    expected: [Vec<u8>; 3],
    submission: Option<wgpu::SubmissionIndex>,
}

fn random_frames(test: &str, ring_count: u32) {
    let Some(gpu) = kit::gpu(test, wgpu::Features::empty()) else { return };
    let mut world = World::new(&gpu, ring_count);
    let mut ahead: VecDeque<Frame> = VecDeque::new();
    let mut spare: Vec<[Readback; 3]> = Vec::new();
    for number in 0..frames() {
        for _ in 0..1 + world.random.below(6) {
            world.write();
        }
        if number % LARGE_EVERY == LARGE_EVERY / 2 {
            world.write_large(number < LARGE_EVERY);
        }
        let readbacks = spare.pop().unwrap_or_else(|| world.readbacks());
        let mut encoder = gpu.encoder();
        world.ring.flush(&mut encoder);
        world.read(&mut encoder, &readbacks);
        let submission = gpu.queue.submit([encoder.finish()]);
        world.ring.advance_ring(submission.clone());
        for readback in &readbacks {
            readback.0.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
        }
        let expected = world.expected();
        ahead.push_back(Frame { number, readbacks, expected, submission: Some(submission) });
        if ahead.len() > AHEAD {
            spare.extend(ahead.pop_front().map(|frame| frame.compare(&gpu)));
        }
    }
    ahead.into_iter().for_each(|frame| drop(frame.compare(&gpu)));
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
        let [width, height] = TEXTURE;
        let texels = (width * height) as usize;
        Self {
            gpu,
            ring: StagingRing::with_config(&gpu.device, Probe::OFF, "frames", config),
            noise: (0..(64 << 20) / 8 + 1).flat_map(|_| random.next().to_le_bytes()).collect(),
            random,
            small: gpu.buffer(SMALL),
            large: gpu.buffer(LARGE),
            textures: [
                gpu.texture(wgpu::TextureFormat::R8Uint, [width, height, 1], 1),
                gpu.texture(wgpu::TextureFormat::Rgba8Uint, [width, height, 2], 1),
            ],
            expected_small: vec![0; SMALL as usize],
            expected_large: vec![0; LARGE as usize],
            expected_textures: [vec![0; texels], vec![0; 2 * 4 * texels]],
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
        let which = self.random.below(2) as usize;
        let (texel, layers) = ([1, 4][which], [1, 2][which]);
        let [width, height] = TEXTURE;
        let size = [width, height, layers].map(|most| 1 + self.random.below(most.into()) as u32);
        let origin = std::array::from_fn(|axis| {
            self.random.below(u64::from([width, height, layers][axis] - size[axis] + 1)) as u32
        });
        let [wide, high, deep] = size;
        let row = wide * texel;
        // Sometimes the data has gaps of its own.
        let pitch = row + self.random.below(3) as u32 * 5;
        let image = high + self.random.below(2) as u32;
        let noise = self.noise(u64::from(pitch) * u64::from(image) * u64::from(deep));
        let (texture, gpu) = (&self.textures[which], self.gpu);
        let [x, y, z]: [u32; 3] = origin;
        let to = wgpu::TexelCopyTextureInfo { origin: wgpu::Origin3d { x, y, z }, ..texture.as_image_copy() };
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(pitch), rows_per_image: Some(image) };
        let extent = wgpu::Extent3d { width: wide, height: high, depth_or_array_layers: deep };
        let data = &self.noise[noise];
        write(gpu, &mut self.ring, |ring| ring.write_texture(to, data, layout, extent));
        for layer in 0..deep {
            for line in 0..high {
                let from = ((layer * image + line) * pitch) as usize;
                let to = ((((z + layer) * height + y + line) * width + x) * texel) as usize;
                self.expected_textures[which][to..to + row as usize].copy_from_slice(&data[from..from + row as usize]);
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
        let mut encoder = gpu.encoder();
        self.ring.flush(&mut encoder);
        let submission = gpu.run(encoder);
        self.ring.advance_ring(submission);
        assert!(gpu.read(&self.large) == self.expected_large, "the large buffer differs");
    }

    fn readbacks(&self) -> [Readback; 3] {
        let [width, height] = TEXTURE;
        let texels = u64::from(width.max(256)) * u64::from(height);
        [SMALL, texels, 2 * texels].map(|size| Readback::new(self.gpu, size))
    }

    fn read(&self, encoder: &mut wgpu::CommandEncoder, readbacks: &[Readback; 3]) {
        let [small, textures @ ..] = readbacks;
        encoder.copy_buffer_to_buffer(&self.small, 0, &small.0, 0, SMALL);
        for (texture, readback) in self.textures.iter().zip(textures) {
            encoder.copy_texture_to_buffer(
                texture.as_image_copy(),
                wgpu::TexelCopyBufferInfo {
                    buffer: &readback.0,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset: 0,
                        bytes_per_row: Some(256),
                        rows_per_image: Some(TEXTURE[1]),
                    },
                },
                texture.size(),
            );
        }
    }

    fn expected(&self) -> [Vec<u8>; 3] {
        let [one, four] = &self.expected_textures;
        [self.expected_small.clone(), one.clone(), four.clone()]
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
    fn compare(self, gpu: &Gpu) -> [Readback; 3] {
        gpu.wait(self.submission);
        let [width, height] = TEXTURE.map(|texels| texels as usize);
        for (index, (readback, expected)) in self.readbacks.iter().zip(&self.expected).enumerate() {
            let bytes = readback.0.get_mapped_range(..).unwrap();
            let row = width * [0, 1, 4][index];
            let same = match index {
                0 => bytes[..] == expected[..],
                _ => bytes
                    .chunks(256)
                    .zip(expected.chunks(row))
                    .all(|(row, expected)| row[..expected.len()] == *expected),
            };
            assert!(same, "frame {}, destination {index} of {height} rows differs", self.number);
            drop(bytes);
            readback.0.unmap();
        }
        self.readbacks
    }
}
