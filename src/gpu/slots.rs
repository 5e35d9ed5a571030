//! A fixed number of read-back slots: which are free, how often none was. Plain data.

/// Which of a fixed number of slots are taken.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Bit n is set while slot n is free.
    free: u64,
    count: u32,
}

impl Slots {
    /// The most slots there can be.
    pub(crate) const MAX: u32 = 64;

    /// `count` free slots, at least one and at most [`MAX`](Self::MAX).
    pub(crate) fn new(count: u32) -> Self {
        let count = count.clamp(1, Self::MAX);
        Self { free: u64::MAX >> (Self::MAX - count), count }
    }

    /// How many slots there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Takes a free slot; `None` when all are taken.
    pub(crate) fn take(&mut self) -> Option<u32> {
        if self.free == 0 {
            return None;
        }
        let slot = self.free.trailing_zeros();
        self.free &= self.free - 1;
        Some(slot)
    }

    /// Gives a slot back; false, and nothing changes, for a slot that is not taken.
    pub(crate) fn release(&mut self, slot: u32) -> bool {
        if slot >= self.count || self.free & (1 << slot) != 0 {
            return false;
        }
        self.free |= 1 << slot;
        true
    }

    /// How many slots are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.count - self.free.count_ones()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_number_of_slots_is_kept_within_bounds() {
        for (asked, given) in [(0, 1), (1, 1), (4, 4), (63, 63), (64, 64), (65, 64)] {
            let mut slots = Slots::new(asked);
            assert_eq!(slots.count(), given);
            for _ in 0..given {
                assert!(slots.take().is_some());
            }
            assert_eq!(slots.take(), None);
        }
    }

    proptest! {
        #[test]
        fn slots_behave_like_a_set_of_free_numbers(
            count in 1_u32..=64,
            steps in prop::collection::vec((any::<bool>(), 0_u32..70), 0..300),
        ) {
            let mut slots = Slots::new(count);
            let mut free: BTreeSet<u32> = (0..count).collect();
            for (take, slot) in steps {
                if take {
                    prop_assert_eq!(slots.take(), free.pop_first());
                } else {
                    let valid = slot < count && free.insert(slot);
                    prop_assert_eq!(slots.release(slot), valid);
                }
                prop_assert_eq!(slots.taken() as usize, count as usize - free.len());
            }
        }
    }
}
