//! What the stages share: making things, reading them back, catching errors and panics.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// A device with all that it came from.
pub(crate) struct Gpu {
    pub(crate) instance: wgpu::Instance,
    pub(crate) adapter: wgpu::Adapter,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
}

/// An instance with the machine's drivers, or with what `WGPU_BACKEND` says.
pub(crate) fn gpu_instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env())
}

/// An instance with OpenGL alone.
pub(crate) fn gl_instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::GL;
    wgpu::Instance::new(descriptor)
}

/// An instance of the backend that does nothing.
pub(crate) fn noop_instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    // Its own limits and formats are more than wgpu itself can cope with.
    let limits = wgpu::Limits {
        max_immediate_size: 128,
        max_binding_array_elements_per_shader_stage: 64,
        max_binding_array_sampler_elements_per_shader_stage: 64,
        ..wgpu::Limits::default()
    };
    descriptor.backend_options.noop = wgpu::NoopBackendOptions {
        enable: true,
        limits: Some(limits.using_minimum_supported_acceleration_structure_values()),
        features: Some(wgpu::Features::all() - wgpu::Features::TEXTURE_ADAPTER_SPECIFIC_FORMAT_FEATURES),
        ..Default::default()
    };
    wgpu::Instance::new(descriptor)
}

impl Gpu {
    /// The best adapter and a device with nearly all that it can do; `None` without an adapter.
    pub(crate) fn open(instance: &wgpu::Instance) -> Option<Self> {
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).ok()?;
        let (device, queue) = request_device(&adapter, "scene");
        Some(Self { instance: instance.clone(), adapter, device, queue })
    }

    /// Another device of the same adapter.
    pub(crate) fn another(&self, label: &str) -> Self {
        let (device, queue) = request_device(&self.adapter, label);
        Self { instance: self.instance.clone(), adapter: self.adapter.clone(), device, queue }
    }

    pub(crate) fn has(&self, features: wgpu::Features) -> bool {
        self.device.features().contains(features)
    }

    /// Waits until all that was submitted is done.
    pub(crate) fn wait(&self) {
        self.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    }

    pub(crate) fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        })
    }

    /// A buffer that holds `bytes`.
    pub(crate) fn filled(&self, label: &str, bytes: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let size = bytes.len() as u64;
        let buffer = self.buffer(label, size, usage | wgpu::BufferUsages::COPY_DST);
        self.queue.write_buffer(&buffer, 0, bytes);
        buffer
    }

    /// A texture of one sample with one mip and one layer.
    pub(crate) fn texture(
        &self,
        label: &str,
        (width, height): (u32, u32),
        format: wgpu::TextureFormat,
        usage: wgpu::TextureUsages,
    ) -> wgpu::Texture {
        self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage,
            view_formats: &[],
        })
    }

    pub(crate) fn shader(&self, label: &str, source: &str) -> wgpu::ShaderModule {
        let source = wgpu::ShaderSource::Wgsl(source.into());
        self.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(label), source })
    }

    pub(crate) fn encoder(&self, label: &str) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(label) })
    }

    /// Submits what `record` records.
    pub(crate) fn submit(&self, label: &str, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> wgpu::SubmissionIndex {
        let mut encoder = self.encoder(label);
        record(&mut encoder);
        self.queue.submit([encoder.finish()])
    }

    /// What a buffer with `COPY_SRC` holds.
    pub(crate) fn read(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
        let readback = self.buffer("readback", buffer.size(), usage);
        self.submit("readback", |encoder| encoder.copy_buffer_to_buffer(buffer, 0, &readback, 0, None));
        self.read_mapped(&readback)
    }

    /// What a buffer with `MAP_READ` holds.
    pub(crate) fn read_mapped(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        buffer.slice(..).map_async(wgpu::MapMode::Read, |result| result.unwrap());
        self.wait();
        let bytes = buffer.get_mapped_range(..).unwrap().to_vec();
        buffer.unmap();
        bytes
    }

    /// What one mip of a texture with `COPY_SRC` holds, all layers, rows tightly packed.
    pub(crate) fn read_texture(&self, texture: &wgpu::Texture, mip_level: u32) -> Vec<u8> {
        self.read_aspect(texture, mip_level, wgpu::TextureAspect::All)
    }

    pub(crate) fn read_aspect(&self, texture: &wgpu::Texture, mip_level: u32, aspect: wgpu::TextureAspect) -> Vec<u8> {
        let whole = wgpu::Extent3d { ..texture.size() };
        let size = whole.mip_level_size(mip_level, texture.dimension()).physical_size(texture.format());
        let (block_width, block_height) = texture.format().block_dimensions();
        let texel_bytes = texture.format().block_copy_size(Some(aspect)).unwrap();
        let (row, rows) = (size.width / block_width * texel_bytes, size.height / block_height);
        let padded = row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let bytes = u64::from(padded) * u64::from(rows) * u64::from(size.depth_or_array_layers);
        let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
        let readback = self.buffer("readback", bytes, usage);
        self.submit("readback", |encoder| {
            encoder.copy_texture_to_buffer(
                wgpu::TexelCopyTextureInfo { texture, mip_level, origin: wgpu::Origin3d::ZERO, aspect },
                wgpu::TexelCopyBufferInfo { buffer: &readback, layout: layout(padded, rows) },
                size,
            );
        });
        let padded_rows = self.read_mapped(&readback);
        padded_rows.chunks_exact(padded as usize).flat_map(|line| &line[..row as usize]).copied().collect()
    }

    /// What a scope of `filter` catches of `work`.
    pub(crate) fn scoped(&self, filter: wgpu::ErrorFilter, work: impl FnOnce()) -> Option<wgpu::Error> {
        let scope = self.device.push_error_scope(filter);
        work();
        pollster::block_on(scope.pop())
    }

    /// What a scope for validation errors catches of `work`.
    pub(crate) fn invalid(&self, work: impl FnOnce()) -> Option<wgpu::Error> {
        self.scoped(wgpu::ErrorFilter::Validation, work)
    }
}

fn request_device(adapter: &wgpu::Adapter, label: &str) -> (wgpu::Device, wgpu::Queue) {
    let descriptor = wgpu::DeviceDescriptor {
        label: Some(label),
        required_features: wanted(adapter.features()),
        required_limits: adapter.limits(),
        experimental_features: experimental(adapter.features()),
        ..Default::default()
    };
    pollster::block_on(adapter.request_device(&descriptor)).unwrap()
}

/// All that the adapter offers, but for what is experimental (ray queries apart) or for other programs' memory.
fn wanted(offered: wgpu::Features) -> wgpu::Features {
    let left_out = wgpu::Features::all_experimental_mask().difference(wgpu::Features::EXPERIMENTAL_RAY_QUERY)
        | wgpu::Features::MAPPABLE_PRIMARY_BUFFERS
        | wgpu::Features::VULKAN_EXTERNAL_MEMORY_FD
        | wgpu::Features::VULKAN_EXTERNAL_MEMORY_DMA_BUF;
    offered.difference(left_out)
}

fn experimental(offered: wgpu::Features) -> wgpu::ExperimentalFeatures {
    if !offered.contains(wgpu::Features::EXPERIMENTAL_RAY_QUERY) {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: the scene builds each acceleration structure before it is read, with triangles that are valid.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

/// Rows of a buffer that is copied to or from a texture.
pub(crate) fn layout(bytes_per_row: u32, rows_per_image: u32) -> wgpu::TexelCopyBufferLayout {
    let (bytes_per_row, rows_per_image) = (Some(bytes_per_row), Some(rows_per_image));
    wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row, rows_per_image }
}

pub(crate) fn extent(width: u32, height: u32, depth_or_array_layers: u32) -> wgpu::Extent3d {
    wgpu::Extent3d { width, height, depth_or_array_layers }
}

/// Kind and text, with what caused it.
pub(crate) fn describe(error: &wgpu::Error) -> String {
    let kind = match error {
        wgpu::Error::OutOfMemory { .. } => "out of memory",
        wgpu::Error::Validation { .. } => "validation",
        wgpu::Error::Internal { .. } => "internal",
    };
    let mut text = format!("{kind}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text} <- {inner}");
        cause = inner.source();
    }
    text
}

/// The message of the panic in `work`.
pub(crate) fn panic_of(work: impl FnOnce()) -> String {
    static HOOK: Once = Once::new();
    thread_local!(static EXPECTED: Cell<bool> = const { Cell::new(false) });
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                print(info);
            }
        }));
    });
    EXPECTED.set(true);
    let ended = catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(false);
    match ended {
        Ok(()) => "no panic".to_owned(),
        Err(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => {
                payload.downcast::<&str>().map_or("a panic without text".to_owned(), |text| (*text).to_owned())
            }
        },
    }
}

/// `n` bytes that tell their place and `seed`.
pub(crate) fn pattern(n: usize, seed: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 7 + i / 251 + seed * 31) as u8).collect()
}
