//! What a framework has made already is adopted, and the real objects can be had from the instrumented ones.

use crate::books::Books;
use crate::scene::{self, Gpu};
use crate::support::skipped_without_adapter;
use engine_vitals::instrument::{
    Instrumentation, adopt_buffer, adopt_texture, real_adapter, real_buffer, real_device, real_instance, real_queue,
    real_texture,
};
use engine_vitals::probe::{Level, ResourceKind};

const USAGE: wgpu::BufferUsages = wgpu::BufferUsages::COPY_DST.union(wgpu::BufferUsages::COPY_SRC);

fn adopt(instrumentation: &Instrumentation, gpu: &Gpu) -> Gpu {
    let Gpu { instance, adapter, device, queue } = gpu;
    let adopted = instrumentation.adopt(instance.clone(), adapter.clone(), device.clone(), queue.clone());
    Gpu { instance: adopted.instance, adapter: adopted.adapter, device: adopted.device, queue: adopted.queue }
}

#[test]
fn the_scene_puts_out_the_same_on_an_adopted_device() {
    let test = "the_scene_puts_out_the_same_on_an_adopted_device";
    let mut instances = vec![scene::noop_instance()];
    instances.push(scene::gpu_instance());
    for instance in instances {
        let Some(plain) = scene::run(&instance, &mut |_, _| {}) else {
            return skipped_without_adapter(test);
        };
        let mut books = Books::open(Level::Events, true);
        let gpu = adopt(&Instrumentation::new(books.tracker.probe()), &Gpu::open(&instance).unwrap());
        let seen = scene::run_on(&gpu, &mut |_, _| books.read());
        scene::assert_same(&plain, &seen);
        drop(gpu);
        books.assert_closed();
        books.assert_told();
    }
}

#[test]
fn buffers_and_textures_of_the_real_device_are_brought_in() {
    let test = "buffers_and_textures_of_the_real_device_are_brought_in";
    let Some(plain) = Gpu::open(&scene::gpu_instance()) else { return skipped_without_adapter(test) };
    let mut books = Books::open(Level::Events, false);
    let gpu = adopt(&Instrumentation::new(books.tracker.probe()), &plain);
    let buffer =
        wgpu::BufferDescriptor { label: Some("brought in"), size: 64, usage: USAGE, mapped_at_creation: false };
    let theirs = plain.device.create_buffer(&buffer);
    plain.queue.write_buffer(&theirs, 0, &[7; 64]);
    plain.queue.submit([]);
    let refused = gpu.invalid(|| gpu.queue.write_buffer(&theirs, 0, &[9; 4]));
    assert!(refused.is_some_and(|error| error.to_string().contains("adopt_buffer")));
    let ours = adopt_buffer(&gpu.device, theirs.clone(), &buffer);
    gpu.queue.write_buffer(&ours, 8, &[9; 8]);
    let expected = [&[7; 8][..], &[9; 8], &[7; 48]].concat();
    assert_eq!(gpu.read(&ours), expected);
    assert_eq!(plain.read(&theirs), expected, "it is the same buffer");
    assert!(*real_buffer(&ours) == theirs);
    let descriptor = wgpu::TextureDescriptor {
        label: Some("brought in"),
        size: wgpu::Extent3d { width: 8, height: 4, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::R8Unorm,
        usage: wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    };
    let theirs = plain.device.create_texture(&descriptor);
    let texture = adopt_texture(&gpu.device, theirs.clone(), &descriptor);
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(8), rows_per_image: None };
    gpu.queue.write_texture(texture.as_image_copy(), &[5; 32], layout, descriptor.size);
    assert_eq!(gpu.read_texture(&texture, 0), [5; 32]);
    assert!(*real_texture(&texture) == theirs);
    assert_eq!((texture.size(), texture.format()), (descriptor.size, descriptor.format));
    let held = |books: &Books, kind| books.tracker.totals().kind(kind).device.live_bytes();
    assert_eq!((held(&books, ResourceKind::BUFFER), held(&books, ResourceKind::TEXTURE)), (64, 32));
    let mapped = wgpu::BufferDescriptor { mapped_at_creation: true, ..buffer };
    let mapped = adopt_buffer(&gpu.device, plain.device.create_buffer(&mapped), &mapped);
    mapped.get_mapped_range_mut(..).unwrap().copy_from_slice(&[3; 64]);
    mapped.unmap();
    assert_eq!(gpu.read(&mapped), [3; 64]);
    drop((ours, texture, mapped, gpu));
    books.assert_closed();
    books.assert_told();
}

#[test]
fn the_real_objects_are_found_through_every_layer() {
    let test = "the_real_objects_are_found_through_every_layer";
    let Some(plain) = Gpu::open(&scene::gpu_instance()) else { return skipped_without_adapter(test) };
    let books = Books::open(Level::Counters, false);
    let [inner, outer] = [(); 2].map(|()| Instrumentation::new(books.tracker.probe()));
    let once = adopt(&inner, &plain);
    let twice = adopt(&outer, &once);
    for layered in [&plain, &once, &twice] {
        assert!(*real_instance(&layered.instance) == plain.instance);
        assert!(*real_adapter(&layered.adapter) == plain.adapter);
        assert!(*real_device(&layered.device) == plain.device);
        assert!(*real_queue(&layered.queue) == plain.queue);
    }
    let buffer = twice.buffer("layered", 64, USAGE);
    let texture = twice.texture("layered", (4, 4), wgpu::TextureFormat::R8Unorm, wgpu::TextureUsages::COPY_DST);
    // The real ones work where the instrumented ones cannot: with the real device and queue.
    plain.queue.write_buffer(real_buffer(&buffer), 0, &[4; 64]);
    assert_eq!(twice.read(&buffer), [4; 64]);
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4), rows_per_image: None };
    plain.queue.write_texture(real_texture(&texture).as_image_copy(), &[1; 16], layout, texture.size());
    if plain.adapter.get_info().backend == wgpu::Backend::Vulkan {
        let device = real_device(&twice.device);
        // SAFETY: the handle is only looked for.
        let found = unsafe { [&twice.device, device].map(|one| one.as_hal::<wgpu::hal::api::Vulkan>().is_some()) };
        assert_eq!(found, [false, true], "as_hal of the instrumented device and of the real one");
    }
}
