//! Which queries are free, and how many passes a frame may time. Plain data.

use super::names::NameId;

/// Passes of one chunk, which has two queries for each.
pub(super) const CHUNK_PASSES: u32 = 4;

/// Chunks there are: so many encoders can be recorded at a time.
pub(super) const CHUNKS: u32 = 256;

/// Queries of one chunk.
pub(super) const CHUNK_QUERIES: u32 = 2 * CHUNK_PASSES;

/// Chunks of one query set. For each pass wgpu makes and searches a list as long as the pass's query set, so that a large one costs more
/// than all the rest.
pub(super) const SET_CHUNKS: u32 = 8;

/// Queries of one query set.
pub(super) const SET_QUERIES: u32 = SET_CHUNKS * CHUNK_QUERIES;

/// Query sets there can be.
pub(super) const SETS: u32 = CHUNKS / SET_CHUNKS;

/// Query sets that are used in turn from the start, so that a query is not written again at once.
const FIRST_SETS: u32 = 4;

/// Neighbouring queries for the passes of one encoder, which are recorded one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) index: u32,
    /// Passes that use it.
    used: u8,
    names: [NameId; CHUNK_PASSES as usize],
}

impl Chunk {
    /// The first query of the next pass; the second follows it. `None` when it is full.
    pub(super) fn next(&mut self, name: NameId) -> Option<u32> {
        let place = self.used;
        *self.names.get_mut(usize::from(place))? = name;
        self.used += 1;
        Some(self.index * CHUNK_QUERIES + 2 * u32::from(place))
    }

    /// Whether it has no place for another pass.
    pub(super) fn is_full(&self) -> bool {
        u32::from(self.used) == CHUNK_PASSES
    }

    /// The query set that it is of.
    pub(super) fn set(&self) -> u32 {
        self.index / SET_CHUNKS
    }

    /// The names of the passes that use it.
    pub(super) fn names(&self) -> &[NameId] {
        &self.names[..usize::from(self.used)]
    }
}

/// The chunks that are free, taken in turn, and what the frame under way has used of its budget.
#[derive(Debug)]
pub(super) struct Pool {
    /// Bit n of word w is set while chunk 64 w + n is free, if its query set is in use.
    free: [u64; CHUNKS as usize / 64],
    /// Query sets in use.
    sets: u32,
    /// Where the search for a free one begins: behind the last that was taken, so that neighbours serve one frame.
    next: u32,
    frame: u64,
    /// Passes that it times.
    used: u32,
}

impl Pool {
    pub(super) fn new() -> Self {
        let mut pool = Self { free: [0; CHUNKS as usize / 64], sets: 0, next: 0, frame: 0, used: 0 };
        while pool.sets < FIRST_SETS {
            pool.open();
        }
        pool
    }

    /// Counts a pass for that frame, which may time so many. False, and nothing is counted, if it has.
    pub(super) fn charge(&mut self, frame: u64, budget: u32) -> bool {
        if self.frame != frame {
            (self.frame, self.used) = (frame, 0);
        }
        let within = self.used < budget;
        self.used += u32::from(within);
        within
    }

    /// So many passes of that frame count no more.
    pub(super) fn refund(&mut self, frame: u64, passes: u32) {
        if self.frame == frame {
            debug_assert!(passes <= self.used, "frame {frame} is given back {passes} of {}", self.used);
            self.used = self.used.saturating_sub(passes);
        }
    }

    /// A free chunk; `None` when all are taken.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        let index = match self.find() {
            Some(index) => index,
            None if self.sets < SETS => {
                self.open();
                (self.sets - 1) * SET_CHUNKS
            }
            None => return None,
        };
        self.free[index as usize / 64] &= !(1 << (index % 64));
        self.next = (index + 1) % (self.sets * SET_CHUNKS);
        Some(Chunk { index, used: 0, names: [NameId::default(); CHUNK_PASSES as usize] })
    }

    /// A chunk is free again.
    pub(super) fn give_back(&mut self, chunk: &Chunk) {
        let bit = 1 << (chunk.index % 64);
        let word = &mut self.free[chunk.index as usize / 64];
        debug_assert!(*word & bit == 0, "chunk {} was given back twice", chunk.index);
        *word |= bit;
    }

    /// Takes another query set into use.
    fn open(&mut self) {
        let first = self.sets * SET_CHUNKS;
        self.free[first as usize / 64] |= ((1 << SET_CHUNKS) - 1) << (first % 64);
        self.sets += 1;
    }

    fn find(&self) -> Option<u32> {
        let words = self.free.len();
        let (first, bit) = (self.next as usize / 64, self.next % 64);
        // The word of the beginning is looked at twice: from there on, and at last below.
        (0..=words).find_map(|step| {
            let index = (first + step) % words;
            let seen = if step == 0 { self.free[index] & (u64::MAX << bit) } else { self.free[index] };
            (seen != 0).then(|| u32::try_from(index * 64).unwrap_or(0) + seen.trailing_zeros())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_budget_is_kept_to_the_pass_and_begins_anew_with_each_frame() {
        let mut pool = Pool::new();
        for _ in 0..6 {
            assert!(pool.charge(1, 6));
        }
        assert!(!pool.charge(1, 6));
        pool.refund(1, 2);
        assert!(pool.charge(1, 6) && pool.charge(1, 6) && !pool.charge(1, 6));
        assert!(pool.charge(2, 6), "another frame has its own");
        // What comes back late concerns no other frame.
        pool.refund(1, 5);
        assert_eq!((pool.frame, pool.used), (2, 1));
        assert!(!pool.charge(2, 0) && !pool.charge(3, 0), "no budget, no pass");
    }

    #[test]
    fn chunks_are_taken_in_turn_hold_four_passes_and_run_out() {
        let mut pool = Pool::new();
        let mut chunks: Vec<Chunk> = (0..CHUNKS).map(|_| pool.take().unwrap()).collect();
        assert!(chunks.iter().map(|chunk| chunk.index).eq(0..CHUNKS));
        assert_eq!((pool.take(), pool.sets), (None, SETS));
        for place in 0..CHUNK_PASSES {
            assert!(!chunks[9].is_full());
            assert_eq!(chunks[9].next(NameId::default()), Some(9 * CHUNK_QUERIES + 2 * place));
        }
        assert!(chunks[9].is_full());
        assert_eq!((chunks[9].next(NameId::default()), chunks[9].names().len()), (None, 4));
        pool.give_back(&chunks.remove(200));
        pool.give_back(&chunks.remove(3));
        assert_eq!(pool.take().map(|chunk| chunk.index), Some(3));
        assert_eq!(pool.take().map(|chunk| chunk.index), Some(200));
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn the_first_query_sets_are_used_in_turn_and_further_ones_when_they_are_full() {
        let mut pool = Pool::new();
        let first = FIRST_SETS * SET_CHUNKS;
        for round in 0..3 * first {
            let chunk = pool.take().unwrap();
            assert_eq!(chunk.index, round % first);
            pool.give_back(&chunk);
        }
        let taken: Vec<Chunk> = (0..=first).map(|_| pool.take().unwrap()).collect();
        assert_eq!((taken.last().map(|chunk| chunk.index), pool.sets), (Some(first), FIRST_SETS + 1));
    }

    proptest! {
        /// Against a set of free numbers and a list of charges.
        #[test]
        fn no_chunk_is_taken_twice_and_no_frame_uses_more_than_its_budget(
            budget in 0_u32..60,
            steps in prop::collection::vec((0_u8..8, any::<prop::sample::Index>()), 0..1_000),
        ) {
            let mut pool = Pool::new();
            let (mut frame, mut charged, mut taken) = (1, 0, Vec::<Chunk>::new());
            let mut free: BTreeSet<u32> = (0..CHUNKS).collect();
            for (step, which) in steps {
                match step {
                    0..=2 => match pool.take() {
                        Some(chunk) => {
                            prop_assert!(free.remove(&chunk.index));
                            taken.push(chunk);
                        }
                        None => prop_assert!(free.is_empty()),
                    },
                    3 if !taken.is_empty() => {
                        let chunk = taken.swap_remove(which.index(taken.len()));
                        pool.give_back(&chunk);
                        prop_assert!(free.insert(chunk.index));
                    }
                    4 | 5 => {
                        prop_assert_eq!(pool.charge(frame, budget), charged < budget);
                        charged = budget.min(charged + 1);
                    }
                    6 if charged > 0 => {
                        pool.refund(frame, 1);
                        charged -= 1;
                    }
                    7 => (frame, charged) = (frame + 1, 0),
                    _ => pool.refund(frame + 1, 7),
                }
            }
        }
    }
}
