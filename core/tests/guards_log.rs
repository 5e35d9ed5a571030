//! What the guards tell goes to the log: a warning of target `engine_vitals`, with owner and site in its text.

#![cfg(all(feature = "telemetry", feature = "log"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "of the faults one is planted here")]

#[path = "guards/engine.rs"]
mod engine;
#[path = "guards/faults.rs"]
mod faults;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use engine_vitals_core::contract::ResourceMonitor;
use engine_vitals_core::monitor::LifecycleResourceMonitor;
use engine_vitals_core::probe::{Clock, New, Timestamp};
use engine_vitals_core::tracker::Tracker;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use engine::{Engine, Fault};

/// Keeps the messages of warnings, and asks a monitor about each.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>, Option<Arc<LifecycleResourceMonitor>>);

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            *self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "engine_vitals" && *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = String::new();
        event.record(&mut Message(&mut message));
        if let Some(monitor) = &self.1 {
            assert!(monitor.get_usage_report().current_bytes.is_some());
            assert_eq!(monitor.warnings().len(), 1);
        }
        self.0.lock().unwrap().push(message);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn warnings_are_logged() {
    let kept = Kept::default();
    let (raised, line) = tracing::subscriber::with_default(kept.clone(), || {
        let mut engine = Engine::start(1, Some(Fault::Labels));
        while engine.monitor.warnings().is_empty() {
            engine.frame();
        }
        (engine.monitor.warnings(), engine.planted_at)
    });
    let messages = kept.0.lock().unwrap().clone();
    assert_eq!(messages, raised.iter().map(ToString::to_string).collect::<Vec<_>>());
    let owner = format!("owner effect_pipeline {} \"planted\"; at {}:{line}", faults::TALKATIVE, faults::FILE);
    assert!(messages[0].starts_with("label_overflow: ") && messages[0].ends_with(&owner), "{messages:?}");
}

/// On a thread of its own: one that waits for itself would wait for ever.
#[test]
fn whoever_takes_the_log_may_ask_the_monitor() {
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1));
        let tracker = Arc::new(Tracker::builder().clock(clock).label_capacity(1).build());
        let probe = tracker.probe();
        let monitor = Arc::new(LifecycleResourceMonitor::new(tracker, "life"));
        monitor.update();
        let _kept = probe.create(New::buffer(1).label("kept"));
        let _refused = probe.create(New::buffer(1).label("refused"));
        hand.advance(Duration::from_secs(1));
        let kept = Kept(Arc::default(), Some(Arc::clone(&monitor)));
        tracing::subscriber::with_default(kept.clone(), || monitor.update());
        ended.send(kept.0.lock().unwrap().len()).unwrap();
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(60)), Ok(1));
}
