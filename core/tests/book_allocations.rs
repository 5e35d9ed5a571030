//! What reporting and reading allocate: nothing, once the first of each has been seen.
#![cfg(feature = "telemetry")]

mod counting;

use counting::Counting;
use engine_vitals_core::analysis::guards::GuardSettings;
use engine_vitals_core::contract::ResourceMonitor;
use engine_vitals_core::monitor::LifecycleResourceMonitor;
use engine_vitals_core::probe::{Context, Extent, Level, Mark, New, OwnerKind, PacketResult, Probe, ResourceKind};
use engine_vitals_core::tracker::Tracker;
use std::alloc::System;
use std::time::Duration;

#[global_allocator]
static COUNTING: Counting<System> = Counting(System);

fn allocations(work: impl FnOnce()) -> u64 {
    let before = counting::allocations();
    work();
    counting::allocations() - before
}

/// A frame of an engine, with everything that it reports.
fn frame(probe: Probe, index: u64) {
    let packet = probe.packet(probe.lane("main"));
    let owner = probe.owner_named(OwnerKind::TRANSIENT, index % 8, "pass");
    let _context = packet.context().with_owner(owner).enter();
    let mut held: [_; 100] = std::array::from_fn(|index| probe.create(New::buffer(index as u64)));
    for ticket in &mut held {
        ticket.touch(Context::current().packet());
        ticket.resize(7);
        ticket.handle_dropped();
        ticket.destroyed();
    }
    let label = ["shadow map", "a name that is a good deal longer than the others are"][index as usize % 2];
    let kind = probe.kind("impostor");
    drop(probe.create(New::of(kind, 1).label(label).extent(Extent::new(1, 2)).native(3)));
    probe.staged(10);
    probe.event(Mark::submit(index));
    probe.event(Mark::complete(index));
    probe.event(Mark::marker("here"));
    packet.finish(PacketResult::Presented);
}

#[test]
fn a_probe_that_is_off_allocates_nothing_at_all() {
    assert_eq!(allocations(|| frame(Probe::OFF, 0)), 0);
    let tracker = Tracker::builder().level(Level::Off).build();
    let probe = tracker.probe();
    let ticket = allocations(|| {
        drop(probe.create(New::texture(1).label("unseen")));
        drop(probe.packet(engine_vitals_core::probe::Lane::OTHER));
        probe.event(Mark::marker("unseen"));
        assert!(probe.owner_named(OwnerKind::TRANSIENT, 1, "unseen").is_none());
    });
    assert_eq!(ticket, 0);
}

#[test]
fn steady_state_allocates_nothing() {
    for level in [Level::Counters, Level::Events] {
        let tracker = Tracker::builder().level(level).build();
        let (probe, mut totals) = (tracker.probe(), tracker.totals());
        for index in 0..200 {
            frame(probe, index);
        }
        tracker.read_totals(&mut totals);
        assert!(
            allocations(|| frame(tracker.probe(), 0)) == 0
                && totals.kind(ResourceKind::BUFFER).device.created == 20_000
        );
        let counted = allocations(|| {
            for index in 0..1_000 {
                frame(probe, index);
                tracker.read_totals(&mut totals);
            }
        });
        assert_eq!(counted, 0, "at {level:?}");
    }
}

/// Each update of the lifecycle monitor is a step of the analysis. The guards look once an hour here, that is never: what they find they write
/// down.
#[test]
fn a_step_of_the_analysis_allocates_nothing() {
    let tracker = std::sync::Arc::new(Tracker::new());
    let mut guards = GuardSettings::default();
    guards.window = Duration::from_secs(3600);
    let monitor = LifecycleResourceMonitor::new(std::sync::Arc::clone(&tracker), "life").with_guards(guards);
    // In the startup (a hundred made and destroyed each frame is not stable), then in the steady state.
    for stable in [false, true] {
        let step = |index| {
            if stable {
                let probe = tracker.probe();
                probe.packet(probe.lane("main")).finish(PacketResult::Presented);
            } else {
                frame(tracker.probe(), index);
            }
            monitor.update();
        };
        (0..200).for_each(step);
        assert_eq!(allocations(|| (0..300).for_each(step)), 0, "stable: {stable}");
        let ended = monitor.telemetry().is_some_and(|report| report.startup.ended.is_some());
        assert_eq!(ended, stable);
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(vec![0u8; 64])), 1);
}
