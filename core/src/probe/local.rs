//! What belongs to one thread: its shard of the counters, its ring, its free slots and its block of ids.
//!
//! A thread's [`Local`] is made, or taken over from a thread that has ended, when it first reports to a book, and goes
//! back to the book when the thread ends. A thread that reports while its thread-local storage is being torn down shares
//! one more `Local` with others in that state, under a lock.

use super::alike::Alike;
use super::book::{Book, count};
use super::budgets::Settled;
use super::counts::PEAK_FOLD_BYTES;
use super::efforts::Efforts;
use super::kind::ROWS;
use super::lifetimes::{LifeCounters, RunningBurst};
use super::owner_rows::{OwnerRow, OwnerRows};
use super::record::{EVENT_WORDS, EventWords, Record};
use super::ring::{Place, Ring};
use super::slot::Slot;
use super::slots::LOCAL_MOST;
use super::tally::{Rows, Tally};
use crate::memory::HeapTag;
use parking_lot::MutexGuard;
use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::panic::Location;
use std::sync::OnceLock;

/// Ids that a thread takes at a time.
pub(crate) const ID_BLOCK: u64 = 64;

/// The part of a thread's state that others read. Never freed.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) rows: Rows,
    pub(crate) owners: OwnerRows,
    pub(crate) lives: LifeCounters,
    pub(crate) burst: RunningBurst,
    pub(crate) alike: Alike,
    pub(crate) efforts: Efforts,
    pub(crate) settled: Settled,
    pub(crate) ring: OnceLock<Ring<EVENT_WORDS>>,
}

/// The part that only the thread itself uses.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) shard: &'static Shard,
    free: Vec<&'static Slot>,
    ids: Range<u64>,
    /// Labels that the thread has room for and does not keep.
    labels: usize,
    /// Change of live bytes that the book's total does not know yet.
    unfolded: i64,
    /// The thread's id, hashed.
    thread: u64,
    /// The numbers of creation sites seen lately, by address.
    sites: [(usize, u16); 32],
}

/// A part of a thread's, and the book that it belongs to.
type Part = (&'static Book, Local);

thread_local! {
    /// The thread's part in each book that it has reported to, the last used first. Without a destructor, so that it is there for as
    /// long as the thread is, and to be reached without asking whether it still is.
    static PARTS: RefCell<ManuallyDrop<Vec<Part>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
    /// Gives them back when the thread ends.
    static END: End = const { End };
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        // A thread that reports after this takes no part: see `bring_forward`.
        let parts = PARTS.with(|parts| parts.try_borrow_mut().map(|mut parts| std::mem::take(&mut **parts)));
        for (book, mut local) in parts.into_iter().flatten() {
            local.fold(book);
            book.give_labels(std::mem::take(&mut local.labels));
            book.return_local(local);
        }
    }
}

/// Runs `f` with the calling thread's part in `book`. `f` must not report to any book.
#[inline]
pub(crate) fn with<R>(book: &'static Book, f: impl FnOnce(&mut Local) -> R) -> R {
    PARTS.with(|parts| {
        // Borrowed already: an allocator that reports to a book while we allocate.
        let mut own = parts.try_borrow_mut().ok();
        let mut shared;
        let local = match own.as_deref_mut().and_then(|parts| first(parts, book)) {
            Some(local) => local,
            None => {
                shared = shared_local(book);
                &mut *shared
            }
        };
        f(local)
    })
}

#[inline]
fn first<'a>(parts: &'a mut Vec<Part>, book: &'static Book) -> Option<&'a mut Local> {
    let is_first = parts.first().is_some_and(|(of, _)| std::ptr::eq(*of, book));
    if is_first || bring_forward(parts, book) { parts.first_mut().map(|(_, local)| local) } else { None }
}

/// Puts the thread's part in a book first that is not the one it reported to last; `false` if the thread is ending and has none.
#[cold]
fn bring_forward(parts: &mut Vec<Part>, book: &'static Book) -> bool {
    if END.try_with(|_| ()).is_err() {
        return false;
    }
    let place = parts.iter().position(|(of, _)| std::ptr::eq(*of, book)).unwrap_or_else(|| {
        let _own = HeapTag::OWN.enter();
        parts.push((book, book.adopt_local(thread_number())));
        parts.len() - 1
    });
    parts.swap(0, place);
    true
}

/// The part of threads that have none of their own.
#[cold]
fn shared_local(book: &'static Book) -> MutexGuard<'static, Local> {
    let mut shared = book.shared_local();
    shared.thread = thread_number();
    shared
}

impl Local {
    /// A new thread's part, with a shard of its own.
    pub(crate) fn new(shard: &'static Shard, thread: u64) -> Self {
        Self {
            shard,
            free: Vec::with_capacity(LOCAL_MOST),
            ids: 0..0,
            labels: 0,
            unfolded: 0,
            thread,
            sites: [(0, 0); 32],
        }
    }

    /// The same part for another thread.
    pub(crate) fn for_thread(self, thread: u64) -> Self {
        Self { thread, ..self }
    }

    /// A free slot; `None` if as many resources are tracked as may be.
    #[inline]
    pub(crate) fn take_slot(&mut self, book: &Book) -> Option<&'static Slot> {
        if self.free.is_empty() {
            book.slots.take(&mut self.free);
        }
        self.free.pop()
    }

    /// Keeps a slot that was freed.
    #[inline]
    pub(crate) fn give_slot(&mut self, book: &Book, slot: &'static Slot) {
        if self.free.len() >= LOCAL_MOST {
            book.slots.give(&mut self.free);
        }
        self.free.push(slot);
    }

    /// A new id.
    #[inline]
    pub(crate) fn next_id(&mut self, book: &Book) -> u64 {
        if self.ids.is_empty() {
            self.ids = book.next_ids();
        }
        let id = self.ids.start;
        self.ids.start += 1;
        id
    }

    /// Takes room for one label; `false` if as many are kept as may be, which is counted.
    #[inline]
    pub(crate) fn admit_label(&mut self, book: &Book) -> bool {
        if self.labels == 0 {
            self.labels = book.take_labels();
        }
        let admitted = self.labels > 0;
        if admitted {
            self.labels -= 1;
        } else {
            count(&book.overflows.labels);
        }
        admitted
    }

    /// Keeps the room of a label for the next one, or gives it back.
    #[inline]
    pub(crate) fn drop_label(&mut self, book: &Book) {
        self.labels += 1;
        let keep = book.label_block();
        if self.labels > 2 * keep {
            book.give_labels(self.labels - keep);
            self.labels = keep;
        }
    }

    /// The number of a creation site; 0 if there is no room for it.
    #[inline]
    pub(crate) fn site(&mut self, book: &Book, site: &'static Location<'static>) -> u16 {
        let address = std::ptr::from_ref(site).addr();
        let cached = &mut self.sites[(address / align_of::<Location<'_>>()) % 32];
        if cached.0 != address {
            *cached = (address, book.site(site));
        }
        cached.1
    }

    /// Notes a change of the device's live bytes, for the peak.
    #[inline]
    pub(crate) fn move_live(&mut self, book: &Book, gained: u64, lost: u64) {
        // Both are bounded far below i64::MAX.
        self.unfolded += gained as i64 - lost as i64;
        if self.unfolded.unsigned_abs() >= PEAK_FOLD_BYTES {
            self.fold(book);
        }
    }

    fn fold(&mut self, book: &Book) {
        book.peak.add(std::mem::take(&mut self.unfolded));
    }

    /// Offers an event to the thread's ring. The counters come first.
    #[inline]
    pub(crate) fn emit(&mut self, book: &Book, event: EventWords) {
        event.put(self.place(book), self.thread);
    }

    /// Offers the next event of the resource in `slot`: one that has no number yet.
    #[inline]
    pub(crate) fn emit_next(&mut self, book: &Book, slot: &Slot, event: EventWords) {
        let (place, thread) = (self.place(book), self.thread);
        // Taken last, since every load behind it waits for it: other processors have to hear of it.
        event.sequence(slot.next_sequence()).put(place, thread);
    }

    #[inline]
    fn place(&self, book: &Book) -> Place<'static, EVENT_WORDS> {
        let ring = || {
            let _own = HeapTag::OWN.enter();
            Ring::new(book.settings.ring_capacity)
        };
        self.shard.ring.get_or_init(ring).next()
    }

    /// Bytes that the part takes beside its shard.
    pub(crate) const FOOTPRINT: usize = size_of::<Self>() + LOCAL_MOST * size_of::<&Slot>();
}

impl Shard {
    /// A shard of zeros, without a ring, for a book with room for so many owners.
    pub(crate) fn new(owners: usize) -> Self {
        Self {
            rows: Rows::new(ROWS),
            owners: OwnerRows::new(owners),
            lives: LifeCounters::new(),
            burst: RunningBurst::new(),
            alike: Alike::default(),
            efforts: Efforts::new(),
            settled: Settled::default(),
            ring: OnceLock::new(),
        }
    }

    /// Takes a step in the tallies that count this resource: its kind's, its owner kind's, and its owner's, unless its kind is
    /// one of the `passing` ones. Returns the owner's row.
    #[inline]
    pub(crate) fn tally(&self, passing: u64, record: &Record, step: impl Fn(&Tally)) -> Option<&OwnerRow> {
        let [kind, owner_kind] = record.rows();
        step(self.rows.row(kind));
        step(self.rows.row(owner_kind));
        let owner = self.owner(passing, record)?;
        step(&owner.tally);
        Some(owner)
    }

    /// The row of the resource's owner, if it is counted there.
    #[inline]
    fn owner(&self, passing: u64, record: &Record) -> Option<&OwnerRow> {
        let counted = record.owner.index() != 0 && !record.kind.is_in(passing);
        if counted { self.owners.row(record.owner) } else { None }
    }

    /// Bytes that the shard takes.
    pub(crate) fn footprint(&self) -> usize {
        let entry = (EVENT_WORDS + 1) * size_of::<u64>();
        let ring = self.ring.get().map_or(0, |ring| ring.capacity() as usize * entry);
        size_of::<Self>() + self.rows.footprint() + self.owners.footprint() + self.alike.footprint() + ring
    }
}

/// The calling thread's id, hashed.
fn thread_number() -> u64 {
    let mut hasher = DefaultHasher::new();
    std::thread::current().id().hash(&mut hasher);
    hasher.finish()
}
