//! The table of figures as its readers see it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::contract::{Figure, HistogramSnapshot, MonitoredResourceType, ResourceUsageReport, Value};

/// Names one registration; a monitor that is registered anew gets another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MonitorKey(pub(super) u64);

/// How a monitor's figures stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MonitorState {
    /// It has not run yet.
    Waiting,
    /// The figures are those of its last run, so long ago.
    Fresh(Duration),
    /// Its last run is longer ago than its cadence and the registry's grace allow: its figures are absent.
    Stale(Duration),
    /// Its last run panicked: its figures are absent.
    Failed,
}

/// One monitor's part of the table, as an [`Output`] sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Part<'a> {
    /// The registration.
    pub key: MonitorKey,
    /// The monitor's id.
    pub id: &'a str,
    /// What its figures are. A new `Arc` when they were described anew.
    pub figures: &'a Arc<[Figure]>,
    /// Their values in the same order; `None` is absent. A histogram's place is always `None`: read the histogram itself.
    pub values: &'a [Option<Value>],
    /// How they stand.
    pub state: MonitorState,
}

/// Takes the table of a registry: to a metrics recorder, a history, a page.
pub trait Output {
    /// One monitor's part. Called with no lock held; the part is a copy.
    fn part(&mut self, part: &Part<'_>);

    /// All parts have been given: monitors that were not among them are gone.
    fn finish(&mut self) {}
}

/// The whole table at one moment.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// The monitors in the order of their registration.
    pub monitors: Vec<MonitorSnapshot>,
}

/// One monitor in a [`Snapshot`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MonitorSnapshot {
    /// Its id.
    pub id: String,
    /// What it watches.
    pub resource_type: MonitoredResourceType,
    /// How its figures stand.
    pub state: MonitorState,
    /// The usage it reported in its last run.
    pub usage: ResourceUsageReport,
    /// Its figures with their values, histograms left out.
    pub figures: Vec<(Figure, Option<Value>)>,
    /// Its histograms.
    pub histograms: Vec<(Figure, HistogramSnapshot)>,
}

impl Snapshot {
    /// The value of the figure with this name and these labels (in any order); `None` when absent or unknown.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<Value> {
        self.monitors
            .iter()
            .flat_map(|monitor| &monitor.figures)
            .find(|(figure, _)| figure.name == name && has_labels(figure, labels))
            .and_then(|(_, value)| *value)
    }

    /// The monitor with this id.
    #[must_use]
    pub fn monitor(&self, id: &str) -> Option<&MonitorSnapshot> {
        self.monitors.iter().find(|monitor| monitor.id == id)
    }
}

impl MonitorSnapshot {
    #[cfg(feature = "telemetry")]
    pub(super) fn new(part: &Part<'_>, resource_type: MonitoredResourceType, usage: ResourceUsageReport) -> Self {
        let mut figures = Vec::new();
        let mut histograms = Vec::new();
        for (figure, &value) in part.figures.iter().zip(part.values) {
            if let crate::contract::FigureKind::Histogram(histogram) = &figure.kind {
                histograms.push((figure.clone(), histogram.snapshot()));
            } else {
                figures.push((figure.clone(), value));
            }
        }
        Self { id: part.id.to_owned(), resource_type, state: part.state, usage, figures, histograms }
    }
}

fn has_labels(figure: &Figure, labels: &[(&str, &str)]) -> bool {
    figure.labels.len() == labels.len()
        && labels.iter().all(|(name, value)| figure.labels.contains(&(Cow::Borrowed(*name), Cow::Borrowed(*value))))
}

/// Something about a monitor that its user should know.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// The monitor's id.
    pub id: String,
    /// What it is.
    pub issue: HealthIssue,
}

/// What is wrong with a monitor or with what it watches.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum HealthIssue {
    /// Usage is above the registry's threshold: this many percent of the capacity.
    NearCapacity {
        /// Usage in percent of the capacity.
        percent: f64,
    },
    /// Its last run panicked, with this message.
    Failed {
        /// The panic's message.
        message: String,
    },
    /// It has not run for so long.
    Stale {
        /// Age of its figures.
        age: Duration,
    },
    /// It overran its budget or panicked, and runs on the sampler thread now.
    Demoted,
    /// It described more figures than it may, or invalid ones.
    FiguresRefused {
        /// Figures beyond the cap.
        beyond_cap: u64,
        /// Figures with a bad name or label.
        invalid: u64,
        /// What was wrong with the first invalid one.
        first_problem: Option<String>,
    },
}

impl std::fmt::Display for Health {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "monitor {}: ", self.id)?;
        match &self.issue {
            HealthIssue::NearCapacity { percent } => write!(out, "at {percent:.1} % of its capacity"),
            HealthIssue::Failed { message } => write!(out, "its last run panicked: {message}"),
            HealthIssue::Stale { age } => {
                write!(out, "has not run for {:.1} s, so its figures are absent", age.as_secs_f64())
            }
            HealthIssue::Demoted => write!(out, "overran its budget or panicked, and runs on the sampler thread now"),
            HealthIssue::FiguresRefused { beyond_cap, invalid, first_problem } => {
                write!(out, "{beyond_cap} figures beyond the cap and {invalid} invalid ones were refused")?;
                first_problem.as_ref().map_or(Ok(()), |problem| write!(out, " ({problem})"))
            }
        }
    }
}

/// What a registry counts of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryStats {
    /// Monitors registered now.
    pub monitors: usize,
    /// Updates done.
    pub updates: u64,
    /// Updates that did nothing since another was under way.
    pub updates_skipped: u64,
    /// Runs of monitors that were left to a later update.
    pub runs_deferred: u64,
    /// Figures refused, beyond a cap or invalid, in all descriptions so far.
    pub figures_refused: u64,
    /// Times that a monitor was moved to the sampler thread.
    pub demotions: u64,
    /// Panics caught.
    pub panics: u64,
}
