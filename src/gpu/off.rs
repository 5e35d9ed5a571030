//! The no-op twins: the same calls, nothing measured, nothing created, nothing allocated.

use std::sync::Arc;
use std::time::Duration;

use engine_vitals_core::contract::{FrameStats, GpuHook};
use engine_vitals_core::monitor::{GpuFrameMonitor, TimerSkip};
use engine_vitals_core::probe::Probe;

use super::TimestampSupport;

/// Would take what a [`FrameTimer`] measures.
pub trait FrameSink: Send + Sync {
    /// Never called.
    fn frame(&self, stats: FrameStats);

    /// Never called.
    fn skipped(&self, _why: TimerSkip) {}
}

impl FrameSink for GpuFrameMonitor {
    fn frame(&self, _: FrameStats) {}
}

/// Times nothing: the feature `telemetry` is off.
#[derive(Debug)]
pub struct FrameTimer;

/// Zero: the feature `telemetry` is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameTimerStats {
    /// Zero.
    pub begun: u64,
    /// Zero.
    pub delivered: u64,
    /// Zero.
    pub skipped: u64,
    /// Zero.
    pub failed: u64,
    /// Zero.
    pub disordered_hooks: u64,
}

impl FrameTimer {
    /// Creates nothing.
    #[must_use]
    pub fn new(_: &wgpu::Device, _: &wgpu::Queue, _: Arc<dyn FrameSink>) -> Self {
        Self
    }

    /// A frame that is not timed.
    #[must_use]
    pub fn begin(&self) -> TimedFrame {
        TimedFrame
    }

    /// Nowhere.
    #[must_use]
    pub fn support(&self) -> TimestampSupport {
        TimestampSupport::None
    }

    /// Zero.
    #[must_use]
    pub fn stats(&self) -> FrameTimerStats {
        FrameTimerStats::default()
    }
}

/// A frame that is not timed.
#[derive(Debug)]
pub struct TimedFrame;

impl TimedFrame {
    /// Always 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        0
    }

    /// Records nothing.
    pub fn start(&mut self, _: &mut wgpu::CommandEncoder) {}

    /// Always `None`.
    pub fn main_pass(&mut self) -> Option<wgpu::RenderPassTimestampWrites<'_>> {
        None
    }

    /// Records nothing.
    pub fn mark(&mut self, _: GpuHook, _: &mut wgpu::CommandEncoder) {}

    /// Records nothing.
    pub fn end(&mut self, _: &mut wgpu::CommandEncoder) {}

    /// Calls `submit`.
    pub fn submit<R>(self, submit: impl FnOnce() -> R) -> R {
        submit()
    }
}

/// Submits and numbers nothing: the feature `telemetry` is off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Submissions;

/// No number: the feature `telemetry` is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmissionId;

impl SubmissionId {
    /// Always 0.
    #[must_use]
    pub fn get(self) -> u64 {
        0
    }
}

/// A submission, under wgpu's index alone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Submission {
    /// No number.
    pub id: SubmissionId,
    /// What `Device::poll` takes to wait for it.
    pub index: wgpu::SubmissionIndex,
}

/// Zero: the feature `telemetry` is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubmissionStats {
    /// Zero.
    pub submitted: u64,
    /// Zero.
    pub completed: u64,
    /// Zero.
    pub abandoned: u64,
    /// Zero.
    pub in_flight: u64,
    /// Always `None`.
    pub last_latency: Option<Duration>,
}

impl Submissions {
    /// Nothing.
    #[must_use]
    pub fn new(_: Probe) -> Self {
        Self
    }

    /// Submits to `queue`.
    ///
    /// # Panics
    /// As `Queue::submit` does, for invalid command buffers with wgpu's default error handler.
    pub fn submit(
        &self,
        queue: &wgpu::Queue,
        command_buffers: impl IntoIterator<Item = wgpu::CommandBuffer>,
    ) -> Submission {
        Submission { id: SubmissionId, index: queue.submit(command_buffers) }
    }

    /// Always false: nothing is known.
    #[must_use]
    pub fn is_done(&self, _: SubmissionId) -> bool {
        false
    }

    /// Always `None`.
    #[must_use]
    pub fn done_up_to(&self) -> Option<SubmissionId> {
        None
    }

    /// Zero.
    #[must_use]
    pub fn stats(&self) -> SubmissionStats {
        SubmissionStats::default()
    }
}
