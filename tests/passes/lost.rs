//! Devices that end while passes are in flight.

use std::sync::Arc;

use engine_vitals::monitor::FramePasses;

use crate::kit::{self, Timed};

#[test]
fn a_device_destroyed_in_flight_leaves_each_pass_told_or_counted() {
    let test = "a_device_destroyed_in_flight_leaves_each_pass_told_or_counted";
    let Some(timed) = Timed::open(test) else { return };
    timed.device.on_uncaptured_error(Arc::new(|_: wgpu::Error| {}));
    let mut recorded = timed.encoder();
    timed.compute(&mut recorded, Some("recorded before"));
    for _ in 0..5 {
        timed.submit(|encoder| timed.render(encoder, Some("in flight"), 200));
        timed.probe().frame_ended();
    }
    timed.device.destroy();
    for _ in 0..5 {
        timed.submit(|encoder| timed.render(encoder, Some("afterwards"), 1));
        timed.probe().frame_ended();
    }
    timed.queue.submit([recorded.finish()]);
    timed.probe().frame_ended();
    // What a lost device answers to a poll does not matter here.
    let _ = timed.device.poll(wgpu::PollType::wait_indefinitely());
    let report = timed.report();
    assert_eq!(kit::told(&report) + kit::counted(&report), 11, "{report}");
    assert!(report.pass("afterwards").is_none(), "{report}");
    timed.instrumentation.set_pass_times(false);
    // The frame of the last submission is over, and nothing of it is in flight.
    assert_ne!(timed.frame(11).0, FramePasses::Partial);
}

#[test]
fn devices_come_and_go_and_leave_nothing() {
    let test = "devices_come_and_go_and_leave_nothing";
    for _ in 0..20 {
        let Some(timed) = Timed::open(test) else { return };
        timed.submit(|encoder| timed.compute(encoder, Some("last")));
        let Timed { device, queue, instrumentation, monitor, tracker, .. } = timed;
        // Dropped in flight, and everything before the book.
        drop((device, queue, instrumentation));
        let report = monitor.report();
        assert_eq!(kit::told(&report) + kit::counted(&report), 1, "{report}");
        drop(tracker);
    }
}
