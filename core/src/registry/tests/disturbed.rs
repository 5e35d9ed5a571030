//! What happens between a registry's steps: monitors registered anew, removed while they run, described anew; odd durations and labels.

use super::*;
use crate::contract::Histogram;

/// A monitor made of closures, for what runs in the middle of a registry's work.
struct Made<U, D, R> {
    id: &'static str,
    revision: AtomicU64,
    update: U,
    describe: D,
    record: R,
}

impl<U, D, R> std::fmt::Debug for Made<U, D, R> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.id)
    }
}

impl<U, D, R> ResourceMonitor for Made<U, D, R>
where
    U: Fn(&AtomicU64) + Send + Sync + 'static,
    D: Fn(&mut Series) + Send + Sync + 'static,
    R: Fn(&mut Row<'_>) + Send + Sync + 'static,
{
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.into()
    }
    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Other("made")
    }
    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }
    fn update(&self) {
        (self.update)(&self.revision);
    }
    fn description_revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }
    fn describe(&self, series: &mut Series) {
        (self.describe)(series);
    }
    fn record(&self, row: &mut Row<'_>) {
        (self.record)(row);
    }
}

fn made<U, D, R>(id: &'static str, update: U, describe: D, record: R) -> Arc<Made<U, D, R>>
where
    U: Fn(&AtomicU64),
    D: Fn(&mut Series),
    R: Fn(&mut Row<'_>),
{
    Arc::new(Made { id, revision: AtomicU64::new(0), update, describe, record })
}

/// The last values of the gauges and counters given to it.
fn shown(output: &mut MetricsOutput<Arc<Shown>>, registry: &Registry) -> Vec<(String, f64)> {
    registry.read(output);
    let absent: Vec<_> = output.absent_counters().iter().map(|key| key.name().to_owned()).collect();
    let values = output.recorder().0.lock();
    let mut found: Vec<_> = values
        .iter()
        .filter(|(name, _)| name.starts_with("plain") && !absent.contains(name))
        .map(|(name, value)| (name.clone(), f64::from_bits(value.load(Ordering::Relaxed))))
        .filter(|(_, value)| !value.is_nan())
        .collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// A recorder that keeps what it is given, by name.
#[derive(Debug, Default)]
struct Shown(parking_lot::Mutex<std::collections::HashMap<String, Arc<AtomicU64>>>);

impl metrics::Recorder for Shown {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(Arc::new(Whole(self.place(key))))
    }
    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.place(key))
    }
    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

impl Shown {
    fn place(&self, key: &metrics::Key) -> Arc<AtomicU64> {
        Arc::clone(self.0.lock().entry(key.name().to_owned()).or_default())
    }
}

/// A counter's value as the bits of an `f64`, as a gauge's is.
struct Whole(Arc<AtomicU64>);

impl metrics::CounterFn for Whole {
    fn increment(&self, _: u64) {}
    fn absolute(&self, value: u64) {
        self.0.store((value as f64).to_bits(), Ordering::Relaxed);
    }
}

#[test]
fn a_monitor_registered_anew_between_two_readings_keeps_its_series() {
    let registry = patient().build();
    let mut output = MetricsOutput::new(Arc::<Shown>::default());
    let first = Arc::new(Plain::new("a"));
    first.value.store(7, Ordering::Relaxed);
    registry.register(first).unwrap();
    let both =
        |gauge: f64, counter: f64| vec![("plain_bytes".to_owned(), gauge), ("plain_things_total".to_owned(), counter)];
    assert_eq!(shown(&mut output, &registry), both(7.0, 14.0));
    registry.unregister("a").unwrap();
    let second = Arc::new(Plain::new("a"));
    second.value.store(3, Ordering::Relaxed);
    registry.register(second).unwrap();
    // The counter goes on from where it was.
    assert_eq!(shown(&mut output, &registry), both(3.0, 20.0));
    assert_eq!(shown(&mut output, &registry), both(3.0, 20.0));
    registry.unregister("a").unwrap();
    assert_eq!(shown(&mut output, &registry), []);
}

#[test]
fn no_duration_is_too_long() {
    let registry = Registry::builder()
        .update_budget(Duration::MAX)
        .monitor_budget(Duration::MAX)
        .demoted_cadence(Duration::MAX)
        .stale_after(Duration::MAX)
        .build();
    let once = Arc::new(Plain { cadence: Cadence::Every(Duration::MAX), ..Plain::new("once") });
    registry.register(once.clone()).unwrap();
    registry.register(Arc::new(Plain::new("each"))).unwrap();
    assert_eq!(registry.update().ran, 1);
    wait_until("the one run", || gauge(&registry, "once").is_some());
    let often = Arc::new(Plain { cadence: Cadence::Every(Duration::from_millis(1)), ..Plain::new("often") });
    registry.register(often.clone()).unwrap();
    wait_until("the runs of another", || often.runs.load(Ordering::Relaxed) > 3);
    assert_eq!(once.runs.load(Ordering::Relaxed), 1);
    assert_eq!(registry.health(), []);
}

#[test]
fn an_unregistered_monitor_is_let_go_at_once() {
    let registry = patient().build();
    let monitor = Arc::new(Plain { cadence: Cadence::Every(Duration::from_secs(3_600)), ..Plain::new("a") });
    let weak = Arc::downgrade(&monitor);
    registry.register(monitor).unwrap();
    wait_until("the first run", || gauge(&registry, "a").is_some());
    drop(registry.unregister("a"));
    wait_until("its end", || weak.upgrade().is_none());
}

#[test]
fn a_series_that_has_the_label_of_monitors_already_is_refused_and_counted() {
    let registry = patient().build();
    for id in ["a", "b"] {
        let describe = |series: &mut Series| {
            series.gauge("plain_bytes", Unit::Bytes, "A gauge.").label("monitor", "x");
            series.gauge("plain_ratio", Unit::Ratio, "Another.");
        };
        let record = |row: &mut Row<'_>| {
            row.push(1_u64).push(2_u64);
        };
        registry.register(made(id, |_| {}, describe, record)).unwrap();
    }
    let table = registry.snapshot();
    let own = |id: &str| -> Vec<_> {
        let figures = &table.monitor(id).unwrap().figures;
        figures
            .iter()
            .filter(|(figure, _)| figure.name.starts_with("plain"))
            .map(|(f, v)| (f.labels.clone(), *v))
            .collect()
    };
    let label = |value: &'static str| vec![("monitor".into(), value.into())];
    assert_eq!(own("a"), [(label("x"), Some(Value::U64(1))), (vec![], Some(Value::U64(2)))]);
    assert_eq!(own("b"), [(label("b"), Some(Value::U64(2)))]);
    assert_eq!(registry.stats().figures_refused, 1);
}

#[test]
fn an_invalid_histogram_moves_no_figure() {
    let registry = patient().build();
    let describe = |series: &mut Series| {
        series.histogram("not valid", "A histogram.", &Arc::new(Histogram::for_frames()));
        series.gauge("plain_bytes", Unit::Bytes, "A gauge.");
    };
    let record = |row: &mut Row<'_>| {
        row.push(5_u64);
    };
    registry.register(made("a", |_| {}, describe, record)).unwrap();
    assert_eq!(registry.snapshot().value("plain_bytes", &[]), Some(Value::U64(5)));
    assert_eq!(registry.stats().figures_refused, 1);
}

#[test]
fn one_that_unregisters_itself_and_describes_itself_anew_gives_up_its_series() {
    let registry = patient().build();
    let weak = registry.downgrade();
    let update = move |revision: &AtomicU64| {
        if revision.fetch_add(1, Ordering::Relaxed) == 1 {
            weak.upgrade().unwrap().unregister("a").unwrap();
        }
    };
    let describe = |series: &mut Series| {
        series.gauge("plain_bytes", Unit::Bytes, "A gauge.");
    };
    registry.register(made("a", update, describe, |_| {})).unwrap();
    registry.update();
    assert!(registry.monitors().is_empty());
    let record = |row: &mut Row<'_>| {
        row.push(5_u64);
    };
    registry.register(made("b", |_| {}, describe, record)).unwrap();
    assert_eq!(registry.snapshot().value("plain_bytes", &[]), Some(Value::U64(5)), "no label was needed");
}

#[test]
fn figures_described_anew_come_with_their_values() {
    let registry = patient().build();
    let weak = registry.downgrade();
    let update = |revision: &AtomicU64| {
        revision.fetch_add(1, Ordering::Relaxed);
    };
    let describe = |series: &mut Series| {
        series.gauge("plain_bytes", Unit::Bytes, "A gauge.");
    };
    let seen = Arc::new(AtomicU64::new(0));
    let found = Arc::clone(&seen);
    let record = move |row: &mut Row<'_>| {
        // Between the new description and its values.
        let before = weak.upgrade().unwrap().snapshot().value("plain_bytes", &[]);
        found.fetch_add(u64::from(before.is_some()), Ordering::Relaxed);
        row.push(5_u64);
    };
    registry.register(made("a", update, describe, record)).unwrap();
    registry.update();
    registry.update();
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}
