//! Error scopes, nested and on several threads and devices, and errors that nobody catches.

use super::Log;
use super::tools::{Gpu, describe, panic_of};
use std::sync::{Arc, Mutex};

/// An error whose text tells `label`.
fn wrong(gpu: &Gpu, label: &str) {
    drop(gpu.buffer(label, 64, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE));
}

pub(super) fn scopes(gpu: &Gpu, log: &mut Log<'_>) {
    use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
    let pop = |scope: wgpu::ErrorScopeGuard| pollster::block_on(scope.pop());
    let outer = gpu.device.push_error_scope(Validation);
    let memory = gpu.device.push_error_scope(OutOfMemory);
    let inner = gpu.device.push_error_scope(Validation);
    wrong(gpu, "first in the inner scope");
    wrong(gpu, "second in the inner scope");
    log.outcome("inner", pop(inner));
    wrong(gpu, "past the scope for memory");
    log.outcome("memory", pop(memory));
    log.outcome("outer", pop(outer));
    let outer = gpu.device.push_error_scope(Validation);
    let internal = gpu.device.push_error_scope(Internal);
    log.outcome("nothing internal", pop(internal));
    log.outcome("nothing at all", pop(outer));
    // A scope that is dropped lets its errors go.
    let dropped = gpu.device.push_error_scope(Validation);
    wrong(gpu, "dropped");
    drop(dropped);
    // The answers may be awaited in any order.
    let outer = gpu.device.push_error_scope(Validation);
    wrong(gpu, "for the outer");
    let inner = gpu.device.push_error_scope(Validation);
    wrong(gpu, "for the inner");
    let inner = inner.pop();
    let outer = outer.pop();
    log.outcome("outer, awaited first", pollster::block_on(outer));
    log.outcome("inner, awaited second", pollster::block_on(inner));
    log.step(gpu, "scopes");
    objects_in_error(gpu, log);
}

/// What was refused is an object all the same, and taints what is made of it.
fn objects_in_error(gpu: &Gpu, log: &mut Log<'_>) {
    let mut buffer = None;
    let made = gpu.invalid(|| {
        buffer = Some(gpu.buffer("in error", 64, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE));
    });
    log.outcome("made", made);
    let buffer = buffer.unwrap();
    log.text("its size", buffer.size());
    log.outcome("written", gpu.invalid(|| gpu.queue.write_buffer(&buffer, 0, &[0; 4])));
    log.outcome(
        "recorded",
        gpu.invalid(|| {
            gpu.submit("in error", |encoder| encoder.clear_buffer(&buffer, 0, None));
        }),
    );
    log.outcome(
        "texture",
        gpu.invalid(|| {
            let size = wgpu::TextureFormat::Rgba8Unorm;
            let texture = gpu.texture("in error", (0, 4), size, wgpu::TextureUsages::COPY_DST);
            drop(texture.create_view(&wgpu::TextureViewDescriptor::default()));
        }),
    );
    log.outcome("enormous", gpu.invalid(|| drop(gpu.buffer("enormous", u64::MAX / 2, wgpu::BufferUsages::COPY_DST))));
}

/// Errors outside of any scope: to the handler, or to wgpu's own, which panics.
pub(super) fn uncaptured(gpu: &Gpu, log: &mut Log<'_>) {
    let gpu = gpu.another("uncaptured");
    log.text("without a handler", panic_of(|| wrong(&gpu, "panics")));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listen = |name: &'static str| {
        let heard = Arc::clone(&heard);
        Arc::new(move |error: wgpu::Error| heard.lock().unwrap().push(format!("{name}: {}", describe(&error))))
    };
    gpu.device.on_uncaptured_error(listen("first"));
    wrong(&gpu, "heard by the first");
    log.outcome("in a scope", gpu.invalid(|| wrong(&gpu, "caught")));
    let memory = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    wrong(&gpu, "past a scope of another kind");
    log.outcome("of another kind", pollster::block_on(memory.pop()));
    gpu.device.on_uncaptured_error(listen("second"));
    wrong(&gpu, "heard by the second");
    // A handler that calls wgpu.
    let (device, heard_inside) = (gpu.device.clone(), Arc::clone(&heard));
    gpu.device.on_uncaptured_error(Arc::new(move |error| {
        let usage = wgpu::BufferUsages::COPY_DST;
        let inner = wgpu::BufferDescriptor { label: Some("inside"), size: 64, usage, mapped_at_creation: false };
        heard_inside.lock().unwrap().push(format!("third, with {}: {error}", device.create_buffer(&inner).size()));
    }));
    wrong(&gpu, "heard by the third");
    for text in &*heard.lock().unwrap() {
        log.text("heard", text);
    }
    // Break the circle of device and handler.
    gpu.device.on_uncaptured_error(Arc::new(|_| {}));
    log.step(&gpu, "handlers");
}

pub(super) fn threaded(gpu: &Gpu, log: &mut Log<'_>) {
    let other = gpu.another("other device");
    let caught: Vec<_> = std::thread::scope(|scope| {
        let threads = (0..4).map(|n| {
            let other = &other;
            scope.spawn(move || {
                let mine = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
                let theirs = other.device.push_error_scope(wgpu::ErrorFilter::Validation);
                if n % 2 == 0 {
                    wrong(gpu, &format!("mine of thread {n}"));
                } else {
                    wrong(other, &format!("theirs of thread {n}"));
                }
                // Not in the order of their making: the devices know nothing of each other.
                let mine = pollster::block_on(mine.pop());
                let theirs = pollster::block_on(theirs.pop());
                [mine, theirs].map(|error| error.map(|error| describe(&error)))
            })
        });
        threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (n, caught) in caught.iter().enumerate() {
        log.text(&format!("thread {n}"), format!("{caught:?}"));
    }
    let out_of_order = std::thread::scope(|scope| {
        let popped = scope.spawn(|| {
            let outer = other.device.push_error_scope(wgpu::ErrorFilter::Validation);
            let inner = other.device.push_error_scope(wgpu::ErrorFilter::Validation);
            let text = panic_of(|| drop(outer.pop()));
            wrong(&other, "after that");
            (text, pollster::block_on(inner.pop()).map(|error| describe(&error)))
        });
        popped.join().unwrap()
    });
    log.text("out of order", format!("{out_of_order:?}"));
    log.step(&other, "threads");
}

/// What belongs to another device of the same adapter is refused in wgpu's words.
pub(super) fn mismatched(gpu: &Gpu, log: &mut Log<'_>) {
    let other = gpu.another("other device");
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let theirs = other.buffer("theirs", 64, usage);
    let mine = gpu.buffer("mine", 64, usage);
    log.outcome("write", gpu.invalid(|| gpu.queue.write_buffer(&theirs, 0, &[0; 4])));
    let copy =
        gpu.invalid(|| _ = gpu.submit("copy", |encoder| encoder.copy_buffer_to_buffer(&theirs, 0, &mine, 0, None)));
    log.outcome("copy", copy);
    let layout = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &[] });
    let foreign_layout = other.invalid(|| {
        let descriptor = wgpu::BindGroupDescriptor { label: Some("mixed"), layout: &layout, entries: &[] };
        drop(other.device.create_bind_group(&descriptor));
    });
    log.outcome("bind group", foreign_layout);
    let commands = other.encoder("theirs").finish();
    log.outcome("submit", gpu.invalid(|| _ = gpu.queue.submit([commands])));
    let texture = other.texture("theirs", (4, 4), wgpu::TextureFormat::R8Unorm, wgpu::TextureUsages::COPY_DST);
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4), rows_per_image: None };
    let write = || gpu.queue.write_texture(texture.as_image_copy(), &[0; 16], layout, texture.size());
    log.outcome("write of a texture", gpu.invalid(write));
}
