//! The trace file.

use crate::perfetto::{LeftOut, Recorder};
use crate::pump::{Options, Worker};
use engine_vitals_core::tracker::Tracker;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How a [`TraceFile`] works.
#[derive(Debug, Default)]
#[must_use = "give it to TraceFile::start"]
pub struct TraceOptions {
    reading: Options,
    lifetimes: Option<usize>,
}

impl TraceOptions {
    /// Reads as [`Options::new`] does, and keeps 65,536 resources in sight.
    pub fn new() -> Self {
        Self::default()
    }

    /// When it reads, how long it takes to stop, and who is told of losses.
    pub fn reading(mut self, options: Options) -> Self {
        self.reading = options;
        self
    }

    /// Resources whose slices may be open at once, about 100 bytes each; 65,536 by default. Others have theirs when they
    /// are released, and are counted by [`TraceFile::left_out`].
    pub fn open_lifetimes(mut self, resources: usize) -> Self {
        self.lifetimes = Some(resources);
        self
    }
}

/// Writes a tracker's events as a trace that [Perfetto](https://ui.perfetto.dev) opens, on a thread named `vitals-perfetto`,
/// until it is stopped or dropped or the writer fails. What is in it, and its limits: `docs/TRACE.md`. The counts may be
/// read from any thread at any time.
///
/// Hooks do not wait for it: what the writer is too slow for is overwritten in the rings, and counted, in the trace too.
///
/// The file needs no end: what is left of a program that died is a trace up to the last reading.
///
/// ```
/// use engine_vitals_core::{probe::{Level, New}, tracker::Tracker};
/// use engine_vitals_trace::{TraceFile, TraceOptions};
/// use std::sync::Arc;
///
/// let tracker = Arc::new(Tracker::builder().level(Level::Events).build());
/// let writer = std::io::sink(); // or a File
/// let mut trace = TraceFile::start(Arc::clone(&tracker), writer, TraceOptions::new())?;
/// drop(tracker.probe().create(New::texture(4 * 256 * 256)));
/// assert!(trace.stop()); // or drop it: what is left is written
/// assert_eq!((trace.delivered(), trace.lost(), trace.left_out()), (2, 0, 0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TraceFile {
    worker: Worker,
    left_out: LeftOut,
}

impl TraceFile {
    /// Begins with what is live, of which it takes a [snapshot](Tracker::snapshot), and the events from now on. The trace keeps `tracker` until its thread has ended; it leaves
    /// the level alone, and there are events only at [`Level::Events`](engine_vitals_core::probe::Level::Events).
    ///
    /// Whole packets of the trace are handed to `writer`, many to a write, and flushed after each reading: it needs no
    /// buffer. It must not report to `tracker` itself.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(
        tracker: Arc<Tracker>,
        writer: impl Write + Send + 'static,
        options: TraceOptions,
    ) -> io::Result<Self> {
        let left_out = LeftOut::default();
        let recorder = Recorder::new(options.lifetimes.unwrap_or(1 << 16), Arc::clone(&left_out));
        Ok(Self { worker: Worker::start("vitals-perfetto", tracker, writer, options.reading, recorder)?, left_out })
    }

    /// Writes what is left, flushes and ends the thread. `false` if the writer took longer than
    /// [`Options::stop_within`]: then the thread is left to itself and ends when the writer lets it, or another call may
    /// wait again. After `true` the counts are final. Dropping the trace does the same.
    pub fn stop(&mut self) -> bool {
        self.worker.stop()
    }

    /// Events that went into the trace and were flushed. Those of touches count, and show nothing.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.worker.progress().delivered()
    }

    /// Events that were overwritten before they could be read. Each is counted in the trace too, in an instant
    /// `events lost`.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.worker.progress().lost()
    }

    /// Slices that could not begin for want of room: they come when they end, if then there is room.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Events that were read when the writer failed: some of them may have been written.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.worker.progress().unwritten()
    }

    /// Why the trace ended before it was stopped: the writer's error, or that the writer or the hook for losses panicked.
    /// Events after that are neither written nor counted here.
    #[must_use]
    pub fn error(&self) -> Option<&io::Error> {
        self.worker.progress().error()
    }
}
