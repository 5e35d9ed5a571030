//! What a dump has: plain data, names in place of numbers. The attributes are its file format; `docs/LEAKS.md` has it as tables.

use super::json::{Format, Version};
use crate::contract::{MemoryPoolReport, StagingRingReport, TargetPoolReport};
use crate::probe::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::Not;
use std::sync::Arc;

/// Everything that a tracker knew at one moment: resources with what they refer to, totals, the last packets with what they touched, and
/// the course of creations and releases since the start.
///
/// It is made by [`Dump::take`] or read from a file ([`Dump::read_json`]). [`Display`](std::fmt::Display) writes all of it as text, the
/// longest lists cut short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dump {
    pub(super) format: Format,
    pub(super) version: Version,
    /// The process that it was taken in: resources of two dumps are the same only where this is.
    pub run: String,
    /// When it was taken.
    #[serde(rename = "taken_ns")]
    pub taken: Timestamp,
    /// Since when every new resource has been tracked; `None` while the level is off.
    #[serde(rename = "tracked_since_ns", default, skip_serializing_if = "Option::is_none")]
    pub tracked_since: Option<Timestamp>,
    /// How much was recorded: `off`, `counters` or `events`.
    pub level: String,
    /// What was counted.
    pub totals: DumpTotals,
    /// The packets queued last, the oldest first.
    pub packets: Vec<Packet>,
    /// The course of the run.
    pub timeline: Timeline,
    /// The last frames that took too long, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hitches: Vec<DumpHitch>,
    /// The staging rings that are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub staging_rings: Vec<StagingRingReport>,
    /// The memory pools that are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory_pools: Vec<MemoryPoolReport>,
    /// The pools of render targets that are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_pools: Vec<TargetPoolReport>,
    /// Slots that were being written at every look, so that their resource, if any, is missing.
    #[serde(default)]
    pub contended: u64,
    /// Resources that were left out for the limit of [`DumpOptions::resources`](super::DumpOptions::resources).
    #[serde(default)]
    pub left_out: Sum,
    /// The resources that are live or pending, by id.
    #[serde(deserialize_with = "super::json::resources")]
    pub resources: Vec<Resource>,
}

/// A number of resources, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sum {
    /// Resources.
    pub count: u64,
    /// Their bytes; [`u64::MAX`] for more.
    pub bytes: u64,
}

impl Sum {
    /// One more.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// A resource that is live or pending. What is unknown is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Resource {
    /// Its id.
    pub id: u64,
    /// What it is.
    pub kind: Arc<str>,
    /// Its bytes.
    pub bytes: u64,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Arc<str>>,
    /// Its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<DumpOwner>>,
    /// The line of source that reported its creation: `file:line:column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Arc<str>>,
    /// When it was created.
    #[serde(rename = "created_ns")]
    pub created: Timestamp,
    /// The packet in which it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_in: Option<PacketName>,
    /// The packet that touched it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_packet: Option<PacketName>,
    /// The program dropped its handle: something else holds it.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub handle_dropped: bool,
    /// The program destroyed it explicitly.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub destroyed: bool,
    /// It is destroyed and its memory is known to be free: its bytes are in no total.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub freed: bool,
    /// The block that it lies within: its bytes are part of the block's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<u64>,
    /// What it refers to: a view's texture, a bind group's members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<u64>,
    /// The API that made it; `None` for no API in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Arc<str>>,
    /// The API's own handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<u64>,
    /// Its size as an image: width, height, depth or layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extent: Option<[u32; 3]>,
    /// Pixels per logical pixel of the surface behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f32>,
}

impl Resource {
    /// Neither handle dropped nor destroyed. Otherwise it is pending: views, bind groups or work in flight hold it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.handle_dropped && !self.destroyed
    }

    /// Bytes that it still takes: none if they are known to be free.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        if self.freed { 0 } else { self.bytes }
    }
}

/// An owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DumpOwner {
    /// Its kind.
    pub kind: Arc<str>,
    /// The program's number for it; `None` for owners beyond the tracker's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<u64>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
}

/// A packet's lane and its place among the lane's packets, from 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PacketName {
    /// The lane's name.
    pub lane: Arc<str>,
    /// Its number.
    pub number: u64,
}

/// What was counted since the tracker was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DumpTotals {
    /// The most bytes that were live at once, suballocations left out.
    pub peak_live_bytes: u64,
    /// How far the peak can be from the truth.
    pub peak_error_bytes: u64,
    /// Bytes that the tracker itself takes.
    pub telemetry_bytes: u64,
    /// Each kind that was ever created; resources with memory of their own and suballocations apart.
    pub kinds: Vec<KindLine>,
    /// Each lane that has had a packet.
    pub lanes: Vec<LaneLine>,
    /// Submissions.
    pub submissions: SubmissionLine,
    /// Events offered to the rings.
    pub events_produced: u64,
    /// Of these, those that newer ones have overwritten.
    pub events_overwritten: u64,
    /// Resources that were not tracked for want of room.
    pub untracked_resources: u64,
    /// Names (kinds, owners, lanes, labels, markers, sites) that were not kept for want of room.
    pub names_not_kept: u64,
}

/// What was counted of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KindLine {
    /// The kind.
    pub kind: Arc<str>,
    /// These lie within blocks that are counted themselves: never add their bytes to the others'.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub suballocations: bool,
    /// Resources created.
    pub created: u64,
    /// Live resources.
    pub live: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Resources that are neither live nor released.
    pub pending: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// Resources released.
    pub released: u64,
    /// Resources destroyed explicitly, released or not.
    pub destroyed: u64,
    /// Times that storage was rebuilt in another size.
    pub rebuilds: u64,
}

/// What was counted of one lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LaneLine {
    /// Its name.
    pub lane: Arc<str>,
    /// Packets queued.
    pub queued: u64,
    /// Packets that were presented.
    pub presented: u64,
    /// Packets given up.
    pub dropped: u64,
    /// Packets with nothing to draw.
    pub no_op: u64,
    /// Packets that failed.
    pub failed: u64,
}

/// What was counted of submissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SubmissionLine {
    /// Submissions.
    pub submitted: u64,
    /// Submissions completed.
    pub completed: u64,
    /// Submissions that will never be known to complete.
    pub abandoned: u64,
    /// Bytes staged that wait for a submission.
    pub unsubmitted_bytes: u64,
}

/// A packet. What has not happened, and what is unknown, is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Packet {
    /// Its lane.
    pub lane: Arc<str>,
    /// Its place among the lane's packets, from 1.
    pub number: u64,
    /// The program's own number for its render command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<u64>,
    /// When it was queued.
    #[serde(rename = "queued_ns")]
    pub queued: Timestamp,
    /// When work was first submitted in its context.
    #[serde(rename = "submitted_ns", default, skip_serializing_if = "Option::is_none")]
    pub submitted: Option<Timestamp>,
    /// When the last of its work was known to be completed.
    #[serde(rename = "completed_ns", default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
    /// When it ended.
    #[serde(rename = "ended_ns", default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How it ended: `presented`, `dropped`, `no_op` or `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Arc<str>>,
    /// Submissions in its context.
    pub submissions: u64,
    /// Resources that the whole program created while it was open.
    pub created: u64,
    /// Resources that the whole program released while it was open.
    pub released: u64,
    /// What it touched, as far as the rings still knew; `None` where no touches were recorded (they are at
    /// [`Level::Events`](crate::probe::Level::Events) with touch lists on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touches: Option<Vec<Touch>>,
    /// Touches beyond [`DumpOptions::touches`](super::DumpOptions::touches).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub touches_left_out: u64,
}

/// A resource that a packet touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Touch {
    /// The resource's id; it may have been released since.
    pub resource: u64,
    /// Its kind.
    pub kind: Arc<str>,
}

/// The course of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timeline {
    /// Length of a slice in nanoseconds.
    pub slice_ns: u64,
    /// Slices in which resources were created or released, by time; without the kinds that every frame makes by its nature
    /// ([`TrackerBuilder::passing_kinds`](crate::tracker::TrackerBuilder::passing_kinds)), here and in the packets' counts.
    pub slices: Vec<Slice>,
    /// Lives that have ended of the kinds that are followed one by one, by their end.
    pub lives: Vec<Life>,
    /// Lives that had ended and were no longer kept.
    pub lives_missed: u64,
}

/// Creations and releases within a slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Slice {
    /// When it began.
    #[serde(rename = "from_ns")]
    pub from: Timestamp,
    /// Resources created.
    pub created: u64,
    /// Resources released.
    pub released: u64,
}

/// A life that has ended. What is unknown is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Life {
    /// The resource.
    pub id: u64,
    /// What it was.
    pub kind: Arc<str>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Arc<str>>,
    /// Its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<DumpOwner>>,
    /// The line of source that reported its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Arc<str>>,
    /// Its bytes at the end.
    pub bytes: u64,
    /// When it was created.
    #[serde(rename = "created_ns")]
    pub created: Timestamp,
    /// The packet in which it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_in: Option<PacketName>,
    /// When it was released.
    #[serde(rename = "released_ns")]
    pub released: Timestamp,
    /// The packet in whose context it was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_in: Option<PacketName>,
    /// It was destroyed explicitly before.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub explicit: bool,
}

#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A frame that took too long, and what explains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DumpHitch {
    /// The frame's number.
    pub frame: u64,
    /// When the frame ended.
    #[serde(rename = "ended_ns")]
    pub ended: Timestamp,
    /// The time of the frame in nanoseconds.
    pub frame_ns: u64,
    /// What the typical frame took; `None` where too few were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typical_ns: Option<u64>,
    /// What the frame might have taken.
    pub budget_ns: u64,
    /// What explains it, the weightiest first.
    pub causes: Vec<DumpCause>,
    /// All of it as one line.
    pub text: String,
}

/// One cause of a hitch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DumpCause {
    /// Its name.
    pub cause: Arc<str>,
    /// The time beyond the typical frame's that it explains.
    pub ns: u64,
    /// How that is known: `measured`, `on other threads`, `estimated` or `unexplained`.
    pub basis: Arc<str>,
    /// How often the frame did it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub count: u64,
    /// Of how many bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// The pass that took longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Arc<str>>,
    /// The frame whose pass it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_frame: Option<u64>,
}
