//! What NVIDIA's driver says of a device and of this process: the NVIDIA Management Library.

use std::fmt::Debug;
use std::sync::{Arc, Weak};
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use parking_lot::Mutex;

use super::device::PciAddress;
use crate::contract::{VramHeap, VramProvider};

/// The library, while anybody uses it: it starts with the first provider and is shut down with the last, so that it keeps no device awake.
static LIBRARY: Mutex<Weak<Nvml>> = Mutex::new(Weak::new());

/// Devices that are looked at.
const MOST_DEVICES: u32 = 64;

/// The memory of a device of NVIDIA, in use by this process and by all, by the NVIDIA Management Library that comes with the driver.
///
/// The usage is this process's, as far as the driver tells: on Windows it does not, and in a container without the host's process numbers it
/// cannot. The capacity is the memory's without what the driver keeps for itself. There is no budget. Peaks are the highest values seen at
/// a refresh. A refresh asks the driver four questions, once a second on the sampler thread by default.
#[derive(Debug)]
pub struct NvmlProvider {
    device: Box<dyn Device>,
    interval: Duration,
    figures: Mutex<Figures>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    used: Option<u64>,
    peak: Option<u64>,
    device_used: Option<u64>,
    device_peak: Option<u64>,
    capacity: Option<u64>,
    /// At most 100.
    busy_percent: Option<u8>,
}

/// What is asked of one device. A question that is not answered is `None`.
trait Device: Debug + Send + Sync {
    fn address(&self) -> Option<PciAddress>;
    /// Used by all processes, and there to be used.
    fn memory(&self) -> Option<(u64, u64)>;
    /// Processes that have work on the device, each perhaps more than once: its number and its bytes.
    fn processes(&self) -> Option<Vec<(u32, Option<u64>)>>;
    fn busy_percent(&self) -> Option<u32>;
}

/// Why there are no providers.
#[derive(Debug)]
pub struct NoNvml(NvmlError);

impl std::fmt::Display for NoNvml {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
                write!(formatter, "the NVIDIA Management Library is not installed: it comes with NVIDIA's driver")
            }
            error => write!(formatter, "the NVIDIA Management Library does not start: {error}"),
        }
    }
}

impl std::error::Error for NoNvml {}

impl NvmlProvider {
    /// One provider for each device. All providers of the process share the library, which starts with the first and is
    /// shut down with the last. That it is missing is not remembered: each call looks for its file, in some tens of microseconds.
    ///
    /// # Errors
    /// If the library is not there or does not start, which on a machine without a device of NVIDIA is as it should be.
    pub fn all() -> Result<Vec<Self>, NoNvml> {
        let library = shared(&LIBRARY, Nvml::init).map_err(NoNvml)?;
        let count = library.device_count().map_err(NoNvml)?.min(MOST_DEVICES);
        let indices = (0..count).filter(|&index| library.device_by_index(index).is_ok());
        Ok(indices.map(|index| Self::of(Box::new(Real { library: Arc::clone(&library), index }))).collect())
    }

    fn of(device: Box<dyn Device>) -> Self {
        Self { device, interval: Duration::from_secs(1), figures: Mutex::default() }
    }

    /// How often the figures are to be read; one second by default.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The place of the device, by which an adapter is found again; `None` where the driver does not tell.
    #[must_use]
    pub fn address(&self) -> Option<PciAddress> {
        self.device.address()
    }
}

impl VramProvider for NvmlProvider {
    fn source(&self) -> &'static str {
        "nvml"
    }

    fn refresh(&self) {
        let memory = self.device.memory();
        let used = self.device.processes().and_then(|processes| of_process(&processes, std::process::id()));
        let busy = self.device.busy_percent().filter(|&percent| percent <= 100);
        let mut figures = self.figures.lock();
        let device_used = memory.map(|(used, _)| used);
        *figures = Figures {
            used,
            peak: figures.peak.max(used),
            device_used,
            device_peak: figures.device_peak.max(device_used),
            capacity: memory.map(|(_, total)| total),
            busy_percent: busy.and_then(|percent| u8::try_from(percent).ok()),
        };
    }

    fn refresh_interval(&self) -> Duration {
        self.interval
    }

    fn get_vram_usage_bytes(&self) -> Option<u64> {
        self.figures.lock().used
    }

    fn get_vram_peak_bytes(&self) -> Option<u64> {
        self.figures.lock().peak
    }

    fn get_vram_device_usage_bytes(&self) -> Option<u64> {
        self.figures.lock().device_used
    }

    fn get_vram_capacity_bytes(&self) -> Option<u64> {
        self.figures.lock().capacity
    }

    fn get_device_busy_ratio(&self) -> Option<f64> {
        self.figures.lock().busy_percent.map(|percent| f64::from(percent) / 100.0)
    }

    fn get_vram_heaps(&self) -> Vec<VramHeap> {
        let figures = *self.figures.lock();
        let known = figures.device_used.is_some();
        let heap = known.then(|| VramHeap {
            local: Some(true),
            used_bytes: figures.device_used,
            peak_bytes: figures.device_peak,
            capacity_bytes: figures.capacity,
            ..VramHeap::new("device")
        });
        heap.into_iter().collect()
    }
}

/// What others hold, or else a new one. Whoever comes while it is made waits for it.
fn shared<T, E>(place: &Mutex<Weak<T>>, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
    let mut held = place.lock();
    if let Some(value) = held.upgrade() {
        return Ok(value);
    }
    let value = Arc::new(make()?);
    *held = Arc::downgrade(&value);
    Ok(value)
}

/// The bytes of one process, which stands in the lists once for graphics and once for compute, with the same bytes. `None` where it stands in
/// none, since a process in a container is listed by a number of the host's, and where the driver does not tell its bytes.
fn of_process(processes: &[(u32, Option<u64>)], process: u32) -> Option<u64> {
    processes.iter().filter(|&&(number, _)| number == process).filter_map(|&(_, bytes)| bytes).max()
}

#[derive(Debug)]
struct Real {
    library: Arc<Nvml>,
    index: u32,
}

impl Device for Real {
    fn address(&self) -> Option<PciAddress> {
        self.library.device_by_index(self.index).ok()?.pci_info().ok()?.bus_id.parse().ok()
    }

    fn memory(&self) -> Option<(u64, u64)> {
        let memory = self.library.device_by_index(self.index).ok()?.memory_info().ok()?;
        Some((memory.used, memory.total.saturating_sub(memory.reserved)))
    }

    fn processes(&self) -> Option<Vec<(u32, Option<u64>)>> {
        let device = self.library.device_by_index(self.index).ok()?;
        let lists = [device.running_graphics_processes(), device.running_compute_processes()];
        let known = lists.iter().any(Result::is_ok);
        let processes = lists.into_iter().flatten().flatten().map(|process| {
            let bytes = match process.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => Some(bytes),
                UsedGpuMemory::Unavailable => None,
            };
            (process.pid, bytes)
        });
        known.then(|| processes.collect())
    }

    fn busy_percent(&self) -> Option<u32> {
        Some(self.library.device_by_index(self.index).ok()?.utilization_rates().ok()?.gpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vram::skipped;

    /// The device's memory and this process's bytes.
    type Answer = (Option<(u64, u64)>, Option<u64>);

    #[derive(Debug)]
    struct Planned(Mutex<Vec<Answer>>, u32);

    impl Device for Planned {
        fn address(&self) -> Option<PciAddress> {
            "00000000:01:00.0".parse().ok()
        }
        fn memory(&self) -> Option<(u64, u64)> {
            self.0.lock().last().and_then(|&(memory, _)| memory)
        }
        fn processes(&self) -> Option<Vec<(u32, Option<u64>)>> {
            let own = self.0.lock().pop().and_then(|(_, own)| own);
            Some(vec![(std::process::id(), own), (std::process::id(), own), (1, Some(1 << 40))])
        }
        fn busy_percent(&self) -> Option<u32> {
            Some(self.1)
        }
    }

    #[test]
    fn this_process_counts_once_and_the_device_is_apart() {
        // The last is asked first.
        let plan = vec![(None, None), (Some((500, 1_000)), Some(70)), (Some((900, 1_000)), Some(90))];
        let provider = NvmlProvider::of(Box::new(Planned(Mutex::new(plan), 101)));
        assert_eq!((provider.get_vram_usage_bytes(), provider.get_vram_heaps()), (None, vec![]));
        let figures = |provider: &NvmlProvider| {
            provider.refresh();
            (
                provider.get_vram_usage_bytes(),
                provider.get_vram_device_usage_bytes(),
                provider.get_vram_capacity_bytes(),
            )
        };
        assert_eq!(figures(&provider), (Some(90), Some(900), Some(1_000)));
        assert_eq!(figures(&provider), (Some(70), Some(500), Some(1_000)));
        let heap = provider.get_vram_heaps().remove(0);
        assert_eq!((heap.used_bytes, heap.peak_bytes, heap.capacity_bytes), (Some(500), Some(900), Some(1_000)));
        assert_eq!(figures(&provider), (None, None, None), "what the driver does not answer is absent");
        assert_eq!((provider.get_vram_peak_bytes(), provider.get_device_busy_ratio()), (Some(90), None));
        assert_eq!(provider.address(), "01:00.0".parse().ok());
    }

    #[test]
    fn how_busy_the_device_is_is_a_share() {
        for (percent, ratio) in [(0, Some(0.0)), (25, Some(0.25)), (100, Some(1.0)), (101, None), (u32::MAX, None)] {
            let provider = NvmlProvider::of(Box::new(Planned(Mutex::default(), percent)));
            assert_eq!(provider.get_device_busy_ratio(), None, "nothing was asked yet");
            provider.refresh();
            assert_eq!(provider.get_device_busy_ratio(), ratio);
        }
    }

    #[test]
    fn a_process_that_is_not_listed_has_unknown_bytes() {
        assert_eq!(of_process(&[(1, Some(5)), (2, None), (3, Some(0))], 4), None);
        assert_eq!(of_process(&[(1, Some(5)), (2, None), (3, Some(0))], 2), None);
        assert_eq!(of_process(&[(1, Some(5)), (3, Some(0))], 3), Some(0));
    }

    #[test]
    fn a_missing_library_is_told() {
        let missing = NvmlError::LibraryNotFound;
        assert_eq!(
            NoNvml(missing).to_string(),
            "the NVIDIA Management Library is not installed: it comes with NVIDIA's driver"
        );
        let broken = NoNvml(NvmlError::DriverNotLoaded).to_string();
        assert!(broken.starts_with("the NVIDIA Management Library does not start: "), "{broken}");
    }

    #[test]
    fn the_devices_of_this_machine_answer() {
        let test = "the_devices_of_this_machine_answer";
        let providers = match NvmlProvider::all() {
            Ok(providers) if !providers.is_empty() => providers,
            Ok(_) => return skipped(test, "the machine has no device of NVIDIA"),
            Err(error) => return skipped(test, &error.to_string()),
        };
        for provider in &providers {
            provider.refresh();
            let (used, capacity) = (provider.get_vram_device_usage_bytes(), provider.get_vram_capacity_bytes());
            assert!(used.is_some() && used <= capacity, "{used:?} of {capacity:?}");
            assert!(provider.address().is_some(), "{provider:?}");
        }
        assert!(LIBRARY.lock().upgrade().is_some(), "the providers share it");
    }

    #[test]
    fn the_library_is_shared_by_all_that_use_it_at_once_and_goes_with_the_last() {
        let place = Mutex::new(Weak::new());
        let mut made = 0;
        let mut get = |fail: bool| {
            shared(&place, || {
                made += 1;
                if fail { Err(made) } else { Ok(made) }
            })
        };
        assert_eq!((get(true), get(true)), (Err(1), Err(2)), "a failure is not remembered");
        let first = get(false).unwrap();
        let second = get(true).unwrap();
        assert!(Arc::ptr_eq(&first, &second), "it is there and not made again");
        drop(first);
        assert_eq!(get(false).map(|third| *third), Ok(3));
        drop(second);
        assert_eq!(get(false).map(|fourth| *fourth), Ok(4), "none was left");
    }
}
