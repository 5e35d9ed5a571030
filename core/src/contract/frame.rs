//! The times of a frame, on the CPU and on the GPU.

use std::time::Duration;

/// The four places of a frame at which its time on the GPU is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum GpuHook {
    /// Before the frame's first work.
    FrameStart = 0,
    /// Before the main pass.
    MainPassBegin = 1,
    /// After the main pass.
    MainPassEnd = 2,
    /// After the frame's last work.
    FrameEnd = 3,
}

impl GpuHook {
    /// All hooks in the order of a frame.
    pub const ALL: [Self; 4] = [Self::FrameStart, Self::MainPassBegin, Self::MainPassEnd, Self::FrameEnd];
}

/// What a frame's time on the CPU is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum CpuPhase {
    /// From the frame's begin to its first hook: simulation, culling, uploads. All of the preparation for a frame without hooks.
    Prepare = 0,
    /// From the first hook to the submission: recording commands.
    Encode = 1,
    /// Inside `Queue::submit`.
    Submit = 2,
    /// Inside the call that presents.
    Present = 3,
}

impl CpuPhase {
    /// All phases in the order of a frame.
    pub const ALL: [Self; 4] = [Self::Prepare, Self::Encode, Self::Submit, Self::Present];

    /// The value of the label `phase`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Encode => "encode",
            Self::Submit => "submit",
            Self::Present => "present",
        }
    }
}

/// The times of one frame, as an engine's own timer or `FrameTimer` hands them in. What was not measured is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameStats {
    /// Number of the frame.
    pub frame_number: u64,
    /// Time on the GPU of each [`GpuHook`], since the first of the frame's hooks.
    pub hooks: [Option<Duration>; 4],
    /// Time on the CPU from the frame's begin to its submission, encoding included.
    pub cpu_preparation: Option<Duration>,
    /// The part of [`cpu_preparation`](Self::cpu_preparation) from the frame's first hook on: recording its commands.
    pub cpu_encode: Option<Duration>,
    /// Time on the CPU spent in submitting.
    pub cpu_submission: Option<Duration>,
    /// Time on the CPU spent in presenting.
    pub cpu_present: Option<Duration>,
}

/// The times of one finished frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuReport {
    /// Number of the frame.
    pub frame_number: u64,
    /// Microseconds on the GPU since the first hook, of FrameStart, MainPassBegin, MainPassEnd, FrameEnd; `None` without timestamps.
    pub hook_timings_us: [Option<u32>; 4],
    /// Microseconds on the CPU from the frame's begin to its submission, encoding included.
    pub cpu_preparation_time_us: Option<u32>,
    /// The part of them from the frame's first hook on; `None` for a frame without hooks.
    pub cpu_encode_time_us: Option<u32>,
    /// Microseconds on the CPU spent in submitting.
    pub cpu_submission_time_us: Option<u32>,
    /// Microseconds on the CPU spent in presenting; `None` for a frame whose presenting was not timed.
    pub cpu_present_time_us: Option<u32>,
}

impl From<FrameStats> for GpuReport {
    fn from(stats: FrameStats) -> Self {
        Self {
            frame_number: stats.frame_number,
            hook_timings_us: stats.hooks.map(|time| time.and_then(micros)),
            cpu_preparation_time_us: stats.cpu_preparation.and_then(micros),
            cpu_encode_time_us: stats.cpu_encode.and_then(micros),
            cpu_submission_time_us: stats.cpu_submission.and_then(micros),
            cpu_present_time_us: stats.cpu_present.and_then(micros),
        }
    }
}

impl FrameStats {
    /// Time on the GPU from one hook to a later one; `None` when one is missing or the later lies before the earlier.
    #[must_use]
    pub fn between(&self, begin: GpuHook, end: GpuHook) -> Option<Duration> {
        self.hooks[end as usize]?.checked_sub(self.hooks[begin as usize]?)
    }

    /// Time on the CPU in a phase of the frame. Phases do not overlap: the preparation ends where encoding begins.
    #[must_use]
    pub fn phase(&self, phase: CpuPhase) -> Option<Duration> {
        match phase {
            CpuPhase::Prepare => Some(self.cpu_preparation?.saturating_sub(self.cpu_encode.unwrap_or_default())),
            CpuPhase::Encode => self.cpu_encode,
            CpuPhase::Submit => self.cpu_submission,
            CpuPhase::Present => self.cpu_present,
        }
    }
}

impl GpuReport {
    /// Time on the GPU of a hook, since the frame's first.
    #[must_use]
    pub fn hook(&self, hook: GpuHook) -> Option<Duration> {
        self.hook_timings_us[hook as usize].map(|us| Duration::from_micros(us.into()))
    }

    /// Microseconds from FrameStart to FrameEnd.
    #[must_use]
    pub fn frame_total_duration_us(&self) -> Option<u32> {
        self.between(GpuHook::FrameStart, GpuHook::FrameEnd)
    }

    /// Microseconds from MainPassBegin to MainPassEnd.
    #[must_use]
    pub fn main_pass_duration_us(&self) -> Option<u32> {
        self.between(GpuHook::MainPassBegin, GpuHook::MainPassEnd)
    }

    /// Time from FrameStart to FrameEnd.
    #[must_use]
    pub fn frame_total_duration(&self) -> Option<Duration> {
        self.frame_total_duration_us().map(|us| Duration::from_micros(us.into()))
    }

    /// Time from MainPassBegin to MainPassEnd.
    #[must_use]
    pub fn main_pass_duration(&self) -> Option<Duration> {
        self.main_pass_duration_us().map(|us| Duration::from_micros(us.into()))
    }

    /// Time on the CPU from the frame's begin to its submission, encoding included.
    #[must_use]
    pub fn cpu_preparation_time(&self) -> Option<Duration> {
        self.cpu_preparation_time_us.map(|us| Duration::from_micros(us.into()))
    }

    /// The part of [`cpu_preparation_time`](Self::cpu_preparation_time) from the frame's first hook on.
    #[must_use]
    pub fn cpu_encode_time(&self) -> Option<Duration> {
        self.cpu_encode_time_us.map(|us| Duration::from_micros(us.into()))
    }

    /// Time on the CPU spent in submitting.
    #[must_use]
    pub fn cpu_submission_time(&self) -> Option<Duration> {
        self.cpu_submission_time_us.map(|us| Duration::from_micros(us.into()))
    }

    /// Time on the CPU spent in presenting.
    #[must_use]
    pub fn cpu_present_time(&self) -> Option<Duration> {
        self.cpu_present_time_us.map(|us| Duration::from_micros(us.into()))
    }

    /// `None` when a hook is missing or the end lies before the begin.
    fn between(&self, begin: GpuHook, end: GpuHook) -> Option<u32> {
        self.hook_timings_us[end as usize]?.checked_sub(self.hook_timings_us[begin as usize]?)
    }
}

/// `None` beyond `u32::MAX` microseconds, 71 minutes: no frame takes that long.
fn micros(time: Duration) -> Option<u32> {
    u32::try_from(time.as_micros()).ok()
}
