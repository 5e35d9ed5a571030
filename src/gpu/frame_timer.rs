//! The times of a frame, on the GPU and on the CPU.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals_core::contract::{FrameStats, GpuHook};
use engine_vitals_core::monitor::TimerSkip;
use engine_vitals_core::probe::Probe;
use parking_lot::Mutex;
use web_time::Instant;

use super::phases::Phases;
use super::ticks::{HookTimes, hook_times};
use super::{
    Batch, FrameSink, FrameTimerStats, ReadbackError, Readings, Stamp, TimestampSupport, Timestamps, TimestampsConfig,
};

/// Times frames: four hooks on the GPU ([`GpuHook`]), and the phases on the CPU ([`CpuPhase`](engine_vitals_core::contract::CpuPhase)).
///
/// ```no_run
/// # fn record(_: &mut wgpu::CommandEncoder, _: Option<wgpu::RenderPassTimestampWrites<'_>>) {}
/// # fn example(device: &wgpu::Device, queue: &wgpu::Queue, monitor: std::sync::Arc<engine_vitals_core::monitor::GpuFrameMonitor>) {
/// let timer = engine_vitals::gpu::FrameTimer::new(device, queue, monitor);
/// let mut frame = timer.begin();
/// let mut encoder = device.create_command_encoder(&Default::default());
/// frame.start(&mut encoder);
/// record(&mut encoder, frame.main_pass());
/// frame.end(&mut encoder);
/// frame.submit(|| queue.submit([encoder.finish()]));
/// frame.present(|| { /* queue.present(surface_texture) */ });
/// # }
/// ```
///
/// A frame's stats arrive once it is dropped and its stamps have been read back, some frames later, inside the call that polls the device
/// (`Queue::submit` does). Nothing waits for the GPU. Without time stamps, and for a frame that finds all read-backs in flight, the hooks
/// are absent and the stats arrive when the frame is dropped. May be used from several threads.
pub struct FrameTimer {
    timestamps: Timestamps,
    numbers: Probe,
    shared: Arc<Shared>,
}

impl FrameTimer {
    /// A timer with four read-backs in flight that hands the stats of each frame to `sink`.
    #[must_use]
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, sink: Arc<dyn FrameSink>) -> Self {
        Self::with_timestamps(Timestamps::new(device, queue, TimestampsConfig::default()), sink)
    }

    /// A timer on time stamps that others may use too. Each frame takes one batch with up to four stamps.
    #[must_use]
    pub fn with_timestamps(timestamps: Timestamps, sink: Arc<dyn FrameSink>) -> Self {
        let shared = Arc::new(Shared { sink, counters: Counters::default() });
        Self { timestamps, numbers: Probe::OFF, shared }
    }

    /// The same, but each frame bears the number of the program's frame under way when it begins ([`Probe::frame_number`]): the one that
    /// pass times and hitches go by. Where the probe has no tracker, while no frame has ended, and without this, frames are numbered 1, 2, 3, …
    /// as they begin.
    #[must_use]
    pub fn numbered_by(self, probe: Probe) -> Self {
        Self { numbers: probe, ..self }
    }

    /// Begins a frame: its preparation on the CPU is timed from here.
    #[must_use]
    pub fn begin(&self) -> TimedFrame {
        let counters = &self.shared.counters;
        let begun = counters.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let number = match self.numbers.frame_number() {
            // Nobody has ended a frame yet, if anybody ever will.
            0 | 1 => begun,
            number => number,
        };
        let batch = self.timestamps.begin();
        if batch.is_none() && self.timestamps.support() != TimestampSupport::None {
            counters.skipped.fetch_add(1, Ordering::Relaxed);
            self.shared.sink.skipped(TimerSkip::InFlight);
        }
        TimedFrame {
            phases: Phases::new(Instant::now()),
            batch,
            stamps: [None; 4],
            record: Arc::new(Record {
                number,
                shared: Arc::clone(&self.shared),
                halves: Mutex::new(Halves { cpu: Half::Open, gpu: Half::Absent }),
            }),
        }
    }

    /// Where stamps can be taken.
    #[must_use]
    pub fn support(&self) -> TimestampSupport {
        self.timestamps.support()
    }

    /// The time stamps under this timer.
    #[must_use]
    pub fn timestamps(&self) -> &Timestamps {
        &self.timestamps
    }

    /// What has become of the frames so far.
    #[must_use]
    pub fn stats(&self) -> FrameTimerStats {
        let counters = &self.shared.counters;
        FrameTimerStats {
            begun: counters.begun.load(Ordering::Relaxed),
            delivered: counters.delivered.load(Ordering::Relaxed),
            skipped: counters.skipped.load(Ordering::Relaxed),
            failed: counters.failed.load(Ordering::Relaxed),
            disordered_hooks: counters.disordered_hooks.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for FrameTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameTimer")
            .field("support", &self.support())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// A frame that is being timed. Each hook is taken once: a second call for the same hook changes nothing.
///
/// Dropping it ends it. Without a [`submit`](Self::submit), its preparation, encoding and submission on the CPU are absent.
#[derive(Debug)]
pub struct TimedFrame {
    phases: Phases,
    batch: Option<Batch>,
    stamps: [Option<Stamp>; 4],
    record: Arc<Record>,
}

impl TimedFrame {
    /// The frame's number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.record.number
    }

    /// Records [`GpuHook::FrameStart`], before the frame's first work on the GPU. The first hook of a frame ends its preparation on the
    /// CPU and begins its encoding.
    pub fn start(&mut self, encoder: &mut wgpu::CommandEncoder) {
        self.mark(GpuHook::FrameStart, encoder);
    }

    /// [`GpuHook::MainPassBegin`] and [`GpuHook::MainPassEnd`], for the description of the main pass. `None` without time
    /// stamps, and when they were taken before.
    pub fn main_pass(&mut self) -> Option<wgpu::RenderPassTimestampWrites<'_>> {
        self.encoding();
        let [_, begin, end, _] = &mut self.stamps;
        if begin.is_some() || end.is_some() {
            return None;
        }
        let batch = self.batch.as_mut()?;
        let stamps = batch.pass()?;
        (*begin, *end) = (Some(stamps.begin), Some(stamps.end));
        Some(batch.render_pass_writes(stamps))
    }

    /// Records a hook here, between passes: for a main pass that is not one render pass.
    pub fn mark(&mut self, hook: GpuHook, encoder: &mut wgpu::CommandEncoder) {
        self.encoding();
        let stamp = &mut self.stamps[hook as usize];
        if let (None, Some(batch)) = (&stamp, &mut self.batch) {
            *stamp = batch.stamp(encoder);
        }
    }

    /// Records [`GpuHook::FrameEnd`], after the frame's last work on the GPU, and the read-back of all hooks. `encoder` must
    /// be the last one submitted that has a hook: what comes later is absent. A frame that is ended takes no more hooks.
    pub fn end(&mut self, encoder: &mut wgpu::CommandEncoder) {
        self.mark(GpuHook::FrameEnd, encoder);
        let Some(batch) = self.batch.take() else { return };
        self.record.halves.lock().gpu = Half::Open;
        let (record, stamps, period) = (Arc::clone(&self.record), self.stamps, batch.period());
        batch.resolve(encoder, move |readings: Result<Readings, ReadbackError>| {
            let half = match readings {
                Ok(readings) => {
                    let ticks = stamps.map(|stamp| stamp.and_then(|stamp| readings.ticks(stamp)));
                    record.shared.ordered(hook_times(ticks, period), readings.stale())
                }
                Err(_) => record.shared.failed(),
            };
            record.close(|halves| halves.gpu = half);
        });
    }

    /// Ends the preparation or encoding, calls `submit` and times it, and gives what it gives. A frame may have several submissions: their
    /// times add up, and what is done between them is encoding.
    pub fn submit<R>(&mut self, submit: impl FnOnce() -> R) -> R {
        let begun = Instant::now();
        let result = submit();
        self.phases.submitted(begun, Instant::now());
        result
    }

    /// Calls `present` and times it, and gives what it gives. Without it the frame's presenting is unknown.
    pub fn present<R>(&mut self, present: impl FnOnce() -> R) -> R {
        let begun = Instant::now();
        let result = present();
        self.phases.presented(begun, Instant::now());
        result
    }

    fn encoding(&mut self) {
        if self.phases.awaits_hook() {
            self.phases.hook(Instant::now());
        }
    }
}

impl Drop for TimedFrame {
    fn drop(&mut self) {
        // A batch whose read-back was not recorded is free before anybody learns of the frame, who may begin the next one at once.
        self.batch = None;
        let phases = self.phases;
        self.record.close(|halves| halves.cpu = Half::Known(phases));
    }
}

/// One side of a frame's stats.
#[derive(Debug, Clone, Copy)]
enum Half<T> {
    /// Will become one of the others.
    Open,
    /// Measured.
    Known(T),
    /// Never will be.
    Absent,
}

#[derive(Debug)]
struct Halves {
    cpu: Half<Phases>,
    gpu: Half<HookTimes>,
}

/// A frame whose stats are complete when neither half is open. The two halves may close on different threads.
#[derive(Debug)]
struct Record {
    number: u64,
    shared: Arc<Shared>,
    halves: Mutex<Halves>,
}

impl Record {
    /// Changes the halves, and hands the stats on if that closed the last one.
    fn close(&self, change: impl FnOnce(&mut Halves)) {
        let stats = {
            let mut halves = self.halves.lock();
            let was_open = halves.is_open();
            change(&mut halves);
            if !was_open || halves.is_open() { None } else { halves.stats(self.number) }
        };
        // Outside the lock: the sink is somebody else's code.
        if let Some(stats) = stats {
            self.shared.counters.delivered.fetch_add(1, Ordering::Relaxed);
            self.shared.sink.frame(stats);
        }
    }
}

impl Halves {
    fn is_open(&self) -> bool {
        matches!(self.cpu, Half::Open) || matches!(self.gpu, Half::Open)
    }

    /// `None` when nothing at all was measured.
    fn stats(&self, frame_number: u64) -> Option<FrameStats> {
        let mut stats = FrameStats { frame_number, ..FrameStats::default() };
        if let Half::Known(phases) = self.cpu {
            phases.write(&mut stats);
        }
        if let Half::Known(gpu) = self.gpu {
            stats.hooks = gpu.times;
        }
        (stats != FrameStats { frame_number, ..FrameStats::default() }).then_some(stats)
    }
}

struct Shared {
    sink: Arc<dyn FrameSink>,
    counters: Counters,
}

impl Shared {
    fn ordered(&self, times: HookTimes, stale: u32) -> Half<HookTimes> {
        let disordered = times.disordered + stale;
        if disordered > 0 {
            self.counters.disordered_hooks.fetch_add(disordered.into(), Ordering::Relaxed);
            self.sink.skipped(TimerSkip::Disorder);
        }
        Half::Known(times)
    }

    fn failed(&self) -> Half<HookTimes> {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        self.sink.skipped(TimerSkip::Failed);
        Half::Absent
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("counters", &self.counters).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Counters {
    begun: AtomicU64,
    delivered: AtomicU64,
    skipped: AtomicU64,
    failed: AtomicU64,
    disordered_hooks: AtomicU64,
}

#[cfg(test)]
mod tests;
