//! Why there is no block.

use std::fmt;

use super::{LayoutConfig, LayoutStats};

/// A block that cannot be had.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum LayoutError {
    /// Nothing was asked for.
    Zero,
    /// The alignment is no power of two.
    Alignment {
        /// What was asked for.
        align: u64,
    },
    /// More than the largest block.
    TooLarge {
        /// What was asked for.
        bytes: u64,
        /// At what alignment.
        align: u64,
        /// What there may be.
        largest: u64,
    },
    /// It would take a slab that the budget does not allow.
    OverBudget {
        /// What was asked for.
        bytes: u64,
        /// At what alignment.
        align: u64,
        /// The pool at that moment.
        stats: Box<LayoutStats>,
    },
    /// There are as many slabs, or blocks, as can be numbered: 2^24 or 2^31.
    Full,
}

impl LayoutError {
    pub(super) fn refused(bytes: u64, align: u64, config: &LayoutConfig) -> Self {
        if bytes == 0 {
            Self::Zero
        } else if !align.is_power_of_two() {
            Self::Alignment { align }
        } else {
            Self::TooLarge { bytes, align, largest: config.largest_block_bytes }
        }
    }
}

impl fmt::Display for LayoutError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => out.write_str("a block of 0 bytes was asked for: ask for at least one"),
            Self::Alignment { align } => write!(out, "an alignment of {align} was asked for: use a power of two"),
            Self::TooLarge { bytes, align, largest } => write!(
                out,
                "a block of {bytes} bytes at a multiple of {align} was asked for, and the largest block of this pool has {largest} bytes: \
                 raise the limit, or make a buffer of its own"
            ),
            Self::OverBudget { bytes, align, stats } => write!(
                out,
                "a block of {bytes} bytes at a multiple of {align} does not fit: the pool has reserved {} of its budget of {} bytes, of \
                 which {} are allocated in {} blocks and {} free in other classes: free blocks, defragment, or raise the budget",
                stats.reserved_bytes,
                stats.budget_bytes.unwrap_or(u64::MAX),
                stats.allocated_bytes,
                stats.live_blocks,
                stats.free_bytes()
            ),
            Self::Full => out.write_str("the pool has as many slabs as it can number: make slabs larger"),
        }
    }
}

impl std::error::Error for LayoutError {}
