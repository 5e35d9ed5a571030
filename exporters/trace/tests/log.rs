//! How the log behaves: what is lost is counted, what is left is written, a writer that fails or blocks harms nobody.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "common/mod.rs"]
mod common;

use common::Sink;
use engine_vitals_core::monitor::HitchMonitor;
use engine_vitals_core::probe::{Clock, Level, Mark, New, Timestamp};
use engine_vitals_core::tracker::Tracker;
use engine_vitals_trace::{EventLog, Options};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything here takes.
const GUARD: Duration = Duration::from_secs(60);

fn tracker(ring: usize) -> Arc<Tracker> {
    Arc::new(Tracker::builder().level(Level::Events).ring_capacity(ring).build())
}

/// Reads when it is stopped, and not before.
fn on_stop() -> Options {
    Options::new().interval(Duration::from_secs(3600)).stop_within(GUARD)
}

fn marks(tracker: &Tracker, count: usize) {
    for _ in 0..count {
        tracker.probe().event(Mark::marker("mark"));
    }
}

/// Losses that the lines tell of, and lines of events.
fn tally(lines: &[Value]) -> (u64, u64) {
    let lost = lines.iter().filter(|line| line.get("event").is_none()).map(|line| line["lost"].as_u64().unwrap()).sum();
    (lost, lines.iter().filter(|line| line.get("event").is_some()).count() as u64)
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < GUARD, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_the_rings_overwrite_is_counted_exactly_and_stands_first() {
    let (clock, _) = Clock::manual(Timestamp::from_unix_nanos(5_000_000));
    let tracker = Arc::new(Tracker::builder().level(Level::Events).ring_capacity(4).clock(clock).build());
    let told = Arc::new(AtomicU64::new(0));
    let hook = {
        let told = Arc::clone(&told);
        move |lost| _ = told.fetch_add(lost, Ordering::Relaxed)
    };
    let sink = Sink::default();
    let mut log = EventLog::start(Arc::clone(&tracker), sink.clone(), on_stop().on_lost(hook)).unwrap();
    marks(&tracker, 1003);
    assert!(log.stop());
    let lines = sink.lines();
    assert_eq!(lines[0], json!({"ts": 5, "lost": 999}));
    assert_eq!(tally(&lines), (999, 4));
    assert_eq!((log.delivered(), log.lost(), told.load(Ordering::Relaxed)), (4, 999, 999));
}

#[test]
fn under_threads_delivered_and_lost_are_what_was_produced() {
    const THREADS: u64 = 4;
    const LIVES: u64 = 20_000;
    let tracker = tracker(64);
    let sink = Sink::default();
    let told = Arc::new(AtomicU64::new(0));
    let hook = {
        let told = Arc::clone(&told);
        move |lost| _ = told.fetch_add(lost, Ordering::Relaxed)
    };
    let options = Options::new().interval(Duration::from_millis(1)).stop_within(GUARD).on_lost(hook);
    let mut log = EventLog::start(Arc::clone(&tracker), sink.clone(), options).unwrap();
    let probe = tracker.probe();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(move || (0..LIVES).for_each(|bytes| drop(probe.create(New::buffer(bytes)))));
        }
    });
    assert!(log.stop());
    let (lost, written) = tally(&sink.lines());
    assert_eq!((lost, written), (log.lost(), log.delivered()));
    assert_eq!(lost + written, 2 * THREADS * LIVES);
    assert_eq!(tracker.totals().events.produced, 2 * THREADS * LIVES);
    assert_eq!(told.load(Ordering::Relaxed), lost);
}

#[test]
fn it_writes_while_the_program_runs_and_begins_where_it_was_started() {
    let tracker = tracker(4096);
    marks(&tracker, 3);
    let sink = Sink::default();
    let options = Options::new().interval(Duration::ZERO).stop_within(GUARD);
    let mut log = EventLog::start(Arc::clone(&tracker), sink.clone(), options).unwrap();
    for round in 1..=3 {
        marks(&tracker, 1);
        until("a line", || log.delivered() == round);
        assert_eq!(tally(&sink.lines()), (0, round));
    }
    assert!(log.stop());
    assert!(log.stop(), "stopping twice is the same as once");
    marks(&tracker, 1);
    assert_eq!((sink.lines().len(), log.delivered()), (3, 3));
}

#[test]
fn dropping_it_writes_all_that_is_left_and_lets_the_tracker_go() {
    let tracker = tracker(1 << 14);
    let sink = Sink::default();
    let log = EventLog::start(Arc::clone(&tracker), sink.clone(), on_stop()).unwrap();
    // More text than is collected before it is written.
    marks(&tracker, 10_000);
    assert_eq!(sink.text(), "");
    drop(log);
    assert_eq!(tally(&sink.lines()), (0, 10_000));
    assert_eq!(Arc::strong_count(&tracker), 1);
}

/// Takes some writes, then fails, and counts how often it was asked.
struct Failing {
    good: u64,
    calls: Arc<AtomicU64>,
}

impl Write for Failing {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.calls.fetch_add(1, Ordering::Relaxed) < self.good {
            Ok(text.len())
        } else {
            Err(io::Error::new(ErrorKind::StorageFull, "no space left"))
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_ends_the_log_for_good() {
    let tracker = tracker(4096);
    let calls = Arc::new(AtomicU64::new(0));
    let writer = Failing { good: 1, calls: Arc::clone(&calls) };
    let options = Options::new().interval(Duration::from_millis(1)).stop_within(GUARD);
    let mut log = EventLog::start(Arc::clone(&tracker), writer, options).unwrap();
    assert!(log.error().is_none());
    marks(&tracker, 1);
    until("the first line", || log.delivered() == 1);
    marks(&tracker, 1);
    until("the error", || log.error().is_some());
    // The engine goes on, and nothing asks the writer again.
    marks(&tracker, 5);
    assert!(log.stop());
    assert_eq!(log.error().map(io::Error::kind), Some(ErrorKind::StorageFull));
    assert_eq!((log.delivered(), log.lost(), log.unwritten()), (1, 0, 1));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    drop(log);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(Arc::strong_count(&tracker), 1);
}

#[test]
fn a_pipe_works_until_its_reader_closes_it() {
    let tracker = tracker(4096);
    let (reader, writer) = io::pipe().unwrap();
    let options = Options::new().interval(Duration::from_millis(1)).stop_within(GUARD);
    let mut log = EventLog::start(Arc::clone(&tracker), writer, options).unwrap();
    marks(&tracker, 1);
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["marker"], "mark");
    drop(reader);
    marks(&tracker, 1);
    until("the error", || log.error().is_some());
    assert_eq!(log.error().map(io::Error::kind), Some(ErrorKind::BrokenPipe));
    assert!(log.stop());
}

struct Panicking;

impl Write for Panicking {
    #[expect(clippy::panic, reason = "what the log must survive")]
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        panic!("on purpose: a writer with a fault");
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_panics_is_an_error_of_the_log_alone() {
    let tracker = tracker(4096);
    let mut log = EventLog::start(Arc::clone(&tracker), Panicking, on_stop()).unwrap();
    marks(&tracker, 2);
    assert!(log.stop());
    assert!(log.error().is_some_and(|error| error.to_string().contains("panicked")), "{:?}", log.error());
    assert_eq!((log.delivered(), log.unwritten()), (0, 2));
}

#[test]
fn a_hook_that_panics_is_an_error_of_the_log_alone() {
    let tracker = tracker(2);
    let hook = |_| panic!("on purpose: a hook with a fault");
    let mut log = EventLog::start(Arc::clone(&tracker), Sink::default(), on_stop().on_lost(hook)).unwrap();
    marks(&tracker, 5);
    assert!(log.stop());
    assert!(log.error().is_some_and(|error| error.to_string().contains("panicked")), "{:?}", log.error());
    assert_eq!((log.delivered(), log.lost(), log.unwritten()), (0, 3, 2));
}

#[test]
fn a_log_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&EventLog::start(tracker(2), Sink::default(), on_stop()).unwrap());
}

/// Says that it was asked to write, then waits until its sender is gone.
struct Blocking {
    asked: mpsc::Sender<()>,
    open: mpsc::Receiver<()>,
    sink: Sink,
}

impl Write for Blocking {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        _ = self.asked.send(());
        _ = self.open.recv();
        self.sink.write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[test]
fn a_writer_that_blocks_costs_events_but_neither_hooks_nor_the_end() {
    let tracker = tracker(8);
    let (asked, is_asked) = mpsc::channel();
    let (opener, open) = mpsc::channel();
    let sink = Sink::default();
    let writer = Blocking { asked, open, sink: sink.clone() };
    let options = Options::new().interval(Duration::from_millis(1)).stop_within(Duration::from_millis(20));
    let mut log = EventLog::start(Arc::clone(&tracker), writer, options).unwrap();
    marks(&tracker, 1);
    is_asked.recv_timeout(GUARD).unwrap();
    // The log's thread hangs now; the hooks do not.
    marks(&tracker, 100);
    assert!(!log.stop(), "the writer still blocks");
    assert_eq!((log.delivered(), sink.text().as_str()), (0, ""));
    // It lets go, and what is left is written after all.
    drop(opener);
    until("the end", || log.stop());
    assert_eq!((log.delivered(), log.lost()), (9, 92));
    assert_eq!(tally(&sink.lines()), (92, 9));
}

#[test]
fn a_frame_that_took_too_long_has_a_line_of_its_own() {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_000_000_000));
    let tracker = Arc::new(Tracker::builder().level(Level::Events).clock(clock).build());
    let probe = tracker.probe();
    let monitor = Arc::new(HitchMonitor::new(Arc::clone(&tracker), "hitches"));
    let frame = |millis| {
        let packet = probe.packet(probe.lane("main"));
        hand.advance(Duration::from_millis(millis));
        monitor.frame(probe.frame_ended(), Some(packet.id()))
    };
    (0..40).for_each(|_| assert_eq!(frame(10), None));
    assert!(frame(100).is_some(), "before the log begins");
    let sink = Sink::default();
    let options = on_stop().hitches(Arc::clone(&monitor));
    let mut log = EventLog::start(Arc::clone(&tracker), sink.clone(), options).unwrap();
    probe.stalled(Duration::from_millis(80));
    assert!(frame(100).is_some());
    assert!(log.stop());
    let lines: Vec<_> = sink.lines().into_iter().filter(|line| line.get("hitch").is_some()).collect();
    let cause = json!({"cause": "stalls", "us": 80_000.0, "basis": "measured", "count": 1, "bytes": 0});
    assert_eq!(
        lines,
        [json!({
            "ts": 1_600, "hitch": 2, "frame": 42, "frameUs": 100_000.0, "typicalUs": 10_000.0, "budgetUs": 20_000.0,
            "laneId": "main", "packetId": 42, "causes": [cause]
        })]
    );
    assert_eq!(log.delivered() as usize + lines.len(), sink.lines().len(), "it is no event");
}
