//! Plain bookkeeping.

use engine_vitals_core::probe::{
    Counts, Event, EventKind, Extent, Level, OwnerId, OwnerKind, PacketId, PacketResult, ResourceId, ResourceKind,
    Timestamp,
};
use engine_vitals_core::tracker::PASSING_KINDS;
use std::collections::BTreeMap;
use std::time::Duration;

/// A tracked resource as the model knows it.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) id: ResourceId,
    pub(crate) kind: ResourceKind,
    pub(crate) bytes: u64,
    pub(crate) owner: OwnerId,
    pub(crate) label: Option<String>,
    pub(crate) extent: Option<Extent>,
    pub(crate) within: Option<ResourceId>,
    pub(crate) native: Option<u64>,
    pub(crate) created: Timestamp,
    pub(crate) created_in: PacketId,
    pub(crate) last_packet: PacketId,
    pub(crate) handle_dropped: bool,
    pub(crate) destroyed: bool,
    pub(crate) freed: bool,
    pub(crate) sequence: u32,
}

/// What an event must say, as far as the model tells.
pub(crate) type Told = (
    Timestamp,
    EventKind,
    Option<ResourceId>,
    Option<u64>,
    Option<u32>,
    Option<PacketId>,
    Option<OwnerId>,
    Option<PacketResult>,
    Option<Duration>,
);

pub(crate) fn told(event: &Event) -> Told {
    (
        event.time,
        event.event,
        event.resource,
        event.bytes,
        event.sequence,
        event.packet,
        event.owner,
        event.result,
        event.lifetime,
    )
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) level: Level,
    pub(crate) touch_lists: bool,
    pub(crate) kinds: BTreeMap<(ResourceKind, bool), Counts>,
    pub(crate) owners: BTreeMap<(OwnerKind, bool), Counts>,
    pub(crate) keys: BTreeMap<OwnerId, Counts>,
    pub(crate) misuses: u64,
    pub(crate) events: Vec<Told>,
    pub(crate) queued: u64,
    pub(crate) results: [u64; 4],
    pub(crate) submitted: u64,
    pub(crate) completed: u64,
    pub(crate) unmatched: u64,
    pub(crate) staged: u64,
    pub(crate) taken: u64,
}

impl Model {
    pub(crate) fn counts(&mut self, life: &Life, change: impl Fn(&mut Counts)) {
        let within = life.within.is_some();
        change(self.kinds.entry((life.kind, within)).or_default());
        change(self.owners.entry((life.owner.kind(), within)).or_default());
        if !life.owner.is_none() && !PASSING_KINDS.contains(&life.kind) {
            change(self.keys.entry(life.owner).or_default());
        }
    }

    pub(crate) fn leave_live(&mut self, life: &Life) {
        if !life.handle_dropped && !life.destroyed {
            self.counts(life, |counts| {
                counts.left_live += 1;
                counts.left_live_bytes += life.bytes;
            });
        }
    }

    pub(crate) fn event(&mut self, now: Timestamp, kind: EventKind, life: &mut Life, packet: PacketId) {
        if self.level == Level::Events {
            let lifetime = (kind == EventKind::Destroy).then(|| now.since(life.created)).flatten();
            let owner = (!life.owner.is_none()).then_some(life.owner);
            let packet = (!packet.is_none()).then_some(packet);
            self.events.push((
                now,
                kind,
                Some(life.id),
                Some(life.bytes),
                Some(life.sequence),
                packet,
                owner,
                None,
                lifetime,
            ));
            life.sequence += 1;
        }
    }

    pub(crate) fn bare(
        &mut self,
        now: Timestamp,
        kind: EventKind,
        bytes: Option<u64>,
        packet: PacketId,
        owner: OwnerId,
        result: Option<PacketResult>,
    ) {
        if self.level == Level::Events {
            let packet = (!packet.is_none()).then_some(packet);
            let owner = (!owner.is_none()).then_some(owner);
            self.events.push((now, kind, None, bytes, None, packet, owner, result, None));
        }
    }
}
