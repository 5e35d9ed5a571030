//! Random numbers that a seed decides.

use engine_vitals_core::memory::LARGE_ALLOCATION_BYTES;

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Whether this is the one time in `times`.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A block's size: mostly small; one in 1024 around the border of the size classes and above.
    pub(super) fn size(&mut self) -> usize {
        let border = LARGE_ALLOCATION_BYTES as u64;
        let size = if self.once_in(1_024) {
            [border - 1, border, border + 1, 3 * border][self.below(4) as usize]
        } else {
            let bits = self.below(14);
            1 + self.below(1 << bits)
        };
        size as usize
    }

    /// A block's alignment: mostly up to 16; one in 16 up to 8 KiB.
    pub(super) fn align(&mut self) -> usize {
        let bits = if self.once_in(16) { self.below(14) } else { self.below(5) };
        1 << bits
    }
}
