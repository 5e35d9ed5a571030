//! What a ring reports, and that nothing is counted twice.

use engine_vitals::contract::{StagingRingReport, StoreReport};
use engine_vitals::instrument::Instrumentation;
use engine_vitals::resources::staging::{StagingConfig, StagingRing};
use engine_vitals::{Probe, ResourceKind, Tracker};

use crate::kit::{self, Gpu};

/// The one ring that is listed.
fn listed(tracker: &Tracker) -> StagingRingReport {
    let mut stores = tracker.stores();
    match (stores.pop(), stores.is_empty()) {
        (Some(StoreReport::StagingRing(report)), true) => report,
        other => panic!("not one ring: {other:?}"),
    }
}

/// Live resources of the device, and their bytes.
fn live(tracker: &Tracker) -> (u64, u64) {
    let device = tracker.totals().device();
    (device.live(), device.live_bytes())
}

fn instrumented(tracker: &Tracker) -> Gpu {
    let instance = Instrumentation::new(tracker.probe()).wrap(kit::noop_instance());
    kit::open(&instance, wgpu::Features::empty()).unwrap()
}

#[test]
fn on_an_instrumented_device_each_buffer_is_one_resource_of_the_ring() {
    let tracker = Tracker::new();
    let gpu = instrumented(&tracker);
    let before = live(&tracker);
    let mut ring = StagingRing::new(&gpu.device, 3, 1 << 10);
    assert_eq!(live(&tracker), (before.0 + 3, before.1 + 3 * (1 << 10)));
    let kind = tracker.probe().owner_kind("staging ring");
    assert_eq!(tracker.totals().owner_kind(kind).device.live_bytes(), 3 << 10);
    assert_eq!((listed(&tracker).name.as_ref(), listed(&tracker).ring_bytes), ("staging ring", 3 << 10));
    // A dedicated one too, and it goes when the ring does.
    let target = gpu.buffer(1 << 20);
    ring.write_buffer(&target, 0, &[1; 2 << 10]).unwrap();
    assert_eq!(live(&tracker), (before.0 + 5, before.1 + 3 * (1 << 10) + (1 << 20) + (64 << 10)));
    assert_eq!(listed(&tracker).ring_bytes, (3 << 10) + (64 << 10));
    drop(ring);
    assert_eq!(live(&tracker), (before.0 + 1, before.1 + (1 << 20)));
    assert_eq!(tracker.stores(), []);
    assert_eq!(tracker.totals().inconsistencies, 0);
}

#[test]
fn on_any_other_device_the_ring_reports_its_buffers_itself() {
    let tracker = Tracker::new();
    let gpu = kit::noop();
    let config = StagingConfig { ring_count: 2, buffer_size: 1 << 10, ..StagingConfig::default() };
    let ring = StagingRing::with_config(&gpu.device, tracker.probe(), "uploads", config);
    assert_eq!(live(&tracker), (2, 2 << 10));
    assert_eq!(listed(&tracker).name.as_ref(), "uploads");
    drop(ring);
    assert_eq!(live(&tracker), (0, 0));
    // Without a probe nobody knows of it.
    let _ring = StagingRing::with_config(&gpu.device, Probe::OFF, "silent", config);
    assert_eq!((live(&tracker), tracker.stores()), ((0, 0), vec![]));
}

#[test]
fn a_ring_s_buffers_are_staging_buffers_on_any_device() {
    let [tracker, inner] = [(); 2].map(|()| Tracker::new());
    let layered = {
        let instance = Instrumentation::new(inner.probe()).wrap(kit::noop_instance());
        kit::open(&Instrumentation::new(tracker.probe()).wrap(instance), wgpu::Features::empty()).unwrap()
    };
    let config = StagingConfig {
        ring_count: 2,
        buffer_size: 1 << 10,
        in_place_usage: wgpu::BufferUsages::UNIFORM,
        ..StagingConfig::default()
    };
    for (gpu, trackers) in
        [(kit::noop(), vec![&tracker]), (instrumented(&tracker), vec![&tracker]), (layered, vec![&tracker, &inner])]
    {
        let live = |kinds: [ResourceKind; 2]| -> Vec<_> {
            let of = |tracker: &&Tracker| kinds.map(|kind| tracker.totals().kind(kind).device.live());
            trackers.iter().map(of).collect()
        };
        let all = || live([ResourceKind::STAGING_BUFFER, ResourceKind::BUFFER]);
        assert!(all().iter().all(|counts| *counts == [0, 0]));
        let mut ring = StagingRing::with_config(&gpu.device, tracker.probe(), "kinds", config);
        ring.reserve(8, 4).unwrap().in_place().unwrap();
        assert!(all().iter().all(|counts| *counts == [2, 1]), "two, and a twin of the GPU's own: {:?}", all());
        // What the program makes itself is what it was.
        let own = gpu.buffer_for(64, wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC);
        assert!(all().iter().all(|counts| counts[0] == 2), "{:?}", all());
        drop((ring, own));
        assert!(all().iter().all(|counts| *counts == [0, 0]), "{:?}", all());
    }
}

#[test]
fn a_dedicated_buffer_in_flight_is_in_the_report() {
    let tracker = Tracker::new();
    let gpu = kit::noop();
    let config = StagingConfig { ring_count: 2, buffer_size: 1 << 10, ..StagingConfig::default() };
    let mut ring = StagingRing::with_config(&gpu.device, tracker.probe(), "large", config);
    let target = gpu.buffer(8 << 10);
    ring.write_buffer(&target, 0, &[1; 100]).unwrap();
    ring.write_buffer(&target, 0, &[1; 5000]).unwrap();
    let mut encoder = gpu.encoder();
    ring.flush(&mut encoder);
    let report = listed(&tracker);
    assert_eq!(report.in_flight_bytes, [100, 0, 5000]);
    assert_eq!(report.in_flight_bytes.iter().sum::<u64>(), ring.stats().in_flight_bytes);
    assert_eq!((report.high_water_bytes, report.dedicated), (5100, 1));
}

#[test]
fn the_texels_of_odd_bytes_are_one_resource_of_the_ring() {
    let tracker = Tracker::new();
    for gpu in [kit::noop(), instrumented(&tracker)] {
        let mut ring = StagingRing::with_config(&gpu.device, tracker.probe(), "odd", StagingConfig::default());
        let target = gpu.buffer(64);
        let before = live(&tracker);
        ring.write_buffer(&target, 1, &[1; 2]).unwrap();
        assert_eq!(live(&tracker), (before.0 + 1, before.1 + 4));
        let kind = tracker.probe().owner_kind("staging ring");
        assert_eq!(tracker.totals().owner_kind(kind).device.live(), 4);
        drop((ring, target));
        assert_eq!(live(&tracker).1, 0);
    }
}

#[test]
fn twins_are_counted_with_the_ring() {
    let tracker = Tracker::new();
    let gpu = kit::noop();
    let config = StagingConfig {
        ring_count: 2,
        buffer_size: 1 << 10,
        in_place_usage: wgpu::BufferUsages::UNIFORM,
        ..StagingConfig::default()
    };
    let mut ring = StagingRing::with_config(&gpu.device, tracker.probe(), "twins", config);
    assert!(!ring.is_copy_free());
    ring.reserve(8, 4).unwrap().in_place().unwrap();
    let stats = ring.stats();
    assert_eq!((stats.twin_bytes, live(&tracker)), (1 << 10, (3, 3 << 10)));
    assert_eq!(listed(&tracker).ring_bytes, stats.buffer_bytes + stats.dedicated_bytes + stats.twin_bytes);
}

#[test]
fn on_a_plain_device_nothing_is_staged_that_no_submission_takes_back() {
    let tracker = Tracker::new();
    let gpu = kit::noop();
    let mut ring = StagingRing::with_config(&gpu.device, tracker.probe(), "plain", StagingConfig::default());
    let target = gpu.buffer(256);
    for _ in 0..100 {
        ring.write_buffer(&target, 0, &[1; 256]).unwrap();
        assert_eq!(listed(&tracker).unsubmitted_bytes, 256);
        let mut encoder = gpu.encoder();
        ring.flush(&mut encoder);
        ring.advance_ring(gpu.run(encoder));
        assert_eq!((listed(&tracker).unsubmitted_bytes, tracker.totals().submissions.unsubmitted_bytes()), (0, 0));
    }
}

#[test]
fn a_report_follows_a_frame_byte_by_byte() {
    let tracker = Tracker::new();
    let gpu = instrumented(&tracker);
    let config = StagingConfig { ring_count: 2, buffer_size: 1 << 10, ..StagingConfig::default() };
    let mut ring = StagingRing::with_config(&gpu.device, tracker.probe(), "uploads", config);
    let target = gpu.buffer(4 << 10);
    let unsubmitted = || tracker.totals().submissions.unsubmitted_bytes();
    ring.write_buffer(&target, 0, &[1; 100]).unwrap();
    ring.write_buffer(&target, 100, &[2; 200]).unwrap();
    let mut slice = ring.reserve(50, 256).unwrap();
    slice.bytes().copy_from_slice(&[3; 50]);
    slice.copy_to_buffer(&target, 1 << 10).unwrap();
    assert_eq!((listed(&tracker).unsubmitted_bytes, unsubmitted()), (562, 350), "the ring counts the gap of 212 too");
    let mut encoder = gpu.encoder();
    ring.flush(&mut encoder);
    let report = listed(&tracker);
    assert_eq!((report.in_flight_bytes, report.unsubmitted_bytes), (vec![562, 0], 562));
    assert_eq!((report.copies, report.merged_copies, report.written_bytes), (2, 1, 350));
    let submission = gpu.queue.submit([encoder.finish()]);
    assert_eq!(unsubmitted(), 0);
    ring.advance_ring(submission);
    gpu.wait(None);
    let report = listed(&tracker);
    assert_eq!(
        (report.in_flight_bytes, report.unsubmitted_bytes),
        (vec![0, 0], 0),
        "told by the poll, not by the ring"
    );
    assert_eq!((report.high_water_bytes, report.stalls, report.dedicated, report.failures), (562, 0, 0, 0));
}
