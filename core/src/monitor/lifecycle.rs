//! The life of all tracked resources, with packets and submissions.

mod figures;
#[cfg(all(test, feature = "telemetry"))]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use self::figures::{describe_churn, describe_kind, describe_owner_kind, record_churn};
use super::guards::{self, GuardWatch};
use crate::analysis::guards::{Guard, GuardSettings, Warning};
use crate::analysis::{Analyzer, Answers, Detail, LifecycleTelemetry, Observation, Rules, Window};
use crate::contract::{
    Histogram, KindUsage, LifecycleMonitor, LifecycleReport, MonitorRef, MonitoredResourceType, ResourceMonitor,
    ResourceUsageReport, Row, Series, StoreReport, Unit,
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
            stores: tracker.stores(),
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
        for guard in Guard::ALL.into_iter().filter(|guard| !guard.is_of_heap()) {
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
        for guard in Guard::ALL.into_iter().filter(|guard| !guard.is_of_heap()) {
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
        let (staging_rings, memory_pools, target_pools) = StoreReport::by_kind(self.tracker.stores());
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
            staging_rings,
            memory_pools,
            target_pools,
        })
    }
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
