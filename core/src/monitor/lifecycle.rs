//! The life of all tracked resources, with packets and submissions.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::guards::GuardWatch;
use crate::analysis::guards::{Guard, GuardSettings, Warning};
use crate::contract::{
    Histogram, KindUsage, LifecycleMonitor, LifecycleReport, MonitorRef, MonitoredResourceType, ResourceMonitor,
    ResourceUsageReport, Row, Series, Unit,
};
use crate::probe::{Counts, Level, OwnerKind, PacketResult, ResourceKind};
use crate::tracker::{KindTotals, Totals, Tracker};

const RESULTS: [PacketResult; 4] =
    [PacketResult::Presented, PacketResult::Dropped, PacketResult::NoOp, PacketResult::Failed];

/// Reports what a [`Tracker`] counts: resources by kind and by owner kind, packets, submissions, and the tracker's own losses and memory.
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
    events_lost: AtomicU64,
    state: Mutex<State>,
    /// Locked after the state, where both are.
    guards: Mutex<GuardWatch>,
}

/// What the last update has read.
#[derive(Debug, Default)]
struct State {
    /// Whether there is something to report.
    read: bool,
    totals: Totals,
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

impl LifecycleResourceMonitor {
    /// A monitor of this tracker, with this name.
    #[must_use]
    pub fn new(tracker: Arc<Tracker>, id: impl Into<Cow<'static, str>>) -> Self {
        Self {
            id: id.into(),
            tracker,
            latency: Arc::new(Histogram::for_gpu_work()),
            events_lost: AtomicU64::new(0),
            state: Mutex::default(),
            guards: Mutex::new(GuardWatch::new(GuardSettings::default())),
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
}

impl State {
    fn read(&mut self, tracker: &Tracker) {
        tracker.read_totals(&mut self.totals);
        self.read = tracker.level() != Level::Off;
        let kinds = self.totals.kinds().map(|(kind, _)| Appeared::Kind(kind));
        for appeared in kinds.chain(self.totals.owner_kinds().map(|(kind, _)| Appeared::OwnerKind(kind))) {
            if !self.appeared.contains(&appeared) {
                self.appeared.push(appeared);
            }
        }
    }
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
        let mut state = self.state.lock();
        state.read(&self.tracker);
        self.guards.lock().update(&self.tracker, &state.totals);
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
        row.push(device.live_bytes()).push(device.pending_bytes()).push(device.rebuilds);
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
    use crate::probe::{Context, Mark, New};

    /// The figures by name and labels' values, histograms left out.
    fn figures(monitor: &LifecycleResourceMonitor) -> Vec<(String, Option<Value>)> {
        let mut series = Series::with_cap(500);
        monitor.describe(&mut series);
        let (described, overflow) = series.finish();
        assert_eq!(overflow, Default::default());
        let names: Vec<_> = described
            .iter()
            .flatten()
            .filter(|figure| !figure.name.ends_with("latency_seconds"))
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
}
