//! Hands the table to a `metrics` recorder.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, SharedString};

use super::table::{MonitorKey, Output, Part};
use crate::contract::{Figure, FigureKind, Unit, Value};

/// Sets gauges and counters of a `metrics` recorder from the table.
///
/// Handles are made once, on a figure's first value, from the recorder given (never from the global one), and only changed values are
/// set. A recorder cannot withdraw a series: an absent gauge is set to NaN, and the keys of absent counters are in
/// [`absent_counters`](Self::absent_counters). A counter that begins anew (lower than it was, its monitor registered again or not) goes on
/// from where it was, so that the series never falls. The facade knows neither histograms with fixed buckets nor counters of fractions (seconds), so both are
/// left out here: whoever shows the table reads those from it.
#[derive(Debug)]
pub struct MetricsOutput<R> {
    recorder: R,
    monitors: HashMap<MonitorKey, Handles>,
    /// Described for the first time or anew in this pass. They wait for its end: they may take over the series of a monitor that is gone,
    /// and which are gone is not known before.
    arrivals: Vec<(MonitorKey, Handles, Vec<Option<Value>>)>,
    /// Where counters stood when their monitor was removed.
    retired: HashMap<Key, Reached>,
    absent: HashSet<Key>,
}

/// A monitor's figures at the recorder. Columns, so that a pass over thousands of figures stays within few cache lines: a scrape comes
/// to them when they have long left the cache.
#[derive(Debug)]
struct Handles {
    figures: Arc<[Figure]>,
    /// What was set last.
    last: Vec<Option<Value>>,
    handles: Vec<Handle>,
    /// Of the counters.
    reached: Vec<Reached>,
    seen: bool,
}

impl Handles {
    fn new(figures: &Arc<[Figure]>) -> Self {
        let count = figures.len();
        Self {
            figures: Arc::clone(figures),
            last: vec![None; count],
            handles: vec![Handle::Unused; count],
            reached: vec![Reached::default(); count],
            seen: true,
        }
    }
}

#[derive(Debug, Clone)]
enum Handle {
    /// No value yet, or one that the facade cannot carry.
    Unused,
    Gauge(Gauge),
    Counter(Counter),
}

/// Where a counter stands: what its source said last, on top of what earlier sources had reached.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    base: u64,
    last: u64,
}

impl Reached {
    /// Takes the next value and returns the sum. As Prometheus has it, a value below the last is a new beginning.
    fn advance(&mut self, value: u64) -> u64 {
        if value < self.last {
            self.base = self.base.saturating_add(self.last);
        }
        self.last = value;
        self.base.saturating_add(value)
    }
}

const METADATA: Metadata<'static> = Metadata::new("engine_vitals", Level::INFO, None);

impl<R: Recorder> MetricsOutput<R> {
    /// An output to this recorder.
    pub fn new(recorder: R) -> Self {
        Self {
            recorder,
            monitors: HashMap::new(),
            arrivals: Vec::new(),
            retired: HashMap::new(),
            absent: HashSet::new(),
        }
    }

    /// The recorder.
    pub fn recorder(&self) -> &R {
        &self.recorder
    }

    /// The counters that have had a value and have none now.
    #[must_use]
    pub fn absent_counters(&self) -> &HashSet<Key> {
        &self.absent
    }

    fn open(&self, figure: &Figure) -> Handle {
        let unit = match figure.unit {
            Unit::Bytes => metrics::Unit::Bytes,
            Unit::Seconds => metrics::Unit::Seconds,
            Unit::Ratio | Unit::Count => metrics::Unit::Count,
        };
        let (name, help) = (KeyName::from(figure.name.clone()), SharedString::from(figure.help.clone()));
        match figure.kind {
            FigureKind::Gauge => {
                self.recorder.describe_gauge(name, Some(unit), help);
                Handle::Gauge(self.recorder.register_gauge(&key(figure), &METADATA))
            }
            FigureKind::Counter if figure.unit != Unit::Seconds => {
                self.recorder.describe_counter(name, Some(unit), help);
                Handle::Counter(self.recorder.register_counter(&key(figure), &METADATA))
            }
            FigureKind::Counter | FigureKind::Histogram(_) => Handle::Unused,
        }
    }

    fn retire(&mut self, monitor: &Handles) {
        for ((figure, handle), reached) in monitor.figures.iter().zip(&monitor.handles).zip(&monitor.reached) {
            match handle {
                Handle::Unused => {}
                Handle::Gauge(handle) => handle.set(f64::NAN),
                Handle::Counter(_) => {
                    self.retired.insert(key(figure), *reached);
                    self.absent.insert(key(figure));
                }
            }
        }
    }

    fn set_all(&mut self, monitor: &mut Handles, values: &[Option<Value>]) {
        for (place, &value) in values.iter().enumerate() {
            if monitor.last[place] != value {
                self.set(monitor, place, value);
            }
        }
    }

    /// Sets the figure at this place to its new value.
    fn set(&mut self, monitor: &mut Handles, place: usize, value: Option<Value>) {
        let before = std::mem::replace(&mut monitor.last[place], value);
        let (figure, handle) = (&monitor.figures[place], &mut monitor.handles[place]);
        if matches!(handle, Handle::Unused) {
            *handle = self.open(figure);
        }
        match (handle, value) {
            (Handle::Unused, _) => {}
            (Handle::Gauge(handle), value) => handle.set(value.map_or(f64::NAN, Value::as_f64)),
            (Handle::Counter(handle), Some(value)) => {
                let reached = &mut monitor.reached[place];
                if before.is_none() {
                    let key = key(figure);
                    self.absent.remove(&key);
                    *reached = self.retired.remove(&key).unwrap_or(*reached);
                }
                handle.absolute(reached.advance(counted(value)));
            }
            (Handle::Counter(_), None) => {
                self.absent.insert(key(figure));
            }
        }
    }
}

impl<R: Recorder> Output for MetricsOutput<R> {
    fn part(&mut self, part: &Part<'_>) {
        match self.monitors.remove(&part.key) {
            Some(mut known) if Arc::ptr_eq(&known.figures, part.figures) => {
                known.seen = true;
                self.set_all(&mut known, part.values);
                self.monitors.insert(part.key, known);
            }
            outdated => {
                if let Some(outdated) = outdated {
                    self.retire(&outdated);
                }
                self.arrivals.push((part.key, Handles::new(part.figures), part.values.to_vec()));
            }
        }
    }

    fn finish(&mut self) {
        let gone: Vec<_> = self.monitors.iter().filter(|(_, monitor)| !monitor.seen).map(|(key, _)| *key).collect();
        for key in gone {
            if let Some(monitor) = self.monitors.remove(&key) {
                self.retire(&monitor);
            }
        }
        for (key, mut monitor, values) in std::mem::take(&mut self.arrivals) {
            self.set_all(&mut monitor, &values);
            self.monitors.insert(key, monitor);
        }
        for monitor in self.monitors.values_mut() {
            monitor.seen = false;
        }
    }
}

/// The key of a figure's series at a recorder, made so that cloning it does not allocate: a recorder may do so for each series that it
/// renders.
fn key(figure: &Figure) -> Key {
    let labels: Vec<_> = figure.labels.iter().map(|(name, value)| Label::new(name.clone(), value.clone())).collect();
    Key::from_parts(figure.name.clone(), labels).to_retained()
}

/// A counter's value as the facade takes it: whole.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters of things are whole and not negative"
)]
fn counted(value: Value) -> u64 {
    match value {
        Value::U64(value) => value,
        Value::I64(value) => u64::try_from(value).unwrap_or(0),
        Value::F64(value) => value as u64,
    }
}
