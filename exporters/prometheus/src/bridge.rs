//! From the registry's table to the text of `/metrics`.
//!
//! Gauges and whole counters go through the `metrics` facade to a recorder, next to the application's own metrics. What
//! the facade cannot carry, histograms with fixed buckets and counters of seconds, is written here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use engine_vitals_core::contract::{Figure, FigureKind, Unit, Value};
use engine_vitals_core::registry::{MetricsOutput, MonitorKey, Output, Part, Registry};
use metrics::{Key, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::render::{Absent, Labels, family, histograms, leave_out};

/// A Prometheus recorder that is kept in step with a registry.
pub(crate) struct Bridge {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    globals: Vec<(String, String)>,
    labels: Labels,
    output: Both,
    /// How absent counters are written by the recorder.
    written: HashMap<Key, String>,
    /// Size of the last text, which the next will have again.
    capacity: usize,
    /// What is written here and not by the recorder; kept for its memory.
    ours: String,
}

impl Bridge {
    pub(crate) fn new(globals: Vec<(String, String)>, buckets: Option<&[f64]>) -> Result<Self, String> {
        let mut builder = with_labels(PrometheusBuilder::new(), &globals);
        if let Some(buckets) = buckets {
            builder = builder.set_buckets(buckets).map_err(|error| error.to_string())?;
        }
        let recorder = Arc::new(builder.build_recorder());
        let handle = recorder.handle();
        let facade = MetricsOutput::new(Arc::clone(&recorder));
        let labels = Labels::new(globals.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let output = Both { facade, ours: Ours::new(globals.clone()) };
        Ok(Self {
            recorder,
            handle,
            globals,
            labels,
            output,
            written: HashMap::new(),
            capacity: 0,
            ours: String::new(),
        })
    }

    pub(crate) fn recorder(&self) -> Arc<PrometheusRecorder> {
        Arc::clone(&self.recorder)
    }

    pub(crate) fn handle(&self) -> PrometheusHandle {
        self.handle.clone()
    }

    /// The labels that are added to every series.
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Takes the table over and renders everything in it and in the recorder, and `more`.
    pub(crate) fn render(&mut self, registry: &Registry, more: impl FnOnce(&mut String)) -> Vec<u8> {
        self.output.ours.begin();
        registry.read(&mut self.output);
        let absent = self.absent();
        let mut text = Vec::with_capacity(self.capacity);
        // Writing to memory does not fail.
        let _ = self.handle.render_to_write(&mut text);
        let mut text = leave_out(text, &absent);
        self.ours.clear();
        self.output.ours.write(&mut self.ours);
        more(&mut self.ours);
        text.extend_from_slice(self.ours.as_bytes());
        // With room for values that grow.
        self.capacity = text.len() + text.len() / 16;
        text
    }

    /// The absent counters as the recorder writes them. A recorder is asked how: it has rules of its own for labels.
    fn absent(&mut self) -> Absent {
        let mut absent = Absent::default();
        for key in self.output.facade.absent_counters() {
            let written = match self.written.get(key) {
                Some(written) => written,
                None => {
                    let written = as_written(key, &self.globals);
                    self.written.entry(key.clone()).or_insert(written)
                }
            };
            absent.insert(written);
        }
        absent
    }
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge").field("globals", &self.globals).finish_non_exhaustive()
    }
}

fn with_labels(builder: PrometheusBuilder, globals: &[(String, String)]) -> PrometheusBuilder {
    globals.iter().fold(builder, |builder, (name, value)| builder.add_global_label(name, value))
}

/// Name and labels of a series as the recorder writes them.
fn as_written(key: &Key, globals: &[(String, String)]) -> String {
    let recorder = with_labels(PrometheusBuilder::new(), globals).build_recorder();
    recorder.register_counter(key, &Metadata::new("engine_vitals", Level::INFO, None)).absolute(1);
    let text = recorder.handle().render();
    let line = text.lines().find(|line| !line.starts_with('#') && !line.is_empty()).unwrap_or_default();
    line.rsplit_once(' ').map_or(line, |(series, _)| series).to_owned()
}

struct Both {
    facade: MetricsOutput<Arc<PrometheusRecorder>>,
    ours: Ours,
}

impl Output for Both {
    fn part(&mut self, part: &Part<'_>) {
        self.facade.part(part);
        self.ours.part(part);
    }

    fn finish(&mut self) {
        self.facade.finish();
        self.ours.finish();
    }
}

type Globals = Vec<(String, String)>;

/// What the facade cannot carry.
struct Ours {
    /// The labels of every series that has none of the same name itself, as the recorder has it.
    globals: Globals,
    monitors: HashMap<MonitorKey, Kept>,
    /// Where counters of seconds stood when their monitor was last seen.
    reached: HashMap<Series, Seconds>,
    order: Vec<MonitorKey>,
}

/// A monitor's figures of ours.
struct Kept {
    described: Arc<[Figure]>,
    histograms: Vec<(usize, Labels)>,
    seconds: Vec<Counter>,
}

/// A counter of seconds: its place in the description, and its value.
struct Counter {
    place: usize,
    labels: Labels,
    series: Series,
    value: Option<f64>,
}

/// Name and labels.
type Series = (String, Vec<(String, String)>);

/// A counter that never falls: when its source begins anew, it goes on from where it was.
#[derive(Debug, Clone, Copy, Default)]
struct Seconds {
    base: f64,
    last: f64,
}

impl Seconds {
    fn advance(&mut self, value: f64) -> f64 {
        if value < self.last {
            self.base += self.last;
        }
        self.last = value;
        self.base + value
    }
}

impl Ours {
    fn new(globals: Globals) -> Self {
        Self { globals, monitors: HashMap::new(), reached: HashMap::new(), order: Vec::new() }
    }

    fn begin(&mut self) {
        self.order.clear();
    }

    fn part(&mut self, part: &Part<'_>) {
        self.order.push(part.key);
        let kept = self.monitors.entry(part.key).or_insert_with(|| Kept::new(part.figures, &self.globals));
        if !Arc::ptr_eq(&kept.described, part.figures) {
            *kept = Kept::new(part.figures, &self.globals);
        }
        for Counter { place, series, value, .. } in &mut kept.seconds {
            let read = part.values.get(*place).copied().flatten().map(Value::as_f64);
            *value = read.map(|read| match self.reached.get_mut(series) {
                Some(reached) => reached.advance(read),
                None => self.reached.entry(series.clone()).or_default().advance(read),
            });
        }
    }

    fn finish(&mut self) {
        let seen: HashSet<_> = self.order.iter().collect();
        self.monitors.retain(|key, _| seen.contains(key));
    }

    fn write(&self, out: &mut String) {
        let monitors = || self.order.iter().filter_map(|key| self.monitors.get(key));
        let mut seconds: Vec<_> = monitors()
            .flat_map(|kept| kept.seconds.iter().map(|counter| (&kept.described[counter.place], counter)))
            .filter_map(|(figure, counter)| Some((figure, &counter.labels, counter.value?)))
            .collect();
        seconds.sort_by(|(a, ..), (b, ..)| a.name.cmp(&b.name));
        for metric in seconds.chunk_by(|(a, ..), (b, ..)| a.name == b.name) {
            let samples = metric.iter().map(|(_, labels, value)| (*labels, value));
            family(out, &metric[0].0.name, "counter", &metric[0].0.help, samples);
        }
        let described =
            monitors().flat_map(|kept| kept.histograms.iter().map(|(place, labels)| (&kept.described[*place], labels)));
        histograms(out, described);
    }
}

impl Kept {
    fn new(described: &Arc<[Figure]>, globals: &Globals) -> Self {
        let mut kept = Self { described: Arc::clone(described), histograms: Vec::new(), seconds: Vec::new() };
        for (place, figure) in described.iter().enumerate() {
            let labels = || all_labels(figure, globals);
            match figure.kind {
                FigureKind::Histogram(_) => kept.histograms.push((place, labels())),
                FigureKind::Counter if figure.unit == Unit::Seconds => {
                    kept.seconds.push(Counter { place, labels: labels(), series: series(figure), value: None });
                }
                _ => {}
            }
        }
        kept
    }
}

fn all_labels(figure: &Figure, globals: &Globals) -> Labels {
    let free = globals.iter().filter(|(name, _)| figure.labels.iter().all(|(own, _)| own != name));
    Labels::new(free.map(|(name, value)| (name.as_str(), value.as_str()))).with(&figure.labels)
}

fn series(figure: &Figure) -> Series {
    let labels = figure.labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    (figure.name.to_string(), labels.collect())
}
