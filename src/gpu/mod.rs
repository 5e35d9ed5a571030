//! Time and submissions on a wgpu queue, and what there is to know about a device without asking it twice.
//!
//! This room owns the query sets, read-back buffers and completion callbacks that figures about the GPU are made of:
//!
//! - [`FrameTimer`]: four hooks a frame on the GPU; preparation, encoding, submission and presentation on the CPU
//! - [`Timestamps`]: the time stamps under it, for any other pass that is to be timed
//! - `pass_timer`: time stamps for the passes of an instrumented device, told to a [`PassSink`]
//! - [`Submissions`]: numbered submissions, when they complete, how many are in flight
//! - [`wanted_features`], [`AdapterFacts`]: what to ask of an adapter, and what it is called
//! - [`texture_bytes`]: how many bytes a texture's texels take
//!
//! It must not know of monitors, the registry or who shows a figure. The pure parts (`ticks`, `phases`, `slots`,
//! `ledger`, `footprint`, and `names`, `pool`, `frames` of the pass timer) know nothing of a device and are tested without one.
//! No call in this room waits for the GPU, and no
//! lock of this room is held while it calls into wgpu: wgpu runs other people's callbacks there.

mod adapter;
mod footprint;
#[cfg(feature = "telemetry")]
mod frame_timer;
#[cfg(feature = "telemetry")]
mod ledger;
#[cfg(not(feature = "telemetry"))]
mod off;
mod outcome;
#[cfg(feature = "instrument")]
pub(crate) mod pass_timer;
#[cfg(feature = "telemetry")]
mod phases;
#[cfg(feature = "telemetry")]
mod slots;
#[cfg(feature = "telemetry")]
mod submissions;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(feature = "telemetry")]
mod ticks;
#[cfg(feature = "telemetry")]
mod timestamps;

pub use adapter::{AdapterFacts, TimestampSupport, probe_backend, wanted_features};
pub use footprint::texture_bytes;
#[cfg(feature = "telemetry")]
pub use frame_timer::{FrameTimer, TimedFrame};
#[cfg(not(feature = "telemetry"))]
pub use off::{FrameTimer, Submissions, TimedFrame};
pub use outcome::{FrameSink, FrameTimerStats, PassSink, Submission, SubmissionId, SubmissionStats};
#[cfg(feature = "instrument")]
pub(crate) use submissions::Completion;
#[cfg(feature = "telemetry")]
pub use submissions::Submissions;
#[cfg(feature = "telemetry")]
pub use timestamps::{
    Batch, PassStamps, ReadbackError, Readings, Stamp, Timestamps, TimestampsConfig, TimestampsStats,
};
