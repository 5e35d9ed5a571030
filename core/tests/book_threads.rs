//! The book under threads: exact totals, exact losses, no growth, and threads that come and go.
#![cfg(feature = "telemetry")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use engine_vitals_core::probe::{
    Context, EventKind, Level, Mark, New, OwnerKind, PEAK_FOLD_BYTES, PacketResult, Probe, ResourceKind, Ticket,
};
use engine_vitals_core::tracker::{EventCursor, KindTotals, ReadOutcome, Totals, Tracker};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

const THREADS: u64 = 8;

/// xorshift64*: the same lives at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}

/// What one thread did, added up the plain way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    created: u64,
    created_bytes: u64,
    destroyed: u64,
    rebuilds: u64,
}

struct Held {
    ticket: Ticket,
    bytes: u64,
    destroyed: bool,
}

/// Random lives; a third of the tickets end on the next thread.
fn live(probe: Probe, seed: u64, steps: u64, to: &mpsc::Sender<Held>, from: &mpsc::Receiver<Held>) -> Tally {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut held: Vec<Held> = Vec::new();
    let mut tally = Tally::default();
    for _ in 0..steps {
        held.extend(from.try_iter().take(4));
        let which = random.below(held.len().max(1) as u64) as usize;
        match random.below(9) {
            0..=2 => {
                let bytes = random.below(1 << 18);
                tally.created += 1;
                tally.created_bytes += bytes;
                held.push(Held { ticket: probe.create(New::buffer(bytes)), bytes, destroyed: false });
            }
            3 if !held.is_empty() => {
                let item = &mut held[which];
                let bytes = random.below(1 << 18);
                tally.rebuilds += 1;
                tally.created_bytes += bytes.saturating_sub(item.bytes);
                item.bytes = bytes;
                item.ticket.resize(bytes);
            }
            4 if !held.is_empty() => {
                held[which].ticket.handle_dropped();
            }
            5 if !held.is_empty() => {
                let item = &mut held[which];
                tally.destroyed += u64::from(!item.destroyed);
                item.destroyed = true;
                item.ticket.destroyed();
            }
            6 if !held.is_empty() => drop(to.send(held.swap_remove(which))),
            7 | 8 if !held.is_empty() => drop(held.swap_remove(which)),
            _ => {}
        }
    }
    // What is left lives on, beyond its thread.
    for item in held {
        // The receiver may be gone: then the ticket is dropped here, which counts as well.
        drop(to.send(item));
    }
    tally
}

/// Eight threads that hand tickets on; `poll` runs all the while. Returns the sum of what the threads did.
fn churn(probe: Probe, steps: u64, poll: impl Fn() + Sync) -> Tally {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
    let done = AtomicBool::new(false);
    let mut sum = Tally::default();
    /// The poller ends, whatever happens.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    thread::scope(|scope| {
        let end = End(&done);
        let poller = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                poll();
            }
        });
        let workers: Vec<_> = receivers
            .into_iter()
            .enumerate()
            .map(|(index, receiver)| {
                let to = senders[(index + 1) % senders.len()].clone();
                scope.spawn(move || (live(probe, index as u64 + 1, steps, &to, &receiver), receiver))
            })
            .collect();
        // The receivers outlive all senders, so nothing that was sent is dropped early.
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        for (tally, _) in &ended {
            sum.created += tally.created;
            sum.created_bytes += tally.created_bytes;
            sum.rebuilds += tally.rebuilds;
            sum.destroyed += tally.destroyed;
        }
        drop(ended);
        drop(end);
        poller.join().unwrap();
    });
    sum
}

#[test]
fn totals_are_exact_and_never_negative_under_eight_threads() {
    let tracker = Tracker::new();
    let reads = AtomicU64::new(0);
    let sum = churn(tracker.probe(), 20_000, || {
        let totals = tracker.totals();
        assert_eq!(totals.inconsistencies, 0);
        let device = totals.device();
        assert!(device.created >= device.left_live && device.left_live >= device.released);
        assert!(device.created_bytes >= device.left_live_bytes && device.left_live_bytes >= device.released_bytes);
        for record in tracker.snapshot().resources {
            assert!(record.kind == ResourceKind::BUFFER && record.bytes < 1 << 18 && record.label.is_none());
        }
        reads.fetch_add(1, Ordering::Relaxed);
    });
    assert!(reads.load(Ordering::Relaxed) > 0, "the poller has read");
    let totals = tracker.totals();
    for counts in [totals.kind(ResourceKind::BUFFER).device, totals.owner_kind(OwnerKind::UNOWNED).device] {
        assert_eq!((counts.created, counts.created_bytes), (sum.created, sum.created_bytes));
        assert_eq!((counts.rebuilds, counts.destroyed), (sum.rebuilds, sum.destroyed));
        // All is over: what came has gone.
        assert_eq!((counts.left_live, counts.released), (sum.created, sum.created));
        assert_eq!((counts.left_live_bytes, counts.released_bytes), (sum.created_bytes, sum.created_bytes));
    }
    assert!(tracker.snapshot().resources.is_empty());
}

#[test]
fn turning_the_rings_on_changes_no_total() {
    // Thread for thread the same lives, so the sums that do not hang on the order of hand-over are the same.
    let [counters, events] = [Level::Counters, Level::Events].map(|level| {
        let tracker = Tracker::builder().level(level).ring_capacity(64).build();
        let probe = tracker.probe();
        let workers: Vec<_> = (1..=THREADS)
            .map(|seed| {
                thread::spawn(move || {
                    // Back to itself: what is sent comes back.
                    let (to, from) = mpsc::channel();
                    live(probe, seed, 5_000, &to, &from);
                    drop(from);
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        tracker.totals()
    });
    // Both but for the time that they took.
    let timeless = |mut totals: KindTotals| {
        for counts in [&mut totals.device, &mut totals.within] {
            (counts.lifetime_nanos, counts.short_lived) = (0, 0);
        }
        totals
    };
    let buffers = |totals: &Totals| timeless(totals.kind(ResourceKind::BUFFER));
    let unowned = |totals: &Totals| timeless(totals.owner_kind(OwnerKind::UNOWNED));
    assert_eq!((buffers(&counters), unowned(&counters)), (buffers(&events), unowned(&events)));
    assert_eq!(counters.events.produced, 0);
    assert!(events.events.overwritten > 0 && events.events.produced > events.events.overwritten);
}

#[test]
fn a_snapshot_has_what_lived_all_along_exactly_once() {
    let tracker = Tracker::new();
    let probe = tracker.probe();
    let lasting: Vec<Ticket> =
        (0..3000).map(|index| probe.create(New::texture(index).label(&format!("lasting {index}")))).collect();
    churn(probe, 5_000, || {
        let mut seen = HashMap::new();
        for record in tracker.snapshot().resources {
            assert!(seen.insert(record.id, (record.bytes, record.label)).is_none(), "an id is there twice");
        }
        for (index, ticket) in lasting.iter().enumerate() {
            let found = seen.get(&ticket.id().unwrap());
            assert_eq!(found, Some(&(index as u64, Some(format!("lasting {index}")))));
        }
    });
}

/// Adds up what a cursor reads; checks each thread's order.
fn follow(cursor: &mut EventCursor, last: &mut HashMap<u64, u64>) -> ReadOutcome {
    let mut events = Vec::new();
    let outcome = cursor.read(&mut events);
    assert_eq!(events.len() as u64, outcome.delivered);
    for event in events {
        // The correlation of a mark counts up on each thread.
        let number = event.correlation.unwrap();
        let before = last.insert(event.thread, number);
        assert!(before.is_none_or(|before| before < number), "out of order");
        assert_eq!(event.event, EventKind::Submit);
    }
    outcome
}

#[test]
fn each_reader_counts_its_own_losses_exactly() {
    const EVENTS: u64 = 50_000;
    let tracker = Tracker::builder().level(Level::Events).ring_capacity(256).build();
    let probe = tracker.probe();
    let (mut late, mut keen) = (tracker.events(), tracker.events());
    let running = AtomicBool::new(true);
    thread::scope(|scope| {
        let producers: Vec<_> = (0..4)
            .map(|_| scope.spawn(move || (0..EVENTS).for_each(|number| probe.event(Mark::submit(number)))))
            .collect();
        let reader = scope.spawn(|| {
            let mut last = HashMap::new();
            while running.load(Ordering::Acquire) {
                follow(&mut keen, &mut last);
            }
            follow(&mut keen, &mut last);
            (keen.delivered(), keen.lost())
        });
        for producer in producers {
            producer.join().unwrap();
        }
        running.store(false, Ordering::Release);
        let (delivered, lost) = reader.join().unwrap();
        assert_eq!(delivered + lost, 4 * EVENTS);
        assert!(delivered > 0);
    });
    let outcome = follow(&mut late, &mut HashMap::new());
    let totals = tracker.totals();
    assert_eq!(totals.events.produced, 4 * EVENTS);
    assert_eq!(outcome.delivered + outcome.lost, 4 * EVENTS);
    assert_eq!(outcome.lost, totals.events.overwritten, "all that was overwritten, and no more");
    assert_eq!((late.delivered(), late.lost()), (outcome.delivered, outcome.lost));
    // A reader that comes later has neither seen nor lost anything.
    let fresh = tracker.events().read(&mut Vec::new());
    assert_eq!((fresh.delivered, fresh.lost), (0, 0));
    assert_eq!(tracker.recent_events(10).len(), 10);
    let newest = tracker.recent_events(usize::MAX);
    assert_eq!(newest.len() as u64, outcome.delivered);
    assert!(newest.is_sorted_by_key(|event| event.time));
}

#[test]
fn threads_that_end_leave_their_counts_and_their_places() {
    let tracker = Tracker::builder().level(Level::Events).ring_capacity(64).build();
    let probe = tracker.probe();
    let mut cursor = tracker.events();
    let mut tickets = Vec::new();
    let mut footprint = 0;
    for round in 0..500u64 {
        let ticket = thread::spawn(move || {
            drop(probe.create(New::buffer(10)));
            probe.create(New::texture(round))
        });
        tickets.push(ticket.join().unwrap());
        if round == 10 {
            footprint = tracker.totals().telemetry_bytes;
        }
    }
    let totals = tracker.totals();
    assert_eq!(totals.kind(ResourceKind::BUFFER).device.released, 500);
    assert_eq!(totals.kind(ResourceKind::TEXTURE).device.live_bytes(), (0..500).sum::<u64>());
    // One shard serves them all, one after the other: only slots are added, for what is held.
    assert!(totals.telemetry_bytes < footprint + 3 * 512 * 128, "{} after {footprint}", totals.telemetry_bytes);
    let outcome = cursor.read(&mut Vec::new());
    assert_eq!(outcome.delivered + outcome.lost, 1500);
    let mut ids: Vec<_> = tickets.iter().map(|ticket| ticket.id().unwrap()).collect();
    ids.dedup();
    assert!(ids.is_sorted() && ids.len() == 500, "ids are never given twice");
}

#[test]
fn one_thread_creates_and_another_releases_without_growth() {
    let tracker = Tracker::new();
    let probe = tracker.probe();
    let (to, from) = mpsc::sync_channel::<Ticket>(32);
    let slots = |totals: &Totals| totals.telemetry_bytes;
    thread::scope(|scope| {
        scope.spawn(move || from.into_iter().for_each(drop));
        let mut early = 0;
        for step in 0..100_000 {
            to.send(probe.create(New::buffer(1))).unwrap();
            if step == 2_000 {
                early = slots(&tracker.totals());
            }
        }
        // At most 33 are in use at once: one page of 512 slots is enough for all the threads' lists.
        assert_eq!(slots(&tracker.totals()), early);
        drop(to);
    });
}

#[test]
fn tickets_and_packets_may_end_in_thread_local_destructors() {
    struct Late(Option<Probe>, Vec<Ticket>);
    impl Drop for Late {
        fn drop(&mut self) {
            // Whatever of the thread's storage is gone by now, the book counts.
            if let Some(probe) = self.0 {
                let _frame = probe.packet(probe.lane("late")).context().enter();
                drop(probe.create(New::texture(7)));
                self.1.clear();
            }
        }
    }
    thread_local! {
        static BEFORE: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(None, Vec::new())) };
        static AFTER: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(None, Vec::new())) };
    }
    let tracker = Tracker::builder().level(Level::Events).build();
    let probe = tracker.probe();
    let mut cursor = tracker.events();
    const ROUNDS: u64 = 20;
    for _ in 0..ROUNDS {
        thread::spawn(move || {
            // Destructors run in an order that the platform chooses: one is registered before the book's, one after.
            BEFORE.with_borrow_mut(|late| late.0 = Some(probe));
            let ticket = probe.create(New::buffer(5));
            AFTER.with_borrow_mut(|late| *late = Late(Some(probe), vec![ticket]));
            BEFORE.with_borrow_mut(|late| late.1.push(probe.create(New::buffer(5))));
        })
        .join()
        .unwrap();
    }
    let totals = tracker.totals();
    assert_eq!(totals.kind(ResourceKind::BUFFER).device.released, 2 * ROUNDS);
    assert_eq!(totals.kind(ResourceKind::TEXTURE).device.released, 2 * ROUNDS);
    assert_eq!(totals.device().live_bytes() + totals.device().pending_bytes(), 0);
    assert_eq!(totals.packets().with_result(PacketResult::Dropped), 2 * ROUNDS);
    // Per round: four lives of two events, two packets of two.
    let outcome = cursor.read(&mut Vec::new());
    assert_eq!((outcome.delivered, outcome.lost), (12 * ROUNDS, 0));
}

#[test]
fn a_shared_ticket_leaves_live_once_whoever_is_first() {
    let tracker = Tracker::new();
    for _ in 0..200 {
        let ticket = Arc::new(tracker.probe().create(New::buffer(100)));
        let start = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|index| {
                let (ticket, start) = (Arc::clone(&ticket), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    if index % 2 == 0 { ticket.handle_dropped() } else { ticket.destroyed() }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(tracker.totals().device().pending_bytes(), 100);
    }
    let device = tracker.totals().device();
    assert_eq!((device.created, device.left_live, device.released, device.destroyed), (200, 200, 200, 200));
}

#[test]
fn the_peak_is_within_its_stated_bound() {
    const EACH: u64 = 1_000_000;
    const PIECE: u64 = 1000;
    let tracker = Tracker::new();
    let probe = tracker.probe();
    let all_up = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let all_up = &all_up;
            scope.spawn(move || {
                let held: Vec<Ticket> = (0..EACH / PIECE).map(|_| probe.create(New::buffer(PIECE))).collect();
                // Suballocations are no device memory and raise no peak.
                let block = held.first().and_then(Ticket::id);
                let _inside = probe.create(New::buffer(EACH).within(block));
                all_up.wait();
                drop(held);
            });
        }
    });
    let totals = tracker.totals();
    let (peak, truth, error) = (totals.peak_live_bytes(), THREADS * EACH, totals.peak_error_bytes());
    // The shard shared by threads without storage has its part in the bound, too.
    assert!((PEAK_FOLD_BYTES * 2..=PEAK_FOLD_BYTES * (THREADS + 1)).contains(&error), "{error}");
    assert!(peak.abs_diff(truth) <= error, "{peak} is not within {error} of {truth}");
    // Reading again, with all gone, says the same.
    assert_eq!((totals.device().live_bytes(), tracker.totals().peak_live_bytes()), (0, peak));
}

#[test]
fn a_context_that_travels_attributes_on_the_other_thread() {
    let tracker = Tracker::builder().level(Level::Events).build();
    let probe = tracker.probe();
    let owner = probe.owner_named(OwnerKind::EFFECT_PIPELINE, 42, "bloom");
    let packet = probe.packet(probe.lane("main"));
    let context = packet.context().with_owner(owner);
    let ticket = thread::spawn(move || {
        let _guard = context.enter();
        probe.create(New::texture(16))
    })
    .join()
    .unwrap();
    let snapshot = tracker.snapshot();
    let [record] = &*snapshot.resources else { panic!("{snapshot:?}") };
    assert_eq!((Some(record.id), record.owner, record.created_in), (ticket.id(), Some(owner), Some(packet.id())));
    let known = tracker.owner(owner).unwrap();
    assert_eq!((known.kind, known.key, known.name), (OwnerKind::EFFECT_PIPELINE, 42, Some("bloom")));
    assert_eq!(Context::current(), Context::NONE);
    packet.finish(PacketResult::Presented);
    assert_eq!(tracker.totals().owner_kind(OwnerKind::EFFECT_PIPELINE).device.live_bytes(), 16);
}

#[test]
fn a_tracker_that_is_dropped_turns_its_probes_off_and_tickets_stay_valid() {
    let tracker = Tracker::new();
    let probe = tracker.probe();
    let mut ticket = probe.create(New::buffer(1).label("kept"));
    drop(tracker);
    assert_eq!(probe.level(), Level::Off);
    assert_eq!(probe.create(New::buffer(1)).id(), None);
    ticket.resize(2);
    ticket.handle_dropped();
    drop(ticket);
}

#[test]
fn no_more_labels_are_kept_than_may_be_and_their_room_changes_hands() {
    const ROOM: usize = 8192;
    // A thread holds a 512th part at most for labels to come.
    const HELD: usize = ROOM / 512;
    let tracker = Tracker::builder().label_capacity(ROOM).build();
    let make = |count| -> Vec<Ticket> {
        (0..count).map(|_| tracker.probe().create(New::buffer(1).label("one of many"))).collect()
    };
    let kept = || tracker.snapshot().resources.iter().filter(|record| record.label.is_some()).count();
    for round in 0..3 {
        let (here, there) = (make(ROOM / 2), thread::scope(|scope| scope.spawn(|| make(ROOM)).join().unwrap()));
        assert!((ROOM - HELD..=ROOM).contains(&kept()), "round {round}: {} labels", kept());
        thread::scope(|scope| scope.spawn(move || drop(here)).join().unwrap());
        drop(there);
        assert_eq!(kept(), 0);
    }
    let _all = make(ROOM);
    assert_eq!(kept(), ROOM);
    let made = 3 * (ROOM / 2 + ROOM) + ROOM;
    let refused = tracker.totals().overflows.labels;
    let least = (3 * ROOM / 2) as u64;
    assert!((least..=least + 3 * HELD as u64).contains(&refused), "{refused} of {made} refused");
}

#[test]
fn what_goes_beyond_a_limit_is_counted_and_grouped() {
    let tracker = Tracker::builder()
        .resource_capacity(1)
        .owner_capacity(1)
        .lane_capacity(1)
        .label_capacity(1)
        .user_kind_capacity(1)
        .level(Level::Events)
        .build();
    let probe = tracker.probe();
    let owners = [1, 2, 3].map(|key| probe.owner(OwnerKind::TRANSIENT, key));
    assert!(owners[1] == owners[2] && owners[0] != owners[1] && owners[1].kind() == OwnerKind::TRANSIENT);
    assert_eq!(tracker.owner(owners[1]), None);
    let lanes = ["a", "b", "a"].map(|name| probe.lane(name));
    assert!(lanes[0] == lanes[2] && tracker.lane_name(lanes[1]) == Some("other"));
    drop(probe.packet(lanes[1]));
    assert_eq!(tracker.totals().lanes.iter().map(|lane| lane.name).collect::<Vec<_>>(), ["other"]);
    let kinds = ["limit_kind_a", "limit_kind_b"].map(|name| probe.kind(name));
    assert_eq!((kinds[0].name(), kinds[1]), ("limit_kind_a", ResourceKind::OTHER));
    assert_eq!((probe.kind("limit_kind_a"), probe.kind("buffer")), (kinds[0], ResourceKind::BUFFER));
    let owner_kinds = ["limit_owner_a", "limit_owner_b"].map(|name| probe.owner_kind(name));
    assert_eq!((owner_kinds[0].name(), owner_kinds[1]), ("limit_owner_a", OwnerKind::OTHER));

    // A page is the least there is.
    let labelled: Vec<Ticket> = (0..513).map(|_| probe.create(New::buffer(u64::MAX).label("one of many"))).collect();
    assert!(labelled[511].id().is_some() && labelled[512].id().is_none());
    let snapshot = tracker.snapshot();
    assert_eq!(snapshot.resources.iter().filter(|record| record.label.is_some()).count(), 1);
    let totals = tracker.totals();
    assert_eq!(totals.device().live_bytes(), 512 << 48);
    let overflows = totals.overflows;
    assert_eq!((overflows.resources, overflows.bytes, overflows.labels), (1, 513, 511));
    assert_eq!((overflows.owners, overflows.lanes, overflows.resource_kinds, overflows.owner_kinds), (2, 1, 1, 1));
    drop(labelled);
    // The room of labels and slots is given back.
    let again = probe.create(New::buffer(1).label("again"));
    assert_eq!(tracker.snapshot().resources[0].label.as_deref(), Some("again"));
    drop(again);

    for name in 0..1100 {
        probe.event(Mark::marker(&format!("marker {name}")));
    }
    assert_eq!(tracker.totals().overflows.markers, 1100 - 1024 + 2, "two names are those of packets");
}
