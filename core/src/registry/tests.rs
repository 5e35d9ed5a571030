//! The registry with monitors that behave and monitors that do not.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

mod disturbed;

use super::*;
use crate::contract::{
    Cadence, MemoryMonitor, MemoryReport, MonitorRef, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row,
    Series, Unit, Value,
};

/// A monitor that does what its fields say.
#[derive(Debug, Default)]
struct Plain {
    id: &'static str,
    value: AtomicU64,
    runs: AtomicU64,
    panics: AtomicBool,
    stalls_ms: AtomicU64,
    cadence: Cadence,
    labels: usize,
    usage: ResourceUsageReport,
}

impl Plain {
    fn new(id: &'static str) -> Self {
        Self { id, labels: 1, ..Self::default() }
    }
}

impl ResourceMonitor for Plain {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.into()
    }
    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Other("plain")
    }
    fn get_usage_report(&self) -> ResourceUsageReport {
        self.usage
    }
    fn cadence(&self) -> Cadence {
        self.cadence
    }
    fn update(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(self.stalls_ms.load(Ordering::Relaxed)));
        assert!(!self.panics.load(Ordering::Relaxed), "told to panic");
    }
    fn describe(&self, series: &mut Series) {
        for label in 0..self.labels {
            series.gauge("plain_bytes", Unit::Bytes, "A gauge.").label("id", self.id).label("label", label.to_string());
        }
        series.counter("plain_things_total", Unit::Count, "A counter.");
    }
    fn record(&self, row: &mut Row<'_>) {
        let value = self.value.load(Ordering::Relaxed);
        for _ in 0..self.labels {
            row.push(value);
        }
        row.push(value * 2);
    }
    fn view(self: Arc<Self>) -> Option<MonitorRef> {
        Some(MonitorRef::Memory(self))
    }
}

impl MemoryMonitor for Plain {
    fn get_memory_report(&self) -> Option<MemoryReport> {
        None
    }
    fn update_memory_stats(&self) {}
    fn reset_peak_usage(&self) {}
}

/// A registry with budgets that a busy machine cannot spend by accident.
fn patient() -> RegistryBuilder {
    Registry::builder().update_budget(Duration::from_secs(10)).monitor_budget(Duration::from_millis(100))
}

fn gauge(registry: &Registry, id: &str) -> Option<u64> {
    registry.snapshot().value("plain_bytes", &[("label", "0"), ("id", id)]).and_then(Value::as_u64)
}

fn success(registry: &Registry, id: &str) -> Option<u64> {
    registry.snapshot().value("vitals_monitor_success", &[("monitor", id)]).and_then(Value::as_u64)
}

/// Waits for what the sampler thread does; only a hang fails it.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}: not seen within 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn figures_reach_the_table_at_registration_and_at_each_update() {
    let registry = patient().build();
    let monitor = Arc::new(Plain::new("a"));
    monitor.value.store(7, Ordering::Relaxed);
    registry.register(monitor.clone()).unwrap();
    assert_eq!(gauge(&registry, "a"), Some(7));
    monitor.value.store(9, Ordering::Relaxed);
    let summary = registry.update();
    assert_eq!((summary.ran, summary.failed, summary.deferred), (1, 0, 0));
    assert_eq!(gauge(&registry, "a"), Some(9));
    assert_eq!(registry.snapshot().value("plain_things_total", &[]), Some(Value::U64(18)));
    assert_eq!(registry.snapshot().value("vitals_monitor_updates_total", &[("monitor", "a")]), Some(Value::U64(2)));
}

#[test]
fn monitors_are_found_by_type_and_by_facet_and_listed_in_order() {
    let registry = patient().build();
    registry.register(Arc::new(Plain::new("a"))).unwrap();
    registry.register(Arc::new(Plain::new("b"))).unwrap();
    assert_eq!(registry.get::<Plain>("b").unwrap().id, "b");
    assert!(registry.get::<Plain>("c").is_none());
    assert!(registry.memory("a").is_some());
    assert!(registry.gpu("a").is_none() && registry.vram("a").is_none() && registry.lifecycle("a").is_none());
    assert_eq!(registry.monitors().iter().map(|monitor| monitor.monitor_id()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_duplicate_id_hands_the_monitor_back() {
    let registry = patient().build();
    registry.register(Arc::new(Plain::new("a"))).unwrap();
    let second = Arc::new(Plain::new("a"));
    let error = registry.register(second.clone()).unwrap_err();
    assert!(Arc::ptr_eq(&error.monitor, &second));
    assert!(error.to_string().contains("\"a\""), "{error}");
    assert_eq!(registry.monitors().len(), 1);
    registry.unregister("a").unwrap();
    registry.register(second).unwrap();
    assert!(registry.unregister("b").is_none());
}

#[test]
fn two_monitors_with_the_same_series_get_a_label() {
    let registry = patient().build();
    registry.register(Arc::new(Plain::new("a"))).unwrap();
    registry.register(Arc::new(Plain::new("b"))).unwrap();
    let table = registry.snapshot();
    assert!(table.value("plain_things_total", &[]).is_some());
    assert!(table.value("plain_things_total", &[("monitor", "b")]).is_some());
    registry.unregister("a");
    registry.register(Arc::new(Plain::new("c"))).unwrap();
    assert!(
        registry
            .snapshot()
            .monitor("c")
            .unwrap()
            .figures
            .iter()
            .any(|(f, _)| f.name == "plain_things_total" && f.labels.is_empty())
    );
}

#[test]
fn a_panic_is_counted_and_makes_only_its_own_figures_absent() {
    let registry = patient().build();
    let bad = Arc::new(Plain::new("bad"));
    let good = Arc::new(Plain::new("good"));
    registry.register(bad.clone()).unwrap();
    registry.register(good.clone()).unwrap();
    bad.panics.store(true, Ordering::Relaxed);
    good.value.store(5, Ordering::Relaxed);
    let summary = registry.update();
    assert_eq!((summary.ran, summary.failed), (2, 1));
    assert_eq!((gauge(&registry, "bad"), gauge(&registry, "good")), (None, Some(5)));
    assert_eq!((success(&registry, "bad"), success(&registry, "good")), (Some(0), Some(1)));
    assert!(
        registry
            .health()
            .iter()
            .any(|h| matches!(&h.issue, HealthIssue::Failed { message } if message.contains("told to panic")))
    );
    // It is tried again on the sampler thread and reports again when it has recovered.
    bad.panics.store(false, Ordering::Relaxed);
    wait_until("recovery", || gauge(&registry, "bad").is_some());
    assert_eq!(success(&registry, "bad"), Some(1));
    assert_eq!(registry.stats().panics, 1);
}

#[test]
fn one_that_stalls_at_registration_never_runs_in_an_update() {
    let registry = patient().build();
    let slow = Arc::new(Plain::new("slow"));
    slow.stalls_ms.store(1_000, Ordering::Relaxed);
    registry.register(slow.clone()).unwrap();
    registry.register(Arc::new(Plain::new("fast"))).unwrap();
    for _ in 0..100 {
        assert_eq!(registry.update().ran, 1);
    }
    assert_eq!(gauge(&registry, "fast"), Some(0));
    assert!(registry.health().iter().any(|h| h.id == "slow" && h.issue == HealthIssue::Demoted));
    let runs = slow.runs.load(Ordering::Relaxed);
    wait_until("the sampler thread runs it", || slow.runs.load(Ordering::Relaxed) > runs);
}

#[test]
fn one_that_begins_to_stall_is_moved_after_two_overruns() {
    let registry = patient().demoted_cadence(Duration::from_millis(10)).build();
    let slow = Arc::new(Plain::new("slow"));
    registry.register(slow.clone()).unwrap();
    slow.stalls_ms.store(200, Ordering::Relaxed);
    let ran: usize = (0..50).map(|_| registry.update().ran).sum();
    assert_eq!(ran, 2);
    assert_eq!(registry.stats().demotions, 1);
    assert_eq!(registry.snapshot().value("vitals_monitor_sampled", &[("monitor", "slow")]), Some(Value::U64(1)));
    // Once it keeps its budget again it comes back.
    slow.stalls_ms.store(0, Ordering::Relaxed);
    wait_until("its return", || registry.update().ran == 1);
}

#[test]
fn a_hanging_monitor_holds_up_no_other() {
    let registry = patient().build();
    let hangs = Arc::new(Plain { cadence: Cadence::Every(Duration::from_millis(1)), ..Plain::new("hangs") });
    hangs.stalls_ms.store(20_000, Ordering::Relaxed);
    let sampled = Arc::new(Plain { cadence: Cadence::Every(Duration::from_millis(10)), ..Plain::new("sampled") });
    registry.register(hangs.clone()).unwrap();
    wait_until("the hang", || hangs.runs.load(Ordering::Relaxed) == 1);
    registry.register(sampled.clone()).unwrap();
    wait_until("the other's runs", || {
        registry.update();
        sampled.runs.load(Ordering::Relaxed) > 5
    });
    assert_eq!(hangs.runs.load(Ordering::Relaxed), 1, "it is never re-entered");
    drop(registry);
}

#[test]
fn a_million_label_values_are_cut_at_the_cap_and_counted() {
    let registry = patient().build();
    registry.register(Arc::new(Plain { labels: 1_000_000, ..Plain::new("wide") })).unwrap();
    registry.register(Arc::new(Plain::new("good"))).unwrap();
    registry.update();
    assert_eq!(registry.stats().figures_refused, 1_000_001 - 1_024);
    assert_eq!(gauge(&registry, "good"), Some(0));
    assert_eq!(gauge(&registry, "wide"), Some(0));
    let figures = registry.snapshot().monitor("wide").unwrap().figures.len();
    assert_eq!(figures, 1_024 + 8);
    assert!(
        registry
            .health()
            .iter()
            .any(|h| matches!(h.issue, HealthIssue::FiguresRefused { beyond_cap: 998_977, invalid: 0, .. }))
    );
}

#[test]
fn stale_figures_are_absent() {
    let registry = patient().stale_after(Duration::from_millis(1)).build();
    registry.register(Arc::new(Plain::new("a"))).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!((gauge(&registry, "a"), success(&registry, "a")), (None, Some(0)));
    assert!(matches!(registry.snapshot().monitor("a").unwrap().state, MonitorState::Stale(_)));
}

#[test]
fn usage_above_the_threshold_is_a_health_issue() {
    let report = |bytes| ResourceUsageReport::new(Some(bytes), None, Some(100));
    let registry = patient().build();
    registry.register(Arc::new(Plain { usage: report(80), ..Plain::new("at") })).unwrap();
    registry.register(Arc::new(Plain { usage: report(81), ..Plain::new("above") })).unwrap();
    registry
        .register(Arc::new(Plain { usage: ResourceUsageReport::new(Some(5), None, Some(0)), ..Plain::new("none") }))
        .unwrap();
    let health = registry.health();
    assert_eq!(health.len(), 1, "{health:?}");
    assert_eq!(health[0].id, "above");
    assert!(health[0].to_string().contains("81.0 %"), "{}", health[0]);
}

#[test]
fn a_spent_budget_defers_and_the_next_update_begins_there() {
    let registry =
        Registry::builder().update_budget(Duration::from_millis(5)).monitor_budget(Duration::from_secs(1)).build();
    let monitors: Vec<_> = ["a", "b", "c", "d"].map(|id| Arc::new(Plain::new(id))).into();
    for monitor in &monitors {
        registry.register(monitor.clone()).unwrap();
        monitor.stalls_ms.store(10, Ordering::Relaxed);
    }
    for _ in 0..4 {
        let summary = registry.update();
        assert_eq!((summary.ran, summary.deferred), (1, 3));
    }
    for monitor in &monitors {
        assert_eq!(monitor.runs.load(Ordering::Relaxed), 2, "each ran at registration and once since");
    }
}

#[test]
fn the_default_registry_has_the_three_functions() {
    global::register_resource_monitor(Arc::new(Plain::new("global"))).unwrap();
    assert!(global::get_registered_monitor::<Plain>("global").is_some());
    assert_eq!(global::get_registered_monitors().len(), 1);
    global::registry().update();
}

#[test]
fn the_registry_counts_itself() {
    let registry = patient().build();
    registry.register(Arc::new(RegistryMonitor::new(&registry, "registry"))).unwrap();
    registry.register(Arc::new(Plain { labels: 1_100, ..Plain::new("wide") })).unwrap();
    registry.update();
    registry.update();
    let table = registry.snapshot();
    assert_eq!(table.value("vitals_registry_monitors", &[]), Some(Value::U64(2)));
    assert_eq!(table.value("vitals_registry_updates_total", &[]), Some(Value::U64(1)), "the second was under way");
    assert_eq!(table.value("vitals_label_overflow_total", &[("table", "series")]), Some(Value::U64(1_101 - 1_024)));
}

#[test]
fn a_registry_that_nobody_updates_is_updated_in_the_background() {
    let registry = patient().build();
    let monitor = Arc::new(Plain::new("a"));
    registry.register(monitor.clone()).unwrap();
    let updater = BackgroundUpdater::start(&registry, Duration::from_millis(5)).unwrap();
    wait_until("updates", || monitor.runs.load(Ordering::Relaxed) > 3);
    drop(updater);
    let weak = registry.downgrade();
    drop(registry);
    wait_until("the end of the registry", || weak.upgrade().is_none());
}

#[test]
fn one_that_begins_to_stall_for_long_is_moved_at_once() {
    let registry =
        Registry::builder().monitor_budget(Duration::from_millis(20)).update_budget(Duration::from_secs(10)).build();
    let slow = Arc::new(Plain::new("slow"));
    registry.register(slow.clone()).unwrap();
    slow.stalls_ms.store(1_000, Ordering::Relaxed);
    let ran: usize = (0..50).map(|_| registry.update().ran).sum();
    assert_eq!((ran, registry.stats().demotions), (1, 1));
}

#[test]
fn a_name_with_two_meanings_is_refused_and_told() {
    #[derive(Debug)]
    struct Other;
    impl ResourceMonitor for Other {
        fn monitor_id(&self) -> Cow<'static, str> {
            "other".into()
        }
        fn resource_type(&self) -> MonitoredResourceType {
            MonitoredResourceType::Other("other")
        }
        fn get_usage_report(&self) -> ResourceUsageReport {
            ResourceUsageReport::default()
        }
        fn describe(&self, series: &mut Series) {
            series.gauge("plain_bytes", Unit::Ratio, "Not bytes.");
            series.gauge("other_things", Unit::Count, "Things.");
        }
        fn record(&self, row: &mut Row<'_>) {
            row.push(1_u64).push(2_usize);
        }
    }
    let registry = patient().build();
    registry.register(Arc::new(Plain::new("a"))).unwrap();
    registry.register(Arc::new(Other)).unwrap();
    let told = registry.health().into_iter().find(|health| health.id == "other").unwrap();
    assert!(told.to_string().contains("plain_bytes is a gauge of Bytes already"), "{told}");
    assert_eq!(registry.snapshot().value("other_things", &[]), Some(Value::U64(2)), "the rest keep their places");
}
