//! What measures a program comes through the program's faults too, and adds none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine_vitals::Vitals;
use engine_vitals::contract::VramProvider;
use engine_vitals::gpu::{FrameTimer, Submissions, TimestampSupport, Timestamps, TimestampsConfig};
use engine_vitals::instrument::fault::{Call, Fault, FaultPlan, Rule, When};
use engine_vitals::monitor::GpuFrameMonitor;
use engine_vitals::vram::AllocatorReportProvider;

use crate::support::skipped_without_adapter;
use crate::tools::{Stage, gpu_instance, noop_instance};

/// A device whose errors are counted.
fn counted(stage: &Stage) -> (wgpu::Device, wgpu::Queue, Arc<AtomicU64>) {
    let (device, queue) = stage.device().unwrap();
    let errors = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&errors);
    device.on_uncaptured_error(Arc::new(move |_| _ = count.fetch_add(1, Ordering::Relaxed)));
    (device, queue, errors)
}

/// A frame of nothing but its time stamps.
fn frame(device: &wgpu::Device, queue: &wgpu::Queue, timer: &FrameTimer) {
    let mut frame = timer.begin();
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    frame.start(&mut encoder);
    frame.end(&mut encoder);
    frame.submit(|| queue.submit([encoder.finish()]));
    // A lost device answers as it likes.
    let _ = device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(60)) });
}

#[test]
fn time_stamps_come_again_after_mappings_that_failed() {
    let plan = FaultPlan::seeded(1).fail(Rule::new(Fault::MapFailure, When::Calls(vec![1, 2, 3, 4, 6, 7])));
    let stage = Stage::new(noop_instance(), &plan).unwrap();
    let (device, queue, errors) = counted(&stage);
    let timer = FrameTimer::new(&device, &queue, Arc::new(GpuFrameMonitor::new("gpu")));
    assert_ne!(timer.support(), TimestampSupport::None);
    (0..20).for_each(|_| frame(&device, &queue, &timer));
    let stats = timer.timestamps().stats();
    assert_eq!((stats.begun, stats.read, stats.failed, stats.skipped), (20, 14, 6, 0), "{stats:?}");
    let frames = timer.stats();
    assert_eq!((frames.delivered, frames.failed), (20, 6), "{frames:?}");
    assert_eq!(errors.load(Ordering::Relaxed), 0, "the program hears nothing of it");
    drop((timer, device, queue));
    stage.assert_books_are_back_to_zero("time stamps");
}

#[test]
fn time_stamps_without_memory_are_none_and_spoil_no_command() {
    for (fault, call) in [(Fault::OutOfMemory, Call::CreateQuerySet), (Fault::Validation, Call::CreateBuffer)] {
        let stage =
            Stage::new(noop_instance(), &FaultPlan::seeded(1).fail(Rule::new(fault, When::Every(3)).on(call))).unwrap();
        let (device, queue, errors) = counted(&stage);
        let support = [(); 3].map(|()| {
            let timer = FrameTimer::new(&device, &queue, Arc::new(GpuFrameMonitor::new("gpu")));
            frame(&device, &queue, &timer);
            timer.support() != TimestampSupport::None
        });
        // Eight buffers and a query set each.
        let expected = if call == Call::CreateQuerySet { [true, true, false] } else { [false; 3] };
        assert_eq!(support, expected, "{call}");
        assert_eq!(errors.load(Ordering::Relaxed), 0);
        drop((device, queue));
        stage.assert_books_are_back_to_zero("no time stamps");
    }
}

#[test]
fn submissions_of_a_lost_device_are_abandoned_and_held_ones_are_in_flight() {
    let plan = FaultPlan::seeded(1)
        .fail(Rule::new(Fault::Stall, When::Calls(vec![2])))
        .fail(Rule::new(Fault::DeviceLost, When::Calls(vec![3])));
    let stage = Stage::new(noop_instance(), &plan).unwrap();
    let (device, queue, _) = counted(&stage);
    let submissions = Submissions::new(stage.tracker.probe());
    let first = submissions.submit(&queue, []);
    let held = submissions.submit(&queue, []);
    device.poll(wgpu::PollType::Poll).unwrap();
    assert!(submissions.is_done(first.id) && !submissions.is_done(held.id));
    assert_eq!(submissions.stats().in_flight, 1);
    submissions.submit(&queue, []);
    // The rule of the lost device does not see the submission that is held.
    submissions.submit(&queue, []);
    let _ = device.poll(wgpu::PollType::Poll);
    drop((device, queue));
    let stats = submissions.stats();
    assert_eq!((stats.submitted, stats.in_flight), (4, 0), "{stats:?}");
    assert_eq!(plan.counts().iter().map(|count| count.failed).collect::<Vec<_>>(), [1, 1]);
    stage.assert_books_are_back_to_zero("numbered submissions");
}

#[test]
fn time_stamps_and_memory_of_a_lost_device_are_asked_for_without_harm() {
    let test = "time_stamps_and_memory_of_a_lost_device_are_asked_for_without_harm";
    for instance in [noop_instance(), gpu_instance()] {
        let plan = FaultPlan::seeded(1).fail(Rule::new(Fault::DeviceLost, When::Calls(vec![3])));
        let Some(stage) = Stage::new(instance, &plan) else { return skipped_without_adapter(test) };
        let (device, queue, errors) = counted(&stage);
        let timer = FrameTimer::new(&device, &queue, Arc::new(GpuFrameMonitor::new("gpu")));
        let memory = AllocatorReportProvider::new(&device);
        for _ in 0..6 {
            frame(&device, &queue, &timer);
            memory.refresh();
        }
        let stats = timer.stats();
        assert_eq!((stats.begun, stats.delivered), (6, 6), "{stats:?}");
        assert_eq!(plan.failed(), 1);
        assert_eq!(errors.load(Ordering::Relaxed), 0);
        // Made on a device that is lost already.
        let late = Timestamps::new(&device, &queue, TimestampsConfig::default());
        drop(late.begin());
        drop((timer, memory, late, device, queue));
        stage.assert_books_are_back_to_zero("a lost device that is measured");
    }
}

#[test]
fn vitals_go_on_with_another_device() {
    let plan = FaultPlan::seeded(1).fail(Rule::new(Fault::DeviceLost, When::Every(5)));
    let faults = plan.clone();
    let registry = engine_vitals::Registry::new();
    let vitals = Vitals::builder()
        .without_server()
        .in_registry(&registry)
        .instrument(move |instrument, _| instrument.faults(faults))
        .start();
    let instance = vitals.wrap(noop_instance());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let device = || pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let monitors = registry.monitors().len();
    let mut made = device();
    let mut watch = vitals.watch_device(&made.0, &made.1);
    let mut losses = 0;
    for _ in 0..30 {
        let (sender, lost) = std::sync::mpsc::channel();
        made.0.set_device_lost_callback(move |_, _| _ = sender.send(()));
        frame(&made.0, &made.1, watch.timer());
        vitals.frame();
        if lost.try_recv().is_ok() {
            losses += 1;
            drop(watch);
            made = device();
            watch = vitals.watch_device(&made.0, &made.1);
        }
    }
    assert_eq!((losses, plan.failed()), (6, 6));
    drop((watch, made));
    assert_eq!(registry.monitors().len(), monitors, "no monitor of a lost device stays");
    let totals = vitals.tracker().totals();
    assert_eq!((totals.submissions.in_flight(), totals.submissions.abandoned), (0, losses), "{totals:?}");
    drop((instance, adapter));
    assert!(vitals.tracker().snapshot().resources.is_empty());
}
