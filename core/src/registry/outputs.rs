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
/// [`absent_counters`](Self::absent_counters). A counter that begins anew (its monitor was registered again) goes on from where it was,
/// so that the series never falls. The facade knows neither histograms with fixed buckets nor counters of fractions (seconds), so both are
/// left out here: whoever shows the table reads those from it.
#[derive(Debug)]
pub struct MetricsOutput<R> {
    recorder: R,
    monitors: HashMap<MonitorKey, Handles>,
    /// What counters had reached when their monitor was removed.
    retired: HashMap<Key, u64>,
    absent: HashSet<Key>,
}

#[derive(Debug)]
struct Handles {
    figures: Arc<[Figure]>,
    slots: Vec<Slot>,
    seen: bool,
}

#[derive(Debug)]
enum Slot {
    /// No value yet, or one that the facade cannot carry.
    Unused,
    Gauge {
        handle: Gauge,
        last: Option<Value>,
    },
    Counter {
        key: Key,
        handle: Counter,
        base: u64,
        last: Option<u64>,
    },
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

    fn open(&self, figure: &Figure, value: Value) -> Slot {
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
                let handle = self.recorder.register_gauge(&key, &METADATA);
                handle.set(value.as_f64());
                Slot::Gauge { handle, last: Some(value) }
            }
            FigureKind::Counter if figure.unit != Unit::Seconds => {
                self.recorder.describe_counter(name, Some(unit), help);
                let handle = self.recorder.register_counter(&key, &METADATA);
                let base = self.retired.get(&key).copied().unwrap_or(0);
                Slot::Counter { key, handle, base, last: None }
            }
            FigureKind::Counter | FigureKind::Histogram(_) => Slot::Unused,
        }
    }

    fn retire(&mut self, handles: Handles) {
        for slot in handles.slots {
            match slot {
                Slot::Unused => {}
                Slot::Gauge { handle, .. } => handle.set(f64::NAN),
                Slot::Counter { key, base, last, .. } => {
                    self.retired.insert(key.clone(), base + last.unwrap_or(0));
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
                let slots = part.figures.iter().map(|_| Slot::Unused).collect();
                Handles { figures: Arc::clone(part.figures), slots, seen: true }
            }
        };
        handles.seen = true;
        for ((slot, figure), &value) in handles.slots.iter_mut().zip(part.figures.iter()).zip(part.values) {
            if let (Slot::Unused, Some(value)) = (&*slot, value) {
                *slot = self.open(figure, value);
            }
            match slot {
                Slot::Unused => {}
                Slot::Gauge { handle, last } => {
                    if *last != value {
                        handle.set(value.map_or(f64::NAN, Value::as_f64));
                        *last = value;
                    }
                }
                Slot::Counter { key, handle, base, last } => {
                    let value = value.map(counted);
                    if let (Some(value), Some(before)) = (value, *last)
                        && value < before
                    {
                        *base += before;
                    }
                    match value {
                        Some(_) if last.is_some() && value == *last && !self.absent.contains(key) => {}
                        Some(value) => {
                            handle.absolute(*base + value);
                            self.absent.remove(key);
                            *last = Some(value);
                        }
                        None => {
                            self.absent.insert(key.clone());
                        }
                    }
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
