//! Peers: queues and libraries that record an event with its time from several threads.
//!
//! The queues and `tracing` get what our own rings keep of an event, stamped by our clock: the resource's facts and the event's number among the
//! resource's, which several threads may tell events of. Puffin and fastrace record what is natural for them, which their names here say, and
//! stamp it by their own clocks.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use engine_vitals_core::probe::Clock;
use fastrace::local::{LocalCollector, LocalSpan};
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;

use super::{Lap, on_threads};
use crate::harness::Subject;

/// Events between two drains: few enough that draining leaves the buffers in the caches that they are in.
pub(super) const BATCH: u64 = 1_000;
const CAPACITY: usize = 4_096;

/// The time stamp, the number and ten words of facts: 96 bytes.
type Entry = [u64; 12];

/// Once before the first round.
pub(super) fn prepare() {
    puffin::set_scopes_on(true);
    // Only one can be set: a second call, by another group of this program, changes nothing.
    let _ = tracing::subscriber::set_global_default(Recording { clock: Clock::system() });
}

pub(super) fn subjects(threads: usize, batches: u64, clock: &Clock) -> Vec<Subject<'_>> {
    let resource = move || Resource { clock, facts: [7; 10], events: AtomicU32::new(0) };
    vec![
        Subject::new("rtrb, a queue per thread", move || {
            on_threads(threads, batches, BATCH, || {
                let (to, from) = rtrb::RingBuffer::new(CAPACITY);
                PRODUCER.set(Some(to));
                Rtrb { resource: resource(), from }
            })
        }),
        Subject::new("crossbeam ArrayQueue::force_push, shared", move || {
            let queue = ArrayQueue::new(CAPACITY * threads);
            on_threads(threads, batches, BATCH, || Crossbeam { resource: resource(), queue: &queue })
        }),
        Subject::new("Mutex<VecDeque>, shared", move || {
            let queue = Mutex::new(VecDeque::with_capacity(CAPACITY * threads));
            on_threads(threads, batches, BATCH, || Locked { resource: resource(), queue: &queue })
        }),
        Subject::new("tracing event of 7 fields, to a Vec per thread", move || {
            on_threads(threads, batches, BATCH, || Tracing { resource: resource() })
        }),
        Subject::new("puffin scope, two stamps", move || on_threads(threads, batches, BATCH, || Puffin)),
        Subject::new("fastrace event, name only", move || {
            on_threads(threads, batches, BATCH, || Fastrace { collector: Some(LocalCollector::start()), id: None })
        }),
        Subject::new("fastrace event, with a number", move || {
            on_threads(threads, batches, BATCH, || Fastrace { collector: Some(LocalCollector::start()), id: Some(7) })
        }),
    ]
}

/// What events tell of.
struct Resource<'a> {
    clock: &'a Clock,
    facts: [u64; 10],
    events: AtomicU32,
}

impl Resource<'_> {
    /// Its next event.
    #[inline]
    fn event(&self) -> Entry {
        let time = self.clock.now().unix_nanos();
        let resource = black_box(self);
        let number = u64::from(resource.events.fetch_add(1, Ordering::Relaxed));
        std::array::from_fn(|index| match index {
            0 => time,
            1 => number,
            _ => resource.facts[index - 2],
        })
    }
}

thread_local! {
    // Where a call site that has nothing but the event finds its thread's queue.
    static PRODUCER: RefCell<Option<rtrb::Producer<Entry>>> = const { RefCell::new(None) };
}

struct Rtrb<'a> {
    resource: Resource<'a>,
    from: rtrb::Consumer<Entry>,
}

impl Lap for Rtrb<'_> {
    fn timed(&mut self, calls: u64) {
        for _ in 0..calls {
            PRODUCER.with_borrow_mut(|to| {
                if let Some(to) = to {
                    black_box(to.push(self.resource.event()).is_ok());
                }
            });
        }
    }

    fn between(&mut self) {
        while let Ok(entry) = self.from.pop() {
            black_box(entry);
        }
    }
}

struct Crossbeam<'a> {
    resource: Resource<'a>,
    queue: &'a ArrayQueue<Entry>,
}

impl Lap for Crossbeam<'_> {
    fn timed(&mut self, calls: u64) {
        for _ in 0..calls {
            black_box(self.queue.force_push(self.resource.event()).is_some());
        }
    }

    fn between(&mut self) {
        while let Some(entry) = self.queue.pop() {
            black_box(entry);
        }
    }
}

struct Locked<'a> {
    resource: Resource<'a>,
    queue: &'a Mutex<VecDeque<Entry>>,
}

impl Lap for Locked<'_> {
    fn timed(&mut self, calls: u64) {
        for _ in 0..calls {
            let entry = self.resource.event();
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.len() == queue.capacity() {
                queue.pop_front();
            }
            queue.push_back(entry);
        }
    }

    fn between(&mut self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

thread_local! {
    static TRACED: RefCell<Vec<Entry>> = RefCell::new(Vec::with_capacity(CAPACITY));
}

struct Tracing<'a> {
    resource: Resource<'a>,
}

impl Lap for Tracing<'_> {
    fn timed(&mut self, calls: u64) {
        for _ in 0..calls {
            let sequence = u64::from(self.resource.events.fetch_add(1, Ordering::Relaxed));
            let [kind, resource, owner, packet, bytes, native, ..] = black_box(&self.resource).facts;
            tracing::trace!(target: TARGET, kind, resource, owner, packet, bytes, sequence, native);
        }
    }

    fn between(&mut self) {
        TRACED.with_borrow_mut(|traced| {
            black_box(&*traced);
            traced.clear();
        });
    }
}

const TARGET: &str = "engine_vitals_benches::traced";

/// The least that a subscriber can do and still keep the event: its time and its fields, in the thread's own buffer.
struct Recording {
    clock: Clock,
}

impl tracing::Subscriber for Recording {
    fn register_callsite(&self, metadata: &'static tracing::Metadata<'static>) -> Interest {
        if metadata.target() == TARGET { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields { entry: [0; 12], next: 1 };
        fields.entry[0] = self.clock.now().unix_nanos();
        event.record(&mut fields);
        TRACED.with_borrow_mut(|traced| {
            if traced.len() < CAPACITY {
                traced.push(fields.entry);
            }
        });
    }

    fn enter(&self, _: &tracing::Id) {}

    fn exit(&self, _: &tracing::Id) {}
}

struct Fields {
    entry: Entry,
    next: usize,
}

impl Visit for Fields {
    fn record_u64(&mut self, _: &Field, value: u64) {
        if let Some(word) = self.entry.get_mut(self.next) {
            *word = value;
            self.next += 1;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

struct Puffin;

impl Lap for Puffin {
    fn timed(&mut self, calls: u64) {
        // Around all: a scope with none around it takes a lock to be reported.
        puffin::profile_scope!("batch");
        for _ in 0..calls {
            puffin::profile_scope!("bind");
        }
    }

    fn between(&mut self) {
        puffin::GlobalProfiler::lock().new_frame();
    }
}

struct Fastrace {
    collector: Option<LocalCollector>,
    id: Option<u64>,
}

impl Lap for Fastrace {
    fn timed(&mut self, calls: u64) {
        for _ in 0..calls {
            let event = fastrace::Event::new("bind");
            LocalSpan::add_event(match black_box(self.id) {
                Some(id) => event.with_property(|| ("resource", id.to_string())),
                None => event,
            });
        }
    }

    fn between(&mut self) {
        if let Some(collector) = self.collector.take() {
            black_box(collector.collect());
        }
        self.collector = Some(LocalCollector::start());
    }
}
