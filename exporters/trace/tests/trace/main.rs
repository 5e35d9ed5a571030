//! The trace as a reader that is not ours sees it: Perfetto's trace processor counts what happened.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod course;
mod damage;
mod hitch;
mod lost;
#[path = "../reader/mod.rs"]
mod reader;
mod stores;

use engine_vitals_core::probe::{Clock, Level, ManualClock, Timestamp};
use engine_vitals_core::tracker::Tracker;
use engine_vitals_trace::{Options, TraceOptions};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Far longer than anything here takes.
const GUARD: Duration = Duration::from_secs(60);

/// What is wrong with a trace, by Perfetto's own account.
const FAULTS: &str = "select name, value from stats where severity in ('error', 'data_loss') and value > 0";

/// A writer's bytes.
#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    fn get(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads when it is stopped, and not before.
fn on_stop() -> TraceOptions {
    TraceOptions::new().reading(Options::new().interval(Duration::from_secs(3600)).stop_within(GUARD))
}

fn tracker(ring: usize) -> (Arc<Tracker>, ManualClock) {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_700_000_000_000_000_000));
    (Arc::new(Tracker::builder().level(Level::Events).ring_capacity(ring).clock(clock).build()), hand)
}

fn file(name: &str, trace: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, trace).unwrap();
    path
}

fn rows(value: &[Map<String, Value>]) -> Value {
    json!(value)
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !reached() {
        assert!(start.elapsed() < GUARD, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
