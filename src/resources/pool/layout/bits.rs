//! A set of small numbers that answers for its lowest member in a few steps.

/// Levels of 64-fold summaries: 64^4 numbers.
const LEVELS: usize = 4;

/// A set of numbers below a length that may grow. Each word of a level tells which words of the level below are not zero; there are as many levels
/// as it takes for the highest to have one word. Nothing here depends on what is in the set but the memory: no branch that is guessed wrong.
#[derive(Debug, Clone)]
pub(super) struct Bits {
    levels: [Vec<u64>; LEVELS],
    /// Levels that there are.
    depth: usize,
}

impl Bits {
    /// The most numbers that there can be.
    pub(super) const MAX: u32 = 1 << (6 * LEVELS);

    pub(super) const NONE: Self = Self { levels: [const { Vec::new() }; LEVELS], depth: 0 };

    /// The lowest.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        let mut index = 0;
        for level in self.levels[..self.depth].iter().rev() {
            let word = *level.get(index)?;
            if word == 0 {
                return None;
            }
            index = index * 64 + word.trailing_zeros() as usize;
        }
        (self.depth > 0).then_some(index as u32)
    }

    /// Adds a number below [`MAX`](Self::MAX).
    #[inline]
    pub(super) fn insert(&mut self, number: u32) {
        if self.levels[0].len() <= number as usize / 64 {
            self.grow(number);
        }
        let mut index = number as usize;
        for level in &mut self.levels[..self.depth] {
            level[index / 64] |= 1 << (index % 64);
            index /= 64;
        }
    }

    /// Takes a number out, if it is there.
    #[inline]
    pub(super) fn remove(&mut self, number: u32) {
        let (mut index, mut is_empty) = (number as usize, true);
        for level in &mut self.levels[..self.depth] {
            let Some(word) = level.get_mut(index / 64) else { return };
            *word &= !(u64::from(is_empty) << (index % 64));
            is_empty = *word == 0;
            index /= 64;
        }
    }

    /// Makes room for that number. A new level summarises those that were there.
    #[cold]
    fn grow(&mut self, number: u32) {
        debug_assert!(number < Self::MAX);
        let mut words = number as usize / 64 + 1;
        for depth in 0..LEVELS {
            self.levels[depth].resize(words, 0);
            if depth > 0 && depth >= self.depth {
                let below = std::mem::take(&mut self.levels[depth - 1]);
                for (word, _) in below.iter().enumerate().filter(|(_, word)| **word != 0) {
                    self.levels[depth][word / 64] |= 1 << (word % 64);
                }
                self.levels[depth - 1] = below;
            }
            if words == 1 {
                self.depth = self.depth.max(depth + 1);
                return;
            }
            words = words.div_ceil(64);
        }
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
                    bits.insert(number);
                    set.insert(number);
                } else {
                    bits.remove(number);
                    set.remove(&number);
                }
                prop_assert_eq!(bits.first(), set.first().copied());
            }
            for number in set {
                prop_assert_eq!(bits.first(), Some(number));
                bits.remove(number);
            }
            prop_assert_eq!(bits.first(), None);
        }
    }

    #[test]
    fn the_last_number_that_there_can_be() {
        let mut bits = Bits::NONE;
        for number in [63, 64, 64 * 64, Bits::MAX - 1, 5] {
            bits.insert(number);
        }
        for number in [5, 63, 64, 64 * 64, Bits::MAX - 1] {
            assert_eq!(bits.first(), Some(number));
            bits.remove(number);
            bits.remove(number);
        }
        assert_eq!(bits.first(), None);
    }
}
