//! The times of a frame, on the GPU and on the CPU.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine_vitals_core::contract::{FrameStats, GpuHook};
use engine_vitals_core::monitor::TimerSkip;
use parking_lot::Mutex;
use web_time::Instant;

use super::ticks::{HookTimes, hook_times};
use super::{
    Batch, FrameSink, FrameTimerStats, ReadbackError, Readings, Stamp, TimestampSupport, Timestamps, TimestampsConfig,
};

/// Times frames: four hooks on the GPU ([`GpuHook`]), preparation and submission on the CPU.
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
/// # }
/// ```
///
/// A frame's stats arrive once its stamps have been read back, some frames later, inside the call that polls the device
/// (`Queue::submit` does). Nothing waits for the GPU. Without time stamps, and for a frame that finds all read-backs in
/// flight, the hooks are absent and the stats arrive with the submission. May be used from several threads.
pub struct FrameTimer {
    timestamps: Timestamps,
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
        Self { timestamps, shared: Arc::new(Shared { sink, counters: Counters::default() }) }
    }

    /// Begins a frame: its preparation on the CPU is timed from here. Frames are numbered 1, 2, 3, …
    #[must_use]
    pub fn begin(&self) -> TimedFrame {
        let counters = &self.shared.counters;
        let number = counters.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let batch = self.timestamps.begin();
        if batch.is_none() && self.timestamps.support() != TimestampSupport::None {
            counters.skipped.fetch_add(1, Ordering::Relaxed);
            self.shared.sink.skipped(TimerSkip::InFlight);
        }
        TimedFrame {
            begun: Instant::now(),
            batch,
            stamps: [None; 4],
            record: Arc::new(Record {
                number,
                shared: Arc::clone(&self.shared),
                halves: Mutex::new(Halves { cpu: Half::Open, gpu: Half::Absent }),
            }),
            timestamps: self.timestamps.clone(),
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
/// Dropped without [`submit`](Self::submit), its times on the CPU are absent.
#[derive(Debug)]
pub struct TimedFrame {
    begun: Instant,
    batch: Option<Batch>,
    stamps: [Option<Stamp>; 4],
    record: Arc<Record>,
    timestamps: Timestamps,
}

impl TimedFrame {
    /// The frame's number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.record.number
    }

    /// Records [`GpuHook::FrameStart`], before the frame's first work on the GPU.
    pub fn start(&mut self, encoder: &mut wgpu::CommandEncoder) {
        self.mark(GpuHook::FrameStart, encoder);
    }

    /// [`GpuHook::MainPassBegin`] and [`GpuHook::MainPassEnd`], for the description of the main pass. `None` without time
    /// stamps, and when they were taken before.
    pub fn main_pass(&mut self) -> Option<wgpu::RenderPassTimestampWrites<'_>> {
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
        let stamp = &mut self.stamps[hook as usize];
        if let (None, Some(batch)) = (&stamp, &mut self.batch) {
            *stamp = batch.stamp(encoder);
        }
    }

    /// Records [`GpuHook::FrameEnd`], after the frame's last work on the GPU, and the read-back of all hooks. `encoder` must
    /// be the last one submitted that has a hook.
    pub fn end(&mut self, encoder: &mut wgpu::CommandEncoder) {
        self.mark(GpuHook::FrameEnd, encoder);
        let (Some(batch), Some(period)) = (self.batch.take(), self.timestamps.period()) else { return };
        self.record.halves.lock().gpu = Half::Open;
        let (record, stamps) = (Arc::clone(&self.record), self.stamps);
        batch.resolve(encoder, move |readings: Result<Readings, ReadbackError>| {
            let half = match readings {
                Ok(readings) => {
                    let ticks = stamps.map(|stamp| stamp.and_then(|stamp| readings.ticks(stamp)));
                    record.shared.ordered(hook_times(ticks, period))
                }
                Err(_) => record.shared.failed(),
            };
            record.close(|halves| halves.gpu = half);
        });
    }

    /// Ends the preparation, calls `submit` and times it, and gives what it gives.
    pub fn submit<R>(self, submit: impl FnOnce() -> R) -> R {
        let prepared = Instant::now();
        let result = submit();
        let times = CpuTimes { preparation: prepared - self.begun, submission: prepared.elapsed() };
        self.record.close(|halves| halves.cpu = Half::Known(times));
        result
    }
}

impl Drop for TimedFrame {
    fn drop(&mut self) {
        self.record.close(|halves| {
            if matches!(halves.cpu, Half::Open) {
                halves.cpu = Half::Absent;
            }
        });
    }
}

#[derive(Debug, Clone, Copy)]
struct CpuTimes {
    preparation: Duration,
    submission: Duration,
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
    cpu: Half<CpuTimes>,
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
        if let Half::Known(cpu) = self.cpu {
            (stats.cpu_preparation, stats.cpu_submission) = (Some(cpu.preparation), Some(cpu.submission));
        }
        if let Half::Known(gpu) = self.gpu {
            stats.hooks = gpu.times;
        }
        let measured = stats.cpu_preparation.is_some() || stats.hooks.iter().any(Option::is_some);
        measured.then_some(stats)
    }
}

struct Shared {
    sink: Arc<dyn FrameSink>,
    counters: Counters,
}

impl Shared {
    fn ordered(&self, times: HookTimes) -> Half<HookTimes> {
        if times.disordered > 0 {
            self.counters.disordered_hooks.fetch_add(times.disordered.into(), Ordering::Relaxed);
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
mod tests {
    use super::*;
    use crate::gpu::testing::{self, TestGpu};

    /// Keeps everything it is given.
    #[derive(Default)]
    struct Kept {
        frames: Mutex<Vec<FrameStats>>,
        skips: Mutex<Vec<TimerSkip>>,
    }

    impl FrameSink for Kept {
        fn frame(&self, stats: FrameStats) {
            self.frames.lock().push(stats);
        }

        fn skipped(&self, why: TimerSkip) {
            self.skips.lock().push(why);
        }
    }

    /// Renders a frame that clears a target in its main pass and copies buffers around it.
    fn render(gpu: &TestGpu, timer: &FrameTimer, submit: bool) {
        let target = gpu.target(512);
        let mut frame = timer.begin();
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        frame.start(&mut encoder);
        gpu.clear(&mut encoder, &target, frame.main_pass());
        frame.end(&mut encoder);
        if submit {
            frame.submit(|| gpu.queue.submit([encoder.finish()]));
        }
    }

    #[test]
    fn hooks_are_ordered_and_every_frame_is_delivered_once() {
        let Some(gpu) = testing::gpu("hooks_are_ordered_and_every_frame_is_delivered_once") else { return };
        let kept = Arc::new(Kept::default());
        let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
        for _ in 0..10 {
            render(&gpu, &timer, true);
            gpu.wait();
        }
        let frames = kept.frames.lock();
        assert_eq!(frames.iter().map(|frame| frame.frame_number).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
        for frame in frames.iter() {
            assert!(frame.cpu_preparation.is_some() && frame.cpu_submission.is_some());
            if timer.support() == TimestampSupport::None {
                assert_eq!(frame.hooks, [None; 4]);
                continue;
            }
            let hooks: Vec<_> = frame.hooks.iter().flatten().collect();
            assert_eq!(hooks.len(), 4, "{frame:?}");
            assert!(hooks.is_sorted(), "{frame:?}");
            assert_eq!(*hooks[0], Duration::ZERO);
            assert!(hooks[3] > hooks[0], "a frame takes time: {frame:?}");
        }
        assert_eq!(timer.stats(), FrameTimerStats { begun: 10, delivered: 10, ..FrameTimerStats::default() });
        assert_eq!(timer.timestamps().in_flight(), 0);
    }

    #[test]
    fn passes_alone_carry_all_hooks_in_order() {
        let passes = |adapter: &wgpu::Adapter| adapter.features() & wgpu::Features::TIMESTAMP_QUERY;
        let Some(gpu) = testing::gpu_with("passes_alone_carry_all_hooks_in_order", passes) else { return };
        let kept = Arc::new(Kept::default());
        let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
        render(&gpu, &timer, true);
        gpu.wait();
        let frames = kept.frames.lock();
        match timer.support() {
            TimestampSupport::None => assert_eq!(frames[0].hooks, [None; 4]),
            TimestampSupport::Passes | TimestampSupport::Encoders => {
                assert_eq!(timer.support(), TimestampSupport::Passes);
                let hooks: Vec<_> = frames[0].hooks.iter().flatten().collect();
                assert!(hooks.len() == 4 && hooks.is_sorted(), "{:?}", frames[0]);
            }
        }
    }

    #[test]
    fn without_features_the_hooks_are_absent_and_the_cpu_times_stay() {
        let none = |_: &wgpu::Adapter| wgpu::Features::empty();
        let test = "without_features_the_hooks_are_absent_and_the_cpu_times_stay";
        let Some(gpu) = testing::gpu_with(test, none) else { return };
        let kept = Arc::new(Kept::default());
        let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
        render(&gpu, &timer, true);
        let frames = kept.frames.lock();
        assert_eq!(timer.support(), TimestampSupport::None);
        assert_eq!(timer.timestamps().buffer_bytes(), 0);
        assert_eq!(frames.len(), 1, "delivered with the submission");
        assert_eq!(frames[0].hooks, [None; 4]);
        assert!(frames[0].cpu_preparation.is_some() && frames[0].cpu_submission.is_some());
        assert_eq!(*kept.skips.lock(), [], "nothing could have been taken");
    }

    #[test]
    fn with_all_read_backs_taken_a_frame_is_skipped_and_counted_and_nothing_waits() {
        let test = "with_all_read_backs_taken_a_frame_is_skipped_and_counted_and_nothing_waits";
        let Some(gpu) = testing::gpu(test) else { return };
        let kept = Arc::new(Kept::default());
        let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
        if timer.support() == TimestampSupport::None {
            return testing::skipped(test, "the adapter has no time stamps");
        }
        // Four frames that are recorded and not yet submitted hold all four batches.
        let mut encoders = Vec::new();
        let mut frames = Vec::new();
        for _ in 0..4 {
            let mut frame = timer.begin();
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            frame.start(&mut encoder);
            frame.end(&mut encoder);
            encoders.push(encoder);
            frames.push(frame);
        }
        assert_eq!(timer.timestamps().in_flight(), 4);
        render(&gpu, &timer, true);
        assert_eq!(timer.stats().skipped, 1);
        assert_eq!(*kept.skips.lock(), [TimerSkip::InFlight]);
        let skipped = kept.frames.lock()[0];
        assert_eq!((skipped.frame_number, skipped.hooks), (5, [None; 4]));
        assert!(skipped.cpu_submission.is_some());
        // Once they are submitted and done, there is room again.
        for (frame, encoder) in frames.into_iter().zip(encoders) {
            frame.submit(|| gpu.queue.submit([encoder.finish()]));
        }
        gpu.wait();
        assert_eq!(timer.timestamps().in_flight(), 0);
        render(&gpu, &timer, true);
        gpu.wait();
        assert_eq!(timer.stats(), FrameTimerStats { begun: 6, delivered: 6, skipped: 1, ..FrameTimerStats::default() });
    }

    #[test]
    fn a_frame_that_is_never_submitted_gives_its_batch_back() {
        let test = "a_frame_that_is_never_submitted_gives_its_batch_back";
        let Some(gpu) = testing::gpu(test) else { return };
        let kept = Arc::new(Kept::default());
        let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
        drop(timer.begin());
        for _ in 0..6 {
            render(&gpu, &timer, false);
        }
        assert_eq!(timer.timestamps().in_flight(), 0);
        assert_eq!(kept.frames.lock().len(), 0, "nothing of them was measured");
        let taken = if timer.support() == TimestampSupport::None { 0 } else { 6 };
        assert_eq!((timer.stats().begun, timer.stats().failed), (7, taken));
    }

    #[test]
    fn a_lost_device_leaves_cpu_times_and_no_batch_in_flight() {
        let test = "a_lost_device_leaves_cpu_times_and_no_batch_in_flight";
        let Some(gpu) = testing::gpu(test) else { return };
        gpu.device.on_uncaptured_error(Arc::new(|_: wgpu::Error| {}));
        let kept = Arc::new(Kept::default());
        let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
        render(&gpu, &timer, true);
        gpu.device.destroy();
        for _ in 0..6 {
            render(&gpu, &timer, true);
        }
        // What a lost device answers to a poll does not matter here.
        let _ =
            gpu.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(60)) });
        assert_eq!(timer.timestamps().in_flight(), 0);
        let frames = kept.frames.lock();
        assert_eq!(frames.len(), 7, "{:?}", timer.stats());
        assert!(frames.iter().all(|frame| frame.cpu_submission.is_some()));
        assert!(frames.last().unwrap().hooks == [None; 4]);
    }

    #[test]
    fn a_hook_is_taken_once_and_a_main_pass_may_be_marked_by_hand() {
        let test = "a_hook_is_taken_once_and_a_main_pass_may_be_marked_by_hand";
        let Some(gpu) = testing::gpu(test) else { return };
        let kept = Arc::new(Kept::default());
        let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
        let mut frame = timer.begin();
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for hook in [GpuHook::FrameStart, GpuHook::FrameStart, GpuHook::MainPassBegin, GpuHook::MainPassEnd] {
            frame.mark(hook, &mut encoder);
        }
        assert!(frame.main_pass().is_none(), "its hooks were taken by hand");
        frame.end(&mut encoder);
        frame.end(&mut encoder);
        frame.submit(|| gpu.queue.submit([encoder.finish()]));
        gpu.wait();
        let expected = if timer.support() == TimestampSupport::None { 0 } else { 4 };
        assert_eq!(kept.frames.lock()[0].hooks.iter().flatten().count(), expected);
        assert_eq!(timer.timestamps().stats().refused_stamps, 0);
    }
}
