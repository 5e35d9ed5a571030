//! The event stream as JSON lines.

use crate::hitch_line::HitchLine;
use crate::line::{LossLine, write_event, write_line};
use crate::pump::{Format, Options, Worker};
use engine_vitals_core::analysis::hitches::Hitch;
use engine_vitals_core::probe::Event;
use engine_vitals_core::tracker::Tracker;
use std::io::{self, Write};
use std::sync::Arc;

/// Writes a tracker's events as JSON lines, on a thread named `vitals-trace`, until it is stopped or dropped or the writer
/// fails. The counts may be read from any thread at any time.
///
/// Hooks do not wait for it. A writer that is slow or blocks costs events, never frames: the rings overwrite the oldest, and
/// the number is in [`lost`](Self::lost) and in a line of its own.
#[derive(Debug)]
pub struct EventLog {
    worker: Worker,
}

impl EventLog {
    /// Begins with the events from now on. The log keeps `tracker` until its thread has ended; it leaves the level alone,
    /// and there are events only at [`Level::Events`](engine_vitals_core::probe::Level::Events).
    ///
    /// Lines are handed to `writer` whole, many to a write, and flushed after each reading: it needs no buffer. It must
    /// not report to `tracker` itself, since each line would cause another.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(tracker: Arc<Tracker>, writer: impl Write + Send + 'static, options: Options) -> io::Result<Self> {
        Ok(Self { worker: Worker::start("vitals-trace", tracker, writer, options, Lines)? })
    }

    /// Writes what is left, flushes and ends the thread. `false` if the writer took longer than
    /// [`Options::stop_within`]: then the thread is left to itself and ends when the writer lets it, or another call may
    /// wait again. After `true` the counts are final. Dropping the log does the same.
    pub fn stop(&mut self) -> bool {
        self.worker.stop()
    }

    /// Events whose lines were written and flushed.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.worker.progress().delivered()
    }

    /// Events that were overwritten before the log could read them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.worker.progress().lost()
    }

    /// Events that were read when the writer failed: some of their lines may have been written.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.worker.progress().unwritten()
    }

    /// Why the log ended before it was stopped: the writer's error, or that the writer or the hook for losses panicked.
    /// Events after that are neither written nor counted here.
    #[must_use]
    pub fn error(&self) -> Option<&io::Error> {
        self.worker.progress().error()
    }
}

/// One object per line.
struct Lines;

impl Format for Lines {
    const IN_ORDER: bool = false;

    fn lost(&mut self, tracker: &Tracker, lost: u64, text: &mut Vec<u8>) -> io::Result<()> {
        write_line(text, &LossLine { ts: tracker.clock().now().unix_millis(), lost })
    }

    fn event(&mut self, tracker: &Tracker, event: &Event, text: &mut Vec<u8>) -> io::Result<()> {
        write_event(text, event, tracker)
    }

    fn hitch(&mut self, tracker: &Tracker, hitch: &Hitch, text: &mut Vec<u8>) -> io::Result<()> {
        write_line(text, &HitchLine::new(hitch, tracker))
    }
}
