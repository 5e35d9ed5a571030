//! The no-op twins: the same calls, nothing measured, nothing created, nothing allocated.

use std::sync::Arc;

use engine_vitals_core::contract::GpuHook;
use engine_vitals_core::probe::Probe;

use super::{FrameSink, FrameTimerStats, Submission, SubmissionId, SubmissionStats, TimestampSupport};

/// Times nothing: the feature `telemetry` is off.
#[derive(Debug)]
pub struct FrameTimer;

impl FrameTimer {
    /// Creates nothing.
    #[must_use]
    pub fn new(_: &wgpu::Device, _: &wgpu::Queue, _: Arc<dyn FrameSink>) -> Self {
        Self
    }

    /// The same.
    #[must_use]
    pub fn numbered_by(self, _: Probe) -> Self {
        self
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
    pub fn submit<R>(&mut self, submit: impl FnOnce() -> R) -> R {
        submit()
    }

    /// Calls `present`.
    pub fn present<R>(&mut self, present: impl FnOnce() -> R) -> R {
        present()
    }
}

/// Submits and numbers nothing: the feature `telemetry` is off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Submissions;

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
        Submission { id: SubmissionId(0), index: queue.submit(command_buffers) }
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
