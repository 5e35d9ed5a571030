//! The Prometheus text: what is left out of the recorder's and what is added to it. Pure: text in, text out.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::{Display, Write as _};

use engine_vitals_core::contract::{Figure, FigureKind, HistogramSnapshot};
use memchr::memmem::Finder;

/// Series that are left out: by metric, each as it is written (name and labels).
#[derive(Debug, Default)]
pub(crate) struct Absent(HashMap<String, HashSet<String>>);

impl Absent {
    pub(crate) fn insert(&mut self, series: &str) {
        let name = series.split_once('{').map_or(series, |(name, _)| name);
        self.0.entry(name.to_owned()).or_default().insert(series.to_owned());
    }

    /// Those of the metric in this block.
    fn of(&self, block: &[u8]) -> Option<&HashSet<String>> {
        if self.0.is_empty() {
            return None;
        }
        let kind = block.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"# TYPE "))?;
        self.0.get(std::str::from_utf8(kind.split(|byte| *byte == b' ').next()?).ok()?)
    }
}

/// A recorder's text without
///
/// - the samples whose value is NaN: a series cannot be withdrawn from a recorder, so NaN stands for an unknown figure;
/// - the series that are `absent`, for counters, which cannot be NaN;
/// - the metrics of which no sample is left.
///
/// A recorder ends each metric with a blank line, so that only the blocks with something to leave out are looked at
/// line by line, and a text that has nothing to leave out, which is usual, is returned as it is.
pub(crate) fn leave_out(text: Vec<u8>, absent: &Absent) -> Vec<u8> {
    let (blank_line, nan) = (Finder::new(b"\n\n"), Finder::new(b" NaN"));
    if absent.0.is_empty() && nan.find(&text).is_none() {
        return text;
    }
    let (mut out, mut copied, mut start) = (Vec::new(), 0, 0);
    while start < text.len() {
        let end = blank_line.find(&text[start..]).map_or(text.len(), |at| start + at + 2);
        let block = &text[start..end];
        let absent = absent.of(block);
        if absent.is_some() || nan.find(block).is_some() {
            out.extend_from_slice(&text[copied..start]);
            filter(block, absent, &mut out);
            copied = end;
        }
        start = end;
    }
    out.extend_from_slice(&text[copied..]);
    out
}

fn filter(block: &[u8], absent: Option<&HashSet<String>>, out: &mut Vec<u8>) {
    let before = out.len();
    let mut kept = false;
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"#") || line == b"\n" {
            out.extend_from_slice(line);
        } else if !is_left_out(line, absent) {
            out.extend_from_slice(line);
            kept = true;
        }
    }
    if !kept {
        out.truncate(before);
    }
}

fn is_left_out(line: &[u8], absent: Option<&HashSet<String>>) -> bool {
    let (series, value) = line.split_at(line.iter().rposition(|byte| *byte == b' ').unwrap_or(line.len()));
    let is_absent = |series| absent.is_some_and(|absent| absent.contains(series));
    value.starts_with(b" NaN") || std::str::from_utf8(series).is_ok_and(is_absent)
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
        escape(&mut self.0, value, true);
        self.0.push('"');
    }

    /// Writes `{…}` with one more label, or nothing if there is none at all.
    fn write(&self, out: &mut String, more: Option<(&str, &dyn Display)>) {
        if self.0.is_empty() && more.is_none() {
            return;
        }
        out.push('{');
        out.push_str(&self.0);
        if let Some((name, value)) = more {
            let comma = if self.0.is_empty() { "" } else { "," };
            let _ = write!(out, "{comma}{name}=\"{value}\"");
        }
        out.push('}');
    }
}

/// Appends one metric of plain samples. `value` is anything that prints as a number.
pub(crate) fn family<'a, V: Display>(
    out: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: impl IntoIterator<Item = (&'a Labels, V)>,
) {
    head(out, name, kind, help);
    for (labels, value) in samples {
        sample(out, (name, ""), labels, None, &value);
    }
    out.push('\n');
}

/// Appends those of these figures that are histograms, each metric's series together, whatever their order. The labels
/// are those of the series. One without a sample is unknown, and with that absent: an adapter without timestamps, say,
/// has no times on the GPU, which is not the same as none so far.
pub(crate) fn histograms<'a>(out: &mut String, figures: impl IntoIterator<Item = (&'a Figure, &'a Labels)>) {
    let mut found: Vec<(&Figure, &Labels, HistogramSnapshot)> = figures
        .into_iter()
        .filter_map(|(figure, labels)| match &figure.kind {
            FigureKind::Histogram(histogram) => Some((figure, labels, histogram.snapshot())),
            _ => None,
        })
        .filter(|(.., snapshot)| snapshot.count > 0)
        .collect();
    found.sort_by(|(a, ..), (b, ..)| a.name.cmp(&b.name));
    for metric in found.chunk_by(|(a, ..), (b, ..)| a.name == b.name) {
        let name = &metric[0].0.name;
        head(out, name, "histogram", &metric[0].0.help);
        for (_, labels, snapshot) in metric {
            for (bound, count) in &snapshot.buckets {
                let le: &dyn Display = match bound {
                    Some(bound) => bound,
                    None => &"+Inf",
                };
                sample(out, (name, "_bucket"), labels, Some(("le", le)), count);
            }
            sample(out, (name, "_sum"), labels, None, &snapshot.sum);
            sample(out, (name, "_count"), labels, None, &snapshot.count);
        }
        out.push('\n');
    }
}

/// One line. The name comes with its suffix.
fn sample(
    out: &mut String,
    (name, suffix): (&str, &str),
    labels: &Labels,
    more: Option<(&str, &dyn Display)>,
    value: &dyn Display,
) {
    out.push_str(name);
    out.push_str(suffix);
    labels.write(out, more);
    let _ = writeln!(out, " {value}");
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP {name} ");
    escape(out, help, false);
    let _ = writeln!(out, "\n# TYPE {name} {kind}");
}

/// Appends a text as the format has it: in quotes (a label's value) or not (a metric's description).
fn escape(out: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use engine_vitals_core::contract::{Histogram, Series};
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
        ) {
            let mut absent = Absent::default();
            absent.insert("a_total");
            absent.insert("b_total{l=\"a\"}");
            let is_absent = |series: &str| series == "a_total" || series == "b_total{l=\"a\"}";
            let all = text(&metrics, |_, _| true);
            let expected = text(&metrics, |series, value| value != "NaN" && !is_absent(series));
            prop_assert_eq!(String::from_utf8(leave_out(all.into_bytes(), &absent)).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b' ')], 0..99)) {
            let mut absent = Absent::default();
            absent.insert("a_total");
            prop_assert!(leave_out(text.clone(), &absent).len() <= text.len());
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
        let unknown = Arc::new(Histogram::for_frames());
        series.histogram("b_seconds", "Other.", &unknown).label("lane", "y");
        series.histogram("c_seconds", "Without a sample.", &unknown);
        let sizes = Arc::new(Histogram::of_bytes([16, 1 << 46]));
        sizes.set_bytes([2, 1, 0], (1 << 40) + 20);
        series.histogram("d_bytes", "Sizes.", &sizes);
        let (figures, _) = series.finish();
        let mut out = String::new();
        let figures: Vec<_> =
            figures.iter().flatten().map(|figure| (figure, Labels::default().with(&figure.labels))).collect();
        histograms(&mut out, figures.iter().map(|(figure, labels)| (*figure, labels)));
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

# HELP d_bytes Sizes.
# TYPE d_bytes histogram
d_bytes_bucket{le="16"} 2
d_bytes_bucket{le="70368744177664"} 3
d_bytes_bucket{le="+Inf"} 3
d_bytes_sum 1099511627796
d_bytes_count 3

"#;
        assert_eq!(out, expected);
    }

    #[test]
    fn global_labels_come_first() {
        let mut out = String::new();
        let globals = Labels::new([("host", "a")]);
        family(&mut out, "m", "gauge", "Help.", [(&globals, 1)]);
        assert_eq!(out, "# HELP m Help.\n# TYPE m gauge\nm{host=\"a\"} 1\n\n");
    }
}
