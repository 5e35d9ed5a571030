//! The allocator inside the [`TrackingAllocator`](super::TrackingAllocator): which it is, and what it says of its own memory.
//!
//! The tracking allocator knows the bytes that the program asked for. Only the inner allocator knows what it holds of the system's memory
//! to serve them; the difference is its fragmentation. This part owns the reading of those figures and the arithmetic on them. When to
//! read, and who is shown the figures, is a monitor's business.

#[cfg(all(feature = "telemetry", target_os = "linux", target_env = "gnu"))]
mod glibc;
#[cfg(all(feature = "jemalloc", unix))]
mod jemalloc;
#[cfg(all(feature = "mimalloc", not(target_family = "wasm")))]
mod mimalloc;

#[cfg(all(feature = "mimalloc", not(target_family = "wasm")))]
pub use ::mimalloc::MiMalloc;
use std::sync::atomic::{AtomicU8, Ordering};
#[cfg(all(feature = "jemalloc", unix))]
pub use tikv_jemallocator::Jemalloc;

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

    /// Asks this allocator for its figures; `None` where it has none, or the feature for it is off.
    ///
    /// | allocator | figures | a read costs |
    /// |---|---|---|
    /// | jemalloc (feature `jemalloc`) | all, by an epoch of its statistics | 11 us, 58 us beside 64 threads: it takes each arena's locks in turn |
    /// | mimalloc (feature `mimalloc`) | `mapped` | under a microsecond |
    /// | glibc 2.33 or newer, as [`System`](Self::System) | `allocated`, `mapped` | see below |
    /// | others | none | nothing |
    ///
    /// **mimalloc** as it is built for Rust does not count what it hands out, and what it calls committed does not fall when it gives
    /// memory back: it is `mapped`, and there is no fragmentation to be had from it.
    ///
    /// **glibc** walks every free block, and holds an arena's lock while it does: 16 to 90 ns for each, 2 to 9 ms for 100,000 free blocks,
    /// for which threads that share the arena wait. Never call it on the frame path. What is in a thread's own cache counts as handed out, and
    /// what `malloc_trim` gave back in the middle of an arena counts as mapped.
    #[must_use]
    pub fn read_memory(self) -> Option<AllocatorMemory> {
        match self {
            #[cfg(all(feature = "telemetry", feature = "jemalloc", unix))]
            Self::Jemalloc => jemalloc::read(),
            #[cfg(all(feature = "telemetry", feature = "mimalloc", not(target_family = "wasm")))]
            Self::Mimalloc => mimalloc::read(),
            #[cfg(all(feature = "telemetry", target_os = "linux", target_env = "gnu"))]
            Self::System => glibc::read(),
            _ => None,
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

/// The fragmentation that [`HeapTotals`](crate::contract::HeapTotals) give.
#[cfg(feature = "telemetry")]
static LAST_RATIO: Kept = Kept::nothing();

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

/// Makes this the fragmentation that [`HeapTotals`](crate::contract::HeapTotals) give from now on.
pub(crate) fn keep_fragmentation_ratio(ratio: Option<f64>) {
    #[cfg(feature = "telemetry")]
    LAST_RATIO.set(ratio);
    #[cfg(not(feature = "telemetry"))]
    let _ = ratio;
}

/// What was kept last.
#[cfg(feature = "telemetry")]
pub(super) fn last_fragmentation_ratio() -> Option<f64> {
    LAST_RATIO.get()
}

/// A ratio, or none, as the bits of an `f64`.
#[cfg(feature = "telemetry")]
struct Kept(std::sync::atomic::AtomicU64);

#[cfg(feature = "telemetry")]
impl Kept {
    /// No number, so that no ratio has these bits.
    const NOTHING: u64 = u64::MAX;

    const fn nothing() -> Self {
        Self(std::sync::atomic::AtomicU64::new(Self::NOTHING))
    }

    fn set(&self, ratio: Option<f64>) {
        self.0.store(ratio.map_or(Self::NOTHING, f64::to_bits), Ordering::Relaxed);
    }

    fn get(&self) -> Option<f64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&bits| bits != Self::NOTHING).map(f64::from_bits)
    }
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

    #[cfg(feature = "telemetry")]
    #[test]
    fn a_ratio_is_kept_as_given() {
        let kept = Kept::nothing();
        assert_eq!(kept.get(), None);
        for ratio in [Some(0.0), Some(0.25), Some(1.0), None] {
            kept.set(ratio);
            assert_eq!(kept.get(), ratio);
        }
    }

    #[test]
    fn an_allocator_that_is_not_known_has_no_figures() {
        assert_eq!(InnerAllocator::Unknown.read_memory(), None);
    }
}
