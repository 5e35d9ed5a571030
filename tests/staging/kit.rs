//! Devices, destinations, and reading them back.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::Duration;

use crate::support::skipped_without_adapter;

/// Hangs become failures.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
}

/// A device on the best adapter, with those of the features that it has; a named skip without one.
pub(crate) fn gpu(test: &str, features: wgpu::Features) -> Option<Gpu> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let gpu = open(&instance, features);
    if gpu.is_none() {
        skipped_without_adapter(test);
    }
    gpu
}

/// A device of that instance; `None` where it has no adapter.
pub(crate) fn open(instance: &wgpu::Instance, features: wgpu::Features) -> Option<Gpu> {
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).ok()?;
    let descriptor = wgpu::DeviceDescriptor {
        required_features: adapter.features() & features,
        required_limits: adapter.limits(),
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    Some(Gpu { device, queue })
}

/// A device that does nothing but keep its books: buffers are memory, submissions are done at once.
pub(crate) fn noop() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    Gpu { device, queue }
}

/// An instance whose devices do nothing.
pub(crate) fn noop_instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop.enable = true;
    wgpu::Instance::new(descriptor)
}

impl Gpu {
    pub(crate) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// A buffer that can be copied to and from.
    pub(crate) fn buffer(&self, size: u64) -> wgpu::Buffer {
        self.buffer_for(size, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC)
    }

    pub(crate) fn buffer_for(&self, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    }

    pub(crate) fn texture(&self, format: wgpu::TextureFormat, size: [u32; 3], mip_level_count: u32) -> wgpu::Texture {
        let [width, height, depth_or_array_layers] = size;
        self.device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width, height, depth_or_array_layers },
            mip_level_count,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        })
    }

    /// Submits an encoder and waits for it.
    pub(crate) fn run(&self, encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        let submission = self.queue.submit([encoder.finish()]);
        self.wait(Some(submission.clone()));
        submission
    }

    pub(crate) fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) {
        self.device.poll(wgpu::PollType::Wait { submission_index, timeout: Some(LONG) }).unwrap();
    }

    /// The bytes of a buffer, to the last word.
    pub(crate) fn read(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        let readback = Readback::new(self, buffer.size() / 4 * 4);
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(buffer, 0, &readback.0, 0, readback.0.size());
        self.run(encoder);
        readback.bytes(self)
    }

    /// The texels of a level of a texture, tightly.
    pub(crate) fn read_texture(&self, texture: &wgpu::Texture, mip_level: u32) -> Vec<u8> {
        let mut encoder = self.encoder();
        let rows = TextureReadback::record(self, &mut encoder, texture, mip_level);
        self.run(encoder);
        rows.texels(self)
    }
}

/// A buffer that the program reads.
pub(crate) struct Readback(pub(crate) wgpu::Buffer);

impl Readback {
    pub(crate) fn new(gpu: &Gpu, size: u64) -> Self {
        Self(gpu.buffer_for(size, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ))
    }

    /// Its bytes, after whatever writes them was submitted.
    pub(crate) fn bytes(&self, gpu: &Gpu) -> Vec<u8> {
        self.0.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
        gpu.wait(None);
        let bytes = self.0.get_mapped_range(..).unwrap().to_vec();
        self.0.unmap();
        bytes
    }
}

/// The texels of a level of a texture, with rows at the pitch of copies.
pub(crate) struct TextureReadback {
    readback: Readback,
    tight: usize,
    pitch: usize,
}

impl TextureReadback {
    pub(crate) fn record(
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        texture: &wgpu::Texture,
        mip_level: u32,
    ) -> Self {
        let format = texture.format();
        let (block_width, block_height) = format.block_dimensions();
        let width = (texture.width() >> mip_level).max(1).next_multiple_of(block_width);
        let height = (texture.height() >> mip_level).max(1).next_multiple_of(block_height);
        let tight = width / block_width * format.block_copy_size(None).unwrap();
        let pitch = tight.next_multiple_of(256);
        let rows = height / block_height;
        let layers = texture.depth_or_array_layers();
        let readback = Readback::new(gpu, u64::from(pitch) * u64::from(rows) * u64::from(layers));
        encoder.copy_texture_to_buffer(
            wgpu::TexelCopyTextureInfo { mip_level, ..texture.as_image_copy() },
            wgpu::TexelCopyBufferInfo {
                buffer: &readback.0,
                layout: wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(pitch),
                    rows_per_image: Some(rows),
                },
            },
            wgpu::Extent3d { width, height, depth_or_array_layers: layers },
        );
        Self { readback, tight: tight as usize, pitch: pitch as usize }
    }

    pub(crate) fn texels(&self, gpu: &Gpu) -> Vec<u8> {
        let bytes = self.readback.bytes(gpu);
        bytes.chunks(self.pitch).flat_map(|row| &row[..self.tight]).copied().collect()
    }
}

/// Numbers that look random (Marsaglia's xorshift), the same for the same seed.
pub(crate) struct Random(u64);

impl Random {
    /// Of `ENGINE_VITALS_SEED`, or 1.
    pub(crate) fn seeded(more: u64) -> Self {
        let seed = std::env::var("ENGINE_VITALS_SEED").map_or(1, |seed| seed.parse().expect("ENGINE_VITALS_SEED"));
        Self((seed * 0x9e37_79b9_7f4a_7c15) ^ (more + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `most`.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        (self.next() >> 16) % most
    }

    /// From 1 to 2^`bits`, each power of two as often as the next.
    pub(crate) fn size(&mut self, bits: u64) -> u64 {
        let power = self.below(bits + 1);
        1 + self.below(1 << power)
    }
}
