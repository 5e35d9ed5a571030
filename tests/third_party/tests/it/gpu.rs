//! A device of an instance, and the way of texels and buffers back to the CPU.

use std::cell::RefCell;

use wgpu::util::{DeviceExt, TextureDataOrder};

/// What looks at a device.
type Look = Box<dyn Fn(&wgpu::Device)>;

thread_local! {
    static AT_THE_END: RefCell<Option<Look>> = const { RefCell::new(None) };
}

/// Runs `draw`, with `look` called when it reads its picture back.
pub(crate) fn at_the_end<R>(look: impl Fn(&wgpu::Device) + 'static, draw: impl FnOnce() -> R) -> R {
    AT_THE_END.set(Some(Box::new(look)));
    let drawn = draw();
    AT_THE_END.set(None);
    drawn
}

/// Every picture here has this size; a row of its texels needs no padding to be copied.
pub(crate) const SIZE: wgpu::Extent3d = wgpu::Extent3d { width: 256, height: 192, depth_or_array_layers: 1 };

/// An instance as the environment asks for it.
pub(crate) fn plain() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env())
}

/// True if there is anything to draw with.
pub(crate) fn available() -> bool {
    pollster::block_on(plain().request_adapter(&wgpu::RequestAdapterOptions::default())).is_ok()
}

/// True if these backends have an adapter.
pub(crate) fn available_on(backends: wgpu::Backends) -> bool {
    let descriptor =
        wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle_from_env() };
    let adapter = wgpu::Instance::new(descriptor).request_adapter(&wgpu::RequestAdapterOptions::default());
    pollster::block_on(adapter).is_ok()
}

/// What a crate is given. The instance is kept for those that ask for it.
#[derive(Debug)]
pub(crate) struct Gpu {
    pub(crate) instance: wgpu::Instance,
    pub(crate) adapter: wgpu::Adapter,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
}

impl Gpu {
    /// A device with those of `features` that the adapter has, and its limits.
    pub(crate) fn new(instance: wgpu::Instance, features: wgpu::Features) -> Self {
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("third party"),
            required_features: adapter.features() & features,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
        Self { instance, adapter, device, queue }
    }

    /// A texture of [`SIZE`] to draw into.
    pub(crate) fn target(&self, format: wgpu::TextureFormat, usage: wgpu::TextureUsages) -> wgpu::Texture {
        self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("target"),
            size: SIZE,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: usage | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        })
    }

    /// A small picture with one colour per texel.
    pub(crate) fn picture(&self) -> wgpu::Texture {
        let texels: Vec<u8> = (0..16 * 16_u32).flat_map(|i| [(i * 7) as u8, (i * 13) as u8, i as u8, 255]).collect();
        let descriptor = wgpu::TextureDescriptor {
            label: Some("picture"),
            size: wgpu::Extent3d { width: 16, height: 16, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8UnormSrgb,
            usage: wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        };
        self.device.create_texture_with_data(&self.queue, &descriptor, TextureDataOrder::LayerMajor, &texels)
    }

    /// The texels of a 4-byte format, row by row. All that was drawn with is there still: whoever [waits](at_the_end) for that is called.
    pub(crate) fn texels(&self, texture: &wgpu::Texture) -> Vec<u8> {
        AT_THE_END.with_borrow(|look| {
            if let Some(look) = look {
                look(&self.device);
            }
        });
        let row = SIZE.width * 4;
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: u64::from(row * SIZE.height),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None };
        let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
        encoder.copy_texture_to_buffer(texture.as_image_copy(), to, SIZE);
        self.queue.submit([encoder.finish()]);
        buffer.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
        self.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let texels = buffer.get_mapped_range(..).unwrap().to_vec();
        buffer.unmap();
        texels
    }
}
