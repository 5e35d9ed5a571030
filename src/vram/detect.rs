//! Looking for all sources that a machine has of a device's memory.

use std::path::Path;
use std::sync::Arc;

use engine_vitals_core::contract::VramProvider;
use engine_vitals_core::vram::{AmdgpuProvider, DrmFdinfoProvider, PciAddress};

use super::source::{DetectOptions, Detected, Outcome};
use super::{AllocatorReportProvider, InternalCountersProvider};

/// Looks for everything on this machine that knows of the memory of `device`, instrumented or not, and says why what is absent is absent.
///
/// The best is the one that knows best what this process uses: what the operating system or the driver accounts to it (`dxgi`, `drm`,
/// `nvml`, then `vulkan` and `metal`), which holds what every library of the program has allocated; then what wgpu has taken from the driver
/// (`wgpu`) and given out (`wgpu-counters`). Those that know something else come last: `amdgpu`, which knows all processes together.
///
/// Each source that is found is refreshed once, to see what it knows: milliseconds in all, and tens of them where a library of the driver
/// is loaded. Nothing is cached. A missing library or file is no error.
///
/// ```
/// use engine_vitals::vram::{self, DetectOptions};
///
/// # let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
/// let detected = vram::detect(&device, &DetectOptions::new());
/// print!("{detected}"); // what there is, and why the rest is not
/// if let Some(best) = detected.best() {
///     println!("{}: {:?} bytes", best.source(), best.get_vram_usage_bytes());
/// }
/// ```
#[must_use]
pub fn detect(device: &wgpu::Device, options: &DetectOptions) -> Detected {
    let place = Place::of(&device.adapter_info(), options);
    Detected::rank([
        ("dxgi", dxgi(device)),
        ("drm", drm(&place)),
        ("nvml", nvml(&place)),
        ("vulkan", vulkan(device)),
        ("metal", metal(device)),
        ("wgpu", allocator_report(device, &place)),
        ("wgpu-counters", internal_counters(device)),
        ("amdgpu", amdgpu(&place)),
    ])
}

/// Which device the files and the driver's libraries are asked for.
struct Place<'a> {
    root: &'a Path,
    /// `None` where wgpu does not tell.
    address: Option<PciAddress>,
    backend: wgpu::Backend,
    /// Whether the adapter is a program, of which neither kernel nor driver knows.
    software: bool,
    /// By its number on the PCI bus; 0 where wgpu does not tell.
    vendor: u32,
    /// Whether the caller says which device it is, whatever wgpu does.
    chosen: bool,
}

/// Numbers of vendors on the PCI bus.
const AMD: u32 = 0x1002;
const NVIDIA: u32 = 0x10de;

const NO_HARDWARE: &str = "the adapter is software: it uses the system's memory, and no driver accounts for it";

impl<'a> Place<'a> {
    fn of(info: &wgpu::AdapterInfo, options: &'a DetectOptions) -> Self {
        let (root, chosen) = options.parts();
        let none = matches!(info.backend, wgpu::Backend::Noop | wgpu::Backend::BrowserWebGpu);
        Self {
            root,
            address: chosen.or_else(|| info.device_pci_bus_id.parse().ok()),
            backend: info.backend,
            software: chosen.is_none() && (info.device_type == wgpu::DeviceType::Cpu || none),
            vendor: info.vendor,
            chosen: chosen.is_some(),
        }
    }

    /// The device in a sentence.
    fn name(&self) -> String {
        self.address.map_or_else(|| "a device whose place is not known".to_owned(), |address| address.to_string())
    }

    /// Whether NVIDIA's library is worth asking.
    fn may_be_nvidias(&self) -> bool {
        self.vendor == NVIDIA || self.chosen
    }

    /// The one of `found`, which are `vendor`'s, that is this device: by its address, or where that is not known the only one there is, if the
    /// adapter is of that vendor.
    fn pick<T>(&self, found: Vec<T>, vendor: u32, address: impl Fn(&T) -> Option<PciAddress>) -> Option<T> {
        match self.address {
            Some(wanted) => found.into_iter().find(|one| address(one) == Some(wanted)),
            None if self.vendor == vendor => <[T; 1]>::try_from(found).ok().map(|[only]| only),
            None => None,
        }
    }
}

/// A provider that was refreshed, with what it lacks.
fn found(provider: impl VramProvider + 'static, lacks: Option<String>) -> Outcome {
    Ok((Arc::new(provider), lacks))
}

fn refreshed<P: VramProvider>(provider: P) -> P {
    provider.refresh();
    provider
}

fn drm(place: &Place<'_>) -> Outcome {
    if place.software {
        return Err(NO_HARDWARE.to_owned());
    }
    let files = place.root.join("proc/self/fdinfo");
    if !files.is_dir() {
        return Err(format!("there is no {}, which Linux has", files.display()));
    }
    let provider = refreshed(DrmFdinfoProvider::under(place.root, place.address));
    if provider.clients() == 0 {
        let name = place.name();
        return Err(format!("no file that this process has open is a client of {name} (NVIDIA's own driver has none)"));
    }
    let lacks = if provider.get_vram_heaps().is_empty() {
        Some("the kernel's driver tells nothing of memory".to_owned())
    } else if provider.files_beyond() > 0 {
        Some(format!("too many clients: {} open files are passed over", provider.files_beyond()))
    } else if place.address.is_none() {
        Some("the backend does not tell which device it is: all that this process has open count together".to_owned())
    } else {
        None
    };
    found(provider, lacks)
}

fn amdgpu(place: &Place<'_>) -> Outcome {
    if place.software {
        return Err(NO_HARDWARE.to_owned());
    }
    let cards = AmdgpuProvider::all_under(place.root);
    let count = cards.len();
    match place.pick(cards, AMD, AmdgpuProvider::address) {
        Some(card) => found(refreshed(card), Some("it does not tell one process from another".to_owned())),
        None if count == 0 => {
            Err(format!("no card below {} is run by the driver amdgpu", place.root.join("sys/class/drm").display()))
        }
        None => Err(format!("none of {count} cards of the driver amdgpu is {}", place.name())),
    }
}

#[cfg(feature = "nvml")]
fn nvml(place: &Place<'_>) -> Outcome {
    use engine_vitals_core::vram::NvmlProvider;

    if place.software {
        return Err(NO_HARDWARE.to_owned());
    }
    if !place.may_be_nvidias() {
        return Err("the adapter is not one of NVIDIA".to_owned());
    }
    let devices = NvmlProvider::all().map_err(|error| error.to_string())?;
    let count = devices.len();
    let device = place
        .pick(devices, NVIDIA, NvmlProvider::address)
        .ok_or_else(|| format!("none of {count} devices of NVIDIA is {}", place.name()))?;
    let device = refreshed(device);
    let unlisted = device.get_vram_usage_bytes().is_none();
    found(device, unlisted.then(|| "the driver does not list this process (in a container it may not)".to_owned()))
}

#[cfg(not(feature = "nvml"))]
fn nvml(place: &Place<'_>) -> Outcome {
    let needless = if place.may_be_nvidias() { "" } else { " (for NVIDIA's devices)" };
    Err(format!("engine-vitals was built without its feature `nvml`{needless}"))
}

fn allocator_report(device: &wgpu::Device, place: &Place<'_>) -> Outcome {
    let provider = refreshed(AllocatorReportProvider::new(device));
    if provider.get_vram_usage_bytes().is_none() {
        return Err(format!("wgpu's backend {:?} has no allocator report: Vulkan and Direct3D 12 have", place.backend));
    }
    found(provider, None)
}

fn internal_counters(device: &wgpu::Device) -> Outcome {
    let provider = InternalCountersProvider::new(device);
    match provider.missing() {
        Some(why) => Err(why.to_string()),
        None => found(refreshed(provider), None),
    }
}

#[cfg(all(feature = "vulkan", any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn vulkan(device: &wgpu::Device) -> Outcome {
    let provider = super::VulkanBudgetProvider::new(device).ok_or("the device is not one of Vulkan")?;
    let lacks = provider.query().no_budget().map(|why| format!("neither usage nor budget: {why}"));
    found(refreshed(provider), lacks)
}

#[cfg(not(all(feature = "vulkan", any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))))]
fn vulkan(_: &wgpu::Device) -> Outcome {
    Err(without("vulkan", "the systems that wgpu has Vulkan on"))
}

#[cfg(all(feature = "dx12", windows))]
fn dxgi(device: &wgpu::Device) -> Outcome {
    found(refreshed(super::DxgiProvider::new(device).map_err(|error| error.to_string())?), None)
}

#[cfg(not(all(feature = "dx12", windows)))]
fn dxgi(_: &wgpu::Device) -> Outcome {
    Err(without("dx12", "Windows"))
}

#[cfg(all(feature = "metal", target_vendor = "apple"))]
fn metal(device: &wgpu::Device) -> Outcome {
    found(refreshed(super::MetalProvider::new(device).ok_or("the device is not one of Metal")?), None)
}

#[cfg(not(all(feature = "metal", target_vendor = "apple")))]
fn metal(_: &wgpu::Device) -> Outcome {
    Err(without("metal", "Apple's systems"))
}

fn without(feature: &str, systems: &str) -> String {
    format!("it takes the feature `{feature}`, on {systems}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device behind OpenGL, which does not tell its place.
    fn of_vendor(vendor: u32) -> wgpu::AdapterInfo {
        let info = wgpu::AdapterInfo::new(wgpu::DeviceType::DiscreteGpu, wgpu::Backend::Gl);
        wgpu::AdapterInfo { vendor, ..info }
    }

    /// A tree with so many cards of AMD.
    fn cards(count: usize) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for card in 0..count {
            let device = root.path().join(format!("sys/class/drm/card{card}/device"));
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("uevent"), format!("PCI_SLOT_NAME=0000:0{card}:00.0\n")).unwrap();
            std::fs::write(device.join("mem_info_vram_used"), "4096\n").unwrap();
            std::fs::write(device.join("mem_info_vram_total"), "8192\n").unwrap();
        }
        root
    }

    #[test]
    fn a_card_of_amd_is_no_other_vendors_adapter() {
        let (one, two) = (cards(1), cards(2));
        let used = |root: &tempfile::TempDir, info: &wgpu::AdapterInfo, options: DetectOptions| {
            let options = options.root(root.path());
            amdgpu(&Place::of(info, &options)).map(|(provider, _)| provider.get_vram_device_usage_bytes())
        };
        assert_eq!(used(&one, &of_vendor(AMD), DetectOptions::new()), Ok(Some(4_096)), "the only one there is");
        for vendor in [0x8086, NVIDIA, 0] {
            let why = used(&one, &of_vendor(vendor), DetectOptions::new()).unwrap_err();
            assert!(why.contains("none of 1 cards"), "{vendor:#x}: {why}");
        }
        let why = used(&two, &of_vendor(AMD), DetectOptions::new()).unwrap_err();
        assert!(why.contains("none of 2 cards"), "which of them is not known: {why}");
        let chosen = DetectOptions::new().device("01:00.0".parse().unwrap());
        assert_eq!(used(&two, &of_vendor(0), chosen), Ok(Some(4_096)), "the one that the caller names");
        let told = wgpu::AdapterInfo { device_pci_bus_id: "0000:01:00.0".to_owned(), ..of_vendor(0x8086) };
        assert_eq!(used(&two, &told, DetectOptions::new()), Ok(Some(4_096)), "the one whose place wgpu tells");
        assert!(used(&one, &told, DetectOptions::new()).is_err());
    }

    #[cfg(feature = "nvml")]
    #[test]
    fn nvidias_library_is_asked_for_nvidias_adapters_alone() {
        let options = DetectOptions::new();
        for vendor in [AMD, 0x8086, 0] {
            let why = nvml(&Place::of(&of_vendor(vendor), &options)).map(drop).unwrap_err();
            assert_eq!(why, "the adapter is not one of NVIDIA");
        }
        if let Err(why) = nvml(&Place::of(&of_vendor(NVIDIA), &options)) {
            assert_ne!(why, "the adapter is not one of NVIDIA");
        }
    }
}
