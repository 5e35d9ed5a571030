//! How slots and events lie in words: the packing and nothing else, so that it can be tested alone.

use super::clock::nanos;
use super::event::{Event, EventKind};
use super::kind::{kind_row, owner_row};
use super::ring::Place;
use super::{Backend, Context, Extent, Lane, OwnerId, PacketId, PacketResult, ResourceId, ResourceKind, Timestamp};
use std::time::Duration;

/// Words of an event; the first [`EVENT_HOT_WORDS`] are written for every event.
pub(crate) const EVENT_WORDS: usize = 11;
/// Words of an event without native handle and extent.
const EVENT_HOT_WORDS: usize = 8;
/// Words of a slot; the first [`SLOT_HOT_WORDS`] are written for every resource.
pub(crate) const SLOT_WORDS: usize = 9;
/// Words of a slot without native handle, extent and block.
pub(crate) const SLOT_HOT_WORDS: usize = 5;
/// The slot's word that holds the id: 0 while the slot is free.
pub(crate) const SLOT_ID: usize = 0;
const SLOT_BYTES: usize = 1;
const SLOT_META: usize = 4;
const SLOT_NATIVE: usize = 5;
const SLOT_SIZE: usize = 6;
const SLOT_DEPTH: usize = 7;

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
const BYTES_MASK: u64 = (1 << BYTES_BITS) - 1;

impl Record {
    const NATIVE: u64 = 1;
    const EXTENT: u64 = 2;
    const WITHIN: u64 = 4;
    const LABEL: u64 = 8;
    const LINKED: u64 = 1 << 14;
    /// The bits of the meta word that an event takes over: kind, backend, and whether there are native handle, extent and block.
    const FACTS: u64 = 0x3f00 | 0xf0 | Self::NATIVE | Self::EXTENT | Self::WITHIN;

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
        let (size, depth) = self.extent.map_or((0, 0), extent_words);
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
        let meta = word(SLOT_META);
        let has = |flag| meta & flag != 0;
        Self {
            id: word(SLOT_ID),
            bytes: word(SLOT_BYTES) & BYTES_MASK,
            created: Timestamp::from_unix_nanos(word(2)),
            packet: PacketId::from_bits(word(3)),
            kind: ResourceKind::at((meta >> 8 & 0x3f) as usize),
            backend: backend((meta >> 4 & 0xf) as usize),
            owner: OwnerId::from_bits((meta >> 32) as u32),
            site: (meta >> 16) as u16,
            labelled: has(Self::LABEL),
            native: has(Self::NATIVE).then(|| word(SLOT_NATIVE)),
            extent: has(Self::EXTENT).then(|| extent(word(SLOT_SIZE), word(SLOT_DEPTH))),
            within: if has(Self::WITHIN) { ResourceId::new(word(8)) } else { None },
            descriptor: (word(SLOT_BYTES) >> BYTES_BITS) as u16,
            linked: has(Self::LINKED),
        }
    }

    /// The rows that count this resource: its kind's and its owner kind's.
    #[inline]
    pub(crate) fn rows(&self) -> [usize; 2] {
        [kind_row(self.kind, self.within.is_some()), owner_row(self.owner.kind(), self.within.is_some())]
    }
}

/// An event's words, ready for a ring. Those of a resource are taken over from its slot as they lie there: what both have in
/// common has the same bits in both's [`Record::FACTS`].
///
/// | word | |
/// |---|---|
/// | 0 | time |
/// | 1 | facts 0-15, kind of event 16-19, result 20-23, lane 24-31, what there is 32-47, name 48-63 |
/// | 2 | resource |
/// | 3 | sequence 0-31, owner 32-63 |
/// | 4 | packet |
/// | 5 | bytes |
/// | 6 | correlation, or time taken or lived |
/// | 7 | thread |
/// | 8-10 | native handle and extent |
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventWords([u64; EVENT_WORDS]);

impl EventWords {
    const META: usize = 1;
    const OWNER: usize = 3;
    const BYTES: usize = 5;
    const VALUE: usize = 6;
    const THREAD: usize = 7;
    const NATIVE: usize = 8;
    const SIZE: usize = 9;
    const DEPTH: usize = 10;

    // What there is.
    const HAS_RESOURCE: u64 = 1 << 32;
    const HAS_BYTES: u64 = 1 << 33;
    const HAS_CORRELATION: u64 = 1 << 34;
    const HAS_SPAN: u64 = 1 << 35;
    const HAS_SEQUENCE: u64 = 1 << 36;

    /// An event of no resource, in that context's name.
    #[inline]
    pub(crate) fn bare(kind: EventKind, time: Timestamp, context: Context) -> Self {
        let mut words = [0; EVENT_WORDS];
        words[0] = time.unix_nanos();
        words[Self::META] = (kind as u64) << 16 | u64::from(context.lane().get()) << 24;
        words[Self::OWNER] = u64::from(context.owner().get()) << 32;
        words[4] = context.packet().get();
        Self(words)
    }

    /// An event of the resource in a slot with these words, in its owner's name. Its place among the resource's events is 0.
    #[inline]
    pub(crate) fn of(slot: impl Fn(usize) -> u64, kind: EventKind, time: Timestamp, context: Context) -> Self {
        let Self(mut words) = Self::bare(kind, time, context);
        let meta = slot(SLOT_META);
        words[Self::META] |= meta & Record::FACTS | Self::HAS_RESOURCE | Self::HAS_BYTES | Self::HAS_SEQUENCE;
        words[2] = slot(SLOT_ID);
        words[Self::OWNER] = meta >> 32 << 32;
        words[Self::BYTES] = slot(SLOT_BYTES) & BYTES_MASK;
        if meta & (Record::NATIVE | Record::EXTENT) != 0 {
            words[Self::NATIVE] = slot(SLOT_NATIVE);
            words[Self::SIZE] = slot(SLOT_SIZE);
            words[Self::DEPTH] = slot(SLOT_DEPTH);
        }
        Self(words)
    }

    /// With its place among the resource's events.
    #[inline]
    pub(crate) fn sequence(mut self, sequence: u32) -> Self {
        self.0[Self::OWNER] |= u64::from(sequence);
        self
    }

    /// With what a submission, its parts and its completion have in common.
    #[inline]
    pub(crate) fn correlation(self, correlation: u64) -> Self {
        self.with(Self::VALUE, correlation, Self::HAS_CORRELATION)
    }

    /// With the time that a creation took, or that what is destroyed has lived.
    #[inline]
    pub(crate) fn span(self, span: Option<Duration>) -> Self {
        span.map_or(self, |span| self.with(Self::VALUE, nanos(span), Self::HAS_SPAN))
    }

    /// With that size instead, if there is one.
    #[inline]
    pub(crate) fn extent(self, extent: Option<Extent>) -> Self {
        let Some(extent) = extent else { return self };
        let (size, depth) = extent_words(extent);
        self.with(Self::SIZE, size, Record::EXTENT).with(Self::DEPTH, depth, Record::EXTENT)
    }

    /// With so many bytes instead, or none.
    #[inline]
    pub(crate) fn bytes(mut self, bytes: Option<u64>) -> Self {
        self.0[Self::META] &= !Self::HAS_BYTES;
        bytes.map_or(self, |bytes| self.with(Self::BYTES, bytes, Self::HAS_BYTES))
    }

    /// With how its packet ended.
    #[inline]
    pub(crate) fn result(mut self, result: Option<PacketResult>) -> Self {
        self.0[Self::META] |= result.map_or(0, |result| result.index() as u64 + 1) << 20;
        self
    }

    /// With a marker's name, or a creation's label, by its place among the kept ones, from 1.
    #[inline]
    pub(crate) fn name(mut self, place: u16) -> Self {
        self.0[Self::META] |= u64::from(place) << 48;
        self
    }

    #[inline]
    fn with(mut self, place: usize, word: u64, has: u64) -> Self {
        self.0[place] = word;
        self.0[Self::META] |= has;
        self
    }

    /// Puts the event into a thread's ring. Of an event without native handle and extent, the last words are left as they are.
    #[inline]
    pub(crate) fn put(mut self, place: Place<'_, EVENT_WORDS>, thread: u64) {
        self.0[Self::THREAD] = thread;
        // Each of these lengths is known where the words are copied.
        if self.0[Self::META] & (Record::NATIVE | Record::EXTENT) == 0 {
            place.fill(&self.0[..EVENT_HOT_WORDS]);
        } else {
            place.fill(&self.0);
        }
    }
}

/// The event that the words hold; `name` finds the name that goes with an event of that kind.
pub(crate) fn decode_event(words: &[u64; EVENT_WORDS], name: impl Fn(EventKind, u16) -> Option<&'static str>) -> Event {
    let &[time, meta, resource, owner_sequence, packet, bytes, value, thread, native, size, depth] = words;
    let some = |has, value: u64| (meta & has != 0).then_some(value);
    let kind = EventKind::ALL.get((meta >> 16 & 0xf) as usize).copied().unwrap_or(EventKind::Marker);
    let owner = OwnerId::from_bits((owner_sequence >> 32) as u32);
    let packet = PacketId::from_bits(packet);
    let lane = Lane::from_bits((meta >> 24) as u8);
    let span = some(EventWords::HAS_SPAN, value).map(Duration::from_nanos);
    let name = name(kind, (meta >> 48) as u16);
    Event {
        time: Timestamp::from_unix_nanos(time),
        event: kind,
        backend: backend((meta >> 4 & 0xf) as usize),
        resource_kind: some(EventWords::HAS_RESOURCE, meta >> 8 & 0x3f).map(|kind| ResourceKind::at(kind as usize)),
        resource: ResourceId::new(resource),
        native: some(Record::NATIVE, native),
        thread,
        owner: (!owner.is_none()).then_some(owner),
        packet: (!packet.is_none()).then_some(packet),
        lane: (!lane.is_none()).then_some(lane),
        extent: some(Record::EXTENT, size).map(|size| extent(size, depth)),
        bytes: some(EventWords::HAS_BYTES, bytes),
        sequence: some(EventWords::HAS_SEQUENCE, owner_sequence).map(|sequence| sequence as u32),
        correlation: some(EventWords::HAS_CORRELATION, value),
        label: name.filter(|_| kind == EventKind::Create),
        marker: name.filter(|_| kind != EventKind::Create),
        result: ((meta >> 20 & 0xf) as usize).checked_sub(1).and_then(|index| PacketResult::ALL.get(index).copied()),
        took: if kind == EventKind::Create { span } else { None },
        lifetime: if kind == EventKind::Destroy { span } else { None },
        suballocation: meta & Record::WITHIN != 0,
    }
}

#[inline]
fn backend(index: usize) -> Backend {
    Backend::ALL.get(index).copied().unwrap_or_default()
}

#[inline]
pub(super) fn extent_words(extent: Extent) -> (u64, u64) {
    let Extent { width, height, depth_or_layers, scale } = extent;
    let scale = scale.map_or(NO_SCALE, f32::to_bits);
    (u64::from(width) << 32 | u64::from(height), u64::from(depth_or_layers) << 32 | u64::from(scale))
}

#[inline]
pub(super) fn extent(size: u64, depth: u64) -> Extent {
    let scale = depth as u32;
    let scale = (scale != NO_SCALE).then(|| f32::from_bits(scale));
    Extent { scale, ..Extent::new((size >> 32) as u32, size as u32).layers((depth >> 32) as u32) }
}

#[cfg(test)]
mod tests {
    use super::super::ring::{Follower, Ring};
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

    fn records() -> impl Strategy<Value = Record> {
        let numbers = (1..u64::MAX, 0..=MAX_BYTES, any::<u64>(), any::<u64>(), any::<u16>());
        let what = (0..64usize, backends(), owners(), any::<bool>());
        let rest = (any::<Option<u64>>(), extents(), any::<Option<u64>>(), 0..0x8000u16, any::<bool>());
        (numbers, what, rest).prop_map(|(numbers, what, rest)| {
            let (id, bytes, created, packet, site) = numbers;
            let (kind, backend, owner, labelled) = what;
            let (native, extent, within, descriptor, linked) = rest;
            Record {
                id,
                bytes,
                created: Timestamp::from_unix_nanos(created),
                packet: PacketId::from_bits(packet),
                kind: ResourceKind::at(kind),
                backend,
                owner,
                site,
                labelled,
                native,
                extent,
                within: within.and_then(ResourceId::new),
                descriptor,
                linked,
            }
        })
    }

    proptest! {
        #[test]
        fn a_record_survives_its_words(record in records()) {
            let (mut words, count) = record.encode();
            // What is not written keeps what an earlier resource left there.
            words[count..].fill(0xdead_beef);
            prop_assert_eq!(Record::decode(|index| words[index]), record);
        }

        #[test]
        fn an_event_survives_its_words(
            (time, thread, sequence, packet) in (any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>()),
            (kind, lane, owner, of_resource) in (0..9usize, any::<u8>(), owners(), any::<bool>()),
            record in records(),
            (size, bytes) in (extents(), any::<Option<Option<u64>>>()),
            (value, is_span, result, marker) in (any::<Option<u64>>(), any::<bool>(), proptest::option::of(0..4usize), any::<bool>()),
        ) {
            let (event, time) = (EventKind::ALL[kind], Timestamp::from_unix_nanos(time));
            let context = Context::NONE.with_lane(Lane::from_bits(lane)).with_owner(owner);
            let context = if packet % 2 == 0 { context.with_packet(PacketId::from_bits(packet)) } else { context };
            let mut words = if of_resource {
                let (slot, _) = record.encode();
                EventWords::of(|index| slot[index], event, time, context).sequence(sequence)
            } else {
                EventWords::bare(event, time, context)
            };
            words = words.extent(size).result(result.map(|index| PacketResult::ALL[index]));
            words = bytes.map_or(words, |bytes| words.bytes(bytes));
            words = match value {
                Some(span) if is_span => words.span(Some(Duration::from_nanos(span))),
                Some(correlation) => words.correlation(correlation),
                None => words.span(None),
            };
            words = if marker { words.name(7) } else { words };

            let ring = Ring::new(2);
            // What an event does not write keeps what one before it left there.
            (0..2).for_each(|_| ring.next().fill(&[u64::MAX; EVENT_WORDS]));
            words.put(ring.next(), thread);
            let mut found = Vec::new();
            let lost = Follower::at(2).drain(&ring, |words| {
                found.push(decode_event(words, |_, index| (index == 7).then_some("here")));
            });
            prop_assert_eq!(lost, 0);
            let record = Some(record).filter(|_| of_resource);
            let owner = record.map_or(owner, |record| record.owner);
            let span = value.filter(|_| is_span).map(Duration::from_nanos);
            prop_assert_eq!(found, [Event {
                time, event, thread,
                backend: record.map_or(Backend::Common, |record| record.backend),
                resource_kind: record.map(|record| record.kind),
                resource: record.and_then(|record| ResourceId::new(record.id)),
                native: record.and_then(|record| record.native),
                owner: Some(owner).filter(|owner| !owner.is_none()),
                packet: Some(context.packet()).filter(|packet| !packet.is_none()),
                lane: Some(context.lane()).filter(|lane| !lane.is_none()),
                extent: size.or(record.and_then(|record| record.extent)),
                bytes: bytes.unwrap_or(record.map(|record| record.bytes)),
                sequence: record.map(|_| sequence),
                correlation: value.filter(|_| !is_span),
                label: (marker && event == EventKind::Create).then_some("here"),
                marker: (marker && event != EventKind::Create).then_some("here"),
                result: result.map(|index| PacketResult::ALL[index]),
                took: span.filter(|_| event == EventKind::Create),
                lifetime: span.filter(|_| event == EventKind::Destroy),
                suballocation: record.is_some_and(|record| record.within.is_some()),
            }]);
        }
    }

    #[test]
    fn lists_of_all_are_in_the_order_of_their_indices() {
        assert!(Backend::ALL.iter().enumerate().all(|(index, backend)| *backend as usize == index));
        assert!(EventKind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index));
        assert!(PacketResult::ALL.iter().enumerate().all(|(index, result)| result.index() == index));
    }
}
