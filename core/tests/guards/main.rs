//! The guards over a simulated engine: sound programs raise nothing, and each planted fault is the first that is raised, with its owner
//! and the line that it was planted by.

#![cfg(feature = "telemetry")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod engine;
mod faults;

use engine::{Engine, Fault};
use engine_vitals_core::monitor::LifecycleResourceMonitor;

const SEEDS: u64 = 24;
const FRAMES: u32 = 4_000;

#[test]
fn sound_engines_raise_nothing() {
    let mut resources = 0;
    for seed in 0..SEEDS {
        let mut engine = Engine::start(seed, None);
        for frame in 0..FRAMES {
            engine.frame();
            nothing_raised(&engine.monitor, seed, frame);
        }
        resources += engine.created();
        let monitor = engine.tear_down();
        nothing_raised(&monitor, seed, FRAMES);
    }
    // The engines have done something: loads, switches, streaming, scratch.
    assert!(resources > 1_000_000, "{resources}");
}

fn nothing_raised(monitor: &LifecycleResourceMonitor, seed: u64, frame: u32) {
    let warnings = monitor.warnings();
    let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert!(texts.is_empty(), "seed {seed}, frame {frame}: {texts:#?}");
}

/// Plants a fault and runs on until something is raised.
fn first_raised(fault: Fault, seed: u64) -> (Vec<engine_vitals_core::analysis::guards::Warning>, u32) {
    let mut engine = Engine::start(seed, Some(fault));
    for _ in 0..FRAMES * 2 {
        engine.frame();
        let raised = engine.monitor.warnings();
        if !raised.is_empty() {
            return (raised, engine.planted_at);
        }
    }
    panic!("seed {seed}: nothing was raised of {fault:?}")
}

fn is_found_first(fault: Fault, guard: &str, owner: Option<(&str, u64)>) {
    for seed in 0..6 {
        let (raised, line) = first_raised(fault, seed);
        let first = &raised[0];
        let found = (first.guard, first.owner.map(|owner| (owner.kind, owner.key.unwrap())), first.site.as_deref());
        let site = format!("{}:{line}", faults::FILE);
        assert_eq!(found, (guard, owner, Some(site.as_str())), "seed {seed}: {raised:#?}");
        assert!(first.text.contains(&site), "{}", first.text);
        assert!(!first.figures.is_empty());
    }
}

#[test]
fn a_leak_is_found_first() {
    is_found_first(Fault::Leak, "growth", Some(("child_visual", faults::LEAKY)));
}

#[test]
fn a_leak_of_bytes_in_one_resource_is_found_first() {
    is_found_first(Fault::Swelling, "growth", Some(("child_visual", faults::LEAKY)));
}

#[test]
fn a_recreate_loop_is_found_first() {
    is_found_first(Fault::RecreateLoop, "recreate_loop", Some(("child_visual", faults::LOOPING)));
}

#[test]
fn a_short_loop_of_queues_is_found_first() {
    is_found_first(Fault::QueueLoop, "recreate_loop", Some(("child_visual", faults::LOOPING)));
}

#[test]
fn storms_of_queues_and_of_many_owners_are_found_first() {
    for (fault, resource) in [(Fault::QueueStorm, Some("command_queue")), (Fault::ScatteredStorm, None)] {
        for seed in 0..6 {
            let (raised, line) = first_raised(fault, seed);
            let site = format!("{}:{line}", faults::FILE);
            let found = (raised[0].guard, raised[0].resource, raised[0].site.as_ref());
            assert_eq!(found, ("destroy_storm", resource, Some(&site)), "seed {seed}: {raised:#?}");
        }
    }
}

#[test]
fn a_pile_of_unsubmitted_writes_is_found_first() {
    is_found_first(Fault::Unsubmitted, "unsubmitted_writes", Some(("effect_pipeline", faults::WRITING)));
}

#[test]
fn work_that_is_never_polled_is_found_first() {
    is_found_first(Fault::NeverPolled, "never_polled", Some(("effect_pipeline", faults::WRITING)));
}

#[test]
fn a_result_awaited_without_polling_is_found_first() {
    is_found_first(Fault::AwaitedWithoutPoll, "never_polled", Some(("effect_pipeline", faults::WRITING)));
}

#[test]
fn a_use_after_destroy_is_found_first() {
    is_found_first(Fault::UseAfterDestroy, "destroyed_in_use", Some(("child_visual", faults::CARELESS)));
}

#[test]
fn a_destroy_in_use_is_found_first() {
    is_found_first(Fault::DestroyInUse, "destroyed_in_use", Some(("child_visual", faults::CARELESS)));
}

#[test]
fn labels_that_overflow_are_found_first() {
    is_found_first(Fault::Labels, "label_overflow", Some(("effect_pipeline", faults::TALKATIVE)));
}
