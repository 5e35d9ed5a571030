//! What a ring survives: commands that are never submitted or dropped, a lost device, buffers that cannot be mapped, its own end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_vitals::analysis::guards::{GuardSettings, Warning};
use engine_vitals::contract::StoreReport;
use engine_vitals::resources::staging::{StagingConfig, StagingError, StagingRing, StallPolicy, StalledOn};
use engine_vitals::{Probe, Tracker, Vitals};

use crate::kit::{self, Gpu, LONG};

fn config(ring_count: u32, stall: StallPolicy) -> StagingConfig {
    StagingConfig { ring_count, buffer_size: 256, stall, ..StagingConfig::default() }
}

fn ring(gpu: &Gpu, ring_count: u32, stall: StallPolicy) -> StagingRing {
    StagingRing::with_config(&gpu.device, Probe::OFF, "faults", config(ring_count, stall))
}

/// On the device that does nothing, and on the machine's if it has one.
fn both(test: &str) -> Vec<Gpu> {
    let gpus: Vec<_> = [kit::noop()].into_iter().chain(kit::gpu(test, wgpu::Features::empty())).collect();
    for gpu in &gpus {
        gpu.device.on_uncaptured_error(Arc::new(|error| panic!("an error that nobody caught: {error}")));
    }
    gpus
}

fn frame(gpu: &Gpu, ring: &mut StagingRing) {
    let mut encoder = gpu.encoder();
    ring.flush(&mut encoder);
    ring.advance_ring(gpu.queue.submit([encoder.finish()]));
}

#[test]
fn dropped_commands_are_counted_and_their_buffers_come_back() {
    for gpu in both("dropped_commands_are_counted_and_their_buffers_come_back") {
        let mut ring = ring(&gpu, 1, StallPolicy::WouldStall);
        let target = gpu.buffer(256);
        for (round, finished) in [false, true, false, true].into_iter().enumerate() {
            ring.write_buffer(&target, 0, &[round as u8; 100]).unwrap();
            let mut encoder = gpu.encoder();
            ring.flush(&mut encoder);
            assert_eq!(
                ring.write_buffer(&target, 0, &[9; 4]),
                Err(StagingError::WouldStall { on: StalledOn::ASubmission })
            );
            if finished {
                drop(encoder.finish());
            } else {
                drop(encoder);
            }
            // The next write has it mapped, and finds it so once somebody has polled.
            let again = Instant::now();
            while ring.write_buffer(&target, 128, &[round as u8; 4]).is_err() {
                assert!(again.elapsed() < LONG, "{:?}", ring.stats());
            }
            assert_eq!(ring.stats().dropped_bytes, (round as u64 + 1) * 100);
            let mut encoder = gpu.encoder();
            ring.flush(&mut encoder);
            ring.advance_ring(gpu.run(encoder));
            assert_eq!(gpu.read(&target)[128..132], [round as u8; 4]);
        }
        assert_eq!((ring.stats().broken, ring.stats().unsubmitted_bytes), (0, 0));
    }
}

#[test]
fn what_is_never_submitted_is_visible_and_warned_of() {
    let mut settings = GuardSettings::default();
    settings.unsubmitted_for = Duration::from_millis(100);
    settings.unsubmitted_bytes = 1;
    let vitals = Vitals::builder().without_server().guards(settings).start();
    let gpu = kit::noop();
    let config = config(2, StallPolicy::WouldStall);
    let mut ring = StagingRing::with_config(&gpu.device, vitals.probe(), "forgotten", config);
    let target = gpu.buffer(256);
    let mut encoders = Vec::new();
    let begun = Instant::now();
    let warning = loop {
        if ring.write_buffer(&target, 0, &[1; 64]).is_ok() {
            let mut encoder = gpu.encoder();
            ring.flush(&mut encoder);
            encoders.push(encoder);
        }
        vitals.frame();
        if let Some(warning) = vitals.warnings().first() {
            break warning.clone();
        }
        assert!(begun.elapsed() < LONG, "nothing was raised");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(warning.guard, "unsubmitted_writes", "{warning}");
    let text = warning.to_string();
    assert!(text.contains("tests/staging/faults.rs"), "it names the line that wrote: {text}");
    assert_eq!(ring.write_buffer(&target, 0, &[1; 64]), Err(StagingError::WouldStall { on: StalledOn::ASubmission }));
    let Some(StoreReport::StagingRing(report)) = vitals.tracker().stores().pop() else { panic!("no ring is listed") };
    assert_eq!((report.unsubmitted_bytes, report.in_flight_bytes), (128, vec![64, 64]));
    assert!(report.stalls > 0 && report.failures == report.stalls);
}

/// wgpu refuses the whole submission, tells of it, and maps the buffers again as ever: the ring takes the bytes for arrived, goes on, and loses no buffer.
#[test]
fn a_refused_submission_loses_its_bytes_and_no_buffer() {
    for gpu in both("a_refused_submission_loses_its_bytes_and_no_buffer") {
        let mut ring = ring(&gpu, 2, StallPolicy::WouldStall);
        let target = gpu.buffer(256);
        for round in 1..=6_u8 {
            let is_refused = round % 2 == 1;
            let gone = gpu.buffer(256);
            ring.write_buffer(&target, 0, &[round; 100]).unwrap();
            ring.write_buffer(&gone, 0, &[round; 60]).unwrap();
            let mut encoder = gpu.encoder();
            ring.flush(&mut encoder);
            let commands = encoder.finish();
            if is_refused {
                gone.destroy();
            }
            let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
            ring.advance_ring(gpu.queue.submit([commands]));
            assert_eq!(pollster::block_on(scope.pop()).is_some(), is_refused, "round {round}");
            gpu.wait(None);
            let arrived = if is_refused { round - 1 } else { round };
            assert_eq!(gpu.read(&target)[..100], [arrived; 100], "round {round}");
        }
        let stats = ring.stats();
        assert_eq!((stats.written_bytes, stats.dropped_bytes, stats.broken), (6 * 160, 0, 0), "{stats:?}");
        assert_eq!((stats.in_flight_bytes, stats.unsubmitted_bytes, stats.failures), (0, 0, 0), "{stats:?}");
    }
}

/// Frames on an instrumented device that submits each frame. The warnings after a while.
fn warnings_of_frames(forgotten: Option<u32>) -> Vec<Warning> {
    let mut settings = GuardSettings::default();
    settings.unsubmitted_for = Duration::from_millis(100);
    settings.unsubmitted_bytes = 1;
    let vitals = Vitals::builder().without_server().guards(settings).start();
    let gpu = kit::open(&vitals.wrap(kit::noop_instance()), wgpu::Features::empty()).unwrap();
    let mut ring = StagingRing::new(&gpu.device, 3, 256);
    let target = gpu.buffer(256);
    let mut kept = None;
    let begun = Instant::now();
    let mut frame = 0;
    // Four times as long as a forgotten write may wait.
    while begun.elapsed() < Duration::from_millis(400) || (forgotten.is_some() && vitals.warnings().is_empty()) {
        assert!(begun.elapsed() < LONG, "nothing was raised: {:?}", ring.stats());
        ring.write_buffer(&target, 0, &[1; 64]).unwrap();
        let mut encoder = gpu.encoder();
        ring.flush(&mut encoder);
        let other = gpu.encoder();
        let submission = if forgotten == Some(frame) {
            kept = Some(encoder);
            gpu.queue.submit([other.finish()])
        } else {
            gpu.queue.submit([encoder.finish(), other.finish()])
        };
        ring.advance_ring(submission);
        vitals.frame();
        frame += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(kept);
    vitals.warnings()
}

#[test]
fn a_flush_that_was_forgotten_is_warned_of_though_others_are_submitted() {
    let warnings = warnings_of_frames(Some(5));
    let text = warnings[0].to_string();
    assert_eq!(warnings[0].guard, "unsubmitted_writes", "{text}");
    assert!(text.contains("tests/staging/faults.rs"), "it names the line that wrote: {text}");
    let warnings = warnings_of_frames(None);
    assert!(warnings.is_empty(), "nothing was forgotten: {warnings:?}");
}

#[test]
fn a_lost_device_ends_in_errors_and_never_in_a_panic() {
    for gpu in both("a_lost_device_ends_in_errors_and_never_in_a_panic") {
        let mut ring = ring(&gpu, 2, StallPolicy::Grow { most_buffers: 4 });
        let target = gpu.buffer(1 << 20);
        for destroyed in [false, true] {
            ring.write_buffer(&target, 0, &[1; 200]).unwrap();
            frame(&gpu, &mut ring);
            ring.write_buffer(&target, 0, &[2; 200]).unwrap();
            if destroyed {
                gpu.device.destroy();
            }
            frame(&gpu, &mut ring);
        }
        let mut last = Ok(());
        for _ in 0..10 {
            last = ring.write_buffer(&target, 0, &[3; 200]);
            frame(&gpu, &mut ring);
        }
        assert_eq!(last, Err(StagingError::NoBuffer), "{:?}", ring.stats());
        assert_eq!(ring.write_buffer(&target, 0, &[3; 1 << 10]), Err(StagingError::NoBuffer), "dedicated");
        assert!(ring.reserve(4, 4).is_err());
    }
}

#[test]
fn a_ring_may_end_while_it_is_in_flight() {
    for gpu in both("a_ring_may_end_while_it_is_in_flight") {
        let tracker = Tracker::new();
        let target = gpu.buffer(1 << 10);
        for round in 0..20_u8 {
            let config = config(2, StallPolicy::WouldStall);
            let mut ring = StagingRing::with_config(&gpu.device, tracker.probe(), "short-lived", config);
            ring.write_buffer(&target, 0, &[round; 100]).unwrap();
            ring.write_buffer(&target, 200, &[round; 300]).unwrap();
            let mut encoder = gpu.encoder();
            ring.flush(&mut encoder);
            match round % 3 {
                // Before the commands are submitted, after, and with bytes that were never flushed.
                0 => {
                    drop(ring);
                    gpu.run(encoder);
                }
                1 => {
                    gpu.queue.submit([encoder.finish()]);
                    drop(ring);
                }
                _ => {
                    ring.write_buffer(&target, 0, &[0xff; 100]).unwrap();
                    ring.advance_ring(gpu.queue.submit([encoder.finish()]));
                    drop(ring);
                }
            }
            gpu.wait(None);
            let read = gpu.read(&target);
            assert_eq!((&read[..100], &read[200..500]), (&[round; 100][..], &[round; 300][..]), "round {round}");
        }
        assert_eq!((tracker.totals().device().live(), tracker.stores()), (0, vec![]));
    }
}

#[test]
fn bad_requests_are_told_and_change_nothing() {
    let gpu = kit::noop();
    let config = StagingConfig { most_dedicated_bytes: 1 << 20, ..config(1, StallPolicy::Grow { most_buffers: 2 }) };
    let mut ring = StagingRing::with_config(&gpu.device, Probe::OFF, "bad requests", config);
    let target = gpu.buffer(256);
    ring.write_buffer(&target, 0, &[]).unwrap();
    ring.write_buffer(&target, 256, &[]).unwrap();
    let refused: [(Result<(), StagingError>, StagingError); 9] = [
        (ring.write_buffer(&target, 0, &[0; 260]), StagingError::OutOfBounds { offset: 0, bytes: 260, size: 256 }),
        (ring.write_buffer(&target, 255, &[0; 2]), StagingError::OutOfBounds { offset: 255, bytes: 2, size: 256 }),
        (
            ring.write_buffer(&target, u64::MAX, &[0; 4]),
            StagingError::OutOfBounds { offset: u64::MAX, bytes: 4, size: 256 },
        ),
        (ring.write_buffer(&target, 257, &[]), StagingError::OutOfBounds { offset: 257, bytes: 0, size: 256 }),
        (
            ring.write_buffer(&gpu.buffer_for(64, wgpu::BufferUsages::VERTEX), 0, &[0; 4]),
            StagingError::NoCopyDestination,
        ),
        (ring.reserve(0, 4).map(drop), StagingError::ZeroSize),
        (ring.reserve(4, 6).map(drop), StagingError::Alignment(6)),
        (ring.reserve(u64::MAX, 4).map(drop), StagingError::TooLarge { bytes: u64::MAX, most: 1 << 20 }),
        (
            ring.reserve(1 << 20, 4).unwrap().copy_to_buffer(&target, 0),
            StagingError::OutOfBounds { offset: 0, bytes: 1 << 20, size: 256 },
        ),
    ];
    let told = refused.map(|(got, expected)| {
        assert_eq!(got.as_ref(), Err(&expected));
        expected.to_string()
    });
    assert!(told.iter().all(|text| text.len() > 20), "{told:?}");
    let stats = ring.stats();
    assert_eq!((stats.failures, stats.writes, stats.unflushed_bytes), (9, 0, 0));
    assert_eq!(ring.flush(&mut gpu.encoder()), 0);
}

#[test]
fn a_tiny_or_empty_ring_is_one_of_a_word() {
    let gpu = kit::noop();
    for (ring_count, buffer_size) in [(0, 0), (1, 1), (1, 7)] {
        let mut ring = StagingRing::new(&gpu.device, ring_count, buffer_size);
        assert_eq!((ring.stats().buffers, ring.stats().buffer_bytes), (1, 4));
        assert_eq!(ring.get_current_buffer().size(), 4);
        ring.write_buffer(&gpu.buffer(64), 0, &[1; 4]).unwrap();
        assert_eq!(ring.in_flight(), [0]);
    }
}
