//! Objects that are destroyed, and devices that are lost.

use super::Log;
use super::kit::{Kit, Target};
use super::tools::{Gpu, extent, layout};
use std::sync::{Arc, Mutex, mpsc};

pub(super) fn destroyed(gpu: &Gpu, log: &mut Log<'_>) {
    let both = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let buffer = gpu.filled("destroyed", &[1; 64], both);
    let commands = {
        let mut encoder = gpu.encoder("before");
        encoder.clear_buffer(&buffer, 0, None);
        encoder.finish()
    };
    gpu.wait();
    buffer.destroy();
    buffer.destroy();
    log.step(gpu, "a destroyed buffer");
    log.outcome("submit of what uses it", gpu.invalid(|| _ = gpu.queue.submit([commands])));
    log.outcome("write", gpu.invalid(|| gpu.queue.write_buffer(&buffer, 0, &[2; 4])));
    log.outcome(
        "record",
        gpu.invalid(|| {
            gpu.submit("after", |encoder| encoder.clear_buffer(&buffer, 0, None));
        }),
    );
    log.text("its size", buffer.size());
    let usage = wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::TEXTURE_BINDING;
    let texture = gpu.texture("destroyed", (4, 4), wgpu::TextureFormat::R8Unorm, usage);
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    gpu.queue.write_texture(texture.as_image_copy(), &[3; 16], layout(4, 4), extent(4, 4, 1));
    texture.destroy();
    log.step(gpu, "a destroyed texture with a view");
    log.outcome(
        "write of the texture",
        gpu.invalid(|| {
            gpu.queue.write_texture(texture.as_image_copy(), &[3; 16], layout(4, 4), extent(4, 4, 1));
        }),
    );
    log.outcome("view of it", gpu.invalid(|| drop(texture.create_view(&wgpu::TextureViewDescriptor::default()))));
    drop(view);
    let set = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
        label: Some("destroyed"),
        ty: wgpu::QueryType::Occlusion,
        count: 2,
    });
    set.destroy();
    log.step(gpu, "a destroyed query set");
    log.outcome(
        "resolve of it",
        gpu.invalid(|| {
            let to = gpu.buffer("resolved", 256, wgpu::BufferUsages::QUERY_RESOLVE);
            gpu.submit("resolve", |encoder| encoder.resolve_query_set(&set, 0..2, &to, 0));
        }),
    );
    bound(gpu, log);
}

/// A bind group outlives the destruction of what it binds, but cannot be used.
fn bound(gpu: &Gpu, log: &mut Log<'_>) {
    let pipeline = super::kit::compute_pipeline(
        gpu,
        "bound",
        "@group(0) @binding(0) var<storage, read_write> n: array<u32>;
         @compute @workgroup_size(1) fn main() { n[0] += 1u; }",
    );
    let buffer = gpu.buffer("bound", 64, wgpu::BufferUsages::STORAGE);
    let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("bound"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() }],
    });
    buffer.destroy();
    drop(buffer);
    log.step(gpu, "a bind group of a destroyed buffer");
    log.outcome(
        "use of the bind group",
        gpu.invalid(|| {
            gpu.submit("bound", |encoder| {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                pass.set_pipeline(&pipeline);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(1, 1, 1);
            });
        }),
    );
}

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listen = |name: &'static str| {
        let told = Arc::clone(&told);
        move |reason, message: String| told.lock().unwrap().push(format!("{name}: {reason:?} {message}"))
    };
    let lost = gpu.another("lost");
    lost.device.set_device_lost_callback(listen("replaced"));
    lost.device.set_device_lost_callback(listen("destroyed"));
    let kit = Kit::new(&lost);
    let pipeline = kit.pipeline(&lost, 1, false);
    let target = Target::new(&lost);
    let readback = lost.buffer("readback", 64, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    log.step(&lost, "before");
    lost.device.destroy();
    log.text("poll", format!("{:?}", lost.device.poll(wgpu::PollType::Poll)));
    log.text("told", format!("{:?}", told.lock().unwrap()));
    let (sender, results) = mpsc::channel();
    log.outcome(
        "map",
        lost.invalid(|| {
            readback.map_async(wgpu::MapMode::Read, .., move |result| sender.send(result).unwrap());
        }),
    );
    log.text("mapped", format!("{:?}", results.try_iter().collect::<Vec<_>>()));
    log.outcome("create", lost.invalid(|| drop(lost.buffer("late", 64, wgpu::BufferUsages::COPY_DST))));
    log.outcome(
        "submit",
        lost.invalid(|| {
            lost.submit("late", |encoder| {
                let mut pass = target.pass(encoder);
                pass.set_pipeline(&pipeline);
                kit.bind(&mut pass, 0);
                pass.draw_indexed(0..6, 0, 0..1);
            });
        }),
    );
    log.outcome("write", lost.invalid(|| lost.queue.write_buffer(&kit.vertices, 0, &[0; 4])));
    lost.device.destroy();
    log.text("told in all", format!("{:?}", told.lock().unwrap()));
    drop((kit, pipeline, target, readback, lost));
    told.lock().unwrap().clear();
    let dropped = gpu.another("dropped");
    dropped.device.set_device_lost_callback(listen("dropped"));
    drop(dropped);
    log.text("told of a drop", format!("{:?}", told.lock().unwrap()));
}

/// Objects that outlive the handles of their device and queue.
pub(super) fn outlived(gpu: &Gpu, log: &mut Log<'_>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let gone = gpu.another("gone");
    let note = Arc::clone(&told);
    gone.device
        .set_device_lost_callback(move |reason, message| note.lock().unwrap().push(format!("{reason:?} {message}")));
    let mappable = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
    let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let descriptor =
        wgpu::BufferDescriptor { label: Some("mapped"), size: 64, usage: mappable, mapped_at_creation: true };
    let mapped = gone.device.create_buffer(&descriptor);
    let written = gone.filled("written", &[1; 64], usage);
    let other = gone.buffer("other", 64, usage);
    let texture = gone.texture("kept", (4, 4), wgpu::TextureFormat::R8Unorm, wgpu::TextureUsages::TEXTURE_BINDING);
    let mut encoder = gone.encoder("unfinished");
    encoder.copy_buffer_to_buffer(&written, 0, &other, 0, None);
    let module = gone.shader("kept", "@compute @workgroup_size(1) fn main() {}");
    // Submitted, and never waited for.
    let note = Arc::clone(&told);
    gone.submit("last", |encoder| encoder.copy_buffer_to_buffer(&written, 0, &other, 0, None));
    gone.queue.on_submitted_work_done(move || note.lock().unwrap().push("the last work is done".to_owned()));
    let queue = gone.queue.clone();
    drop(gone);
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    mapped.get_mapped_range_mut(..).unwrap().copy_from_slice(&[3; 64]);
    log.bytes("mapped", mapped.get_mapped_range(..).unwrap().to_vec());
    mapped.unmap();
    encoder.copy_buffer_to_buffer(&mapped, 0, &other, 0, None);
    queue.submit([encoder.finish()]);
    queue.write_buffer(&written, 0, &[5; 16]);
    log.text("messages", format!("{:?}", pollster::block_on(module.get_compilation_info()).messages));
    drop(queue);
    log.text("told", format!("{:?}", told.lock().unwrap()));
    drop((view, texture, module, written, other));
    mapped.destroy();
}
