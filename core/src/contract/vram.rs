//! What sources tell of the parts of a graphics device.

use std::borrow::Cow;
use std::time::Duration;

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
