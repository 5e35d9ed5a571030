//! A set of small numbers that answers for its lowest member in a few steps.

/// Levels of 64-fold summaries: 64^4 numbers.
const LEVELS: usize = 4;

/// A set of numbers below a length that may grow. Each word of a level tells which words of the level below are not zero.
#[derive(Debug, Clone)]
pub(super) struct Bits {
    levels: [Vec<u64>; LEVELS],
}

impl Bits {
    /// The most numbers that there can be.
    pub(super) const MAX: u32 = 1 << (6 * LEVELS);

    pub(super) const NONE: Self = Self { levels: [const { Vec::new() }; LEVELS] };

    fn contains(&self, number: u32) -> bool {
        let word = self.levels[0].get(number as usize / 64);
        word.is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// The lowest.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        // The highest level has one word for every 64^4 numbers: one.
        if self.levels[LEVELS - 1].first().is_none_or(|&word| word == 0) {
            return None;
        }
        let mut index = 0;
        for level in self.levels.iter().rev() {
            index = index * 64 + level.get(index)?.trailing_zeros() as usize;
        }
        u32::try_from(index).ok()
    }

    /// Adds a number below [`MAX`](Self::MAX); false if it was there.
    #[inline]
    pub(super) fn insert(&mut self, number: u32) -> bool {
        debug_assert!(number < Self::MAX);
        if self.contains(number) {
            return false;
        }
        let mut index = number as usize;
        for level in &mut self.levels {
            let (word, bit) = (index / 64, 1 << (index % 64));
            if level.len() <= word {
                level.resize(word + 1, 0);
            }
            let had = level[word];
            level[word] |= bit;
            if had != 0 {
                break;
            }
            index = word;
        }
        true
    }

    /// Takes a number out; false if it was not there.
    #[inline]
    pub(super) fn remove(&mut self, number: u32) -> bool {
        if !self.contains(number) {
            return false;
        }
        let mut index = number as usize;
        for level in &mut self.levels {
            let (word, bit) = (index / 64, 1 << (index % 64));
            level[word] &= !bit;
            if level[word] != 0 {
                break;
            }
            index = word;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), 0_u32..300_000), 0..400)) {
            let mut bits = Bits::NONE;
            let mut set: BTreeSet<u32> = BTreeSet::new();
            for (add, number) in steps {
                let number = if number % 3 == 0 { number } else { number % 200 };
                if add {
                    prop_assert_eq!(bits.insert(number), set.insert(number));
                } else {
                    prop_assert_eq!(bits.remove(number), set.remove(&number));
                }
                prop_assert_eq!(bits.first(), set.first().copied());
            }
            for number in set {
                prop_assert_eq!(bits.first(), Some(number));
                prop_assert!(bits.remove(number) && !bits.remove(number));
            }
            prop_assert_eq!(bits.first(), None);
        }
    }
}
