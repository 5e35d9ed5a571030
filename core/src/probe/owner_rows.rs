//! Exact counters by owner: one thread's part, taken by pages, since few threads work for many owners.

use super::counts::Counts;
use super::slots::ours;
use super::tally::{Pass, Tally};
use super::{OwnerId, ResourceKind};
use crate::sync::own;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Owners of a page.
const PAGE: usize = 16;
/// Pages of a block.
const BLOCK: usize = 64;

/// What one thread has counted of one owner.
#[derive(Debug)]
pub(crate) struct OwnerRow {
    pub(crate) tally: Tally,
    /// The last resource's kind and creation site; bit 63 says that there is one, bit 62 that it was released.
    last: AtomicU64,
    /// Creations that followed a release which no other creation had followed.
    remade: AtomicU64,
}

const ANY: u64 = 1 << 63;
const RELEASED: u64 = 1 << 62;

type Page = Box<[OwnerRow]>;
type Block = Box<[OnceLock<Page>]>;

/// One thread's rows by owner. One thread writes, any reads.
#[derive(Debug)]
pub(crate) struct OwnerRows {
    blocks: Box<[OnceLock<Block>]>,
}

impl OwnerRows {
    /// Rows for owners with an index of at most `owners`.
    pub(crate) fn new(owners: usize) -> Self {
        Self { blocks: (0..=owners / (PAGE * BLOCK)).map(|_| OnceLock::new()).collect() }
    }

    /// The owner's row, for its one writer. Takes a page if it is the first of its page. `None` for an owner of another book.
    #[inline]
    pub(crate) fn row(&self, owner: OwnerId) -> Option<&OwnerRow> {
        let index = owner.index() as usize;
        let block = self.blocks.get(index / (PAGE * BLOCK))?;
        let block = block.get_or_init(|| ours((0..BLOCK).map(|_| OnceLock::new())));
        let page = block.get(index / PAGE % BLOCK)?.get_or_init(|| ours((0..PAGE).map(|_| OwnerRow::new())));
        page.get(index % PAGE)
    }

    /// The row of the owner at that index, for a reader.
    fn at(&self, index: usize) -> Option<&OwnerRow> {
        let block = self.blocks.get(index / (PAGE * BLOCK))?.get()?;
        block.get(index / PAGE % BLOCK)?.get()?.get(index % PAGE)
    }

    /// Adds what `pass` reads of the owner at that index to `counts`.
    pub(crate) fn sum_into(&self, index: usize, pass: Pass, counts: &mut Counts) {
        if let Some(row) = self.at(index) {
            row.tally.sum_into(pass, counts);
        }
    }

    /// What was made again on this thread by the owner at that index.
    pub(crate) fn remade(&self, index: usize) -> u64 {
        self.at(index).map_or(0, |row| row.remade.load(Ordering::Acquire))
    }

    /// The last resource of the owner at that index: its kind, its site, and whether it was released.
    pub(crate) fn last(&self, index: usize) -> Option<(ResourceKind, u16, bool)> {
        let last = self.at(index)?.last.load(Ordering::Relaxed);
        (last & ANY != 0).then(|| (ResourceKind::at((last >> 16 & 0xff) as usize), last as u16, last & RELEASED != 0))
    }

    /// Bytes that the rows take.
    pub(crate) fn footprint(&self) -> usize {
        let block = |block: &Block| {
            let pages = block.iter().filter(|page| page.get().is_some()).count();
            size_of_val(&**block) + pages * PAGE * size_of::<OwnerRow>()
        };
        size_of_val(&*self.blocks) + self.blocks.iter().filter_map(OnceLock::get).map(block).sum::<usize>()
    }
}

impl OwnerRow {
    fn new() -> Self {
        Self { tally: Tally::new(), last: AtomicU64::new(0), remade: AtomicU64::new(0) }
    }

    /// Notes that a resource of that kind and site was created, unless one was released before.
    #[inline]
    pub(crate) fn note_created(&self, kind: ResourceKind, site: u16) {
        let remade = own(&self.remade);
        if remade < self.tally.own_released() {
            self.remade.store(remade + 1, Ordering::Release);
        }
        if own(&self.last) & RELEASED == 0 {
            self.note(kind, site, ANY);
        }
    }

    /// Notes that a resource of that kind and site was released.
    #[inline]
    pub(crate) fn note_released(&self, kind: ResourceKind, site: u16) {
        self.note(kind, site, ANY | RELEASED);
    }

    #[inline]
    fn note(&self, kind: ResourceKind, site: u16, flags: u64) {
        self.last.store(flags | (kind.index() as u64) << 16 | u64::from(site), Ordering::Relaxed);
    }
}
