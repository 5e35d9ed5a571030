//! engine-vitals in this engine: what is measured, and where it is served.
//!
//! Without the feature `telemetry` the same source compiles to calls that do nothing.

use std::time::Duration;

use engine_vitals::contract::StoreReport;
use engine_vitals::memory::get_currently_allocated_bytes;
use engine_vitals::tracker::Totals;
use engine_vitals::{TrackingAllocator, Vitals};

use crate::failure::Failure;
use crate::options::Options;

/// Counts the heap of this program, by tag and by size too.
#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system().with_tags().with_size_histogram();

/// What the heap of this program should stay within.
const HEAP_BUDGET: u64 = 1 << 30;

/// Bytes of GPU memory that the scene should stay within, by far.
const GPU_BUDGET: u64 = 256 << 20;

/// Starts measuring and serving.
///
/// # Errors
/// When `--listen` cannot be listened on.
pub(crate) fn start(options: &Options) -> Result<Vitals, Failure> {
    let vitals = Vitals::builder()
        .app("engine", env!("CARGO_PKG_VERSION"))
        .listen(options.listen)
        .heap_budget(HEAP_BUDGET)
        .gpu_budget(GPU_BUDGET)
        .start();
    if cfg!(feature = "serve") && vitals.url().is_none() {
        return Err(Failure::Running(format!("--listen {}: {}", options.listen, vitals.notices().join("; "))));
    }
    Ok(vitals)
}

/// Prints where the figures are served.
pub(crate) fn announce(vitals: &Vitals, options: &Options) {
    match vitals.url() {
        Some(url) => println!("page:    {url}\nmetrics: {url}metrics"),
        None => println!("telemetry is off or not served: nothing listens on {}", options.listen),
    }
}

/// The main figures at one moment; what is not known is `None`.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) gpu_frame: Option<Duration>,
    pub(crate) cpu_preparation: Option<Duration>,
    pub(crate) cpu_encode: Option<Duration>,
    pub(crate) cpu_submission: Option<Duration>,
    pub(crate) cpu_present: Option<Duration>,
    pub(crate) heap_bytes: Option<u64>,
    pub(crate) vram_bytes: Option<u64>,
    pub(crate) resources: Option<Resources>,
    /// Rings and pools: what they are called, and how they stand.
    pub(crate) stores: Vec<(String, String)>,
}

/// What the tracker knows of all resources.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    pub(crate) live: u64,
    pub(crate) live_bytes: u64,
    pub(crate) pending_bytes: u64,
    pub(crate) in_flight: u64,
    /// Kind, live resources and bytes, most bytes first.
    pub(crate) owners: Vec<(&'static str, u64, u64)>,
}

impl Figures {
    /// Reads the registry and the tracker.
    pub(crate) fn read(vitals: &Vitals) -> Self {
        let gpu = vitals.registry().gpu("gpu").and_then(|gpu| gpu.get_gpu_report());
        let vram = vitals.registry().vram("vram").and_then(|vram| vram.get_vram_report());
        Self {
            gpu_frame: gpu.as_ref().and_then(|report| report.frame_total_duration()),
            cpu_preparation: gpu.as_ref().and_then(|report| report.cpu_preparation_time()),
            cpu_encode: gpu.as_ref().and_then(|report| report.cpu_encode_time()),
            cpu_submission: gpu.as_ref().and_then(|report| report.cpu_submission_time()),
            cpu_present: gpu.as_ref().and_then(|report| report.cpu_present_time()),
            heap_bytes: get_currently_allocated_bytes(),
            vram_bytes: vram.map(|report| report.current_usage_bytes),
            resources: cfg!(feature = "instrument").then(|| Resources::of(&vitals.tracker().totals())),
            stores: vitals.tracker().stores().iter().filter_map(store).collect(),
        }
    }
}

/// A ring or pool in a few words.
fn store(report: &StoreReport) -> Option<(String, String)> {
    Some(match report {
        StoreReport::StagingRing(ring) => {
            (format!("ring {}", ring.name), format!("{} stalls {:>10}", ring.stalls, bytes(ring.ring_bytes)))
        }
        StoreReport::MemoryPool(pool) => {
            let loss = pool.loss_ratio().map_or_else(String::new, |loss| format!("{:.1} % lost", loss * 100.0));
            (format!("pool {}", pool.name), format!("{loss} {:>10}", bytes(pool.reserved_bytes)))
        }
        StoreReport::TargetPool(pool) => {
            let held = pool.used_bytes.saturating_add(pool.idle_bytes);
            (format!("targets {}", pool.name), format!("{} made {:>10}", pool.created, bytes(held)))
        }
        _ => return None,
    })
}

impl Resources {
    fn of(totals: &Totals) -> Self {
        let device = totals.device();
        let live = |(kind, totals): (engine_vitals::OwnerKind, engine_vitals::tracker::KindTotals)| {
            (kind.name(), totals.device.live(), totals.device.live_bytes())
        };
        let mut owners: Vec<_> = totals.owner_kinds().map(live).collect();
        owners.sort_by_key(|&(_, live, bytes)| std::cmp::Reverse((bytes, live)));
        Self {
            live: device.live(),
            live_bytes: device.live_bytes(),
            pending_bytes: device.pending_bytes(),
            in_flight: totals.submissions.in_flight(),
            owners,
        }
    }
}

/// The main figures in a few words; what is not known is left out.
pub(crate) fn status(vitals: &Vitals) -> String {
    let Figures { gpu_frame, heap_bytes, vram_bytes, resources, .. } = Figures::read(vitals);
    let parts = [
        gpu_frame.map(|time| format!("gpu {time:.1?}")),
        heap_bytes.map(|heap| format!("heap {}", bytes(heap))),
        vram_bytes.map(|vram| format!("vram {}", bytes(vram))),
        resources.as_ref().map(|all| format!("{} resources, {}", all.live, bytes(all.live_bytes))),
        resources.as_ref().map(|all| format!("{} submissions in flight", all.in_flight)),
    ];
    parts.into_iter().flatten().map(|part| format!("  {part}")).collect()
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match count {
        0..KIB => format!("{count} B"),
        KIB..MIB => format!("{:.1} KiB", count as f64 / KIB as f64),
        MIB.. => format!("{:.1} MiB", count as f64 / MIB as f64),
    }
}
