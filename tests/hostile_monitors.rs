//! Monitors that panic, stall, lose their source or flood labels, beside ones that do not: all through the public interface.
#![cfg(feature = "serve")]

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine_vitals::contract::{
    MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit, Value, VramProvider,
};
use engine_vitals::monitor::VramResourceMonitor;
use engine_vitals::prometheus::Exporter;
use engine_vitals::registry::{RegistryMonitor, UpdateSummary};
use engine_vitals::{New, Registry, Vitals};

/// A monitor of `labels` gauges whose every update does what it is told.
#[derive(Debug)]
struct Told {
    id: &'static str,
    labels: usize,
    update: fn(),
    updates: AtomicU64,
}

impl Told {
    fn new(id: &'static str, labels: usize, update: fn()) -> Arc<Self> {
        Arc::new(Self { id, labels, update, updates: AtomicU64::new(0) })
    }
}

impl ResourceMonitor for Told {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.into()
    }
    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Other("told")
    }
    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }
    fn update(&self) {
        self.updates.fetch_add(1, Ordering::Relaxed);
        (self.update)();
    }
    fn describe(&self, series: &mut Series) {
        for label in 0..self.labels {
            series.gauge("told_things", Unit::Count, "Things").label("told", self.id).label("n", label.to_string());
        }
    }
    fn record(&self, row: &mut Row<'_>) {
        for _ in 0..self.labels {
            row.push(self.updates.load(Ordering::Relaxed));
        }
    }
}

#[derive(Debug)]
struct Memory;

impl VramProvider for Memory {
    fn source(&self) -> &'static str {
        "test"
    }
    fn refresh_interval(&self) -> Duration {
        Duration::from_millis(10)
    }
    fn get_vram_usage_bytes(&self) -> Option<u64> {
        Some(1 << 30)
    }
}

/// Generous budgets where a busy machine must not spend them by accident; the stall of a second spends them for sure.
fn registry() -> Registry {
    Registry::builder().monitor_budget(Duration::from_millis(100)).update_budget(Duration::from_secs(1)).build()
}

#[test]
fn the_others_still_report_and_every_loss_is_a_metric() {
    let registry = registry();
    let provider: Arc<dyn VramProvider> = Arc::new(Memory);
    let vram = VramResourceMonitor::new(Arc::downgrade(&provider), "vram");
    registry.register(Told::new("panics", 1, || panic!("told to panic"))).unwrap();
    registry.register(Told::new("stalls", 1, || std::thread::sleep(Duration::from_secs(1)))).unwrap();
    registry.register(Told::new("floods", 1_000_000, || {})).unwrap();
    registry.register(Arc::new(vram)).unwrap();
    registry.register(Arc::new(RegistryMonitor::new(&registry, "registry"))).unwrap();
    let good = Told::new("good", 1, || {});
    registry.register(good.clone()).unwrap();
    let exporter = Exporter::builder(&registry).port(0).start().unwrap();

    let used = || registry.snapshot().value("vitals_vram_used_bytes", &[("source", "test")]);
    while used().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(provider);
    while used().is_some() {
        std::thread::sleep(Duration::from_millis(5));
    }

    let before = good.updates.load(Ordering::Relaxed);
    let ran: Vec<UpdateSummary> = (0..20).map(|_| registry.update()).collect();
    assert_eq!(good.updates.load(Ordering::Relaxed) - before, 20, "in each update, whatever the others do: {ran:?}");
    assert!(ran.iter().all(|summary| summary.failed == 0 && summary.took < Duration::from_secs(1)), "{ran:?}");

    let text = exporter.render();
    for line in [
        "vitals_monitor_success{monitor=\"panics\"} 0",
        "vitals_monitor_success{monitor=\"good\"} 1",
        "vitals_monitor_sampled{monitor=\"stalls\"} 1",
        "vitals_monitor_sampled{monitor=\"good\"} 0",
        "vitals_label_overflow_total{table=\"series\"} 998976",
        "told_things{told=\"good\",n=\"0\"} 21",
    ] {
        assert!(text.lines().any(|known| known == line), "no line {line}");
    }
    assert!(!text.contains("vitals_vram_used_bytes{"), "a lost provider's figures are absent");
    assert!(!text.contains("told_things{told=\"panics\""), "a failed monitor's figures are absent");
    assert_eq!(text.matches("told_things{told=\"floods\"").count(), 1_024);
    let failures = registry.snapshot().value("vitals_monitor_failures_total", &[("monitor", "panics")]);
    assert!(matches!(failures, Some(Value::U64(1..))), "{failures:?}");
}

#[test]
fn what_start_has_set_up_goes_on_beside_a_monitor_that_panics() {
    let vitals = Vitals::builder().without_server().start();
    vitals.registry().register(Told::new("panics", 1, || panic!("told to panic"))).unwrap();
    let buffer = vitals.probe().create(New::buffer(64));
    vitals.frame();
    assert_eq!(vitals.registry().snapshot().value("vitals_vram_live_bytes", &[]), Some(Value::U64(64)));
    drop(buffer);
}
