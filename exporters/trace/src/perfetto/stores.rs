//! Staging rings, memory pools and pools of render targets: a track for each with its figures below it, as of each reading, and an instant
//! where a reading finds that writes have stalled, blocks were moved or requests were refused.

use super::schema::Unit;
use super::tracks::{Heading, Tracks};
use super::write::{self, Arg, Category, number};
use engine_vitals_core::contract::StoreReport;
use engine_vitals_core::tracker::Tracker;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

/// Rings and pools over the whole trace; more have no track.
const MOST: usize = 256;
/// The figures of each.
const FIGURES: usize = 2;

/// The tracks, and what was written last.
#[derive(Debug)]
pub(super) struct StoreTracks {
    heading: Heading,
    /// By the tracker's numbers.
    known: HashMap<u64, Known>,
    made: usize,
    /// The last one that had no room.
    refused: u64,
    reports: Vec<(u64, StoreReport)>,
}

#[derive(Debug)]
struct Known {
    track: u64,
    figures: [u64; FIGURES],
    values: [u64; FIGURES],
    counted: Counted,
    there: bool,
}

/// What is told by an instant when it grows.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    stalls: u64,
    stall_time: Duration,
    moves: u64,
    moved_bytes: u64,
    failures: u64,
}

/// What the trace shows of a report.
struct Shown<'a> {
    what: &'static str,
    name: &'a str,
    figures: [(&'static str, u64); FIGURES],
    counted: Counted,
}

impl StoreTracks {
    pub(super) fn new(rank: i32) -> Self {
        let heading = Heading::new("rings and pools", rank);
        Self { heading, known: HashMap::new(), made: 0, refused: 0, reports: Vec::new() }
    }

    /// Writes what has changed. How many were found for the first time and have no room for a track.
    pub(super) fn write(
        &mut self,
        tracker: &Tracker,
        tracks: &mut Tracks,
        process: u64,
        out: &mut Vec<u8>,
    ) -> io::Result<u64> {
        tracker.read_stores(&mut self.reports);
        let at = tracker.clock().now().unix_nanos();
        let mut left_out = 0;
        self.known.values_mut().for_each(|known| known.there = false);
        for (number, report) in &self.reports {
            let Some(shown) = Shown::of(report) else { continue };
            if let Some(known) = self.known.get_mut(number) {
                known.there = true;
                known.change(at, shown.figures.map(|(_, value)| value), out)?;
                known.tell(at, shown.counted, out)?;
            } else if self.made < MOST {
                self.made += 1;
                let heading = self.heading.get(tracks, process, out)?;
                self.known.insert(*number, Known::begin(at, &shown, tracks, heading, out)?);
            } else if *number > self.refused {
                self.refused = *number;
                left_out += 1;
            }
        }
        // It takes no bytes any more.
        for gone in self.known.values_mut().filter(|known| !known.there) {
            gone.change(at, [0; FIGURES], out)?;
        }
        self.known.retain(|_, known| known.there);
        Ok(left_out)
    }
}

impl Known {
    fn begin(at: u64, shown: &Shown<'_>, tracks: &mut Tracks, heading: u64, out: &mut Vec<u8>) -> io::Result<Self> {
        let title = format!("{} {}", shown.what, shown.name);
        let (track, figures) = (tracks.uuid(), [(); FIGURES].map(|()| tracks.uuid()));
        write::named_track(out, track, heading, 0, &title)?;
        for ((figure, (name, value)), rank) in figures.iter().zip(shown.figures).zip(0..) {
            write::counter_track(out, *figure, track, rank, &format!("{title}: {name}"), Unit::SizeBytes)?;
            write::counter(out, at, *figure, value)?;
        }
        let values = shown.figures.map(|(_, value)| value);
        Ok(Self { track, figures, values, counted: shown.counted, there: true })
    }

    fn change(&mut self, at: u64, values: [u64; FIGURES], out: &mut Vec<u8>) -> io::Result<()> {
        for ((figure, last), value) in self.figures.iter().zip(&mut self.values).zip(values) {
            if *last != value {
                *last = value;
                write::counter(out, at, *figure, value)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, at: u64, now: Counted, out: &mut Vec<u8>) -> io::Result<()> {
        let last = std::mem::replace(&mut self.counted, now);
        let grown = |of: fn(&Counted) -> u64| of(&now).saturating_sub(of(&last));
        let mut instant = |name, args| write::instant(out, at, self.track, Category::Store, name, args);
        let stalls = grown(|counted| counted.stalls);
        if stalls > 0 {
            let time = now.stall_time.saturating_sub(last.stall_time).as_nanos();
            let time = u64::try_from(time).unwrap_or(u64::MAX);
            instant("stalled", vec![number(Arg::Count, stalls), number(Arg::StallsNanos, time)])?;
        }
        let moves = grown(|counted| counted.moves);
        if moves > 0 {
            let bytes = grown(|counted| counted.moved_bytes);
            instant("defragmented", vec![number(Arg::Count, moves), number(Arg::Bytes, bytes)])?;
        }
        let refused = grown(|counted| counted.failures);
        if refused > 0 { instant("refused", vec![number(Arg::Count, refused)]) } else { Ok(()) }
    }
}

impl<'a> Shown<'a> {
    /// `None` for a kind that this version does not know.
    fn of(report: &'a StoreReport) -> Option<Self> {
        Some(match report {
            StoreReport::StagingRing(ring) => {
                let in_flight = ring.in_flight_bytes.iter().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
                let (stalls, stall_time, failures) = (ring.stalls, ring.stall_time, ring.failures);
                Self {
                    what: "staging ring",
                    name: &ring.name,
                    figures: [("ring bytes", ring.ring_bytes), ("in flight bytes", in_flight)],
                    counted: Counted { stalls, stall_time, failures, ..Counted::default() },
                }
            }
            StoreReport::MemoryPool(pool) => {
                let (moves, moved_bytes, failures) = (pool.defrag_moves, pool.defrag_moved_bytes, pool.failures);
                Self {
                    what: "memory pool",
                    name: &pool.name,
                    figures: [("reserved bytes", pool.reserved_bytes), ("allocated bytes", pool.allocated_bytes)],
                    counted: Counted { moves, moved_bytes, failures, ..Counted::default() },
                }
            }
            StoreReport::TargetPool(pool) => Self {
                what: "target pool",
                name: &pool.name,
                figures: [("used bytes", pool.used_bytes), ("idle bytes", pool.idle_bytes)],
                counted: Counted::default(),
            },
            _ => return None,
        })
    }
}
