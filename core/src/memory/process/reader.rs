//! Asks the operating system.

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::ProcessMemory;

/// Reads [`ProcessMemory`]: through sysinfo, and from the kernel's files and limits (Linux) what it does not tell.
///
/// It keeps what sysinfo needs between two reads. A read asks for this one process and for the machine's totals, never for the list of
/// processes; it costs about 40 us and 40 allocations on Linux and belongs off the frame path.
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
        with_kernel_figures(self.source.as_mut().map(|(system, pid)| told_by(system, *pid)).unwrap_or_default())
    }
}

impl Default for ProcessMemoryReader {
    fn default() -> Self {
        Self::new()
    }
}

/// What sysinfo tells.
fn told_by(system: &mut System, pid: Pid) -> ProcessMemory {
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram().with_swap());
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[pid]),
        true,
        ProcessRefreshKind::nothing().with_memory(),
    );
    // sysinfo says 0 for what it could not read; none of these figures is ever truly 0, but for those of swap.
    let known = |bytes: u64| (bytes > 0).then_some(bytes);
    let process = system.process(pid);
    let system_bytes = known(system.total_memory());
    ProcessMemory {
        resident_bytes: process.and_then(|process| known(process.memory())),
        virtual_bytes: process.and_then(|process| known(process.virtual_memory())),
        system_bytes,
        system_available_bytes: system_bytes.and_then(|_| known(system.available_memory())),
        system_swap_bytes: system_bytes.map(|_| system.total_swap()),
        system_swap_used_bytes: system_bytes.map(|_| system.used_swap()),
        ..ProcessMemory::default()
    }
}

/// The same with what the kernel tells.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn with_kernel_figures(told: ProcessMemory) -> ProcessMemory {
    use std::path::Path;

    use rustix::process::{Resource, getrlimit};

    use super::{cgroup, files};

    let root = Path::new("/");
    let files::Figures { swapped_bytes, minor_faults, major_faults } = files::read(root);
    // A limit above what there is limits nothing.
    let limit = cgroup::limit(root).filter(|limit| told.system_bytes.is_none_or(|total| limit.bytes < total));
    ProcessMemory {
        limit_bytes: limit.map(|limit| limit.bytes),
        limit_used_bytes: limit.and_then(|limit| limit.used),
        virtual_limit_bytes: getrlimit(Resource::As).current,
        swapped_bytes,
        minor_faults,
        major_faults,
        ..told
    }
}

/// The same: there are no such figures on this platform.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn with_kernel_figures(told: ProcessMemory) -> ProcessMemory {
    told
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

#[cfg(all(test, target_os = "linux", not(miri)))]
mod linux_tests {
    use super::*;

    #[test]
    fn resident_bytes_faults_and_addresses_grow_with_what_is_touched() {
        const TOUCHED: u64 = 64 << 20;
        let mut reader = ProcessMemoryReader::new();
        let before = reader.read();
        let touched = std::hint::black_box(vec![1_u8; TOUCHED as usize]);
        let after = reader.read();
        drop(touched);

        let grown = |figure: fn(&ProcessMemory) -> Option<u64>| {
            figure(&after).unwrap().checked_sub(figure(&before).unwrap()).unwrap()
        };
        // Other tests of this process run meanwhile.
        let resident = grown(|memory| memory.resident_bytes);
        assert!(resident > TOUCHED / 2, "64 MiB were touched, {resident} bytes more are resident");
        assert!(grown(|memory| memory.virtual_bytes) >= TOUCHED / 2);
        // One fault for each page of up to 2 MiB.
        assert!(grown(|memory| memory.minor_faults) >= TOUCHED / (2 << 20) / 2);
        let _ = grown(|memory| memory.major_faults);

        assert!(before.system_bytes.unwrap() >= after.resident_bytes.unwrap());
        assert!(after.virtual_bytes.unwrap() >= after.resident_bytes.unwrap());
        assert!(before.system_available_bytes.unwrap() <= before.system_bytes.unwrap());
        assert!(before.system_swap_used_bytes.unwrap() <= before.system_swap_bytes.unwrap());
        assert!(before.swapped_bytes.unwrap() <= before.system_swap_bytes.unwrap());
        if let Some(limit) = before.limit_bytes {
            assert!(limit < before.system_bytes.unwrap(), "a limit above what there is limits nothing");
        }
    }

    #[test]
    fn system_bytes_are_those_of_meminfo() {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
        let bytes = |key| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() * 1024
        };
        let read = ProcessMemoryReader::new().read();
        assert_eq!(read.system_bytes, Some(bytes("MemTotal:")));
        assert_eq!(read.system_swap_bytes, Some(bytes("SwapTotal:")));
    }

    /// The limit that sysinfo finds in its own way, by the mount table.
    #[test]
    fn the_limit_is_the_one_that_sysinfo_finds() {
        let mut reader = ProcessMemoryReader::new();
        let limit = reader.read().limit_bytes;
        let (system, pid) = reader.source.as_ref().unwrap();
        let found = system.process(*pid).unwrap().cgroup_limits().map(|limits| limits.total_memory);
        assert_eq!(limit, found.filter(|&bytes| bytes < system.total_memory()));
    }
}
