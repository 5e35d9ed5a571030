//! What a tracking allocator writes behind a block, so that whoever frees it knows whose it was.

use std::alloc::Layout;

/// The tag and the call site of a block: the four bytes behind those that were asked for, where no alignment is disturbed and where the
/// layout that comes with the freeing finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    /// Index of the tag.
    pub(super) tag: u16,
    /// Number of the call site; 0 for a block that is not in the sample.
    pub(super) site: u16,
}

// Reading behind a block goes through the pointer that comes back, which a `Box` has held for its content alone. Tree Borrows allows that and
// Stacked Borrows does not (nor any other way to free a block that is larger than a `Box` knows); `cargo xtask platforms miri` checks it.
const BYTES: usize = size_of::<[u8; 4]>();

impl Note {
    /// What is known of a block that carries no note.
    pub(super) const NONE: Self = Self { tag: 0, site: 0 };

    /// The layout of a block with room for its note; `None` where no layout is that large.
    pub(super) fn behind(layout: Layout) -> Option<Layout> {
        Layout::from_size_align(layout.size().checked_add(BYTES)?, layout.align()).ok()
    }

    /// The note of a block of `size` bytes.
    ///
    /// # Safety
    /// The block was allocated with the layout that [`behind`](Self::behind) gives for this size, and its note was written.
    #[inline(always)]
    pub(super) unsafe fn read(block: *const u8, size: usize) -> Self {
        // SAFETY: the block has these bytes behind its `size` bytes.
        let note = unsafe { block.add(size) }.cast::<[u8; BYTES]>();
        // SAFETY: as above; they were written, and bytes have no alignment.
        let [tag_low, tag_high, site_low, site_high] = unsafe { note.read() };
        Self { tag: u16::from_ne_bytes([tag_low, tag_high]), site: u16::from_ne_bytes([site_low, site_high]) }
    }

    /// Writes the note of a block of `size` bytes.
    ///
    /// # Safety
    /// The block was allocated with the layout that [`behind`](Self::behind) gives for this size.
    #[inline(always)]
    pub(super) unsafe fn write(self, block: *mut u8, size: usize) {
        let ([tag_low, tag_high], [site_low, site_high]) = (self.tag.to_ne_bytes(), self.site.to_ne_bytes());
        // SAFETY: the block has these bytes behind its `size` bytes.
        let note = unsafe { block.add(size) }.cast::<[u8; BYTES]>();
        // SAFETY: as above; bytes have no alignment.
        unsafe { note.write([tag_low, tag_high, site_low, site_high]) };
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{GlobalAlloc, System};

    use super::*;

    #[test]
    fn a_note_stands_behind_a_block_of_any_size_and_alignment_and_goes_with_it() {
        let note = Note { tag: 0x1234, site: 0xfedc };
        for align in [1, 2, 8, 64, 4_096] {
            for (size, new) in [(1, 3), (3, 1), (64, 4_095), (4_096, 64), (4_095, 4_097)] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let outer = Note::behind(layout).unwrap();
                assert_eq!((outer.size(), outer.align()), (size + BYTES, align));
                // SAFETY: the size is not 0.
                let block = unsafe { System.alloc(outer) };
                // SAFETY: the block has the outer layout.
                unsafe { note.write(block, size) };
                // SAFETY: the block has `size` bytes before its note.
                unsafe { block.write_bytes(0xaa, size) };
                // SAFETY: the block has the outer layout, and its note was written.
                assert_eq!(unsafe { Note::read(block, size) }, note);
                let wanted = Note::behind(Layout::from_size_align(new, align).unwrap()).unwrap();
                // SAFETY: the block has the outer layout, and the size is neither 0 nor too large.
                let moved = unsafe { System.realloc(block, outer, wanted.size()) };
                // SAFETY: the block has the wanted layout.
                unsafe { note.write(moved, new) };
                // SAFETY: the block has the wanted layout, and its note was written.
                assert_eq!(unsafe { Note::read(moved, new) }, note);
                // SAFETY: the first bytes are those of the block that it was.
                assert!(unsafe { std::slice::from_raw_parts(moved, size.min(new)) }.iter().all(|&byte| byte == 0xaa));
                // SAFETY: the block has the wanted layout.
                unsafe { System.dealloc(moved, wanted) };
            }
        }
    }

    #[test]
    fn there_is_no_layout_beyond_the_largest() {
        let largest = |align: usize| Layout::from_size_align(isize::MAX as usize - (align - 1), align).unwrap();
        assert!([1, 8, 4_096].into_iter().all(|align| Note::behind(largest(align)).is_none()));
    }
}
