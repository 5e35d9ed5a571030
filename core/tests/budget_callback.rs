//! What is called before a soft budget would be exceeded: when, and for how long it is kept.
#![cfg(feature = "telemetry")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals_core::probe::{Activity, Level, New, Pressure, ResourceKind, SoftBudget};
use engine_vitals_core::tracker::Tracker;

#[test]
fn what_is_called_lives_no_longer_than_the_tracker() {
    let kept = Arc::new(());
    let theirs = Arc::clone(&kept);
    let tracker = Tracker::builder().before_over_budget(move |_| drop(Arc::clone(&theirs))).build();
    assert_eq!(Arc::strong_count(&kept), 2);
    tracker.never_before_over_budget();
    assert_eq!(Arc::strong_count(&kept), 1);
    let theirs = Arc::clone(&kept);
    tracker.before_over_budget(move |_| drop(Arc::clone(&theirs)));
    assert_eq!(Arc::strong_count(&kept), 2);
    drop(tracker);
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[test]
fn growth_calls_nobody_while_the_level_is_off() {
    let tracker = Tracker::builder().soft_budget(SoftBudget::process(1_000)).build();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    tracker.before_over_budget(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let mut buffer = tracker.probe().create(New::buffer(500));
    buffer.resize(2_000);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    tracker.set_level(Level::Off);
    buffer.resize(3_000);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_budget_that_is_set_anew_is_not_crossed_anew() {
    let tracker = Tracker::builder().soft_budget(SoftBudget::process(1_000)).build();
    let buffer = tracker.probe().create(New::buffer(1_100));
    for bytes in 1_000..1_050 {
        tracker.set_soft_budget(SoftBudget::process(bytes));
    }
    let status = tracker.soft_budgets()[0];
    assert_eq!((status.crossings, status.pressure, status.used_bytes), (1, Pressure::Over, 1_100));
    // 1,100 of 1,250 are 88 %: pressure that has begun goes on.
    tracker.set_soft_budget(SoftBudget::process(1_250));
    assert_eq!(tracker.pressure(), Pressure::High);
    tracker.set_soft_budget(SoftBudget::process(1_000));
    assert_eq!(tracker.soft_budgets()[0].crossings, 2, "it was below for a while");
    drop(buffer);
}

#[test]
fn an_upload_in_two_parts_is_one_call_and_a_suballocation_has_no_bytes_of_its_own() {
    let tracker = Tracker::new();
    let probe = tracker.probe();
    let before = tracker.activities();
    probe.uploading_in_part(1 << 20, || std::thread::sleep(std::time::Duration::from_millis(2)));
    probe.uploading(1 << 20, || ());
    let block = probe.create(New::of(ResourceKind::MEMORY_BLOCK, 4_096));
    let within = probe.create(New::buffer(1_024).within(block.id()));
    let done = tracker.activities().since(&before);
    let uploads = done.of(Activity::Uploads);
    assert_eq!((uploads.calls, uploads.bytes), (1, 1 << 20));
    assert!(uploads.time >= std::time::Duration::from_millis(2), "the time of both parts: {uploads:?}");
    let creations = done.of(Activity::Creations);
    assert_eq!((creations.calls, creations.bytes), (2, 4_096));
    drop((within, block));
}
