//! Creation and release of one resource, snapshots of all, and what they take in memory.

use std::collections::VecDeque;
use std::hint::black_box;

use engine_vitals_core::probe::{Extent, Lane, Level, New, PacketResult, Probe, Ticket};
use engine_vitals_core::tracker::{Snapshot, Tracker};

use super::{GROUP, Lap, Work, on_threads, trackers};
use crate::harness::{Effort, Subject, alternate, cpu_ns};
use crate::report::Row;

const LIVES: u64 = 100_000;
const NEW: New<'static> = New::buffer(256);
/// Resources that are live at the least, as an engine has them.
const FEW: usize = 1_000;
const LIVE: [(&str, usize); 4] =
    [("10^3 live", 1_000), ("10^4 live", 10_000), ("10^5 live", 100_000), ("10^6 live", 1_000_000)];

pub(super) fn run(effort: Effort) -> Vec<Row> {
    let trackers = trackers();
    let image = New::texture(4 << 16).label("texture").extent(Extent::new(256, 256)).native(1);
    let mut rows = Vec::new();
    for (case, new) in [
        ("create + drop at once", NEW),
        ("create + drop at once, with a label", NEW.label("buffer")),
        ("create + drop at once, with label, extent and handle", image),
    ] {
        rows.extend(compare(effort, case, &trackers, |probe| drop(black_box(probe.create(black_box(new))))));
    }
    rows.extend(compare(effort, "packet, queue + present", &trackers, |probe| {
        black_box(probe.packet(Lane::OTHER)).finish(PacketResult::Presented);
    }));
    rows.extend(threads(effort, &trackers));
    rows.extend(many(effort));
    rows.extend(snapshots(effort));
    rows.extend(memory());
    rows
}

/// Each level in turns.
fn compare(effort: Effort, case: &str, trackers: &[(&'static str, Tracker)], call: impl Fn(Probe)) -> Vec<Row> {
    let times = effort.times(LIVES);
    let subject = |(name, tracker): &(&'static str, Tracker)| {
        let (probe, call) = (tracker.probe(), &call);
        Subject::new(name, move || cpu_ns(times, || call(probe)))
    };
    let mut subjects: Vec<_> = trackers.iter().map(subject).collect();
    let rounds = alternate(effort, &mut subjects);
    let row = |(index, subject): (usize, &Subject<'_>)| Row::new(GROUP, case, subject.name, "ns", rounds.value(index));
    subjects.iter().enumerate().map(row).collect()
}

/// Live resources in the order of their creation, in an owner's and a packet's name. A call creates one and releases the oldest.
struct Queue {
    probe: Probe,
    live: VecDeque<Ticket>,
    /// Releases any instead of the oldest: the state of a generator of random numbers.
    random: Option<u64>,
    work: Work,
}

impl Queue {
    fn new(tracker: &Tracker, live: usize) -> Self {
        let (probe, work) = (tracker.probe(), Work::of(tracker));
        let _at_work = work.context.enter();
        Self { probe, live: (0..live).map(|_| probe.create(NEW)).collect(), random: None, work }
    }

    fn in_random_order(self) -> Self {
        Self { random: Some(0x9e37_79b9_7f4a_7c15), ..self }
    }
}

impl Lap for Queue {
    fn timed(&mut self, calls: u64) {
        let _at_work = self.work.context.enter();
        for _ in 0..calls {
            if let Some(state) = &mut self.random {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                let any = (*state % self.live.len() as u64) as usize;
                drop(self.live.swap_remove_back(any));
            } else {
                drop(self.live.pop_front());
            }
            self.live.push_back(self.probe.create(black_box(NEW)));
        }
    }
}

/// One thread, and two that work at the same time for one tracker and one owner.
fn threads(effort: Effort, trackers: &[(&'static str, Tracker)]) -> Vec<Row> {
    let batches = effort.times(20);
    let mut subjects = Vec::new();
    for (name, tracker) in trackers {
        for threads in [1, 2] {
            let round = move || on_threads(threads, batches, 5_000, || Queue::new(tracker, FEW));
            subjects.push(Subject::new(name, round));
        }
    }
    let rounds = alternate(effort, &mut subjects);
    let row = |(index, subject): (usize, &Subject<'_>)| {
        let threads = index % 2 + 1;
        let case = format!("create + drop in order, 10^3 live, threads: {threads}");
        let row = Row::new(GROUP, case, subject.name, "ns", rounds.value(index));
        match (subject.name, threads) {
            ("Events", 1) => row.at_most(120.0),
            ("Off", _) | (_, 1) => row,
            _ => row.against("one thread", rounds.ratio(index, index - 1)).at_most(1.3),
        }
    };
    subjects.iter().enumerate().map(row).collect()
}

/// From a thousand live resources to a million, at [`Level::Events`].
fn many(effort: Effort) -> Vec<Row> {
    let calls = effort.times(LIVES);
    let tracker = Tracker::builder().level(Level::Events).build();
    let mut rows = Vec::new();
    for (order, random) in [("in order", false), ("in random order", true)] {
        let subject = |(name, live)| {
            let queue = Queue::new(&tracker, live);
            let mut queue = if random { queue.in_random_order() } else { queue };
            Subject::new(name, move || cpu_ns(1, || queue.timed(calls)) / calls as f64)
        };
        let mut subjects: Vec<_> = LIVE.map(subject).into();
        let rounds = alternate(effort, &mut subjects);
        for (index, subject) in subjects.iter().enumerate() {
            let case = format!("create + drop {order}, Events");
            let row = Row::new(GROUP, case, subject.name, "ns", rounds.value(index));
            let row = if index == 0 { row } else { row.against(LIVE[0].0, rounds.ratio(index, 0)) };
            // In random order the processor's caches decide.
            rows.push(if index == 0 || random { row } else { row.at_most(1.25) });
        }
    }
    rows
}

/// The time of a snapshot for each resource in it. In new memory, the system's clearing of pages takes the greater part of a large one.
fn snapshots(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (case, again) in
        [("snapshot into the memory of the last, each resource", true), ("snapshot, each resource", false)]
    {
        let subject = |(name, live): (&'static str, usize)| {
            let tracker = Tracker::new();
            let queue = Queue::new(&tracker, live);
            let times = effort.times(200_000 / live as u64);
            let mut snapshot = Snapshot::default();
            Subject::new(name, move || {
                let _live = &queue;
                let take = || {
                    if again {
                        tracker.read_snapshot(black_box(&mut snapshot));
                    } else {
                        drop(black_box(tracker.snapshot()));
                    }
                };
                cpu_ns(times, take) / live as f64
            })
        };
        let mut subjects: Vec<_> = LIVE.map(subject).into();
        let rounds = alternate(effort, &mut subjects);
        for (index, subject) in subjects.iter().enumerate() {
            let row = Row::new(GROUP, case, subject.name, "ns", rounds.value(index));
            // A thousand lie in the nearest caches. Between sizes that lie in none of them it is linear.
            rows.push(match index {
                0 => row,
                3 if again => row.against(LIVE[2].0, rounds.ratio(index, 2)).at_most(1.25),
                _ => row.against(LIVE[0].0, rounds.ratio(index, 0)),
            });
        }
    }
    rows
}

/// What the tracker says that it takes, before and after.
fn memory() -> Vec<Row> {
    const RESOURCES: usize = 100_000;
    let tracker = Tracker::new();
    let probe = tracker.probe();
    let row = |case, subject, bytes: f64| Row::new(GROUP, case, subject, "B", bytes);
    let taken = || tracker.totals().telemetry_bytes as f64;
    let thread = |work: fn(Probe)| {
        let before = taken();
        std::thread::scope(|scope| scope.spawn(move || work(probe)).join()).unwrap_or_default();
        taken() - before
    };
    let empty = taken();
    let shard = thread(|probe| drop(probe.create(NEW)));
    tracker.set_level(Level::Events);
    // The thread takes over what the one before it left, so that only the ring is new.
    let ring = thread(|probe| drop(probe.create(NEW)));
    tracker.set_level(Level::Counters);
    let before = taken();
    let live: Vec<_> = (0..RESOURCES).map(|_| probe.create(NEW)).collect();
    let slots = (taken() - before) / RESOURCES as f64;
    drop(live);
    vec![
        row("memory of an empty tracker", "Tracker::new", empty),
        row("memory for each thread that reports at once", "Counters, with its first slots", shard),
        row("memory of a thread's ring", "Events, 4,096 kept", ring),
        row("memory of a live resource", "of 100,000, no label", slots),
    ]
}
