//! Exact counters: one shard per thread, each word written by one thread and read by any.
//!
//! # Why live and pending never go negative
//! A life adds to `created`, then to `left_live`, then to `released`, each time in the shard of the thread that did it.
//! The tickets' hand-over between threads orders these three (a ticket moves or is shared only through something that
//! synchronises), and each shard passes from thread to thread under a lock. The last two are stored with `Release`.
//! A reader makes three passes over all shards: `released` first, then `left_live`, both with `Acquire`, then `created`.
//! Whatever it saw of `released` therefore makes it see the `left_live` before it, and so on, so
//! `created >= left_live >= released` in what it has summed, for counts and for bytes. Shards are listed anew in each
//! pass: a shard that appears between passes was listed before anything that it takes part in could be seen.
//! Counts and bytes of one row are separate words: a reader may see one more life in the one than in the other.

use super::counts::{Counts, add_to};
use crate::sync::{AtomicU64, Ordering, own};

/// The counters of one row (a resource kind, an owner kind or an owner), on cache lines of its own. Monotone, but for wrapping.
#[repr(align(64))]
#[derive(Debug)]
pub(crate) struct Tally {
    created: AtomicU64,
    created_bytes: AtomicU64,
    left_live: AtomicU64,
    left_live_bytes: AtomicU64,
    released: AtomicU64,
    released_bytes: AtomicU64,
    destroyed: AtomicU64,
    rebuilds: AtomicU64,
    resize_requests: AtomicU64,
    reused: AtomicU64,
    short_lived: AtomicU64,
    lifetime_nanos: AtomicU64,
}

/// A reader's three passes, in the order in which they must be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Released,
    LeftLive,
    Created,
}

impl Pass {
    /// The order of the passes.
    pub(crate) const ORDER: [Self; 3] = [Self::Released, Self::LeftLive, Self::Created];
}

impl Tally {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            created: zero(),
            created_bytes: zero(),
            left_live: zero(),
            left_live_bytes: zero(),
            released: zero(),
            released_bytes: zero(),
            destroyed: zero(),
            rebuilds: zero(),
            resize_requests: zero(),
            reused: zero(),
            short_lived: zero(),
            lifetime_nanos: zero(),
        }
    }

    /// A resource begins its life.
    #[inline]
    pub(crate) fn create(&self, bytes: u64) {
        add(&self.created, 1, Ordering::Relaxed);
        add(&self.created_bytes, bytes, Ordering::Relaxed);
    }

    /// Resources released on this row, for its one writer.
    #[inline]
    pub(crate) fn own_released(&self) -> u64 {
        own(&self.released)
    }

    /// Bytes created and not released, live or pending, for any thread. Wraps.
    pub(crate) fn held_bytes(&self) -> u64 {
        let released = self.released_bytes.load(Ordering::Acquire);
        self.created_bytes.load(Ordering::Acquire).wrapping_sub(released)
    }

    /// A resource leaves live: the first of handle drop, explicit destruction and release.
    #[inline]
    pub(crate) fn leave_live(&self, bytes: u64) {
        add(&self.left_live, 1, Ordering::Release);
        add(&self.left_live_bytes, bytes, Ordering::Release);
    }

    /// A resource that has left live is released, after that many nanoseconds.
    #[inline]
    pub(crate) fn release(&self, bytes: u64, lifetime: u64, short: bool) {
        add(&self.released, 1, Ordering::Release);
        add(&self.released_bytes, bytes, Ordering::Release);
        // Behind what they are part of: a reader never sees more short lives than lives.
        add(&self.lifetime_nanos, lifetime, Ordering::Release);
        if short {
            add(&self.short_lived, 1, Ordering::Release);
        }
    }

    /// The memory of a resource that has left live is free before its release, which then gives back none.
    pub(crate) fn free(&self, bytes: u64) {
        add(&self.released_bytes, bytes, Ordering::Release);
    }

    /// A resource is destroyed explicitly, for the first time.
    pub(crate) fn destroy(&self) {
        add(&self.destroyed, 1, Ordering::Release);
    }

    /// A resource's storage is rebuilt; `pending` says that it has left live.
    pub(crate) fn resize(&self, old: u64, new: u64, pending: bool) {
        add(&self.rebuilds, 1, Ordering::Relaxed);
        let (grown, shrunk) = (new.saturating_sub(old), old.saturating_sub(new));
        if grown > 0 {
            add(&self.created_bytes, grown, Ordering::Relaxed);
            if pending {
                add(&self.left_live_bytes, grown, Ordering::Release);
            }
        }
        if shrunk > 0 {
            if !pending {
                add(&self.left_live_bytes, shrunk, Ordering::Release);
            }
            add(&self.released_bytes, shrunk, Ordering::Release);
        }
    }

    /// A call asks for another size.
    pub(crate) fn request_resize(&self) {
        add(&self.resize_requests, 1, Ordering::Relaxed);
    }

    /// A resource is taken again where another could have been made.
    pub(crate) fn reuse(&self) {
        add(&self.reused, 1, Ordering::Relaxed);
    }

    /// A target was rebuilt, with no change of a tracked size.
    pub(crate) fn rebuild(&self) {
        add(&self.rebuilds, 1, Ordering::Relaxed);
    }

    /// Adds what `pass` reads to `counts`.
    pub(crate) fn sum_into(&self, pass: Pass, counts: &mut Counts) {
        let load = |word: &AtomicU64| word.load(Ordering::Acquire);
        let (count, bytes) = match pass {
            Pass::Released => {
                add_to(&mut counts.destroyed, load(&self.destroyed));
                add_to(&mut counts.rebuilds, load(&self.rebuilds));
                add_to(&mut counts.resize_requests, load(&self.resize_requests));
                add_to(&mut counts.reused, load(&self.reused));
                add_to(&mut counts.short_lived, load(&self.short_lived));
                add_to(&mut counts.lifetime_nanos, load(&self.lifetime_nanos));
                (&mut counts.released, &mut counts.released_bytes)
            }
            Pass::LeftLive => (&mut counts.left_live, &mut counts.left_live_bytes),
            Pass::Created => (&mut counts.created, &mut counts.created_bytes),
        };
        let (from_count, from_bytes) = match pass {
            Pass::Released => (&self.released, &self.released_bytes),
            Pass::LeftLive => (&self.left_live, &self.left_live_bytes),
            Pass::Created => (&self.created, &self.created_bytes),
        };
        add_to(count, load(from_count));
        add_to(bytes, load(from_bytes));
    }
}

/// One thread's rows. Rows that were never used cost a reader one bit.
#[derive(Debug)]
pub(crate) struct Rows {
    used: Box<[AtomicU64]>,
    rows: Box<[Tally]>,
}

impl Rows {
    /// `rows` rows of zeros.
    pub(crate) fn new(rows: usize) -> Self {
        Self {
            used: (0..rows.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            rows: (0..rows).map(|_| Tally::new()).collect(),
        }
    }

    /// Row `index`, for its one writer.
    #[inline]
    pub(crate) fn row(&self, index: usize) -> &Tally {
        let (word, bit) = (&self.used[index / 64], 1 << (index % 64));
        let used = own(word);
        if used & bit == 0 {
            word.store(used | bit, Ordering::Relaxed);
        }
        &self.rows[index]
    }

    /// Row `index`, for a reader.
    pub(crate) fn at(&self, index: usize) -> Option<&Tally> {
        self.rows.get(index)
    }

    /// Adds what `pass` reads of every used row to `totals`, row by row.
    pub(crate) fn sum_into(&self, pass: Pass, totals: &mut [Counts]) {
        for (block, used) in self.used.iter().enumerate() {
            // The bit is set before anything in the row is, by the same thread: what happened before what the earlier
            // passes saw is in view, bit and row both.
            let mut bits = used.load(Ordering::Relaxed);
            while bits != 0 {
                let index = block * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if let (Some(row), Some(counts)) = (self.rows.get(index), totals.get_mut(index)) {
                    row.sum_into(pass, counts);
                }
            }
        }
    }

    /// Bytes that the rows take.
    pub(crate) fn footprint(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.used)
    }
}

/// One writer: a load and a store are enough.
#[inline]
fn add(word: &AtomicU64, amount: u64, order: Ordering) {
    word.store(own(word).wrapping_add(amount), order);
}
