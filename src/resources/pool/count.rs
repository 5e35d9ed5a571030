//! How many handles a block has, so that it ends once.
//!
//! A count is begun, and found by name, under the pool's lock. A handle that is the only one is given up under that lock too, without counting:
//! there is nobody to clone it, and whoever finds it waits for the lock. All else goes past the lock.

use super::sync::{AtomicU64, Ordering};

/// The handles of a block. 64 bits do not overflow, even by handles that are forgotten.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// A new block has one handle. Under the lock.
    pub(super) fn begin(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// One more, by whoever has one.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One more of a block that has not ended; false where the last is given up. Under the lock.
    pub(super) fn add_to_some(&self) -> bool {
        let more = |count: u64| (count > 0).then(|| count + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// How many there are now.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Gives one up, by whoever has it. For the last, `lock` is called and what it gives is returned: the block is the caller's to end. Where
    /// there is something to be done between the two, the handle is counted down first, and nobody finds the block any more.
    #[inline]
    pub(super) fn give_up<G>(&self, between: Option<impl FnOnce()>, lock: impl FnOnce() -> G) -> Option<G> {
        // The only one is given up under the lock, unless it was found until then.
        let only = between.is_none() && self.is_one();
        if !only && !self.subtract() {
            return None;
        }
        if let Some(between) = between {
            between();
        }
        let guard = lock();
        if only {
            if !self.is_one() {
                return self.subtract().then_some(guard);
            }
            self.0.store(0, Ordering::Relaxed);
        }
        Some(guard)
    }

    fn is_one(&self) -> bool {
        // What others did with their handles comes before the end.
        self.0.load(Ordering::Acquire) == 1
    }

    /// True for the last.
    fn subtract(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}
