//! Why there is no block, or no such one.

use std::fmt;

use super::layout::LayoutError;
use super::stats::PoolStats;

/// Something that a pool does not do. Nothing has changed then, but for the count of failures.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PoolError {
    /// The request can be served at no time: nothing was asked for, the alignment is no power of two, it is more than the largest block.
    Request(LayoutError),
    /// No set of usages of the pool has all that was asked for.
    Usage {
        /// What was asked for.
        asked: wgpu::BufferUsages,
        /// What the pool's blocks may be used for, set by set.
        sets: Vec<wgpu::BufferUsages>,
    },
    /// It would take a slab that the budget does not allow, and nothing empty was left to give back.
    OverBudget {
        /// Bytes asked for.
        bytes: u64,
        /// At what alignment.
        align: u64,
        /// The pool at that moment.
        stats: Box<PoolStats>,
    },
    /// The device has no memory for another slab.
    OutOfMemory {
        /// Bytes of the slab.
        slab_bytes: u64,
        /// Bytes asked for.
        bytes: u64,
        /// The pool at that moment.
        stats: Box<PoolStats>,
    },
    /// wgpu does not make such a buffer.
    Buffer {
        /// Bytes of the slab.
        slab_bytes: u64,
        /// What wgpu says.
        message: String,
    },
    /// The block belongs to another pool.
    Foreign,
    /// The block has ended: its last handle was dropped.
    Gone,
    /// What was to be written does not fit the block, or is not in whole words of four bytes.
    Write {
        /// Where in the block.
        offset: u64,
        /// How many bytes.
        bytes: u64,
        /// Bytes of the block.
        size: u64,
    },
}

impl fmt::Display for PoolError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(out),
            Self::Usage { asked, sets } => write!(
                out,
                "a block for {asked:?} was asked for, and the pool has slabs for {sets:?}: ask for less, or make the pool with a set that has all"
            ),
            Self::OverBudget { bytes, align, stats } => {
                let budget = stats.memory.budget_bytes.unwrap_or(u64::MAX);
                write!(
                    out,
                    "a block of {bytes} bytes at a multiple of {align} does not fit the budget of {budget} bytes ({stats}): free blocks, \
                     defragment, call `maintain` each frame, or raise the budget"
                )
            }
            Self::OutOfMemory { slab_bytes, bytes, stats } => write!(
                out,
                "the device has no memory for a slab of {slab_bytes} bytes, which a block of {bytes} bytes needs ({stats}): free \
                 something, or give the pool a budget"
            ),
            Self::Buffer { slab_bytes, message } => {
                write!(out, "wgpu does not make a slab of {slab_bytes} bytes: {message}")
            }
            Self::Foreign => out.write_str("the block belongs to another pool: ask that one"),
            Self::Gone => {
                out.write_str("the block has ended with its last handle: keep one for as long as it is needed")
            }
            Self::Write { offset, bytes, size } => write!(
                out,
                "{bytes} bytes at {offset} of a block of {size} bytes cannot be written: they must lie inside, at a multiple of 4, and be a \
                 multiple of 4 or reach to the block's end"
            ),
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            _ => None,
        }
    }
}
