//! What becomes of each event. `loss.rs` has what becomes of slices whose events were lost, `hitches.rs` of frames that took too long.

mod hitches;
mod loss;

use self::loss::Gone;
use super::figures::Figures;
use super::schema::DebugAnnotation;
use super::shown::{Shown, extent_args, owner_args, packet_name};
use super::stores::StoreTracks;
use super::tracks::{Group, Heading, Slices, Tracks};
use super::write::{self, Arg, Category, number, remark, text};
use crate::pump::Format;
use engine_vitals_core::analysis::hitches::Hitch;
use engine_vitals_core::probe::{
    Event, EventKind, Lane, OwnerKind, PacketId, PacketResult, ResourceId, ResourceKind, Timestamp,
};
use engine_vitals_core::tracker::{PacketRecord, ResourceRecord, Tracker};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Packets and submissions that may be open at once.
const MOST_OPEN: usize = 4096;
/// Queues with a track of their own; the submissions of others share one.
const MOST_QUEUES: usize = 256;

/// Slices that are not in the trace for want of room.
pub(crate) type LeftOut = Arc<AtomicU64>;

/// Writes the trace.
#[derive(Debug)]
pub(crate) struct Recorder {
    tracks: Tracks,
    process: u64,
    /// What the trace says of itself, losses first of all.
    own: u64,
    markers: u64,
    hitches: Heading,
    submissions_heading: Heading,
    resources_heading: Heading,
    queues: usize,
    packets: Slices<PacketId, Lane>,
    /// What the tracker keeps of packets, asked for once in a reading.
    known_packets: Option<HashMap<PacketId, PacketRecord>>,
    submissions: Slices<Submission, Option<ResourceId>>,
    resources: Slices<ResourceId, (ResourceKind, OwnerKind)>,
    figures: Figures,
    stores: StoreTracks,
    began: Timestamp,
    /// What was live then, until it is written.
    found: Vec<ResourceRecord>,
    events: u64,
    lost: u64,
    left_out: LeftOut,
    left_out_told: u64,
    /// Since a loss, the live resources were not looked through yet.
    to_reconcile: bool,
    /// Open slices of what had ended then: unless their end comes with the next reading, it was lost.
    gone: Gone,
}

/// A submission: the queue, as far as it is known, and the program's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Submission {
    queue: Option<ResourceId>,
    correlation: u64,
}

impl Recorder {
    /// A trace in which at most so many resources' slices are open at once.
    pub(crate) fn new(lifetimes: usize, left_out: LeftOut) -> Self {
        let mut tracks = Tracks::new();
        let [process, own, markers] = std::array::from_fn(|_| tracks.uuid());
        Self {
            tracks,
            process,
            own,
            markers,
            hitches: Heading::new("hitches", rank::HITCHES),
            submissions_heading: Heading::new("submissions", rank::SUBMISSIONS),
            resources_heading: Heading::new("resources", rank::RESOURCES),
            queues: 0,
            packets: Slices::new(MOST_OPEN),
            known_packets: None,
            submissions: Slices::new(MOST_OPEN),
            resources: Slices::new(lifetimes),
            figures: Figures::default(),
            stores: StoreTracks::new(rank::STORES),
            began: Timestamp::default(),
            found: Vec::new(),
            events: 0,
            lost: 0,
            left_out,
            left_out_told: 0,
            to_reconcile: false,
            gone: Gone::default(),
        }
    }
}

/// The order of what lies below the process.
mod rank {
    pub(super) const OWN: i32 = 0;
    pub(super) const MARKERS: i32 = 1;
    pub(super) const HITCHES: i32 = 2;
    pub(super) const LANES: i32 = 3;
    pub(super) const SUBMISSIONS: i32 = 4;
    pub(super) const FIGURES: i32 = 5;
    pub(super) const STORES: i32 = 6;
    pub(super) const RESOURCES: i32 = 7;
}

impl Format for Recorder {
    const IN_ORDER: bool = true;

    fn prepare(&mut self, tracker: &Tracker, at: Timestamp) {
        self.began = at;
        self.found = tracker.snapshot().resources;
        // Later ones have their events.
        self.found.retain(|record| record.created <= at);
    }

    fn begin(&mut self, tracker: &Tracker, out: &mut Vec<u8>) -> io::Result<()> {
        write::header(out, self.began)?;
        write::process(out, self.process, program())?;
        write::named_track(out, self.own, self.process, rank::OWN, "engine-vitals")?;
        write::named_track(out, self.markers, self.process, rank::MARKERS, "markers")?;
        self.figures.begin(&mut self.tracks, self.process, rank::FIGURES, out)?;
        let version = vec![text(Arg::Version, env!("CARGO_PKG_VERSION"))];
        write::instant(out, self.began.unix_nanos(), self.own, Category::Trace, "trace begins", version)?;
        self.figures.write(tracker, true, out)?;
        self.write_stores(tracker, out)?;
        for record in std::mem::take(&mut self.found) {
            if !self.open_resource(Shown::of_record(tracker, &record), out)? {
                self.leave_out();
            }
        }
        Ok(())
    }

    fn lost(&mut self, tracker: &Tracker, lost: u64, out: &mut Vec<u8>) -> io::Result<()> {
        self.lost += lost;
        self.to_reconcile = true;
        let now = tracker.clock().now().unix_nanos();
        write::instant(out, now, self.own, Category::Loss, "events lost", vec![number(Arg::Count, lost)])
    }

    fn event(&mut self, tracker: &Tracker, event: &Event, out: &mut Vec<u8>) -> io::Result<()> {
        self.events += 1;
        match event.event {
            EventKind::Create => self.created(tracker, event, out),
            EventKind::Destroy => self.released(tracker, event, out),
            EventKind::ResizeRebuild => self.resized(event, out),
            EventKind::Submit => self.submitted(tracker, event, out),
            EventKind::Complete => self.completed(event, "completed", out),
            EventKind::Present => match (event.packet, event.result) {
                (Some(packet), Some(result)) => self.packet_ended(tracker, event, packet, result, out),
                _ => self.instant(tracker, event, Category::Present, "present", out),
            },
            EventKind::Marker => match (event.marker, event.packet, event.result) {
                (_, Some(packet), Some(result)) => self.packet_ended(tracker, event, packet, result, out),
                (Some("packet queued"), Some(packet), _) if !self.packets.is_open(packet) => {
                    self.packet_queued(tracker, event, packet, out)
                }
                (Some("submission abandoned"), _, _) if event.correlation.is_some() => {
                    self.completed(event, "abandoned", out)
                }
                (name, _, _) => self.instant(tracker, event, Category::Marker, name.unwrap_or("unnamed"), out),
            },
            // Touches say which packet used what: too many for slices to show.
            EventKind::Bind | EventKind::Unbind => Ok(()),
            // A kind that this version does not know.
            _ => Ok(()),
        }
    }

    fn hitch(&mut self, tracker: &Tracker, hitch: &Hitch, out: &mut Vec<u8>) -> io::Result<()> {
        self.frame_hitched(tracker, hitch, out)
    }

    fn reading_ends(&mut self, tracker: &Tracker, last: bool, out: &mut Vec<u8>) -> io::Result<()> {
        self.known_packets = None;
        self.reconcile(tracker, last, out)?;
        self.figures.write(tracker, last, out)?;
        self.write_stores(tracker, out)?;
        let left_out = self.left_out.load(Ordering::Relaxed);
        let now = tracker.clock().now().unix_nanos();
        if left_out > self.left_out_told {
            let more = vec![number(Arg::Count, left_out - self.left_out_told)];
            self.left_out_told = left_out;
            write::instant(out, now, self.own, Category::Loss, "slices left out", more)?;
        }
        if last {
            let sums = vec![
                number(Arg::Events, self.events),
                number(Arg::EventsLost, self.lost),
                number(Arg::LeftOut, left_out),
            ];
            write::instant(out, now, self.own, Category::Trace, "trace ends", sums)?;
        }
        Ok(())
    }
}

/// Resources.
impl Recorder {
    fn created(&mut self, tracker: &Tracker, event: &Event, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(shown) = Shown::of_event(tracker, event, event.time.unix_nanos()) else { return Ok(()) };
        // One that was found live when the trace began is there already.
        if !self.resources.is_open(shown.id) && !self.open_resource(shown, out)? {
            self.leave_out();
        }
        Ok(())
    }

    fn released(&mut self, tracker: &Tracker, event: &Event, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(id) = event.resource else { return Ok(()) };
        let at = event.time.unix_nanos();
        let released_in = packet_name(tracker, event.packet).map(|packet| text(Arg::ReleasedIn, packet));
        let args = released_in.into_iter().collect();
        if let Some((track, at)) = self.resources.end(id, at) {
            return write::end(out, at, track, args);
        }
        // Its creation was lost, or there was no room for its slice until now.
        let lived = event.lifetime.unwrap_or_default().as_nanos().try_into().unwrap_or(u64::MAX);
        let Some(shown) = Shown::of_event(tracker, event, at.saturating_sub(lived)) else { return Ok(()) };
        let group = shown.group();
        match self.write_resource(shown, out)? {
            Some(track) => {
                self.resources.release(group, track, at);
                write::end(out, at, track, args)
            }
            None => {
                self.leave_out();
                Ok(())
            }
        }
    }

    fn resized(&mut self, event: &Event, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(track) = event.resource.and_then(|id| self.resources.track(id)) else { return Ok(()) };
        let mut args: Vec<_> = event.bytes.map(|bytes| number(Arg::Bytes, bytes)).into_iter().collect();
        args.extend(event.extent.into_iter().flat_map(extent_args));
        write::instant(out, event.time.unix_nanos(), track, Category::Resize, "resize", args)
    }

    /// Begins the slice of a resource; `false` if there is no room.
    fn open_resource(&mut self, shown: Shown, out: &mut Vec<u8>) -> io::Result<bool> {
        if !self.resources.has_room() {
            return Ok(false);
        }
        let (id, at) = (shown.id, shown.created.max(self.began.unix_nanos()));
        let group = shown.group();
        let Some(track) = self.write_resource(shown, out)? else { return Ok(false) };
        self.resources.begin(id, group, track, at);
        Ok(true)
    }

    /// The beginning of a resource's slice: the track that it lies on.
    fn write_resource(&mut self, shown: Shown, out: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let group @ (kind, owner_kind) = shown.group();
        let Shown { id, created, name, mut args, .. } = shown;
        if !self.resources.knows(group) {
            let heading = self.resources_heading.get(&mut self.tracks, self.process, out)?;
            let name = match owner_kind {
                OwnerKind::UNOWNED => kind.name().to_owned(),
                owner => format!("{} of {}", kind.name(), owner.name()),
            };
            self.resources.add_group(group, Group::new(name, heading, kind.index() as i32));
        }
        let at = created.max(self.began.unix_nanos());
        let Some(track) = self.resources.place(&mut self.tracks, group, at, out)? else { return Ok(None) };
        if at > created {
            args.push(number(Arg::AgeAtStart, at - created));
        }
        let name = name.unwrap_or_else(|| format!("{} {}", kind.name(), id.get()));
        write::begin(out, at, track, Category::Resource, name, None, args)?;
        Ok(Some(track))
    }
}

/// Packets, submissions, and what has no duration.
impl Recorder {
    fn packet_queued(
        &mut self,
        tracker: &Tracker,
        event: &Event,
        packet: PacketId,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let at = event.time.unix_nanos();
        let track = if self.packets.has_room() { self.packet_slice(tracker, packet, at, None, out)? } else { None };
        match track {
            Some(track) => self.packets.begin(packet, packet.lane(), track, at),
            None => self.leave_out(),
        }
        Ok(())
    }

    fn packet_ended(
        &mut self,
        tracker: &Tracker,
        event: &Event,
        packet: PacketId,
        result: PacketResult,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let mut args = vec![text(Arg::Result, result.name())];
        args.extend(self.packet_sums(tracker, packet));
        let at = event.time.unix_nanos();
        if let Some((track, at)) = self.packets.end(packet, at) {
            return write::end(out, at, track, args);
        }
        // The event of its queueing was lost, or there was no room: the tracker may know the time.
        let queued = self.known_packets.as_ref().and_then(|known| known.get(&packet)).map(|packet| packet.queued);
        let (began, unknown) = match queued {
            Some(queued) => (queued.max(self.began).unix_nanos(), None),
            None => (at, Some(remark(Arg::BeginNotRecorded))),
        };
        let Some(track) = self.packet_slice(tracker, packet, began, unknown, out)? else {
            self.leave_out();
            return Ok(());
        };
        self.packets.release(packet.lane(), track, at);
        write::end(out, at, track, args)
    }

    /// What the tracker counted of a packet that has ended; nothing of one that it no longer keeps.
    fn packet_sums(&mut self, tracker: &Tracker, packet: PacketId) -> Vec<DebugAnnotation> {
        let known = self
            .known_packets
            .get_or_insert_with(|| tracker.packets(usize::MAX).into_iter().map(|packet| (packet.id, packet)).collect());
        let Some(packet) = known.get(&packet) else { return Vec::new() };
        let counts = [
            (Arg::Submissions, packet.submissions.into()),
            (Arg::Created, packet.created),
            (Arg::Released, packet.released),
        ];
        let command = packet.command.map(|command| number(Arg::Command, command));
        command.into_iter().chain(counts.map(|(name, count)| number(name, count))).collect()
    }

    /// The beginning of a packet's slice: the track that it lies on.
    fn packet_slice(
        &mut self,
        tracker: &Tracker,
        packet: PacketId,
        at: u64,
        remark: Option<DebugAnnotation>,
        out: &mut Vec<u8>,
    ) -> io::Result<Option<u64>> {
        let lane = packet.lane();
        let name = tracker.lane_name(lane).unwrap_or("no lane");
        if !self.packets.knows(lane) {
            self.packets.add_group(lane, Group::new(format!("lane {name}"), self.process, rank::LANES));
        }
        let Some(track) = self.packets.place(&mut self.tracks, lane, at, out)? else { return Ok(None) };
        let mut args = vec![text(Arg::Lane, name), number(Arg::Number, packet.number())];
        args.extend(remark);
        let shown = packet_name(tracker, Some(packet)).unwrap_or_default();
        write::begin(out, at, track, Category::Packet, shown, Some(packet.get()), args)?;
        Ok(Some(track))
    }

    fn submitted(&mut self, tracker: &Tracker, event: &Event, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(correlation) = event.correlation else { return Ok(()) };
        let submission = Submission { queue: event.resource, correlation };
        let at = event.time.unix_nanos();
        // A number that is used again while its submission is in flight: the first one's end cannot be told.
        if let Some((track, at)) = self.submissions.end(submission, at) {
            write::end(out, at, track, vec![remark(Arg::EndNotRecorded)])?;
        }
        let mut args: Vec<_> = event.bytes.map(|bytes| number(Arg::StagedBytes, bytes)).into_iter().collect();
        args.extend(packet_name(tracker, event.packet).map(|packet| text(Arg::Packet, packet)));
        args.extend(event.owner.into_iter().flat_map(|owner| owner_args(tracker, owner)));
        let room = self.submissions.has_room();
        let track = if room { self.submission_slice(submission, event, args, out)? } else { None };
        match track {
            Some((group, track)) => self.submissions.begin(submission, group, track, at),
            None => self.leave_out(),
        }
        Ok(())
    }

    fn completed(&mut self, event: &Event, outcome: &str, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(correlation) = event.correlation else { return Ok(()) };
        let named = Submission { queue: event.resource, correlation };
        // An end may leave out the queue that the submission named.
        let any = || self.submissions.ids().find(|open| open.correlation == correlation);
        let submission = if self.submissions.is_open(named) { named } else { any().unwrap_or(named) };
        let args = vec![text(Arg::Outcome, outcome)];
        let at = event.time.unix_nanos();
        if let Some((track, at)) = self.submissions.end(submission, at) {
            return write::end(out, at, track, args);
        }
        let unknown = vec![remark(Arg::BeginNotRecorded)];
        let Some((group, track)) = self.submission_slice(submission, event, unknown, out)? else {
            self.leave_out();
            return Ok(());
        };
        self.submissions.release(group, track, at);
        write::end(out, at, track, args)
    }

    /// The beginning of a submission's slice: the group that it is in and the track that it lies on.
    fn submission_slice(
        &mut self,
        submission: Submission,
        event: &Event,
        mut args: Vec<DebugAnnotation>,
        out: &mut Vec<u8>,
    ) -> io::Result<Option<(Option<ResourceId>, u64)>> {
        let Submission { queue, correlation } = submission;
        let full = !self.submissions.knows(queue) && self.queues >= MOST_QUEUES;
        let group = if full { None } else { queue };
        if !self.submissions.knows(group) {
            let heading = self.submissions_heading.get(&mut self.tracks, self.process, out)?;
            let name = group.map_or_else(|| "submissions".to_owned(), |queue| format!("queue {}", queue.get()));
            self.submissions.add_group(group, Group::new(name, heading, 0));
            self.queues += 1;
        }
        let at = event.time.unix_nanos();
        let Some(track) = self.submissions.place(&mut self.tracks, group, at, out)? else { return Ok(None) };
        args.push(number(Arg::Correlation, correlation));
        let flow = event.packet.map(PacketId::get);
        write::begin(out, at, track, Category::Submission, format!("submission {correlation}"), flow, args)?;
        Ok(Some((group, track)))
    }

    fn instant(
        &mut self,
        tracker: &Tracker,
        event: &Event,
        category: Category,
        name: &str,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let mut args: Vec<_> =
            packet_name(tracker, event.packet).map(|packet| text(Arg::Packet, packet)).into_iter().collect();
        args.extend(event.resource.map(|id| number(Arg::Id, id.get())));
        args.extend(event.owner.into_iter().flat_map(|owner| owner_args(tracker, owner)));
        write::instant(out, event.time.unix_nanos(), self.markers, category, name, args)
    }

    fn write_stores(&mut self, tracker: &Tracker, out: &mut Vec<u8>) -> io::Result<()> {
        let left_out = self.stores.write(tracker, &mut self.tracks, self.process, out)?;
        self.left_out.fetch_add(left_out, Ordering::Relaxed);
        Ok(())
    }

    fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the process is called in the trace.
fn program() -> String {
    let path = std::env::current_exe().ok();
    let stem = path.as_deref().and_then(std::path::Path::file_stem);
    stem.map_or_else(|| "program".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
