//! Thread-locals whose destructors allocate, resize and free.
//!
//! The standard library destroys a thread's locals in the reverse order of their first use. A tracking allocator has one of its own, which
//! it uses first when the thread allocates first; these are used before that and after it, and one only while others are being destroyed.

use std::cell::{Cell, RefCell};

use super::blocks::Block;
use super::random::Random;

thread_local! {
    /// For the begin of a thread.
    pub(super) static FIRST: Will = const { Will::new(&EMPTY_HANDED) };
    /// For some time in the thread's life.
    pub(super) static MIDDLE: Will = const { Will::new(&FIRST) };
    /// For the end of a thread. Made at its first use, for which it allocates: the standard library keeps such ones in another way.
    pub(super) static LAST: Will = Will::with_a_block(&UNTIL_NOW_UNUSED);
    /// Used by the destructor of another and by nobody else.
    static UNTIL_NOW_UNUSED: Will = const { Will::new(&MIDDLE) };
    /// Used by the destructor of the one that is destroyed last.
    static EMPTY_HANDED: Will = const { Will::new(&LAST) };
}

/// Blocks that are left to the destructor of a thread-local, which runs after the thread's own function has ended.
pub(super) struct Will {
    blocks: RefCell<Vec<Block>>,
    seed: Cell<u64>,
    /// Another one, whose turn may lie before or after.
    heir: &'static std::thread::LocalKey<Will>,
}

impl Will {
    const fn new(heir: &'static std::thread::LocalKey<Self>) -> Self {
        Self { blocks: RefCell::new(Vec::new()), seed: Cell::new(0), heir }
    }

    fn with_a_block(heir: &'static std::thread::LocalKey<Self>) -> Self {
        let will = Self::new(heir);
        will.leave(Block::new(&mut Random::new(0)));
        will
    }

    pub(super) fn leave(&self, block: Block) {
        self.seed.set(self.seed.get() ^ block.mark());
        self.blocks.borrow_mut().push(block);
    }
}

impl Drop for Will {
    fn drop(&mut self) {
        let blocks = self.blocks.get_mut();
        let mut random = Random::new(self.seed.get());
        let bits = random.below(9);
        for _ in 0..=random.below(1 << bits) {
            blocks.push(Block::new(&mut random));
            let index = random.below(blocks.len() as u64) as usize;
            if random.once_in(4) {
                blocks[index].resize(&mut random);
            } else {
                blocks.swap_remove(index);
            }
        }
        let inherited = Block::new(&mut random);
        // Its destructor may have run, or is going to for this block alone.
        let refused = self.heir.try_with(|heir| heir.leave(inherited)).is_err();
        if refused {
            blocks.push(Block::new(&mut random));
        }
    }
}
