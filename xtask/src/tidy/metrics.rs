//! One set of metric names: in the code's descriptions, in docs/METRICS.md, in dashboards and rules.

use super::figures::{self, Figures, PREFIX};
use super::{Fault, File};
use anyhow::{Context, Result};
use regex::Regex;
use std::collections::BTreeMap;

pub(super) fn check(files: &[File], page: &str, text: &str) -> Result<Vec<Fault>> {
    let known = documented(text);
    let mut faults = against_code(&figures::read(files)?, &known, page);
    let shown = Regex::new(&format!(r"\b{PREFIX}[a-z0-9_]*[a-z0-9]")).context("pattern of metric names")?;
    for file in files.iter().filter(|file| file.path.starts_with("grafana/")) {
        for (number, line) in file.text.lines().enumerate() {
            for name in shown.find_iter(line).map(|found| found.as_str()) {
                if !is_series_of(name, &known) {
                    faults.push(Fault::new(&file.path, number + 1, format!("no metric is called `{name}`")));
                }
            }
        }
    }
    Ok(faults)
}

/// The names of the page, with kind and line: its table rows that begin with a name in backticks.
fn documented(text: &str) -> BTreeMap<&str, (&str, usize)> {
    text.lines()
        .enumerate()
        .filter_map(|(number, line)| {
            let mut cells = line.strip_prefix("| `")?.splitn(3, '|');
            let name = cells.next()?.trim().strip_suffix('`')?;
            let kind = cells.next()?.trim();
            name.starts_with(PREFIX).then_some((name, (kind, number + 1)))
        })
        .collect()
}

fn against_code(figures: &Figures, known: &BTreeMap<&str, (&str, usize)>, page: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, file, line) in &figures.mentioned {
        if !is_series_of(name, known) {
            faults.push(Fault::new(file, *line, format!("`{name}` is not in {page}: run `cargo xtask metrics-doc`")));
        }
    }
    for (name, (_, line)) in known {
        if !figures.described.contains_key(*name) {
            faults.push(Fault::new(page, *line, format!("no code describes `{name}`: run `cargo xtask metrics-doc`")));
        }
    }
    faults
}

/// Whether a series of that name exists: a histogram has three of its own.
fn is_series_of(name: &str, known: &BTreeMap<&str, (&str, usize)>) -> bool {
    let histogram = |suffix| {
        let base = name.strip_suffix(suffix);
        base.and_then(|base| known.get(base)).is_some_and(|(kind, _)| *kind == "histogram")
    };
    known.contains_key(name) || ["_bucket", "_sum", "_count"].into_iter().any(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
| metric | kind | labels | meaning |
|---|---|---|---|
| `vitals_heap_bytes` | gauge | | Live bytes. |
| `vitals_frame_seconds` | histogram | `lane` | Time. |
";

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn code_page_and_dashboards_agree() -> Result<()> {
        let code = r#"fn d(s: &mut S) { s.gauge("vitals_heap_bytes", Unit::Bytes, "Live bytes.");
            s.histogram("vitals_frame_seconds", "Time of it.", &t); }"#;
        let files = [
            file("core/src/monitor/heap.rs", code),
            file("grafana/dashboards/a.json", "rate(vitals_frame_seconds_bucket[1m]) + vitals_heap_bytes"),
        ];
        assert_eq!(check(&files, "docs/METRICS.md", PAGE)?, []);
        Ok(())
    }

    #[test]
    fn planted_names_are_found_on_all_three_sides() -> Result<()> {
        let files = [
            file(
                "core/src/monitor/heap.rs",
                r#"fn d(s: &mut S) { s.gauge("vitals_heap_bytes", Unit::Bytes, "All bytes."); }"#,
            ),
            file("src/gpu/mod.rs", "\n\nconst PLANTED: &str = \"vitals_planted_total\";"),
            file("grafana/rules/a.yml", "ok: vitals_heap_bytes\nexpr: vitals_heap_bytes_count > vitals_gone_bytes"),
        ];
        let faults: Vec<_> = check(&files, "docs/METRICS.md", PAGE)?.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "src/gpu/mod.rs:3: `vitals_planted_total` is not in docs/METRICS.md: run `cargo xtask metrics-doc`",
                "docs/METRICS.md:4: no code describes `vitals_frame_seconds`: run `cargo xtask metrics-doc`",
                "grafana/rules/a.yml:2: no metric is called `vitals_heap_bytes_count`",
                "grafana/rules/a.yml:2: no metric is called `vitals_gone_bytes`",
            ]
        );
        Ok(())
    }
}
