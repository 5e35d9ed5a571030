//! The frame timer on a real device.

use std::time::Duration;

use engine_vitals_core::contract::CpuPhase;

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
    for (mut frame, encoder) in frames.into_iter().zip(encoders) {
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
    let _ = gpu.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(60)) });
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
    drop(frame);
    gpu.wait();
    let expected = if timer.support() == TimestampSupport::None { 0 } else { 4 };
    assert_eq!(kept.frames.lock()[0].hooks.iter().flatten().count(), expected);
    assert_eq!(timer.timestamps().stats().refused_stamps, 0);
}

#[test]
fn phases_are_timed_and_presenting_is_unknown_unless_it_is_timed() {
    let test = "phases_are_timed_and_presenting_is_unknown_unless_it_is_timed";
    let Some(gpu) = testing::gpu(test) else { return };
    let kept = Arc::new(Kept::default());
    let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
    let pause = Duration::from_millis(3);
    let mut frame = timer.begin();
    std::thread::sleep(pause);
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    frame.start(&mut encoder);
    std::thread::sleep(pause);
    frame.end(&mut encoder);
    frame.submit(|| gpu.queue.submit([encoder.finish()]));
    frame.present(|| std::thread::sleep(pause));
    drop(frame);
    render(&gpu, &timer, true);
    gpu.wait();
    let frames = kept.frames.lock();
    for phase in [CpuPhase::Prepare, CpuPhase::Encode, CpuPhase::Present] {
        assert!(frames[0].phase(phase).unwrap() >= pause, "{phase:?} of {:?}", frames[0]);
    }
    assert!(frames[0].cpu_preparation.unwrap() >= 2 * pause);
    assert!(frames[1].cpu_encode.is_some() && frames[1].cpu_present.is_none());
}

#[test]
fn frames_bear_the_numbers_of_the_program_s_frames() {
    let test = "frames_bear_the_numbers_of_the_program_s_frames";
    let Some(gpu) = testing::gpu(test) else { return };
    let tracker = engine_vitals_core::tracker::Tracker::new();
    let kept = Arc::new(Kept::default());
    let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
    let timer = timer.numbered_by(tracker.probe());
    for number in [3, 3, 4] {
        while tracker.probe().frame_number() < number {
            tracker.probe().frame_ended();
        }
        assert_eq!(timer.begin().number(), number);
        render(&gpu, &timer, true);
    }
    gpu.wait();
    let numbers: Vec<_> = kept.frames.lock().iter().map(|frame| frame.frame_number).collect();
    assert_eq!(numbers, [3, 3, 4]);
    // Without a tracker, and of a program that never ends a frame.
    let idle = engine_vitals_core::tracker::Tracker::new();
    for probe in [Probe::OFF, idle.probe()] {
        let kept = Arc::clone(&kept) as Arc<dyn FrameSink>;
        let own = FrameTimer::new(&gpu.device, &gpu.queue, kept).numbered_by(probe);
        assert_eq!((own.begin().number(), own.begin().number()), (1, 2));
    }
}

#[test]
fn hooks_whose_commands_never_ran_are_absent_and_not_those_of_an_earlier_frame() {
    let test = "hooks_whose_commands_never_ran_are_absent_and_not_those_of_an_earlier_frame";
    let Some(gpu) = testing::gpu(test) else { return };
    let kept = Arc::new(Kept::default());
    let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
    if timer.support() == TimestampSupport::None {
        return testing::skipped(test, "the adapter has no time stamps");
    }
    // Each query has been used once, by the frames before.
    for _ in 0..4 {
        render(&gpu, &timer, true);
        gpu.wait();
    }
    let encoder = || gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    // The frame's start is in commands that are dropped, or submitted after those with its end.
    for dropped in [true, false] {
        let mut frame = timer.begin();
        let (mut first, mut last) = (encoder(), encoder());
        frame.start(&mut first);
        frame.mark(GpuHook::MainPassBegin, &mut last);
        frame.end(&mut last);
        frame.submit(|| gpu.queue.submit([last.finish()]));
        if !dropped {
            frame.submit(|| gpu.queue.submit([first.finish()]));
        }
        drop(frame);
        gpu.wait();
        let frames = kept.frames.lock();
        let frame = frames.last().unwrap();
        assert_eq!(frame.hooks[0], None, "{frame:?}");
        assert!(frame.hooks[3].unwrap() < Duration::from_secs(60), "{frame:?}");
    }
    assert_eq!(timer.stats().disordered_hooks, timer.timestamps().stats().stale_stamps);
    assert_eq!(*kept.skips.lock(), [TimerSkip::Disorder; 2]);
    assert_eq!((timer.stats().delivered, timer.timestamps().in_flight()), (6, 0));
}

#[test]
fn a_device_that_is_destroyed_with_frames_in_flight_fails_them_and_keeps_nothing() {
    let test = "a_device_that_is_destroyed_with_frames_in_flight_fails_them_and_keeps_nothing";
    let Some(gpu) = testing::gpu(test) else { return };
    gpu.device.on_uncaptured_error(Arc::new(|_: wgpu::Error| {}));
    let kept = Arc::new(Kept::default());
    let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
    let target = gpu.target(2_048);
    // One is submitted, one recorded and its commands finished, one still being recorded.
    let record = |frame: &mut TimedFrame| {
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        frame.start(&mut encoder);
        for _ in 0..50 {
            gpu.clear(&mut encoder, &target, None);
        }
        frame.end(&mut encoder);
        encoder
    };
    let (mut submitted, mut finished, mut open) = (timer.begin(), timer.begin(), timer.begin());
    let commands = record(&mut submitted).finish();
    submitted.submit(|| gpu.queue.submit([commands]));
    let commands = record(&mut finished).finish();
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    open.start(&mut encoder);
    gpu.device.destroy();
    open.end(&mut encoder);
    finished.submit(|| gpu.queue.submit([commands]));
    open.submit(|| gpu.queue.submit([encoder.finish()]));
    drop((submitted, finished, open));
    // What a lost device answers to a poll does not matter here.
    let _ = gpu.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(60)) });
    assert_eq!(timer.timestamps().in_flight(), 0, "{timer:?}");
    let frames = kept.frames.lock();
    assert_eq!(frames.len(), 3, "{timer:?}");
    assert!(frames.iter().all(|frame| frame.cpu_submission.is_some()));
    assert!(frames.iter().filter(|frame| frame.hooks == [None; 4]).count() >= 2, "{frames:?}");
    drop(frames);
    // A timer of a lost device times the CPU.
    drop(target);
    let late = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
    assert_eq!(late.support(), TimestampSupport::None);
    late.begin().submit(|| ());
    assert_eq!(kept.frames.lock().len(), 4);
}

#[test]
fn frames_may_be_begun_recorded_and_ended_on_different_threads() {
    let test = "frames_may_be_begun_recorded_and_ended_on_different_threads";
    let Some(gpu) = testing::gpu(test) else { return };
    let kept = Arc::new(Kept::default());
    let timer = FrameTimer::new(&gpu.device, &gpu.queue, Arc::clone(&kept) as Arc<dyn FrameSink>);
    std::thread::scope(|scope| {
        for turn in 0..4 {
            let (gpu, timer) = (&gpu, &timer);
            scope.spawn(move || {
                for round in 0..25 {
                    let mut frame = timer.begin();
                    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                    // Hooks twice, in any order, and some never.
                    let hooks = (0..6).map(|step| GpuHook::ALL[(turn * 7 + round * 3 + step * step) % 4]);
                    hooks.for_each(|hook| frame.mark(hook, &mut encoder));
                    if round % 5 != 0 {
                        frame.end(&mut encoder);
                    }
                    let ended = scope.spawn(move || {
                        if round % 7 != 0 {
                            frame.submit(|| gpu.queue.submit([encoder.finish()]));
                            // What another thread polls at the same time does not matter.
                            let _ = gpu.device.poll(wgpu::PollType::Poll);
                        }
                    });
                    if round % 2 == 0 {
                        ended.join().unwrap();
                    }
                }
            });
        }
    });
    gpu.wait();
    let stats = timer.stats();
    let frames = kept.frames.lock();
    assert_eq!((stats.begun, timer.timestamps().in_flight()), (100, 0), "{timer:?}");
    assert_eq!(stats.delivered as usize, frames.len());
    let mut numbers: Vec<_> = frames.iter().map(|frame| frame.frame_number).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "each frame is delivered once: {numbers:?}");
    // Those that were never submitted have no times at all.
    assert_eq!(frames.iter().filter(|frame| frame.cpu_submission.is_some()).count(), frames.len());
    assert_eq!(frames.len(), (0..25).filter(|round| round % 7 != 0).count() * 4);
    let given = |frame: &FrameStats| frame.hooks.iter().flatten().copied().collect::<Vec<_>>();
    assert!(frames.iter().all(|frame| given(frame).is_sorted()), "what is disordered is left out");
}
