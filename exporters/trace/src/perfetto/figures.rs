//! The counters: exact figures of the tracker, as of each reading.

use super::schema::Unit;
use super::tracks::Tracks;
use super::write;
use engine_vitals_core::tracker::{Totals, Tracker};
use std::io;

/// A figure's name, unit, and where it comes from.
type Figure = (&'static str, Unit, fn(&Totals) -> u64);

const FIGURES: [Figure; 6] = [
    ("live bytes", Unit::SizeBytes, |totals| totals.device().live_bytes()),
    ("pending bytes", Unit::SizeBytes, |totals| totals.device().pending_bytes()),
    ("live resources", Unit::Count, |totals| totals.device().live() + totals.suballocations().live()),
    ("submissions in flight", Unit::Count, |totals| totals.submissions.in_flight()),
    ("unsubmitted bytes", Unit::SizeBytes, |totals| totals.submissions.unsubmitted_bytes()),
    ("open packets", Unit::Count, |totals| totals.packets().open()),
];

/// The counters' tracks and what was written last.
#[derive(Debug, Default)]
pub(super) struct Figures {
    tracks: [u64; FIGURES.len()],
    last: [Option<u64>; FIGURES.len()],
    totals: Totals,
}

impl Figures {
    /// Tells of the tracks.
    pub(super) fn begin(&mut self, tracks: &mut Tracks, parent: u64, rank: i32, out: &mut Vec<u8>) -> io::Result<()> {
        for ((name, unit, _), track) in FIGURES.iter().zip(&mut self.tracks) {
            *track = tracks.uuid();
            write::counter_track(out, *track, parent, rank, name, *unit)?;
        }
        Ok(())
    }

    /// Writes the figures that have changed, or with `all` each of them.
    pub(super) fn write(&mut self, tracker: &Tracker, all: bool, out: &mut Vec<u8>) -> io::Result<()> {
        tracker.read_totals(&mut self.totals);
        let at = self.totals.time.unix_nanos();
        for (((_, _, figure), track), last) in FIGURES.iter().zip(self.tracks).zip(&mut self.last) {
            let value = figure(&self.totals);
            if all || *last != Some(value) {
                *last = Some(value);
                write::counter(out, at, track, value)?;
            }
        }
        Ok(())
    }
}
