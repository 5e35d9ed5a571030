//! A set of small numbers that answers for its lowest member in a few steps.

/// Levels of 64-fold summaries: 64^4 numbers.
const LEVELS: usize = 4;

/// A set of numbers below a length that may grow. Each word of a level tells which words of the level below are not zero.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits {
    levels: [Vec<u64>; LEVELS],
    count: u32,
}

impl Bits {
    /// The most numbers that there can be.
    pub(super) const MAX: u32 = 1 << (6 * LEVELS);

    /// The numbers from 0 to below `count`.
    pub(super) fn full(count: u32) -> Self {
        let mut bits = Self::default();
        let mut left = count as usize;
        for level in &mut bits.levels {
            let words = left.div_ceil(64);
            level.resize(words, u64::MAX);
            if let Some(last) = level.last_mut().filter(|_| !left.is_multiple_of(64)) {
                *last = (1 << (left % 64)) - 1;
            }
            left = words;
        }
        bits.count = count;
        bits
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        let word = self.levels[0].get(number as usize / 64);
        word.is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// The lowest.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        // The highest level has one word for every 64^4 numbers: one.
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
        self.count += 1;
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
        self.count -= 1;
        true
    }

    /// The longest run of neighbours among the numbers below `end`.
    pub(super) fn longest_run(&self, end: u32) -> u32 {
        let (mut longest, mut run) = (0, 0);
        for (index, &word) in self.levels[0].iter().enumerate() {
            match word {
                u64::MAX => run += 64,
                0 => (longest, run) = (run.max(longest), 0),
                _ => {
                    let bits = 64.min(end.saturating_sub(index as u32 * 64));
                    for bit in 0..bits {
                        run = if word & (1 << bit) == 0 { 0 } else { run + 1 };
                        longest = run.max(longest);
                    }
                }
            }
        }
        run.max(longest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_set_has_all_numbers_and_no_other() {
        for count in [0, 1, 63, 64, 65, 4_095, 4_096, 4_097, 300_000] {
            let mut bits = Bits::full(count);
            assert_eq!((bits.count(), bits.longest_run(count)), (count, count));
            assert!(!bits.contains(count));
            for number in 0..count {
                assert_eq!(bits.first(), Some(number));
                assert!(bits.remove(number) && !bits.remove(number));
            }
            assert_eq!((bits.first(), bits.count()), (None, 0));
        }
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), 0_u32..70_000), 0..400), full in 0_u32..200) {
            let mut bits = Bits::full(full);
            let mut set: BTreeSet<u32> = (0..full).collect();
            for (add, number) in steps {
                let number = if number % 3 == 0 { number } else { number % 200 };
                if add {
                    prop_assert_eq!(bits.insert(number), set.insert(number));
                } else {
                    prop_assert_eq!(bits.remove(number), set.remove(&number));
                }
                prop_assert_eq!(bits.first(), set.first().copied());
                prop_assert_eq!(bits.count() as usize, set.len());
            }
            let mut longest = 0;
            let mut run = 0;
            for number in 0..70_000 {
                run = if set.contains(&number) { run + 1 } else { 0 };
                longest = run.max(longest);
            }
            prop_assert_eq!(bits.longest_run(70_000), longest);
        }
    }
}
