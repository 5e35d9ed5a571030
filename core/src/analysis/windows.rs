//! The windows of a program's run (startup, steady state, shutdown), by steps over exact counters.

use std::sync::Arc;

use super::churn::{Churn, Rules, StableSearch, Storms};
use crate::probe::{Counts, OwnerKind, ResourceKind, Timestamp};
use crate::tracker::{Burst, LifeRecord, Lifetimes, Lives, OwnerTotals, PacketTotals, SubmissionTotals, Totals};

/// A stretch of a program's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Window {
    /// From the tracker's start to the end of the first stable window of presented packets.
    #[cfg_attr(feature = "telemetry", serde(rename = "StartupWindow"))]
    Startup,
    /// From there to the begin of the shutdown.
    #[cfg_attr(feature = "telemetry", serde(rename = "SteadyStateWindow"))]
    SteadyState,
    /// From the begin of the shutdown to the end of the measuring.
    #[cfg_attr(feature = "telemetry", serde(rename = "ShutdownWindow"))]
    Shutdown,
}

impl Window {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Startup, Self::SteadyState, Self::Shutdown];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "StartupWindow",
            Self::SteadyState => "SteadyStateWindow",
            Self::Shutdown => "ShutdownWindow",
        }
    }

    /// The value of the label `window`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::SteadyState => "steady_state",
            Self::Shutdown => "shutdown",
        }
    }
}

/// How the startup window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StartupEnd {
    /// So many presented packets in a row had a churn ratio within the threshold.
    Stable,
    /// They did not for so long that the report no longer waits.
    NotStable,
    /// The shutdown began first.
    Shutdown,
}

/// The counters that a step looks at, all read at about one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation {
    /// When.
    pub time: Timestamp,
    /// Packets of all lanes.
    pub packets: PacketTotals,
    /// Submissions of all queues.
    pub submissions: SubmissionTotals,
    /// Resources of every kind.
    pub all: Churn,
    /// Without the kinds that every frame makes by its nature: what churn is counted of.
    pub counted: Churn,
    /// Of the kinds that are followed one by one: queues, targets, surfaces, devices.
    pub followed: Churn,
}

impl Observation {
    /// What a step needs of the totals, with the tracker's passing and followed kinds. Allocates nothing.
    #[must_use]
    pub fn of(totals: &Totals, passing: &[ResourceKind], followed: &[ResourceKind]) -> Self {
        let churn_of = |kinds: &[ResourceKind]| {
            kinds.iter().fold(Churn::default(), |sum, &kind| add(sum, counts_of(totals, kind)))
        };
        let all = totals.kinds().fold(Churn::default(), |sum, (_, kind)| add(add(sum, kind.device), kind.within));
        Self {
            time: totals.time,
            packets: totals.packets(),
            submissions: totals.submissions,
            all,
            counted: all.since(churn_of(passing)),
            followed: churn_of(followed),
        }
    }
}

/// One kind's counts, suballocations included.
fn counts_of(totals: &Totals, kind: ResourceKind) -> Counts {
    let kind = totals.kind(kind);
    let mut counts = kind.device;
    counts += kind.within;
    counts
}

fn add(sum: Churn, counts: Counts) -> Churn {
    Churn::new(sum.created + counts.created, sum.destroyed + counts.released)
}

/// All counters at one end of a window.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Edge {
    /// What the step saw.
    pub observation: Observation,
    /// Of each resource kind, suballocations included.
    pub kinds: Vec<(ResourceKind, Counts)>,
    /// Of each owner kind, suballocations included.
    pub owner_kinds: Vec<(OwnerKind, Counts)>,
    /// Of each owner.
    pub owners: Vec<OwnerTotals>,
    /// Lifetimes of all that was released.
    pub lifetimes: Lifetimes,
    /// Lives of followed kinds that had ended, kept or not.
    pub lives: u64,
    /// The tenth of a second in which the edge lies, as far as it had come.
    pub running: Option<Burst>,
}

/// All counters and records at one moment: read when a window ends or a report is asked for, and only then.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Detail {
    /// The counters.
    pub edge: Edge,
    /// The ends of followed kinds' lives.
    pub lives: Lives,
    /// What was created and released by the tenth of a second.
    pub bursts: Vec<Burst>,
}

impl Detail {
    /// A detail of these answers of a tracker.
    #[must_use]
    pub fn of(
        observation: Observation,
        totals: &Totals,
        owners: Vec<OwnerTotals>,
        lives: Lives,
        bursts: Vec<Burst>,
    ) -> Self {
        let owner_kind = |kind| {
            let totals = totals.owner_kind(kind);
            let mut counts = totals.device;
            counts += totals.within;
            counts
        };
        let running = bursts
            .last()
            .copied()
            .filter(|last| observation.time.since(last.from).is_none_or(|passed| passed < Burst::SPAN));
        // Ended by another thread after the counters were read: they are the next window's.
        let later = lives.ended.iter().rev().take_while(|life| life.released > observation.time).count();
        let edge = Edge {
            observation,
            kinds: totals.kinds().map(|(kind, _)| (kind, counts_of(totals, kind))).collect(),
            owner_kinds: totals.owner_kinds().map(|(kind, _)| (kind, owner_kind(kind))).collect(),
            owners,
            lifetimes: totals.lifetimes.clone(),
            lives: lives.missed + (lives.ended.len() - later) as u64,
            running,
        };
        Self { edge, lives, bursts }
    }
}

/// A window between two edges, with what was written down in it.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) window: Window,
    pub(super) begin: Arc<Edge>,
    pub(super) end: Arc<Edge>,
    /// Lives of followed kinds that ended in it, and how many more there were.
    pub(super) lives: Vec<LifeRecord>,
    pub(super) lives_missed: u64,
    /// Its tenths of a second; the first and the last may be shared with its neighbours, but what they count is not.
    pub(super) bursts: Vec<Burst>,
    /// It has not ended.
    pub(super) open: bool,
}

impl Span {
    fn between(window: Window, begin: Arc<Edge>, end: Detail, open: bool) -> Self {
        let Detail { edge: end, lives, bursts } = end;
        let place = |edge: &Edge| usize::try_from(edge.lives.saturating_sub(lives.missed)).unwrap_or(usize::MAX);
        let (from, until) = (place(&begin), place(&end));
        let lives: Vec<_> = lives.ended.into_iter().take(until).skip(from).collect();
        let lives_missed = (end.lives - begin.lives.min(end.lives)).saturating_sub(lives.len() as u64);
        let bursts = bursts_since(begin.running, begin.observation.time, bursts);
        Self { window, begin, end: Arc::new(end), lives, lives_missed, bursts, open }
    }

    /// What the step counters gained from its begin to its end.
    pub(super) fn counted(&self) -> Churn {
        self.end.observation.counted.since(self.begin.observation.counted)
    }

    pub(super) fn presented(&self) -> u64 {
        self.end.observation.packets.presented - self.begin.observation.packets.presented
    }
}

/// The tenths of a second after that moment, without what the one under way then had counted already.
fn bursts_since(running: Option<Burst>, time: Timestamp, bursts: Vec<Burst>) -> Vec<Burst> {
    let after = |burst: &Burst| match running {
        Some(running) => running.from <= burst.from,
        None => time.since(burst.from).is_none_or(|passed| passed < Burst::SPAN),
    };
    let mut bursts: Vec<_> = bursts.into_iter().filter(after).collect();
    if let (Some(first), Some(running)) = (bursts.first_mut(), running)
        && first.from == running.from
    {
        first.created -= running.created.min(first.created);
        first.released -= running.released.min(first.released);
    }
    bursts.retain(|burst| burst.created > 0 || burst.released > 0);
    bursts
}

/// Follows a program through its windows.
///
/// All figures of a window are differences of exact counters between the two steps that it lies between. A step costs some
/// nanoseconds and allocates nothing but when a window ends.
#[derive(Debug)]
pub struct Analyzer {
    rules: Rules,
    began: Timestamp,
    search: StableSearch,
    storms: Storms,
    /// The window under way; `None` after the end.
    window: Option<Window>,
    begin: Arc<Edge>,
    now: Observation,
    spans: Vec<Arc<Span>>,
    startup: Option<Startup>,
}

/// How the startup ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Startup {
    pub(super) end: StartupEnd,
    pub(super) presented_before_stable: Option<u64>,
    /// Bursts in it, by the rules.
    pub(super) bursts: u64,
}

impl Analyzer {
    /// Follows a tracker that began at this time.
    #[must_use]
    pub fn new(rules: Rules, began: Timestamp) -> Self {
        let begin = Edge { observation: Observation { time: began, ..Observation::default() }, ..Edge::default() };
        Self {
            search: StableSearch::new(&rules),
            storms: Storms::new(&rules, began),
            rules,
            began,
            window: Some(Window::Startup),
            now: begin.observation,
            begin: Arc::new(begin),
            spans: Vec::new(),
            startup: None,
        }
    }

    /// What the figures are judged by.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The next step. `detail` is called if the startup ends here, of which the answer tells.
    pub fn step(&mut self, now: &Observation, detail: impl FnOnce() -> Detail) -> Option<StartupEnd> {
        self.now = *now;
        self.storms.step(now.time, now.followed);
        if self.window != Some(Window::Startup) {
            return None;
        }
        let presented_before_stable = self.search.step(now.packets.presented, now.counted.total());
        let end = match presented_before_stable {
            Some(_) => StartupEnd::Stable,
            None if self.gives_up() => StartupEnd::NotStable,
            None => return None,
        };
        self.end_startup(end, presented_before_stable, detail());
        self.window = Some(Window::SteadyState);
        Some(end)
    }

    /// The shutdown begins: what was under way has ended. The first call counts, and tells whether it is the first.
    pub fn shutdown(&mut self, detail: impl FnOnce() -> Detail) -> bool {
        let Some(window @ (Window::Startup | Window::SteadyState)) = self.window else { return false };
        let detail = detail();
        self.now = detail.edge.observation;
        if window == Window::Startup {
            self.end_startup(StartupEnd::Shutdown, None, detail);
        } else {
            self.close(window, detail);
        }
        self.window = Some(Window::Shutdown);
        true
    }

    /// The measuring ends. Begins and ends the shutdown if it had not begun.
    pub fn end(&mut self, mut detail: impl FnMut() -> Detail) {
        self.shutdown(&mut detail);
        if let Some(window) = self.window.take() {
            self.close(window, detail());
        }
    }

    /// The window under way; `None` after the end.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// The churn ratio of a window: of the whole of it, or up to the last step. `None` when it has not begun, and when no packet was
    /// presented in it.
    #[must_use]
    pub fn churn_ratio(&self, window: Window) -> Option<f64> {
        if self.window == Some(window) {
            let (begin, now) = (&self.begin.observation, &self.now);
            return now.counted.since(begin.counted).ratio(now.packets.presented - begin.packets.presented);
        }
        let span = self.spans.iter().find(|span| span.window == window)?;
        span.counted().ratio(span.presented())
    }

    /// Time from the tracker's start to the end of the first stable window; `None` until then, and when there was none.
    #[must_use]
    pub fn stabilization(&self) -> Option<std::time::Duration> {
        self.startup.filter(|startup| startup.end == StartupEnd::Stable)?;
        self.spans.first()?.end.observation.time.since(self.began)
    }

    /// Startup bursts; `None` until the startup has ended.
    #[must_use]
    pub fn startup_bursts(&self) -> Option<u64> {
        Some(self.startup?.bursts)
    }

    /// Recreate storms up to the last step.
    #[must_use]
    pub fn recreate_storms(&self) -> u64 {
        self.storms.total()
    }

    pub(super) fn began(&self) -> Timestamp {
        self.began
    }

    pub(super) fn startup(&self) -> Option<Startup> {
        self.startup
    }

    /// The startup as it ended, or as it stands at `now`.
    pub(super) fn startup_span(&self, now: &Detail) -> Arc<Span> {
        let ended = self.spans.first().cloned();
        ended.unwrap_or_else(|| self.open_span(Window::Startup, now))
    }

    /// A later window as it ended, or as it stands at `now`; `None` if it has not begun.
    pub(super) fn span(&self, window: Window, now: &Detail) -> Option<Arc<Span>> {
        let ended = self.spans.iter().find(|span| span.window == window).cloned();
        ended.or_else(|| (self.window == Some(window)).then(|| self.open_span(window, now)))
    }

    fn open_span(&self, window: Window, now: &Detail) -> Arc<Span> {
        Arc::new(Span::between(window, Arc::clone(&self.begin), now.clone(), true))
    }

    fn gives_up(&self) -> bool {
        let PacketTotals { presented, dropped, no_op, failed, .. } = self.now.packets;
        presented + dropped + no_op + failed >= self.rules.give_up_packets
            && self.now.time.since(self.began).is_some_and(|passed| passed >= self.rules.give_up_time)
    }

    fn end_startup(&mut self, end: StartupEnd, presented_before_stable: Option<u64>, detail: Detail) {
        self.close(Window::Startup, detail);
        let bursts = self.spans.last().map_or(0, |span| {
            span.bursts.iter().filter(|burst| burst.released >= self.rules.burst.max(1)).count() as u64
        });
        self.startup = Some(Startup { end, presented_before_stable, bursts });
    }

    fn close(&mut self, window: Window, detail: Detail) {
        let span = Span::between(window, Arc::clone(&self.begin), detail, false);
        self.begin = Arc::clone(&span.end);
        self.spans.push(Arc::new(span));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_nanos(millis * 1_000_000)
    }

    fn observation(millis: u64, presented: u64, created: u64, destroyed: u64) -> Observation {
        let packets = PacketTotals { queued: presented, presented, ..PacketTotals::default() };
        let counted = Churn::new(created, destroyed);
        Observation { time: at(millis), packets, all: counted, counted, ..Observation::default() }
    }

    fn detail(observation: Observation) -> Detail {
        Detail { edge: Edge { observation, ..Edge::default() }, ..Detail::default() }
    }

    fn analyzer(stable_packets: u32) -> Analyzer {
        Analyzer::new(Rules { stable_packets, ..Rules::default() }, at(0))
    }

    #[test]
    fn each_window_has_what_came_between_its_own_ends() {
        let mut analyzer = analyzer(2);
        // Ten made and four destroyed before and within the first packet; then one for each packet.
        let steps = [(10, 1, 10, 4), (20, 2, 11, 4), (30, 3, 11, 5), (40, 4, 12, 5)];
        let mut ended = Vec::new();
        for (millis, presented, created, destroyed) in steps {
            let now = observation(millis, presented, created, destroyed);
            ended.push(analyzer.step(&now, || detail(now)));
        }
        // Over packets 2 and 3 there were two: the ratio is 1.
        assert_eq!(ended, [None, None, Some(StartupEnd::Stable), None]);
        assert_eq!(analyzer.stabilization(), Some(Duration::from_millis(30)));
        assert_eq!(analyzer.startup().and_then(|startup| startup.presented_before_stable), Some(1));
        assert_eq!(analyzer.churn_ratio(Window::Startup), Some(16.0 / 3.0));
        assert_eq!(analyzer.churn_ratio(Window::SteadyState), Some(1.0));
        assert_eq!(analyzer.churn_ratio(Window::Shutdown), None);

        let now = observation(50, 5, 12, 5);
        assert!(analyzer.shutdown(|| detail(now)));
        assert!(!analyzer.shutdown(|| unreachable!()), "the first counts");
        let end = observation(60, 6, 12, 12);
        analyzer.end(|| detail(end));
        assert_eq!(analyzer.window(), None);
        analyzer.end(|| unreachable!());
        assert_eq!(analyzer.churn_ratio(Window::SteadyState), Some(0.5));
        assert_eq!(analyzer.churn_ratio(Window::Shutdown), Some(7.0), "the teardown is the shutdown's alone");
        assert_eq!(analyzer.churn_ratio(Window::Startup), Some(16.0 / 3.0));
    }

    #[test]
    fn one_that_never_calms_down_is_given_up_after_both_limits() {
        let rules = Rules { give_up_packets: 3, give_up_time: Duration::from_millis(100), ..Rules::default() };
        for (times, expected) in [([90, 99, 100], [None, None, Some(StartupEnd::NotStable)]), ([1, 2, 99], [None; 3])] {
            let mut analyzer = Analyzer::new(rules.clone(), at(0));
            let ended = [1, 2, 3].map(|presented| {
                let now = observation(times[presented as usize - 1], presented, presented * 100, 0);
                analyzer.step(&now, || detail(now))
            });
            assert_eq!(ended, expected);
            assert_eq!(analyzer.stabilization(), None);
        }
        let mut late = Analyzer::new(rules, at(0));
        let now = observation(500, 2, 100, 0);
        assert_eq!(late.step(&now, || unreachable!()), None, "too few packets");
        assert_eq!(late.startup_bursts(), None);
    }

    #[test]
    fn a_shutdown_before_stability_ends_the_startup() {
        let mut analyzer = analyzer(30);
        let now = observation(10, 1, 50, 2);
        assert_eq!(analyzer.step(&now, || unreachable!()), None);
        analyzer.end(|| detail(now));
        assert_eq!(analyzer.startup().map(|startup| startup.end), Some(StartupEnd::Shutdown));
        assert_eq!(analyzer.stabilization(), None);
        assert_eq!(analyzer.churn_ratio(Window::Startup), Some(52.0));
        assert_eq!(analyzer.churn_ratio(Window::SteadyState), None);
    }

    #[test]
    fn a_tenth_of_a_second_shared_by_two_windows_is_split_between_them() {
        let burst = |tenths: u64, created, released| Burst { from: at(tenths * 100), created, released };
        assert_eq!(bursts_since(None, at(250), vec![burst(1, 1, 1), burst(2, 1, 1)]), [burst(2, 1, 1)], "nothing yet");
        let mut first = detail(observation(250, 1, 0, 0));
        (first.bursts, first.edge.running) = (vec![burst(0, 5, 0), burst(2, 3, 20)], Some(burst(2, 3, 20)));
        let mut last = detail(observation(400, 1, 0, 0));
        last.bursts = vec![burst(0, 5, 0), burst(2, 3, 60), burst(3, 0, 7)];
        let mut analyzer = analyzer(1);
        analyzer.step(&first.edge.observation, || first.clone());
        assert_eq!(analyzer.startup_bursts(), Some(1), "20 of 16 and more");
        analyzer.end(|| last.clone());
        let shown: Vec<_> = analyzer.spans.iter().map(|span| span.bursts.clone()).collect();
        assert_eq!(shown[0], [burst(0, 5, 0), burst(2, 3, 20)]);
        assert_eq!(shown[1], [burst(2, 0, 40), burst(3, 0, 7)]);
        assert_eq!(shown[2], []);
    }
}
