//! The place where one resource is written down. Two cache lines; the second is touched only for what few resources have.
//!
//! Who may write: whoever holds the ticket exclusively writes the record (creation, resize, release). Through a shared
//! ticket only single words change, each by one atomic operation: the state, the sequence and the last packet.

use super::record::{Record, SLOT_HOT_WORDS, SLOT_ID, SLOT_WORDS};
use super::seqcell::SeqCell;
use super::{PacketId, ResourceId};
use crate::memory::HeapTag;
use crate::probe::kind::cut;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Longest label that is kept, in bytes.
pub(crate) const MAX_LABEL: usize = 128;

/// Most links that are kept of one resource.
pub(crate) const MAX_LINKS: usize = 1024;

/// State bit: the handle was dropped.
pub(crate) const HANDLE_DROPPED: u32 = 1;
/// State bit: destroyed explicitly.
pub(crate) const DESTROYED: u32 = 2;
/// State bit: destroyed, and its memory is known to be free.
pub(crate) const FREED: u32 = 4;

/// One resource's place.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Slot {
    last_packet: AtomicU64,
    state: AtomicU32,
    sequence: AtomicU32,
    cell: SeqCell<SLOT_WORDS>,
    /// The last label and links that this slot has had. Their storage is used again; the record says whether they count.
    aside: Mutex<Option<Box<Aside>>>,
}

/// What few resources have and what has no fixed size.
#[derive(Debug, Default)]
struct Aside {
    label: String,
    links: Vec<ResourceId>,
}

// The hot words end with the first line, and a slot is two lines.
const _: () = assert!(16 + 8 * (1 + SLOT_HOT_WORDS) == 64 && size_of::<Slot>() == 128);

/// What a reader found in a slot.
#[derive(Debug)]
pub(crate) struct Sighting {
    pub(crate) record: Record,
    pub(crate) state: u32,
    pub(crate) last_packet: PacketId,
    pub(crate) label: Option<String>,
    pub(crate) links: Vec<ResourceId>,
}

impl Slot {
    /// A free slot.
    pub(crate) fn new() -> Self {
        Self {
            last_packet: AtomicU64::new(0),
            state: AtomicU32::new(0),
            sequence: AtomicU32::new(0),
            cell: SeqCell::new(),
            aside: Mutex::new(None),
        }
    }

    /// Writes a resource into a free slot, and returns its words. What lies beside the cell is set while the slot is still free: a reader that
    /// sees it sees the version that freeing the slot left, too.
    #[inline]
    pub(crate) fn open(&self, record: &Record) -> [u64; SLOT_WORDS] {
        self.state.store(0, Ordering::Relaxed);
        self.sequence.store(1, Ordering::Relaxed);
        self.last_packet.store(PacketId::NONE.get(), Ordering::Relaxed);
        self.rewrite(record)
    }

    /// Keeps a label, for a slot that is still free. Returns the bytes that its storage grew by.
    #[inline]
    pub(crate) fn set_label(&self, label: &str) -> usize {
        self.set_aside(|aside| {
            aside.label.clear();
            aside.label.push_str(cut(label, MAX_LABEL));
        })
    }

    /// Keeps links, for a slot that is still free. Returns the bytes that their storage grew by.
    #[inline]
    pub(crate) fn set_links(&self, links: &[ResourceId]) -> usize {
        self.set_aside(|aside| {
            aside.links.clear();
            aside.links.extend_from_slice(&links[..links.len().min(MAX_LINKS)]);
        })
    }

    #[inline]
    fn set_aside(&self, set: impl FnOnce(&mut Aside)) -> usize {
        let _own = HeapTag::OWN.enter();
        let mut aside = self.aside.lock();
        let before = aside.as_deref().map_or(0, Aside::footprint);
        let aside = aside.get_or_insert_default();
        set(aside);
        aside.footprint() - before
    }

    /// The label as it was kept last. The record says whether it counts.
    pub(crate) fn label(&self) -> Option<String> {
        self.aside.lock().as_deref().map(|aside| aside.label.clone())
    }

    /// Writes a changed record over the one there, and returns its words.
    #[inline]
    pub(crate) fn rewrite(&self, record: &Record) -> [u64; SLOT_WORDS] {
        let (words, count) = record.encode();
        // Each of these lengths is known where the words are copied.
        if count == SLOT_HOT_WORDS {
            self.cell.write(&words[..SLOT_HOT_WORDS]);
        } else {
            self.cell.write(&words);
        }
        words
    }

    /// Frees the slot.
    #[inline]
    pub(crate) fn close(&self) {
        self.cell.write(&[0]);
    }

    /// The record, for the holder of the ticket.
    #[inline]
    pub(crate) fn record(&self) -> Record {
        Record::decode(|index| self.cell.word(index))
    }

    /// A word of the record, for the holder of the ticket.
    #[inline]
    pub(crate) fn word(&self, index: usize) -> u64 {
        self.cell.word(index)
    }

    /// The resource's id, for the holder of the ticket.
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.cell.word(SLOT_ID)
    }

    /// The state bits.
    #[inline]
    pub(crate) fn state(&self) -> u32 {
        self.state.load(Ordering::Acquire)
    }

    /// The packet that touched the resource last.
    #[inline]
    pub(crate) fn last_packet(&self) -> PacketId {
        PacketId::from_bits(self.last_packet.load(Ordering::Relaxed))
    }

    /// Sets a state bit and returns what was set before.
    #[inline]
    pub(crate) fn mark(&self, bit: u32) -> u32 {
        self.state.fetch_or(bit, Ordering::AcqRel)
    }

    /// The number of the resource's next event.
    #[inline]
    pub(crate) fn next_sequence(&self) -> u32 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of the resource's last event, for who holds the ticket alone.
    #[inline]
    pub(crate) fn last_sequence(&self) -> u32 {
        self.sequence.load(Ordering::Relaxed)
    }

    /// Notes that `packet` uses the resource; `true` if the packet noted before is another.
    pub(crate) fn touch(&self, packet: PacketId) -> bool {
        // Most touches repeat the last one: they only read.
        self.last_packet.load(Ordering::Relaxed) != packet.get()
            && self.last_packet.swap(packet.get(), Ordering::Relaxed) != packet.get()
    }

    /// One look by a reader: `Err` if a writer was at work, `Ok(None)` if the slot is free.
    pub(crate) fn look(&self) -> Result<Option<Sighting>, Busy> {
        let beside = |words: &[u64; SLOT_WORDS]| {
            if words.first() == Some(&0) {
                return None;
            }
            let record = Record::decode(|index| words.get(index).copied().unwrap_or_default());
            let aside = (record.labelled || record.linked).then(|| self.aside.lock());
            let aside = aside.as_ref().and_then(|aside| aside.as_deref());
            let label = aside.filter(|_| record.labelled).map(|aside| aside.label.clone());
            let links = aside.filter(|_| record.linked).map(|aside| aside.links.clone()).unwrap_or_default();
            let state = self.state.load(Ordering::Relaxed);
            let last_packet = PacketId::from_bits(self.last_packet.load(Ordering::Relaxed));
            Some(Sighting { record, state, last_packet, label, links })
        };
        self.cell.read_with(beside).map(|(_, _, sighting)| sighting).ok_or(Busy)
    }
}

impl Aside {
    fn footprint(&self) -> usize {
        size_of::<Self>() + self.label.capacity() + self.links.capacity() * size_of::<ResourceId>()
    }
}

/// A writer was at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy;
