//! The soft budgets of a tracker, and the times that a device's memory ran out.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::analysis::{Later, OutOfMemory, Trend};
use crate::contract::{MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit};
use crate::log::warning;
use crate::probe::{BudgetCalls, BudgetScope, BudgetStatus, Shortage, Timestamp};
use crate::tracker::Tracker;

/// How far the samples of the trend lie apart.
const WINDOW: Duration = Duration::from_secs(1);
/// Shortages of memory that are kept.
const KEPT: usize = 16;
/// How long after a shortage that was looked at others are only counted: looking takes as long as there are resources.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
    /// When what there is was last looked at.
    looked: Option<Timestamp>,
    /// Those since, as far as the moment of that look does not have them.
    later: Later,
}

impl Shortages {
    /// One more. `true` if it is to be looked at.
    fn looks(&mut self, now: Timestamp, shortage: &Shortage) -> bool {
        self.total += 1;
        // A look lasts, so that another thread may have a later time already.
        let rests = self.looked.is_some_and(|looked| now.since(looked).is_none_or(|since| since < LOOK_AGAIN));
        if rests {
            self.later.add(shortage.clone());
        } else {
            self.hand_over();
            self.looked = Some(now);
        }
        !rests
    }

    fn keep(&mut self, moment: OutOfMemory) {
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Arc::new(moment));
    }

    /// Gives the last moment those that came after it. Until a look has ended they wait.
    fn hand_over(&mut self) {
        if self.later.count > 0
            && let Some(moment) = self.kept.back_mut()
            && Some(moment.at) >= self.looked
        {
            Arc::make_mut(moment).later.append(std::mem::take(&mut self.later));
        }
    }
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

    /// Memory has run out: counts it, keeps what there is now ([`OutOfMemory::take`]), and tells of it in the log. Within a second after that,
    /// by the tracker's clock, others are only counted ([`OutOfMemory::later`]): a program that tries and falls back in each frame does not
    /// pay for a look at every resource each time.
    ///
    /// `allocator`: bytes that the graphics library's allocator had given out and had taken from the driver; called if they are wanted.
    pub fn ran_out(&self, shortage: &Shortage, allocator: impl FnOnce() -> (Option<u64>, Option<u64>)) {
        if !self.shortages.lock().looks(self.tracker.clock().now(), shortage) {
            return;
        }
        let (allocated, reserved) = allocator();
        let moment = OutOfMemory::take(&self.tracker, shortage.clone()).with_allocator(allocated, reserved);
        warning!("{}", moment.summary());
        self.shortages.lock().keep(moment);
    }

    /// The last 16 times that memory ran out, a second apart at least, the last one at the end. Each has the number of those
    /// [within a second](OutOfMemory::later) after it.
    #[must_use]
    pub fn out_of_memory(&self) -> Vec<Arc<OutOfMemory>> {
        let mut shortages = self.shortages.lock();
        shortages.hand_over();
        shortages.kept.iter().cloned().collect()
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

#[cfg(all(test, feature = "telemetry"))]
mod tests {
    use super::*;
    use crate::probe::{Clock, New, ResourceKind};

    #[test]
    fn memory_that_runs_out_in_each_frame_is_looked_at_once_a_second() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1));
        let tracker = Arc::new(Tracker::builder().clock(clock).build());
        let monitor = BudgetMonitor::new(Arc::clone(&tracker), "budgets");
        let held = tracker.probe().create(New::texture(7_000).label("atlas"));
        let mut looks = 0;
        let mut frame = |n: u64| {
            let shortage = Shortage::new("Out of Memory").creating(ResourceKind::TEXTURE, 100 + n);
            monitor.ran_out(&shortage.label(Some(format!("tile {n}"))), || {
                looks += 1;
                (Some(n), None)
            });
            hand.advance(Duration::from_millis(100));
        };
        (0..10).for_each(&mut frame);
        let first = monitor.out_of_memory();
        assert_eq!((first.len(), monitor.out_of_memory_count()), (1, 10));
        assert_eq!((first[0].labels[0].name.as_str(), first[0].allocated_bytes), ("atlas", Some(0)));
        let later = &first[0].later;
        assert_eq!((later.count, later.requested_bytes), (9, (101..110).sum()));
        assert_eq!(later.last.as_ref().and_then(|last| last.label.as_deref()), Some("tile 9"));
        assert!(first[0].to_string().contains("9 more times"), "{}", first[0]);
        // A second after the first.
        (10..12).for_each(&mut frame);
        let moments = monitor.out_of_memory();
        let counts: Vec<_> = moments.iter().map(|moment| (moment.allocated_bytes, moment.later.count)).collect();
        assert_eq!(counts, [(Some(0), 9), (Some(10), 1)]);
        // They are told whether somebody has asked meanwhile or not.
        (12..30).for_each(&mut frame);
        let counts: Vec<_> = monitor.out_of_memory().iter().map(|moment| moment.later.count).collect();
        assert_eq!(counts, [9, 9, 9]);
        assert_eq!((looks, monitor.out_of_memory_count()), (3, 30));
        assert_eq!(moments[1].later.count, 1, "what was handed out stays as it is");
        drop(held);
    }

    #[test]
    fn what_runs_out_during_a_look_is_told_with_it() {
        let tracker = Tracker::new();
        let monitor = BudgetMonitor::new(Arc::new(tracker), "budgets");
        let shortage = Shortage::new("Out of Memory");
        monitor.ran_out(&shortage, || {
            monitor.ran_out(&shortage, || unreachable!("within a second"));
            assert!(monitor.out_of_memory().is_empty());
            (None, None)
        });
        let moments = monitor.out_of_memory();
        assert_eq!((moments.len(), moments[0].later.count, monitor.out_of_memory_count()), (1, 1, 2));
    }
}
