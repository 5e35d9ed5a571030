//! Ten million events from eight producers while readers follow: nothing is lost uncounted, nothing comes out of order, and
//! whoever looks meanwhile sees what is promised.
//!
//! `ENGINE_VITALS_SOAK_EVENTS` sets another number of events; without optimisation it is a million. `ENGINE_VITALS_SEED` sets
//! another seed.
#![cfg(feature = "telemetry")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use engine_vitals_core::probe::{Counts, Event, EventKind, Level, Mark, New, Probe, ResourceId, Ticket, Timestamp};
use engine_vitals_core::tracker::{EventCursor, Tracker};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

const PRODUCERS: usize = 8;
/// Tickets that a producer keeps at most, and that wait to be taken over by it at most.
const HELD: usize = 64;
const WAITING: usize = 16;
/// Tickets that live all along and are used by all producers.
const LASTING: usize = 500;
/// Slots that may be in use beyond the resources that live at once: see the probe room's `slots.rs`.
const SLACK: usize = 128 * (PRODUCERS + 2) + 512;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit as u64) as usize
    }
}

/// What a producer did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Done {
    events: u64,
    created: u64,
    released: u64,
}

/// Lives of up to [`HELD`] resources at a time until that many events are told; some tickets end on the next thread.
fn produce(
    probe: Probe,
    lasting: &[Ticket],
    seed: u64,
    events: u64,
    next: SyncSender<Ticket>,
    from: &Receiver<Ticket>,
) -> Done {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut held = VecDeque::new();
    let mut done = Done::default();
    let release = |done: &mut Done, ticket: Option<Ticket>| {
        if let Some(ticket) = ticket {
            drop(ticket);
            done.events += 1;
            done.released += 1;
        }
    };
    while done.events < events {
        held.extend(from.try_recv());
        let any = random.below(held.len().max(1));
        match random.below(8) {
            0 | 1 => {
                held.push_back(probe.create(New::buffer(random.below(1 << 16) as u64)));
                done.events += 1;
                done.created += 1;
            }
            2 => release(&mut done, held.swap_remove_back(any)),
            3 => {
                if let Some(ticket) = held.get_mut(any) {
                    ticket.resize(random.below(1 << 16) as u64);
                    done.events += 1;
                }
            }
            4 => {
                probe.event(Mark::Bind { resource: &lasting[random.below(LASTING)] });
                done.events += 1;
            }
            5 => {
                if let Some(Err(refused)) = held.swap_remove_back(any).map(|ticket| next.try_send(ticket)) {
                    use std::sync::mpsc::TrySendError::{Disconnected, Full};
                    let (Full(ticket) | Disconnected(ticket)) = refused;
                    held.push_back(ticket);
                }
            }
            _ => {
                if let Some(resource) = held.get(any) {
                    probe.event(Mark::Bind { resource });
                    done.events += 1;
                }
            }
        }
        while held.len() > HELD {
            release(&mut done, held.pop_front());
        }
    }
    drop(next);
    // What comes late ends here, when the thread before has ended.
    held.into_iter().chain(from).for_each(|ticket| release(&mut done, Some(ticket)));
    done
}

/// Checks the order of each resource's events as they come.
#[derive(Default)]
struct Order {
    /// By resource, the last of its events.
    last: HashMap<ResourceId, Event>,
    /// By thread, the time of its last event.
    times: HashMap<u64, Timestamp>,
    checked: u64,
}

impl Order {
    fn check(&mut self, event: Event, shared: &HashMap<ResourceId, usize>) {
        let time = self.times.entry(event.thread).or_default();
        assert!(event.time >= *time, "a thread's events are out of order: {event:?}");
        *time = event.time;
        let (id, sequence) = (event.resource.unwrap(), event.sequence.unwrap());
        if shared.contains_key(&id) {
            return;
        }
        if let Some(last) = self.last.get(&id) {
            self.checked += 1;
            let before = last.sequence.unwrap();
            assert_ne!(sequence, before, "{event:?} and {last:?}");
            // Events of another thread's ring may come late, by a read; those of one ring may not.
            assert!(sequence > before || event.thread != last.thread, "{event:?} after {last:?}");
            // A ticket goes from thread to thread by something that takes both along in time.
            if sequence < before {
                assert!(event.time <= last.time, "{event:?} before {last:?}");
                return;
            }
            assert!(event.time >= last.time, "{event:?} after {last:?}");
        }
        match event.event {
            EventKind::Destroy => _ = self.last.remove(&id),
            _ => _ = self.last.insert(id, event),
        }
        if self.last.len() > 1 << 20 {
            // Destructions that were lost. What is forgotten here is not checked, and nothing else.
            self.last.clear();
        }
    }
}

/// Reads until all has ended, and then once more: delivered and lost.
fn follow(mut cursor: EventCursor, running: &AtomicBool, shared: &HashMap<ResourceId, usize>) -> (u64, u64, u64) {
    let (mut order, mut events) = (Order::default(), Vec::new());
    loop {
        let last = !running.load(Ordering::Acquire);
        let outcome = cursor.read(&mut events);
        assert_eq!(events.len() as u64, outcome.delivered);
        events.drain(..).for_each(|event| order.check(event, shared));
        if last {
            return (cursor.delivered(), cursor.lost(), order.checked);
        }
    }
}

/// Totals and snapshots until all has ended: how many.
fn look(tracker: &Tracker, running: &AtomicBool, lasting: &HashMap<ResourceId, usize>) -> u64 {
    let most = LASTING + PRODUCERS * (HELD + 1 + WAITING + 1);
    let mut before = Counts::default();
    let (mut produced, mut looks) = (0, 0);
    while running.load(Ordering::Acquire) {
        let totals = tracker.totals();
        let device = totals.device();
        assert_eq!(totals.inconsistencies, 0);
        assert!(device.created >= before.created && device.left_live >= before.left_live);
        assert!(device.released >= before.released && totals.events.produced >= produced);
        assert!(device.created_bytes >= before.created_bytes && device.released_bytes >= before.released_bytes);
        assert!(device.live() + device.pending() <= device.created);
        (before, produced) = (device, totals.events.produced);

        let snapshot = tracker.snapshot();
        let mut seen = HashMap::with_capacity(snapshot.resources.len());
        for record in &snapshot.resources {
            assert!(seen.insert(record.id, record.bytes).is_none(), "{record:?} is there twice");
        }
        for (id, index) in lasting {
            assert_eq!(seen.get(id), Some(&(*index as u64)), "what lived all along is there once, as it is");
        }
        assert!(seen.len() <= most + SLACK, "{} resources, and {most} live at most", seen.len());
        looks += 1;
    }
    looks
}

#[test]
fn producers_and_readers_agree_on_every_event() {
    let default = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };
    let each = number("ENGINE_VITALS_SOAK_EVENTS").unwrap_or(default).div_ceil(PRODUCERS as u64);
    let seed = number("ENGINE_VITALS_SEED").unwrap_or(1);
    let tracker = Tracker::builder().level(Level::Events).build();
    let probe = tracker.probe();
    let (keen, mut late) = (tracker.events(), tracker.events());
    let lasting: Vec<Ticket> = (0..LASTING).map(|index| probe.create(New::texture(index as u64))).collect();
    let ids: HashMap<_, _> = lasting.iter().enumerate().map(|(index, ticket)| (ticket.id().unwrap(), index)).collect();
    let running = AtomicBool::new(true);
    let (done, (delivered, lost, checked), looks) = thread::scope(|scope| {
        let follower = scope.spawn(|| follow(keen, &running, &ids));
        let looker = scope.spawn(|| look(&tracker, &running, &ids));
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..PRODUCERS).map(|_| sync_channel(WAITING)).unzip();
        // Each hands over to the one after it, and the last to none, so that they can wait for each other to end.
        let senders = senders.into_iter().skip(1).chain([sync_channel(WAITING).0]);
        let producers: Vec<_> = senders
            .zip(receivers)
            .enumerate()
            .map(|(index, (next, from))| {
                let (lasting, seed) = (&lasting, seed.wrapping_add(index as u64 * 1_000_003));
                scope.spawn(move || produce(probe, lasting, seed, each, next, &from))
            })
            .collect();
        let mut sum = Done::default();
        for producer in producers {
            let done = producer.join();
            // Or else the readers never end, and the failure is never told.
            running.fetch_and(done.is_ok(), Ordering::AcqRel);
            let done = done.unwrap();
            sum.events += done.events;
            sum.created += done.created;
            sum.released += done.released;
        }
        running.store(false, Ordering::Release);
        (sum, follower.join().unwrap(), looker.join().unwrap())
    });
    let produced = done.events + LASTING as u64;
    println!("{produced} events: {delivered} delivered, {lost} lost, {checked} orders checked, {looks} looks");
    assert!(done.events >= each * PRODUCERS as u64);
    assert_eq!(delivered + lost, produced);
    assert!(delivered > 0 && checked > 0 && looks > 0);

    let totals = tracker.totals();
    assert_eq!(totals.events.produced, produced);
    let device = totals.device();
    assert_eq!((device.created, device.released), (done.created + LASTING as u64, done.released));
    assert_eq!((done.created, device.live()), (done.released, LASTING as u64));
    let outcome = late.read(&mut Vec::new());
    assert_eq!((outcome.delivered + outcome.lost, outcome.lost), (produced, totals.events.overwritten));
}
