//! How slots and events lie in words: the packing and nothing else, so that it can be tested alone.

use super::clock::nanos;
use super::event::{Event, EventKind};
use super::kind::{kind_row, owner_row};
use super::{Backend, Extent, Lane, OwnerId, PacketId, PacketResult, ResourceId, ResourceKind, Timestamp};
use std::time::Duration;

/// Words of an event.
pub(crate) const EVENT_WORDS: usize = 12;
/// Words of a slot; the first [`SLOT_HOT_WORDS`] are written for every resource.
pub(crate) const SLOT_WORDS: usize = 9;
/// Words of a slot without native handle, extent and block.
pub(crate) const SLOT_HOT_WORDS: usize = 5;
/// The slot's word that holds the id: 0 while the slot is free.
pub(crate) const SLOT_ID: usize = 0;

/// The bits of a missing scale: a NaN that no computation gives.
const NO_SCALE: u32 = u32::MAX;

/// What a slot says of its resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) bytes: u64,
    pub(crate) created: Timestamp,
    pub(crate) packet: PacketId,
    pub(crate) kind: ResourceKind,
    pub(crate) backend: Backend,
    pub(crate) owner: OwnerId,
    pub(crate) site: u16,
    pub(crate) labelled: bool,
    pub(crate) native: Option<u64>,
    pub(crate) extent: Option<Extent>,
    pub(crate) within: Option<ResourceId>,
    /// To 15 bits.
    pub(crate) descriptor: u16,
    /// It has links, beside the record.
    pub(crate) linked: bool,
}

/// Bits of a slot's word that hold the bytes; the descriptor lies above.
const BYTES_BITS: u32 = 49;

impl Record {
    const NATIVE: u64 = 1;
    const EXTENT: u64 = 2;
    const WITHIN: u64 = 4;
    const LABEL: u64 = 8;
    const LINKED: u64 = 1 << 14;

    /// The words, and how many of them need to be written.
    #[inline]
    pub(crate) fn encode(&self) -> ([u64; SLOT_WORDS], usize) {
        let mut flags = 0;
        for (flag, set) in [
            (Self::NATIVE, self.native.is_some()),
            (Self::EXTENT, self.extent.is_some()),
            (Self::WITHIN, self.within.is_some()),
            (Self::LABEL, self.labelled),
            (Self::LINKED, self.linked),
        ] {
            flags |= if set { flag } else { 0 };
        }
        let meta = u64::from(self.owner.get()) << 32
            | u64::from(self.site) << 16
            | (self.kind.index() as u64) << 8
            | (self.backend as u64) << 4
            | flags;
        let (size, depth) = extent_words(self.extent);
        let within = self.within.map_or(0, ResourceId::get);
        let words = [
            self.id,
            self.bytes | u64::from(self.descriptor) << BYTES_BITS,
            self.created.unix_nanos(),
            self.packet.get(),
            meta,
            self.native.unwrap_or(0),
            size,
            depth,
            within,
        ];
        let cold = flags & (Self::NATIVE | Self::EXTENT | Self::WITHIN) != 0;
        (words, if cold { SLOT_WORDS } else { SLOT_HOT_WORDS })
    }

    /// The record that the words hold; words that do not count for it are not asked for.
    #[inline]
    pub(crate) fn decode(word: impl Fn(usize) -> u64) -> Self {
        let meta = word(4);
        let has = |flag| meta & flag != 0;
        Self {
            id: word(SLOT_ID),
            bytes: word(1) & ((1 << BYTES_BITS) - 1),
            created: Timestamp::from_unix_nanos(word(2)),
            packet: PacketId::from_bits(word(3)),
            kind: ResourceKind::at((meta >> 8 & 0x3f) as usize),
            backend: backend((meta >> 4 & 0xf) as usize),
            owner: OwnerId::from_bits((meta >> 32) as u32),
            site: (meta >> 16) as u16,
            labelled: has(Self::LABEL),
            native: has(Self::NATIVE).then(|| word(5)),
            extent: has(Self::EXTENT).then(|| extent(word(6), word(7))),
            within: if has(Self::WITHIN) { ResourceId::new(word(8)) } else { None },
            descriptor: (word(1) >> BYTES_BITS) as u16,
            linked: has(Self::LINKED),
        }
    }

    /// The rows that count this resource: its kind's and its owner kind's.
    #[inline]
    pub(crate) fn rows(&self) -> [usize; 2] {
        [kind_row(self.kind, self.within.is_some()), owner_row(self.owner.kind(), self.within.is_some())]
    }
}

const NATIVE: u64 = 1;
const EXTENT: u64 = 2;
const BYTES: u64 = 4;
const CORRELATION: u64 = 8;
const SEQUENCE: u64 = 16;
const SPAN: u64 = 32;
const WITHIN: u64 = 64;

/// The words of an event; `marker` is the place of its name among the kept ones, from 1.
#[inline]
pub(crate) fn encode_event(event: &Event, marker: u16) -> [u64; EVENT_WORDS] {
    let span = event.took.or(event.lifetime);
    let mut flags = 0;
    for (flag, set) in [
        (NATIVE, event.native.is_some()),
        (EXTENT, event.extent.is_some()),
        (BYTES, event.bytes.is_some()),
        (CORRELATION, event.correlation.is_some()),
        (SEQUENCE, event.sequence.is_some()),
        (SPAN, span.is_some()),
        (WITHIN, event.suballocation),
    ] {
        flags |= if set { flag } else { 0 };
    }
    let meta = event.event as u64
        | (event.backend as u64) << 8
        | event.result.map_or(0, |result| result.index() as u64 + 1) << 12
        | event.resource_kind.map_or(0xff, |kind| kind.index() as u64) << 16
        | u64::from(event.lane.unwrap_or_default().get()) << 24
        | flags << 32
        | u64::from(marker) << 48;
    let (size, depth) = extent_words(event.extent);
    [
        event.time.unix_nanos(),
        meta,
        event.resource.map_or(0, ResourceId::get),
        event.native.unwrap_or(0),
        event.thread,
        u64::from(event.owner.unwrap_or_default().get()) << 32 | u64::from(event.sequence.unwrap_or(0)),
        event.packet.unwrap_or_default().get(),
        size,
        depth,
        event.bytes.unwrap_or(0),
        event.correlation.unwrap_or(0),
        span.map_or(0, nanos),
    ]
}

/// The event that the words hold; `name` finds a marker's name.
pub(crate) fn decode_event(words: &[u64; EVENT_WORDS], name: impl Fn(u16) -> Option<&'static str>) -> Event {
    let &[time, meta, resource, native, thread, owner_sequence, packet, size, depth, bytes, correlation, span] = words;
    let has = |flag| meta >> 32 & flag != 0;
    let some = |flag, value: u64| has(flag).then_some(value);
    let kind = EventKind::ALL.get((meta & 0xff) as usize).copied().unwrap_or(EventKind::Marker);
    let resource_kind = (meta >> 16 & 0xff) as usize;
    let owner = OwnerId::from_bits((owner_sequence >> 32) as u32);
    let packet = PacketId::from_bits(packet);
    let lane = Lane::from_bits((meta >> 24) as u8);
    let span = some(SPAN, span).map(Duration::from_nanos);
    Event {
        time: Timestamp::from_unix_nanos(time),
        event: kind,
        backend: backend((meta >> 8 & 0xf) as usize),
        resource_kind: (resource_kind != 0xff).then(|| ResourceKind::at(resource_kind)),
        resource: ResourceId::new(resource),
        native: some(NATIVE, native),
        thread,
        owner: (!owner.is_none()).then_some(owner),
        packet: (!packet.is_none()).then_some(packet),
        lane: (!lane.is_none()).then_some(lane),
        extent: has(EXTENT).then(|| extent(size, depth)),
        bytes: some(BYTES, bytes),
        sequence: has(SEQUENCE).then_some(owner_sequence as u32),
        correlation: some(CORRELATION, correlation),
        marker: name((meta >> 48) as u16),
        result: ((meta >> 12 & 0xf) as usize).checked_sub(1).and_then(|index| PacketResult::ALL.get(index).copied()),
        took: if kind == EventKind::Create { span } else { None },
        lifetime: if kind == EventKind::Destroy { span } else { None },
        suballocation: has(WITHIN),
    }
}

#[inline]
fn backend(index: usize) -> Backend {
    Backend::ALL.get(index).copied().unwrap_or_default()
}

#[inline]
fn extent_words(extent: Option<Extent>) -> (u64, u64) {
    let Some(Extent { width, height, depth_or_layers, scale }) = extent else { return (0, 0) };
    let scale = scale.map_or(NO_SCALE, f32::to_bits);
    (u64::from(width) << 32 | u64::from(height), u64::from(depth_or_layers) << 32 | u64::from(scale))
}

#[inline]
fn extent(size: u64, depth: u64) -> Extent {
    let scale = depth as u32;
    let scale = (scale != NO_SCALE).then(|| f32::from_bits(scale));
    Extent { scale, ..Extent::new((size >> 32) as u32, size as u32).layers((depth >> 32) as u32) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::book::MAX_BYTES;
    use proptest::prelude::*;

    fn extents() -> impl Strategy<Value = Option<Extent>> {
        let scale = proptest::option::of(-1e30f32..1e30);
        proptest::option::of((any::<u32>(), any::<u32>(), any::<u32>(), scale))
            .prop_map(|parts| parts.map(|(w, h, d, scale)| Extent { scale, ..Extent::new(w, h).layers(d) }))
    }

    fn backends() -> impl Strategy<Value = Backend> {
        (0..Backend::ALL.len()).prop_map(backend)
    }

    fn owners() -> impl Strategy<Value = OwnerId> {
        any::<u32>().prop_map(OwnerId::from_bits)
    }

    proptest! {
        #[test]
        fn a_record_survives_its_words(
            (id, bytes, created, packet, site) in (1..u64::MAX, 0..=MAX_BYTES, any::<u64>(), any::<u64>(), any::<u16>()),
            (kind, backend, owner, labelled) in (0..64usize, backends(), owners(), any::<bool>()),
            (native, extent, within) in (any::<Option<u64>>(), extents(), any::<Option<u64>>()),
            (descriptor, linked) in (0..0x8000u16, any::<bool>()),
        ) {
            let record = Record {
                id, bytes, created: Timestamp::from_unix_nanos(created), packet: PacketId::from_bits(packet),
                kind: ResourceKind::at(kind), backend, owner, site, labelled, native, extent,
                within: within.and_then(ResourceId::new), descriptor, linked,
            };
            let (mut words, count) = record.encode();
            // What is not written keeps what an earlier resource left there.
            words[count..].fill(0xdead_beef);
            prop_assert_eq!(Record::decode(|index| words[index]), record);
        }

        #[test]
        fn an_event_survives_its_words(
            (time, thread, resource, native) in (any::<u64>(), any::<u64>(), any::<u64>(), any::<Option<u64>>()),
            (kind, backend, owner, packet, lane) in (0..9usize, backends(), owners(), any::<u64>(), any::<u8>()),
            (rkind, extent, bytes, sequence) in (proptest::option::of(0..64usize), extents(), any::<Option<u64>>(), any::<Option<u32>>()),
            (correlation, result, span, suballocation) in
                (any::<Option<u64>>(), proptest::option::of(0..4usize), any::<Option<u64>>(), any::<bool>()),
        ) {
            let event = EventKind::ALL[kind];
            let span = span.map(Duration::from_nanos);
            let event = Event {
                time: Timestamp::from_unix_nanos(time), event, backend,
                resource_kind: rkind.map(ResourceKind::at),
                resource: ResourceId::new(resource), native, thread,
                owner: Some(owner).filter(|owner| !owner.is_none()),
                packet: Some(PacketId::from_bits(packet)).filter(|packet| !packet.is_none()),
                lane: Some(Lane::from_bits(lane)).filter(|lane| !lane.is_none()),
                extent, bytes, sequence, correlation,
                marker: (event == EventKind::Marker).then_some("here"),
                result: result.map(|index| PacketResult::ALL[index]),
                took: span.filter(|_| event == EventKind::Create),
                lifetime: span.filter(|_| event == EventKind::Destroy),
                suballocation,
            };
            let marker = if event.marker.is_some() { 7 } else { 0 };
            let words = encode_event(&event, marker);
            prop_assert_eq!(decode_event(&words, |index| (index == 7).then_some("here")), event);
        }
    }

    #[test]
    fn lists_of_all_are_in_the_order_of_their_indices() {
        assert!(Backend::ALL.iter().enumerate().all(|(index, backend)| *backend as usize == index));
        assert!(EventKind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index));
        assert!(PacketResult::ALL.iter().enumerate().all(|(index, result)| result.index() == index));
    }
}
