//! Off means off, and what a device cannot do is no error.

use engine_vitals::Tracker;
use engine_vitals::instrument::Instrumentation;
use engine_vitals::monitor::UntimedPass;

use crate::kit::{self, On, Timed};
use crate::support::skipped_without_adapter;

fn two_passes(timed: &Timed) {
    timed.submit(|encoder| {
        timed.render(encoder, Some("render"), 1);
        timed.compute(encoder, Some("compute"));
    });
    timed.wait();
}

#[test]
fn off_makes_nothing_and_tells_nothing() {
    let test = "off_makes_nothing_and_tells_nothing";
    let Some(timed) = Timed::open_with(test, On::Gpu, wgpu::Features::empty(), |builder| builder.pass_times(false))
    else {
        return;
    };
    two_passes(&timed);
    let report = timed.report();
    assert_eq!((kit::told(&report), kit::counted(&report), timed.query_sets()), (0, 0, 0));
    timed.instrumentation.set_pass_times(true);
    two_passes(&timed);
    assert_eq!((kit::told(&timed.report()), timed.query_sets()), (2, 1));
    timed.instrumentation.set_pass_times(false);
    two_passes(&timed);
    assert_eq!(kit::told(&timed.report()), 2);
}

/// An encoder is timed or not as it was when it was made.
#[test]
fn a_switch_concerns_encoders_that_are_made_later() {
    let Some(timed) = Timed::open("a_switch_concerns_encoders_that_are_made_later") else { return };
    let mut before = timed.encoder();
    timed.instrumentation.set_pass_times(false);
    let mut off = timed.encoder();
    timed.instrumentation.set_pass_times(true);
    timed.compute(&mut before, Some("before"));
    timed.compute(&mut off, Some("off"));
    timed.instrumentation.set_pass_times(false);
    timed.queue.submit([before.finish(), off.finish()]);
    timed.wait();
    let report = timed.report();
    assert!(report.pass("before").is_some() && report.pass("off").is_none(), "{report}");
}

#[test]
fn without_a_sink_nothing_is_timed() {
    let tracker = Tracker::new();
    let instrumentation = Instrumentation::new(tracker.probe());
    assert!(!instrumentation.pass_times());
    instrumentation.set_pass_times(true);
    assert!(!instrumentation.pass_times(), "nobody would be told");
}

#[test]
fn a_device_without_time_stamps_is_left_alone() {
    let test = "a_device_without_time_stamps_is_left_alone";
    let none = wgpu::Features::empty();
    let Some(timed) = Timed::open_with(test, On::Gpu, none, |builder| builder.timestamps(false)) else { return };
    two_passes(&timed);
    let report = timed.report();
    assert_eq!((kit::told(&report), kit::counted(&report), timed.query_sets()), (0, 0, 0), "{report}");
}

#[test]
fn time_stamps_at_passes_alone_are_enough() {
    let test = "time_stamps_at_passes_alone_are_enough";
    let features = wgpu::Features::TIMESTAMP_QUERY;
    let Some(timed) = Timed::open_with(test, On::Gpu, features, |builder| builder.timestamps(false)) else { return };
    two_passes(&timed);
    assert_eq!((kit::told(&timed.report()), kit::counted(&timed.report())), (2, 0));
}

/// What times the passes is in no book: neither as a resource nor as a feature that the program was given.
#[test]
fn the_program_sees_nothing_of_it() {
    let test = "the_program_sees_nothing_of_it";
    let live = |on: bool| {
        let none = wgpu::Features::empty();
        let timed = Timed::open_with(test, On::Gpu, none, |builder| builder.pass_times(on))?;
        assert!(!timed.device.features().contains(wgpu::Features::TIMESTAMP_QUERY));
        two_passes(&timed);
        assert_eq!(kit::told(&timed.report()), if on { 2 } else { 0 });
        let totals = timed.tracker.totals();
        Some((totals.device().created, totals.device().live_bytes(), totals.submissions.submitted))
    };
    let (Some(off), Some(on)) = (live(false), live(true)) else { return };
    assert_eq!(off, on);
}

#[test]
fn two_devices_of_one_instrumentation_are_told_apart() {
    let test = "two_devices_of_one_instrumentation_are_told_apart";
    let Some(timed) = Timed::open(test) else { return };
    let Some((device, queue)) = kit::device(&timed.instrumentation.wrap(On::Gpu.instance()), wgpu::Features::empty())
    else {
        return skipped_without_adapter(test);
    };
    for _ in 0..3 {
        two_passes(&timed);
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        drop(
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("second"), timestamp_writes: None }),
        );
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        timed.probe().frame_ended();
    }
    let report = timed.report();
    assert_eq!((kit::told(&report), report.untimed(UntimedPass::Failed)), (9, 0), "{report}");
    assert_eq!(report.pass("second").map(|pass| pass.runs), Some(3));
}
