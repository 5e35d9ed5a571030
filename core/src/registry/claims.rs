//! Which monitor exports which series, so that no two export the same and a name means one thing.

use std::borrow::Cow;
use std::collections::HashMap;

use super::table::MonitorKey;
use crate::contract::{Figure, FigureKind, Unit};

/// Names beyond this many are refused: a name is remembered for as long as the registry lives.
const MOST_NAMES: usize = 10_000;
/// What the registry itself exports of each monitor.
const RESERVED: &str = "vitals_monitor_";

/// The series of all monitors of a registry.
#[derive(Debug, Default)]
pub(super) struct Claims {
    series: HashMap<String, MonitorKey>,
    /// What a metric's name stands for. Kept when its monitors go: whoever collected it once remembers its kind.
    names: HashMap<Cow<'static, str>, (&'static str, Unit)>,
}

impl Claims {
    /// Gives up all series of a monitor.
    pub(super) fn release(&mut self, monitor: MonitorKey) {
        self.series.retain(|_, owner| *owner != monitor);
    }

    /// Takes a figure's series for a monitor. Where another monitor has the same, the figure gets the label `monitor`.
    ///
    /// # Errors
    /// A sentence that names the figure and what is wrong with it.
    pub(super) fn claim(&mut self, figure: &mut Figure, monitor: MonitorKey, id: &str) -> Result<(), String> {
        self.claim_name(figure)?;
        let has_label = figure.labels.iter().any(|(name, _)| name == "monitor");
        if !has_label && self.series.contains_key(&series_key(figure)) {
            figure.label("monitor", id.to_owned());
        }
        match self.series.insert(series_key(figure), monitor) {
            None => Ok(()),
            Some(owner) => {
                self.series.insert(series_key(figure), owner);
                Err(format!("{} is described twice with the same labels", figure.name))
            }
        }
    }

    fn claim_name(&mut self, figure: &Figure) -> Result<(), String> {
        let name = &figure.name;
        if name.starts_with(RESERVED) {
            return Err(format!("metric {name}: names that begin with {RESERVED} are the registry's own"));
        }
        let meaning = (kind(&figure.kind), figure.unit);
        if let Some(known) = self.names.get(name) {
            return if *known == meaning {
                Ok(())
            } else {
                Err(format!(
                    "metric {name} is a {} of {:?} already, not a {} of {:?}",
                    known.0, known.1, meaning.0, meaning.1
                ))
            };
        }
        let is_histogram = |name: &str| self.names.get(name).is_some_and(|(kind, _)| *kind == HISTOGRAM);
        let part = PARTS.iter().find_map(|part| name.strip_suffix(part)).filter(|whole| is_histogram(whole));
        if let Some(whole) = part {
            return Err(format!("metric {name} is a part of the histogram {whole}: give it another name"));
        }
        if meaning.0 == HISTOGRAM
            && let Some(part) =
                PARTS.iter().map(|part| format!("{name}{part}")).find(|part| self.names.contains_key(part.as_str()))
        {
            return Err(format!("histogram {name}: its part {part} is a metric already: give it another name"));
        }
        if self.names.len() >= MOST_NAMES {
            return Err(format!("metric {name}: this registry has {MOST_NAMES} names of metrics already"));
        }
        self.names.insert(name.clone(), meaning);
        Ok(())
    }
}

/// The parts that a histogram is written in.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];
const HISTOGRAM: &str = "histogram";

fn kind(kind: &FigureKind) -> &'static str {
    match kind {
        FigureKind::Gauge => "gauge",
        FigureKind::Counter => "counter",
        FigureKind::Histogram(_) => HISTOGRAM,
    }
}

/// Name and labels as one string, whatever the labels' order.
fn series_key(figure: &Figure) -> String {
    let mut labels: Vec<_> = figure.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    labels.sort_unstable();
    format!("{}{{{}}}", figure.name, labels.join(","))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contract::{Histogram, Series};

    const ID: Cow<'static, str> = Cow::Borrowed("m");

    fn figure(describe: impl FnOnce(&mut Series)) -> Figure {
        let mut series = Series::with_cap(1);
        describe(&mut series);
        series.finish().0.remove(0).unwrap()
    }

    fn gauge(name: &'static str) -> Figure {
        figure(|series| {
            series.gauge(name, Unit::Seconds, "");
        })
    }

    fn histogram(name: &'static str) -> Figure {
        figure(|series| {
            series.histogram(name, "", &Arc::new(Histogram::for_frames()));
        })
    }

    #[test]
    fn a_name_means_one_thing() {
        let mut claims = Claims::default();
        let (first, second) = (MonitorKey(1), MonitorKey(2));
        claims.claim(&mut gauge("a_seconds"), first, &ID).unwrap();
        let mut same = gauge("a_seconds");
        claims.claim(&mut same, second, &ID).unwrap();
        assert_eq!(same.labels, [("monitor".into(), ID)]);
        let problem = claims.claim(&mut histogram("a_seconds"), second, &ID).unwrap_err();
        assert!(problem.contains("a_seconds is a gauge"), "{problem}");
        let mut other_unit = figure(|series| {
            series.gauge("a_seconds", Unit::Bytes, "");
        });
        assert!(claims.claim(&mut other_unit, second, &ID).is_err());
        assert!(claims.claim(&mut gauge("vitals_monitor_success"), second, &ID).unwrap_err().contains("own"));
    }

    #[test]
    fn nothing_is_called_as_a_part_of_a_histogram() {
        let mut claims = Claims::default();
        claims.claim(&mut histogram("b_seconds"), MonitorKey(1), &ID).unwrap();
        assert!(claims.claim(&mut gauge("b_seconds_sum"), MonitorKey(2), &ID).is_err());
        claims.claim(&mut gauge("c_seconds_count"), MonitorKey(2), &ID).unwrap();
        assert!(claims.claim(&mut histogram("c_seconds"), MonitorKey(1), &ID).is_err());
        claims.claim(&mut gauge("d_seconds_sum"), MonitorKey(2), &ID).unwrap();
    }

    #[test]
    fn released_series_can_be_taken_again_as_they_were() {
        let mut claims = Claims::default();
        claims.claim(&mut gauge("e_seconds"), MonitorKey(1), &ID).unwrap();
        assert!(claims.claim(&mut gauge("e_seconds"), MonitorKey(1), &ID).is_ok(), "with the label `monitor`");
        assert!(claims.claim(&mut gauge("e_seconds"), MonitorKey(1), &ID).is_err());
        claims.release(MonitorKey(1));
        let mut again = gauge("e_seconds");
        claims.claim(&mut again, MonitorKey(2), &ID).unwrap();
        assert!(again.labels.is_empty());
        assert!(claims.claim(&mut histogram("e_seconds"), MonitorKey(3), &ID).is_err(), "the name keeps its meaning");
    }

    #[test]
    fn names_are_bounded() {
        let mut claims = Claims::default();
        let claim = |claims: &mut Claims, number: usize| {
            let mut figure = figure(|series| {
                series.gauge(format!("f{number}"), Unit::Count, "");
            });
            claims.claim(&mut figure, MonitorKey(1), &ID)
        };
        for number in 0..MOST_NAMES {
            claim(&mut claims, number).unwrap();
        }
        assert!(claim(&mut claims, MOST_NAMES).is_err());
    }
}
