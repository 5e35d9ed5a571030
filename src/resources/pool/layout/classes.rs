//! Sizes in classes: so many to each doubling, so that rounding up wastes a known share.

/// Below this many cells of the granularity the classes lie one granularity apart.
const OCTAVE_LIMIT: u32 = 63;

/// Which size belongs to which class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Classes {
    /// log2 of the classes in an octave.
    per_octave: u32,
    /// log2 of the smallest step between classes.
    granularity: u32,
}

impl Classes {
    /// `per_octave` classes to a doubling and at least `granularity` bytes from one to the next. Both are made powers of two: from 1 to 64
    /// classes, from 4 bytes (what wgpu copies) to 64 KiB.
    pub(super) fn new(per_octave: u32, granularity: u64) -> Self {
        Self {
            per_octave: per_octave.clamp(1, 64).next_power_of_two().trailing_zeros(),
            granularity: granularity.clamp(4, 64 << 10).next_power_of_two().trailing_zeros(),
        }
    }

    /// The bytes of the smallest class that holds `size` bytes at a multiple of `align`, a power of two, when its cells lie one behind the
    /// other from 0. `None` where that is beyond `u64`.
    #[inline]
    pub(super) fn cell(self, size: u64, align: u64) -> Option<u64> {
        // What is smaller than the alignment takes all of it: cells are multiples of it.
        let size = size.max(1).checked_next_multiple_of(align)?;
        let octave = (size - 1).checked_ilog2().unwrap_or(0);
        let step = octave.saturating_sub(self.per_octave).max(self.granularity);
        // Steps and alignments are powers of two: the larger one is a multiple of both, and no octave's end lies between.
        size.checked_next_multiple_of((1 << step.min(OCTAVE_LIMIT)).max(align))
    }

    /// The number of the class whose cells have exactly `cell` bytes, which [`cell`](Self::cell) gave.
    #[inline]
    pub(super) fn index(self, cell: u64) -> usize {
        let octave = (cell - 1).checked_ilog2().unwrap_or(0);
        let step = octave.saturating_sub(self.per_octave).max(self.granularity);
        // Octaves below this one lie one granularity apart.
        let first = self.per_octave + self.granularity;
        let linear = (cell >> step) as usize;
        match octave.checked_sub(first) {
            // In an octave beyond the linear ones `linear` runs from half of them, excluded, to all of them.
            Some(above) => linear + (above as usize) * (1 << self.per_octave),
            None => linear,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sixteen_to_an_octave_waste_two_percent() {
        // The mean over sizes drawn evenly from an octave.
        for (per_octave, expected) in [(1, 0.249), (2, 0.143), (4, 0.077), (8, 0.040), (16, 0.020)] {
            let classes = Classes::new(per_octave, 4);
            let (mut asked, mut given) = (0, 0);
            for size in (65_537..=131_072).step_by(4) {
                asked += size;
                given += classes.cell(size, 4).unwrap();
            }
            let waste = (given - asked) as f64 / given as f64;
            assert!((waste - expected).abs() < 0.002, "{per_octave}: {waste}");
        }
    }

    #[test]
    fn bounds_of_a_class() {
        let classes = Classes::new(16, 16);
        for (size, align, cell) in [
            (0, 1, 16),
            (1, 4, 16),
            (16, 4, 16),
            (17, 4, 32),
            (255, 4, 256),
            (256, 4, 256),
            (257, 4, 272),
            (511, 4, 512),
            (512, 4, 512),
            (513, 4, 544),
            (513, 256, 768),
            (1, 256, 256),
            (300, 256, 512),
            (1 << 20, 4096, 1 << 20),
            ((1 << 20) + 1, 4096, (1 << 20) + (1 << 16)),
            (5, 1 << 40, 1 << 40),
        ] {
            assert_eq!(classes.cell(size, align), Some(cell), "{size} at {align}");
        }
        assert_eq!(classes.cell(u64::MAX, 1), None);
        assert_eq!(classes.cell(u64::MAX - 300, 256), None);
        assert_eq!(classes.cell(1 << 63, 4), Some(1 << 63));
    }

    proptest! {
        #[test]
        fn a_cell_holds_its_size_and_its_multiples_are_aligned(
            octave in 0_u32..62, part in 0.0..1.0_f64, align in 0_u32..20, per_octave in 1_u32..70, granularity in 1_u64..1_000,
        ) {
            let classes = Classes::new(per_octave, granularity);
            let size = (1_u64 << octave) + ((1_u64 << octave) as f64 * part) as u64;
            let align = 1 << align;
            let cell = classes.cell(size, align).unwrap();
            prop_assert!(cell >= size);
            prop_assert_eq!(cell % align, 0);
            prop_assert_eq!(classes.cell(cell, align), Some(cell), "a class of its own");
            // The next smaller and the next larger cells have other numbers, in order.
            let larger = classes.cell(cell + 1, 1).unwrap();
            prop_assert!(classes.index(larger) > classes.index(cell));
            prop_assert_eq!(classes.index(larger), classes.index(cell) + 1, "no class is missing");
        }
    }
}
