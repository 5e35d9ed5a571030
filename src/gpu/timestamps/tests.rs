//! Time stamps on a real device.

use std::sync::mpsc;

use super::*;
use crate::gpu::testing;

#[test]
fn a_full_batch_refuses_stamps_and_counts_them() {
    let test = "a_full_batch_refuses_stamps_and_counts_them";
    let Some(gpu) = testing::gpu(test) else { return };
    let config = TimestampsConfig { stamps_per_batch: 3, batches_in_flight: 1 };
    let timestamps = Timestamps::new(&gpu.device, &gpu.queue, config);
    let Some(mut batch) = timestamps.begin() else {
        assert_eq!(timestamps.support(), TimestampSupport::None);
        return testing::skipped(test, "the adapter has no time stamps");
    };
    assert!(timestamps.begin().is_none(), "the only batch is taken");
    assert!(batch.pass().is_some());
    assert!(batch.pass().is_none(), "room for one stamp, not for two");
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let stamp = batch.stamp(&mut encoder);
    assert!(stamp.is_some() && batch.stamp(&mut encoder).is_none());
    let stats = timestamps.stats();
    assert_eq!((stats.begun, stats.skipped, stats.refused_stamps), (1, 1, 3));
    drop(batch);
    assert_eq!(timestamps.in_flight(), 0);
    assert!(timestamps.begin().is_some());
}

#[test]
fn a_stamp_that_was_handed_out_and_not_recorded_is_absent() {
    let test = "a_stamp_that_was_handed_out_and_not_recorded_is_absent";
    let Some(gpu) = testing::gpu(test) else { return };
    let timestamps = Timestamps::new(&gpu.device, &gpu.queue, TimestampsConfig::default());
    let Some(mut batch) = timestamps.begin() else {
        return testing::skipped(test, "the adapter has no time stamps");
    };
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let first = batch.stamp(&mut encoder).unwrap();
    let unused = batch.pass().unwrap();
    let last = batch.stamp(&mut encoder).unwrap();
    let (sender, receiver) = mpsc::channel();
    batch.resolve(&mut encoder, move |readings| sender.send(readings).unwrap());
    gpu.queue.submit([encoder.finish()]);
    gpu.wait();
    let readings = receiver.try_recv().unwrap().unwrap();
    assert!(readings.ticks(first).is_some() && readings.ticks(last) >= readings.ticks(first));
    assert_eq!((readings.ticks(unused.begin), readings.ticks(unused.end)), (None, None));
    assert_eq!(readings.ticks(Stamp(99)), None);
}

#[test]
fn commands_dropped_unsubmitted_answer_with_an_error_once() {
    let test = "commands_dropped_unsubmitted_answer_with_an_error_once";
    let Some(gpu) = testing::gpu(test) else { return };
    let timestamps = Timestamps::new(&gpu.device, &gpu.queue, TimestampsConfig::default());
    let Some(mut batch) = timestamps.begin() else {
        return testing::skipped(test, "the adapter has no time stamps");
    };
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    batch.stamp(&mut encoder);
    let (sender, receiver) = mpsc::channel();
    batch.resolve(&mut encoder, move |readings| sender.send(readings).unwrap());
    assert_eq!(timestamps.in_flight(), 1);
    drop(encoder.finish());
    assert!(receiver.try_recv().unwrap().is_err());
    assert!(receiver.try_recv().is_err(), "it answers once");
    assert_eq!((timestamps.in_flight(), timestamps.stats().failed), (0, 1));
}

#[test]
fn read_backs_in_flight_do_not_keep_the_buffers_alive() {
    let test = "read_backs_in_flight_do_not_keep_the_buffers_alive";
    let Some(gpu) = testing::gpu(test) else { return };
    let timestamps = Timestamps::new(&gpu.device, &gpu.queue, TimestampsConfig::default());
    let Some(mut batch) = timestamps.begin() else {
        return testing::skipped(test, "the adapter has no time stamps");
    };
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    batch.stamp(&mut encoder);
    batch.resolve(&mut encoder, |_| {});
    let shared = timestamps.shared.as_ref().map(Arc::downgrade).unwrap();
    let commands = encoder.finish();
    drop(timestamps);
    assert!(shared.upgrade().is_none(), "only the recorded callback is left");
    gpu.queue.submit([commands]);
    gpu.wait();
}

#[test]
fn any_configuration_is_brought_within_the_limits() {
    let test = "any_configuration_is_brought_within_the_limits";
    let Some(gpu) = testing::gpu(test) else { return };
    for (stamps_per_batch, batches_in_flight) in [(0, 0), (u32::MAX, u32::MAX), (4096, 1)] {
        let config = TimestampsConfig { stamps_per_batch, batches_in_flight };
        let timestamps = Timestamps::new(&gpu.device, &gpu.queue, config);
        assert_eq!(timestamps.begin().is_some(), timestamps.support() != TimestampSupport::None);
    }
}

#[test]
fn what_a_query_kept_from_before_is_left_out() {
    let mut before = [0; 3];
    let mut ticks = [5, 0, 7];
    assert_eq!(leave_out_stale(&mut ticks, &mut before), 0);
    assert_eq!((ticks, before), ([5, 0, 7], [5, 0, 7]));
    let mut ticks = [5, 0, 8];
    assert_eq!(leave_out_stale(&mut ticks, &mut before), 1);
    assert_eq!(ticks, [0, 0, 8]);
    let mut fewer = [5];
    assert_eq!((leave_out_stale(&mut fewer, &mut before), before), (1, [5, 0, 8]), "still the same, and still known");
}
