//! Every resource that is live or pending.

use crate::probe::{Backend, Extent, Level, OwnerId, OwnerKind, PacketId, ResourceId, ResourceKind, Timestamp};
use std::panic::Location;

/// What [`Tracker::snapshot`](super::Tracker::snapshot) found.
///
/// Creation and release go on while it is taken. A resource that was tracked the whole time is in it exactly once; one
/// that began or ended meanwhile may or may not be; each record is whole as of a moment during the taking, but for its
/// state and last packet, which may be newer. What was created while the level was off is never in it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// When the taking began.
    pub taken: Timestamp,
    /// Since when every new resource has been tracked; `None` while the level is off.
    pub tracked_since: Option<Timestamp>,
    /// The level.
    pub level: Level,
    /// The resources, in no particular order.
    pub resources: Vec<ResourceRecord>,
    /// Slots that were being written at every look, so that their resource, if any, is missing here.
    pub contended: u64,
}

/// A resource that is live or pending. What is unknown is `None`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ResourceRecord {
    /// Its id.
    pub id: ResourceId,
    /// What it is.
    pub kind: ResourceKind,
    /// The program dropped its handle.
    pub handle_dropped: bool,
    /// The program destroyed it explicitly.
    pub destroyed: bool,
    /// It is destroyed and its memory is known to be free: its bytes are in no total.
    pub freed: bool,
    /// Its bytes.
    pub bytes: u64,
    /// The API that made it.
    pub backend: Backend,
    /// Its name for people.
    pub label: Option<String>,
    /// Its owner.
    pub owner: Option<OwnerId>,
    /// The API's own handle.
    pub native: Option<u64>,
    /// Its size as an image.
    pub extent: Option<Extent>,
    /// The block that it lies within.
    pub within: Option<ResourceId>,
    /// Resources that it refers to: a view's texture, a bind group's members.
    pub links: Vec<ResourceId>,
    /// What else tells it from others of its kind and size, as the producer folded it.
    pub descriptor: u16,
    /// When it was created.
    pub created: Timestamp,
    /// The line of source that reported it.
    pub site: Option<&'static Location<'static>>,
    /// The packet in which it was created.
    pub created_in: Option<PacketId>,
    /// The packet that touched it last.
    pub last_packet: Option<PacketId>,
}

impl ResourceRecord {
    /// Neither handle dropped nor destroyed. Otherwise it is pending: views, bind groups or work in flight hold it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.handle_dropped && !self.destroyed
    }
}

/// What a tracker knows of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// Its kind.
    pub kind: OwnerKind,
    /// The program's number for it.
    pub key: u64,
    /// Its name for people.
    pub name: Option<&'static str>,
}

/// What one [`EventCursor::read`](super::EventCursor::read) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOutcome {
    /// Events delivered.
    pub delivered: u64,
    /// Events that were overwritten before this cursor could read them.
    pub lost: u64,
}
