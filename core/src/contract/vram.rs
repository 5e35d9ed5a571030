//! What sources tell of a graphics device: its memory as a whole, and its parts.

use std::borrow::Cow;
use std::time::Duration;

use super::usage::bytes_to_mb;

/// The memory of a graphics adapter, from one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VramReport {
    /// Bytes in use.
    pub current_usage_bytes: u64,
    /// The most bytes seen in use.
    pub peak_usage_bytes: Option<u64>,
    /// Bytes that the memory holds.
    pub capacity_bytes: Option<u64>,
    /// Bytes that this process may use before the system takes some away.
    pub budget_bytes: Option<u64>,
    /// Bytes given out by an allocator inside the process.
    pub allocated_bytes: Option<u64>,
    /// Bytes taken from the driver by an allocator inside the process.
    pub reserved_bytes: Option<u64>,
    /// Bytes in use by all processes.
    pub device_usage_bytes: Option<u64>,
}

impl VramReport {
    /// A report of the usage alone; the other figures are unknown until set.
    #[must_use]
    pub fn new(current_usage_bytes: u64) -> Self {
        Self {
            current_usage_bytes,
            peak_usage_bytes: None,
            capacity_bytes: None,
            budget_bytes: None,
            allocated_bytes: None,
            reserved_bytes: None,
            device_usage_bytes: None,
        }
    }

    /// Bytes in use, in MiB.
    #[must_use]
    pub fn current_usage_mb(&self) -> f64 {
        bytes_to_mb(self.current_usage_bytes)
    }

    /// Peak in MiB.
    #[must_use]
    pub fn peak_usage_mb(&self) -> Option<f64> {
        self.peak_usage_bytes.map(bytes_to_mb)
    }

    /// Capacity in MiB.
    #[must_use]
    pub fn capacity_mb(&self) -> Option<f64> {
        self.capacity_bytes.map(bytes_to_mb)
    }
}

/// One heap, segment or region of a device's memory. A figure that the source does not have is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VramHeap {
    /// What the source calls it.
    pub name: Cow<'static, str>,
    /// Whether it is the device's own memory, rather than the system's.
    pub local: Option<bool>,
    /// Bytes in use.
    pub used_bytes: Option<u64>,
    /// The most bytes that were ever seen in use at a refresh.
    pub peak_bytes: Option<u64>,
    /// Bytes that this process may use before the system takes some away.
    pub budget_bytes: Option<u64>,
    /// Bytes that it holds.
    pub capacity_bytes: Option<u64>,
}

impl VramHeap {
    /// A heap of which nothing is known but its name.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            local: None,
            used_bytes: None,
            peak_bytes: None,
            budget_bytes: None,
            capacity_bytes: None,
        }
    }
}

/// How long a process has kept an engine of a device busy: the 3D engine, the copy engine, a video decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineBusy {
    /// What the source calls it.
    pub name: Cow<'static, str>,
    /// Time over life, all engines of this name together.
    pub busy: Duration,
    /// How many engines of this name the device has.
    pub count: u64,
}

impl EngineBusy {
    /// An engine, of which the device has one, that was busy for so long.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, busy: Duration) -> Self {
        Self { name: name.into(), busy, count: 1 }
    }
}

/// One allocation of memory, as an allocator inside the process has given it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its bytes, padding included.
    pub bytes: u64,
}

/// What an allocator inside the process has given out, and what it has taken from the driver for that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocations {
    /// Given out.
    pub allocations: Vec<Allocation>,
    /// Bytes taken, given out or not.
    pub reserved_bytes: u64,
}
