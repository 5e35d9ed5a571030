//! The twin of `reader` without the feature `telemetry`: asks nobody.

use super::ProcessMemory;

/// Knows nothing: the feature `telemetry` is off.
#[derive(Debug, Default)]
pub struct ProcessMemoryReader;

impl ProcessMemoryReader {
    /// A reader that asks nobody.
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// Nothing is known.
    #[must_use]
    pub fn read(&mut self) -> ProcessMemory {
        ProcessMemory::default()
    }
}
