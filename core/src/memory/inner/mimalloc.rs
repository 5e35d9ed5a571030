//! mimalloc.

use mimalloc::MiMalloc;

use super::InnerAllocator;
use crate::memory::TrackingAllocator;

impl TrackingAllocator<MiMalloc> {
    /// Counts what passes through mimalloc. With the feature `mimalloc`, not in WebAssembly.
    ///
    /// mimalloc says what it has mapped; what is fragmented [it cannot say](InnerAllocator::read_memory).
    ///
    /// ```
    /// use engine_vitals_core::memory::{MiMalloc, TrackingAllocator};
    ///
    /// #[global_allocator]
    /// static HEAP: TrackingAllocator<MiMalloc> = TrackingAllocator::mimalloc();
    /// # fn main() {}
    /// ```
    #[must_use]
    pub const fn mimalloc() -> Self {
        Self::new(MiMalloc).with_inner_kind(InnerAllocator::Mimalloc)
    }
}

/// What it has committed: the only figure of its own that is what it says. In a build without mimalloc's statistics (`MI_STAT` 0, as the
/// crate builds it) nothing counts the blocks handed out, `malloc_huge` counts without end, and on Linux `committed` keeps what was purged.
#[cfg(feature = "telemetry")]
pub(super) fn read() -> Option<super::AllocatorMemory> {
    use std::ptr::null_mut;

    let mut committed = 0_usize;
    // SAFETY: each argument is null, which the function allows, or points to a `usize` of ours.
    unsafe {
        libmimalloc_sys::mi_process_info(
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut committed,
            null_mut(),
            null_mut(),
        );
    }
    let mapped = (committed > 0).then_some(committed as u64);
    Some(super::AllocatorMemory { mapped, ..super::AllocatorMemory::default() })
}
