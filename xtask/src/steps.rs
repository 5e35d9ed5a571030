//! A row of named steps: all are run, each is timed, a table closes the run and any failure fails it.

use crate::shell::Shell;
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// One thing to run. It notes what it skips through [`Shell::skip`].
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Shell) -> Result<()>,
}

struct Done {
    name: &'static str,
    took: Duration,
    failure: Option<String>,
}

/// Runs the steps in order, prints the table.
///
/// # Errors
/// When at least one step failed; every other step has run all the same.
pub(crate) fn run<'a>(shell: &Shell, steps: impl IntoIterator<Item = &'a Step>) -> Result<()> {
    let mut rows = Vec::new();
    for step in steps {
        println!("\n=== {}: {} ===", step.name, step.about);
        let start = Instant::now();
        let failure = (step.run)(shell).err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            println!("=== {} FAILED: {failure}", step.name);
        }
        rows.push(Done { name: step.name, took: start.elapsed(), failure });
    }
    summary(&rows, &shell.skipped())
}

fn summary(rows: &[Done], skipped: &[String]) -> Result<()> {
    let total: Duration = rows.iter().map(|row| row.took).sum();
    println!("\n{:<12} {:>9}  result", "step", "time");
    for row in rows {
        let result = row.failure.as_deref().map_or_else(|| "ok".to_owned(), |why| format!("FAILED: {why}"));
        println!("{:<12} {:>8.1}s  {result}", row.name, row.took.as_secs_f64());
    }
    println!("{:<12} {:>8.1}s", "total", total.as_secs_f64());
    println!("skipped: {}", skipped.len());
    for line in skipped {
        println!("  {line}");
    }
    let failed: Vec<_> = rows.iter().filter(|row| row.failure.is_some()).map(|row| row.name).collect();
    if !failed.is_empty() {
        bail!("{} of {} steps failed: {}", failed.len(), rows.len(), failed.join(", "));
    }
    println!("all {} steps passed", rows.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_failed_step_stops_no_other_and_fails_the_run() -> Result<()> {
        static RAN: AtomicU32 = AtomicU32::new(0);
        let fail: fn(&Shell) -> Result<()> = |_| bail!("planted");
        let pass: fn(&Shell) -> Result<()> = |_| {
            RAN.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let steps = [Step { name: "first", about: "", run: fail }, Step { name: "second", about: "", run: pass }];
        let error = run(&Shell::new()?, &steps).unwrap_err().to_string();
        assert_eq!(error, "1 of 2 steps failed: first");
        assert_eq!(RAN.load(Ordering::Relaxed), 1);
        run(&Shell::new()?, &steps[1..])
    }
}
