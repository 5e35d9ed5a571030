//! The atomics of the lock-free pieces, under one name.
//!
//! The pieces that loom checks (`probe/seqcell.rs`, `probe/tally.rs`, `probe/ring.rs`, `probe/lifetimes.rs`) take their atomics and
//! locks from here and from nowhere else. `tests/loom/tests/book.rs` compiles the same files with a `sync` module of its own that holds loom's atomics,
//! so the library itself never depends on loom. A piece that is checked this way keeps clear of `OnceLock` and statics,
//! which loom does not model.

pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The present value, for the one thread that may write it. Loom checks that there is only one, and unlike a load, it takes
/// no part in what loom permutes: its search forgets a reader's load when the writer loads the same word before it stores.
#[inline(always)]
pub(crate) fn own(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}
