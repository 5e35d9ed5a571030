//! The thread that follows a tracker's events and has them written: shared by every file that this crate writes.
//!
//! It owns the reading, the hand-over of whole pieces to the writer, the counts and the end. What the pieces look like is
//! a [`Format`]'s business.

use engine_vitals_core::analysis::hitches::Hitch;
use engine_vitals_core::memory::HeapTag;
use engine_vitals_core::monitor::HitchMonitor;
use engine_vitals_core::probe::{Event, Timestamp};
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

/// When an [`EventLog`](crate::EventLog) or a [`TraceFile`](crate::TraceFile) reads, how long it takes to stop, and who is
/// told of losses.
#[must_use = "give it to EventLog::start, or to TraceOptions::reading"]
pub struct Options {
    interval: Duration,
    stop_within: Duration,
    on_lost: Box<dyn Fn(u64) + Send>,
    hitches: Option<Arc<HitchMonitor>>,
}

impl Options {
    /// Reads every 50 ms, stops within 2 s.
    pub fn new() -> Self {
        Self {
            interval: Duration::from_millis(50),
            stop_within: Duration::from_secs(2),
            on_lost: Box::new(|_| {}),
            hitches: None,
        }
    }

    /// Time between two readings; 50 ms by default, 1 ms at least. Each thread's ring has to hold what its thread does
    /// meanwhile, and while the writer blocks.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Longest time that stopping, and dropping what writes, wait for the writer; 2 s by default.
    pub fn stop_within(mut self, limit: Duration) -> Self {
        self.stop_within = limit;
        self
    }

    /// Called on the thread that writes after each reading that found events overwritten, with their number.
    pub fn on_lost(mut self, hook: impl Fn(u64) + Send + 'static) -> Self {
        self.on_lost = Box::new(hook);
        self
    }

    /// Writes the hitches that this monitor finds from now on, too. Of more than it keeps between two readings, the oldest are missing.
    pub fn hitches(mut self, monitor: Arc<HitchMonitor>) -> Self {
        self.hitches = Some(monitor);
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

/// How events are written. Each call appends whole pieces of the file to `text`: after any of them it is readable so far.
pub(crate) trait Format: Send + 'static {
    /// An event comes after all that it follows from, on whatever thread that was: a completion after its submission.
    /// Costs one reading's delay.
    const IN_ORDER: bool;

    /// On the thread that starts it: events from `_at` on will come.
    fn prepare(&mut self, _: &Tracker, _at: Timestamp) {}

    /// Before the first reading.
    fn begin(&mut self, _: &Tracker, _: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    /// So many events were overwritten; the ones that were not come after.
    fn lost(&mut self, tracker: &Tracker, lost: u64, text: &mut Vec<u8>) -> io::Result<()>;

    /// One event.
    fn event(&mut self, tracker: &Tracker, event: &Event, text: &mut Vec<u8>) -> io::Result<()>;

    /// A frame took too long. Comes some frames after its end.
    fn hitch(&mut self, tracker: &Tracker, hitch: &Hitch, text: &mut Vec<u8>) -> io::Result<()>;

    /// After the events and hitches of a reading. `last`: there will be no other.
    fn reading_ends(&mut self, _: &Tracker, _last: bool, _: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

/// What the thread has done so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    delivered: AtomicU64,
    lost: AtomicU64,
    unwritten: AtomicU64,
    error: OnceLock<io::Error>,
}

impl Progress {
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }

    pub(crate) fn error(&self) -> Option<&io::Error> {
        self.error.get()
    }
}

/// The thread, which ends when this is stopped or dropped, or the writer fails.
#[derive(Debug)]
pub(crate) struct Worker {
    progress: Arc<Progress>,
    stop: Option<mpsc::Sender<Infallible>>,
    /// Disconnected when the thread ends. The lock, which is never taken, lets the worker be shared between threads.
    ended: Mutex<mpsc::Receiver<Infallible>>,
    thread: Option<thread::JoinHandle<()>>,
    stop_within: Duration,
}

impl Worker {
    /// Begins with the events from now on, on a thread of that name.
    pub(crate) fn start<F: Format>(
        name: &str,
        tracker: Arc<Tracker>,
        writer: impl Write + Send + 'static,
        options: Options,
        mut format: F,
    ) -> io::Result<Self> {
        let _own = HeapTag::OWN.enter();
        let Options { interval, stop_within, on_lost, hitches } = options;
        let hitches = hitches.map(|monitor| Hitches { last: monitor.count(), monitor });
        let progress = Arc::<Progress>::default();
        let (stop, stopped) = mpsc::channel::<Infallible>();
        let (ending, ended) = mpsc::channel::<Infallible>();
        let cursor = tracker.events();
        format.prepare(&tracker, tracker.clock().now());
        let mut pump = Pump {
            cursor,
            tracker,
            writer,
            format,
            on_lost,
            hitches,
            progress: Arc::clone(&progress),
            events: Vec::new(),
            text: Vec::new(),
        };
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            let _own = HeapTag::OWN.enter();
            let mut goes_on = pump.guarded(Pump::begin);
            while goes_on {
                // When the end is asked for, one more reading takes what is left.
                let last = stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout);
                goes_on = pump.guarded(|pump| pump.transfer(last)) && !last;
            }
            // The writer and the tracker are let go before anyone learns that this is over.
            drop(pump);
            drop(ending);
        })?;
        Ok(Self { progress, stop: Some(stop), ended: Mutex::new(ended), thread: Some(thread), stop_within })
    }

    /// What was done so far.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes what is left and ends; `false` if the writer does not let it in time.
    pub(crate) fn stop(&mut self) -> bool {
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
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where hitches come from, and the number of the last that was written.
struct Hitches {
    monitor: Arc<HitchMonitor>,
    last: u64,
}

/// Text that is collected before it is written.
const CHUNK: usize = 64 * 1024;

/// What the thread owns.
struct Pump<W, F> {
    cursor: EventCursor,
    tracker: Arc<Tracker>,
    writer: W,
    format: F,
    on_lost: Box<dyn Fn(u64) + Send>,
    hitches: Option<Hitches>,
    progress: Arc<Progress>,
    /// Those that are not written yet, sorted by time.
    events: Vec<Event>,
    /// Whole pieces that are not written yet.
    text: Vec<u8>,
}

impl<W: Write, F: Format> Pump<W, F> {
    /// Whether the step was done; if not, this is the end.
    fn guarded(&mut self, step: impl FnOnce(&mut Self) -> io::Result<()>) -> bool {
        let error = match catch_unwind(AssertUnwindSafe(|| step(self))) {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error,
            Err(_) => io::Error::other("the writer or the hook for losses panicked"),
        };
        self.progress.unwritten.fetch_add(self.events.len() as u64, Ordering::Relaxed);
        // It is empty: the first error is the last.
        let _ = self.progress.error.set(error);
        false
    }

    fn begin(&mut self) -> io::Result<()> {
        self.format.begin(&self.tracker, &mut self.text)?;
        self.hand_over()
    }

    /// Reads what is new, and writes and counts it.
    fn transfer(&mut self, last: bool) -> io::Result<()> {
        let began = self.tracker.clock().now();
        let lost = self.cursor.read(&mut self.events).lost;
        let mut ready = self.events.len();
        if F::IN_ORDER {
            self.events.sort_by_key(|event| event.time);
            if !last {
                // A later event may have been read on one thread before its cause was there to be read on another.
                ready = self.events.partition_point(|event| event.time < began);
            }
        }
        if lost > 0 {
            self.progress.lost.fetch_add(lost, Ordering::Relaxed);
            (self.on_lost)(lost);
            self.format.lost(&self.tracker, lost, &mut self.text)?;
        }
        for event in self.events.iter().take(ready) {
            self.format.event(&self.tracker, event, &mut self.text)?;
            if self.text.len() >= CHUNK {
                self.writer.write_all(&self.text)?;
                self.text.clear();
            }
        }
        if let Some(Hitches { monitor, last }) = &mut self.hitches {
            for hitch in monitor.hitches_after(*last) {
                *last = hitch.number;
                self.format.hitch(&self.tracker, &hitch, &mut self.text)?;
            }
        }
        self.format.reading_ends(&self.tracker, last, &mut self.text)?;
        if ready > 0 || !self.text.is_empty() {
            self.hand_over()?;
            self.progress.delivered.fetch_add(ready as u64, Ordering::Relaxed);
            self.events.drain(..ready);
        }
        Ok(())
    }

    fn hand_over(&mut self) -> io::Result<()> {
        if !self.text.is_empty() {
            self.writer.write_all(&self.text)?;
            self.text.clear();
        }
        self.writer.flush()
    }
}
