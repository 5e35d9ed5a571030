//! The thread that follows the events and writes them.

use crate::line::{LossLine, write_event, write_line};
use engine_vitals_core::probe::Event;
use engine_vitals_core::tracker::{EventCursor, Tracker};
use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// How an [`EventLog`] works.
#[must_use = "give it to EventLog::start"]
pub struct Options {
    interval: Duration,
    stop_within: Duration,
    on_lost: Box<dyn Fn(u64) + Send>,
}

impl Options {
    /// Reads every 50 ms, stops within 2 s.
    pub fn new() -> Self {
        Self { interval: Duration::from_millis(50), stop_within: Duration::from_secs(2), on_lost: Box::new(|_| {}) }
    }

    /// Time between two readings; 50 ms by default, 1 ms at least. Each thread's ring has to hold what its thread does
    /// meanwhile, and while the writer blocks.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Longest time that [`EventLog::stop`] and dropping the log wait for the writer; 2 s by default.
    pub fn stop_within(mut self, limit: Duration) -> Self {
        self.stop_within = limit;
        self
    }

    /// Called on the log's thread after each reading that found events overwritten, with their number.
    pub fn on_lost(mut self, hook: impl Fn(u64) + Send + 'static) -> Self {
        self.on_lost = Box::new(hook);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("interval", &self.interval)
            .field("stop_within", &self.stop_within)
            .finish_non_exhaustive()
    }
}

/// Writes a tracker's events as JSON lines, on a thread named `vitals-trace`, until it is stopped or dropped or the writer
/// fails. The counts may be read from any thread at any time.
///
/// Hooks do not wait for it. A writer that is slow or blocks costs events, never frames: the rings overwrite the oldest, and
/// the number is in [`lost`](Self::lost) and in a line of its own.
#[derive(Debug)]
pub struct EventLog {
    progress: Arc<Progress>,
    stop: Option<mpsc::Sender<Infallible>>,
    /// Disconnected when the thread ends. The lock, which is never taken, lets the log be shared between threads.
    ended: Mutex<mpsc::Receiver<Infallible>>,
    thread: Option<thread::JoinHandle<()>>,
    stop_within: Duration,
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
        let Options { interval, stop_within, on_lost } = options;
        let progress = Arc::<Progress>::default();
        let (stop, stopped) = mpsc::channel::<Infallible>();
        let (ending, ended) = mpsc::channel::<Infallible>();
        let mut pump = Pump {
            cursor: tracker.events(),
            tracker,
            writer,
            on_lost,
            progress: Arc::clone(&progress),
            events: Vec::new(),
            text: Vec::new(),
        };
        let thread = thread::Builder::new().name("vitals-trace".into()).spawn(move || {
            loop {
                // When the end is asked for, one more reading takes what is left.
                let last = stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout);
                if !pump.turn() || last {
                    break;
                }
            }
            // The writer and the tracker are let go before anyone learns that this is over.
            drop(pump);
            drop(ending);
        })?;
        Ok(Self { progress, stop: Some(stop), ended: Mutex::new(ended), thread: Some(thread), stop_within })
    }

    /// Writes what is left, flushes and ends the thread. `false` if the writer took longer than
    /// [`Options::stop_within`]: then the thread is left to itself and ends when the writer lets it, or another call may
    /// wait again. After `true` the counts are final. Dropping the log does the same.
    pub fn stop(&mut self) -> bool {
        self.stop = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(self.stop_within) {
            return false;
        }
        if let Some(thread) = self.thread.take() {
            // Only the writer's destructor can have panicked, which the panic hook has reported.
            let _ = thread.join();
        }
        true
    }

    /// Events whose lines were written and flushed.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.progress.delivered.load(Ordering::Relaxed)
    }

    /// Events that were overwritten before the log could read them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.progress.lost.load(Ordering::Relaxed)
    }

    /// Events that were read when the writer failed: some of their lines may have been written.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.progress.unwritten.load(Ordering::Relaxed)
    }

    /// Why the log ended before it was stopped: the writer's error, or that the writer or the hook for losses panicked.
    /// Events after that are neither written nor counted here.
    #[must_use]
    pub fn error(&self) -> Option<&io::Error> {
        self.progress.error.get()
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Text that is collected before it is written.
const CHUNK: usize = 64 * 1024;

/// What the thread has done so far.
#[derive(Debug, Default)]
struct Progress {
    delivered: AtomicU64,
    lost: AtomicU64,
    unwritten: AtomicU64,
    error: OnceLock<io::Error>,
}

/// What the thread owns.
struct Pump<W> {
    cursor: EventCursor,
    tracker: Arc<Tracker>,
    writer: W,
    on_lost: Box<dyn Fn(u64) + Send>,
    progress: Arc<Progress>,
    /// The last reading's, kept for its memory.
    events: Vec<Event>,
    /// Whole lines that are not written yet.
    text: Vec<u8>,
}

impl<W: Write> Pump<W> {
    /// One reading; `false` if the log has ended.
    fn turn(&mut self) -> bool {
        self.events.clear();
        let error = match catch_unwind(AssertUnwindSafe(|| self.transfer())) {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error,
            Err(_) => io::Error::other("the writer or the hook for losses panicked"),
        };
        self.progress.unwritten.fetch_add(self.events.len() as u64, Ordering::Relaxed);
        // It is empty: the first error is the last.
        let _ = self.progress.error.set(error);
        false
    }

    /// Reads what is new, and writes and counts it.
    fn transfer(&mut self) -> io::Result<()> {
        let lost = self.cursor.read(&mut self.events).lost;
        if lost > 0 {
            self.progress.lost.fetch_add(lost, Ordering::Relaxed);
            (self.on_lost)(lost);
            let ts = self.tracker.clock().now().unix_millis();
            write_line(&mut self.text, &LossLine { ts, lost })?;
        }
        for event in &self.events {
            write_event(&mut self.text, event, &self.tracker)?;
            if self.text.len() >= CHUNK {
                self.writer.write_all(&self.text)?;
                self.text.clear();
            }
        }
        if lost > 0 || !self.events.is_empty() {
            self.writer.write_all(&self.text)?;
            self.text.clear();
            self.writer.flush()?;
            self.progress.delivered.fetch_add(self.events.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}
