//! Times passes without their doing: what the instrumentation gives to passes that have no time stamps of their own.
//!
//! [`PassTiming`] is what all devices of one instrumentation share: the switch, the names, the frames, and the sink that is told. A device
//! has a [`PassTimer`], an encoder [`EncoderPasses`], which hands two queries to each of its passes. A submission takes the passes of its
//! command buffers to [`PassTimer::resolve`], which puts one command buffer of its own behind them: it resolves all that they have written and
//! reads it back. So the program's own command buffers have nothing in them that they did not have, and their errors are the same.
//!
//! Queries are taken in chunks and in turn, by encoders that are being recorded: once they are submitted the chunk is free, since what is
//! recorded later is submitted later. What reads them back has a slot until it was read. Nothing waits, and in the steady state nothing
//! is allocated for a pass: what finds no query and no slot is not timed, and counted.

mod frames;
mod names;
mod pool;
mod read_back;
mod retry;
mod timer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use engine_vitals_core::monitor::UntimedPass;
use engine_vitals_core::probe::Probe;
use parking_lot::Mutex;

use self::frames::{Frames, Span};
use self::names::Names;
pub(crate) use self::retry::Retry;
pub(crate) use self::timer::{EncoderPasses, PassQueries, PassTimer};
use super::PassSink;

/// Queries that the passes of a frame may use by default: those of 128 passes.
pub(crate) const DEFAULT_QUERIES: u32 = 256;

/// What all devices of one instrumentation share.
pub(crate) struct PassTiming {
    on: AtomicBool,
    /// Passes that a frame may time.
    budget: AtomicU32,
    probe: Probe,
    sink: Option<Arc<dyn PassSink>>,
    names: Names,
    frames: Mutex<Frames>,
}

impl PassTiming {
    /// Tells `sink`, by the frames of `probe`. Without a sink nothing is timed.
    pub(crate) fn new(probe: Probe, sink: Option<Arc<dyn PassSink>>, on: bool, queries: u32) -> Arc<Self> {
        let timing = Self {
            on: AtomicBool::new(false),
            budget: AtomicU32::new(0),
            probe,
            sink,
            names: Names::new(),
            frames: Mutex::default(),
        };
        timing.set(on);
        timing.set_queries_per_frame(queries);
        Arc::new(timing)
    }

    /// Whether encoders that are made now time their passes.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, on: bool) {
        self.on.store(on && self.sink.is_some(), Ordering::Relaxed);
    }

    /// Each pass takes two.
    pub(crate) fn set_queries_per_frame(&self, queries: u32) {
        self.budget.store(queries / 2, Ordering::Relaxed);
    }

    /// Tells of the frames that are over and have nothing in flight. To be called when a frame ends, and whenever else it suits.
    pub(crate) fn tell_finished(&self) {
        loop {
            let finished = {
                let mut frames = self.frames.lock();
                frames.finished(self.probe.frame_number())
            };
            // Outside the lock: the sink is somebody else's.
            let (Some(finished), Some(sink)) = (finished, &self.sink) else { return };
            for span in finished.spans {
                sink.frame_span(finished.number, span);
            }
            sink.frame_complete(finished.number);
        }
    }

    /// A submission with timed passes is being made: in the frame of that number.
    fn submitted(&self) -> u64 {
        let mut frames = self.frames.lock();
        // Under the lock, so that a frame that was told to be finished has no submission afterwards.
        let number = self.probe.frame_number();
        frames.submitted(number);
        number
    }

    /// One of that frame's submissions was read back, or never will be.
    fn ended(&self, frame: u64, span: Option<Span>) {
        self.frames.lock().ended(frame, span);
        self.tell_finished();
    }

    fn untimed(&self, why: UntimedPass, passes: u32) {
        if let Some(sink) = self.sink.as_ref().filter(|_| passes > 0) {
            sink.untimed(why, passes.into());
        }
    }

    /// The frame under way, and how many passes it may time.
    fn frame(&self) -> (u64, u32) {
        (self.probe.frame_number(), self.budget.load(Ordering::Relaxed))
    }
}

/// Whether that frame is the first: the only one of a program that tells of no frames. In it a pass counts for the budget until it was
/// read back, or such a program's passes would be timed for a moment only.
fn is_first(frame: u64) -> bool {
    frame <= 1
}

impl fmt::Debug for PassTiming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassTiming").field("on", &self.is_on()).finish_non_exhaustive()
    }
}
