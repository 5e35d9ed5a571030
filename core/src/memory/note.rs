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
