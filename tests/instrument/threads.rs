//! Objects that are made on one thread, used on another and dropped on a third.

use crate::bench::Bench;
use engine_vitals::probe::ResourceKind;
use std::sync::mpsc;

#[test]
fn lives_that_cross_threads_end_once() {
    for mut bench in Bench::on_both("lives_that_cross_threads_end_once") {
        let gpu = &bench.gpu;
        let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let shared = gpu.buffer("shared", 256, usage);
        std::thread::scope(|scope| {
            for maker in 0..2 {
                let (made, to_use) = mpsc::sync_channel::<wgpu::Buffer>(16);
                let (used, to_drop) = mpsc::sync_channel(16);
                let shared = &shared;
                scope.spawn(move || {
                    for n in 0..200u64 {
                        let buffer = gpu.buffer(&format!("{maker} {n}"), 64 + 4 * n, usage);
                        gpu.queue.write_buffer(&buffer, 0, &[7; 32]);
                        made.send(buffer).unwrap();
                    }
                });
                scope.spawn(move || {
                    for buffer in to_use {
                        let mut encoder = gpu.encoder("across");
                        encoder.copy_buffer_to_buffer(&buffer, 0, shared, 0, Some(32));
                        used.send((buffer, encoder.finish())).unwrap();
                    }
                });
                scope.spawn(move || {
                    for (n, (buffer, commands)) in to_drop.into_iter().enumerate() {
                        match n % 3 {
                            0 => drop(commands),
                            1 => _ = gpu.queue.submit([commands]),
                            _ => {
                                let kept = buffer.clone();
                                gpu.queue.on_submitted_work_done(move || drop(kept));
                                gpu.queue.submit([commands]);
                            }
                        }
                        drop(buffer);
                        gpu.device.poll(wgpu::PollType::Poll).unwrap();
                    }
                });
            }
        });
        gpu.queue.submit([]);
        gpu.wait();
        gpu.wait();
        let counts = bench.books.tracker.totals().kind(ResourceKind::BUFFER).device;
        assert_eq!((counts.created, counts.released, counts.live_bytes()), (401, 400, 256));
        assert_eq!(gpu.read(&shared)[..32], [7; 32]);
        bench.books.read();
        drop(shared);
        bench.close();
    }
}
