//! What a producer pays for telling of its resources' lives, with no wgpu around it, and what reading and keeping them costs.
//!
//! - `events`: one event, against libraries that record events too and against the floor.
//! - `lives`: creation and release together, by level, by threads and by how many resources are live; snapshots; memory.
//! - `peers`: how each library is made to record a comparable event.

mod events;
mod lives;
mod peers;

use std::sync::atomic::{AtomicUsize, Ordering};

use cpu_time::ThreadTime;
use engine_vitals_core::probe::{Context, Level, OwnerKind, Packet};
use engine_vitals_core::tracker::Tracker;

use crate::harness::{Effort, nanoseconds};
use crate::report::Row;

const GROUP: &str = "lifecycle";
const LEVELS: [(&str, Level); 3] = [("Off", Level::Off), ("Counters", Level::Counters), ("Events", Level::Events)];

pub(super) fn run(effort: Effort) -> Vec<Row> {
    let mut rows = events::run(effort);
    rows.extend(lives::run(effort));
    rows
}

/// A tracker for each level. Kept to the end by whoever measures: a tracker that is dropped turns its level off.
fn trackers() -> [(&'static str, Tracker); 3] {
    LEVELS.map(|(name, level)| (name, Tracker::builder().level(level).build()))
}

/// Work in an owner's name and within a packet, as an engine's is.
struct Work {
    context: Context,
    _packet: Packet,
}

impl Work {
    fn of(tracker: &Tracker) -> Self {
        let probe = tracker.probe();
        let packet = probe.packet(probe.lane("main"));
        Self { context: packet.context().with_owner(probe.owner(OwnerKind::EFFECT_PIPELINE, 1)), _packet: packet }
    }
}

/// One thread's part in a round: so many calls that count, and what must happen between, which does not.
trait Lap {
    fn timed(&mut self, calls: u64);
    fn between(&mut self) {}
}

/// Nanoseconds of CPU time of one call, as the mean over so many threads that work at the same time. Each thread makes its own lap, and one
/// batch that does not count.
fn on_threads<L: Lap>(threads: usize, batches: u64, calls: u64, lap: impl Fn() -> L + Sync) -> f64 {
    let arrived = AtomicUsize::new(0);
    let one = || {
        let mut lap = lap();
        let (mut meetings, mut spent) = (0, 0.0);
        let mut meet = || {
            meetings += threads;
            arrived.fetch_add(1, Ordering::AcqRel);
            // Awake: who sleeps here wakes late, and the threads would take turns.
            while arrived.load(Ordering::Acquire) < meetings {
                std::thread::yield_now();
            }
        };
        for batch in 0..=batches {
            meet();
            let start = ThreadTime::now();
            lap.timed(calls);
            let time = start.elapsed();
            meet();
            lap.between();
            if batch > 0 {
                spent += nanoseconds(time);
            }
        }
        spent / (batches * calls) as f64
    };
    if threads == 1 {
        return one();
    }
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or(f64::NAN)).sum::<f64>() / threads as f64
    })
}
