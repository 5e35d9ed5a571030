//! Short-lived resources that were alike, counted by what they had in common: one thread's part.

use super::record::Record;
use super::{Extent, ResourceKind};
use parking_lot::Mutex;

/// Sorts of resources that a thread keeps apart.
const SORTS: usize = 64;

/// What interchangeable resources have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sort {
    pub(crate) kind: ResourceKind,
    pub(crate) bytes: u64,
    pub(crate) extent: Option<Extent>,
    pub(crate) descriptor: u16,
}

impl Sort {
    fn of(record: &Record) -> Self {
        let Record { kind, bytes, extent, descriptor, .. } = *record;
        Self { kind, bytes, extent, descriptor }
    }

    /// The first place to look at.
    fn place(&self) -> usize {
        let extent = self.extent.map_or(0, |extent| u64::from(extent.width) << 32 | u64::from(extent.height));
        let mixed = self.bytes.rotate_left(24) ^ extent ^ (u64::from(self.descriptor) << 8 | self.kind.index() as u64);
        // The golden ratio's fraction spreads neighbours (Knuth's multiplicative hashing).
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % SORTS
    }
}

/// Places in which a sort is looked for.
const PROBES: usize = 4;

/// One thread's sorts. A new one takes a free place or pushes out one that was seen once; else it is not counted.
#[derive(Debug, Default)]
pub(crate) struct Alike(Mutex<Vec<Option<(Sort, u64)>>>);

impl Alike {
    /// Counts a resource that had a short life. The lock is the thread's own but for a reader now and then.
    pub(crate) fn count(&self, record: &Record) {
        let sort = Sort::of(record);
        let mut sorts = self.0.lock();
        if sorts.is_empty() {
            sorts.resize(SORTS, None);
        }
        let (mut free, mut seen_once) = (None, None);
        for place in (0..PROBES).map(|step| (sort.place() + step) % SORTS) {
            match sorts.get_mut(place) {
                Some(Some((known, made))) if *known == sort => {
                    *made += 1;
                    return;
                }
                Some(None) => free = free.or(Some(place)),
                Some(Some((_, made))) if *made < 2 => seen_once = seen_once.or(Some(place)),
                Some(Some(_)) | None => {}
            }
        }
        if let Some(place) = free.or(seen_once).and_then(|place| sorts.get_mut(place)) {
            *place = Some((sort, 1));
        }
    }

    /// The sorts seen more than once, and how often.
    pub(crate) fn read(&self) -> Vec<(Sort, u64)> {
        self.0.lock().iter().flatten().filter(|(_, made)| *made > 1).copied().collect()
    }

    /// Bytes that the sorts take.
    pub(crate) fn footprint(&self) -> usize {
        self.0.lock().capacity() * size_of::<Option<(Sort, u64)>>()
    }
}
