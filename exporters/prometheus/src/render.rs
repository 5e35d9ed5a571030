//! The Prometheus text: what is left out of the recorder's and what is added to it. Pure: text in, text out.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::{Display, Write as _};
use std::io;

use engine_vitals_core::contract::{Figure, FigureKind, Histogram};

/// Series that are left out: by metric, each as it is written (name and labels).
#[derive(Debug, Default)]
pub(crate) struct Absent(HashMap<String, HashSet<String>>);

impl Absent {
    pub(crate) fn insert(&mut self, series: &str) {
        let name = series.split_once('{').map_or(series, |(name, _)| name);
        self.0.entry(name.to_owned()).or_default().insert(series.to_owned());
    }
}

/// Passes the text of a recorder on as it is written, without
///
/// - the samples whose value is NaN: a series cannot be withdrawn from a recorder, so NaN stands for an unknown figure;
/// - the series that are `absent`, for counters, which cannot be NaN;
/// - `HELP` and `TYPE` of a metric of which no sample is left.
///
/// It looks at no byte twice, so that it costs about what copying costs.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    absent: &'a Absent,
    /// The absent series of the metric at hand.
    here: Option<&'a HashSet<String>>,
    out: Vec<u8>,
    /// `HELP` and `TYPE` of a metric of which no sample was kept so far.
    head: Vec<u8>,
    /// The beginning of a line whose end has not been written yet.
    partial: Vec<u8>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(absent: &'a Absent, capacity: usize) -> Self {
        Self { absent, here: None, out: Vec::with_capacity(capacity), head: Vec::new(), partial: Vec::new() }
    }

    /// The filtered text.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if !self.partial.is_empty() {
            let rest = std::mem::take(&mut self.partial);
            self.line(&rest);
        }
        self.out
    }

    /// Takes one line, with its end.
    fn line(&mut self, line: &[u8]) {
        if line.starts_with(b"#") {
            if !self.absent.0.is_empty() && line.starts_with(b"# TYPE ") {
                self.here = std::str::from_utf8(line)
                    .ok()
                    .and_then(|line| line.split(' ').nth(2))
                    .and_then(|name| self.absent.0.get(name));
            }
            self.head.extend_from_slice(line);
        } else if line == b"\n" {
            // The blank line after a metric of which nothing was kept goes too.
            if self.head.is_empty() && !self.out.is_empty() {
                self.out.push(b'\n');
            }
            self.head.clear();
            self.here = None;
        } else if !self.leaves_out(line) {
            self.out.append(&mut self.head);
            self.out.extend_from_slice(line);
        }
    }

    fn leaves_out(&self, line: &[u8]) -> bool {
        let value = line.iter().rposition(|byte| *byte == b' ').unwrap_or(line.len());
        if line[value..].starts_with(b" NaN") {
            return true;
        }
        self.here.is_some_and(|absent| std::str::from_utf8(&line[..value]).is_ok_and(|series| absent.contains(series)))
    }
}

impl io::Write for Filter<'_> {
    fn write(&mut self, chunk: &[u8]) -> io::Result<usize> {
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") || !self.partial.is_empty() {
                self.partial.extend_from_slice(line);
                if line.ends_with(b"\n") {
                    let whole = std::mem::take(&mut self.partial);
                    self.line(&whole);
                }
            } else {
                self.line(line);
            }
        }
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Labels that are added to every series, as `name="value"` pairs joined by commas; empty where there are none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Labels(String);

impl Labels {
    pub(crate) fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut labels = Self::default();
        for (name, value) in pairs {
            labels.push(name, value);
        }
        labels
    }

    /// These and the labels of a figure.
    pub(crate) fn with(&self, more: &[(Cow<'static, str>, Cow<'static, str>)]) -> Self {
        let mut labels = self.clone();
        more.iter().for_each(|(name, value)| labels.push(name, value));
        labels
    }

    /// These and one more.
    pub(crate) fn and(&self, name: &str, value: &str) -> Self {
        let mut labels = self.clone();
        labels.push(name, value);
        labels
    }

    fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }

    /// `{…}` with one more label, or nothing if there is none at all.
    fn braced(&self, more: Option<(&str, &dyn Display)>) -> String {
        let comma = if self.0.is_empty() { "" } else { "," };
        match more {
            Some((name, value)) => format!("{{{}{comma}{name}=\"{value}\"}}", self.0),
            None if self.0.is_empty() => String::new(),
            None => format!("{{{}}}", self.0),
        }
    }
}

/// Appends one metric of plain samples. `value` is anything that prints as a number.
pub(crate) fn family<V: Display>(
    out: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels, V)>,
) {
    head(out, name, kind, help);
    for (labels, value) in samples {
        let _ = writeln!(out, "{name}{} {value}", labels.braced(None));
    }
    out.push('\n');
}

/// Appends the histograms among `figures`, each metric's series together, whatever their order.
pub(crate) fn histograms<'a>(out: &mut String, globals: &Labels, figures: impl IntoIterator<Item = &'a Figure>) {
    let mut found: Vec<(&Figure, &Histogram)> = figures
        .into_iter()
        .filter_map(|figure| match &figure.kind {
            FigureKind::Histogram(histogram) => Some((figure, &**histogram)),
            _ => None,
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    for metric in found.chunk_by(|(a, _), (b, _)| a.name == b.name) {
        let name = &metric[0].0.name;
        head(out, name, "histogram", &metric[0].0.help);
        for (figure, histogram) in metric {
            let labels = globals.with(&figure.labels);
            let snapshot = histogram.snapshot();
            for (bound, count) in &snapshot.buckets {
                let le: &dyn Display = match bound {
                    Some(bound) => &bound.as_secs_f64(),
                    None => &"+Inf",
                };
                let _ = writeln!(out, "{name}_bucket{} {count}", labels.braced(Some(("le", le))));
            }
            let labels = labels.braced(None);
            let _ = writeln!(out, "{name}_sum{labels} {}", snapshot.sum.as_secs_f64());
            let _ = writeln!(out, "{name}_count{labels} {}", snapshot.count);
        }
        out.push('\n');
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::time::Duration;

    use engine_vitals_core::contract::Series;
    use proptest::prelude::*;

    use super::*;

    /// One metric as a recorder writes it.
    #[derive(Debug, Clone)]
    struct Metric {
        name: String,
        help: Option<String>,
        counter: bool,
        samples: Vec<(String, String)>,
    }

    fn text(metrics: &[Metric], keep: impl Fn(&str, &str) -> bool) -> String {
        let mut out = String::new();
        for Metric { name, help, counter, samples } in metrics {
            let series = |labels: &str| format!("{name}{labels}");
            let samples: Vec<_> = samples.iter().filter(|(labels, value)| keep(&series(labels), value)).collect();
            if samples.is_empty() {
                continue;
            }
            if let Some(help) = help {
                writeln!(out, "# HELP {name} {help}").unwrap();
            }
            let kind = if *counter { "counter" } else { "gauge" };
            writeln!(out, "# TYPE {name} {kind}").unwrap();
            for (labels, value) in samples {
                writeln!(out, "{name}{labels} {value}").unwrap();
            }
            out.push('\n');
        }
        out
    }

    fn metric() -> impl Strategy<Value = Metric> {
        let value = prop_oneof!["NaN", "-?[0-9]{1,5}", "\\+Inf", "[0-9]e[0-9]"];
        let labels = prop_oneof![Just(String::new()), Just("{l=\"a\"}".to_owned()), "\\{l=\"( NaN|[a-zé #]){0,6}\"\\}"];
        let samples = proptest::collection::vec((labels, value), 1..4);
        ("[ab]_(bytes|total|NaN)", proptest::option::of("[a-z #]{0,9}( NaN)?"), any::<bool>(), samples)
            .prop_map(|(name, help, counter, samples)| Metric { name, help, counter, samples })
    }

    proptest! {
        #[test]
        fn equals_a_text_that_never_had_what_is_left_out(
            metrics in proptest::collection::vec(metric(), 0..6),
            cuts in proptest::collection::vec(1usize..40, 0..60),
        ) {
            let mut absent = Absent::default();
            absent.insert("a_total");
            absent.insert("b_total{l=\"a\"}");
            let is_absent = |series: &str| series == "a_total" || series == "b_total{l=\"a\"}";
            let all = text(&metrics, |_, _| true);
            let mut filter = Filter::new(&absent, 0);
            let mut rest = all.as_bytes();
            for cut in cuts {
                let (chunk, tail) = rest.split_at(cut.min(rest.len()));
                filter.write_all(chunk).unwrap();
                rest = tail;
            }
            filter.write_all(rest).unwrap();
            let expected = text(&metrics, |series, value| value != "NaN" && !is_absent(series));
            prop_assert_eq!(String::from_utf8(filter.finish()).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_survived(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..9)) {
            let none = Absent::default();
            let mut filter = Filter::new(&none, 0);
            for chunk in &chunks {
                prop_assert_eq!(filter.write(chunk).unwrap(), chunk.len());
            }
            prop_assert!(filter.finish().len() <= chunks.concat().len());
        }
    }

    #[test]
    fn histograms_of_one_metric_stand_together_and_are_cumulative() {
        let fast = Arc::new(Histogram::new([Duration::from_millis(2), Duration::from_millis(10)]));
        let slow = Arc::new(Histogram::new([Duration::from_millis(2), Duration::from_millis(10)]));
        fast.record(Duration::from_millis(1));
        fast.record(Duration::from_millis(2));
        fast.record(Duration::from_millis(3));
        slow.record(Duration::from_secs(1));
        let mut series = Series::with_cap(9);
        series.histogram("b_seconds", "Other.", &slow);
        series.histogram("a_seconds", "Time\nof \\.", &fast).label("lane", Cow::Borrowed("a\"b\\c\nd"));
        series.histogram("b_seconds", "Other.", &fast).label("lane", "x");
        let (figures, _) = series.finish();
        let mut out = String::new();
        histograms(&mut out, &Labels::default(), figures.iter().flatten());
        let expected = r#"# HELP a_seconds Time\nof \\.
# TYPE a_seconds histogram
a_seconds_bucket{lane="a\"b\\c\nd",le="0.002"} 2
a_seconds_bucket{lane="a\"b\\c\nd",le="0.01"} 3
a_seconds_bucket{lane="a\"b\\c\nd",le="+Inf"} 3
a_seconds_sum{lane="a\"b\\c\nd"} 0.006
a_seconds_count{lane="a\"b\\c\nd"} 3

# HELP b_seconds Other.
# TYPE b_seconds histogram
b_seconds_bucket{le="0.002"} 0
b_seconds_bucket{le="0.01"} 0
b_seconds_bucket{le="+Inf"} 1
b_seconds_sum 1
b_seconds_count 1
b_seconds_bucket{lane="x",le="0.002"} 2
b_seconds_bucket{lane="x",le="0.01"} 3
b_seconds_bucket{lane="x",le="+Inf"} 3
b_seconds_sum{lane="x"} 0.006
b_seconds_count{lane="x"} 3

"#;
        assert_eq!(out, expected);
    }

    #[test]
    fn global_labels_come_first() {
        let mut out = String::new();
        let globals = Labels::new([("host", "a")]);
        family(&mut out, "m", "gauge", "Help.", [(globals, 1)]);
        assert_eq!(out, "# HELP m Help.\n# TYPE m gauge\nm{host=\"a\"} 1\n\n");
    }
}
