use super::*;
use crate::contract::Value;
use crate::probe::{Clock, Context, Mark, New};

/// The figures by name and labels' values, histograms left out.
fn figures(monitor: &LifecycleResourceMonitor) -> Vec<(String, Option<Value>)> {
    let mut series = Series::with_cap(500);
    monitor.describe(&mut series);
    let (described, overflow) = series.finish();
    assert_eq!(overflow, Default::default());
    let names: Vec<_> = described
        .iter()
        .flatten()
        .filter(|figure| !matches!(figure.kind, crate::contract::FigureKind::Histogram(_)))
        .map(|figure| {
            let labels: Vec<_> = figure.labels.iter().map(|(_, value)| format!("/{value}")).collect();
            format!("{}{}", figure.name.trim_start_matches("vitals_"), labels.concat())
        })
        .collect();
    let mut values = vec![None; names.len()];
    let mut row = Row::new(&mut values);
    monitor.record(&mut row);
    assert_eq!(row.beyond(), 0);
    names.into_iter().zip(values).collect()
}

fn value(figures: &[(String, Option<Value>)], name: &str) -> Option<u64> {
    let found = figures.iter().find(|(known, _)| known == name);
    assert!(found.is_some(), "no figure {name}");
    found.and_then(|(_, value)| *value).and_then(Value::as_u64)
}

#[test]
fn nothing_is_claimed_before_the_first_update() {
    let monitor = LifecycleResourceMonitor::new(Arc::new(Tracker::new()), "life");
    assert_eq!(monitor.get_lifecycle_report(), None);
    assert_eq!(monitor.get_usage_report(), ResourceUsageReport::default());
    assert!(figures(&monitor).iter().all(|(_, value)| value.is_none()));
}

#[test]
fn nothing_is_claimed_while_nothing_is_tracked() {
    let tracker = Arc::new(Tracker::builder().level(Level::Off).build());
    let monitor = LifecycleResourceMonitor::new(Arc::clone(&tracker), "life");
    monitor.update();
    assert_eq!(monitor.get_lifecycle_report(), None);
    assert_eq!(monitor.get_usage_report(), ResourceUsageReport::default());
    assert!(figures(&monitor).iter().all(|(_, value)| value.is_none()));
    tracker.set_level(Level::Counters);
    monitor.update();
    assert_eq!(value(&figures(&monitor), "vram_live_bytes"), Some(0));
}

#[test]
fn a_kind_that_appears_after_the_description_moves_no_other_figure() {
    let tracker = Arc::new(Tracker::new());
    let probe = tracker.probe();
    let monitor = LifecycleResourceMonitor::new(tracker, "life");
    let owner = probe.owner(OwnerKind::ROOT_VISUAL, 7);
    let context = Context::current().with_owner(owner).enter();
    let _buffer = probe.create(New::buffer(1_000));
    monitor.update();
    let before = figures(&monitor);
    let _texture = probe.create(New::texture(64));
    drop(context);
    monitor.update();
    let mut values = vec![None; before.len()];
    monitor.record(&mut Row::new(&mut values));
    let value = |name: &str| values[before.iter().position(|(known, _)| known == name).unwrap()];
    assert_eq!(value("resource_live_bytes/buffer"), Some(Value::U64(1_000)));
    assert_eq!(value("owner_live_bytes/root_visual"), Some(Value::U64(1_064)));
    assert_eq!(value("owner_churn_total/root_visual"), Some(Value::U64(2)));
}

#[test]
fn figures_and_report_are_those_of_the_tracker() {
    let tracker = Arc::new(Tracker::new());
    let probe = tracker.probe();
    let monitor = LifecycleResourceMonitor::new(tracker, "life");
    monitor.update();
    let before = monitor.description_revision();

    let owner = probe.owner(OwnerKind::ROOT_VISUAL, 7);
    let context = Context::current().with_owner(owner).enter();
    let mut target = probe.create(New::texture_target(4_096));
    drop(context);
    let buffer = probe.create(New::buffer(1_000));
    let block = probe.create(New::buffer(100).within(buffer.id()));
    let gone = probe.create(New::buffer(500));
    gone.handle_dropped();
    target.resize(8_192);
    drop(probe.create(New::buffer(1)));
    let packet = probe.packet(probe.lane("main"));
    probe.staged(64);
    probe.event(Mark::submit(1));
    probe.staged(32);
    packet.finish(PacketResult::Presented);
    drop(probe.packet(probe.lane("main")));
    monitor.update();

    assert_ne!(monitor.description_revision(), before, "new kinds have appeared");
    let figures = figures(&monitor);
    for (name, expected) in [
        ("vram_live_bytes", 9_192),
        ("vram_pending_bytes", 500),
        ("resize_rebuilds_total", 1),
        ("packets_queued_total", 2),
        ("packets_total/presented", 1),
        ("packets_total/dropped", 1),
        ("packets_total/failed", 0),
        ("submissions_total", 1),
        ("submissions_completed_total", 0),
        ("submissions_abandoned_total", 0),
        ("submissions_in_flight", 1),
        ("unsubmitted_bytes", 32),
        ("resources_live/buffer", 2),
        ("resource_live_bytes/buffer", 1_000),
        ("resources_created_total/buffer", 4),
        ("resources_destroyed_total/buffer", 1),
        ("resources_live/texture_target", 1),
        ("resource_live_bytes/texture_target", 8_192),
        ("owner_live_bytes/root_visual", 8_192),
        ("owner_churn_total/root_visual", 1),
    ] {
        assert_eq!(value(&figures, name), Some(expected), "{name}");
    }
    let report = monitor.get_lifecycle_report().unwrap();
    assert_eq!((report.created, report.destroyed, report.live), (5, 1, 3));
    assert_eq!((report.live_bytes, report.pending_bytes), (9_192, 500));
    assert_eq!((report.packets_queued, report.packets_presented, report.packets_dropped), (2, 1, 1));
    assert_eq!(monitor.get_usage_report().current_bytes, Some(9_192));
    drop((target, buffer, block, gone));
    monitor.update();
    assert_eq!(monitor.get_lifecycle_report().unwrap().live, 0);
}

fn ratio(figures: &[(String, Option<Value>)], name: &str) -> Option<f64> {
    let found = figures.iter().find(|(known, _)| known == name);
    assert!(found.is_some(), "no figure {name}");
    found.and_then(|(_, value)| *value).map(Value::as_f64)
}

/// A monitor on a clock that is moved by hand, for which two presented packets in a row make a stable window.
fn watched() -> (Arc<Tracker>, crate::probe::ManualClock, LifecycleResourceMonitor) {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(5_000_000_000));
    let tracker = Arc::new(Tracker::builder().clock(clock).build());
    let rules = Rules { stable_packets: 2, ..Rules::default() };
    let monitor = LifecycleResourceMonitor::with_rules(Arc::clone(&tracker), "life", rules);
    (tracker, hand, monitor)
}

#[test]
fn churn_figures_are_absent_until_known_and_each_windows_own_after() {
    let (tracker, hand, monitor) = watched();
    let probe = tracker.probe();
    let frame = || {
        hand.advance(Duration::from_millis(10));
        probe.packet(probe.lane("main")).finish(PacketResult::Presented);
        monitor.update();
    };
    monitor.update();
    let before = figures(&monitor);
    for window in ["startup", "steady_state", "shutdown"] {
        assert_eq!(ratio(&before, &format!("churn_ratio/{window}")), None);
    }
    assert_eq!(ratio(&before, "startup_stabilization_seconds"), None);
    assert_eq!(ratio(&before, "startup_bursts_total"), None);
    assert_eq!(ratio(&before, "queue_reuse_ratio"), None);
    assert_eq!(value(&before, "resources_short_lived_total"), Some(0));
    assert_eq!(value(&before, "pool_candidate_bytes"), Some(0));

    // 16 made and destroyed within the first packet, and as many encoders, which are no churn.
    for _ in 0..16 {
        drop(probe.create(New::buffer(8)));
        drop(probe.create(New::of(ResourceKind::COMMAND_ENCODER, 0)));
    }
    frame();
    frame();
    frame();
    let stable = figures(&monitor);
    assert_eq!(ratio(&stable, "churn_ratio/startup"), Some(32.0 / 3.0));
    assert_eq!(ratio(&stable, "startup_stabilization_seconds"), Some(0.03));
    assert_eq!(value(&stable, "startup_bursts_total"), Some(1));
    assert_eq!(value(&stable, "resources_short_lived_total"), Some(16));
    assert_eq!(ratio(&stable, "churn_ratio/steady_state"), None, "no packet since");

    let queue = probe.create(New::of(ResourceKind::COMMAND_QUEUE, 0));
    queue.reused();
    queue.resize_requested();
    frame();
    frame();
    monitor.begin_shutdown();
    drop(queue);
    let shut = figures(&monitor);
    assert_eq!(ratio(&shut, "churn_ratio/startup"), Some(32.0 / 3.0), "it has ended");
    assert_eq!(ratio(&shut, "churn_ratio/steady_state"), Some(0.5));
    assert_eq!(ratio(&shut, "churn_ratio/shutdown"), None);
    assert_eq!(ratio(&shut, "queue_reuse_ratio"), Some(0.5));
    assert_eq!((value(&shut, "resources_reused_total"), value(&shut, "resize_requests_total")), (Some(1), Some(1)));
    hand.advance(Duration::from_secs(1));
    monitor.update();
    assert_eq!(value(&figures(&monitor), "pool_candidate_bytes"), Some(15 * 8));
}

#[test]
fn a_recreate_storm_counts_once_and_only_of_what_is_followed() {
    let (tracker, hand, monitor) = watched();
    let probe = tracker.probe();
    let storms = || {
        monitor.update();
        value(&figures(&monitor), "recreate_storms_total")
    };
    for (kind, made, expected) in [
        (ResourceKind::BUFFER, 50, 0),
        (ResourceKind::NATIVE_TARGET, 9, 0),
        (ResourceKind::NATIVE_TARGET, 1, 1),
        (ResourceKind::NATIVE_TARGET, 50, 1),
    ] {
        for _ in 0..made {
            drop(probe.create(New::of(kind, 8)));
        }
        assert_eq!(storms(), Some(expected), "{made} of {kind:?}");
    }
    hand.advance(Duration::from_secs(5));
    assert_eq!(storms(), Some(1));
}

#[test]
fn lifetimes_are_those_of_what_was_released() {
    let (tracker, hand, monitor) = watched();
    let probe = tracker.probe();
    for millis in [0, 1, 1_000_000_000] {
        let buffer = probe.create(New::buffer(1));
        let encoder = probe.create(New::of(ResourceKind::COMMAND_ENCODER, 0));
        hand.advance(Duration::from_millis(millis));
        drop((buffer, encoder));
    }
    let _alive = probe.create(New::buffer(1));
    monitor.update();
    monitor.update();
    let lives = monitor.lifetimes.snapshot();
    assert_eq!((lives.count, lives.sum), (3, 1_000_000.001));
    let upto = |bound: u64| {
        let bound = Some(Duration::from_nanos(bound).as_secs_f64());
        lives.buckets.iter().find(|(known, _)| *known == bound).map(|(_, count)| *count)
    };
    assert_eq!((upto(1 << 18), upto(1 << 20), lives.buckets.last()), (Some(1), Some(2), Some(&(None, 3))));
}
