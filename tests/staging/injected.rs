//! Faults by a plan: what cannot be brought about on a machine that works.

use std::sync::Arc;
use std::time::Duration;

use engine_vitals::Tracker;
use engine_vitals::instrument::Instrumentation;
use engine_vitals::instrument::fault::{Call, Fault, FaultPlan, Rule, When};
use engine_vitals::resources::staging::{StagingConfig, StagingError, StagingRing, StallPolicy};

use crate::kit::{self, Gpu, LONG};

/// A device that does nothing, and fails by that rule once the plan is armed.
fn failing(tracker: &Tracker, rule: Rule) -> (Gpu, FaultPlan) {
    let plan = FaultPlan::seeded(1).fail(rule);
    plan.disarm();
    let instrumentation = Instrumentation::builder(tracker.probe()).faults(plan.clone()).build();
    let gpu = kit::open(&instrumentation.wrap(kit::noop_instance()), wgpu::Features::empty()).unwrap();
    gpu.device.on_uncaptured_error(Arc::new(|error| panic!("an error that nobody caught: {error}")));
    (gpu, plan)
}

fn ring(gpu: &Gpu, tracker: &Tracker, ring_count: u32, stall: StallPolicy) -> StagingRing {
    let config = StagingConfig { ring_count, buffer_size: 256, stall, ..StagingConfig::default() };
    StagingRing::with_config(&gpu.device, tracker.probe(), "injected", config)
}

fn frame(gpu: &Gpu, ring: &mut StagingRing) {
    let mut encoder = gpu.encoder();
    ring.flush(&mut encoder);
    ring.advance_ring(gpu.queue.submit([encoder.finish()]));
}

#[test]
fn a_buffer_that_cannot_be_mapped_again_is_made_anew() {
    let tracker = Tracker::new();
    let (gpu, plan) = failing(&tracker, Rule::new(Fault::MapFailure, When::Every(3)).on(Call::MapAsync).transient());
    let mut ring = ring(&gpu, &tracker, 2, StallPolicy::Grow { most_buffers: 3 });
    let target = gpu.buffer(256);
    plan.arm();
    for round in 0..30_u8 {
        ring.write_buffer(&target, 0, &[round; 100]).unwrap();
        frame(&gpu, &mut ring);
    }
    plan.disarm();
    assert_eq!(gpu.read(&target)[..100], [29; 100]);
    let stats = ring.stats();
    assert_eq!(stats.broken, plan.failed(), "{stats:?}");
    assert!(stats.broken >= 9 && stats.failures == 0, "{stats:?}");
    drop((ring, target));
    assert_eq!(tracker.totals().inconsistencies, 0);
}

#[test]
fn without_memory_writes_are_refused_until_there_is_some() {
    let tracker = Tracker::new();
    let rule = Rule::new(Fault::OutOfMemory, When::Every(1)).on(Call::CreateBuffer).labels_starting("injected");
    let (gpu, plan) = failing(&tracker, rule);
    plan.arm();
    let mut ring = ring(&gpu, &tracker, 1, StallPolicy::Grow { most_buffers: 2 });
    plan.disarm();
    let target = gpu.buffer(1 << 10);
    plan.arm();
    assert_eq!(ring.write_buffer(&target, 0, &[1; 100]), Err(StagingError::NoBuffer));
    assert_eq!(ring.write_buffer(&target, 0, &[1; 1000]), Err(StagingError::NoBuffer));
    assert_eq!((ring.stats().unflushed_bytes, ring.stats().failures), (0, 2));
    plan.disarm();
    ring.write_buffer(&target, 0, &[1; 100]).unwrap();
    ring.write_buffer(&target, 100, &[2; 900]).unwrap();
    frame(&gpu, &mut ring);
    plan.arm();
    ring.write_buffer(&target, 0, &[3; 200]).unwrap();
    assert_eq!(ring.write_buffer(&target, 0, &[4; 200]), Err(StagingError::NoBuffer), "it cannot grow");
    frame(&gpu, &mut ring);
    plan.disarm();
    let read = gpu.read(&target);
    assert_eq!((&read[..200], &read[200..1000]), (&[3; 200][..], &[2; 800][..]));
}

#[test]
fn a_wait_ends_with_its_timeout_and_is_counted() {
    let tracker = Tracker::new();
    let (gpu, plan) = failing(&tracker, Rule::new(Fault::Stall, When::Calls(vec![1])));
    let timeout = Duration::from_millis(30);
    let mut ring = ring(&gpu, &tracker, 1, StallPolicy::Wait { timeout });
    let target = gpu.buffer(256);
    plan.arm();
    ring.write_buffer(&target, 0, &[1; 100]).unwrap();
    frame(&gpu, &mut ring);
    let Err(StagingError::TimedOut { waited }) = ring.write_buffer(&target, 0, &[2; 100]) else {
        panic!("it did not time out: {:?}", ring.stats())
    };
    assert!(waited >= timeout && waited < LONG, "{waited:?}");
    let stats = ring.stats();
    assert_eq!((stats.stalls, stats.failures), (1, 1));
    assert!(stats.stall_time >= timeout);
    plan.release();
    ring.write_buffer(&target, 0, &[2; 100]).unwrap();
    frame(&gpu, &mut ring);
    assert_eq!(gpu.read(&target)[..100], [2; 100]);
    assert_eq!((ring.stats().in_flight_bytes, ring.stats().unsubmitted_bytes), (0, 0));
}

#[test]
fn a_device_that_is_lost_by_a_submission_ends_in_errors() {
    let tracker = Tracker::new();
    let (gpu, plan) = failing(&tracker, Rule::new(Fault::DeviceLost, When::Calls(vec![3])).on(Call::Submit));
    let mut ring = ring(&gpu, &tracker, 2, StallPolicy::Grow { most_buffers: 3 });
    let target = gpu.buffer(256);
    plan.arm();
    let mut written = 0;
    for round in 0..10_u8 {
        written += u32::from(ring.write_buffer(&target, 0, &[round; 100]).is_ok());
        frame(&gpu, &mut ring);
    }
    assert!((3..10).contains(&written), "{written}, {:?}", ring.stats());
    assert_eq!(ring.write_buffer(&target, 0, &[1; 100]), Err(StagingError::NoBuffer));
    drop((ring, target));
    assert_eq!((tracker.totals().device().live_bytes(), tracker.stores()), (0, vec![]));
}
