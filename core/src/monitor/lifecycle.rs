//! The life of all tracked resources, with packets and submissions.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::guards::{self, GuardWatch};
use crate::analysis::guards::{Guard, GuardSettings, Warning};
use crate::analysis::{Analyzer, Answers, Detail, LifecycleTelemetry, Observation, Rules, Window, queue_reuse_ratio};
use crate::contract::{
    Histogram, KindUsage, LifecycleMonitor, LifecycleReport, MonitorRef, MonitoredResourceType, ResourceMonitor,
    ResourceUsageReport, Row, Series, Unit,
};
use crate::probe::{Counts, Level, OwnerKind, PacketResult, ResourceKind, Timestamp};
use crate::tracker::{KindTotals, Lifetimes, Totals, Tracker};

const RESULTS: [PacketResult; 4] =
    [PacketResult::Presented, PacketResult::Dropped, PacketResult::NoOp, PacketResult::Failed];

/// Reports what a [`Tracker`] counts: resources by kind and by owner kind, packets, submissions, and the tracker's own losses and memory.
/// Each update is a step of an [`Analyzer`], which finds the windows of the program's run and their churn; [`telemetry`](Self::telemetry)
/// is its report.
///
/// While the tracker's level is [`Level::Off`], what is made stays unknown: the report is `None` and the figures are absent.
///
/// Bytes leave suballocations out, so that none counts twice. A kind's series appear when the first of the kind is created. Its usage
/// report gives the live bytes and their peak; resources have no capacity of their own.
#[derive(Debug)]
pub struct LifecycleResourceMonitor {
    id: Cow<'static, str>,
    tracker: Arc<Tracker>,
    latency: Arc<Histogram>,
    lifetimes: Arc<Histogram>,
    events_lost: AtomicU64,
    state: Mutex<State>,
    /// Locked after the state, where both are.
    guards: Mutex<GuardWatch>,
    on_startup: Mutex<Option<OnStartup>>,
}

/// Who is told when the startup has ended.
struct OnStartup(Box<dyn FnOnce(&LifecycleTelemetry) + Send>);

impl std::fmt::Debug for OnStartup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnStartup")
    }
}

/// What the last update has read.
#[derive(Debug)]
struct State {
    /// Whether there is something to report.
    read: bool,
    totals: Totals,
    analyzer: Analyzer,
    /// Whether the analyzer has made a step.
    stepped: bool,
    passing: Vec<ResourceKind>,
    followed: Vec<ResourceKind>,
    /// When the pool candidates' bytes were read, and how many they were.
    candidates: Option<(Timestamp, u64)>,
    /// In the order of their appearance, which is that of the described figures: whoever updates the monitor between a description and
    /// the values for it adds to the end.
    appeared: Vec<Appeared>,
}

/// What has figures once the first of it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Appeared {
    Kind(ResourceKind),
    OwnerKind(OwnerKind),
}

/// How long the pool candidates' bytes stand before they are read again, which looks at what each thread has counted.
const CANDIDATES_STAND: Duration = Duration::from_secs(1);

impl LifecycleResourceMonitor {
    /// A monitor of this tracker, with this name. Churn is judged by the [`Rules`]' defaults.
    #[must_use]
    pub fn new(tracker: Arc<Tracker>, id: impl Into<Cow<'static, str>>) -> Self {
        Self::with_rules(tracker, id, Rules::default())
    }

    /// A monitor that judges churn by other rules.
    #[must_use]
    pub fn with_rules(tracker: Arc<Tracker>, id: impl Into<Cow<'static, str>>, rules: Rules) -> Self {
        let bounds = tracker.totals().lifetimes.buckets.map(|(bound, _)| bound);
        Self {
            id: id.into(),
            latency: Arc::new(Histogram::for_gpu_work()),
            lifetimes: Arc::new(Histogram::new(bounds)),
            events_lost: AtomicU64::new(0),
            state: Mutex::new(State {
                read: false,
                totals: Totals::default(),
                analyzer: Analyzer::new(rules, tracker.started()),
                stepped: false,
                passing: tracker.passing_kinds(),
                followed: tracker.followed_kinds(),
                candidates: None,
                appeared: Vec::new(),
            }),
            guards: Mutex::new(GuardWatch::new(GuardSettings::default())),
            on_startup: Mutex::default(),
            tracker,
        }
    }

    /// The same monitor with other thresholds of its guards than the defaults.
    #[must_use]
    pub fn with_guards(self, settings: GuardSettings) -> Self {
        Self { guards: Mutex::new(GuardWatch::new(settings)), ..self }
    }

    /// What the guards have warned of: the last 64 warnings, one for each guard and subject, the last raised at the end. The guards look
    /// at most once per window ([`GuardSettings::window`]), in [`update`](ResourceMonitor::update).
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.guards.lock().warnings()
    }

    /// Where the time from a submission to its completion is recorded, by whoever follows submissions.
    #[must_use]
    pub fn submission_latency(&self) -> Arc<Histogram> {
        Arc::clone(&self.latency)
    }

    /// Counts events that a reader of the tracker found overwritten.
    pub fn events_lost(&self, lost: u64) {
        self.events_lost.fetch_add(lost, Ordering::Relaxed);
    }

    /// The report of the life of the tracker's resources so far, window by window. `None` if nothing was ever tracked.
    ///
    /// It takes a snapshot: a tenth of a second for a million live resources, and some milliseconds for which an update waits.
    #[must_use]
    pub fn telemetry(&self) -> Option<LifecycleTelemetry> {
        let tracker = &self.tracker;
        let recent = self.state.lock().analyzer.rules().recent_packets;
        let mut answers = Answers {
            resources: tracker.snapshot().resources,
            packets: tracker.packets(recent),
            candidates: tracker.pool_candidates(),
            ..Answers::default()
        };
        let (report, startup_ended) = {
            let mut state = self.state.lock();
            let startup_ended = state.read(tracker);
            if !state.stepped {
                return None;
            }
            answers.detail = state.detail(tracker);
            answers.lanes.clone_from(&state.totals.lanes);
            answers.passing.clone_from(&state.passing);
            (state.analyzer.report(&answers, |owner| tracker.owner(owner)), startup_ended)
        };
        if startup_ended {
            // Whoever asked for the report has seen it first.
            self.tell_of(&report);
        }
        Some(report)
    }

    /// Tells `tell` once that the startup has ended, with the report as of then, from whatever thread makes the update, or asks for the
    /// report, that sees it first: it should hand on and return. The last one who asks is told; nobody is if the startup has ended already.
    pub fn on_startup(&self, tell: impl FnOnce(&LifecycleTelemetry) + Send + 'static) {
        *self.on_startup.lock() = Some(OnStartup(Box::new(tell)));
    }

    /// The program begins to shut down: what is destroyed from here on is no churn, but expected. The first call counts.
    pub fn begin_shutdown(&self) {
        self.to_the_end(false);
    }

    /// The measuring ends, and with it the shutdown.
    pub fn end(&self) {
        self.to_the_end(true);
    }

    fn to_the_end(&self, ends: bool) {
        let startup_ended = {
            let mut state = self.state.lock();
            let before = state.analyzer.window();
            state.read(&self.tracker);
            if !state.stepped {
                return;
            }
            let State { analyzer, totals, passing, followed, .. } = &mut *state;
            let observation = Observation::of(totals, passing, followed);
            let detail = || detail(&self.tracker, observation, totals);
            if ends {
                analyzer.end(detail);
            } else {
                analyzer.shutdown(detail);
            }
            before == Some(Window::Startup) && analyzer.window() != before
        };
        if startup_ended {
            self.tell();
        }
    }

    fn tell(&self) {
        if self.on_startup.lock().is_some()
            && let Some(report) = self.telemetry()
        {
            self.tell_of(&report);
        }
    }

    fn tell_of(&self, report: &LifecycleTelemetry) {
        let tell = self.on_startup.lock().take();
        if let Some(OnStartup(tell)) = tell {
            tell(report);
        }
    }
}

impl State {
    /// Reads all totals and makes a step. Allocates nothing but when lanes or kinds appear, or a window ends.
    fn read(&mut self, tracker: &Tracker) -> bool {
        tracker.read_totals(&mut self.totals);
        self.read = tracker.level() != Level::Off;
        if !self.read {
            return false;
        }
        self.appear();
        let time = self.totals.time;
        let stands = |(read, _): (Timestamp, u64)| time.since(read).is_some_and(|age| age < CANDIDATES_STAND);
        if !self.candidates.is_some_and(stands) {
            self.candidates = Some((time, tracker.pool_candidate_bytes()));
        }
        self.stepped = true;
        let Self { analyzer, totals, passing, followed, .. } = self;
        let observation = Observation::of(totals, passing, followed);
        analyzer.step(&observation, || detail(tracker, observation, totals)).is_some()
    }

    fn appear(&mut self) {
        let kinds = self.totals.kinds().map(|(kind, _)| Appeared::Kind(kind));
        for appeared in kinds.chain(self.totals.owner_kinds().map(|(kind, _)| Appeared::OwnerKind(kind))) {
            if !self.appeared.contains(&appeared) {
                self.appeared.push(appeared);
            }
        }
    }

    fn detail(&self, tracker: &Tracker) -> Detail {
        detail(tracker, Observation::of(&self.totals, &self.passing, &self.followed), &self.totals)
    }
}

/// What the tracker answers when a window ends or a report is asked for.
fn detail(tracker: &Tracker, observation: Observation, totals: &Totals) -> Detail {
    let mut owners = Vec::new();
    tracker.owner_totals(&mut owners);
    Detail::of(observation, totals, owners, tracker.lives(), tracker.bursts())
}

impl ResourceMonitor for LifecycleResourceMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Lifecycle
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        let state = self.state.lock();
        if !state.read {
            return ResourceUsageReport::default();
        }
        ResourceUsageReport::new(Some(state.totals.device().live_bytes()), Some(state.totals.peak_live_bytes()), None)
    }

    fn update(&self) {
        let (startup_ended, warnings) = {
            let mut state = self.state.lock();
            let startup_ended = state.read(&self.tracker);
            take_over(&self.lifetimes, &state.totals.lifetimes);
            (startup_ended, self.guards.lock().update(&self.tracker, &state.totals))
        };
        guards::tell(&warnings);
        if startup_ended {
            self.tell();
        }
    }

    fn description_revision(&self) -> u64 {
        self.state.lock().appeared.len() as u64
    }

    fn describe(&self, series: &mut Series) {
        series.gauge("vitals_vram_live_bytes", Unit::Bytes, "Bytes of tracked resources that are live");
        series.gauge(
            "vitals_vram_pending_bytes",
            Unit::Bytes,
            "Bytes of tracked resources whose handle is gone or that were destroyed, and that something still references",
        );
        series.counter("vitals_resize_rebuilds_total", Unit::Count, "Resources rebuilt in another size");
        series.counter("vitals_packets_queued_total", Unit::Count, "Packets (frames on a lane) begun");
        for result in RESULTS {
            series
                .counter("vitals_packets_total", Unit::Count, "Packets ended, by result")
                .label("result", result.name());
        }
        series.counter("vitals_submissions_total", Unit::Count, "Submissions to a queue");
        series.counter("vitals_submissions_completed_total", Unit::Count, "Submissions known to be completed");
        series.counter("vitals_submissions_abandoned_total", Unit::Count, "Submissions lost with their device");
        series.gauge("vitals_submissions_in_flight", Unit::Count, "Submissions neither completed nor abandoned");
        series.gauge("vitals_unsubmitted_bytes", Unit::Bytes, "Bytes staged that wait for a submission");
        series.histogram(
            "vitals_submission_latency_seconds",
            "Time from a submission to the poll that found it completed",
            &self.latency,
        );
        series.counter("vitals_events_total", Unit::Count, "Events offered to the rings");
        series.counter("vitals_events_lost_total", Unit::Count, "Events that a reader found overwritten");
        series.gauge("vitals_telemetry_bytes", Unit::Bytes, "Bytes that the tracker itself takes");
        series.counter(
            "vitals_untracked_resources_total",
            Unit::Count,
            "Resources that were not tracked because as many were as may be",
        );
        series
            .counter("vitals_label_overflow_total", Unit::Count, "Names, labels or series refused for want of room")
            .label("table", "names");
        for guard in Guard::ALL {
            series
                .counter("vitals_guard_warnings_total", Unit::Count, "Windows and subjects that a guard has warned of")
                .label("guard", guard.name());
        }
        describe_churn(series);
        series.histogram(
            "vitals_resource_lifetime_seconds",
            "How long released resources lived, without the kinds that every frame makes",
            &self.lifetimes,
        );
        for appeared in &self.state.lock().appeared {
            match appeared {
                Appeared::Kind(kind) => describe_kind(series, kind.name()),
                Appeared::OwnerKind(kind) => describe_owner_kind(series, kind.name()),
            }
        }
    }

    fn record(&self, row: &mut Row<'_>) {
        let state = self.state.lock();
        if !state.read {
            return;
        }
        let totals = &state.totals;
        let device = totals.device();
        let rebuilds = device.rebuilds + totals.suballocations().rebuilds;
        row.push(device.live_bytes()).push(device.pending_bytes()).push(rebuilds);
        let packets = totals.packets();
        row.push(packets.queued);
        for result in RESULTS {
            row.push(packets.with_result(result));
        }
        let submissions = &totals.submissions;
        row.push(submissions.submitted)
            .push(submissions.completed)
            .push(submissions.abandoned)
            .push(submissions.in_flight())
            .push(submissions.unsubmitted_bytes())
            .push(totals.events.produced)
            .push(self.events_lost.load(Ordering::Relaxed))
            .push(totals.telemetry_bytes)
            .push(totals.overflows.resources)
            .push(totals.overflows.names());
        let guards = self.guards.lock();
        for guard in Guard::ALL {
            row.push(guards.raised(guard));
        }
        drop(guards);
        record_churn(row, &state);
        let churn = |counts: Counts| counts.created + counts.released;
        for &appeared in &state.appeared {
            match appeared {
                Appeared::Kind(kind) => {
                    let KindTotals { device, within, .. } = totals.kind(kind);
                    row.push(device.live() + within.live())
                        .push(device.live_bytes())
                        .push(device.created + within.created)
                        .push(device.released + within.released);
                }
                Appeared::OwnerKind(kind) => {
                    let KindTotals { device, within, .. } = totals.owner_kind(kind);
                    row.push(device.live_bytes()).push(churn(device) + churn(within));
                }
            }
        }
    }

    fn view(self: Arc<Self>) -> Option<MonitorRef> {
        Some(MonitorRef::Lifecycle(self))
    }
}

impl LifecycleMonitor for LifecycleResourceMonitor {
    fn get_lifecycle_report(&self) -> Option<LifecycleReport> {
        let state = self.state.lock();
        if !state.read {
            return None;
        }
        let totals = &state.totals;
        let kinds: Vec<_> = totals.kinds().map(|(kind, totals)| usage(kind, totals)).collect();
        let packets = totals.packets();
        Some(LifecycleReport {
            created: kinds.iter().map(|kind| kind.created).sum(),
            destroyed: kinds.iter().map(|kind| kind.destroyed).sum(),
            live: kinds.iter().map(|kind| kind.live).sum(),
            live_bytes: totals.device().live_bytes(),
            peak_live_bytes: totals.peak_live_bytes(),
            pending_bytes: totals.device().pending_bytes(),
            kinds,
            packets_queued: packets.queued,
            packets_presented: packets.presented,
            packets_dropped: packets.dropped,
            submissions: totals.submissions.submitted,
            submissions_completed: totals.submissions.completed,
            events_lost: self.events_lost.load(Ordering::Relaxed),
        })
    }
}

fn describe_churn(series: &mut Series) {
    for window in Window::ALL {
        series
            .gauge(
                "vitals_churn_ratio",
                Unit::Ratio,
                "Resources created and destroyed in a window for each packet presented in it, without the kinds that every frame makes",
            )
            .label("window", window.label());
    }
    series.gauge(
        "vitals_startup_stabilization_seconds",
        Unit::Seconds,
        "Time from the tracker's start to the end of the first stable window of presented packets",
    );
    series.counter(
        "vitals_resources_short_lived_total",
        Unit::Count,
        "Resources released after a short life, without the kinds that every frame makes",
    );
    series.counter(
        "vitals_resources_reused_total",
        Unit::Count,
        "Resources taken again from a pool or cache where one could have been made",
    );
    series.counter("vitals_resize_requests_total", Unit::Count, "Calls that asked for another size");
    series.counter(
        "vitals_recreate_storms_total",
        Unit::Count,
        "Times that many queues, targets, surfaces or devices were destroyed within a second and as many created",
    );
    series.counter(
        "vitals_startup_bursts_total",
        Unit::Count,
        "Tenths of a second in the startup in which many resources were destroyed",
    );
    series.gauge(
        "vitals_pool_candidate_bytes",
        Unit::Bytes,
        "Estimate of the bytes of short-lived resources that pools would not have had to make again",
    );
    series.gauge(
        "vitals_queue_reuse_ratio",
        Unit::Ratio,
        "Queues reused, as a share of those reused and those created",
    );
}

/// In the order of [`describe_churn`].
fn record_churn(row: &mut Row<'_>, state: &State) {
    let State { analyzer, totals, .. } = state;
    for window in Window::ALL {
        row.push(analyzer.churn_ratio(window));
    }
    let mut all = totals.device();
    all += totals.suballocations();
    row.push(analyzer.stabilization())
        .push(all.short_lived)
        .push(all.reused)
        .push(all.resize_requests)
        .push(analyzer.recreate_storms())
        .push(analyzer.startup_bursts())
        .push(state.candidates.map(|(_, bytes)| bytes))
        .push(queue_reuse_ratio(totals));
}

/// Hands the tracker's lifetimes to the histogram that the registry reads.
fn take_over(histogram: &Histogram, lifetimes: &Lifetimes) {
    let mut below = 0;
    let upto = lifetimes.buckets.iter().map(|(_, upto)| *upto).chain([lifetimes.count]);
    let counts = upto.map(|upto| {
        let count = upto.saturating_sub(below);
        below = upto;
        count
    });
    histogram.set(counts, lifetimes.sum);
}

fn describe_kind(series: &mut Series, kind: &'static str) {
    const RESOURCE: &str = "resource";
    series.gauge("vitals_resources_live", Unit::Count, "Resources of a kind that are live").label(RESOURCE, kind);
    series
        .gauge("vitals_resource_live_bytes", Unit::Bytes, "Bytes of a kind's live resources, without suballocations")
        .label(RESOURCE, kind);
    series.counter("vitals_resources_created_total", Unit::Count, "Resources created").label(RESOURCE, kind);
    series
        .counter("vitals_resources_destroyed_total", Unit::Count, "Resources released: the last reference is gone")
        .label(RESOURCE, kind);
}

fn describe_owner_kind(series: &mut Series, kind: &'static str) {
    const OWNER_KIND: &str = "owner_kind";
    series
        .gauge("vitals_owner_live_bytes", Unit::Bytes, "Bytes of live resources of owners of a kind")
        .label(OWNER_KIND, kind);
    series
        .counter("vitals_owner_churn_total", Unit::Count, "Resources created and released by owners of a kind")
        .label(OWNER_KIND, kind);
}

fn usage(kind: ResourceKind, KindTotals { device, within, .. }: KindTotals) -> KindUsage {
    KindUsage {
        created: device.created + within.created,
        destroyed: device.released + within.released,
        live: device.live() + within.live(),
        live_bytes: device.live_bytes(),
        pending: device.pending() + within.pending(),
        pending_bytes: device.pending_bytes(),
        ..KindUsage::none(kind.name())
    }
}

#[cfg(all(test, feature = "telemetry"))]
mod tests {
    use super::*;
    use crate::contract::Value;
    use crate::probe::{Clock, Context, Mark, New};

    /// The figures by name and labels' values, histograms left out.
    fn figures(monitor: &LifecycleResourceMonitor) -> Vec<(String, Option<Value>)> {
        let mut series = Series::with_cap(500);
        monitor.describe(&mut series);
        let (described, overflow) = series.finish();
        assert_eq!(overflow, Default::default());
        let names: Vec<_> = described
            .iter()
            .flatten()
            .filter(|figure| !matches!(figure.kind, crate::contract::FigureKind::Histogram(_)))
            .map(|figure| {
                let labels: Vec<_> = figure.labels.iter().map(|(_, value)| format!("/{value}")).collect();
                format!("{}{}", figure.name.trim_start_matches("vitals_"), labels.concat())
            })
            .collect();
        let mut values = vec![None; names.len()];
        let mut row = Row::new(&mut values);
        monitor.record(&mut row);
        assert_eq!(row.beyond(), 0);
        names.into_iter().zip(values).collect()
    }

    fn value(figures: &[(String, Option<Value>)], name: &str) -> Option<u64> {
        let found = figures.iter().find(|(known, _)| known == name);
        assert!(found.is_some(), "no figure {name}");
        found.and_then(|(_, value)| *value).and_then(Value::as_u64)
    }

    #[test]
    fn nothing_is_claimed_before_the_first_update() {
        let monitor = LifecycleResourceMonitor::new(Arc::new(Tracker::new()), "life");
        assert_eq!(monitor.get_lifecycle_report(), None);
        assert_eq!(monitor.get_usage_report(), ResourceUsageReport::default());
        assert!(figures(&monitor).iter().all(|(_, value)| value.is_none()));
    }

    #[test]
    fn nothing_is_claimed_while_nothing_is_tracked() {
        let tracker = Arc::new(Tracker::builder().level(Level::Off).build());
        let monitor = LifecycleResourceMonitor::new(Arc::clone(&tracker), "life");
        monitor.update();
        assert_eq!(monitor.get_lifecycle_report(), None);
        assert_eq!(monitor.get_usage_report(), ResourceUsageReport::default());
        assert!(figures(&monitor).iter().all(|(_, value)| value.is_none()));
        tracker.set_level(Level::Counters);
        monitor.update();
        assert_eq!(value(&figures(&monitor), "vram_live_bytes"), Some(0));
    }

    #[test]
    fn a_kind_that_appears_after_the_description_moves_no_other_figure() {
        let tracker = Arc::new(Tracker::new());
        let probe = tracker.probe();
        let monitor = LifecycleResourceMonitor::new(tracker, "life");
        let owner = probe.owner(OwnerKind::ROOT_VISUAL, 7);
        let context = Context::current().with_owner(owner).enter();
        let _buffer = probe.create(New::buffer(1_000));
        monitor.update();
        let before = figures(&monitor);
        let _texture = probe.create(New::texture(64));
        drop(context);
        monitor.update();
        let mut values = vec![None; before.len()];
        monitor.record(&mut Row::new(&mut values));
        let value = |name: &str| values[before.iter().position(|(known, _)| known == name).unwrap()];
        assert_eq!(value("resource_live_bytes/buffer"), Some(Value::U64(1_000)));
        assert_eq!(value("owner_live_bytes/root_visual"), Some(Value::U64(1_064)));
        assert_eq!(value("owner_churn_total/root_visual"), Some(Value::U64(2)));
    }

    #[test]
    fn figures_and_report_are_those_of_the_tracker() {
        let tracker = Arc::new(Tracker::new());
        let probe = tracker.probe();
        let monitor = LifecycleResourceMonitor::new(tracker, "life");
        monitor.update();
        let before = monitor.description_revision();

        let owner = probe.owner(OwnerKind::ROOT_VISUAL, 7);
        let context = Context::current().with_owner(owner).enter();
        let mut target = probe.create(New::texture_target(4_096));
        drop(context);
        let buffer = probe.create(New::buffer(1_000));
        let block = probe.create(New::buffer(100).within(buffer.id()));
        let gone = probe.create(New::buffer(500));
        gone.handle_dropped();
        target.resize(8_192);
        drop(probe.create(New::buffer(1)));
        let packet = probe.packet(probe.lane("main"));
        probe.staged(64);
        probe.event(Mark::submit(1));
        probe.staged(32);
        packet.finish(PacketResult::Presented);
        drop(probe.packet(probe.lane("main")));
        monitor.update();

        assert_ne!(monitor.description_revision(), before, "new kinds have appeared");
        let figures = figures(&monitor);
        for (name, expected) in [
            ("vram_live_bytes", 9_192),
            ("vram_pending_bytes", 500),
            ("resize_rebuilds_total", 1),
            ("packets_queued_total", 2),
            ("packets_total/presented", 1),
            ("packets_total/dropped", 1),
            ("packets_total/failed", 0),
            ("submissions_total", 1),
            ("submissions_completed_total", 0),
            ("submissions_abandoned_total", 0),
            ("submissions_in_flight", 1),
            ("unsubmitted_bytes", 32),
            ("resources_live/buffer", 2),
            ("resource_live_bytes/buffer", 1_000),
            ("resources_created_total/buffer", 4),
            ("resources_destroyed_total/buffer", 1),
            ("resources_live/texture_target", 1),
            ("resource_live_bytes/texture_target", 8_192),
            ("owner_live_bytes/root_visual", 8_192),
            ("owner_churn_total/root_visual", 1),
        ] {
            assert_eq!(value(&figures, name), Some(expected), "{name}");
        }
        let report = monitor.get_lifecycle_report().unwrap();
        assert_eq!((report.created, report.destroyed, report.live), (5, 1, 3));
        assert_eq!((report.live_bytes, report.pending_bytes), (9_192, 500));
        assert_eq!((report.packets_queued, report.packets_presented, report.packets_dropped), (2, 1, 1));
        assert_eq!(monitor.get_usage_report().current_bytes, Some(9_192));
        drop((target, buffer, block, gone));
        monitor.update();
        assert_eq!(monitor.get_lifecycle_report().unwrap().live, 0);
    }

    fn ratio(figures: &[(String, Option<Value>)], name: &str) -> Option<f64> {
        let found = figures.iter().find(|(known, _)| known == name);
        assert!(found.is_some(), "no figure {name}");
        found.and_then(|(_, value)| *value).map(Value::as_f64)
    }

    /// A monitor on a clock that is moved by hand, for which two presented packets in a row make a stable window.
    fn watched() -> (Arc<Tracker>, crate::probe::ManualClock, LifecycleResourceMonitor) {
        let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(5_000_000_000));
        let tracker = Arc::new(Tracker::builder().clock(clock).build());
        let rules = Rules { stable_packets: 2, ..Rules::default() };
        let monitor = LifecycleResourceMonitor::with_rules(Arc::clone(&tracker), "life", rules);
        (tracker, hand, monitor)
    }

    #[test]
    fn churn_figures_are_absent_until_known_and_each_windows_own_after() {
        let (tracker, hand, monitor) = watched();
        let probe = tracker.probe();
        let frame = || {
            hand.advance(Duration::from_millis(10));
            probe.packet(probe.lane("main")).finish(PacketResult::Presented);
            monitor.update();
        };
        monitor.update();
        let before = figures(&monitor);
        for window in ["startup", "steady_state", "shutdown"] {
            assert_eq!(ratio(&before, &format!("churn_ratio/{window}")), None);
        }
        assert_eq!(ratio(&before, "startup_stabilization_seconds"), None);
        assert_eq!(ratio(&before, "startup_bursts_total"), None);
        assert_eq!(ratio(&before, "queue_reuse_ratio"), None);
        assert_eq!(value(&before, "resources_short_lived_total"), Some(0));
        assert_eq!(value(&before, "pool_candidate_bytes"), Some(0));

        // 16 made and destroyed within the first packet, and as many encoders, which are no churn.
        for _ in 0..16 {
            drop(probe.create(New::buffer(8)));
            drop(probe.create(New::of(ResourceKind::COMMAND_ENCODER, 0)));
        }
        frame();
        frame();
        frame();
        let stable = figures(&monitor);
        assert_eq!(ratio(&stable, "churn_ratio/startup"), Some(32.0 / 3.0));
        assert_eq!(ratio(&stable, "startup_stabilization_seconds"), Some(0.03));
        assert_eq!(value(&stable, "startup_bursts_total"), Some(1));
        assert_eq!(value(&stable, "resources_short_lived_total"), Some(16));
        assert_eq!(ratio(&stable, "churn_ratio/steady_state"), None, "no packet since");

        let queue = probe.create(New::of(ResourceKind::COMMAND_QUEUE, 0));
        queue.reused();
        queue.resize_requested();
        frame();
        frame();
        monitor.begin_shutdown();
        drop(queue);
        let shut = figures(&monitor);
        assert_eq!(ratio(&shut, "churn_ratio/startup"), Some(32.0 / 3.0), "it has ended");
        assert_eq!(ratio(&shut, "churn_ratio/steady_state"), Some(0.5));
        assert_eq!(ratio(&shut, "churn_ratio/shutdown"), None);
        assert_eq!(ratio(&shut, "queue_reuse_ratio"), Some(0.5));
        assert_eq!((value(&shut, "resources_reused_total"), value(&shut, "resize_requests_total")), (Some(1), Some(1)));
        hand.advance(Duration::from_secs(1));
        monitor.update();
        assert_eq!(value(&figures(&monitor), "pool_candidate_bytes"), Some(15 * 8));
    }

    #[test]
    fn a_recreate_storm_counts_once_and_only_of_what_is_followed() {
        let (tracker, hand, monitor) = watched();
        let probe = tracker.probe();
        let storms = || {
            monitor.update();
            value(&figures(&monitor), "recreate_storms_total")
        };
        for (kind, made, expected) in [
            (ResourceKind::BUFFER, 50, 0),
            (ResourceKind::NATIVE_TARGET, 9, 0),
            (ResourceKind::NATIVE_TARGET, 1, 1),
            (ResourceKind::NATIVE_TARGET, 50, 1),
        ] {
            for _ in 0..made {
                drop(probe.create(New::of(kind, 8)));
            }
            assert_eq!(storms(), Some(expected), "{made} of {kind:?}");
        }
        hand.advance(Duration::from_secs(5));
        assert_eq!(storms(), Some(1));
    }

    #[test]
    fn lifetimes_are_those_of_what_was_released() {
        let (tracker, hand, monitor) = watched();
        let probe = tracker.probe();
        for millis in [0, 1, 1_000_000_000] {
            let buffer = probe.create(New::buffer(1));
            let encoder = probe.create(New::of(ResourceKind::COMMAND_ENCODER, 0));
            hand.advance(Duration::from_millis(millis));
            drop((buffer, encoder));
        }
        let _alive = probe.create(New::buffer(1));
        monitor.update();
        monitor.update();
        let lives = monitor.lifetimes.snapshot();
        assert_eq!((lives.count, lives.sum), (3, Duration::from_millis(1_000_000_001)));
        let upto = |bound: u64| {
            let bound = Some(Duration::from_nanos(bound));
            lives.buckets.iter().find(|(known, _)| *known == bound).map(|(_, count)| *count)
        };
        assert_eq!((upto(1 << 18), upto(1 << 20), lives.buckets.last()), (Some(1), Some(2), Some(&(None, 3))));
    }
}
