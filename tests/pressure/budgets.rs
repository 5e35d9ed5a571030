//! Soft budgets over an instrumented device.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals::OwnerKind;
use engine_vitals::probe::{BudgetScope, Pressure, SoftBudget};
use parking_lot::Mutex;

use crate::Program;

const MIB: u64 = 1 << 20;

/// Bytes used, bytes too many and the label.
type Told = (u64, u64, Option<String>);

#[test]
fn an_engine_makes_room_before_a_creation_that_would_cross() {
    let test = "an_engine_makes_room_before_a_creation_that_would_cross";
    let Some(program) = Program::start(test, |builder| builder.gpu_budget(10 * MIB)) else { return };
    let device = program.device.clone();
    let cache: Arc<Mutex<Vec<wgpu::Buffer>>> = Arc::default();
    let seen: Arc<Mutex<Vec<Told>>> = Arc::default();
    let (evicting, told) = (Arc::clone(&cache), Arc::clone(&seen));
    program.vitals.before_over_budget(move |would| {
        // No lock of ours is held, and what is made here asks nobody: it is far beyond the budget.
        drop(crate::buffer(&device, "scratch of the callback", 50 * MIB));
        told.lock().push((would.used_bytes, would.excess_bytes(), would.label.map(str::to_owned)));
        let mut room = 0;
        let mut cache = evicting.lock();
        while room < would.excess_bytes() && !cache.is_empty() {
            room += cache.remove(0).size();
        }
    });
    for _ in 0..40 {
        let made = program.buffer("streamed", MIB);
        cache.lock().push(made);
        let used = program.vitals.soft_budgets()[0].status.used_bytes;
        assert!(used <= 10 * MIB, "{used} bytes: it made room first");
    }
    let seen = seen.lock().clone();
    assert_eq!(seen.len(), 30, "the last thirty would have crossed");
    assert!(seen.iter().all(|told| *told == (10 * MIB, MIB, Some("streamed".to_owned()))), "{seen:?}");
    let status = program.vitals.soft_budgets()[0].status;
    // What the callback made was over the budget while it was there.
    assert_eq!((status.crossings, status.used_bytes, status.peak_bytes), (30, 10 * MIB, 60 * MIB));
    assert_eq!(program.vitals.tracker().budget_calls().calls, 30);
    assert_eq!(program.vitals.frame().pressure, Pressure::High);
    cache.lock().clear();
    program.wait();
    assert_eq!(program.vitals.frame().pressure, Pressure::None);
    drop(program.instance);
}

#[test]
fn a_callback_that_panics_harms_nobody_and_owners_have_budgets_of_their_own() {
    let test = "a_callback_that_panics_harms_nobody_and_owners_have_budgets_of_their_own";
    let choose = |builder: engine_vitals::Builder| {
        builder.owner_budget(OwnerKind::ROOT_VISUAL, MIB).instrument(|instrument, probe| {
            instrument.owner_of_label("ui", probe.owner_named(OwnerKind::ROOT_VISUAL, 1, "ui"))
        })
    };
    let Some(program) = Program::start(test, choose) else { return };
    let calls = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&calls);
    program.vitals.before_over_budget(move |would| {
        assert_eq!(would.budget.scope, BudgetScope::Owner(OwnerKind::ROOT_VISUAL));
        count.fetch_add(1, Ordering::Relaxed);
        panic!("planted");
    });
    let _world = program.buffer("world", 64 * MIB);
    assert_eq!(calls.load(Ordering::Relaxed), 0, "of another owner");
    let _atlas = program.buffer("ui atlas", MIB);
    assert_eq!(calls.load(Ordering::Relaxed), 0, "it fits exactly");
    let one = program.buffer("ui glyph", 4);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let told = program.vitals.tracker().budget_calls();
    assert_eq!((told.calls, told.panics), (1, 1));
    let status = program.vitals.soft_budgets()[0].status;
    assert_eq!((status.used_bytes, status.pressure, status.crossings), (MIB + 4, Pressure::Over, 1));
    drop(one);
    program.wait();
    assert_eq!(program.vitals.frame().pressure, Pressure::High);
    program.vitals.set_soft_budget(SoftBudget::owner(OwnerKind::ROOT_VISUAL, 0));
    program.vitals.set_soft_budget(SoftBudget::process(100 * MIB));
    let budgets = program.vitals.soft_budgets();
    assert_eq!(budgets.len(), 1);
    assert_eq!(budgets[0].status.used_bytes, 65 * MIB, "what was there counts");
    // Bytes that wait for their release are used still.
    let waits = program.buffer("waits", MIB);
    let mut encoder = program.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.clear_buffer(&waits, 0, None);
    let commands = encoder.finish();
    drop(waits);
    assert_eq!(program.vitals.soft_budgets()[0].status.used_bytes, 66 * MIB);
    program.queue.submit([commands]);
    program.wait();
    assert_eq!(program.vitals.soft_budgets()[0].status.used_bytes, 65 * MIB);
}
