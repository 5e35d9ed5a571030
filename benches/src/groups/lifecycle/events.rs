//! One event: a resource of a hundred bytes of facts is bound, and the event goes to the calling thread's ring.
//!
//! Batches fit the rings and are drained between, outside of the time. The floor is what no recorder can do without: a look whether it is on
//! and a time stamp.

use std::hint::black_box;
use std::sync::atomic::{AtomicU8, Ordering};

use engine_vitals_core::probe::{Clock, Event, Mark, New, Probe, Ticket};
use engine_vitals_core::tracker::{EventCursor, Tracker};

use super::peers::{self, BATCH};
use super::{GROUP, Lap, Work, on_threads, trackers};
use crate::harness::{Effort, Subject, alternate};
use crate::report::Row;

const LOAD: &str = "one relaxed load";
const STAMP: &str = "Clock::now";
const BATCHES: u64 = 100;
/// Where a subject is in the list; the peers come after.
const LOAD_AT: usize = 0;
const STAMP_AT: usize = 1;
const OFF_AT: usize = 2;
const EVENTS_AT: usize = 4;
const PEERS_AT: usize = 5;

pub(super) fn run(effort: Effort) -> Vec<Row> {
    peers::prepare();
    let trackers = trackers();
    let mut rows = Vec::new();
    for threads in [1, 2] {
        rows.extend(against_peers(effort, threads, &trackers));
    }
    rows
}

fn against_peers(effort: Effort, threads: usize, trackers: &[(&'static str, Tracker)]) -> Vec<Row> {
    let batches = effort.times(BATCHES);
    let flag = AtomicU8::new(0);
    let clock = Clock::system();
    let mut subjects = vec![
        Subject::new(LOAD, || on_threads(threads, batches, BATCH, || Load(&flag))),
        Subject::new(STAMP, || on_threads(threads, batches, BATCH, || Stamp(&clock))),
    ];
    for (name, tracker) in trackers {
        subjects.push(Subject::new(name, move || on_threads(threads, batches, BATCH, || Ours::new(tracker))));
    }
    subjects.extend(peers::subjects(threads, batches, &clock));
    let rounds = alternate(effort, &mut subjects);

    let case = format!("one event, threads: {threads}");
    let mut rows: Vec<_> = subjects
        .iter()
        .enumerate()
        .map(|(index, subject)| {
            let row = Row::new(GROUP, &case, subject.name, "ns", rounds.value(index));
            match index {
                EVENTS_AT => row.against(STAMP, rounds.ratio(EVENTS_AT, STAMP_AT)).at_most(1.5),
                PEERS_AT.. => row.against("Events", rounds.ratio(index, EVENTS_AT)),
                _ => row,
            }
        })
        .collect();
    let beyond = rounds.difference(OFF_AT, LOAD_AT);
    rows.push(Row::new(GROUP, format!("{case}, beyond {LOAD}"), "Off", "ns more", beyond).at_most(0.5));
    let ratios = (PEERS_AT..subjects.len()).map(|peer| (rounds.ratio(EVENTS_AT, peer), subjects[peer].name));
    if let Some((ratio, peer)) = ratios.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        let row = Row::new(GROUP, format!("{case}, the nearest peer"), "Events", "ns", rounds.value(EVENTS_AT));
        rows.push(row.against(peer, ratio).at_most(1.0));
    }
    rows
}

struct Load<'a>(&'a AtomicU8);

impl Lap for Load<'_> {
    fn timed(&mut self, calls: u64) {
        for _ in 0..calls {
            if black_box(self.0).load(Ordering::Relaxed) != 0 {
                black_box(());
            }
        }
    }
}

struct Stamp<'a>(&'a Clock);

impl Lap for Stamp<'_> {
    fn timed(&mut self, calls: u64) {
        for _ in 0..calls {
            black_box(black_box(self.0).now());
        }
    }
}

/// Binds of one resource, in an owner's and a packet's name.
struct Ours {
    probe: Probe,
    ticket: Ticket,
    work: Work,
    cursor: EventCursor,
    drained: Vec<Event>,
}

impl Ours {
    fn new(tracker: &Tracker) -> Self {
        let (probe, work) = (tracker.probe(), Work::of(tracker));
        let ticket = probe.create(New::buffer(256).native(1));
        Self { probe, ticket, work, cursor: tracker.events(), drained: Vec::new() }
    }
}

impl Lap for Ours {
    fn timed(&mut self, calls: u64) {
        let _at_work = self.work.context.enter();
        for _ in 0..calls {
            black_box(self.probe).event(Mark::Bind { resource: black_box(&self.ticket) });
        }
    }

    fn between(&mut self) {
        self.drained.clear();
        self.cursor.read(&mut self.drained);
    }
}
