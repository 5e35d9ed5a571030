//! What the guards tell goes to the log: a warning of target `engine_vitals`, with owner and site in its text.

#![cfg(all(feature = "telemetry", feature = "log"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "of the faults one is planted here")]

#[path = "guards/engine.rs"]
mod engine;
#[path = "guards/faults.rs"]
mod faults;

use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use engine::{Engine, Fault};

/// Keeps the messages of warnings.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

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
