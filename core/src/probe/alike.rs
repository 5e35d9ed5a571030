//! Short-lived resources that were alike, counted by what they had in common: one thread's part. One thread writes, any reads.

use super::record::{Record, extent, extent_words};
use super::seqcell::SeqCell;
use super::slots::ours;
use super::{Extent, ResourceKind};
use std::sync::OnceLock;

/// Sorts of resources that a thread keeps apart.
const SORTS: usize = 64;
/// Places in which a sort is looked for.
const PROBES: usize = 4;

/// What interchangeable resources have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sort {
    pub(crate) kind: ResourceKind,
    pub(crate) bytes: u64,
    pub(crate) extent: Option<Extent>,
    pub(crate) descriptor: u16,
}

/// How often a sort was counted, in the first word, and the sort. A place that was never taken is all zeros.
type Place = SeqCell<5>;

/// One thread's sorts. A new one takes a free place or pushes out one that was seen once; else it is not counted.
#[derive(Debug, Default)]
pub(crate) struct Alike(OnceLock<Box<[Place]>>);

impl Sort {
    const SIZED: u64 = 1 << 32;

    fn words(record: &Record) -> [u64; 4] {
        let (size, depth) = record.extent.map_or((0, 0), extent_words);
        let sized = if record.extent.is_some() { Self::SIZED } else { 0 };
        [sized | u64::from(record.descriptor) << 8 | record.kind.index() as u64, record.bytes, size, depth]
    }

    fn of(&[what, bytes, size, depth]: &[u64; 4]) -> Self {
        Self {
            kind: ResourceKind::at((what & 0xff) as usize),
            bytes,
            extent: (what & Self::SIZED != 0).then(|| extent(size, depth)),
            descriptor: (what >> 8) as u16,
        }
    }
}

/// The first place to look at.
fn first_place(&[what, bytes, size, _]: &[u64; 4]) -> usize {
    let mixed = bytes.rotate_left(24) ^ size ^ what;
    // The golden ratio's fraction spreads neighbours (Knuth's multiplicative hashing).
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize
}

impl Alike {
    /// Counts a resource that had a short life. The caller is the only writer.
    pub(crate) fn count(&self, record: &Record) {
        let places = self.0.get_or_init(|| ours((0..SORTS).map(|_| Place::new())));
        let sort = Sort::words(record);
        let first = first_place(&sort);
        let mut free = None;
        for step in 0..PROBES {
            let Some(place) = places.get((first + step) % SORTS) else { continue };
            let made = place.word(0);
            if made > 0 && (1..5).all(|word| place.word(word) == sort[word - 1]) {
                place.write(&[made + 1]);
                return;
            }
            if made < 2 {
                free = free.or(Some(place));
            }
        }
        if let Some(place) = free {
            let [what, bytes, size, depth] = sort;
            place.write(&[1, what, bytes, size, depth]);
        }
    }

    /// The sorts seen more than once, and how often.
    pub(crate) fn read(&self) -> Vec<(Sort, u64)> {
        let places = self.0.get().into_iter().flatten();
        places.map(whole).filter(|[made, ..]| *made > 1).map(|[made, sort @ ..]| (Sort::of(&sort), made)).collect()
    }

    /// Bytes of all but one of each sort.
    pub(crate) fn saved_bytes(&self) -> u64 {
        let places = self.0.get().into_iter().flatten();
        let saved = places.map(whole).map(|[made, _, bytes, ..]| made.saturating_sub(1).saturating_mul(bytes));
        saved.fold(0, u64::saturating_add)
    }

    /// Bytes that the sorts take.
    pub(crate) fn footprint(&self) -> usize {
        self.0.get().map_or(0, |places| size_of_val(&**places))
    }
}

/// The words of a place; zeros if it was being written at every look.
fn whole(place: &Place) -> [u64; 5] {
    const LOOKS: usize = 1000;
    let look = |attempt| {
        if attempt % 16 == 15 {
            // The writer may wait for this core.
            std::thread::yield_now();
        }
        place.read_with(|_| ()).map(|(_, words, ())| words)
    };
    (0..LOOKS).find_map(look).unwrap_or_default()
}
