//! The twin of `switches` without the feature `telemetry`: knows nothing.

use crate::contract::{HeapProfile, HeapSampleCounts, SizeHistogram, TagTotals};

/// `false`: the feature `telemetry` is off.
pub fn read_heap_tags(totals: &mut Vec<TagTotals>) -> bool {
    totals.clear();
    false
}

/// Never changes: the feature `telemetry` is off.
#[must_use]
pub fn heap_tags_revision() -> u64 {
    0
}

/// `None`: the feature `telemetry` is off.
#[must_use]
pub fn get_size_histogram() -> Option<SizeHistogram> {
    None
}

/// `None`: the feature `telemetry` is off.
#[must_use]
pub fn get_heap_profile() -> Option<HeapProfile> {
    None
}

/// `None`: the feature `telemetry` is off.
#[must_use]
pub fn get_heap_sample_counts() -> Option<HeapSampleCounts> {
    None
}
