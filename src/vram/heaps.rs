//! What graphics APIs say of a device's heaps: the arithmetic, the same on all platforms.

use std::fmt::Debug;
use std::time::Duration;

use engine_vitals_core::contract::{VramHeap, VramProvider};
use parking_lot::Mutex;

/// Asks a graphics API for the heaps of one device.
pub trait HeapQuery: Debug + Send + Sync {
    /// The name of the source, as [`VramProvider::source`] has it.
    fn source(&self) -> &'static str;

    /// The heaps as they are now, in an order that stays; `None` if the API does not answer.
    /// Peaks are not asked for: the provider keeps its own.
    fn query(&self) -> Option<Vec<VramHeap>>;
}

/// The memory that this process uses on a device, heap by heap, as a graphics API tells it.
///
/// Usage, budget and capacity are the sums over the device's own heaps, or over all where it has none of its own; a sum of which a part is
/// unknown is unknown. Peaks are the highest values seen at a refresh. All figures are absent before the first refresh, and after one that
/// the API did not answer.
#[derive(Debug)]
pub struct HeapProvider<Q> {
    query: Q,
    interval: Duration,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// With their peaks.
    heaps: Vec<VramHeap>,
    /// By heap, in the heaps' order; they stay when the API does not answer.
    peaks: Vec<Option<u64>>,
    peak: Option<u64>,
}

impl<Q: HeapQuery> HeapProvider<Q> {
    /// A provider of what `query` answers.
    #[must_use]
    pub fn of(query: Q) -> Self {
        Self { query, interval: Duration::from_secs(1), kept: Mutex::default() }
    }

    /// How often the figures are to be read; one second by default.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Where the figures come from.
    #[must_use]
    pub fn query(&self) -> &Q {
        &self.query
    }

    fn sum(&self, figure: fn(&VramHeap) -> Option<u64>) -> Option<u64> {
        sum(&self.kept.lock().heaps, figure)
    }
}

impl<Q: HeapQuery> VramProvider for HeapProvider<Q> {
    fn source(&self) -> &'static str {
        self.query.source()
    }

    fn refresh(&self) {
        // Outside the lock: the API may take milliseconds, and readers are to find the last figures meanwhile.
        let mut heaps = self.query.query().unwrap_or_default();
        let mut kept = self.kept.lock();
        if kept.peaks.len() < heaps.len() {
            kept.peaks.resize(heaps.len(), None);
        }
        for (peak, heap) in kept.peaks.iter_mut().zip(&mut heaps) {
            *peak = (*peak).max(heap.used_bytes);
            heap.peak_bytes = *peak;
        }
        kept.peak = kept.peak.max(sum(&heaps, |heap| heap.used_bytes));
        kept.heaps = heaps;
    }

    fn refresh_interval(&self) -> Duration {
        self.interval
    }

    fn get_vram_usage_bytes(&self) -> Option<u64> {
        self.sum(|heap| heap.used_bytes)
    }

    fn get_vram_peak_bytes(&self) -> Option<u64> {
        self.kept.lock().peak
    }

    fn get_vram_capacity_bytes(&self) -> Option<u64> {
        self.sum(|heap| heap.capacity_bytes)
    }

    fn get_vram_budget_bytes(&self) -> Option<u64> {
        self.sum(|heap| heap.budget_bytes)
    }

    fn get_vram_heaps(&self) -> Vec<VramHeap> {
        self.kept.lock().heaps.clone()
    }
}

/// Over the device's own heaps, or over all where it has none of its own.
fn sum(heaps: &[VramHeap], figure: fn(&VramHeap) -> Option<u64>) -> Option<u64> {
    let own = |heap: &VramHeap| heap.local == Some(true);
    let all = !heaps.iter().any(own);
    let mut counted = heaps.iter().filter(|heap| all || own(heap)).peekable();
    counted.peek()?;
    counted.try_fold(0, |sum: u64, heap| sum.checked_add(figure(heap)?))
}

/// Vulkan's: size, and whether it is the device's own; with `VK_EXT_memory_budget` usages and budgets by heap.
#[cfg(any(
    test,
    all(feature = "vulkan", any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))
))]
pub(super) fn of_vulkan(heaps: &[(u64, bool)], usages_and_budgets: Option<(&[u64], &[u64])>) -> Vec<VramHeap> {
    let of = |(index, &(size, local)): (usize, &(u64, bool))| {
        let (usages, budgets) = usages_and_budgets.unwrap_or_default();
        let mut heap = VramHeap::new(format!("{}-{index}", if local { "device" } else { "host" }));
        heap.local = Some(local);
        heap.used_bytes = usages.get(index).copied();
        // The specification forbids a budget of 0; a driver that writes one has none for this heap.
        heap.budget_bytes = budgets.get(index).copied().filter(|&budget| budget > 0);
        heap.capacity_bytes = Some(size);
        heap
    };
    heaps.iter().enumerate().map(of).collect()
}

/// What DXGI says of one of an adapter's two segment groups.
#[cfg(any(test, all(feature = "dx12", windows)))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) used: u64,
    pub(super) budget: u64,
}

/// DXGI's: the local segment group (`DXGI_MEMORY_SEGMENT_GROUP_LOCAL`) and the other one, with the adapter's own memory and the system's that
/// it may share. Where an adapter has little or no memory of its own, its local segments lie in the system's, and their capacity is not
/// that of its own memory: the budget is larger.
#[cfg(any(test, all(feature = "dx12", windows)))]
pub(super) fn of_dxgi(local: Option<Segment>, other: Option<Segment>, dedicated: u64, shared: u64) -> Vec<VramHeap> {
    let heap = |name: &'static str, is_local, segment: Option<Segment>, capacity: u64| {
        let budget = segment.map(|segment| segment.budget).filter(|&budget| budget > 0);
        let mut heap = VramHeap::new(name);
        heap.local = Some(is_local);
        heap.used_bytes = segment.map(|segment| segment.used);
        heap.budget_bytes = budget;
        heap.capacity_bytes = Some(capacity).filter(|&capacity| capacity > 0 && Some(capacity) >= budget);
        heap
    };
    vec![heap("local", true, local, dedicated), heap("non-local", false, other, shared)]
}

/// Metal's one: what the device has allocated, and how much it should at most (`recommendedMaxWorkingSetSize`). What its memory holds is
/// not to be had: mostly it is the system's.
#[cfg(any(test, all(feature = "metal", target_vendor = "apple")))]
pub(super) fn of_metal(allocated: u64, recommended: u64) -> Vec<VramHeap> {
    let mut heap = VramHeap::new("device");
    heap.local = Some(true);
    heap.used_bytes = Some(allocated);
    heap.budget_bytes = Some(recommended).filter(|&bytes| bytes > 0);
    vec![heap]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// Answers one after the other; the last is given first.
    #[derive(Debug)]
    struct Planned(Mutex<Vec<Option<Vec<VramHeap>>>>);

    impl HeapQuery for Planned {
        fn source(&self) -> &'static str {
            "planned"
        }
        fn query(&self) -> Option<Vec<VramHeap>> {
            self.0.lock().pop().flatten()
        }
    }

    fn provider(mut answers: Vec<Option<Vec<VramHeap>>>) -> HeapProvider<Planned> {
        answers.reverse();
        HeapProvider::of(Planned(Mutex::new(answers)))
    }

    /// Usage, peak, budget, capacity.
    fn figures(provider: &HeapProvider<Planned>) -> [Option<u64>; 4] {
        provider.refresh();
        [
            provider.get_vram_usage_bytes(),
            provider.get_vram_peak_bytes(),
            provider.get_vram_budget_bytes(),
            provider.get_vram_capacity_bytes(),
        ]
    }

    #[test]
    fn the_devices_own_heaps_count_and_the_others_are_told_apart() {
        let sizes = [(8 * GIB, true), (32 * GIB, false), (GIB, true)];
        let answer = |usages: [u64; 3]| Some(of_vulkan(&sizes, Some((&usages, &[7 * GIB, 30 * GIB, GIB]))));
        let provider = provider(vec![answer([5, 70, 3]), answer([2, 90, 4]), None, answer([1, 1, 1])]);
        assert_eq!(
            (provider.get_vram_usage_bytes(), provider.get_vram_heaps()),
            (None, vec![]),
            "nothing was asked yet"
        );
        assert_eq!(figures(&provider), [Some(8), Some(8), Some(8 * GIB), Some(9 * GIB)]);
        assert_eq!(figures(&provider), [Some(6), Some(8), Some(8 * GIB), Some(9 * GIB)]);
        let heaps: Vec<_> =
            provider.get_vram_heaps().into_iter().map(|heap| (heap.name, heap.used_bytes, heap.peak_bytes)).collect();
        let expected = [("device-0", 2, 5), ("host-1", 90, 90), ("device-2", 4, 4)];
        assert_eq!(heaps, expected.map(|(name, used, peak)| (name.into(), Some(used), Some(peak))));
        assert_eq!(figures(&provider), [None, Some(8), None, None], "no answer, no figures");
        assert_eq!(provider.get_vram_heaps(), []);
        assert_eq!(figures(&provider), [Some(2), Some(8), Some(8 * GIB), Some(9 * GIB)]);
    }

    #[test]
    fn vulkan_without_the_extension_knows_its_capacities_alone() {
        let heaps = of_vulkan(&[(GIB, true), (2 * GIB, false)], None);
        let provider = provider(vec![Some(heaps)]);
        assert_eq!(figures(&provider), [None, None, None, Some(GIB)]);
        assert_eq!(provider.get_vram_heaps()[1].capacity_bytes, Some(2 * GIB));
        let zero = of_vulkan(&[(GIB, true)], Some((&[0], &[0])));
        assert_eq!(
            (zero[0].used_bytes, zero[0].budget_bytes),
            (Some(0), None),
            "nothing used is a measure, no budget is none"
        );
    }

    #[test]
    fn without_heaps_of_its_own_a_device_uses_all() {
        let provider = provider(vec![Some(of_vulkan(&[(GIB, false), (GIB, false)], Some((&[1, 2], &[GIB, GIB]))))]);
        assert_eq!(figures(&provider), [Some(3), Some(3), Some(2 * GIB), Some(2 * GIB)]);
    }

    #[test]
    fn dxgi_tells_its_two_segment_groups() {
        let segment = |used, budget| Some(Segment { used, budget });
        let discrete = of_dxgi(segment(5, 7 * GIB), segment(2, 15 * GIB), 8 * GIB, 16 * GIB);
        let provider = provider(vec![Some(discrete)]);
        assert_eq!(figures(&provider), [Some(5), Some(5), Some(7 * GIB), Some(8 * GIB)]);
        assert_eq!(provider.get_vram_heaps()[1].capacity_bytes, Some(16 * GIB));

        let integrated = of_dxgi(segment(5, 7 * GIB), segment(0, 0), 128 << 20, 8 * GIB);
        assert_eq!((integrated[0].budget_bytes, integrated[0].capacity_bytes), (Some(7 * GIB), None));
        assert_eq!((integrated[1].used_bytes, integrated[1].budget_bytes), (Some(0), None));
        let silent = of_dxgi(None, None, 0, 0);
        assert!(silent.iter().all(|heap| [heap.used_bytes, heap.budget_bytes, heap.capacity_bytes] == [None; 3]));
    }

    #[test]
    fn an_unknown_part_makes_the_sum_unknown() {
        let mut heaps = of_vulkan(&[(GIB, true), (GIB, true)], Some((&[1, 2], &[0, GIB])));
        assert_eq!((sum(&heaps, |heap| heap.used_bytes), sum(&heaps, |heap| heap.budget_bytes)), (Some(3), None));
        heaps[0].used_bytes = Some(u64::MAX);
        assert_eq!(sum(&heaps, |heap| heap.used_bytes), None, "a sum that no number holds");
        assert_eq!(sum(&[], |heap| heap.used_bytes), None);
    }

    #[test]
    fn metal_tells_what_is_allocated_and_what_it_should_be_at_most() {
        let provider = provider(vec![Some(of_metal(7, 5 * GIB)), Some(of_metal(3, 0))]);
        assert_eq!(figures(&provider), [Some(7), Some(7), Some(5 * GIB), None]);
        assert_eq!(figures(&provider), [Some(3), Some(7), None, None]);
    }
}
