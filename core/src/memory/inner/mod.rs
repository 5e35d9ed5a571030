//! The allocator inside the [`TrackingAllocator`](super::TrackingAllocator): which it is, and what it says of its own memory.
//!
//! The tracking allocator knows the bytes that the program asked for. Only the inner allocator knows what it holds of the system's memory
//! to serve them; the difference is its fragmentation. This part owns the reading of those figures and the arithmetic on them. When to
//! read, and who is shown the figures, is a monitor's business.

use std::sync::atomic::{AtomicU8, Ordering};

/// The allocator inside a [`TrackingAllocator`](super::TrackingAllocator).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum InnerAllocator {
    /// One that has not been [named](super::TrackingAllocator::with_inner_kind), or none.
    #[default]
    Unknown,
    /// The system's: [`std::alloc::System`].
    System,
    /// mimalloc.
    Mimalloc,
    /// jemalloc.
    Jemalloc,
}

impl InnerAllocator {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::System, Self::Mimalloc, Self::Jemalloc];

    /// The name that tables show.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::System => "system",
            Self::Mimalloc => "mimalloc",
            Self::Jemalloc => "jemalloc",
        }
    }
}

/// The memory of an allocator by its own figures, in bytes. What the allocator does not count is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AllocatorMemory {
    /// Handed out to the program and not given back, with what the allocator rounds sizes up to.
    pub allocated: Option<u64>,
    /// In pages that hold at least one block that is handed out.
    pub active: Option<u64>,
    /// In physical memory: active pages, free pages that were not given back to the system, and the allocator's own tables.
    pub resident: Option<u64>,
    /// Taken from the system and usable without asking it again, resident or not.
    pub mapped: Option<u64>,
    /// Addresses that the allocator keeps for later use, with no memory behind them.
    pub retained: Option<u64>,
}

impl AllocatorMemory {
    /// Share of the memory held that is not handed out: 1 - allocated / resident, 0 to 1.
    ///
    /// Where the allocator does not know what is resident, `mapped` stands in for it. `None` where one of the figures is missing or
    /// nothing is held. An allocator that has handed out more than is resident (pages not touched yet) has no fragmentation: 0.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn fragmentation_ratio(&self) -> Option<f64> {
        let held = self.resident.or(self.mapped).filter(|&bytes| bytes > 0)?;
        Some((1.0 - self.allocated? as f64 / held as f64).max(0.0))
    }
}

/// What the first thread that counted found inside; 0 before.
static INSIDE: AtomicU8 = AtomicU8::new(0);

/// Which allocator is inside the process's [`TrackingAllocator`](super::TrackingAllocator): the one inside the first that was allocated
/// from. [`Unknown`](InnerAllocator::Unknown) before anything was, where the allocator was not
/// [named](super::TrackingAllocator::with_inner_kind), and without the feature `telemetry`.
#[must_use]
pub fn inner_allocator() -> InnerAllocator {
    let code = INSIDE.load(Ordering::Relaxed);
    InnerAllocator::ALL.into_iter().find(|&kind| code_of(kind) == code).unwrap_or_default()
}

/// A thread begins to count, in a tracking allocator with this one inside. The first says it for the process.
#[cfg(feature = "telemetry")]
pub(super) fn is_inside(kind: InnerAllocator) {
    // Whether it is set already does not matter.
    let _ = INSIDE.compare_exchange(0, code_of(kind), Ordering::Relaxed, Ordering::Relaxed);
}

/// 1 and up.
const fn code_of(kind: InnerAllocator) -> u8 {
    kind as u8 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(allocated: Option<u64>, resident: Option<u64>, mapped: Option<u64>) -> AllocatorMemory {
        AllocatorMemory { allocated, resident, mapped, ..AllocatorMemory::default() }
    }

    #[test]
    fn fragmentation_is_the_share_of_the_resident_that_is_not_allocated() {
        let cases = [
            (memory(Some(90), Some(100), Some(400)), Some(0.1)),
            (memory(Some(25), Some(100), None), Some(0.75)),
            (memory(Some(0), Some(100), None), Some(1.0)),
            (memory(Some(100), Some(100), None), Some(0.0)),
            // Untouched pages.
            (memory(Some(150), Some(100), None), Some(0.0)),
            // Without the resident, the mapped.
            (memory(Some(30), None, Some(40)), Some(0.25)),
            // Unknown is not zero.
            (memory(None, Some(100), Some(100)), None),
            (memory(Some(1), None, None), None),
            (memory(Some(0), Some(0), None), None),
            (memory(None, None, None), None),
        ];
        for (memory, expected) in cases {
            let ratio = memory.fragmentation_ratio();
            match (ratio, expected) {
                (Some(ratio), Some(expected)) => assert!((ratio - expected).abs() < 1e-12, "{memory:?}: {ratio}"),
                _ => assert_eq!(ratio, expected, "{memory:?}"),
            }
        }
    }
}
