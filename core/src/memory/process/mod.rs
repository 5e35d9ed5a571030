//! What the operating system says of the memory of this process and of the machine.
//!
//! This part owns the reading: through sysinfo where it has the figure, from the kernel's files where it has not. What is worth a warning
//! and who is shown the figures is not its business. The kernel's files are read below a root, so that tests can plant them; whatever they
//! hold, a read is bounded and what makes no sense is absent.

#[cfg(all(feature = "telemetry", any(target_os = "linux", target_os = "android", test)))]
mod cgroup;
#[cfg(all(feature = "telemetry", any(target_os = "linux", target_os = "android", test)))]
mod files;
#[cfg(test)]
#[cfg(all(feature = "telemetry", not(miri)))]
mod planted;
#[cfg(feature = "telemetry")]
mod reader;
#[cfg(not(feature = "telemetry"))]
#[path = "reader_off.rs"]
mod reader;

pub use reader::ProcessMemoryReader;

/// The memory of this process and of the machine at one moment, in bytes. What the platform does not tell is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessMemory {
    /// Physical memory that this process occupies: heap, code, stacks, and what drivers have mapped into it (a software GPU's memory too).
    pub resident_bytes: Option<u64>,
    /// The most memory that this process and those in its control group may occupy together (Linux), if that is less than there is: the
    /// tightest limit of its control group and of those above that can be seen from inside.
    pub limit_bytes: Option<u64>,
    /// What the control group whose limit that is occupies of it now, cached files included (Linux).
    pub limit_used_bytes: Option<u64>,
    /// Addresses that this process has mapped, with memory behind them or without.
    pub virtual_bytes: Option<u64>,
    /// The most addresses that this process may map (`RLIMIT_AS`; Linux), if there is a limit. Beyond it allocations fail, however much
    /// memory is free.
    pub virtual_limit_bytes: Option<u64>,
    /// Memory of this process that is swapped out (Linux).
    pub swapped_bytes: Option<u64>,
    /// Page faults over life that were served without reading from a disk (Linux).
    pub minor_faults: Option<u64>,
    /// Page faults over life for which a page was read from a disk: swapped in, or from a mapped file (Linux).
    pub major_faults: Option<u64>,
    /// Physical memory of the machine.
    pub system_bytes: Option<u64>,
    /// Physical memory that the machine could give to programs without swapping.
    pub system_available_bytes: Option<u64>,
    /// Swap space of the machine; 0 where it has none.
    pub system_swap_bytes: Option<u64>,
    /// Swap space of the machine that is in use.
    pub system_swap_used_bytes: Option<u64>,
}

impl ProcessMemory {
    /// What resident bytes may grow to: the limit of the control group, or else the machine's memory.
    #[must_use]
    pub fn capacity_bytes(&self) -> Option<u64> {
        self.limit_bytes.or(self.system_bytes)
    }

    /// Addresses mapped as a share of those that may be, 0 to 1; `None` without a limit. Near 1 the next large allocation fails.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn virtual_limit_ratio(&self) -> Option<f64> {
        let limit = self.virtual_limit_bytes.filter(|&bytes| bytes > 0)?;
        Some(self.virtual_bytes? as f64 / limit as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_of_limit_and_machine_is_the_capacity_and_addresses_have_a_limit_of_their_own() {
        let memory = ProcessMemory {
            virtual_bytes: Some(3),
            virtual_limit_bytes: Some(4),
            system_bytes: Some(9),
            ..ProcessMemory::default()
        };
        assert_eq!(memory.capacity_bytes(), Some(9));
        assert_eq!(ProcessMemory { limit_bytes: Some(5), ..memory }.capacity_bytes(), Some(5));
        assert_eq!(memory.virtual_limit_ratio(), Some(0.75));
        for unlimited in [None, Some(0)] {
            assert_eq!(ProcessMemory { virtual_limit_bytes: unlimited, ..memory }.virtual_limit_ratio(), None);
        }
        assert_eq!(ProcessMemory { virtual_bytes: None, ..memory }.virtual_limit_ratio(), None);
        assert_eq!(ProcessMemory::default().capacity_bytes(), None);
    }
}
