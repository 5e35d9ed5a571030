//! What becomes of slices whose events were lost: the tracker is asked what it knows of them.

use super::super::shown::Shown;
use super::super::write::{self, Arg, remark, text};
use super::{Recorder, Submission};
use engine_vitals_core::probe::{PacketId, PacketResult, ResourceId, Timestamp};
use engine_vitals_core::tracker::Tracker;
use std::collections::{HashMap, HashSet};
use std::io;

/// What had ended when it was looked for, with the time and the result as far as they are kept.
#[derive(Debug, Default)]
pub(super) struct Gone {
    resources: Vec<ResourceId>,
    packets: Vec<(PacketId, Option<(Timestamp, PacketResult)>)>,
    submissions: Vec<(Submission, Option<(Timestamp, &'static str)>)>,
}

impl Recorder {
    /// Slices of what has ended are ended, and those of resources whose creation was lost begun. The end of what has
    /// ended may still come with the next reading, so that is waited for.
    pub(super) fn reconcile(&mut self, tracker: &Tracker, last: bool, out: &mut Vec<u8>) -> io::Result<()> {
        self.end_gone(tracker, out)?;
        if !self.to_reconcile {
            return Ok(());
        }
        let snapshot = tracker.snapshot();
        if snapshot.contended > 0 && !last {
            return Ok(());
        }
        self.to_reconcile = false;
        let live: HashSet<_> = snapshot.resources.iter().map(|record| record.id).collect();
        self.gone = Gone {
            resources: self.resources.ids().filter(|id| !live.contains(id)).collect(),
            packets: self.gone_packets(tracker),
            submissions: self.gone_submissions(tracker),
        };
        for record in &snapshot.resources {
            if !self.resources.is_open(record.id) {
                // Without room, its creation was counted as left out or as lost.
                self.open_resource(Shown::of_record(tracker, record), out)?;
            }
        }
        if last { self.end_gone(tracker, out) } else { Ok(()) }
    }

    /// Open packets of which the tracker says that they have ended, or that it keeps no longer.
    fn gone_packets(&self, tracker: &Tracker) -> Vec<(PacketId, Option<(Timestamp, PacketResult)>)> {
        let known: HashMap<_, _> = tracker.packets(usize::MAX).into_iter().map(|packet| (packet.id, packet)).collect();
        let ended = self.packets.ids().filter_map(|id| match known.get(&id) {
            Some(packet) => Some((id, Some((packet.ended?, packet.result?)))),
            None => Some((id, None)),
        });
        ended.collect()
    }

    /// Open submissions of which the tracker says that they have ended, or that it keeps no longer.
    fn gone_submissions(&self, tracker: &Tracker) -> Vec<(Submission, Option<(Timestamp, &'static str)>)> {
        let known = tracker.submissions(usize::MAX).into_iter();
        let known: HashMap<_, _> = known.map(|record| ((record.queue, record.correlation), record)).collect();
        let ended = self.submissions.ids().filter_map(|open| match known.get(&(open.queue, open.correlation)) {
            Some(record) if record.in_flight() => None,
            Some(record) => Some((open, record.completed.map(|at| (at, "completed")))),
            None => Some((open, None)),
        });
        ended.collect()
    }

    fn end_gone(&mut self, tracker: &Tracker, out: &mut Vec<u8>) -> io::Result<()> {
        let Gone { resources, packets, submissions } = std::mem::take(&mut self.gone);
        let now = tracker.clock().now().unix_nanos();
        for id in resources {
            if let Some((track, at)) = self.resources.end(id, now) {
                write::end(out, at, track, vec![remark(Arg::EndNotRecorded)])?;
            }
        }
        for (id, ended) in packets {
            let at = ended.map_or(now, |(at, _)| at.unix_nanos());
            let result = ended.map_or(remark(Arg::EndNotRecorded), |(_, result)| text(Arg::Result, result.name()));
            if let Some((track, at)) = self.packets.end(id, at) {
                write::end(out, at, track, vec![result])?;
            }
        }
        for (id, ended) in submissions {
            let at = ended.map_or(now, |(at, _)| at.unix_nanos());
            let outcome = ended.map_or(remark(Arg::EndNotRecorded), |(_, outcome)| text(Arg::Outcome, outcome));
            if let Some((track, at)) = self.submissions.end(id, at) {
                write::end(out, at, track, vec![outcome])?;
            }
        }
        Ok(())
    }
}
