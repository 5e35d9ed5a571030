//! The twin of `heap` without the feature `telemetry`: counts nothing and knows nothing.

use crate::contract::HeapTotals;

/// `None`: the feature `telemetry` is off.
#[must_use]
pub fn get_currently_allocated_bytes() -> Option<u64> {
    None
}

/// `None`: the feature `telemetry` is off.
#[must_use]
pub fn get_extended_memory_stats() -> Option<HeapTotals> {
    None
}

/// `None`: the feature `telemetry` is off.
#[must_use]
pub fn get_peak_allocated_bytes() -> Option<u64> {
    None
}

/// Does nothing: the feature `telemetry` is off.
pub fn reset_peak() {}
