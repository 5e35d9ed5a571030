//! What is timed. Each case gives the nanoseconds of one repetition: CPU time of this thread, but of the whole process for a frame that is
//! waited for, whose driver draws on threads of its own.

use std::hint::black_box;
use std::time::Duration;

use clap::ValueEnum;
use cpu_time::{ProcessTime, ThreadTime};

use crate::scene::{Scene, TURNS, buffer, texture};
use crate::subject::Frames;

/// Calls recorded in one pass, and writes before one submission.
const BATCH: u64 = 1_000;
/// A frame that takes longer than this will not end.
const HANG: Duration = Duration::from_secs(60);

/// What is timed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Case {
    Draw,
    SetBindGroup,
    SetVertexBuffer,
    Pass,
    Buffer,
    Texture,
    Target,
    BindGroup,
    WriteBuffer,
    Submit,
    /// A thousand draws with their bindings, submitted
    Frame1k,
    /// Ten thousand of them
    Frame10k,
    /// A frame of a thousand draws until it is done, CPU time of all threads
    Wait1k,
    /// A frame of ten thousand draws until it is done, CPU time of all threads
    Wait10k,
}

impl Case {
    /// Nanoseconds of one of `times` repetitions, which are rounded up to whole batches.
    pub(crate) fn run(self, scene: &Scene, frames: &mut Frames, times: u64) -> f64 {
        match self {
            Self::Draw => in_passes(scene, times, |pass, _| pass.draw(0..3, 0..1)),
            Self::SetBindGroup => {
                in_passes(scene, times, |pass, turn| pass.set_bind_group(0, &scene.groups[turn], &[]))
            }
            Self::SetVertexBuffer => {
                in_passes(scene, times, |pass, turn| pass.set_vertex_buffer(0, scene.vertices[turn].slice(..)))
            }
            Self::Pass => passes(scene, times),
            Self::Buffer => cpu(times, || drop(black_box(buffer(&scene.device, wgpu::BufferUsages::VERTEX)))),
            Self::Texture => cpu(times, || drop(black_box(texture(&scene.device, false)))),
            Self::Target => cpu(times, || drop(black_box(texture(&scene.device, true)))),
            Self::BindGroup => cpu(times, || drop(black_box(scene.bind_group(&scene.buffer)))),
            Self::WriteBuffer => writes(scene, times),
            Self::Submit => cpu(times, || frame(scene, frames, 0)),
            Self::Frame1k => cpu(times, || frame(scene, frames, 1_000)),
            Self::Frame10k => cpu(times, || frame(scene, frames, 10_000)),
            Self::Wait1k => waited(scene, frames, times, 1_000),
            Self::Wait10k => waited(scene, frames, times, 10_000),
        }
    }
}

fn cpu(times: u64, mut call: impl FnMut()) -> f64 {
    let start = ThreadTime::now();
    for _ in 0..times {
        call();
    }
    nanoseconds(start.elapsed()) / times as f64
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// The sum of what so many batches take, for one of their calls.
fn batches(times: u64, mut batch: impl FnMut() -> Duration) -> f64 {
    let batches = times.div_ceil(BATCH);
    let sum: Duration = (0..batches).map(|_| batch()).sum();
    nanoseconds(sum) / (batches * BATCH) as f64
}

/// One call within a pass; what surrounds the calls is not timed. The call gets a number below [`TURNS`].
fn in_passes(scene: &Scene, times: u64, mut call: impl FnMut(&mut wgpu::RenderPass<'_>, usize)) -> f64 {
    batches(times, || {
        let mut encoder = scene.encoder();
        let mut pass = scene.pass(&mut encoder);
        scene.set_up(&mut pass);
        let start = ThreadTime::now();
        for turn in 0..BATCH as usize {
            call(&mut pass, turn % TURNS);
        }
        let took = start.elapsed();
        drop(pass);
        submit(scene, encoder);
        took
    })
}

/// Beginning and ending a pass.
fn passes(scene: &Scene, times: u64) -> f64 {
    batches(times, || {
        let mut encoder = scene.encoder();
        let start = ThreadTime::now();
        for _ in 0..BATCH {
            drop(black_box(scene.pass(&mut encoder)));
        }
        let took = start.elapsed();
        submit(scene, encoder);
        took
    })
}

fn writes(scene: &Scene, times: u64) -> f64 {
    let bytes = black_box([7; 64]);
    batches(times, || {
        let start = ThreadTime::now();
        for _ in 0..BATCH {
            scene.queue.write_buffer(&scene.buffer, 0, &bytes);
        }
        let took = start.elapsed();
        submit(scene, scene.encoder());
        took
    })
}

/// From the encoder to the poll.
fn frame(scene: &Scene, frames: &mut Frames, draws: usize) {
    frames.next();
    submit(scene, record(scene, draws));
}

fn waited(scene: &Scene, frames: &mut Frames, times: u64, draws: usize) -> f64 {
    let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(HANG) };
    let start = ProcessTime::now();
    for _ in 0..times {
        frames.next();
        scene.queue.submit([record(scene, draws).finish()]);
        if scene.device.poll(wait.clone()).is_err() {
            return f64::NAN;
        }
    }
    nanoseconds(start.elapsed()) / times as f64
}

fn record(scene: &Scene, draws: usize) -> wgpu::CommandEncoder {
    let mut encoder = scene.encoder();
    scene.draw(&mut scene.pass(&mut encoder), draws);
    encoder
}

fn submit(scene: &Scene, encoder: wgpu::CommandEncoder) {
    scene.queue.submit([encoder.finish()]);
    // Fails only if it waits too long, and this does not wait.
    let _ = scene.device.poll(wgpu::PollType::Poll);
}
