//! What the driver amdgpu says of a device: `/sys/class/drm/card*/device`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;

use super::device::PciAddress;
use crate::contract::{VramHeap, VramProvider};
use crate::files;

/// Directory entries that are looked at for cards.
const MOST_ENTRIES: usize = 1_024;

/// The memory of a device of AMD, as Linux's driver amdgpu counts it for all processes together: its own (`vram`), the part of it that the
/// processor can reach (`visible-vram`) and the system's memory that it may use (`gtt`); and how busy it is.
///
/// The device's usage and the capacity are those of its own memory; of this process alone these files say nothing. There is no budget. Peaks
/// are the highest values seen at a refresh. A refresh reads a few short files, once a second on the sampler thread by default.
#[derive(Debug)]
pub struct AmdgpuProvider {
    device: PathBuf,
    address: Option<PciAddress>,
    interval: Duration,
    figures: Mutex<Figures>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    regions: [Region; REGIONS.len()],
    /// At most 100.
    busy_percent: Option<u8>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Region {
    used: Option<u64>,
    peak: Option<u64>,
    total: Option<u64>,
}

/// The heaps' names, and how their files begin. The device's own memory is the first.
const REGIONS: [(&str, &str); 3] =
    [("vram", "mem_info_vram"), ("visible-vram", "mem_info_vis_vram"), ("gtt", "mem_info_gtt")];

impl AmdgpuProvider {
    /// One provider for each device of this machine, in the order of the cards' numbers.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Self::all_under("/")
    }

    /// The same, of the tree under `root`: `root/sys/class/drm`.
    #[must_use]
    pub fn all_under(root: impl AsRef<Path>) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(root.as_ref().join("sys/class/drm")) else { return Vec::new() };
        let mut cards: Vec<_> = entries
            .filter_map(Result::ok)
            .take(MOST_ENTRIES)
            .filter_map(|entry| {
                // `card0` is a device; `card0-HDMI-A-1` one of its connectors.
                let number: u32 = entry.file_name().to_str()?.strip_prefix("card")?.parse().ok()?;
                Some((number, entry.path().join("device")))
            })
            .filter(|(_, device)| device.join("mem_info_vram_total").is_file())
            .collect();
        cards.sort_unstable();
        cards.into_iter().map(|(_, device)| Self::at(device)).collect()
    }

    fn at(device: PathBuf) -> Self {
        let address = files::text(&device.join("uevent"), 4_096)
            .and_then(|text| text.lines().find_map(|line| line.strip_prefix("PCI_SLOT_NAME="))?.parse().ok());
        Self { device, address, interval: Duration::from_secs(1), figures: Mutex::default() }
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
        self.address
    }

    fn own_memory(&self) -> Region {
        self.figures.lock().regions[0]
    }
}

impl VramProvider for AmdgpuProvider {
    fn source(&self) -> &'static str {
        "amdgpu"
    }

    fn refresh(&self) {
        let read = |begin: &str, end: &str| files::number(&self.device.join(format!("{begin}_{end}")));
        let now = REGIONS.map(|(_, begin)| (read(begin, "used"), read(begin, "total")));
        let busy = files::number(&self.device.join("gpu_busy_percent")).filter(|&percent| percent <= 100);
        let mut figures = self.figures.lock();
        for (region, (used, total)) in figures.regions.iter_mut().zip(now) {
            *region = Region { used, peak: region.peak.max(used), total };
        }
        figures.busy_percent = busy.and_then(|percent| u8::try_from(percent).ok());
    }

    fn refresh_interval(&self) -> Duration {
        self.interval
    }

    /// `None`: these files do not tell one process from another.
    fn get_vram_usage_bytes(&self) -> Option<u64> {
        None
    }

    fn get_vram_device_usage_bytes(&self) -> Option<u64> {
        self.own_memory().used
    }

    fn get_vram_capacity_bytes(&self) -> Option<u64> {
        self.own_memory().total
    }

    fn get_device_busy_ratio(&self) -> Option<f64> {
        self.figures.lock().busy_percent.map(|percent| f64::from(percent) / 100.0)
    }

    fn get_vram_heaps(&self) -> Vec<VramHeap> {
        let regions = self.figures.lock().regions;
        let named = REGIONS.iter().zip(regions).filter(|(_, region)| region.used.is_some() || region.total.is_some());
        named
            .map(|(&(name, _), region)| VramHeap {
                local: Some(name != "gtt"),
                used_bytes: region.used,
                peak_bytes: region.peak,
                capacity_bytes: region.total,
                ..VramHeap::new(name)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plant(root: &Path, card: &str, files: &[(&str, &str)]) {
        let device = root.join("sys/class/drm").join(card).join("device");
        fs::create_dir_all(&device).unwrap();
        for (name, text) in files {
            fs::write(device.join(name), text).unwrap();
        }
    }

    const ALL: [(&str, &str); 8] = [
        ("uevent", "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_SLOT_NAME=0000:03:00.0\n"),
        ("mem_info_vram_used", "1073741824\n"),
        ("mem_info_vram_total", "17163091968\n"),
        ("mem_info_vis_vram_used", "4096\n"),
        ("mem_info_vis_vram_total", "268435456\n"),
        ("mem_info_gtt_used", "8192\n"),
        ("mem_info_gtt_total", "8589934592\n"),
        ("gpu_busy_percent", "37\n"),
    ];

    #[test]
    fn a_card_is_found_and_read() {
        let root = tempfile::tempdir().unwrap();
        plant(root.path(), "card10", &ALL);
        plant(root.path(), "card2", &[("mem_info_vram_total", "5\n")]);
        plant(root.path(), "card1", &[("uevent", "DRIVER=i915\n")]);
        plant(root.path(), "card2-DP-1", &ALL);
        let cards = AmdgpuProvider::all_under(root.path());
        assert_eq!(cards.len(), 2, "{cards:?}");
        assert_eq!((cards[0].address(), cards[1].address()), (None, Some("0000:03:00.0".parse().unwrap())));
        let card = &cards[1];
        assert_eq!(
            (card.get_vram_device_usage_bytes(), card.get_vram_capacity_bytes()),
            (None, None),
            "nothing was read yet"
        );
        assert_eq!(card.get_vram_heaps(), []);
        cards.iter().for_each(VramProvider::refresh);
        assert_eq!((cards[0].get_vram_device_usage_bytes(), cards[0].get_vram_capacity_bytes()), (None, Some(5)));
        assert_eq!(
            (card.get_vram_device_usage_bytes(), card.get_vram_capacity_bytes()),
            (Some(1 << 30), Some(17_163_091_968))
        );
        assert_eq!(card.get_device_busy_ratio(), Some(0.37));
        let heaps = card.get_vram_heaps();
        let names: Vec<_> = heaps.iter().map(|heap| (heap.name.as_ref(), heap.used_bytes)).collect();
        assert_eq!(names, [("vram", Some(1 << 30)), ("visible-vram", Some(4_096)), ("gtt", Some(8_192))]);
    }

    #[test]
    fn what_is_malformed_or_vanishes_is_absent_and_the_peak_stays() {
        let root = tempfile::tempdir().unwrap();
        plant(root.path(), "card0", &ALL);
        let card = AmdgpuProvider::all_under(root.path()).remove(0);
        card.refresh();
        plant(root.path(), "card0", &[("mem_info_vram_used", "-1\n"), ("gpu_busy_percent", "4000000000\n")]);
        card.refresh();
        assert_eq!((card.get_vram_device_usage_bytes(), card.get_device_busy_ratio()), (None, None));
        assert_eq!(
            (card.get_vram_heaps()[0].peak_bytes, card.get_vram_capacity_bytes()),
            (Some(1 << 30), Some(17_163_091_968))
        );
        fs::remove_dir_all(root.path().join("sys")).unwrap();
        card.refresh();
        assert_eq!((card.get_vram_device_usage_bytes(), card.get_vram_capacity_bytes()), (None, None));
        assert_eq!(card.get_vram_heaps(), []);
        assert!(AmdgpuProvider::all_under(root.path()).is_empty());
    }

    mod any_bytes {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(64))]

            #[test]
            fn are_a_number_or_nothing(
                used in prop_oneof![any::<u64>().prop_map(|number| number.to_string().into_bytes()), prop::collection::vec(any::<u8>(), 0..80)],
                uevent in prop::collection::vec(any::<u8>(), 0..200),
            ) {
                let root = tempfile::tempdir().unwrap();
                plant(root.path(), "card0", &ALL);
                let device = root.path().join("sys/class/drm/card0/device");
                fs::write(device.join("mem_info_vram_used"), &used).unwrap();
                fs::write(device.join("uevent"), uevent).unwrap();
                let card = AmdgpuProvider::all_under(root.path()).remove(0);
                card.refresh();
                let expected = std::str::from_utf8(&used).ok().and_then(|text| text.trim().parse().ok());
                prop_assert_eq!(card.get_vram_device_usage_bytes(), expected);
            }
        }
    }
}
