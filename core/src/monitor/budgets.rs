//! The soft budgets of a tracker, and the times that a device's memory ran out.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::analysis::{OutOfMemory, Trend};
use crate::contract::{MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit};
use crate::log::warning;
use crate::probe::{BudgetCalls, BudgetScope, BudgetStatus};
use crate::tracker::Tracker;

/// How far the samples of the trend lie apart.
const WINDOW: Duration = Duration::from_secs(1);
/// Shortages of memory that are kept.
const KEPT: usize = 16;

/// Reports the soft budgets of a [`Tracker`], how each stands and when it will be exhausted at the present pace; and keeps what there was when a
/// device's memory ran out.
///
/// Its usage report gives the bytes used of the process's budget, their peak since it was set, and the budget as capacity; it is empty without
/// such a budget. A budget's figures are absent while it is lifted.
#[derive(Debug)]
pub struct BudgetMonitor {
    id: Cow<'static, str>,
    tracker: Arc<Tracker>,
    state: Mutex<State>,
    shortages: Mutex<Shortages>,
}

/// A soft budget, how it stands, and where that leads.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct BudgetReport {
    /// The budget as it stands.
    pub status: BudgetStatus,
    /// Bytes that its use gains in a second: the repeated median of its slopes over the last 23 seconds. `None` while too little was seen.
    pub bytes_per_second: Option<f64>,
    /// Time until it is exhausted at this pace; zero if it is. `None` while its use does not grow.
    pub time_to_exhaustion: Option<Duration>,
}

#[derive(Debug, Default)]
struct State {
    statuses: Vec<BudgetStatus>,
    calls: BudgetCalls,
    /// In the order of their appearance, which is that of the described figures.
    appeared: Vec<(BudgetScope, Trend)>,
}

#[derive(Debug, Default)]
struct Shortages {
    kept: VecDeque<Arc<OutOfMemory>>,
    total: u64,
}

impl BudgetMonitor {
    /// A monitor of this tracker, with this name.
    #[must_use]
    pub fn new(tracker: Arc<Tracker>, id: impl Into<Cow<'static, str>>) -> Self {
        Self { id: id.into(), tracker, state: Mutex::default(), shortages: Mutex::default() }
    }

    /// The soft budgets now, with the trend of the last update. The process's comes first.
    #[must_use]
    pub fn budgets(&self) -> Vec<BudgetReport> {
        let statuses = self.tracker.soft_budgets();
        let state = self.state.lock();
        statuses.into_iter().map(|status| state.report(status)).collect()
    }

    /// Keeps what there was when memory ran out, and tells of it in the log.
    pub fn ran_out(&self, moment: OutOfMemory) {
        warning!("{}", moment.summary());
        let mut shortages = self.shortages.lock();
        shortages.total += 1;
        if shortages.kept.len() >= KEPT {
            shortages.kept.pop_front();
        }
        shortages.kept.push_back(Arc::new(moment));
    }

    /// The last 16 times that memory ran out, the last one at the end.
    #[must_use]
    pub fn out_of_memory(&self) -> Vec<Arc<OutOfMemory>> {
        self.shortages.lock().kept.iter().cloned().collect()
    }

    /// How often memory ran out.
    #[must_use]
    pub fn out_of_memory_count(&self) -> u64 {
        self.shortages.lock().total
    }
}

impl State {
    fn read(&mut self, tracker: &Tracker) {
        tracker.read_soft_budgets(&mut self.statuses);
        self.calls = tracker.budget_calls();
        let time = tracker.clock().now();
        for status in &self.statuses {
            let scope = status.budget.scope;
            let known = self.appeared.iter().position(|(known, _)| *known == scope);
            let place = known.unwrap_or_else(|| {
                self.appeared.push((scope, Trend::new(WINDOW)));
                self.appeared.len() - 1
            });
            if let Some((_, trend)) = self.appeared.get_mut(place) {
                trend.sample(time, status.used_bytes);
            }
        }
    }

    fn report(&self, status: BudgetStatus) -> BudgetReport {
        let trend = self.appeared.iter().find(|(scope, _)| *scope == status.budget.scope).map(|(_, trend)| trend);
        BudgetReport {
            status,
            bytes_per_second: trend.and_then(Trend::per_second),
            time_to_exhaustion: trend.and_then(|trend| trend.time_to(status.budget.bytes, status.used_bytes)),
        }
    }
}

impl ResourceMonitor for BudgetMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Vram
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        let state = self.state.lock();
        let process = state.statuses.iter().find(|status| status.budget.scope == BudgetScope::Process);
        process.map_or_else(ResourceUsageReport::default, |status| {
            ResourceUsageReport::new(Some(status.used_bytes), Some(status.peak_bytes), Some(status.budget.bytes))
        })
    }

    fn update(&self) {
        self.state.lock().read(&self.tracker);
    }

    fn description_revision(&self) -> u64 {
        self.state.lock().appeared.len() as u64
    }

    fn describe(&self, series: &mut Series) {
        series.counter(
            "vitals_gpu_out_of_memory_total",
            Unit::Count,
            "Errors of wgpu that a device's memory had run out, as far as the instrumentation has seen them",
        );
        series.counter(
            "vitals_soft_budget_calls_total",
            Unit::Count,
            "Times that the program was called before a soft budget would be exceeded",
        );
        series.counter("vitals_soft_budget_call_panics_total", Unit::Count, "Of these, calls that ended in a panic");
        for (scope, _) in &self.state.lock().appeared {
            series
                .gauge(
                    "vitals_soft_budget_bytes",
                    Unit::Bytes,
                    "Bytes of GPU memory that the program wants to stay within",
                )
                .label("budget", scope.name());
            series
                .gauge(
                    "vitals_soft_budget_used_bytes",
                    Unit::Bytes,
                    "Bytes of tracked resources held against a soft budget, live and pending release",
                )
                .label("budget", scope.name());
            series
                .gauge(
                    "vitals_soft_budget_exhaustion_seconds",
                    Unit::Seconds,
                    "Estimated time until a soft budget is exhausted at the pace of the last 23 seconds; absent while its use does not grow",
                )
                .label("budget", scope.name());
            series
                .counter("vitals_soft_budget_crossings_total", Unit::Count, "Times that a budget was crossed, upwards")
                .label("budget", scope.name());
        }
    }

    fn record(&self, row: &mut Row<'_>) {
        let total = self.shortages.lock().total;
        let state = self.state.lock();
        row.push(total).push(state.calls.calls).push(state.calls.panics);
        for (scope, _) in &state.appeared {
            let Some(&status) = state.statuses.iter().find(|status| status.budget.scope == *scope) else {
                row.skip(4);
                continue;
            };
            row.push(status.budget.bytes)
                .push(status.used_bytes)
                .push(state.report(status).time_to_exhaustion)
                .push(status.crossings);
        }
    }
}
