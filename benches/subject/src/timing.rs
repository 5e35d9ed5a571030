//! Frames of twenty passes, whose time on the GPU is taken in one way or another, or not at all.

use std::sync::Arc;

use clap::ValueEnum;
use cpu_time::ThreadTime;
use engine_vitals::gpu::FrameTimer;
use engine_vitals::monitor::GpuFrameMonitor;
use wgpu_profiler::{GpuProfiler, GpuProfilerQuery, GpuProfilerSettings};

use crate::here;
use crate::scene::Scene;
use crate::subject::Frames;

/// What a program does to have the time of its frames and passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Timing {
    /// Nothing
    Plain,
    /// The calls of wgpu for four stamps, resolved and not read
    Stamps,
    /// The frame timer's four hooks
    Hooks,
    /// The calls of wgpu for a stamp at both ends of each pass, resolved and not read
    PassStamps,
    /// wgpu-profiler, a scope around each pass
    Profiler,
    /// Automatic timing of passes, where the instance is instrumented
    Automatic,
}

/// What takes the times; made when it is first used.
#[derive(Default)]
pub(crate) struct Timers {
    hooks: Option<FrameTimer>,
    profiler: Option<GpuProfiler>,
    queries: Option<Queries>,
}

struct Queries {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

const PASSES: usize = 20;
const NAMES: [&str; PASSES] = [
    "depth",
    "shadow 0",
    "shadow 1",
    "shadow 2",
    "shadow 3",
    "opaque",
    "decals",
    "sky",
    "clouds",
    "water",
    "transparent",
    "particles",
    "fog",
    "bloom 0",
    "bloom 1",
    "bloom 2",
    "bloom 3",
    "tonemap",
    "sharpen",
    "interface",
];

impl Timers {
    /// Nanoseconds of CPU time of this thread for one of so many frames, from the encoder to the poll.
    pub(crate) fn frames(
        &mut self,
        timing: Timing,
        scene: &Scene,
        frames: &mut Frames,
        times: u64,
        draws: usize,
    ) -> f64 {
        frames.time_passes(timing == Timing::Automatic);
        let start = ThreadTime::now();
        for _ in 0..times {
            frames.next();
            self.frame(timing, scene, draws);
        }
        let took = start.elapsed().as_secs_f64() * 1e9 / times as f64;
        frames.time_passes(false);
        took
    }

    /// Allocations by this thread for one of so many frames.
    pub(crate) fn allocations(&mut self, timing: Timing, scene: &Scene, frames: &mut Frames, times: u64) -> f64 {
        let before = here::allocations();
        self.frames(timing, scene, frames, times, 0);
        (here::allocations() - before) as f64 / times as f64
    }

    /// Bytes of the heap held after 100 such frames, by what takes their times. The backend that does nothing keeps buffers there, too.
    pub(crate) fn bytes(timing: Timing, scene: &Scene, frames: &mut Frames) -> f64 {
        // What wgpu grows by is no concern of theirs.
        Self::default().frames(Timing::Plain, scene, frames, 100, 0);
        let before = here::live_bytes();
        let mut timers = Self::default();
        timers.frames(timing, scene, frames, 100, 0);
        (here::live_bytes() - before) as f64
    }

    fn frame(&mut self, timing: Timing, scene: &Scene, draws: usize) {
        let Scene { device, queue, .. } = scene;
        match timing {
            Timing::Plain | Timing::Automatic => {
                let mut encoder = scene.encoder();
                (0..PASSES).for_each(|pass| record(scene, &mut encoder, pass, draws, None));
                queue.submit([encoder.finish()]);
            }
            Timing::Hooks => {
                let timer = self
                    .hooks
                    .get_or_insert_with(|| FrameTimer::new(device, queue, Arc::new(GpuFrameMonitor::new("gpu"))));
                let mut frame = timer.begin();
                let mut encoder = scene.encoder();
                frame.start(&mut encoder);
                record(scene, &mut encoder, 0, draws, frame.main_pass());
                (1..PASSES).for_each(|pass| record(scene, &mut encoder, pass, draws, None));
                frame.end(&mut encoder);
                frame.submit(|| queue.submit([encoder.finish()]));
            }
            Timing::Stamps => {
                let Queries { set, resolved } = self.queries.get_or_insert_with(|| queries(device));
                let mut encoder = scene.encoder();
                encoder.write_timestamp(set, 0);
                record(scene, &mut encoder, 0, draws, Some(writes(set, 1)));
                (1..PASSES).for_each(|pass| record(scene, &mut encoder, pass, draws, None));
                encoder.write_timestamp(set, 3);
                encoder.resolve_query_set(set, 0..4, resolved, 0);
                queue.submit([encoder.finish()]);
            }
            Timing::PassStamps => {
                let Queries { set, resolved } = self.queries.get_or_insert_with(|| queries(device));
                let mut encoder = scene.encoder();
                for (pass, first) in (0..PASSES).zip((0..).step_by(2)) {
                    record(scene, &mut encoder, pass, draws, Some(writes(set, first)));
                }
                encoder.resolve_query_set(set, 0..2 * PASSES as u32, resolved, 0);
                queue.submit([encoder.finish()]);
            }
            Timing::Profiler => self.profiled(scene, draws),
        }
        // Fails only if it waits too long, and this does not wait.
        let _ = device.poll(wgpu::PollType::Poll);
    }

    /// As its documentation has it. A frame that is not processed is one more that it keeps.
    fn profiled(&mut self, scene: &Scene, draws: usize) {
        let Scene { device, queue, .. } = scene;
        if self.profiler.is_none() {
            self.profiler = GpuProfiler::new(device, GpuProfilerSettings::default()).ok();
        }
        let Some(profiler) = &mut self.profiler else { return };
        let mut encoder = scene.encoder();
        for (pass, name) in NAMES.into_iter().enumerate() {
            let query = profiler.begin_pass_query(name, &mut encoder);
            record(scene, &mut encoder, pass, draws, GpuProfilerQuery::render_pass_timestamp_writes(&query));
            profiler.end_query(&mut encoder, query);
        }
        profiler.resolve_queries(&mut encoder);
        queue.submit([encoder.finish()]);
        let ended = profiler.end_frame();
        debug_assert!(ended.is_ok(), "{ended:?}");
        drop(std::hint::black_box(profiler.process_finished_frame(queue.get_timestamp_period())));
    }
}

/// A pass with its share of the frame's draws.
fn record(
    scene: &Scene,
    encoder: &mut wgpu::CommandEncoder,
    pass: usize,
    draws: usize,
    writes: Option<wgpu::RenderPassTimestampWrites<'_>>,
) {
    let mut pass = scene.named_pass(encoder, NAMES.get(pass).copied(), writes);
    scene.draw(&mut pass, draws / PASSES);
}

fn writes(query_set: &wgpu::QuerySet, first: u32) -> wgpu::RenderPassTimestampWrites<'_> {
    wgpu::RenderPassTimestampWrites {
        query_set,
        beginning_of_pass_write_index: Some(first),
        end_of_pass_write_index: Some(first + 1),
    }
}

fn queries(device: &wgpu::Device) -> Queries {
    let count = 2 * PASSES as u32;
    let set = device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count });
    let resolved = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(count * wgpu::QUERY_SIZE),
        usage: wgpu::BufferUsages::QUERY_RESOLVE,
        mapped_at_creation: false,
    });
    Queries { set, resolved }
}
