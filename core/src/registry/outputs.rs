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
    /// Where counters stood when their monitor was removed.
    retired: HashMap<Key, Reached>,
    absent: HashSet<Key>,
}

#[derive(Debug)]
struct Handles {
    figures: Arc<[Figure]>,
    /// What was set last. Apart from the slots, which only a changed value touches: a pass over thousands of unchanged figures then
    /// stays within a few cache lines each.
    last: Vec<Option<Value>>,
    slots: Vec<Slot>,
    seen: bool,
}

#[derive(Debug)]
enum Slot {
    /// No value yet, or one that the facade cannot carry.
    Unused,
    Gauge(Gauge),
    Counter {
        key: Key,
        handle: Counter,
        reached: Reached,
    },
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
            self.base += self.last;
        }
        self.last = value;
        self.base + value
    }
}

const METADATA: Metadata<'static> = Metadata::new("engine_vitals", Level::INFO, None);

impl<R: Recorder> MetricsOutput<R> {
    /// An output to this recorder.
    pub fn new(recorder: R) -> Self {
        Self { recorder, monitors: HashMap::new(), retired: HashMap::new(), absent: HashSet::new() }
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

    fn open(&self, figure: &Figure) -> Slot {
        let key = key(figure);
        let unit = match figure.unit {
            Unit::Bytes => metrics::Unit::Bytes,
            Unit::Seconds => metrics::Unit::Seconds,
            Unit::Ratio | Unit::Count => metrics::Unit::Count,
        };
        let (name, help) = (KeyName::from(figure.name.to_string()), SharedString::from(figure.help.to_string()));
        match figure.kind {
            FigureKind::Gauge => {
                self.recorder.describe_gauge(name, Some(unit), help);
                Slot::Gauge(self.recorder.register_gauge(&key, &METADATA))
            }
            FigureKind::Counter if figure.unit != Unit::Seconds => {
                self.recorder.describe_counter(name, Some(unit), help);
                let handle = self.recorder.register_counter(&key, &METADATA);
                let reached = self.retired.get(&key).copied().unwrap_or_default();
                Slot::Counter { key, handle, reached }
            }
            FigureKind::Counter | FigureKind::Histogram(_) => Slot::Unused,
        }
    }

    fn retire(&mut self, handles: Handles) {
        for slot in handles.slots {
            match slot {
                Slot::Unused => {}
                Slot::Gauge(handle) => handle.set(f64::NAN),
                Slot::Counter { key, reached, .. } => {
                    self.retired.insert(key.clone(), reached);
                    self.absent.insert(key);
                }
            }
        }
    }
}

impl<R: Recorder> Output for MetricsOutput<R> {
    fn part(&mut self, part: &Part<'_>) {
        let known = self.monitors.remove(&part.key);
        let mut handles = match known {
            Some(handles) if Arc::ptr_eq(&handles.figures, part.figures) => handles,
            other => {
                if let Some(outdated) = other {
                    self.retire(outdated);
                }
                let (last, slots) = part.figures.iter().map(|_| (None, Slot::Unused)).unzip();
                Handles { figures: Arc::clone(part.figures), last, slots, seen: true }
            }
        };
        handles.seen = true;
        for (place, (last, &value)) in handles.last.iter_mut().zip(part.values).enumerate() {
            if *last == value {
                continue;
            }
            *last = value;
            let slot = &mut handles.slots[place];
            if matches!(slot, Slot::Unused) {
                *slot = self.open(&part.figures[place]);
            }
            match (slot, value) {
                (Slot::Unused, _) => {}
                (Slot::Gauge(handle), value) => handle.set(value.map_or(f64::NAN, Value::as_f64)),
                (Slot::Counter { key, handle, reached }, Some(value)) => {
                    handle.absolute(reached.advance(counted(value)));
                    self.absent.remove(key);
                }
                (Slot::Counter { key, .. }, None) => {
                    self.absent.insert(key.clone());
                }
            }
        }
        self.monitors.insert(part.key, handles);
    }

    fn finish(&mut self) {
        let gone: Vec<_> = self.monitors.iter().filter(|(_, handles)| !handles.seen).map(|(key, _)| *key).collect();
        for key in gone {
            if let Some(handles) = self.monitors.remove(&key) {
                self.retire(handles);
            }
        }
        for handles in self.monitors.values_mut() {
            handles.seen = false;
        }
    }
}

/// The key of a figure's series at a recorder.
fn key(figure: &Figure) -> Key {
    let labels: Vec<_> =
        figure.labels.iter().map(|(name, value)| Label::new(name.to_string(), value.to_string())).collect();
    Key::from_parts(figure.name.to_string(), labels)
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
