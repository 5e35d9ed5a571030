//! What a producer pays for a resource's life, with no wgpu around it.

use std::hint::black_box;

use engine_vitals_core::probe::{Extent, Lane, Level, New, PacketResult, Probe};
use engine_vitals_core::tracker::Tracker;

use crate::harness::{Effort, Subject, alternate, cpu_ns};
use crate::report::Row;

const GROUP: &str = "probe";
const LIVES: u64 = 100_000;
const LEVELS: [(&str, Level); 3] = [("Off", Level::Off), ("Counters", Level::Counters), ("Events", Level::Events)];

pub(super) fn run(effort: Effort) -> Vec<Row> {
    // Kept to the end: a tracker that is dropped turns its level off.
    let trackers = LEVELS.map(|(name, level)| (name, Tracker::builder().level(level).build()));
    let buffer = New::buffer(256);
    let image = New::texture(4 << 16).label("texture").extent(Extent::new(256, 256)).native(1);
    let mut rows = Vec::new();
    for (case, new) in [
        ("create + drop", buffer),
        ("create + drop, with a label", buffer.label("buffer")),
        ("create + drop, with label, extent and handle", image),
    ] {
        rows.extend(compare(effort, case, &trackers, |probe| drop(black_box(probe.create(black_box(new))))));
    }
    rows.extend(compare(effort, "packet, queue + present", &trackers, |probe| {
        black_box(probe.packet(Lane::OTHER)).finish(PacketResult::Presented);
    }));
    rows
}

/// Each tracker's probe in turns.
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
