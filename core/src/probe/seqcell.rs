//! A seqlock of plain words: one writer at a time, any number of readers, no waiting on either side.
//!
//! All words are atomics, so a torn read is a wrong value and never undefined behaviour; the version word tells the
//! reader that it was torn. The orderings are those of Boehm, "Can seqlocks get along with programming language memory
//! models?": the writer makes the version odd, a release fence keeps the words behind it, and the even version is
//! released after them; the reader acquires the version, reads the words, and an acquire fence keeps the second look at
//! the version behind them.

use crate::sync::{AtomicU64, Ordering, fence, own};

/// `N` words that are read as one.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct SeqCell<const N: usize> {
    /// Even: at rest. Odd: being written.
    version: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> SeqCell<N> {
    /// A cell of zeros at version 0.
    pub(crate) fn new() -> Self {
        Self { version: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Writes the first `values.len()` words and leaves the others as they are. The caller is the only writer.
    #[inline]
    pub(crate) fn write(&self, values: &[u64]) {
        self.write_as(own(&self.version).wrapping_add(2), values);
    }

    /// Writes as [`write`](Self::write) does and gives the cell the version `even`.
    #[inline]
    pub(crate) fn write_as(&self, even: u64, values: &[u64]) {
        self.version.store(even.wrapping_sub(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(values) {
            word.store(*value, Ordering::Relaxed);
        }
        self.version.store(even, Ordering::Release);
    }

    /// One word as the writer left it. Only for whoever may write, or has a synchronised view of the last write.
    #[inline]
    pub(crate) fn word(&self, index: usize) -> u64 {
        self.words.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// The version and words, or `None` if a writer was at work. `beside` runs between the two looks at the version, so
    /// that what it reads belongs to the same write (or to a later change by the same holder that does not pass through
    /// the cell).
    pub(crate) fn read_with<R>(&self, beside: impl FnOnce(&[u64; N]) -> R) -> Option<(u64, [u64; N], R)> {
        let before = self.version.load(Ordering::Acquire);
        if before % 2 == 1 {
            return None;
        }
        let words = std::array::from_fn(|index| self.word(index));
        let beside = beside(&words);
        fence(Ordering::Acquire);
        (self.version.load(Ordering::Relaxed) == before).then_some((before, words, beside))
    }
}
