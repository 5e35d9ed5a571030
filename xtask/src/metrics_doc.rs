//! `cargo xtask metrics-doc`: docs/METRICS.md from the descriptions in the code.

use crate::shell::Shell;
use crate::tidy::figures::{self, Figures};
use crate::tidy::{self, METRICS};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only check that the page is what the code says
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    if options.check {
        return check(shell);
    }
    std::fs::write(shell.root().join(METRICS), page(shell)?).with_context(|| format!("cannot write {METRICS}"))
}

/// # Errors
/// When the page is not what the code says.
pub(crate) fn check(shell: &Shell) -> Result<()> {
    let written = std::fs::read_to_string(shell.root().join(METRICS)).unwrap_or_default();
    if written != page(shell)? {
        bail!("{METRICS} is not what the code describes: run `cargo xtask metrics-doc`");
    }
    Ok(())
}

fn page(shell: &Shell) -> Result<String> {
    render(&figures::read(&tidy::files(shell)?)?)
}

const HEAD: &str = "\
# Metrics

Written by `cargo xtask metrics-doc` from the descriptions in the code; `cargo xtask test` fails when it is out of date.

Bytes and seconds are base units, counters end in `_total` and begin at zero, an unknown value has no series. A series
carries the `monitor` label only where two monitors of one kind are registered. What does not change while a program
runs are labels of `vitals_build_info`: `version`, `app`, `app_version` and the constant labels that the program chose.
";

fn render(figures: &Figures) -> Result<String> {
    let mut by_file: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (name, metric) in &figures.described {
        by_file.entry(&metric.file).or_default().push((name, metric));
    }
    let mut page = HEAD.to_owned();
    for (file, metrics) in by_file {
        write!(page, "\n## `{file}`\n\n| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n")?;
        for (name, metric) in metrics {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (kind, unit, help) = (metric.kind, metric.unit, metric.help.replace('|', "\\|"));
            writeln!(page, "| `{name}` | {kind} | {unit} | {} | {help} |", labels.join(", "))?;
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::File;

    #[test]
    fn each_metric_is_a_row_of_its_file() -> Result<()> {
        let text = r#"fn d(s: &mut S) { s.gauge("vitals_b_bytes", Unit::Bytes, "Bytes | b.").label("pool", p);
            s.counter("vitals_a_total", Unit::Count, "All of it."); }"#;
        let page = render(&figures::read(&[File { path: "core/src/x.rs".into(), text: text.into() }])?)?;
        let rows: Vec<_> = page.lines().skip_while(|line| !line.starts_with("## ")).collect();
        assert_eq!(
            rows,
            [
                "## `core/src/x.rs`",
                "",
                "| metric | kind | unit | labels | meaning |",
                "|---|---|---|---|---|",
                "| `vitals_a_total` | counter | count |  | All of it. |",
                "| `vitals_b_bytes` | gauge | bytes | `pool` | Bytes \\| b. |",
            ]
        );
        Ok(())
    }
}
