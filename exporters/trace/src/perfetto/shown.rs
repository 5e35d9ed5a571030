//! What is told of a resource, an owner and a packet: names and arguments.

use super::schema::{DebugAnnotation, Value};
use super::write::{Arg, arg, number, remark, text};
use engine_vitals_core::probe::{Backend, Event, Extent, OwnerId, OwnerKind, PacketId, ResourceId, ResourceKind};
use engine_vitals_core::tracker::{ResourceRecord, Tracker};

/// A resource as its slice shows it.
pub(super) struct Shown {
    pub(super) id: ResourceId,
    kind: ResourceKind,
    owner: Option<OwnerId>,
    /// In nanoseconds since the Unix epoch.
    pub(super) created: u64,
    /// Its label, if it is known.
    pub(super) name: Option<String>,
    pub(super) args: Vec<DebugAnnotation>,
}

impl Shown {
    /// One that a snapshot found.
    pub(super) fn of_record(tracker: &Tracker, record: &ResourceRecord) -> Self {
        let facts = Facts {
            id: record.id,
            kind: record.kind,
            backend: record.backend,
            bytes: Some(record.bytes),
            extent: record.extent,
            native: record.native,
            owner: record.owner,
            created_in: record.created_in,
            suballocation: record.within.is_some(),
        };
        facts.shown(tracker, record.created.unix_nanos(), record.label.clone())
    }

    /// The one that an event tells of, created at that time; `None` for an event of no resource.
    pub(super) fn of_event(tracker: &Tracker, event: &Event, created: u64) -> Option<Self> {
        let facts = Facts {
            id: event.resource?,
            kind: event.resource_kind?,
            backend: event.backend,
            bytes: event.bytes,
            extent: event.extent,
            native: event.native,
            owner: event.owner,
            created_in: event.packet.filter(|_| event.lifetime.is_none()),
            suballocation: event.suballocation,
        };
        let mut shown = facts.shown(tracker, created, event.label.map(str::to_owned));
        let took = event.took.and_then(|took| u64::try_from(took.as_nanos()).ok());
        shown.args.extend(took.map(|took| number(Arg::TookNanos, took)));
        Some(shown)
    }

    /// Those of a kind and a kind of owner lie together.
    pub(super) fn group(&self) -> (ResourceKind, OwnerKind) {
        (self.kind, self.owner.unwrap_or_default().kind())
    }
}

/// What a snapshot and an event both know.
struct Facts {
    id: ResourceId,
    kind: ResourceKind,
    backend: Backend,
    bytes: Option<u64>,
    extent: Option<Extent>,
    native: Option<u64>,
    owner: Option<OwnerId>,
    created_in: Option<PacketId>,
    suballocation: bool,
}

impl Facts {
    fn shown(self, tracker: &Tracker, created: u64, label: Option<String>) -> Shown {
        let Self { id, kind, owner, .. } = self;
        let mut args =
            vec![number(Arg::Id, id.get()), text(Arg::Kind, kind.name()), text(Arg::Backend, self.backend.name())];
        args.extend(label.clone().map(|label| text(Arg::Label, label)));
        args.extend(self.bytes.map(|bytes| number(Arg::Bytes, bytes)));
        args.extend(self.extent.into_iter().flat_map(extent_args));
        args.extend(owner.into_iter().flat_map(|owner| owner_args(tracker, owner)));
        args.extend(packet_name(tracker, self.created_in).map(|packet| text(Arg::CreatedIn, packet)));
        args.extend(self.native.map(|native| arg(Arg::Native, Value::Pointer(native))));
        args.extend(self.suballocation.then(|| remark(Arg::Suballocation)));
        Shown { id, kind, owner, created, name: label, args }
    }
}

/// An image's size.
pub(super) fn extent_args(extent: Extent) -> [DebugAnnotation; 3] {
    let Extent { width, height, depth_or_layers, .. } = extent;
    [number(Arg::Width, width), number(Arg::Height, height), number(Arg::DepthOrLayers, depth_or_layers)]
}

/// Kind, key and name of an owner, as far as they are known.
pub(super) fn owner_args(tracker: &Tracker, owner: OwnerId) -> impl Iterator<Item = DebugAnnotation> {
    let known = tracker.owner(owner);
    let name = known.and_then(|owner| owner.name).map(|name| text(Arg::Owner, name));
    let kind = text(Arg::OwnerKind, owner.kind().name());
    [Some(kind), known.map(|owner| number(Arg::OwnerKey, owner.key)), name].into_iter().flatten()
}

/// Lane and number of a packet, as its slice is called.
pub(super) fn packet_name(tracker: &Tracker, packet: Option<PacketId>) -> Option<String> {
    let packet = packet?;
    Some(format!("{} {}", tracker.lane_name(packet.lane()).unwrap_or("no lane"), packet.number()))
}
