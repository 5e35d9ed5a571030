//! Frames that took too long, and what explains them.

mod costs;
#[cfg(all(test, feature = "telemetry"))]
mod tests;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{FramePasses, PassTimeMonitor};
use crate::analysis::hitches::{FrameFacts, Hitch, HitchCause, HitchLog, HitchRules, Work};
use crate::contract::{HeapTotals, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit};
use crate::log::warning;
use crate::memory;
use crate::probe::{Activity, Level, PacketId, Timestamp};
use crate::tracker::{Activities, ActivityTotals, Tracker};

/// Watches the program's frames for hitches: frames that took far longer than the typical one, each with what explains it.
///
/// Whoever ends frames calls [`frame`](Self::frame) (`Vitals::frame` does). What a frame did is the difference of what the tracker and the
/// heap have counted at its end and at that of the one before; what the thread that calls it has spent time on is told apart from what others
/// have. While the tracker's level is [`Level::Off`] nothing is read and no frame is judged.
///
/// It has no bytes, so its usage report is empty.
#[derive(Debug)]
pub struct HitchMonitor {
    id: Cow<'static, str>,
    lane: Cow<'static, str>,
    tracker: Arc<Tracker>,
    passes: Option<Arc<PassTimeMonitor>>,
    state: Mutex<State>,
}

/// A frame whose passes are not all read back is judged when so many newer ones have ended.
const PASSES_WITHIN: u64 = 8;

#[derive(Debug)]
struct State {
    log: HitchLog,
    /// What was counted when the last frame ended.
    last: Option<Counted>,
    /// Frames that are not judged yet, the oldest first.
    waiting: VecDeque<FrameFacts<'static>>,
    /// The newest frame of which passes were read back.
    timed: Option<u64>,
    /// The memory of reading a frame's passes.
    times: Vec<(Arc<str>, Duration)>,
    judged: u64,
    longest: Duration,
}

/// What had been counted at a moment.
#[derive(Debug, Clone, Copy)]
struct Counted {
    at: Timestamp,
    activities: Activities,
    heap: Option<HeapTotals>,
}

impl HitchMonitor {
    /// A monitor of this tracker's program, with this name, by the default [`HitchRules`]. Its frames are those of the lane `main`.
    #[must_use]
    pub fn new(tracker: Arc<Tracker>, id: impl Into<Cow<'static, str>>) -> Self {
        let state = State {
            log: HitchLog::new(HitchRules::default()),
            last: None,
            waiting: VecDeque::new(),
            timed: None,
            times: Vec::new(),
            judged: 0,
            longest: Duration::ZERO,
        };
        Self { id: id.into(), lane: "main".into(), tracker, passes: None, state: Mutex::new(state) }
    }

    /// The same monitor, which knows from `passes` what frames took on the GPU. It judges a frame when its passes are read back, or when
    /// eight newer frames have ended; while no passes are timed, at once.
    #[must_use]
    pub fn with_passes(self, passes: Arc<PassTimeMonitor>) -> Self {
        Self { passes: Some(passes), ..self }
    }

    /// The same monitor with other rules.
    #[must_use]
    pub fn with_rules(mut self, rules: HitchRules) -> Self {
        self.state.get_mut().log = HitchLog::new(rules);
        self
    }

    /// A frame has ended, which the program's count of frames calls `number` ([`Probe::frame_ended`](crate::probe::Probe::frame_ended)), as
    /// that packet if it is one. The newest hitch that this made known, if any: of this frame or of an earlier one, whose passes on the GPU
    /// were waited for.
    ///
    /// Call it on the thread that makes the frames. It takes some microseconds and allocates nothing, but for hitches.
    pub fn frame(&self, number: u64, packet: Option<PacketId>) -> Option<Hitch> {
        if self.tracker.level() == Level::Off {
            // What passes meanwhile is no frame's.
            self.state.lock().last = None;
            return None;
        }
        let now = Counted::now(&self.tracker);
        let hitches = {
            let mut state = self.state.lock();
            let last = state.last.replace(now)?;
            // A clock that was moved back gives no time.
            let facts = now.facts(number, &last)?.ended(now.at, packet);
            state.waiting.push_back(facts);
            state.judge(self.passes.as_deref(), false)
        };
        tell(hitches)
    }

    /// No frame follows: those that were waited for are judged by what is known of them.
    pub fn end(&self) {
        let hitches = self.state.lock().judge(self.passes.as_deref(), true);
        tell(hitches);
    }

    /// The newest hitches, the oldest first: as many as [`HitchRules::kept`]. A frame is judged some frames after its end, when the times of
    /// its passes on the GPU are known.
    #[must_use]
    pub fn hitches(&self) -> Vec<Hitch> {
        self.state.lock().log.hitches().cloned().collect()
    }

    /// Of these, those after the one with that [number](Hitch::number): for readers that follow. Allocates nothing where there are none.
    #[must_use]
    pub fn hitches_after(&self, number: u64) -> Vec<Hitch> {
        let state = self.state.lock();
        let new = state.log.hitches().filter(|hitch| hitch.number > number);
        new.cloned().collect()
    }

    /// Hitches over life, kept or not.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state.lock().log.count()
    }

    /// What the next frame may take; `None` while too few were seen.
    #[must_use]
    pub fn budget(&self) -> Option<Duration> {
        self.state.lock().log.budget()
    }
}

/// Logs hitches, with no lock held: whoever takes the log may ask the monitor. Returns the newest.
fn tell(hitches: Vec<Hitch>) -> Option<Hitch> {
    for hitch in &hitches {
        warning!("{hitch}");
    }
    hitches.into_iter().next_back()
}

impl State {
    /// Judges the frames of which all is known, in order; at the end all.
    fn judge(&mut self, passes: Option<&PassTimeMonitor>, end: bool) -> Vec<Hitch> {
        let Self { log, waiting, timed, times, judged, longest, .. } = self;
        let newest = waiting.back().map_or(0, |facts| facts.frame);
        if let Some(passes) = passes {
            // Whether passes are timed at all is seen from a frame that they should be read back of by now.
            let settled = newest.saturating_sub(PASSES_WITHIN);
            if passes.read_frame(settled, times) != FramePasses::None {
                *timed = Some(settled);
            }
        }
        let following = timed.is_some_and(|timed| newest.saturating_sub(timed) <= 4 * PASSES_WITHIN);
        let mut hitches = Vec::new();
        while let Some(facts) = waiting.front() {
            let known = passes.map_or(FramePasses::None, |passes| passes.read_frame(facts.frame, times));
            let late = newest.saturating_sub(facts.frame) >= PASSES_WITHIN;
            if following && known != FramePasses::Complete && !late && !end {
                break;
            }
            *judged += 1;
            *longest = (*longest).max(facts.time);
            if passes.is_none() {
                times.clear();
            }
            hitches.extend(log.frame(&facts.clone().with_passes(times)).cloned());
            waiting.pop_front();
        }
        hitches
    }
}

impl Counted {
    fn now(tracker: &Tracker) -> Self {
        Self { at: tracker.clock().now(), activities: tracker.activities(), heap: memory::get_extended_memory_stats() }
    }

    /// What was done since `last`; `None` if the time went back.
    fn facts(&self, number: u64, last: &Self) -> Option<FrameFacts<'static>> {
        let time = self.at.since(last.at)?;
        let done = self.activities.since(&last.activities);
        let mut facts = FrameFacts::new(number, time);
        for (cause, activity) in [
            (HitchCause::Pipelines, Activity::Pipelines),
            (HitchCause::ShaderModules, Activity::ShaderModules),
            (HitchCause::Creations, Activity::Creations),
            (HitchCause::Submissions, Activity::Submissions),
        ] {
            facts = facts.with(cause, Work::spent(&done, activity));
        }
        // What was staged by hand, or written to mapped memory, is not among the timed calls.
        let uploads = Work::spent(&done, Activity::Uploads);
        let estimated_bytes = done.staged_bytes.saturating_sub(uploads.bytes);
        let bytes = uploads.bytes.max(done.staged_bytes);
        facts = facts.with(HitchCause::Uploads, Work { bytes, estimated_bytes, ..uploads });
        // A queue that is full waits in the present.
        let stalls = Work::spent(&done, Activity::Stalls).and(Work::spent(&done, Activity::Presents));
        facts = facts.with(HitchCause::Stalls, stalls);
        facts = facts.with(HitchCause::Destructions, Work { count: done.released, ..Work::default() });
        if let (Some(heap), Some(before)) = (self.heap, last.heap) {
            let work = Work {
                count: heap.allocations().wrapping_sub(before.allocations()),
                bytes: heap.allocated_bytes().wrapping_sub(before.allocated_bytes()),
                estimated_bytes: heap.live_bytes().unwrap_or(0).saturating_sub(before.live_bytes().unwrap_or(0)),
                ..Work::default()
            };
            facts = facts.with(HitchCause::HeapAllocations, work);
        }
        Some(facts)
    }
}

impl Work {
    /// What was done of an activity: on the calling thread, and on others. Calls whose time nobody took have none.
    fn spent(done: &Activities, activity: Activity) -> Self {
        let ActivityTotals { calls, bytes, time, .. } = done.of(activity);
        let here = done.here(activity).map_or(Duration::ZERO, |here| here.time);
        let timed = calls == 0 || !time.is_zero();
        let time_here = timed.then_some(here);
        Self { count: calls, bytes, estimated_bytes: 0, time: time_here, elsewhere: time.saturating_sub(here) }
    }

    /// Both.
    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            bytes: self.bytes + other.bytes,
            estimated_bytes: self.estimated_bytes + other.estimated_bytes,
            time: self.time.zip(other.time).map(|(one, other)| one.saturating_add(other)),
            elsewhere: self.elsewhere.saturating_add(other.elsewhere),
        }
    }
}

impl ResourceMonitor for HitchMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Other("frames")
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }

    fn describe(&self, series: &mut Series) {
        for cause in HitchCause::ALL {
            series
                .counter(
                    "vitals_hitches_total",
                    Unit::Count,
                    "Frames over their budget, by what explains most of the time",
                )
                .label("cause", cause.name());
        }
        for cause in HitchCause::ALL {
            series
                .counter(
                    "vitals_hitch_seconds_total",
                    Unit::Seconds,
                    "Time that frames over their budget took beyond the typical, by what explains it",
                )
                .label("cause", cause.name());
        }
        series
            .counter("vitals_frames_over_budget_total", Unit::Count, "Frames that took longer than their budget")
            .label("lane", self.lane.clone());
        series.gauge("vitals_frame_budget_seconds", Unit::Seconds, "Time that the next frame may take");
        series.gauge("vitals_frame_longest_seconds", Unit::Seconds, "The longest time of a frame since the start");
    }

    fn record(&self, row: &mut Row<'_>) {
        let state = self.state.lock();
        if state.judged == 0 {
            return;
        }
        for (_, tally) in state.log.tallies() {
            row.push(tally.hitches);
        }
        for (_, tally) in state.log.tallies() {
            row.push(tally.time);
        }
        row.push(state.log.count()).push(state.log.budget()).push(state.longest);
    }
}
