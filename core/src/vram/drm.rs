//! What Linux's graphics drivers say of this process: `/proc/self/fdinfo`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;

use super::device::PciAddress;
use super::files;
use crate::contract::{EngineBusy, VramHeap, VramProvider};

/// Of one file; drivers write one or two KiB.
const MOST_BYTES: u64 = 64 << 10;
/// Open files that are looked at in one refresh.
const MOST_FILES: usize = 65_536;
/// Regions and engines of one client: drivers have less than ten.
const MOST_NAMES: usize = 64;

/// The memory that this process uses on a graphics device, and the time that it keeps the device's engines busy, as the kernel's driver
/// accounts for them to each of its clients (amdgpu, i915, xe, msm, panfrost, v3d and others; not NVIDIA's own driver).
///
/// An open device is a client. One client may be open under several file descriptors, of which one counts; several clients add up. The
/// format is that of the kernel's documentation, "DRM client usage stats": `drm-resident-<region>`, or where a driver is older than
/// that key, `drm-memory-<region>`, in bytes, KiB or MiB; `drm-engine-<engine>` in nanoseconds.
///
/// The usage is what is resident in the device's own memory (the regions `vram*` and `local*`); on a device without any, all but the
/// region `cpu`. There is neither a budget nor a capacity. A software GPU is no client, and every figure is absent.
///
/// A refresh looks at all open files of the process, a microsecond each, once a second on the sampler thread by default.
#[derive(Debug)]
pub struct DrmFdinfoProvider {
    root: PathBuf,
    device: Option<PciAddress>,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    usage: Usage,
    peaks: BTreeMap<String, u64>,
    peak: Option<u64>,
}

/// What all clients use together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Usage {
    clients: usize,
    /// Bytes resident by region.
    regions: BTreeMap<String, u64>,
    /// Nanoseconds by engine, and how many engines of that name there are.
    engines: BTreeMap<String, (u64, u64)>,
}

/// What one file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Client {
    device: Option<PciAddress>,
    id: Option<u64>,
    resident: BTreeMap<String, u64>,
    /// The older key, used for regions that the newer one is not given for.
    memory: BTreeMap<String, u64>,
    engines: BTreeMap<String, u64>,
    capacities: BTreeMap<String, u64>,
}

impl DrmFdinfoProvider {
    /// A provider for one device, or for all together. Its figures are absent until the first refresh.
    #[must_use]
    pub fn new(device: Option<PciAddress>) -> Self {
        Self::under("/", device)
    }

    /// The same, of the tree under `root`: `root/proc/self/fd` and `root/proc/self/fdinfo`.
    #[must_use]
    pub fn under(root: impl Into<PathBuf>, device: Option<PciAddress>) -> Self {
        Self { root: root.into(), device, interval: Duration::from_secs(1), state: Mutex::default() }
    }

    /// How often the figures are to be read; one second by default.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How many clients of the device this process has open, as of the last refresh.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.state.lock().usage.clients
    }
}

impl VramProvider for DrmFdinfoProvider {
    fn source(&self) -> &'static str {
        "drm"
    }

    fn refresh(&self) {
        let usage = read(&self.root, self.device);
        let mut state = self.state.lock();
        for (region, &bytes) in &usage.regions {
            let peak = state.peaks.entry(region.clone()).or_default();
            *peak = bytes.max(*peak);
        }
        state.peak = state.peak.max(usage.of_the_device());
        state.usage = usage;
    }

    fn refresh_interval(&self) -> Duration {
        self.interval
    }

    fn get_vram_usage_bytes(&self) -> Option<u64> {
        self.state.lock().usage.of_the_device()
    }

    fn get_vram_peak_bytes(&self) -> Option<u64> {
        self.state.lock().peak
    }

    fn get_vram_heaps(&self) -> Vec<VramHeap> {
        let state = self.state.lock();
        let heap = |(region, &bytes): (&String, &u64)| {
            let peak = state.peaks.get(region).copied();
            VramHeap { used_bytes: Some(bytes), peak_bytes: peak, ..VramHeap::new(region.clone()) }
        };
        state.usage.regions.iter().map(heap).collect()
    }

    fn get_engines_busy(&self) -> Vec<EngineBusy> {
        let state = self.state.lock();
        let engine = |(name, &(busy, count)): (&String, &(u64, u64))| EngineBusy {
            name: name.clone().into(),
            busy: Duration::from_nanos(busy),
            count,
        };
        state.usage.engines.iter().map(engine).collect()
    }
}

impl Usage {
    fn add(&mut self, client: Client) {
        self.clients += 1;
        let Client { resident, memory, engines, capacities, .. } = client;
        let mut regions = memory;
        regions.extend(resident);
        for (region, bytes) in regions {
            let sum = self.regions.entry(region).or_default();
            *sum = sum.saturating_add(bytes);
        }
        for (engine, busy) in engines {
            let count = capacities.get(&engine).copied().unwrap_or(1);
            let (sum, most) = self.engines.entry(engine).or_default();
            *sum = sum.saturating_add(busy);
            *most = count.max(*most);
        }
    }

    fn of_the_device(&self) -> Option<u64> {
        let of = |wanted: fn(&str) -> bool| {
            let regions = self.regions.iter().filter(|(region, _)| wanted(region));
            regions.map(|(_, &bytes)| bytes).reduce(u64::saturating_add)
        };
        of(|region| region.starts_with("vram") || region.starts_with("local")).or_else(|| of(|region| region != "cpu"))
    }
}

/// What the clients of the device use together, each counted once.
fn read(root: &Path, device: Option<PciAddress>) -> Usage {
    let mut usage = Usage::default();
    let (links, infos) = (root.join("proc/self/fd"), root.join("proc/self/fdinfo"));
    let Ok(files) = fs::read_dir(&infos) else { return usage };
    let mut clients = BTreeMap::new();
    for file in files.filter_map(Result::ok).take(MOST_FILES) {
        let name = file.file_name();
        // Where the link can be read, it says whether the file is a device: reading what the kernel knows of any other costs more.
        if fs::read_link(links.join(&name)).is_ok_and(|target| !is_a_device(&target)) {
            continue;
        }
        let client = files::text(&file.path(), MOST_BYTES).and_then(|text| parse(&text));
        let Some(client) = client.filter(|client| device.is_none() || client.device == device) else { continue };
        match client.id {
            Some(id) => match clients.entry((client.device, id)) {
                Entry::Vacant(place) => drop(place.insert(client)),
                // The same client under another descriptor.
                Entry::Occupied(_) => {}
            },
            // A driver that gives no number, or none that can be read: no two of its files are known to be one client.
            None => usage.add(client),
        }
    }
    clients.into_values().for_each(|client| usage.add(client));
    usage
}

fn is_a_device(target: &Path) -> bool {
    target.starts_with("/dev/dri") || target.starts_with("/dev/accel")
}

/// What a file says of a client; `None` where it is of no graphics driver. Lines that cannot be understood are passed over.
fn parse(text: &str) -> Option<Client> {
    let mut client = Client::default();
    let mut driver = false;
    let keep = |map: &mut BTreeMap<String, u64>, name: &str, value: Option<u64>| {
        if let Some(value) = value
            && !name.is_empty()
            && name.len() <= 64
            && (map.len() < MOST_NAMES || map.contains_key(name))
        {
            map.insert(name.to_owned(), value);
        }
    };
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (Some(key), value) = (key.strip_prefix("drm-"), value.trim()) else { continue };
        if key == "driver" {
            driver = true;
        } else if key == "pdev" {
            client.device = value.parse().ok();
        } else if key == "client-id" {
            client.id = value.parse().ok();
        } else if let Some(region) = key.strip_prefix("resident-") {
            keep(&mut client.resident, region, bytes(value));
        } else if let Some(region) = key.strip_prefix("memory-") {
            keep(&mut client.memory, region, bytes(value));
        } else if let Some(engine) = key.strip_prefix("engine-capacity-") {
            keep(&mut client.capacities, engine, value.parse().ok().filter(|&count| count > 0));
        } else if let Some(engine) = key.strip_prefix("engine-") {
            keep(&mut client.engines, engine, value.strip_suffix("ns").and_then(|value| value.trim_end().parse().ok()));
        }
    }
    driver.then_some(client)
}

/// A number of bytes: without a unit, or in KiB, MiB or GiB.
fn bytes(value: &str) -> Option<u64> {
    let (number, unit) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    let factor = match unit.trim() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests;
