//! Soft budgets against a naive model: step by step in one thread, and exact whenever several threads pause.
#![cfg(feature = "telemetry")]

use engine_vitals_core::contract::ResourceMonitor;
use engine_vitals_core::monitor::LifecycleResourceMonitor;
use engine_vitals_core::probe::{
    BudgetScope, Clock, Context, New, OwnerId, OwnerKind, Pressure, Probe, ResourceId, SoftBudget, Ticket, Timestamp,
};
use engine_vitals_core::tracker::Tracker;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

const KINDS: [OwnerKind; 3] = [OwnerKind::UNOWNED, OwnerKind::ROOT_VISUAL, OwnerKind::TRANSIENT];

#[derive(Clone, Debug)]
enum Step {
    Create {
        kind: usize,
        bytes: u64,
        within: bool,
    },
    Resize(usize, u64),
    HandleDropped(usize),
    Destroyed(usize),
    Freed(usize),
    Release(usize),
    /// 0 lifts it.
    Set {
        scope: usize,
        bytes: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..KINDS.len(), 0..60_u64, proptest::bool::weighted(0.1))
            .prop_map(|(kind, bytes, within)| Step::Create { kind, bytes, within }),
        3 => (any::<usize>(), 0..90_u64).prop_map(|(which, bytes)| Step::Resize(which, bytes)),
        2 => any::<usize>().prop_map(Step::HandleDropped),
        1 => any::<usize>().prop_map(Step::Destroyed),
        1 => any::<usize>().prop_map(Step::Freed),
        5 => any::<usize>().prop_map(Step::Release),
        2 => (0..=KINDS.len(), prop_oneof![Just(0), 1..200_u64]).prop_map(|(scope, bytes)| Step::Set { scope, bytes }),
    ];
    proptest::collection::vec(step, 1..120)
}

/// What a person would do with paper.
struct Model {
    /// Kind, bytes, whether it lies within another, whether its memory is free.
    held: Vec<(usize, u64, bool, bool)>,
    budgets: [Option<Budget>; 4],
    crossings: [u64; 4],
}

struct Budget {
    bytes: u64,
    pressure: Pressure,
    crossed: bool,
    peak: u64,
}

impl Model {
    fn used(&self, scope: usize) -> u64 {
        let counts = |&&(kind, _, within, free): &&(usize, u64, bool, bool)| {
            !within && !free && (scope == 0 || kind == scope - 1)
        };
        self.held.iter().filter(counts).map(|(_, bytes, ..)| bytes).sum()
    }

    fn look(&mut self) {
        for scope in 0..4 {
            let used = self.used(scope);
            let Some(budget) = &mut self.budgets[scope] else { continue };
            let share = used as f64 / budget.bytes as f64;
            if used > budget.bytes && !budget.crossed {
                self.crossings[scope] += 1;
                budget.crossed = true;
            }
            if share <= 0.95 {
                budget.crossed = false;
            }
            budget.pressure = match budget.pressure {
                _ if used > budget.bytes => Pressure::Over,
                Pressure::None if share >= 0.9 => Pressure::High,
                Pressure::None => Pressure::None,
                _ if share >= 0.85 => Pressure::High,
                _ => Pressure::None,
            };
            budget.peak = budget.peak.max(used);
        }
    }
}

fn scope(index: usize) -> BudgetScope {
    if index == 0 { BudgetScope::Process } else { BudgetScope::Owner(KINDS[index - 1]) }
}

fn owners(probe: Probe) -> [OwnerId; 3] {
    [OwnerId::NONE, probe.owner(KINDS[1], 1), probe.owner(KINDS[2], 2)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 400 }))]

    #[test]
    fn each_step_leaves_what_the_model_says(steps in steps()) {
        let tracker = Tracker::new();
        let probe = tracker.probe();
        let owners = owners(probe);
        let block = ResourceId::new(1);
        let mut tickets: Vec<Ticket> = Vec::new();
        let mut model = Model { held: Vec::new(), budgets: [None, None, None, None], crossings: [0; 4] };
        for step in steps {
            let pick = |which: usize| (!tickets.is_empty()).then(|| which % tickets.len());
            match step {
                Step::Create { kind, bytes, within } => {
                    let _owned = Context::current().with_owner(owners[kind]).enter();
                    let new = New::buffer(bytes).within(block.filter(|_| within));
                    tickets.push(probe.create(new));
                    model.held.push((kind, bytes, within, false));
                }
                Step::Resize(which, bytes) => if let Some(which) = pick(which) {
                    tickets[which].resize(bytes);
                    model.held[which].1 = bytes;
                },
                Step::HandleDropped(which) => if let Some(which) = pick(which) {
                    tickets[which].handle_dropped();
                },
                Step::Destroyed(which) => if let Some(which) = pick(which) {
                    tickets[which].destroyed();
                },
                Step::Freed(which) => if let Some(which) = pick(which) {
                    tickets[which].freed();
                    model.held[which].3 = true;
                },
                Step::Release(which) => if let Some(which) = pick(which) {
                    drop(tickets.swap_remove(which));
                    model.held.swap_remove(which);
                },
                Step::Set { scope: index, bytes } => {
                    tracker.set_soft_budget(SoftBudget::of(scope(index), bytes));
                    let fresh = Budget { bytes, pressure: Pressure::None, crossed: false, peak: 0 };
                    let before = model.budgets[index].take().unwrap_or(fresh);
                    model.budgets[index] = (bytes > 0).then_some(Budget { bytes, ..before });
                }
            }
            model.look();
            let mut expected = Vec::new();
            for index in 0..4 {
                if let Some(budget) = &model.budgets[index] {
                    let used = model.used(index);
                    expected.push((scope(index), budget.bytes, used, budget.peak, budget.pressure, model.crossings[index]));
                }
            }
            let told: Vec<_> = tracker.soft_budgets().iter().map(|status| {
                let budget = status.budget;
                (budget.scope, budget.bytes, status.used_bytes, status.peak_bytes, status.pressure, status.crossings)
            }).collect();
            prop_assert_eq!(&told, &expected);
            let worst = expected.iter().map(|(.., pressure, _)| *pressure).max().unwrap_or_default();
            prop_assert_eq!(tracker.pressure(), worst);
        }
    }
}

/// xorshift64*: the same lives at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}

#[test]
fn whenever_the_threads_pause_the_sums_are_exact() {
    const THREADS: u64 = 6;
    const ROUNDS: u64 = if cfg!(miri) { 3 } else { 40 };
    const STEPS: u64 = if cfg!(miri) { 30 } else { 500 };
    let tracker = Tracker::new();
    let probe = tracker.probe();
    let owners = owners(probe);
    let held: Mutex<Vec<(usize, u64, Ticket)>> = Mutex::default();
    let barrier = Barrier::new(THREADS as usize + 1);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (held, barrier) = (&held, &barrier);
            scope.spawn(move || {
                let mut random = Random((thread + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
                for round in 0..ROUNDS {
                    // One of them sleeps through the round in which the budget is set, and another through those before.
                    let sleeps = (thread == 0 && (1..4).contains(&round)) || (thread == 1 && round < 3);
                    for _ in 0..if sleeps { 0 } else { STEPS } {
                        if random.below(2) == 0 {
                            let kind = random.below(3) as usize;
                            let bytes = random.below(1 << 20);
                            let owned = Context::current().with_owner(owners[kind]).enter();
                            let ticket = probe.create(New::buffer(bytes));
                            drop(owned);
                            held.lock().unwrap().push((kind, bytes, ticket));
                        } else {
                            // Often another thread's.
                            let taken = {
                                let mut held = held.lock().unwrap();
                                let len = held.len() as u64;
                                (len > 0).then(|| held.swap_remove(random.below(len) as usize))
                            };
                            if let Some((kind, bytes, mut ticket)) = taken
                                && random.below(3) == 0
                            {
                                let more = bytes + random.below(1 << 16);
                                ticket.resize(more);
                                held.lock().unwrap().push((kind, more, ticket));
                            }
                        }
                    }
                    barrier.wait();
                    barrier.wait();
                }
            });
        }
        for round in 0..ROUNDS {
            if round == 2 {
                // While the others run.
                tracker.set_soft_budget(SoftBudget::process(1 << 30));
                for kind in KINDS {
                    tracker.set_soft_budget(SoftBudget::owner(kind, 1 << 30));
                }
            }
            barrier.wait();
            if round >= 2 {
                let statuses = tracker.soft_budgets();
                let held = held.lock().unwrap();
                let sum = |kind: Option<usize>| {
                    held.iter()
                        .filter(|(of, ..)| kind.is_none_or(|kind| kind == *of))
                        .map(|(_, bytes, _)| bytes)
                        .sum::<u64>()
                };
                assert_eq!(statuses[0].used_bytes, sum(None), "round {round}");
                for (kind, of) in KINDS.into_iter().enumerate().take(3) {
                    let scope = BudgetScope::Owner(of);
                    let status = statuses.iter().find(|status| status.budget.scope == scope).unwrap();
                    assert_eq!(status.used_bytes, sum(Some(kind)), "round {round}, {scope:?}");
                    assert!(status.peak_bytes >= status.used_bytes);
                }
            }
            barrier.wait();
        }
    });
    held.lock().unwrap().clear();
    assert!(tracker.soft_budgets().iter().all(|status| status.used_bytes == 0));
}

#[test]
fn threads_that_exceed_it_together_cross_it_once_and_not_at_its_last_byte() {
    const THREADS: u64 = 4;
    let rounds = if cfg!(miri) { 4 } else { 300 };
    let tracker = Tracker::builder().soft_budget(SoftBudget::process(THREADS * 1_000)).build();
    let probe = tracker.probe();
    for (bytes, crossings) in [(1_000, 0), (1_001, 1)] {
        let barrier = Barrier::new(THREADS as usize);
        let before = tracker.soft_budgets()[0].crossings;
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..rounds {
                        barrier.wait();
                        let ticket = probe.create(New::buffer(bytes));
                        barrier.wait();
                        drop(ticket);
                    }
                });
            }
        });
        assert_eq!(tracker.soft_budgets()[0].crossings - before, crossings * rounds);
    }
}

#[test]
fn what_is_called_hears_of_one_above_and_not_of_the_last_that_fits() {
    let calls: Arc<Mutex<Vec<(BudgetScope, u64, u64)>>> = Arc::default();
    let told = Arc::clone(&calls);
    let tracker = Tracker::builder()
        .soft_budget(SoftBudget::process(100))
        .before_over_budget(move |would| {
            told.lock().unwrap().push((would.budget.scope, would.used_bytes, would.excess_bytes()));
        })
        .build();
    let probe = tracker.probe();
    let base = probe.create(New::buffer(40));
    let taken = || std::mem::take(&mut *calls.lock().unwrap());
    for (bytes, expected) in [(59, vec![]), (60, vec![]), (61, vec![(BudgetScope::Process, 40, 1)])] {
        let ticket = probe.create(New::buffer(bytes));
        assert!(ticket.id().is_some(), "it goes on in any case");
        assert_eq!(taken(), expected, "{bytes}");
    }
    let mut grows = probe.create(New::buffer(10));
    grows.resize(60);
    assert_eq!(taken(), [], "it fits exactly");
    grows.resize(61);
    assert_eq!(taken(), [(BudgetScope::Process, 100, 1)]);
    grows.resize(1);
    grows.handle_dropped();
    assert_eq!(taken(), [], "it shrinks");
    // Nothing is added by what lies within another, has no bytes, or is not tracked.
    let full = probe.create(New::buffer(59));
    drop((probe.create(New::buffer(500).within(base.id())), probe.create(New::bind_group())));
    let untracked = Context::current().untracked().enter();
    drop(probe.create(New::buffer(500)));
    drop(untracked);
    assert_eq!(taken(), []);
    // An announced creation is told of once, before it.
    let new = New::buffer(10);
    let announced = probe.announce(&new);
    assert_eq!(taken(), [(BudgetScope::Process, 100, 10)]);
    let late = probe.create(new);
    assert_eq!(taken(), []);
    drop(announced);
    drop(probe.create(new));
    assert_eq!(taken(), [(BudgetScope::Process, 110, 20)]);
    tracker.set_soft_budget(SoftBudget::process(0));
    drop((probe.create(New::buffer(1_000)), late, full));
    assert_eq!((taken(), tracker.soft_budgets(), tracker.pressure()), (vec![], vec![], Pressure::None));
}

#[test]
fn what_it_makes_and_drops_itself_calls_nobody() {
    let kept: Arc<Mutex<Vec<Ticket>>> = Arc::default();
    let calls = Arc::new(AtomicU64::new(0));
    let tracker = Tracker::builder().soft_budget(SoftBudget::process(100)).build();
    let probe = tracker.probe();
    let (cache, count) = (Arc::clone(&kept), Arc::clone(&calls));
    tracker.before_over_budget(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let scratch = probe.create(New::buffer(1_000));
        cache.lock().unwrap().clear();
        drop(scratch);
        assert!(count.load(Ordering::Relaxed) != 2, "planted");
    });
    for round in 1..=3 {
        kept.lock().unwrap().push(probe.create(New::buffer(90)));
        let last = probe.create(New::buffer(20));
        assert_eq!(calls.load(Ordering::Relaxed), round);
        drop(last);
        kept.lock().unwrap().clear();
    }
    let told = tracker.budget_calls();
    assert_eq!((told.calls, told.panics), (3, 1));
}

#[test]
fn each_crossing_is_warned_of_with_who_holds_the_most() {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_000_000_000_000));
    let tracker = Tracker::builder().clock(clock).soft_budget(SoftBudget::process(1_000)).build();
    let tracker = Arc::new(tracker);
    let monitor = LifecycleResourceMonitor::new(Arc::clone(&tracker), "lifecycle");
    let probe = tracker.probe();
    let level = probe.owner_named(OwnerKind::ROOT_VISUAL, 7, "level");
    let owned = Context::current().with_owner(level).enter();
    let large = probe.create(New::texture(900));
    drop(owned);
    monitor.update();
    assert_eq!(monitor.warnings(), []);
    // Between two looks, and gone again.
    drop(probe.create(New::buffer(200)));
    hand.advance(Duration::from_secs(1));
    monitor.update();
    let warnings = monitor.warnings();
    let told = |part: &str| assert!(warnings[0].text.contains(part), "{part} in {}", warnings[0].text);
    assert_eq!((warnings.len(), warnings[0].guard, warnings[0].windows), (1, "gpu_budget", 1));
    told("has crossed its budget of 0.98 KiB 1 time: 900 B used now, 1.07 KiB at most");
    told("\"level\"");
    told("largest kinds: texture 900 B");
    hand.advance(Duration::from_secs(1));
    monitor.update();
    assert_eq!(monitor.warnings()[0].windows, 1, "once for each crossing");
    drop((large, probe.create(New::buffer(2_000))));
    hand.advance(Duration::from_secs(1));
    monitor.update();
    assert_eq!(monitor.warnings()[0].windows, 2);
}
