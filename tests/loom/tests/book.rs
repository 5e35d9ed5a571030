//! Loom models of the lock-free pieces of the book: `cargo test --package engine-vitals-loom`.
//!
//! The pieces are compiled from the library's own files, over loom's atomics.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(dead_code, reason = "the models use a part of each piece")]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};

    /// Of loom's making, with the interface of the library's.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    pub(crate) fn own(word: &AtomicU64) -> u64 {
        // SAFETY: the callers are the word's only writer, and loom panics in a model where they are not.
        unsafe { word.unsync_load() }
    }
}
#[expect(unreachable_pub, reason = "public in the library")]
#[path = "../../../core/src/probe/counts.rs"]
mod counts;
#[path = "../../../core/src/probe/lifetimes.rs"]
mod lifetimes;
#[path = "../../../core/src/probe/ring.rs"]
mod ring;
#[path = "../../../core/src/probe/seqcell.rs"]
mod seqcell;
#[path = "../../../core/src/probe/tally.rs"]
mod tally;

/// Stands for the library's.
#[derive(Clone, Copy)]
struct Timestamp(u64);

impl Timestamp {
    fn unix_nanos(self) -> u64 {
        self.0
    }
}

use counts::Counts;
use lifetimes::{BURST_NANOS, BurstLog, LifeCounters, RunningBurst, Step};
use loom::sync::Arc;
use loom::thread;
use ring::{Follower, Ring};
use seqcell::SeqCell;
use tally::{Pass, Rows, Tally};

/// All passes over all shards, as a reader makes them.
fn totals(shards: &[Arc<Rows>]) -> Counts {
    let mut totals = [Counts::default(); 1];
    for pass in Pass::ORDER {
        for shard in shards {
            shard.sum_into(pass, &mut totals);
        }
    }
    totals[0]
}

/// A resource is created on one thread and released on another, each with a shard of its own; a reader never sees more
/// leave than came.
#[test]
fn live_and_pending_are_never_negative_when_a_ticket_changes_threads() {
    use loom::sync::atomic::{AtomicBool, Ordering};
    loom::model(|| {
        let shards = [Arc::new(Rows::new(1)), Arc::new(Rows::new(1))];
        let handed_over = Arc::new(AtomicBool::new(false));
        // Both threads start before the reader: loom does not go back to before a thread was there.
        let creator = {
            let (shard, handed_over) = (Arc::clone(&shards[0]), Arc::clone(&handed_over));
            thread::spawn(move || {
                shard.row(0).create(10);
                handed_over.store(true, Ordering::Release);
            })
        };
        let releaser = {
            let shard = Arc::clone(&shards[1]);
            thread::spawn(move || {
                let came = handed_over.load(Ordering::Acquire);
                if came {
                    shard.row(0).leave_live(10);
                    shard.row(0).release(10, 1, true);
                }
                came
            })
        };
        let seen = totals(&shards);
        assert!(seen.consistent(), "{seen:?}");
        creator.join().unwrap();
        let gone = u64::from(releaser.join().unwrap());
        let end = totals(&shards);
        assert_eq!((end.created, end.left_live, end.released), (1, gone, gone));
        assert_eq!((end.created_bytes, end.left_live_bytes, end.released_bytes), (10, 10 * gone, 10 * gone));
    });
}

/// A resource is resized while it is live and a reader sums.
#[test]
fn resizing_what_is_live_keeps_the_order_of_the_counters() {
    resizing(|row| {
        row.create(10);
        row.resize(10, 12, false);
        row.resize(12, 4, false);
    });
}

/// A resource is resized while it is pending and a reader sums.
#[test]
fn resizing_what_is_pending_keeps_the_order_of_the_counters() {
    resizing(|row| {
        row.leave_live(0);
        row.resize(0, 8, true);
        row.resize(8, 2, true);
    });
}

/// The reader reads while `life` goes on in a row where one empty resource was created before.
fn resizing(life: fn(&Tally)) {
    loom::model(move || {
        let shards = [Arc::new(Rows::new(1))];
        shards[0].row(0).create(0);
        let shard = Arc::clone(&shards[0]);
        let writer = thread::spawn(move || life(shard.row(0)));
        let seen = totals(&shards);
        assert!(seen.consistent(), "{seen:?}");
        writer.join().unwrap();
        let end = totals(&shards);
        assert_eq!((end.live_bytes() + end.pending_bytes(), end.rebuilds), (if end.live() > 0 { 4 } else { 2 }, 2));
    });
}

/// A reader of a slot gets one of the writer's states or nothing, never a mixture, and what lies beside the cell belongs
/// to the same state.
#[test]
fn a_slot_is_never_torn() {
    use loom::sync::atomic::{AtomicU64, Ordering};
    loom::model(|| {
        let slot = Arc::new((SeqCell::<2>::new(), AtomicU64::new(0)));
        let writer = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                // A life, and the next in the same slot: what lies beside is set while the slot is free.
                slot.1.store(1, Ordering::Relaxed);
                slot.0.write(&[1, 1]);
                slot.0.write(&[0]);
                slot.1.store(2, Ordering::Relaxed);
                slot.0.write(&[2, 2]);
            })
        };
        if let Some((_, [id, word], beside)) = slot.0.read_with(|_| slot.1.load(Ordering::Relaxed)) {
            assert!(id == 0 || (id == word && id == beside), "torn: {id} {word} {beside}");
        }
        writer.join().unwrap();
        assert!(matches!(slot.0.read_with(|_| ()), Some((6, [2, 2], ()))));
    });
}

/// A producer laps a ring of two entries while a reader follows: what arrives is whole and in order, and delivered and
/// lost make up what was produced.
#[test]
fn a_ring_delivers_whole_events_in_order_and_counts_the_rest() {
    const EVENTS: u64 = 3;
    loom::model(|| {
        let ring = Arc::new(Ring::<2>::new(2));
        let producer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || (1..=EVENTS).for_each(|event| ring.next().fill(&[event, 10 * event])))
        };
        let mut follower = Follower::default();
        let (mut seen, mut lost) = (Vec::new(), 0);
        lost += follower.drain(&ring, |words| seen.push(*words));
        producer.join().unwrap();
        lost += follower.drain(&ring, |words| seen.push(*words));
        assert!(seen.iter().all(|[event, tenfold]| *tenfold == 10 * event), "torn: {seen:?}");
        assert!(seen.is_sorted(), "out of order: {seen:?}");
        assert_eq!(seen.len() as u64 + lost, EVENTS);
        assert_eq!(seen.last(), Some(&[EVENTS, 10 * EVENTS]), "the newest is always there");
    });
}

/// A thread goes on to the next bucket of bursts while a reader looks: each life is in one place or the other, never in both and
/// never in none.
#[test]
fn a_burst_is_counted_once_while_it_passes_from_its_thread_to_the_log() {
    loom::model(|| {
        let shared = Arc::new((BurstLog::default(), RunningBurst::new()));
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for bucket in [1, 1, 2] {
                    shared.1.count(&shared.0, 0, Timestamp(bucket * BURST_NANOS), Step::Created);
                }
            })
        };
        let read = || shared.0.read(std::iter::once(&shared.1));
        let seen = read();
        let of =
            |bucket| seen.iter().filter(|(known, ..)| *known == bucket).map(|(_, created, _)| created).sum::<u64>();
        match (of(1), of(2)) {
            (0..=2, 0) | (2, 1) => assert!(seen.is_sorted() && seen.len() <= 2),
            other => panic!("{other:?} in {seen:?}"),
        }
        writer.join().unwrap();
        assert_eq!(read(), [(1, 2, 0), (2, 1, 0)]);
    });
}

/// Lives begin and end on a thread while a reader sums: never more have ended than begun, and the buckets hold no more than ended.
#[test]
fn no_more_lives_have_ended_than_begun() {
    loom::model(|| {
        let lives = Arc::new(LifeCounters::new());
        let writer = {
            let lives = Arc::clone(&lives);
            thread::spawn(move || {
                lives.begin();
                lives.end(5);
                lives.begin();
            })
        };
        let (created, released) = lives.counts();
        assert!(created >= released, "{released} of {created}");
        writer.join().unwrap();
        let (mut buckets, mut sum) = ([0; lifetimes::BUCKETS + 1], 0);
        lives.sum_into(&mut buckets, &mut sum);
        assert_eq!((lives.counts(), buckets.iter().sum::<u64>(), sum), ((2, 1), 1, 5));
    });
}

/// A sort of resources gives way to another in its place: a reader gets the one with its count, or the other with its own.
#[test]
fn a_place_that_changes_hands_keeps_count_and_sort_together() {
    loom::model(|| {
        let place = Arc::new(SeqCell::<3>::new());
        place.write(&[1, 10, 10]);
        let writer = {
            let place = Arc::clone(&place);
            thread::spawn(move || {
                // Another sort, and then only its count.
                place.write(&[1, 20, 20]);
                place.write(&[2]);
            })
        };
        if let Some((_, words, ())) = place.read_with(|_| ()) {
            assert!([[1, 10, 10], [1, 20, 20], [2, 20, 20]].contains(&words), "torn: {words:?}");
        }
        writer.join().unwrap();
    });
}
