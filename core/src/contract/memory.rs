//! The heap as a whole: its totals, and what can be calculated from them.

use super::usage::bytes_to_mb;

/// The heap of this process, as its allocator counted it.
///
/// It exists only once something was allocated, so that no ratio in it divides by zero. A reallocation adds its old size to the bytes
/// deallocated and its new size to the bytes allocated (in the size class of the new size), and counts as neither an allocation nor a
/// deallocation.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct MemoryReport {
    /// Bytes live at the time of the report.
    pub current_usage_bytes: u64,
    /// The most bytes live at once since the start or the last reset, within the bound that the allocator's documentation gives.
    pub peak_usage_bytes: u64,
    /// Change of the live bytes since the report before this one; negative when memory was given back.
    pub allocation_delta_bytes: i64,
    /// Change of the live blocks since the report before this one.
    pub allocation_delta_count: i64,
    /// Allocations since the report before this one: those of a frame, where a report is made each frame.
    pub frame_allocations: u64,
    /// Bytes allocated since the report before this one, by allocations and reallocations.
    pub frame_allocated_bytes: u64,
    /// Bytes live that are Engine Vitals' own (the tag `engine-vitals`); `None` where the allocator keeps no tags.
    pub own_bytes: Option<u64>,
    /// How many reports this monitor has made, this one included.
    pub sample_count: u64,
    /// Allocations over life.
    pub total_allocations: u64,
    /// Deallocations over life.
    pub total_deallocations: u64,
    /// Reallocations over life.
    pub total_reallocations: u64,
    /// Bytes allocated over life.
    pub bytes_allocated_lifetime: u64,
    /// Bytes deallocated over life.
    pub bytes_deallocated_lifetime: u64,
    /// Allocations of 1 MiB and more.
    pub large_allocations: u64,
    /// Bytes allocated in blocks of 1 MiB and more.
    pub large_allocation_bytes: u64,
    /// Allocations below 1 MiB.
    pub small_allocations: u64,
    /// Bytes allocated in blocks below 1 MiB.
    pub small_allocation_bytes: u64,
    /// Share of the allocator's resident memory that is not allocated (1 - allocated / resident), from the allocator's own figures;
    /// `None` where it has none.
    pub fragmentation_ratio: Option<f64>,
    /// Bytes live as a share of the bytes allocated over life, 0 to 1.
    pub allocation_efficiency: f64,
    /// Bytes allocated over life per allocation.
    pub average_allocation_size: f64,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people: ratios and mebibytes")]
impl MemoryReport {
    /// A report with these totals, whose changes are those since the totals `before`: the default for a first report. The derived ratios
    /// are calculated. `None` when nothing was ever allocated, and when either totals are broken.
    ///
    /// [`own_bytes`](Self::own_bytes) is left unknown.
    #[must_use]
    pub fn from_totals(
        totals: HeapTotals,
        before: HeapTotals,
        peak_usage_bytes: u64,
        sample_count: u64,
    ) -> Option<Self> {
        let (allocations, allocated) = (totals.allocations(), totals.allocated_bytes());
        if allocations == 0 || allocated == 0 {
            return None;
        }
        let change = |now: u64, before: u64| now.wrapping_sub(before).cast_signed();
        let live = totals.live_bytes()?;
        Some(Self {
            current_usage_bytes: live,
            peak_usage_bytes: peak_usage_bytes.max(live),
            allocation_delta_bytes: change(live, before.live_bytes()?),
            allocation_delta_count: change(totals.live_allocations()?, before.live_allocations()?),
            frame_allocations: allocations.checked_sub(before.allocations())?,
            frame_allocated_bytes: allocated.checked_sub(before.allocated_bytes())?,
            own_bytes: None,
            sample_count,
            total_allocations: allocations,
            total_deallocations: totals.deallocations,
            total_reallocations: totals.reallocations,
            bytes_allocated_lifetime: allocated,
            bytes_deallocated_lifetime: totals.deallocated_bytes,
            large_allocations: totals.large_allocations,
            large_allocation_bytes: totals.large_allocation_bytes,
            small_allocations: totals.small_allocations,
            small_allocation_bytes: totals.small_allocation_bytes,
            fragmentation_ratio: totals.fragmentation_ratio,
            allocation_efficiency: live as f64 / allocated as f64,
            average_allocation_size: allocated as f64 / allocations as f64,
        })
    }

    /// Live bytes in MiB.
    #[must_use]
    pub fn current_usage_mb(&self) -> f64 {
        bytes_to_mb(self.current_usage_bytes)
    }

    /// Peak in MiB.
    #[must_use]
    pub fn peak_usage_mb(&self) -> f64 {
        bytes_to_mb(self.peak_usage_bytes)
    }

    /// Bytes live that are the engine's: all but [`own_bytes`](Self::own_bytes). `None` where the allocator keeps no tags.
    #[must_use]
    pub fn engine_usage_bytes(&self) -> Option<u64> {
        // The two are not of one instant: what others freed between them may be missing from the total.
        self.own_bytes.map(|own| self.current_usage_bytes.saturating_sub(own))
    }

    /// Change since the report before this one in KiB.
    #[must_use]
    pub fn allocation_delta_kb(&self) -> f64 {
        self.allocation_delta_bytes as f64 / 1024.0
    }

    /// Allocations and deallocations per report.
    #[must_use]
    pub fn memory_turnover_rate(&self) -> f64 {
        (self.total_allocations + self.total_deallocations) as f64 / self.sample_count.max(1) as f64
    }

    /// Share of the allocations that were of 1 MiB and more, in percent.
    #[must_use]
    pub fn large_allocation_percentage(&self) -> f64 {
        self.large_allocations as f64 / self.total_allocations.max(1) as f64 * 100.0
    }

    /// [`allocation_efficiency`](Self::allocation_efficiency) in percent.
    #[must_use]
    pub fn memory_utilization_efficiency(&self) -> f64 {
        self.allocation_efficiency * 100.0
    }

    /// Bytes per allocation in MiB.
    #[must_use]
    pub fn average_allocation_size_mb(&self) -> f64 {
        self.average_allocation_size / (1024.0 * 1024.0)
    }

    /// `Low` below 0.1, `Moderate` below 0.3, `High` below 0.6, else `Critical`; `Unknown` where the ratio is absent.
    #[must_use]
    pub fn fragmentation_status(&self) -> &'static str {
        match self.fragmentation_ratio {
            None => "Unknown",
            Some(ratio) if ratio < 0.1 => "Low",
            Some(ratio) if ratio < 0.3 => "Moderate",
            Some(ratio) if ratio < 0.6 => "High",
            Some(_) => "Critical",
        }
    }
}

/// What a tracking allocator has counted since the process began. All figures only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HeapTotals {
    /// Allocations of 1 MiB and more.
    pub large_allocations: u64,
    /// Bytes allocated in blocks of 1 MiB and more, by allocations and reallocations.
    pub large_allocation_bytes: u64,
    /// Allocations below 1 MiB.
    pub small_allocations: u64,
    /// Bytes allocated in blocks below 1 MiB, by allocations and reallocations.
    pub small_allocation_bytes: u64,
    /// Deallocations.
    pub deallocations: u64,
    /// Bytes deallocated, by deallocations and reallocations.
    pub deallocated_bytes: u64,
    /// Reallocations.
    pub reallocations: u64,
    /// Allocations and reallocations that the inner allocator refused.
    pub failed_allocations: u64,
    /// 1 - allocated / resident from the inner allocator's own figures, where it has them and an `AllocatorMonitor` reads them: the last read.
    pub fragmentation_ratio: Option<f64>,
}

impl HeapTotals {
    /// Allocations of every size.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        self.large_allocations + self.small_allocations
    }

    /// Bytes allocated over life.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        self.large_allocation_bytes + self.small_allocation_bytes
    }

    /// Bytes live; `None` if more was freed than allocated, which means that the counting is broken.
    #[must_use]
    pub fn live_bytes(&self) -> Option<u64> {
        self.allocated_bytes().checked_sub(self.deallocated_bytes)
    }

    /// Blocks live; `None` if more was freed than allocated, which means that the counting is broken.
    #[must_use]
    pub fn live_allocations(&self) -> Option<u64> {
        self.allocations().checked_sub(self.deallocations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two blocks of 3 MiB and 1 MiB, three of 512 KiB in all, one of them grown to 1 MiB; the 3 MiB went back.
    const TOTALS: HeapTotals = HeapTotals {
        large_allocations: 2,
        large_allocation_bytes: (3 + 1 + 1) << 20,
        small_allocations: 3,
        small_allocation_bytes: 512 << 10,
        deallocations: 1,
        deallocated_bytes: (3 << 20) + (128 << 10),
        reallocations: 1,
        failed_allocations: 0,
        fragmentation_ratio: None,
    };

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-12, "{value}, expected {expected}");
    }

    #[test]
    fn a_memory_report_follows_the_formulas() {
        // Before: the 3 MiB, and a fourth small block of 3 KiB that went back.
        let before = HeapTotals {
            large_allocations: 1,
            large_allocation_bytes: 3 << 20,
            small_allocations: 1,
            small_allocation_bytes: 3 << 10,
            ..HeapTotals::default()
        };
        let report = MemoryReport::from_totals(TOTALS, before, 5 << 20, 4).unwrap();
        // 5.5 MiB allocated, 3.125 MiB freed.
        assert_eq!(report.current_usage_bytes, 2_490_368);
        assert_eq!((report.total_allocations, report.total_deallocations, report.total_reallocations), (5, 1, 1));
        assert_eq!((report.bytes_allocated_lifetime, report.bytes_deallocated_lifetime), (5_767_168, 3_276_800));
        close(report.allocation_efficiency, 2.375 / 5.5);
        close(report.memory_utilization_efficiency(), 237.5 / 5.5);
        close(report.average_allocation_size, 5_767_168.0 / 5.0);
        close(report.average_allocation_size_mb(), 1.1);
        close(report.memory_turnover_rate(), 1.5);
        close(report.large_allocation_percentage(), 40.0);
        close(report.current_usage_mb(), 2.375);
        close(report.peak_usage_mb(), 5.0);
        // 2.375 MiB in 4 blocks, after 3 MiB and 3 KiB in 2.
        assert_eq!((report.allocation_delta_bytes, report.allocation_delta_count), (-658_432, 2));
        close(report.allocation_delta_kb(), -643.0);
        assert_eq!((report.frame_allocations, report.frame_allocated_bytes), (3, (5_632 - 3_075) << 10));
        assert_eq!((report.own_bytes, report.engine_usage_bytes()), (None, None));
        let tagged = |own| MemoryReport { own_bytes: Some(own), ..report }.engine_usage_bytes();
        assert_eq!((tagged(0), tagged(368), tagged(u64::MAX)), (Some(2_490_368), Some(2_490_000), Some(0)));
    }

    #[test]
    fn a_peak_never_lies_below_the_live_bytes() {
        let report = MemoryReport::from_totals(TOTALS, HeapTotals::default(), 1, 1).unwrap();
        assert_eq!(report.peak_usage_bytes, report.current_usage_bytes);
    }

    #[test]
    fn there_is_no_report_of_nothing_and_none_of_broken_counts() {
        assert_eq!(MemoryReport::from_totals(HeapTotals::default(), HeapTotals::default(), 0, 1), None);
        let broken = HeapTotals { deallocated_bytes: TOTALS.allocated_bytes() + 1, deallocations: 6, ..TOTALS };
        assert_eq!((broken.live_bytes(), broken.live_allocations()), (None, None));
        assert_eq!(MemoryReport::from_totals(broken, HeapTotals::default(), 0, 1), None);
        let all_freed = HeapTotals { deallocated_bytes: TOTALS.allocated_bytes(), deallocations: 5, ..TOTALS };
        assert_eq!((all_freed.live_bytes(), all_freed.live_allocations()), (Some(0), Some(0)));
    }

    #[test]
    fn fragmentation_has_four_degrees_and_unknown() {
        let status = |ratio| {
            let totals = HeapTotals { fragmentation_ratio: ratio, ..TOTALS };
            MemoryReport::from_totals(totals, HeapTotals::default(), 0, 1).unwrap().fragmentation_status()
        };
        let degrees = [0.0, 0.099, 0.1, 0.299, 0.3, 0.599, 0.6, 1.0].map(|ratio| status(Some(ratio)));
        assert_eq!(degrees, ["Low", "Low", "Moderate", "Moderate", "High", "High", "Critical", "Critical"]);
        assert_eq!(status(None), "Unknown");
    }
}
