//! The blocks that a load makes, by direct calls of the global allocator.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};

use super::random::Random;
use super::tags::Tag;

/// A block with a known byte at both its ends.
pub(super) struct Block {
    at: *mut u8,
    layout: Layout,
    mark: u8,
    /// Whose it is, whoever resizes and frees it.
    tag: Option<Tag>,
}

// SAFETY: a block has one owner, who alone reads and writes it.
unsafe impl Send for Block {}

/// How much of each end is marked: a whole megabyte each time would be slow and prove no more.
const MARKED: usize = 32;

impl Block {
    /// A block in a random one of the scopes that there can be, or in the one that this thread is in.
    pub(super) fn new(random: &mut Random) -> Self {
        if random.once_in(4) {
            return Self::of_this_scope(random);
        }
        let _outer = Tag::any(random).enter();
        if random.once_in(4) {
            {
                let _inner = Tag::any(random).enter();
                // Gone at once, in the inner scope.
                Self::of_this_scope(random);
            }
            // The outer scope is in force again.
        }
        Self::of_this_scope(random)
    }

    /// A block of random size and alignment, one in four of them zeroed.
    pub(super) fn of_this_scope(random: &mut Random) -> Self {
        let layout = Layout::from_size_align(random.size(), random.align()).expect("small sizes");
        let zeroed = random.once_in(4);
        let make = if zeroed { alloc_zeroed } else { alloc };
        // SAFETY: the size is not 0.
        let at = unsafe { make(layout) };
        assert!(!at.is_null() && at.addr().is_multiple_of(layout.align()));
        let tag = Tag::entered();
        if let Some(tag) = tag {
            tag.made(layout.size());
        }
        let mut block = Self { at, layout, mark: 0, tag };
        if zeroed {
            block.check_start(layout.size());
            block.check_end();
        }
        block.fill(random.next() as u8);
        block
    }

    /// Gives it another random size.
    pub(super) fn resize(&mut self, random: &mut Random) {
        let size = random.size();
        // SAFETY: the block is from this allocator with this layout, and the size is neither 0 nor near the limit.
        let moved = unsafe { realloc(self.at, self.layout, size) };
        assert!(!moved.is_null() && moved.addr().is_multiple_of(self.layout.align()));
        if let Some(tag) = self.tag {
            tag.resized(self.layout.size(), size);
        }
        let kept = size.min(self.layout.size());
        self.at = moved;
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("small sizes");
        self.check_start(kept);
        self.fill(random.next() as u8);
    }

    /// Asks for a size that no allocator can give, which must leave the block as it is.
    pub(super) fn resize_in_vain(&mut self, random: &mut Random) {
        let layout = refused(random, self.layout.align());
        // SAFETY: the block is from this allocator with its layout, and the size is one that a layout of its alignment can have.
        assert!(unsafe { realloc(self.at, self.layout, layout.size()) }.is_null());
        self.check_start(self.layout.size());
        self.check_end();
    }

    /// Asks for a block of a size that no allocator can give.
    pub(super) fn new_in_vain(random: &mut Random) {
        let align = random.align();
        let layout = refused(random, align);
        let make = if random.once_in(2) { alloc_zeroed } else { alloc };
        // SAFETY: the size is not 0.
        assert!(unsafe { make(layout) }.is_null());
    }

    /// A byte of chance.
    pub(super) fn mark(&self) -> u64 {
        self.mark.into()
    }

    fn fill(&mut self, mark: u8) {
        self.mark = mark;
        let (size, part) = (self.layout.size(), self.layout.size().min(MARKED));
        // SAFETY: both lie within the block.
        unsafe { self.at.write_bytes(mark, part) };
        // SAFETY: as above.
        let end = unsafe { self.at.add(size - part) };
        // SAFETY: as above.
        unsafe { end.write_bytes(mark, part) };
    }

    /// Asserts that the first bytes, of which `size` are left, are as they were written.
    fn check_start(&self, size: usize) {
        // SAFETY: these bytes lie within the block and were written by `fill` or zeroed.
        let start = unsafe { std::slice::from_raw_parts(self.at, size.min(MARKED)) };
        assert!(start.iter().all(|&byte| byte == self.mark), "a block changed under its owner");
    }

    /// Asserts that the last bytes are as they were written.
    fn check_end(&self) {
        let (size, part) = (self.layout.size(), self.layout.size().min(MARKED));
        // SAFETY: these bytes lie within the block.
        let end = unsafe { self.at.add(size - part) };
        // SAFETY: these bytes lie within the block and were written by `fill` or zeroed.
        let end = unsafe { std::slice::from_raw_parts(end, part) };
        assert!(end.iter().all(|&byte| byte == self.mark), "a block's end changed under its owner");
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.check_start(self.layout.size());
        self.check_end();
        // SAFETY: the block is from this allocator with this layout.
        unsafe { dealloc(self.at, self.layout) };
        if let Some(tag) = self.tag {
            tag.freed(self.layout.size());
        }
    }
}

/// A layout that is allowed and cannot be served, up to the very largest.
fn refused(random: &mut Random, align: usize) -> Layout {
    let largest = isize::MAX as usize - (align - 1);
    Layout::from_size_align(largest - random.below(6) as usize, align).expect("at most the largest")
}
