//! What the timer and the submissions hand out: plain data, the same with and without telemetry.

use std::time::Duration;

use engine_vitals_core::contract::FrameStats;
use engine_vitals_core::monitor::{GpuFrameMonitor, PassTimeMonitor, TimerSkip, UntimedPass};

/// What has become of the frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameTimerStats {
    /// Frames begun.
    pub begun: u64,
    /// Frames whose stats were handed on.
    pub delivered: u64,
    /// Frames without hooks because all read-backs were in flight.
    pub skipped: u64,
    /// Frames whose hooks were recorded and could not be read back.
    pub failed: u64,
    /// Hooks left out because their time lay before that of an earlier hook, or was that of an earlier frame.
    pub disordered_hooks: u64,
}

/// Takes what a [`FrameTimer`](super::FrameTimer) measures: a [`GpuFrameMonitor`], or whatever an engine puts in its place.
///
/// Called from any thread that submits or polls the device; must not block.
pub trait FrameSink: Send + Sync {
    /// The stats of a frame, once they are complete. Frames may come out of order.
    fn frame(&self, stats: FrameStats);

    /// A frame has lost some or all of its hooks. Its stats come too, if anything of it was measured.
    fn skipped(&self, _why: TimerSkip) {}
}

impl FrameSink for GpuFrameMonitor {
    fn frame(&self, stats: FrameStats) {
        self.update_from_frame_stats(stats);
    }

    fn skipped(&self, why: TimerSkip) {
        self.frame_skipped(why);
    }
}

/// Takes the times of passes that an [`Instrumentation`](crate::instrument::Instrumentation) measures: a [`PassTimeMonitor`], or whatever an
/// engine puts in its place. Frames have the numbers of [`Probe::frame_number`](engine_vitals_core::probe::Probe::frame_number) at the pass's
/// submission.
///
/// Called from any thread that records, submits or polls; must not block.
pub trait PassSink: Send + Sync {
    /// A pass of that frame was read back. Frames may come out of order.
    fn pass(&self, frame: u64, name: &str, time: Duration);

    /// So many of the passes told are called [`PassTimeMonitor::OTHER`] for want of a place for their names: at most
    /// [`MAX_NAMES`](PassTimeMonitor::MAX_NAMES) are kept.
    fn names_refused(&self, _passes: u64) {}

    /// So many passes have no time.
    fn untimed(&self, _why: UntimedPass, _passes: u64) {}

    /// The frame is over, and none of its passes is in flight any more: it took so long on one device from the first begin to the last end.
    fn frame_span(&self, _frame: u64, _span: Duration) {}

    /// The frame is over, and none of its passes is in flight any more. Comes last, and once for each frame that had timed passes.
    fn frame_complete(&self, _frame: u64) {}
}

impl PassSink for PassTimeMonitor {
    fn pass(&self, frame: u64, name: &str, time: Duration) {
        self.pass(frame, name, time);
    }

    fn names_refused(&self, passes: u64) {
        self.names_refused(passes);
    }

    fn untimed(&self, why: UntimedPass, passes: u64) {
        self.dropped(why, passes);
    }

    fn frame_span(&self, frame: u64, span: Duration) {
        self.frame_span(frame, span);
    }

    fn frame_complete(&self, frame: u64) {
        self.frame_complete(frame);
    }
}

/// The number of a submission: 1, 2, 3, … for each [`Submissions`](super::Submissions); 0 without the feature `telemetry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmissionId(pub(super) u64);

impl SubmissionId {
    /// The number itself.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// A submission, under our number and under wgpu's index.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Submission {
    /// Our number.
    pub id: SubmissionId,
    /// What `Device::poll` takes to wait for it.
    pub index: wgpu::SubmissionIndex,
}

/// What has become of the submissions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubmissionStats {
    /// Submissions begun.
    pub submitted: u64,
    /// Submissions known to be done.
    pub completed: u64,
    /// Submissions of which it will never be known: the device was lost, or `Queue::submit` panicked.
    pub abandoned: u64,
    /// Submissions that are neither.
    pub in_flight: u64,
    /// Latency of the submission that was completed last.
    pub last_latency: Option<Duration>,
}
