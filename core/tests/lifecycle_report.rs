//! The lifecycle report against what the program under it really did.
#![cfg(feature = "telemetry")]
#![expect(clippy::unwrap_used, reason = "a test: helpers may fail it too")]

use std::sync::Arc;
use std::time::Duration;

use engine_vitals_core::analysis::{
    Analyzer, Answers, DestroyReason, Detail, LifecycleTelemetry, Observation, Rules, StartupEnd, Window, WindowReport,
};
use engine_vitals_core::contract::ResourceMonitor;
use engine_vitals_core::monitor::LifecycleResourceMonitor;
use engine_vitals_core::probe::{
    Clock, Context, Lane, Level, ManualClock, Mark, New, OwnerId, OwnerKind, Packet, PacketResult, Probe, ResourceKind,
    Ticket, Timestamp,
};
use engine_vitals_core::tracker::{Totals, Tracker};
use proptest::prelude::*;

const FRAME: Duration = Duration::from_millis(10);

/// A program that goes frame by frame, on a clock that stands still but for its frames.
struct Program {
    tracker: Arc<Tracker>,
    monitor: LifecycleResourceMonitor,
    hand: ManualClock,
    probe: Probe,
    lane: Lane,
    open: Option<Packet>,
}

impl Program {
    fn new(rules: Rules) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_000_000_000_000));
        let tracker = Arc::new(Tracker::builder().clock(clock).build());
        let monitor = LifecycleResourceMonitor::with_rules(Arc::clone(&tracker), "life", rules);
        let probe = tracker.probe();
        Self { monitor, hand, probe, lane: probe.lane("main"), open: None, tracker }
    }

    /// Ends the frame under way, if any, and begins the next.
    fn frame(&mut self, result: PacketResult) {
        if let Some(open) = self.open.take() {
            open.finish(result);
        }
        self.hand.advance(FRAME);
        self.monitor.update();
        let packet = self.probe.packet(self.lane);
        packet.context().make_current();
        self.open = Some(packet);
    }

    fn make(&self, owner: OwnerId, kind: ResourceKind, bytes: u64) -> Ticket {
        let _owned = Context::current().with_owner(owner).enter();
        self.probe.create(New::of(kind, bytes))
    }

    fn report(&self) -> LifecycleTelemetry {
        self.monitor.telemetry().unwrap()
    }
}

fn rules(stable_packets: u32) -> Rules {
    let mut rules = Rules::default();
    rules.stable_packets = stable_packets;
    rules
}

fn counts(window: &WindowReport, kind: &str) -> (u64, u64) {
    window.kinds.iter().find(|figures| figures.kind == kind).map_or((0, 0), |kind| (kind.created, kind.destroyed))
}

#[test]
fn the_report_alone_tells_what_was_presented_what_churned_and_why_each_queue_went() {
    let mut program = Program::new(rules(3));
    let root = program.probe.owner_named(OwnerKind::ROOT_VISUAL, 1, "window");
    let menu = program.probe.owner_named(OwnerKind::CHILD_VISUAL, 7, "menu");
    let kept =
        [program.make(root, ResourceKind::NATIVE_TARGET, 4_000), program.make(root, ResourceKind::COMMAND_QUEUE, 0)];
    // Four frames in each of which the menu makes its target and queue anew three times, one of them dropped.
    let mut pair = None;
    program.frame(PacketResult::Presented);
    for frame in 0..4 {
        for _ in 0..3 {
            program.hand.advance(Duration::from_millis(1));
            let queue = program.make(menu, ResourceKind::COMMAND_QUEUE, 0);
            let target = program.make(menu, ResourceKind::NATIVE_TARGET, 1_000);
            program.hand.advance(Duration::from_millis(1));
            pair = Some((queue, target));
        }
        // What every frame makes by its nature is no churn.
        drop(program.make(root, ResourceKind::COMMAND_ENCODER, 0));
        program.probe.event(Mark::submit(frame));
        program.frame(if frame == 1 { PacketResult::Dropped } else { PacketResult::Presented });
    }
    // Calm: three frames, and stable with the third.
    for expected in [None, None, Some(StartupEnd::Stable)] {
        assert_eq!(program.report().startup.ended, None);
        program.frame(PacketResult::Presented);
        assert_eq!(program.report().startup.ended, expected);
    }
    // The steady state: one target destroyed for good, and a single frame.
    let (queue, target) = pair.take().unwrap();
    let shown_in = program.open.as_ref().map(Packet::id).unwrap();
    target.destroyed();
    drop(target);
    program.frame(PacketResult::Presented);
    program.monitor.begin_shutdown();
    program.hand.advance(FRAME);
    drop((kept, queue));
    program.open.take().unwrap().finish(PacketResult::NoOp);
    program.monitor.end();

    let report = program.report();
    let startup = &report.startup;
    assert_eq!(startup.ended, Some(StartupEnd::Stable));
    // Packets 1 to 4 with packet 2 dropped, then 5, 6, 7: six presented, three of them before the stable window.
    assert_eq!((startup.presented_before_stable, startup.presented_at_stable), (Some(3), Some(6)));
    let packets = startup.window.packets;
    assert_eq!((packets.queued, packets.presented, packets.dropped, packets.submitted), (7, 6, 1, 4));
    assert_eq!(startup.stabilization, Some(8 * FRAME + Duration::from_millis(24)));

    // 2 + 24 made and 22 destroyed of what counts, and four encoders beside.
    let window = &startup.window;
    assert_eq!((window.churn.created, window.churn.destroyed), (26, 22));
    assert_eq!(window.churn_ratio, Some(48.0 / 6.0));
    assert_eq!((window.created, window.destroyed), (30, 26));
    assert_eq!((counts(window, "command_queue"), counts(window, "native_target")), ((13, 11), (13, 11)));
    assert_eq!(window.kinds[0].kind, "command_queue");
    assert_eq!(window.short_lived, 22);

    // The planted source comes first, and as a loop with its line.
    let top = &window.contributors[0];
    assert_eq!((top.owner.kind, top.owner.key, top.owner.name.as_deref()), ("child_visual", Some(7), Some("menu")));
    assert_eq!((top.created, top.destroyed, top.created_bytes), (24, 22, 12_000));
    assert!(top.site.as_deref().is_some_and(|site| site.contains("lifecycle_report.rs")), "{:?}", top.site);
    let [recreated] = &window.recreate_loops[..] else { panic!("{:?}", window.recreate_loops) };
    assert_eq!((recreated.owner.key, recreated.remade, recreated.replaced), (Some(7), 22, 22));

    // Each queue and target of the startup was replaced, by the one made next.
    assert_eq!(window.destroyed_resources.len(), 22);
    for destroyed in &window.destroyed_resources {
        assert_eq!(destroyed.reason, DestroyReason::Replaced, "{destroyed:?}");
        assert_eq!(destroyed.window, Window::Startup);
        assert_eq!(destroyed.owner, Some(top.owner.clone()));
        assert!(destroyed.created_in.is_some() && destroyed.destroyed_in.is_some());
        // Made in pairs: the next of the kind is two ids further, where the ids are one thread's and one block's.
        assert!(destroyed.replaced_by > Some(destroyed.id));
    }
    let steady = report.steady_state.as_ref().unwrap();
    assert_eq!((steady.packets.presented, steady.churn.created, steady.churn.destroyed), (1, 0, 1));
    let [gone] = &steady.destroyed_resources[..] else { panic!("{:?}", steady.destroyed_resources) };
    assert_eq!((gone.kind, gone.reason, gone.explicit), ("native_target", DestroyReason::Explicit, true));
    assert_eq!(gone.destroyed_in.as_ref().map(|packet| packet.number), Some(shown_in.number()));

    // The teardown is the shutdown's alone.
    let shutdown = report.shutdown.as_ref().unwrap();
    assert_eq!((shutdown.churn.created, shutdown.churn.destroyed), (0, 3));
    assert_eq!((shutdown.churn_ratio, shutdown.packets.no_op), (None, 1));
    assert!(shutdown.destroyed_resources.iter().all(|gone| gone.reason == DestroyReason::Shutdown));
    assert_eq!(shutdown.destroyed_resources.len(), 3);
    assert_eq!(shutdown.destroy_bursts.iter().map(|burst| burst.destroyed).sum::<u64>(), 3);
    assert!(!shutdown.open && !steady.open && !window.open);

    // The same in text and JSON.
    let text = report.to_string();
    for expected in [
        "packets         7 queued, 4 submitted, 6 presented, 1 dropped, 0 no-op, 0 failed",
        "churn ratio     8.00 ((26 created + 22 destroyed) / 6 presented)",
        "child_visual 7 \"menu\"",
        "Queues and targets destroyed: 11 command_queue replaced, 11 native_target replaced",
        "SteadyStateWindow",
        "destroyed explicitly",
        "ShutdownWindow",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
    assert!(text.lines().all(|line| line == line.trim_end()), "no blanks at the end of a line");
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["startup"]["window"]["packets"]["presented"], 6);
    assert_eq!(json["startup"]["window"]["window"], "StartupWindow");
    assert_eq!(json["startup"]["window"]["contributors"][0]["owner"]["name"], "menu");
    assert_eq!(json["startup"]["stabilization_seconds"], 0.104);
    assert_eq!(json["startup"]["ended"], "stable");
    assert_eq!(json["shutdown"]["destroyed_resources"][0]["reason"], "shutdown");
    assert_eq!(json["shutdown"]["churn_ratio"], serde_json::Value::Null);
}

#[test]
fn nothing_is_reported_of_what_was_not_tracked() {
    let tracker = Arc::new(Tracker::builder().level(Level::Off).build());
    let monitor = LifecycleResourceMonitor::new(Arc::clone(&tracker), "life");
    monitor.on_startup(|_| panic!("there is nothing to tell"));
    monitor.update();
    monitor.begin_shutdown();
    monitor.end();
    assert_eq!(monitor.telemetry(), None);
    tracker.set_level(Level::Counters);
    assert!(monitor.telemetry().is_some());
}

#[test]
fn the_startup_is_told_once_whatever_ends_it() {
    for stable in [true, false] {
        let mut program = Program::new(rules(2));
        let (told, tells) = std::sync::mpsc::channel();
        program.monitor.on_startup(move |report| told.send(report.startup.ended).unwrap());
        for _ in 0..if stable { 10 } else { 1 } {
            program.frame(PacketResult::Presented);
        }
        program.monitor.begin_shutdown();
        program.monitor.begin_shutdown();
        program.monitor.end();
        let expected = if stable { StartupEnd::Stable } else { StartupEnd::Shutdown };
        assert_eq!(tells.iter().collect::<Vec<_>>(), [Some(expected)]);
    }
}

#[test]
fn the_startup_is_told_too_if_a_report_that_is_asked_for_sees_its_end_first() {
    let mut program = Program::new(rules(2));
    let (told, tells) = std::sync::mpsc::channel();
    program.monitor.on_startup(move |report| told.send(report.startup.ended).unwrap());
    program.frame(PacketResult::Presented);
    program.frame(PacketResult::Presented);
    for _ in 0..3 {
        program.probe.packet(program.lane).finish(PacketResult::Presented);
        assert_eq!(program.report().startup.ended.is_some(), program.report().startup.stabilization.is_some());
    }
    program.frame(PacketResult::Presented);
    assert_eq!(tells.try_iter().collect::<Vec<_>>(), [Some(StartupEnd::Stable)]);
}

#[test]
fn what_ends_while_a_window_is_closed_belongs_to_the_next_in_figures_and_list() {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_000_000_000_000));
    let tracker = Tracker::builder().clock(clock).build();
    let [first, second] = [1, 2].map(|bytes| tracker.probe().create(New::of(ResourceKind::COMMAND_QUEUE, bytes)));
    drop(first);
    hand.advance(FRAME);
    let totals = tracker.totals();
    // Another thread, between the reading of the counters and that of the lives.
    hand.advance(FRAME);
    drop(second);
    let detail = |totals: &Totals| {
        let now = Observation::of(totals, &tracker.passing_kinds(), &tracker.followed_kinds());
        Detail::of(now, totals, Vec::new(), tracker.lives(), tracker.bursts())
    };
    let mut analyzer = Analyzer::new(Rules::default(), tracker.started());
    analyzer.shutdown(|| detail(&totals));
    let mut answers = Answers::default();
    answers.detail = detail(&tracker.totals());
    let report = analyzer.report(&answers, |owner| tracker.owner(owner));
    for (window, bytes) in report.windows().zip([1, 2]) {
        let listed: Vec<_> = window.destroyed_resources.iter().map(|queue| queue.bytes).collect();
        assert_eq!((window.destroyed, listed, window.destroyed_resources_left_out), (1, vec![bytes], 0));
    }
}

#[test]
fn reuse_resizing_and_pool_candidates_are_counted_for_whoever_optimises() {
    let mut program = Program::new(Rules::default());
    let root = program.probe.owner(OwnerKind::ROOT_VISUAL, 1);
    program.frame(PacketResult::Presented);
    let queue = program.make(root, ResourceKind::COMMAND_QUEUE, 0);
    let mut target = program.make(root, ResourceKind::NATIVE_TARGET, 100);
    for _ in 0..3 {
        queue.reused();
    }
    target.resize_requested();
    target.resize_requested();
    target.resize(400);
    for _ in 0..5 {
        drop(program.make(root, ResourceKind::BUFFER, 64));
    }
    let readiness = program.report().readiness;
    assert_eq!(readiness.queue_reuse_ratio, Some(0.75));
    assert_eq!((readiness.resize_requests, readiness.resize_rebuilds), (2, 1));
    let targets = readiness.kinds.iter().find(|kind| kind.kind == "native_target").unwrap();
    assert_eq!((targets.created, targets.reused, targets.resize_requests, targets.resize_rebuilds), (1, 0, 2, 1));
    // Five alike: a pool would have made one.
    let [pool] = &readiness.pool_candidates[..] else { panic!("{readiness:?}") };
    assert_eq!((pool.kind, pool.bytes, pool.made, pool.saved_bytes), ("buffer", 64, 5, 4 * 64));
    assert_eq!(readiness.pool_candidate_bytes, 256);
}

#[test]
fn the_working_set_is_what_the_newest_packets_touched() {
    let mut rules = Rules::default();
    rules.working_set_packets = 2;
    let mut program = Program::new(rules);
    program.frame(PacketResult::Presented);
    let [old, recent, never] = [1, 10, 100].map(|bytes| program.make(OwnerId::NONE, ResourceKind::BUFFER, bytes));
    assert_eq!(program.report().working_set, None, "nobody reports touches");
    let touch = |program: &Program, ticket: &Ticket| ticket.touch(program.open.as_ref().map(Packet::id).unwrap());
    touch(&program, &old);
    program.frame(PacketResult::Presented);
    touch(&program, &recent);
    let set = program.report().working_set.unwrap();
    assert_eq!((set.resources, set.bytes, set.live_resources, set.live_bytes), (2, 11, 3, 111));
    program.frame(PacketResult::Presented);
    let set = program.report().working_set.unwrap();
    assert_eq!((set.resources, set.bytes), (1, 10), "the last two packets alone");
    drop((old, recent, never));
}

/// What a program may do between frames.
#[derive(Debug, Clone)]
enum Step {
    Make { owner: usize, kind: usize },
    Release(usize),
    Frame(PacketResult),
    Shutdown,
}

const KINDS: [ResourceKind; 4] =
    [ResourceKind::COMMAND_QUEUE, ResourceKind::TEXTURE, ResourceKind::NATIVE_TARGET, ResourceKind::COMMAND_BUFFER];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_usize..3, 0_usize..4).prop_map(|(owner, kind)| Step::Make { owner, kind }),
        4 => any::<usize>().prop_map(Step::Release),
        6 => prop_oneof![
            4 => Just(PacketResult::Presented), 1 => Just(PacketResult::Dropped), 1 => Just(PacketResult::Failed)
        ].prop_map(Step::Frame),
        1 => Just(Step::Shutdown),
    ];
    prop::collection::vec(step, 1..120)
}

/// What came to pass between two ends of windows, counted the simple way.
#[derive(Debug, Clone, Default, PartialEq)]
struct Counted {
    presented: u64,
    dropped: u64,
    failed: u64,
    /// Created and destroyed by kind and by owner.
    kinds: [(u64, u64); 4],
    owners: [(u64, u64); 3],
}

impl Counted {
    fn churn(&self) -> u64 {
        self.kinds[..3].iter().map(|(created, destroyed)| created + destroyed).sum()
    }

    fn of(window: &WindowReport) -> Self {
        let owner = |key: u64| {
            let found = window.contributors.iter().find(|found| found.owner.key == Some(key));
            found.map_or((0, 0), |found| (found.created, found.destroyed))
        };
        Self {
            presented: window.packets.presented,
            dropped: window.packets.dropped,
            failed: window.packets.failed,
            kinds: KINDS.map(|kind| counts(window, kind.name())),
            owners: [owner(0), owner(1), owner(2)],
        }
    }
}

proptest! {
    /// A model that keeps all of history finds the same windows with the same counts in them.
    #[test]
    fn windows_hold_what_a_model_of_all_history_holds(steps in steps(), stable in 1_u32..5) {
        let mut program = Program::new(rules(stable));
        let owners = [0, 1, 2].map(|key| program.probe.owner(OwnerKind::CHILD_VISUAL, key));
        let mut windows = vec![Counted::default()];
        // Presented and churn at each frame, from the start.
        let mut history = vec![(0_u64, 0_u64)];
        let mut held: Vec<(Ticket, usize, usize)> = Vec::new();
        let mut shut = false;
        for step in steps {
            let now = windows.last_mut().unwrap();
            match step {
                Step::Make { owner, kind } => {
                    held.push((program.make(owners[owner], KINDS[kind], 10), owner, kind));
                    now.kinds[kind].0 += 1;
                    now.owners[owner].0 += u64::from(kind < 3);
                }
                Step::Release(_) if held.is_empty() => {}
                Step::Release(which) => {
                    let (ticket, owner, kind) = held.swap_remove(which % held.len());
                    drop(ticket);
                    now.kinds[kind].1 += 1;
                    now.owners[owner].1 += u64::from(kind < 3);
                }
                Step::Frame(result) => {
                    let first = program.open.is_none();
                    program.frame(result);
                    if first {
                        continue;
                    }
                    match result {
                        PacketResult::Presented => now.presented += 1,
                        PacketResult::Dropped => now.dropped += 1,
                        _ => now.failed += 1,
                    }
                    let seen = (windows.iter().map(|w| w.presented).sum(), windows.iter().map(Counted::churn).sum());
                    let advanced = history.last().unwrap().0 < seen.0;
                    let began = history.iter().rev().find(|(presented, _)| seen.0 - presented >= stable.into());
                    let is_stable = began.is_some_and(|(presented, churn)| seen.1 - churn <= seen.0 - presented);
                    if advanced {
                        history.push(seen);
                        if is_stable && windows.len() == 1 && !shut {
                            windows.push(Counted::default());
                        }
                    }
                }
                Step::Shutdown => {
                    program.monitor.begin_shutdown();
                    if !shut {
                        shut = true;
                        if windows.len() == 1 {
                            windows.push(Counted::default());
                        }
                        windows.push(Counted::default());
                    }
                }
            }
        }
        let report = program.report();
        let mut expected = windows;
        expected.resize(3, Counted::default());
        let found = [Some(&report.startup.window), report.steady_state.as_ref(), report.shutdown.as_ref()];
        for (window, expected) in found.into_iter().zip(expected) {
            prop_assert_eq!(window.map_or_else(Counted::default, Counted::of), expected.clone());
            let ratio = window.and_then(|window| window.churn_ratio);
            let model = (expected.presented > 0).then(|| expected.churn() as f64 / expected.presented as f64);
            prop_assert_eq!(ratio, model);
        }
        // Each queue and target that went is listed, in the window that counts it.
        for window in found.into_iter().flatten() {
            let went = counts(window, "command_queue").1 + counts(window, "native_target").1;
            prop_assert_eq!(window.destroyed_resources.len() as u64, went);
            prop_assert_eq!(window.reasons.iter().map(|reason| reason.count).sum::<u64>(), went);
        }
        prop_assert_eq!(program.tracker.totals().inconsistencies, 0);
    }
}
