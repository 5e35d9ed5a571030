//! One source for both configurations: with telemetry it is tracked, without it compiles to nothing.

use engine_vitals_core::analysis::Rules;
use engine_vitals_core::contract::ResourceMonitor;
use engine_vitals_core::monitor::LifecycleResourceMonitor;
use engine_vitals_core::probe::{
    Activity, Backend, Clock, Context, Extent, Level, Mark, New, OwnerKind, PacketId, PacketResult, Probe,
    ResourceKind, Ticket,
};
use engine_vitals_core::tracker::Tracker;
use std::time::Duration;

/// What an engine calls, all of it.
fn engine(probe: Probe) -> Ticket {
    let owner = probe.owner_named(OwnerKind::ROOT_VISUAL, 1, "window");
    let lane = probe.lane("surface");
    let packet = probe.packet(lane).with_command(7);
    let _frame = packet.context().with_owner(owner).enter();
    let here = Context::current();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _frame = here.enter();
            drop(probe.create(New::of(probe.kind("terrain"), 64).took(Duration::from_millis(1))));
        });
    });

    let block = probe.create(New::of(ResourceKind::MEMORY_BLOCK, 4096).label("pool").native(0xb10c));
    let within = probe.create(New::buffer(256).within(block.id()).label_opt(Some("vertices")));
    let mut target = probe.create(New::texture_target(400).extent(Extent::new(10, 10)).backend(Backend::Vulkan));
    target.touch(packet.id());
    probe.touching(packet.id(), |touches| touches.touch(&target));
    target.resize_to(1600, Extent::new(20, 20));
    target.resize(1200);
    target.resize_requested();
    target.reused();
    let links: Vec<_> = target.id().into_iter().collect();
    drop(probe.create(New::of(ResourceKind::TEXTURE_VIEW, 0).descriptor(1).links(&links).without_site()));
    probe.staged(100);
    probe.event(Mark::submit(1));
    probe.staged_into(&target, 28);
    probe.event_without_site(Mark::Submit { correlation: 2, queue: Some(&block), command_buffers: &[&within] });
    drop(probe.create(New::render_pipeline().begun(probe.now())));
    probe.timed(Activity::Submissions, || probe.uploading(64, || probe.stalled(Duration::from_millis(1))));
    probe.event(Mark::Abandoned { correlation: 2 });
    probe.event(Mark::Bind { resource: &target });
    probe.event(Mark::Unbind { resource: &target });
    probe.event(Mark::ResizeRebuild { target: &target, extent: None });
    probe.event(Mark::Present { surface: None });
    probe.event(Mark::marker("here"));
    probe.event(Mark::complete(1));
    packet.finish(PacketResult::Presented);
    drop(probe.packet(lane));
    let ended = probe.frame_ended();
    assert!(ended == 0 || probe.frame_number() == ended + 1);
    within.handle_dropped();
    block.destroyed();
    drop((within, block));
    let _ = probe.owner(probe.owner_kind("chunk"), 2);
    target
}

/// What a reader calls, all of it; the figures that the test compares.
#[derive(Debug, PartialEq)]
struct Figures {
    created: u64,
    live_bytes: u64,
    dropped: u64,
    completed: u64,
    resources: usize,
    events: u64,
    /// Owners, packets, submissions, lives, tenths of a second, misuses.
    written_down: [usize; 6],
}

fn read(tracker: &Tracker, delivered: u64) -> Figures {
    let mut totals = tracker.totals();
    tracker.read_totals(&mut totals);
    assert_eq!(totals.inconsistencies, 0);
    assert_eq!(tracker.activities().of(Activity::Stalls).calls, u64::from(cfg!(feature = "telemetry")));
    let mut owners = Vec::new();
    tracker.owner_totals(&mut owners);
    assert_eq!((tracker.oldest_in_flight(), tracker.unsubmitted()), (None, None));
    assert_eq!((tracker.pool_candidates().len(), tracker.pool_candidate_bytes()), (0, 0));
    assert!(tracker.lives().missed == 0 && tracker.misuses().total == 0);
    Figures {
        created: totals.device().created + totals.suballocations().created,
        live_bytes: totals.device().live_bytes(),
        dropped: totals.packets().with_result(PacketResult::Dropped),
        completed: totals.submissions.completed,
        resources: tracker.snapshot().resources.len(),
        events: delivered,
        written_down: [
            owners.len(),
            tracker.packets(10).len(),
            tracker.submissions(10).len(),
            tracker.lives().ended.len(),
            // The clock is the system's: there may be two.
            tracker.bursts().len().min(1),
            tracker.misuses().records.len(),
        ],
    }
}

#[test]
fn the_same_source_in_both_configurations() {
    let tracker = Tracker::builder()
        .level(Level::Off)
        .ring_capacity(256)
        .resource_capacity(1000)
        .owner_capacity(10)
        .lane_capacity(4)
        .label_capacity(10)
        .user_kind_capacity(4)
        .packet_capacity(16)
        .short_lived(1, Duration::ZERO)
        .followed_kinds(&[ResourceKind::MEMORY_BLOCK])
        .passing_kinds(&[ResourceKind::TEXTURE_VIEW])
        .panic_on_misuse(true)
        .clock(Clock::system())
        .build();
    tracker.set_level(Level::Events);
    tracker.set_touch_lists(true);
    let mut cursor = tracker.events();
    let target = engine(tracker.probe());
    let mut events = Vec::new();
    let outcome = cursor.read(&mut events);
    assert_eq!((outcome.delivered, outcome.lost), (cursor.delivered(), cursor.lost()));
    assert_eq!(tracker.recent_events(1000).len(), events.len());
    let figures = read(&tracker, outcome.delivered);

    if cfg!(feature = "telemetry") {
        assert_eq!(tracker.level(), Level::Events);
        assert!(tracker.touch_lists() && target.id().is_some());
        let expected = Figures {
            created: 6,
            live_bytes: 1200,
            dropped: 1,
            completed: 1,
            resources: 1,
            events: 28,
            written_down: [1, 2, 2, 1, 1, 0],
        };
        assert_eq!(figures, expected, "{events:#?}");
        assert_eq!(tracker.followed_kinds(), [ResourceKind::MEMORY_BLOCK]);
        assert_eq!(tracker.passing_kinds(), [ResourceKind::TEXTURE_VIEW]);
        assert!(tracker.started() <= tracker.clock().now());
        assert_eq!(tracker.lane_name(tracker.probe().lane("surface")), Some("surface"));
        assert_eq!(size_of::<Ticket>(), 16);
    } else {
        assert_eq!(tracker.level(), Level::Off);
        assert!(!tracker.touch_lists() && target.id().is_none());
        let expected = Figures {
            created: 0,
            live_bytes: 0,
            dropped: 0,
            completed: 0,
            resources: 0,
            events: 0,
            written_down: [0; 6],
        };
        assert_eq!(figures, expected);
        assert_eq!((size_of::<Probe>(), size_of::<Ticket>(), size_of::<Context>()), (0, 0, 0));
    }
    assert_eq!(tracker.owner(tracker.probe().owner(OwnerKind::ROOT_VISUAL, 1)).is_some(), cfg!(feature = "telemetry"));
}

#[test]
fn there_is_a_report_of_what_is_tracked_and_none_otherwise() {
    let tracker = std::sync::Arc::new(Tracker::new());
    let monitor = LifecycleResourceMonitor::with_rules(std::sync::Arc::clone(&tracker), "life", Rules::default());
    monitor.on_startup(|report| assert_eq!(report.startup.window.churn.created, 1));
    let ticket = tracker.probe().create(New::buffer(1));
    monitor.update();
    monitor.begin_shutdown();
    drop(ticket);
    monitor.end();
    let report = monitor.telemetry();
    assert_eq!(report.is_some(), cfg!(feature = "telemetry"));
    if let Some(report) = report {
        assert!(report.to_json().starts_with('{') && report.to_string().contains("ShutdownWindow"));
        assert_eq!(report.shutdown.map(|shutdown| shutdown.destroyed), Some(1));
    }
}

#[test]
fn handles_go_to_any_thread() {
    fn anywhere<T: Send + Sync>() {}
    anywhere::<(Probe, Ticket, Context, Tracker)>();
    anywhere::<(engine_vitals_core::probe::Packet, engine_vitals_core::tracker::EventCursor)>();
    let _: Clock = Tracker::new().clock();
}

#[test]
fn a_probe_that_is_off_does_nothing() {
    let ticket = engine(Probe::OFF);
    assert_eq!((ticket.id(), Probe::OFF.level()), (None, Level::Off));
    assert_eq!(Probe::OFF.packet(Probe::OFF.lane("x")).id(), PacketId::NONE);
    drop(Ticket::EMPTY);
}
