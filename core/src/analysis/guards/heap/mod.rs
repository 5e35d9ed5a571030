//! The guards of the heap: a budget, and growth by tag.
//!
//! Pure steps over what the allocator has counted ([`TagTotals`](crate::contract::TagTotals), live bytes, peak); the monitor of the heap
//! reads that, makes the steps and tells of the warnings. docs/HEAP.md says what they mean.

#[cfg(feature = "telemetry")]
mod budget;
#[cfg(feature = "telemetry")]
mod growth;
#[cfg(feature = "telemetry")]
mod step;
mod suspect;
#[cfg(all(test, feature = "telemetry"))]
mod tests;

#[cfg(feature = "telemetry")]
pub use step::{HeapGuards, HeapInput};
pub use suspect::{GrowthSuspect, HeapGuardSettings};
