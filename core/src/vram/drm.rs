//! What Linux's graphics drivers say of this process: `/proc/self/fdinfo`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;

use super::device::PciAddress;
use crate::contract::{EngineBusy, VramHeap, VramProvider};
use crate::files;

/// Of one file; drivers write one or two KiB.
const MOST_BYTES: u64 = 64 << 10;
/// Open files that are looked at in one refresh.
const MOST_FILES: usize = 65_536;
/// Regions, and engines, of one client and of all together: drivers have less than ten.
const MOST_NAMES: usize = 64;
/// Clients that are read in one refresh, and clients whose engines' times are kept apart; of the latter, those that went first are summed up
/// when there are more.
const MOST_CLIENTS: usize = 1_024;

/// The memory that this process uses on a graphics device, and the time that it keeps the device's engines busy, as the kernel's driver
/// accounts for them to each of its clients (amdgpu, i915, xe, msm, panfrost, v3d and others; not NVIDIA's own driver).
///
/// An open device is a client. One client may be open under several file descriptors, of which one counts; several clients add up. The
/// format is that of the kernel's documentation, "DRM client usage stats": `drm-resident-<region>`, or where a driver is older than
/// that key, `drm-memory-<region>`, in bytes, KiB or MiB; `drm-engine-<engine>` in nanoseconds. Drivers that count an engine's cycles and not its
/// time (xe: `drm-cycles-<engine>`) have no engines here: how long a cycle is they do not tell.
///
/// The usage is what is resident in the device's own memory (the regions `vram*` and `local*`); on a device without any, all but the
/// region `cpu`. There is neither a budget nor a capacity. A software GPU is no client, and every figure is absent. The time of engines is that
/// of all clients since the first refresh that saw them, of those that were closed too, so that it only grows.
///
/// A refresh looks at all open files of the process, a microsecond each, once a second on the sampler thread by default. It reads at most 1,024
/// clients among at most 65,536 files: the figures are of those, and the files beyond are counted ([`files_beyond`](Self::files_beyond)).
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
    engines: Engines,
}

/// What all clients use together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Usage {
    clients: usize,
    files_beyond: u64,
    /// Bytes resident by region.
    regions: BTreeMap<String, u64>,
}

/// How long engines were busy.
#[derive(Debug, Default)]
struct Engines {
    /// Nanoseconds of each client that has a number, as it was last seen: what it did stays done when it is closed.
    clients: BTreeMap<ClientKey, BTreeMap<String, u64>>,
    /// Those of clients that are no longer kept apart.
    ended: BTreeMap<String, u64>,
    /// By name, of all clients: nanoseconds, and how many engines of that name there are.
    totals: BTreeMap<String, (u64, u64)>,
}

/// A client's device and number. The kernel gives no number twice.
type ClientKey = (Option<PciAddress>, u64);

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

    /// How many open files the last refresh passed over because there were too many clients or too many files: devices, or of an unknown kind. 0
    /// in all but broken programs; beyond it the figures are too small.
    #[must_use]
    pub fn files_beyond(&self) -> u64 {
        self.state.lock().usage.files_beyond
    }
}

impl VramProvider for DrmFdinfoProvider {
    fn source(&self) -> &'static str {
        "drm"
    }

    fn refresh(&self) {
        let (clients, files_beyond) = read(&self.root, self.device);
        let usage = Usage { files_beyond, ..Usage::of(&clients) };
        let mut state = self.state.lock();
        for (region, &bytes) in &usage.regions {
            if let Some(peak) = entry(&mut state.peaks, region) {
                *peak = bytes.max(*peak);
            }
        }
        state.peak = state.peak.max(usage.of_the_device());
        state.engines.see(&clients);
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
            VramHeap {
                local: is_local(region),
                used_bytes: Some(bytes),
                peak_bytes: peak,
                ..VramHeap::new(region.clone())
            }
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
        state.engines.totals.iter().map(engine).collect()
    }
}

impl Usage {
    fn of(clients: &[Client]) -> Self {
        let mut usage = Self { clients: clients.len(), ..Self::default() };
        for client in clients {
            let older = client.memory.iter().filter(|(region, _)| !client.resident.contains_key(*region));
            for (region, &bytes) in client.resident.iter().chain(older) {
                if let Some(sum) = entry(&mut usage.regions, region) {
                    *sum = sum.saturating_add(bytes);
                }
            }
        }
        usage
    }

    fn of_the_device(&self) -> Option<u64> {
        let of = |wanted: fn(&str) -> bool| {
            let regions = self.regions.iter().filter(|(region, _)| wanted(region));
            regions.map(|(_, &bytes)| bytes).reduce(u64::saturating_add)
        };
        of(|region| is_local(region) == Some(true)).or_else(|| of(|region| region != "cpu"))
    }
}

/// Whether a region is the device's own memory; `None` where its name does not tell.
fn is_local(region: &str) -> Option<bool> {
    let begins = |names: &[&str]| names.iter().any(|name| region.starts_with(name));
    if begins(&["vram", "local"]) { Some(true) } else { begins(&["cpu", "gtt", "system"]).then_some(false) }
}

impl Client {
    /// `None` for a client without a number.
    fn key(&self) -> Option<ClientKey> {
        Some((self.device, self.id?))
    }
}

impl Engines {
    /// Takes what the clients that there are now have done since they were opened.
    fn see(&mut self, clients: &[Client]) {
        // Clients without a number cannot be told from one another: their sum is not let sink.
        let mut nameless: BTreeMap<String, u64> = BTreeMap::new();
        for client in clients {
            let Some(key) = client.key() else {
                add(&mut nameless, &client.engines);
                continue;
            };
            let kept = self.clients.entry(key).or_default();
            for (engine, &busy) in &client.engines {
                if let Some(most) = entry(kept, engine) {
                    *most = busy.max(*most);
                }
            }
        }
        // The lowest numbers are the oldest clients'.
        let excess = self.clients.len().saturating_sub(MOST_CLIENTS);
        if excess > 0 {
            let here: BTreeSet<ClientKey> = clients.iter().filter_map(Client::key).collect();
            // Of those that are here there are no more than that, so that there are always enough others.
            let gone: Vec<_> = self.clients.keys().filter(|key| !here.contains(key)).take(excess).copied().collect();
            for engines in gone.iter().filter_map(|key| self.clients.remove(key)) {
                add(&mut self.ended, &engines);
            }
        }
        let mut now = self.ended.clone();
        self.clients.values().chain([&nameless]).for_each(|engines| add(&mut now, engines));
        for (engine, busy) in now {
            let counts = clients.iter().filter_map(|client| client.capacities.get(&engine).copied());
            let count = counts.max();
            if let Some((total, engines)) = entry(&mut self.totals, &engine) {
                *total = busy.max(*total);
                *engines = count.unwrap_or(1).max(*engines);
            }
        }
    }
}

fn add(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (name, &value) in more {
        if let Some(sum) = entry(sums, name) {
            *sum = sum.saturating_add(value);
        }
    }
}

/// The value of this name; `None` where there are as many names as are kept.
fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> Option<&'a mut T> {
    if !map.contains_key(name) {
        if map.len() >= MOST_NAMES {
            return None;
        }
        map.insert(name.to_owned(), T::default());
    }
    map.get_mut(name)
}

/// The clients of the device that this process has open, each once, and how many files are beyond those that are read.
fn read(root: &Path, device: Option<PciAddress>) -> (Vec<Client>, u64) {
    let mut nameless = Vec::new();
    let (links, infos) = (root.join("proc/self/fd"), root.join("proc/self/fdinfo"));
    let Ok(files) = fs::read_dir(&infos) else { return (nameless, 0) };
    let mut clients = BTreeMap::new();
    let mut beyond = 0;
    for (number, file) in files.filter_map(Result::ok).enumerate() {
        if number >= MOST_FILES {
            beyond += 1;
            continue;
        }
        let name = file.file_name();
        // Where the link can be read, it says whether the file is a device: reading what the kernel knows of any other costs more.
        if fs::read_link(links.join(&name)).is_ok_and(|target| !is_a_device(&target)) {
            continue;
        }
        if nameless.len() + clients.len() >= MOST_CLIENTS {
            beyond += 1;
            continue;
        }
        let client = files::text(&file.path(), MOST_BYTES).and_then(|text| parse(&text));
        let Some(client) = client.filter(|client| device.is_none() || client.device == device) else { continue };
        match client.key() {
            Some(key) => match clients.entry(key) {
                Entry::Vacant(place) => drop(place.insert(client)),
                // The same client under another descriptor.
                Entry::Occupied(_) => {}
            },
            // A driver that gives no number, or none that can be read: no two of its files are known to be one client.
            None => nameless.push(client),
        }
    }
    nameless.extend(clients.into_values());
    (nameless, beyond)
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
            && (1..=64).contains(&name.len())
            && let Some(place) = entry(map, name)
        {
            *place = value;
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
