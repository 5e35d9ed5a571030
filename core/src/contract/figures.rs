//! The description of a metric and its value.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::Histogram;

/// The unit of a figure. Its name belongs at the end of the metric's name (before `_total`), as Prometheus has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// A share, 0 to 1.
    Ratio,
    /// A number of things.
    Count,
}

/// How a figure behaves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FigureKind {
    /// Goes up and down; absent when its value is `None`.
    Gauge,
    /// Only grows; its name ends in `_total`.
    Counter,
    /// A distribution of times or sizes; read from the histogram itself, so that it takes no place in a [`Row`].
    Histogram(Arc<Histogram>),
}

/// The description of one figure: a metric's name with one set of labels.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Figure {
    /// Name of the metric.
    pub name: Cow<'static, str>,
    /// One sentence that defines it.
    pub help: Cow<'static, str>,
    /// Its unit.
    pub unit: Unit,
    /// How it behaves.
    pub kind: FigureKind,
    /// Label names and values, in the order given.
    pub labels: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl Figure {
    /// Adds a label. Values must come from a small fixed set, never from assets, frames or user input.
    pub fn label(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> &mut Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Whether name and labels are the same, so that both would be one series.
    #[must_use]
    pub fn same_series(&self, other: &Self) -> bool {
        self.name == other.name
            && self.labels.len() == other.labels.len()
            && self.labels.iter().all(|label| other.labels.contains(label))
    }

    /// What is wrong with the name, labels or kind, if anything.
    ///
    /// # Errors
    /// A sentence that names the figure, what is wrong with it and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if !is_metric_name(name) {
            return Err(format!(
                "metric name {name:?} is not valid: use letters, digits and '_', not beginning with a digit"
            ));
        }
        if matches!(self.kind, FigureKind::Counter) != name.ends_with("_total") {
            return Err(format!("metric {name}: counters, and only they, end in `_total`"));
        }
        for (index, (label, _)) in self.labels.iter().enumerate() {
            if !is_label_name(label) {
                return Err(format!("metric {name}: label name {label:?} is not valid or is reserved"));
            }
            if self.labels[..index].iter().any(|(earlier, _)| earlier == label) {
                return Err(format!("metric {name}: label {label:?} is given twice"));
            }
        }
        Ok(())
    }
}

fn is_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 200
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_label_name(name: &str) -> bool {
    is_metric_name(name) && !name.starts_with("__") && !matches!(name, "le" | "quantile")
}

/// How many figures a [`Series`] took and how many it refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeriesOverflow {
    /// Figures beyond the cap.
    pub beyond_cap: u64,
    /// Figures with a bad name or label.
    pub invalid: u64,
    /// What was wrong with the first of the invalid.
    pub first_problem: Option<String>,
}

/// Takes the descriptions of a monitor's figures.
///
/// Bounded: beyond its cap a figure is refused and counted, and its value in the [`Row`] is ignored.
#[derive(Debug)]
pub struct Series {
    figures: Vec<Figure>,
    cap: usize,
    beyond_cap: u64,
    scratch: Figure,
}

impl Series {
    /// A series that takes up to `cap` figures.
    #[must_use]
    pub fn with_cap(cap: usize) -> Self {
        Self { figures: Vec::new(), cap, beyond_cap: 0, scratch: blank() }
    }

    /// Describes a gauge. Labels are added to what is returned.
    pub fn gauge(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        unit: Unit,
        help: impl Into<Cow<'static, str>>,
    ) -> &mut Figure {
        self.push(name.into(), unit, help.into(), FigureKind::Gauge)
    }

    /// Describes a counter. Its name ends in `_total`.
    pub fn counter(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        unit: Unit,
        help: impl Into<Cow<'static, str>>,
    ) -> &mut Figure {
        self.push(name.into(), unit, help.into(), FigureKind::Counter)
    }

    /// Describes a histogram of times or of sizes; its unit is the histogram's. It takes no place in the [`Row`]: readers read the
    /// histogram itself.
    pub fn histogram(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        histogram: &Arc<Histogram>,
    ) -> &mut Figure {
        self.push(name.into(), histogram.unit(), help.into(), FigureKind::Histogram(Arc::clone(histogram)))
    }

    /// How many figures were described and taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.figures.len()
    }

    /// Whether nothing was described.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    /// The figures with what was refused. An invalid figure keeps its place, as `None`, so that a [`Row`]'s order still fits; an invalid
    /// histogram, which has no place there, is left out.
    #[must_use]
    pub fn finish(self) -> (Vec<Option<Figure>>, SeriesOverflow) {
        let mut overflow = SeriesOverflow { beyond_cap: self.beyond_cap, ..SeriesOverflow::default() };
        let figures = self
            .figures
            .into_iter()
            .filter_map(|figure| match figure.check() {
                Ok(()) => Some(Some(figure)),
                Err(problem) => {
                    overflow.invalid += 1;
                    overflow.first_problem.get_or_insert(problem);
                    (!matches!(figure.kind, FigureKind::Histogram(_))).then_some(None)
                }
            })
            .collect();
        (figures, overflow)
    }

    fn push(&mut self, name: Cow<'static, str>, unit: Unit, help: Cow<'static, str>, kind: FigureKind) -> &mut Figure {
        let figure = Figure { name, help, unit, kind, labels: Vec::new() };
        if self.figures.len() >= self.cap {
            self.beyond_cap += 1;
            self.scratch = figure;
            return &mut self.scratch;
        }
        self.figures.push(figure);
        let last = self.figures.len() - 1;
        &mut self.figures[last]
    }
}

fn blank() -> Figure {
    Figure {
        name: Cow::Borrowed(""),
        help: Cow::Borrowed(""),
        unit: Unit::Count,
        kind: FigureKind::Gauge,
        labels: Vec::new(),
    }
}

/// The value of a figure, kept as exact as it was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A whole number.
    U64(u64),
    /// A whole number with a sign.
    I64(i64),
    /// Anything else; always finite.
    F64(f64),
}

impl Value {
    /// The value as Prometheus has it; exact to 2^53.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the exposition format knows only f64")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::U64(value) => value as f64,
            Self::I64(value) => value as f64,
            Self::F64(value) => value,
        }
    }

    /// The value as a whole number, if it is one that fits.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        match self {
            Self::U64(value) => Some(value),
            Self::I64(value) => u64::try_from(value).ok(),
            Self::F64(_) => None,
        }
    }
}

/// What can be written in a [`Row`]: whole numbers, `f64`, [`Duration`] (as seconds), `bool` (as 1 and 0), and an `Option` of each.
/// `None` and a value that is not finite leave the figure absent.
#[derive(Debug, Clone, Copy)]
pub struct Reading(Option<Value>);

macro_rules! readings {
    ($($type:ty: $value:ident => $read:expr;)*) => {$(
        impl From<$type> for Reading {
            fn from($value: $type) -> Self { Self($read) }
        }
        impl From<Option<$type>> for Reading {
            fn from(value: Option<$type>) -> Self { value.map_or(Self(None), Self::from) }
        }
    )*};
}

readings! {
    u64: value => Some(Value::U64(value));
    u32: value => Some(Value::U64(value.into()));
    usize: value => Some(Value::U64(value as u64));
    i64: value => Some(Value::I64(value));
    f64: value => value.is_finite().then_some(Value::F64(value));
    bool: value => Some(Value::U64(value.into()));
    Duration: value => Some(Value::F64(value.as_secs_f64()));
}

/// Takes the values of a monitor's figures in the order in which they were described, histograms left out.
///
/// Figures that are not written are absent; values beyond the described are ignored, and [`beyond`](Self::beyond) says how many.
#[derive(Debug)]
pub struct Row<'a> {
    values: &'a mut [Option<Value>],
    next: usize,
}

impl<'a> Row<'a> {
    /// A row over this storage, with every figure absent.
    pub fn new(values: &'a mut [Option<Value>]) -> Self {
        values.fill(None);
        Self { values, next: 0 }
    }

    /// Writes the next figure's value.
    #[inline]
    pub fn push(&mut self, reading: impl Into<Reading>) -> &mut Self {
        if let Some(slot) = self.values.get_mut(self.next) {
            *slot = reading.into().0;
        }
        self.next += 1;
        self
    }

    /// Leaves the next `count` figures absent.
    pub fn skip(&mut self, count: usize) -> &mut Self {
        self.next += count;
        self
    }

    /// How many values were written or skipped beyond the described figures.
    #[must_use]
    pub fn beyond(&self) -> usize {
        self.next.saturating_sub(self.values.len())
    }
}
