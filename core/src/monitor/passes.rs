//! The time that passes take on a graphics adapter.

mod frames;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use self::frames::FramePasses;
use self::frames::Frames;
use crate::contract::{Histogram, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit};

/// Why a pass has no time on the GPU although it was to have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
#[non_exhaustive]
pub enum UntimedPass {
    /// The frame's budget of queries was used up.
    Budget = 0,
    /// All queries or read-backs were in flight: nothing waits for them.
    InFlight = 1,
    /// It writes time stamps of its own, which are left alone.
    Own = 2,
    /// Its command buffer was never submitted, so that it did not run.
    Unsubmitted = 3,
    /// Its time stamps could not be read back, as when the device is lost or the submission is refused.
    Failed = 4,
    /// The backend wrote no time stamps for it.
    Unwritten = 5,
    /// Its end lies before its begin: the clock has wrapped or was reset.
    Disorder = 6,
}

impl UntimedPass {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Budget, Self::InFlight, Self::Own, Self::Unsubmitted, Self::Failed, Self::Unwritten, Self::Disorder];

    /// The name in metrics and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::InFlight => "in_flight",
            Self::Own => "own",
            Self::Unsubmitted => "unsubmitted",
            Self::Failed => "failed",
            Self::Unwritten => "unwritten",
            Self::Disorder => "disorder",
        }
    }
}

/// Keeps what each pass takes on the GPU, by its name.
///
/// It is handed passes as they are read back, some frames after they ran, from any thread: by the instrumentation of the crate
/// `engine-vitals`, or from an engine's own timers. Names beyond the [limit](Self::with_names) count as [`OTHER`](Self::OTHER). A pass that
/// runs more than once is counted as often. Passes may overlap on the GPU, so that their times can add up to more than the frame.
#[derive(Debug)]
pub struct PassTimeMonitor {
    id: Cow<'static, str>,
    names: usize,
    span: Arc<Histogram>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where in `passes` a name is.
    places: HashMap<Arc<str>, usize>,
    /// In the order in which they appeared, which is that of the described figures.
    passes: Vec<Pass>,
    other: Option<usize>,
    refused: u64,
    frames: Frames,
    last_span: Option<(u64, Duration)>,
    untimed: [u64; UntimedPass::ALL.len()],
}

#[derive(Debug)]
struct Pass {
    name: Arc<str>,
    runs: u64,
    total: Duration,
    /// The newest, the last at the end.
    window: VecDeque<Duration>,
    last_frame: u64,
}

impl PassTimeMonitor {
    /// The name of all passes beyond the limit.
    pub const OTHER: &'static str = "other";

    /// Runs of a pass that its mean and its maximum are taken over.
    pub const WINDOW: usize = 120;

    /// The most names that there can be.
    pub const MAX_NAMES: usize = 256;

    /// Bytes that are kept of a name.
    pub const LONGEST_NAME: usize = 96;

    /// A monitor with this name, for 64 names of passes.
    #[must_use]
    pub fn new(id: impl Into<Cow<'static, str>>) -> Self {
        Self { id: id.into(), names: 64, span: Arc::new(Histogram::for_gpu_work()), state: Mutex::default() }
    }

    /// The same with another limit of names, [`OTHER`](Self::OTHER) left out: up to [`MAX_NAMES`](Self::MAX_NAMES).
    #[must_use]
    pub fn with_names(self, names: usize) -> Self {
        Self { names: names.min(Self::MAX_NAMES), ..self }
    }

    /// A pass of that frame took so long. Frames may come in any order. Allocates only for a name that is new, of which
    /// [`LONGEST_NAME`](Self::LONGEST_NAME) bytes are kept.
    pub fn pass(&self, frame: u64, name: &str, time: Duration) {
        let mut state = self.state.lock();
        let place = state.place(name, self.names);
        let pass = &mut state.passes[place];
        pass.runs += 1;
        pass.total = pass.total.saturating_add(time);
        pass.last_frame = pass.last_frame.max(frame);
        if pass.window.len() == Self::WINDOW {
            pass.window.pop_front();
        }
        pass.window.push_back(time);
        state.frames.add(frame, place, time);
    }

    /// No pass of that frame is in flight any more.
    pub fn frame_complete(&self, frame: u64) {
        self.state.lock().frames.complete(frame);
    }

    /// The time from the first begin to the last end of a frame's timed passes, those of one device.
    pub fn frame_span(&self, frame: u64, span: Duration) {
        self.span.record(span);
        let mut state = self.state.lock();
        if state.last_span.is_none_or(|(last, _)| last <= frame) {
            state.last_span = Some((frame, span));
        }
    }

    /// Counts runs whose name was given up before they came here as [`OTHER`](Self::OTHER), as there were as many names as may be.
    pub fn names_refused(&self, runs: u64) {
        self.state.lock().refused += runs;
    }

    /// Counts passes without a time.
    pub fn dropped(&self, why: UntimedPass, passes: u64) {
        self.state.lock().untimed[why as usize] += passes;
    }

    /// The passes of that frame, those of one name together, put into `passes` (which is cleared). The last 16 frames are kept; of others,
    /// and of frames of which no pass was read back yet, nothing is known.
    pub fn read_frame(&self, frame: u64, passes: &mut Vec<(Arc<str>, Duration)>) -> FramePasses {
        passes.clear();
        let state = self.state.lock();
        let (known, times) = state.frames.read(frame);
        passes.extend(times.iter().map(|&(place, time)| (Arc::clone(&state.passes[place].name), time)));
        known
    }

    /// All passes, that which takes longest first: by its mean over the last runs.
    #[must_use]
    pub fn report(&self) -> GpuPassReport {
        let state = self.state.lock();
        let mut passes: Vec<GpuPass> = state.passes.iter().filter_map(Pass::report).collect();
        passes.sort_by(|a, b| b.mean.cmp(&a.mean).then_with(|| a.name.cmp(&b.name)));
        GpuPassReport {
            passes,
            span: state.last_span,
            untimed: UntimedPass::ALL.map(|why| (why, state.untimed[why as usize])),
            beyond_names: state.refused,
        }
    }
}

impl State {
    /// Where the passes of that name are.
    fn place(&mut self, name: &str, names: usize) -> usize {
        let name = &name[..name.floor_char_boundary(PassTimeMonitor::LONGEST_NAME)];
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        if name != PassTimeMonitor::OTHER && self.places.len() < names {
            let name: Arc<str> = name.into();
            let place = self.appear(Arc::clone(&name));
            self.places.insert(name, place);
            return place;
        }
        // A pass may well be called that.
        self.refused += u64::from(name != PassTimeMonitor::OTHER);
        match self.other {
            Some(place) => place,
            None => {
                let place = self.appear(PassTimeMonitor::OTHER.into());
                self.other = Some(place);
                place
            }
        }
    }

    fn appear(&mut self, name: Arc<str>) -> usize {
        let window = VecDeque::with_capacity(PassTimeMonitor::WINDOW);
        self.passes.push(Pass { name, runs: 0, total: Duration::ZERO, window, last_frame: 0 });
        self.passes.len() - 1
    }
}

impl Pass {
    fn report(&self) -> Option<GpuPass> {
        let (&last, &max) = (self.window.back()?, self.window.iter().max()?);
        let sum: Duration = self.window.iter().sum();
        let mean = sum / u32::try_from(self.window.len()).ok()?;
        let Self { runs, total, last_frame, .. } = *self;
        Some(GpuPass { name: Arc::clone(&self.name), last, mean, max, runs, total, last_frame })
    }
}

impl ResourceMonitor for PassTimeMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Gpu
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }

    fn description_revision(&self) -> u64 {
        self.state.lock().passes.len() as u64
    }

    fn describe(&self, series: &mut Series) {
        series.histogram(
            "vitals_gpu_passes_span_seconds",
            "Time on the GPU from the first begin to the last end of a frame's timed passes",
            &self.span,
        );
        for why in UntimedPass::ALL {
            series
                .counter("vitals_gpu_passes_untimed_total", Unit::Count, "Passes without a time on the GPU, by reason")
                .label("reason", why.name());
        }
        series.counter(
            "vitals_gpu_pass_names_refused_total",
            Unit::Count,
            "Runs of passes that count as `other`, as there were as many names as may be",
        );
        for pass in &self.state.lock().passes {
            let name = || pass.name.to_string();
            series
                .counter("vitals_gpu_pass_seconds_total", Unit::Seconds, "Time on the GPU of all passes of a name")
                .label("pass", name());
            series
                .counter("vitals_gpu_pass_runs_total", Unit::Count, "Passes of a name whose time on the GPU was taken")
                .label("pass", name());
        }
    }

    fn record(&self, row: &mut Row<'_>) {
        let state = self.state.lock();
        // A program whose passes are not timed has none of these figures.
        let seen = !state.passes.is_empty() || state.untimed.iter().any(|&count| count > 0);
        for count in state.untimed.into_iter().chain([state.refused]) {
            row.push(seen.then_some(count));
        }
        for pass in &state.passes {
            row.push(pass.total).push(pass.runs);
        }
    }
}

/// What passes take on the GPU. As a table by its `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuPassReport {
    /// That which takes longest first, by its mean.
    pub passes: Vec<GpuPass>,
    /// The newest frame with all its passes read back: its number, and the time from the first begin to the last end of them.
    pub span: Option<(u64, Duration)>,
    /// How many passes have no time, by reason.
    pub untimed: [(UntimedPass, u64); UntimedPass::ALL.len()],
    /// Runs that count as [`OTHER`](PassTimeMonitor::OTHER), as there were as many names as may be.
    pub beyond_names: u64,
}

/// What the passes of one name take on the GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuPass {
    /// The passes' label.
    pub name: Arc<str>,
    /// The time of the run read back last.
    pub last: Duration,
    /// The mean of the last [`WINDOW`](PassTimeMonitor::WINDOW) runs.
    pub mean: Duration,
    /// The longest of these.
    pub max: Duration,
    /// Runs whose time was taken.
    pub runs: u64,
    /// The time of all of them.
    pub total: Duration,
    /// The newest frame that had one.
    pub last_frame: u64,
}

impl GpuPassReport {
    /// The passes of that name.
    #[must_use]
    pub fn pass(&self, name: &str) -> Option<&GpuPass> {
        self.passes.iter().find(|pass| &*pass.name == name)
    }

    /// How many passes have no time for that reason.
    #[must_use]
    pub fn untimed(&self, why: UntimedPass) -> u64 {
        self.untimed[why as usize].1
    }
}

impl fmt::Display for GpuPassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10} {:>10} {:>10} {:>9}  pass", "last us", "mean us", "max us", "runs")?;
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        for GpuPass { name, last, mean, max, runs, .. } in &self.passes {
            writeln!(
                f,
                "{:>10.1} {:>10.1} {:>10.1} {runs:>9}  {}",
                us(*last),
                us(*mean),
                us(*max),
                name.escape_debug()
            )?;
        }
        if let Some((frame, span)) = self.span {
            writeln!(f, "frame {frame}: {:.1} us from the first pass to the last", us(span))?;
        }
        let untimed = self.untimed.iter().filter(|(_, count)| *count > 0);
        for (why, count) in untimed {
            writeln!(f, "not timed, {}: {count}", why.name())?;
        }
        Ok(())
    }
}
