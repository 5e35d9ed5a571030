//! engine-vitals in this engine: what is measured, and where it is served.
//!
//! Without the feature `telemetry` the same source compiles to calls that do nothing.

use engine_vitals::contract::bytes_to_mb;
use engine_vitals::memory::get_currently_allocated_bytes;
use engine_vitals::{TrackingAllocator, Vitals};

use crate::failure::Failure;
use crate::options::Options;

/// Counts the heap of this program.
#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system();

/// Starts measuring and serving, and prints where.
///
/// # Errors
/// When `--listen` cannot be listened on.
pub(crate) fn start(options: &Options) -> Result<Vitals, Failure> {
    let vitals = Vitals::builder().app("engine", env!("CARGO_PKG_VERSION")).listen(options.listen).start();
    match vitals.url() {
        Some(url) => println!("page:    {url}\nmetrics: {url}metrics"),
        None if cfg!(feature = "serve") => {
            return Err(Failure::Running(format!("--listen {}: {}", options.listen, vitals.notices().join("; "))));
        }
        None => println!("telemetry is off or not served: nothing listens on {}", options.listen),
    }
    Ok(vitals)
}

/// The main figures in a few words; what is not known is left out.
pub(crate) fn status(vitals: &Vitals) -> String {
    if !cfg!(feature = "telemetry") {
        return String::new();
    }
    let totals = vitals.tracker().totals();
    let device = totals.device();
    let gpu = vitals.registry().gpu("gpu").and_then(|gpu| gpu.get_gpu_report());
    let vram = vitals.registry().vram("vram").and_then(|vram| vram.get_vram_report());
    let parts = [
        gpu.and_then(|report| report.frame_total_duration()).map(|time| format!("gpu {time:.1?}")),
        get_currently_allocated_bytes().map(|bytes| format!("heap {}", mebibytes(bytes))),
        vram.map(|report| format!("vram {}", mebibytes(report.current_usage_bytes))),
        Some(format!("{} resources, {}", device.live(), mebibytes(device.live_bytes()))),
        Some(format!("{} submissions in flight", totals.submissions.in_flight())),
    ];
    parts.into_iter().flatten().map(|part| format!("  {part}")).collect()
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes_to_mb(bytes))
}
