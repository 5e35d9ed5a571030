//! The reports that monitors give, and what can be calculated from them.

use std::time::Duration;

use super::stores::{MemoryPoolReport, StagingRingReport, TargetPoolReport};

/// Bytes in MiB (2^20 bytes), for people to read.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a figure for people, exact to 2^53 bytes")]
pub fn bytes_to_mb(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// How much of a resource is used. A figure that is not known, or that the resource does not have, is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceUsageReport {
    /// Bytes in use now.
    pub current_bytes: Option<u64>,
    /// The most bytes that were in use at once.
    pub peak_bytes: Option<u64>,
    /// Bytes that there are to use.
    pub total_capacity_bytes: Option<u64>,
}

impl ResourceUsageReport {
    /// A report of these figures.
    #[must_use]
    pub fn new(current_bytes: Option<u64>, peak_bytes: Option<u64>, total_capacity_bytes: Option<u64>) -> Self {
        Self { current_bytes, peak_bytes, total_capacity_bytes }
    }

    /// Usage in percent of the capacity; `None` when either is unknown or there is no capacity.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    pub fn usage_percent(&self) -> Option<f64> {
        let capacity = self.total_capacity_bytes.filter(|&bytes| bytes > 0)?;
        Some(self.current_bytes? as f64 / capacity as f64 * 100.0)
    }
}

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

/// The four places of a frame at which its time on the GPU is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum GpuHook {
    /// Before the frame's first work.
    FrameStart = 0,
    /// Before the main pass.
    MainPassBegin = 1,
    /// After the main pass.
    MainPassEnd = 2,
    /// After the frame's last work.
    FrameEnd = 3,
}

impl GpuHook {
    /// All hooks in the order of a frame.
    pub const ALL: [Self; 4] = [Self::FrameStart, Self::MainPassBegin, Self::MainPassEnd, Self::FrameEnd];
}

/// What a frame's time on the CPU is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum CpuPhase {
    /// From the frame's begin to its first hook: simulation, culling, uploads. All of the preparation for a frame without hooks.
    Prepare = 0,
    /// From the first hook to the submission: recording commands.
    Encode = 1,
    /// Inside `Queue::submit`.
    Submit = 2,
    /// Inside the call that presents.
    Present = 3,
}

impl CpuPhase {
    /// All phases in the order of a frame.
    pub const ALL: [Self; 4] = [Self::Prepare, Self::Encode, Self::Submit, Self::Present];

    /// The value of the label `phase`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Encode => "encode",
            Self::Submit => "submit",
            Self::Present => "present",
        }
    }
}

/// The times of one frame, as an engine's own timer or `FrameTimer` hands them in. What was not measured is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameStats {
    /// Number of the frame.
    pub frame_number: u64,
    /// Time on the GPU of each [`GpuHook`], since the first of the frame's hooks.
    pub hooks: [Option<Duration>; 4],
    /// Time on the CPU from the frame's begin to its submission, encoding included.
    pub cpu_preparation: Option<Duration>,
    /// The part of [`cpu_preparation`](Self::cpu_preparation) from the frame's first hook on: recording its commands.
    pub cpu_encode: Option<Duration>,
    /// Time on the CPU spent in submitting.
    pub cpu_submission: Option<Duration>,
    /// Time on the CPU spent in presenting.
    pub cpu_present: Option<Duration>,
}

/// The times of one finished frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuReport {
    /// Number of the frame.
    pub frame_number: u64,
    /// Microseconds on the GPU since the first hook, of FrameStart, MainPassBegin, MainPassEnd, FrameEnd; `None` without timestamps.
    pub hook_timings_us: [Option<u32>; 4],
    /// Microseconds on the CPU from the frame's begin to its submission, encoding included.
    pub cpu_preparation_time_us: Option<u32>,
    /// The part of them from the frame's first hook on; `None` for a frame without hooks.
    pub cpu_encode_time_us: Option<u32>,
    /// Microseconds on the CPU spent in submitting.
    pub cpu_submission_time_us: Option<u32>,
    /// Microseconds on the CPU spent in presenting; `None` for a frame whose presenting was not timed.
    pub cpu_present_time_us: Option<u32>,
}

impl From<FrameStats> for GpuReport {
    fn from(stats: FrameStats) -> Self {
        Self {
            frame_number: stats.frame_number,
            hook_timings_us: stats.hooks.map(|time| time.and_then(micros)),
            cpu_preparation_time_us: stats.cpu_preparation.and_then(micros),
            cpu_encode_time_us: stats.cpu_encode.and_then(micros),
            cpu_submission_time_us: stats.cpu_submission.and_then(micros),
            cpu_present_time_us: stats.cpu_present.and_then(micros),
        }
    }
}

impl FrameStats {
    /// Time on the GPU from one hook to a later one; `None` when one is missing or the later lies before the earlier.
    #[must_use]
    pub fn between(&self, begin: GpuHook, end: GpuHook) -> Option<Duration> {
        self.hooks[end as usize]?.checked_sub(self.hooks[begin as usize]?)
    }

    /// Time on the CPU in a phase of the frame. Phases do not overlap: the preparation ends where encoding begins.
    #[must_use]
    pub fn phase(&self, phase: CpuPhase) -> Option<Duration> {
        match phase {
            CpuPhase::Prepare => Some(self.cpu_preparation?.saturating_sub(self.cpu_encode.unwrap_or_default())),
            CpuPhase::Encode => self.cpu_encode,
            CpuPhase::Submit => self.cpu_submission,
            CpuPhase::Present => self.cpu_present,
        }
    }
}

impl GpuReport {
    /// Time on the GPU of a hook, since the frame's first.
    #[must_use]
    pub fn hook(&self, hook: GpuHook) -> Option<Duration> {
        self.hook_timings_us[hook as usize].map(|us| Duration::from_micros(us.into()))
    }

    /// Microseconds from FrameStart to FrameEnd.
    #[must_use]
    pub fn frame_total_duration_us(&self) -> Option<u32> {
        self.between(GpuHook::FrameStart, GpuHook::FrameEnd)
    }

    /// Microseconds from MainPassBegin to MainPassEnd.
    #[must_use]
    pub fn main_pass_duration_us(&self) -> Option<u32> {
        self.between(GpuHook::MainPassBegin, GpuHook::MainPassEnd)
    }

    /// Time from FrameStart to FrameEnd.
    #[must_use]
    pub fn frame_total_duration(&self) -> Option<Duration> {
        self.frame_total_duration_us().map(|us| Duration::from_micros(us.into()))
    }

    /// Time from MainPassBegin to MainPassEnd.
    #[must_use]
    pub fn main_pass_duration(&self) -> Option<Duration> {
        self.main_pass_duration_us().map(|us| Duration::from_micros(us.into()))
    }

    /// Time on the CPU from the frame's begin to its submission, encoding included.
    #[must_use]
    pub fn cpu_preparation_time(&self) -> Option<Duration> {
        self.cpu_preparation_time_us.map(|us| Duration::from_micros(us.into()))
    }

    /// The part of [`cpu_preparation_time`](Self::cpu_preparation_time) from the frame's first hook on.
    #[must_use]
    pub fn cpu_encode_time(&self) -> Option<Duration> {
        self.cpu_encode_time_us.map(|us| Duration::from_micros(us.into()))
    }

    /// Time on the CPU spent in submitting.
    #[must_use]
    pub fn cpu_submission_time(&self) -> Option<Duration> {
        self.cpu_submission_time_us.map(|us| Duration::from_micros(us.into()))
    }

    /// Time on the CPU spent in presenting.
    #[must_use]
    pub fn cpu_present_time(&self) -> Option<Duration> {
        self.cpu_present_time_us.map(|us| Duration::from_micros(us.into()))
    }

    /// `None` when a hook is missing or the end lies before the begin.
    fn between(&self, begin: GpuHook, end: GpuHook) -> Option<u32> {
        self.hook_timings_us[end as usize]?.checked_sub(self.hook_timings_us[begin as usize]?)
    }
}

/// `None` beyond `u32::MAX` microseconds, 71 minutes: no frame takes that long.
fn micros(time: Duration) -> Option<u32> {
    u32::try_from(time.as_micros()).ok()
}

/// The memory of a graphics adapter, from one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VramReport {
    /// Bytes in use.
    pub current_usage_bytes: u64,
    /// The most bytes seen in use.
    pub peak_usage_bytes: Option<u64>,
    /// Bytes that the memory holds.
    pub capacity_bytes: Option<u64>,
    /// Bytes that this process may use before the system takes some away.
    pub budget_bytes: Option<u64>,
    /// Bytes given out by an allocator inside the process.
    pub allocated_bytes: Option<u64>,
    /// Bytes taken from the driver by an allocator inside the process.
    pub reserved_bytes: Option<u64>,
    /// Bytes in use by all processes.
    pub device_usage_bytes: Option<u64>,
}

impl VramReport {
    /// A report of the usage alone; the other figures are unknown until set.
    #[must_use]
    pub fn new(current_usage_bytes: u64) -> Self {
        Self {
            current_usage_bytes,
            peak_usage_bytes: None,
            capacity_bytes: None,
            budget_bytes: None,
            allocated_bytes: None,
            reserved_bytes: None,
            device_usage_bytes: None,
        }
    }

    /// Bytes in use, in MiB.
    #[must_use]
    pub fn current_usage_mb(&self) -> f64 {
        bytes_to_mb(self.current_usage_bytes)
    }

    /// Peak in MiB.
    #[must_use]
    pub fn peak_usage_mb(&self) -> Option<f64> {
        self.peak_usage_bytes.map(bytes_to_mb)
    }

    /// Capacity in MiB.
    #[must_use]
    pub fn capacity_mb(&self) -> Option<f64> {
        self.capacity_bytes.map(bytes_to_mb)
    }
}

/// What a lifecycle monitor knows of one kind of resource.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindUsage {
    /// Name of the kind.
    pub kind: &'static str,
    /// Resources created over life.
    pub created: u64,
    /// Resources released over life.
    pub destroyed: u64,
    /// Resources live: handle held, not destroyed.
    pub live: u64,
    /// Bytes of the live.
    pub live_bytes: u64,
    /// Resources whose handle is gone or that were destroyed, and that something still references.
    pub pending: u64,
    /// Bytes of the pending.
    pub pending_bytes: u64,
}

impl KindUsage {
    /// The usage of a kind of which nothing was ever created.
    #[must_use]
    pub fn none(kind: &'static str) -> Self {
        Self { kind, created: 0, destroyed: 0, live: 0, live_bytes: 0, pending: 0, pending_bytes: 0 }
    }
}

/// The life of all tracked resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LifecycleReport {
    /// Resources created over life.
    pub created: u64,
    /// Resources released over life.
    pub destroyed: u64,
    /// Resources live.
    pub live: u64,
    /// Bytes of the live, without suballocations.
    pub live_bytes: u64,
    /// The most bytes live at once, within the bound that the book documents.
    pub peak_live_bytes: u64,
    /// Bytes of the pending, without suballocations.
    pub pending_bytes: u64,
    /// The kinds of which at least one resource was created.
    pub kinds: Vec<KindUsage>,
    /// Packets begun.
    pub packets_queued: u64,
    /// Packets presented.
    pub packets_presented: u64,
    /// Packets dropped.
    pub packets_dropped: u64,
    /// Submissions begun.
    pub submissions: u64,
    /// Submissions completed.
    pub submissions_completed: u64,
    /// Events that a ring overwrote before the book's own reader had them.
    pub events_lost: u64,
    /// The staging rings that are listed.
    pub staging_rings: Vec<StagingRingReport>,
    /// The memory pools that are listed.
    pub memory_pools: Vec<MemoryPoolReport>,
    /// The pools of render targets that are listed.
    pub target_pools: Vec<TargetPoolReport>,
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

    #[test]
    fn a_percentage_needs_a_usage_and_a_capacity() {
        let percent = |used, capacity| ResourceUsageReport::new(used, None, capacity).usage_percent();
        assert_eq!(percent(Some(3), Some(4)), Some(75.0));
        assert_eq!(percent(Some(3), None), None);
        assert_eq!(percent(None, Some(4)), None);
        assert_eq!(percent(Some(3), Some(0)), None);
    }
}
