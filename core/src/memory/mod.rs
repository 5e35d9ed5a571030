//! The memory of this process and of the machine.
//!
//! This room owns the [`TrackingAllocator`], the process-wide totals that it counts into, and the reading of what the operating system
//! says of the process and the machine ([`process`]). It knows nothing of monitors, of the registry or of metrics: it gives figures to
//! whoever asks. GPU memory is the business of the `vram` room.
//!
//! The totals belong to the process, not to an allocator value: a process has one global allocator, and readers should find its figures
//! without being handed a reference to it.

mod allocator;
#[cfg(feature = "telemetry")]
mod counters;
#[cfg(feature = "telemetry")]
mod heap;
#[cfg(not(feature = "telemetry"))]
#[path = "heap_off.rs"]
mod heap;
pub mod process;

pub use allocator::TrackingAllocator;
pub use heap::{get_currently_allocated_bytes, get_extended_memory_stats, get_peak_allocated_bytes, reset_peak};
#[cfg(feature = "telemetry")]
use std::sync::atomic;

/// Blocks of this many bytes and more are large.
pub const LARGE_ALLOCATION_BYTES: usize = 1 << 20;

/// How far the peak may lie from the truth, in bytes, where the allocator does not keep it exactly: 128 shards of up to 32 KiB each.
///
/// A thread that is preempted within the few instructions that move its shard's bytes to the total adds up to 32 KiB until it resumes.
pub const PEAK_BOUND_BYTES: u64 = SHARDS as u64 * 2 * FOLD_BYTES.unsigned_abs();

/// Threads that can count at once without a locked instruction; more of them count in a shard that they share.
const SHARDS: usize = 128;

/// A shard's net bytes move to the total when they are found to have reached this, either way, and never reach twice this.
const FOLD_BYTES: i64 = 16 * 1024;
