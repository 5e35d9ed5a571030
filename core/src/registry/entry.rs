//! One registered monitor: how it is run, and its part of the table.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use web_time::Instant;

use super::claims::Claims;
use super::config::RegistryBuilder;
use super::table::{Health, HealthIssue, MonitorKey, MonitorState, Part};
use crate::contract::{
    Cadence, Figure, FigureKind, MonitorRef, ResourceMonitor, ResourceUsageReport, Row, Series, SeriesOverflow, Unit,
    Value,
};
use crate::log::warning;
use crate::memory::HeapTag;

/// Overruns in [`STRIKE_WINDOW`] runs after which a monitor is moved to the sampler thread.
const STRIKES: u32 = 2;
const STRIKE_WINDOW: u32 = 64;
/// One run that takes this many times the budget is enough: below that it may be the machine's fault.
const STALL_FACTOR: u32 = 8;
/// How far below the threshold usage must fall before it is warned of again.
const HYSTERESIS_PERCENT: f64 = 5.0;
/// Runs within the budget after which a moved monitor comes back.
const CLEAN_RUNS: u32 = 16;
/// A monitor that panics is tried again after this long, doubled each time up to the longest.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(60);
/// Cadences beyond this are taken as this one, so that no clock overflows.
const CADENCE_LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// What all entries of a registry share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) config: RegistryBuilder,
    /// Who exports which series, so that two monitors of one kind do not export the same.
    pub(super) claims: Mutex<Claims>,
    pub(super) figures_refused: AtomicU64,
    pub(super) demotions: AtomicU64,
    pub(super) panics: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Cow<'static, str>,
    pub(super) key: MonitorKey,
    pub(super) monitor: Arc<dyn ResourceMonitor>,
    pub(super) view: Option<MonitorRef>,
    declared: Cadence,
    /// Whom its allocations are charged to: whoever registered it.
    tag: HeapTag,
    /// Whether it runs on the sampler thread: declared so, or moved there.
    sampled: AtomicBool,
    /// Cleared by `unregister`, so that the sampler forgets it.
    registered: AtomicBool,
    shared: Arc<Shared>,
    /// Held while the monitor runs, and only ever tried: a monitor is never re-entered.
    run: Mutex<Run>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Run {
    revision: u64,
    /// A new description, which the table takes with the first values for it: readers never see the one without the other.
    described: Option<Described>,
    values: Vec<Option<Value>>,
    runs: u64,
    failures: u64,
    spent: Duration,
    strikes: u32,
    runs_in_window: u32,
    failures_in_row: u32,
    warned: bool,
}

/// What the monitor said of its figures.
#[derive(Debug, Default)]
struct Described {
    figures: Arc<[Figure]>,
    /// For each of the monitor's own figures its place in `Run::values`; a histogram has none.
    places: Box<[Option<usize>]>,
    overflow: SeriesOverflow,
}

#[derive(Debug, Default)]
struct Table {
    described: Described,
    values: Vec<Option<Value>>,
    usage: ResourceUsageReport,
    ran_at: Option<Instant>,
    failure: Option<String>,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ran,
    Failed,
    /// It is running on another thread.
    Busy,
}

impl Entry {
    pub(super) fn new(
        id: Cow<'static, str>,
        key: MonitorKey,
        monitor: Arc<dyn ResourceMonitor>,
        tag: HeapTag,
        shared: Arc<Shared>,
    ) -> Self {
        let declared = guarded_under(tag, || monitor.cadence()).unwrap_or(Cadence::EachUpdate);
        let view = guarded_under(tag, || Arc::clone(&monitor).view()).unwrap_or(None);
        let entry = Self {
            id,
            key,
            monitor,
            view,
            declared,
            tag,
            sampled: AtomicBool::new(matches!(declared, Cadence::Every(_))),
            registered: AtomicBool::new(true),
            shared,
            run: Mutex::default(),
            table: Mutex::default(),
        };
        let mut run = entry.run.lock();
        entry.describe(&mut run);
        entry.table.lock().take_over(run.described.take());
        drop(run);
        entry
    }

    pub(super) fn is_sampled(&self) -> bool {
        self.sampled.load(Ordering::Relaxed)
    }

    pub(super) fn is_registered(&self) -> bool {
        self.registered.load(Ordering::Relaxed)
    }

    /// How long after a run on the sampler thread the next one is due.
    pub(super) fn interval(&self) -> Duration {
        let base = match self.declared {
            Cadence::Every(interval) => interval.max(Duration::from_millis(1)),
            Cadence::EachUpdate => self.shared.config.demoted_cadence,
        };
        let failures = self.run.try_lock().map_or(0, |run| run.failures_in_row);
        match failures {
            0 => base,
            _ => base.max(RETRY.saturating_mul(1 << (failures - 1).min(6)).min(RETRY_LONGEST)),
        }
        .min(CADENCE_LONGEST)
    }

    /// Runs the monitor and publishes its figures. `started` is the time now; returns the time after.
    pub(super) fn run(&self, started: Instant) -> (Outcome, Instant) {
        let Some(mut run) = self.run.try_lock() else { return (Outcome::Busy, started) };
        let run = &mut *run;
        let mut described = Duration::ZERO;
        let result = guarded_under(self.tag, || {
            self.monitor.update();
            let revision = self.monitor.description_revision();
            if revision != run.revision {
                let before = Instant::now();
                // What it says of its figures is the registry's.
                let _own = HeapTag::OWN.enter();
                self.describe(run);
                described = before.elapsed();
            }
            let mut row = Row::new(&mut run.values);
            self.monitor.record(&mut row);
            self.monitor.get_usage_report()
        });
        let ended = Instant::now();
        let spent = ended.duration_since(started).saturating_sub(described);
        run.runs += 1;
        run.spent += spent;
        match &result {
            Ok(_) => run.failures_in_row = 0,
            Err(_) => {
                run.failures += 1;
                run.failures_in_row += 1;
                self.shared.panics.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.place(run, spent, result.is_err());
        let outcome = if result.is_ok() { Outcome::Ran } else { Outcome::Failed };
        self.publish(run, ended, result);
        (outcome, ended)
    }

    /// A copy of the entry's part of the table in `values`.
    pub(super) fn read<R>(
        &self,
        now: Instant,
        values: &mut Vec<Option<Value>>,
        with: impl FnOnce(&Part<'_>, ResourceUsageReport) -> R,
    ) -> R {
        values.clear();
        let (figures, state, usage) = {
            let table = self.table.lock();
            values.extend_from_slice(&table.values);
            (Arc::clone(&table.described.figures), self.state(&table, now), table.usage)
        };
        if matches!(state, MonitorState::Stale(_)) {
            let own = values.len().saturating_sub(IMPLICIT);
            values[..own].fill(None);
            if let [usage, peak, capacity, success, ..] = &mut values[own..] {
                (*usage, *peak, *capacity, *success) = (None, None, None, Some(Value::U64(0)));
            }
        }
        with(&Part { key: self.key, id: &self.id, figures: &figures, values, state }, usage)
    }

    /// What is wrong with the monitor or with what it watches, now.
    pub(super) fn health(&self, now: Instant, report: &mut Vec<Health>) {
        let table = self.table.lock();
        let mut add = |issue| report.push(Health { id: self.id.to_string(), issue });
        if let Some(percent) =
            table.usage.usage_percent().filter(|&percent| percent > self.shared.config.usage_warning_percent)
        {
            add(HealthIssue::NearCapacity { percent });
        }
        if let Some(message) = &table.failure {
            add(HealthIssue::Failed { message: message.clone() });
        }
        if let MonitorState::Stale(age) = self.state(&table, now) {
            add(HealthIssue::Stale { age });
        }
        if self.is_sampled() && self.declared == Cadence::EachUpdate {
            add(HealthIssue::Demoted);
        }
        let SeriesOverflow { beyond_cap, invalid, ref first_problem } = table.described.overflow;
        if beyond_cap + invalid > 0 {
            add(HealthIssue::FiguresRefused { beyond_cap, invalid, first_problem: first_problem.clone() });
        }
    }

    /// Gives up the entry's series; the sampler forgets it.
    pub(super) fn retire(&self) {
        self.registered.store(false, Ordering::Relaxed);
        self.shared.claims.lock().release(self.key);
    }

    fn state(&self, table: &Table, now: Instant) -> MonitorState {
        let Some(ran_at) = table.ran_at else { return MonitorState::Waiting };
        let age = now.saturating_duration_since(ran_at);
        let due = match self.declared {
            Cadence::Every(interval) => interval,
            Cadence::EachUpdate if self.is_sampled() => self.shared.config.demoted_cadence,
            Cadence::EachUpdate => Duration::ZERO,
        };
        match &table.failure {
            Some(_) => MonitorState::Failed,
            None if age > due.saturating_add(self.shared.config.stale_after) => MonitorState::Stale(age),
            None => MonitorState::Fresh(age),
        }
    }

    /// Decides where the next run happens.
    fn place(&self, run: &mut Run, spent: Duration, panicked: bool) {
        if self.declared != Cadence::EachUpdate {
            return;
        }
        let over = spent > self.shared.config.monitor_budget;
        run.runs_in_window += 1;
        run.strikes += u32::from(over);
        if self.is_sampled() {
            if over || panicked {
                run.runs_in_window = 0;
            } else if run.runs_in_window >= CLEAN_RUNS {
                (run.strikes, run.runs_in_window) = (0, 0);
                self.sampled.store(false, Ordering::Relaxed);
            }
        } else if panicked
            || run.strikes >= STRIKES
            || spent > self.shared.config.monitor_budget.saturating_mul(STALL_FACTOR)
        {
            run.runs_in_window = 0;
            self.sampled.store(true, Ordering::Relaxed);
            self.shared.demotions.fetch_add(1, Ordering::Relaxed);
            warning!("monitor {} took {spent:?} or panicked and runs on the sampler thread from now on", self.id);
        } else if run.runs_in_window >= STRIKE_WINDOW {
            (run.strikes, run.runs_in_window) = (0, 0);
        }
    }

    fn publish(&self, run: &mut Run, at: Instant, result: Result<ResourceUsageReport, String>) {
        let mut guard = self.table.lock();
        let table = &mut *guard;
        let mut new_failure = None;
        table.take_over(run.described.take());
        let Table { described: Described { places, .. }, values, .. } = table;
        let own = places.len();
        match result {
            Ok(usage) => {
                for (value, place) in values.iter_mut().zip(&**places) {
                    *value = place.and_then(|place| run.values.get(place).copied().flatten());
                }
                table.usage = usage;
                table.failure = None;
            }
            Err(message) => {
                if table.failure.is_none() {
                    new_failure = Some(message.clone());
                }
                values[..own].fill(None);
                table.usage = ResourceUsageReport::default();
                table.failure = Some(message);
            }
        }
        let implicit: [Option<Value>; IMPLICIT] = [
            table.usage.current_bytes.map(Value::U64),
            table.usage.peak_bytes.map(Value::U64),
            table.usage.total_capacity_bytes.map(Value::U64),
            Some(Value::U64(u64::from(table.failure.is_none()))),
            Some(Value::U64(u64::from(self.is_sampled()))),
            Some(Value::F64(run.spent.as_secs_f64())),
            Some(Value::U64(run.runs)),
            Some(Value::U64(run.failures)),
        ];
        values[own..].copy_from_slice(&implicit);
        table.ran_at = Some(at);
        let percent = table.usage.usage_percent();
        // Whoever takes the warnings may read the table.
        drop(guard);
        if let Some(message) = new_failure {
            warning!("monitor {} panicked: {message}", self.id);
        }
        let threshold = self.shared.config.usage_warning_percent;
        let high = percent.is_some_and(|percent| percent > threshold);
        if high && !run.warned {
            warning!("monitor {} at {:.1} % of its capacity", self.id, percent.unwrap_or_default());
        }
        // Usage that wavers around the threshold is told once.
        run.warned = high || (run.warned && percent.is_some_and(|percent| percent > threshold - HYSTERESIS_PERCENT));
    }

    /// Asks the monitor for its figures and makes room for them.
    fn describe(&self, run: &mut Run) {
        let mut series = Series::with_cap(self.shared.config.figures_per_monitor);
        let described = guarded(|| {
            run.revision = self.monitor.description_revision();
            self.monitor.describe(&mut series);
        });
        let (described_figures, mut overflow) = series.finish();
        if let Err(message) = described {
            overflow.invalid += 1;
            overflow.first_problem = Some(format!("describe() panicked: {message}"));
        }
        let mut figures = Vec::new();
        let mut places = Vec::new();
        let mut next_place = 0;
        let mut taken = self.shared.claims.lock();
        if !self.is_registered() {
            // Its series have been given up while it ran: they may be another's by now.
            return;
        }
        taken.release(self.key);
        for figure in described_figures {
            let is_histogram = matches!(figure, Some(Figure { kind: FigureKind::Histogram(_), .. }));
            let place = (!is_histogram).then_some(next_place);
            next_place += usize::from(!is_histogram);
            let Some(mut figure) = figure else { continue };
            match taken.claim(&mut figure, self.key, &self.id) {
                Ok(()) => {
                    figures.push(figure);
                    places.push(place);
                }
                Err(problem) => {
                    overflow.invalid += 1;
                    overflow.first_problem.get_or_insert(problem);
                }
            }
        }
        drop(taken);
        let refused = overflow.beyond_cap + overflow.invalid;
        self.shared.figures_refused.fetch_add(refused, Ordering::Relaxed);
        if refused > 0 {
            warning!(
                "monitor {}: {refused} figures were refused; first problem: {:?}",
                self.id,
                overflow.first_problem
            );
        }
        run.values = vec![None; next_place];
        figures.extend(implicit_figures(&self.id));
        run.described = Some(Described { figures: figures.into(), places: places.into(), overflow });
    }
}

impl Table {
    /// Makes room for the figures of a new description, if there is one.
    fn take_over(&mut self, described: Option<Described>) {
        if let Some(described) = described {
            self.values = vec![None; described.figures.len()];
            self.described = described;
        }
    }
}

/// Figures that every monitor has without its doing.
const IMPLICIT: usize = 8;

fn implicit_figures(id: &str) -> [Figure; IMPLICIT] {
    use FigureKind::{Counter, Gauge};
    [
        ("vitals_monitor_usage_bytes", "Bytes in use, as the monitor's usage report has it.", Unit::Bytes, Gauge),
        (
            "vitals_monitor_peak_bytes",
            "The most bytes in use at once, as the monitor's usage report has it.",
            Unit::Bytes,
            Gauge,
        ),
        (
            "vitals_monitor_capacity_bytes",
            "Bytes that there are to use, as the monitor's usage report has it.",
            Unit::Bytes,
            Gauge,
        ),
        (
            "vitals_monitor_success",
            "1 when the monitor's last run ended well and is not stale, else 0.",
            Unit::Count,
            Gauge,
        ),
        (
            "vitals_monitor_sampled",
            "1 when the monitor runs on the sampler thread, 0 when it runs in each update.",
            Unit::Count,
            Gauge,
        ),
        ("vitals_monitor_update_seconds_total", "Time spent in the monitor's runs.", Unit::Seconds, Counter),
        ("vitals_monitor_updates_total", "Runs of the monitor.", Unit::Count, Counter),
        ("vitals_monitor_failures_total", "Runs of the monitor that ended in a panic.", Unit::Count, Counter),
    ]
    .map(|(name, help, unit, kind)| Figure {
        name: Cow::Borrowed(name),
        help: Cow::Borrowed(help),
        unit,
        kind,
        labels: vec![(Cow::Borrowed("monitor"), Cow::Owned(id.to_owned()))],
    })
}

/// Runs a monitor's code and turns a panic into its message.
pub(super) fn guarded<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| panic_message(&*payload))
}

/// The same with what it allocates charged to a tag.
pub(super) fn guarded_under<R>(tag: HeapTag, run: impl FnOnce() -> R) -> Result<R, String> {
    guarded(|| {
        let _theirs = tag.enter();
        run()
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let message =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    message.map_or_else(|| "a panic without a message".to_owned(), |message| message.chars().take(500).collect())
}
