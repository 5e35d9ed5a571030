//! The memory of this process and of the machine.
//!
//! This room owns the [`TrackingAllocator`], the process-wide totals that it counts into, and the reading of what the operating system
//! says of the process and the machine ([`process`]). It knows nothing of monitors, of the registry or of metrics: it gives figures to
//! whoever asks. GPU memory is the business of the `vram` room.
//!
//! The totals belong to the process, not to an allocator value: a process has one global allocator, and readers should find its figures
//! without being handed a reference to it.
//!
//! - `allocator`: [`TrackingAllocator`], what it is told to count, and the calls that it passes on
//! - `counters`, `heap`: the totals: their arithmetic, and the shards of this process's threads
//! - `tallies`, `switches`: what is counted beside them where it is switched on: their arithmetic, and those of this process
//! - `inner`: which allocator is inside, and what it says of its own memory
//! - `note`: what stands behind a block; `tags`: whose it can be; `sites`: where in the program it can be from

mod allocator;
#[cfg(feature = "telemetry")]
mod counters;
#[cfg(feature = "telemetry")]
mod heap;
#[cfg(not(feature = "telemetry"))]
#[path = "heap_off.rs"]
mod heap;
mod inner;
#[cfg(feature = "telemetry")]
mod note;
pub mod process;
mod profile;
#[cfg(feature = "telemetry")]
mod sites;
#[cfg(feature = "telemetry")]
mod switches;
#[cfg(not(feature = "telemetry"))]
#[path = "switches_off.rs"]
mod switches;
#[cfg(feature = "telemetry")]
mod tags;
#[cfg(not(feature = "telemetry"))]
#[path = "tags_off.rs"]
mod tags;
#[cfg(feature = "telemetry")]
mod tallies;

pub use allocator::TrackingAllocator;
pub use heap::{get_currently_allocated_bytes, get_extended_memory_stats, get_peak_allocated_bytes, reset_peak};
#[cfg(all(feature = "jemalloc", unix))]
pub use inner::Jemalloc;
#[cfg(all(feature = "mimalloc", not(target_family = "wasm")))]
pub use inner::MiMalloc;
pub(crate) use inner::keep_fragmentation_ratio;
pub use inner::{AllocatorMemory, InnerAllocator, inner_allocator};
#[cfg(feature = "telemetry")]
use std::sync::atomic;
pub use switches::{get_heap_profile, get_heap_sample_counts, get_size_histogram, heap_tags_revision, read_heap_tags};
#[doc(hidden)]
pub use tags::TagOfPlace;
pub use tags::{HeapScope, HeapTag};

/// Blocks of this many bytes and more are large.
pub const LARGE_ALLOCATION_BYTES: usize = 1 << 20;

/// Tags that there can be, the three that there always are included.
pub const MOST_TAGS: usize = 128;

/// How far the peak may lie from the truth, in bytes, where the allocator does not keep it exactly: 128 KiB for each of the first 16
/// threads that count at once, and 16 KiB for each of 112 more.
///
/// A thread that is preempted within the few instructions that move its bytes to the total adds these until it resumes: as much again, or the
/// size of the large block that it is counting.
pub const PEAK_BOUND_BYTES: u64 =
    FAR_SHARDS as u64 * FAR_BYTES.unsigned_abs() + (SHARDS - FAR_SHARDS) as u64 * NEAR_BYTES.unsigned_abs();

/// Threads that can count at once without a locked instruction; more of them count in a shard that they share.
const SHARDS: usize = 128;

/// The first so many shards move their net bytes to the total before these have reached [`FAR_BYTES`] either way, the others
/// [`NEAR_BYTES`]: the seldom, the cheaper, and few threads do most of the work.
const FAR_SHARDS: usize = 16;
const FAR_BYTES: i64 = 128 * 1024;
const NEAR_BYTES: i64 = 16 * 1024;

/// Charges what this thread allocates, to the end of the enclosing block, to the [`HeapTag`](crate::memory::HeapTag) of this name.
///
/// The name is a `&'static str` that is known when compiling. Scopes nest.
///
/// ```
/// use engine_vitals_core::heap_scope;
///
/// fn simulate() {
///     heap_scope!("physics");
///     let bodies: Vec<u64> = Vec::with_capacity(1_000); // charged to physics
/// }
/// # simulate();
/// ```
#[macro_export]
macro_rules! heap_scope {
    ($name:expr) => {
        let _heap_scope = {
            static PLACE: $crate::memory::TagOfPlace = $crate::memory::TagOfPlace::new($name);
            PLACE.enter()
        };
    };
}
