//! What the operating system says of the memory of this process and of the machine.

/// The memory of this process and of the machine at one moment, in bytes. What the platform does not tell is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessMemory {
    /// Physical memory that this process occupies: heap, code, stacks, and what drivers have mapped into it (a software GPU's memory too).
    pub resident_bytes: Option<u64>,
    /// The most memory that this process and those in its control group may occupy together (Linux), if that is less than there is.
    pub limit_bytes: Option<u64>,
    /// Physical memory of the machine.
    pub system_bytes: Option<u64>,
    /// Physical memory that the machine could give to programs without swapping.
    pub system_available_bytes: Option<u64>,
}

#[cfg(feature = "telemetry")]
pub use on::ProcessMemoryReader;

#[cfg(not(feature = "telemetry"))]
pub use off::ProcessMemoryReader;

#[cfg(feature = "telemetry")]
mod on {
    use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

    use super::ProcessMemory;

    /// Reads [`ProcessMemory`] through sysinfo.
    ///
    /// It keeps what sysinfo needs between two reads. A read asks for this one process and for the machine's totals, never for the list of
    /// processes; it costs tens of microseconds on Linux and belongs off the frame path.
    #[derive(Debug)]
    pub struct ProcessMemoryReader {
        /// `None` where sysinfo does not know the platform.
        source: Option<(System, Pid)>,
    }

    impl ProcessMemoryReader {
        /// A reader for this process. Reads nothing yet.
        #[must_use]
        pub fn new() -> Self {
            Self { source: System::new().ok().zip(sysinfo::get_current_pid().ok()) }
        }

        /// Asks the operating system.
        #[must_use]
        pub fn read(&mut self) -> ProcessMemory {
            let Some((system, pid)) = &mut self.source else { return ProcessMemory::default() };
            let pid = *pid;
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            system.refresh_processes_specifics(
                ProcessesToUpdate::Some(&[pid]),
                true,
                ProcessRefreshKind::nothing().with_memory(),
            );
            // sysinfo says 0 for what it could not read; none of these figures is ever truly 0.
            let known = |bytes: u64| (bytes > 0).then_some(bytes);
            let process = system.process(pid);
            let system_bytes = known(system.total_memory());
            ProcessMemory {
                resident_bytes: process.and_then(|process| known(process.memory())),
                limit_bytes: process
                    .and_then(sysinfo::Process::cgroup_limits)
                    .and_then(|limits| known(limits.total_memory))
                    .filter(|&limit| system_bytes.is_none_or(|total| limit < total)),
                system_bytes,
                system_available_bytes: system_bytes.and_then(|_| known(system.available_memory())),
            }
        }
    }

    impl Default for ProcessMemoryReader {
        fn default() -> Self {
            Self::new()
        }
    }

    #[cfg(all(test, not(miri)))]
    mod tests {
        use super::*;

        #[test]
        fn only_this_process_is_asked_for() {
            let mut reader = ProcessMemoryReader::new();
            let _ = reader.read();
            let _ = reader.read();
            if let Some((system, pid)) = &reader.source {
                assert!(system.processes().keys().all(|known| known == pid), "{:?}", system.processes().keys());
            }
        }
    }
}

#[cfg(not(feature = "telemetry"))]
mod off {
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
}

#[cfg(all(test, feature = "telemetry", target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn resident_bytes_are_those_of_proc_and_grow_with_what_is_touched() {
        let mut reader = ProcessMemoryReader::new();
        let before = reader.read();
        let touched = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = reader.read();
        drop(touched);

        let grown = after.resident_bytes.unwrap().checked_sub(before.resident_bytes.unwrap()).unwrap();
        // Other tests of this process run meanwhile.
        assert!(grown > 32 << 20, "64 MiB were touched, {grown} bytes more are resident");
        assert!(before.system_bytes.unwrap() >= after.resident_bytes.unwrap());
        assert!(before.system_available_bytes.unwrap() <= before.system_bytes.unwrap());
        if let Some(limit) = before.limit_bytes {
            assert!(limit < before.system_bytes.unwrap(), "a limit above what there is limits nothing");
        }
    }

    #[test]
    fn system_bytes_are_those_of_meminfo() {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
        let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
        let kib: u64 = line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap();
        assert_eq!(ProcessMemoryReader::new().read().system_bytes, Some(kib * 1024));
    }
}
