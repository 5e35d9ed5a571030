//! Four threads that record, upload and submit at once, on one device.

use super::Log;
use super::kit::{Kit, Target};
use super::tools::{Gpu, pattern};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const THREADS: usize = 4;
const ROUNDS: usize = 8;

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let kit = Kit::new(gpu);
    let pipeline = kit.pipeline(gpu, 1, false);
    let targets: Vec<_> = (0..THREADS).map(|_| Target::new(gpu)).collect();
    let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let results = gpu.buffer("results", (THREADS * ROUNDS * 64) as u64, usage);
    let called = Arc::new(AtomicU32::new(0));
    std::thread::scope(|scope| {
        for (thread, target) in targets.iter().enumerate() {
            let (kit, pipeline, results, called) = (&kit, &pipeline, &results, &called);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let uploaded = gpu.filled("uploaded", &pattern(64, thread * ROUNDS + round), usage);
                    gpu.submit("thread", |encoder| {
                        let mut pass = target.pass(encoder);
                        pass.set_pipeline(pipeline);
                        kit.bind(&mut pass, (round % 3) as u32);
                        pass.draw_indexed(0..6, 0, 0..(1 + thread as u32 % 3));
                        drop(pass);
                        let at = ((thread * ROUNDS + round) * 64) as u64;
                        encoder.copy_buffer_to_buffer(&uploaded, 0, results, at, None);
                    });
                    again(gpu, called);
                    gpu.device.poll(wgpu::PollType::Poll).unwrap();
                }
            });
        }
    });
    gpu.wait();
    gpu.wait();
    log.text("callbacks", called.load(Ordering::Relaxed));
    log.bytes("results", gpu.read(&results));
    for (thread, target) in targets.iter().enumerate() {
        log.bytes(&format!("picture of thread {thread}"), gpu.read_texture(&target.color, 0));
    }
    log.step(gpu, "joined");
    recorded_apart(gpu, log, &kit, &pipeline);
}

/// A callback that submits and asks to be called back.
fn again(gpu: &Gpu, called: &Arc<AtomicU32>) {
    let (queue, called) = (gpu.queue.clone(), Arc::clone(called));
    gpu.queue.on_submitted_work_done(move || {
        called.fetch_add(1, Ordering::Relaxed);
        queue.submit([]);
        queue.on_submitted_work_done(move || {
            called.fetch_add(1, Ordering::Relaxed);
        });
    });
}

/// Recorded on four threads, submitted together by one, in a fixed order.
fn recorded_apart(gpu: &Gpu, log: &mut Log<'_>, kit: &Kit, pipeline: &wgpu::RenderPipeline) {
    let target = Target::new(gpu);
    let commands: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS as u32)
            .map(|thread| {
                let target = &target;
                scope.spawn(move || {
                    let mut encoder = gpu.encoder("apart");
                    let mut pass = target.pass(&mut encoder);
                    pass.set_pipeline(pipeline);
                    kit.bind(&mut pass, thread % 3);
                    pass.draw_indexed(0..6, 0, 0..1 + thread % 3);
                    drop(pass);
                    encoder.finish()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    gpu.queue.submit(commands);
    log.bytes("recorded apart", gpu.read_texture(&target.color, 0));
}
