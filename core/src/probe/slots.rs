//! All slots of a book: pages that are never freed, and the pool from which threads take free slots by the batch.
//!
//! A thread keeps at most [`LOCAL_MOST`] free slots and gives half of them back beyond that, so threads that only release
//! feed those that only create, and the slots in all stay within the most that were in use at once, plus
//! [`LOCAL_MOST`] per thread, plus a page.

use super::slot::Slot;
use crate::memory::HeapTag;
use parking_lot::Mutex;

/// Slots of a page: 64 KiB.
pub(crate) const PAGE: usize = 512;
/// Slots that move between a thread and the pool at a time.
pub(crate) const BATCH: usize = 64;
/// Free slots that a thread keeps at most.
pub(crate) const LOCAL_MOST: usize = 2 * BATCH;

/// The pages and the pool.
#[derive(Debug)]
pub(crate) struct Slots {
    most_pages: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    pages: Vec<&'static [Slot]>,
    pool: Vec<&'static Slot>,
}

impl Slots {
    /// Room for `most` resources at once, rounded up to whole pages.
    pub(crate) fn new(most: usize) -> Self {
        Self { most_pages: most.div_ceil(PAGE), inner: Mutex::default() }
    }

    /// Moves up to a batch of free slots to a thread's own; adds none if all are in use and no page can be added.
    pub(crate) fn take(&self, own: &mut Vec<&'static Slot>) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if inner.pool.is_empty() && inner.pages.len() < self.most_pages {
            let _own = HeapTag::OWN.enter();
            let page: &'static [Slot] = Box::leak(ours((0..PAGE).map(|_| Slot::new())));
            inner.pages.push(page);
            // Room for every slot there is: giving slots back never allocates.
            inner.pool.reserve(inner.pages.len() * PAGE);
            inner.pool.extend(page.iter().rev());
        }
        let rest = inner.pool.len().saturating_sub(BATCH);
        own.extend(inner.pool.drain(rest..));
    }

    /// Moves a thread's free slots beyond a batch to the pool.
    pub(crate) fn give(&self, own: &mut Vec<&'static Slot>) {
        let keep = own.len().min(BATCH);
        self.inner.lock().pool.extend(own.drain(keep..));
    }

    /// All pages as of now. What is created later may lie in one that is not among them.
    pub(crate) fn pages(&self) -> Vec<&'static [Slot]> {
        self.inner.lock().pages.clone()
    }

    /// Bytes that pages and pool take.
    pub(crate) fn footprint(&self) -> usize {
        let inner = self.inner.lock();
        inner.pages.len() * PAGE * size_of::<Slot>() + inner.pool.capacity() * size_of::<&Slot>()
    }
}

/// A page of the book's own, charged to our tag and not to whoever reports.
pub(super) fn ours<T>(items: impl Iterator<Item = T>) -> Box<[T]> {
    let _own = HeapTag::OWN.enter();
    items.collect()
}
