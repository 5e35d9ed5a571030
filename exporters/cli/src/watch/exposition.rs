//! The Prometheus text format: lines of text to series. Pure; knows no metric by name.

use std::borrow::Cow;

use prom_text_format_parser::parse_scrape;

use super::fetch::printable;

/// The prefix of every metric of engine-vitals. Lines of other metrics are passed over unread.
const PREFIX: &str = "vitals_";

/// An engine has fewer than 500.
const MAX_SERIES: usize = 50_000;

/// In bytes. An engine's have a few hundred.
const MAX_LINE: usize = 16 << 10;

/// One line of a scrape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    labels: Vec<(String, String)>,
    /// `None` where the text has NaN: the figure is unknown.
    pub(crate) value: Option<f64>,
}

impl Series {
    /// The value of a label; as in Prometheus, one that is missing is empty.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// Reads the series of engine-vitals.
///
/// # Errors
/// In words, when a line cannot be read, or there are none or too many.
pub(crate) fn parse(text: &str) -> Result<Vec<Series>, String> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with(PREFIX)) {
        if line.len() > MAX_LINE {
            return Err(format!("line {} is longer than {MAX_LINE} bytes", index + 1));
        }
        let series = parse_line(line).ok_or_else(|| {
            let shown: String = line.chars().take(80).collect();
            format!("line {} is no sample of Prometheus text: {}", index + 1, printable(&shown))
        })?;
        if found.len() == MAX_SERIES {
            return Err(format!("more than {MAX_SERIES} series begin with {PREFIX}"));
        }
        found.push(series);
    }
    if found.is_empty() {
        return Err(format!("no metric begins with {PREFIX}: this is no engine with engine-vitals"));
    }
    Ok(found)
}

/// Line by line, so that a broken one can be named and a hostile text costs no more than its good lines.
fn parse_line(line: &str) -> Option<Series> {
    let (metrics, None) = parse_scrape(line) else { return None };
    let metric = metrics.into_iter().next()?;
    let mut sample = metric.samples.into_iter().next()?;
    let value = sample.value.value.as_f64();
    let labels = sample.labels.drain(..).map(|label| (label.key, printable(&unescape(&label.value)))).collect();
    Some(Series { name: metric.name, labels, value: Some(value).filter(|value| !value.is_nan()) })
}

/// The parser leaves `\\`, `\"` and `\n` as they are written.
fn unescape(written: &str) -> Cow<'_, str> {
    if !written.contains('\\') {
        return Cow::Borrowed(written);
    }
    let mut text = String::with_capacity(written.len());
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next().map(|escaped| if escaped == 'n' { '\n' } else { escaped })),
            c => text.push(c),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_format_allows() {
        let text = "# HELP vitals_a A.\n# TYPE vitals_a gauge\nvitals_a 1\n\
                    vitals_b{x=\"llvmpipe (LLVM 15, 256 bits)\",y=\"\"} 2.5e-3 1700000000\n\
                    vitals_c{x=\"a}b\\\"c\\\\n\"} +Inf\nvitals_d NaN\n\nother{broken 1\nvitals_e 18446744073709551615\n";
        let series = parse(text).unwrap();
        let values: Vec<_> = series.iter().map(|series| (series.name.as_str(), series.value)).collect();
        assert_eq!(
            values,
            [
                ("vitals_a", Some(1.0)),
                ("vitals_b", Some(0.0025)),
                ("vitals_c", Some(f64::INFINITY)),
                ("vitals_d", None),
                ("vitals_e", Some(u64::MAX as f64)),
            ]
        );
        assert_eq!(series[1].label("x"), "llvmpipe (LLVM 15, 256 bits)");
        assert_eq!((series[1].label("y"), series[1].label("z")), ("", ""));
        assert_eq!(series[2].label("x"), "a}b\"c\\n");
    }

    #[test]
    fn a_label_cannot_command_the_terminal() {
        let series = parse("vitals_a{x=\"\u{1b}[2J\\n\"} 1").unwrap();
        assert_eq!(series[0].label("x"), "\u{fffd}[2J\u{fffd}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, reason) in [
            ("", "no metric begins with vitals_"),
            ("<html>hello</html>", "no metric begins with vitals_"),
            ("up 1\nvitals_a ten", "line 2 is no sample of Prometheus text: vitals_a ten"),
            ("vitals_a{x=\"1} 1", "line 1"),
            ("vitals_a 1e", "line 1"),
            ("vitals_a", "line 1"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let many = |count: usize| "vitals_a 1\n".repeat(count);
        assert_eq!(parse(&many(MAX_SERIES)).map(|series| series.len()), Ok(MAX_SERIES));
        assert!(parse(&many(MAX_SERIES + 1)).unwrap_err().contains("more than 50000"));
        let long = |length: usize| format!("vitals_a{{l=\"{}\"}} 1", "x".repeat(length - "vitals_a{l=\"\"} 1".len()));
        assert!(parse(&long(MAX_LINE)).is_ok());
        assert!(parse(&long(MAX_LINE + 1)).unwrap_err().contains("line 1 is longer than 16384 bytes"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(vitals_[a-z]{0,3}[{}=\",\\\\ a0-9.eE+-]{0,30}\n|\\PC{0,20}\n){0,8}") {
            let _ = parse(&text);
        }

        #[test]
        fn labels_and_values_come_back(label in "\\PC{0,20}", value in any::<f64>()) {
            let escaped = label.replace('\\', "\\\\").replace('"', "\\\"");
            let series = parse(&format!("vitals_x{{l=\"{escaped}\"}} {value:?}")).unwrap();
            prop_assert_eq!(series[0].label("l"), label);
            prop_assert_eq!(series[0].value, Some(value).filter(|value| !value.is_nan()));
        }
    }
}
