//! A memory pool under churn, with what it loses and what it moves.
//!
//! ```text
//! cargo run --release --example memory_pool --features memory-pools -- --allocations 1000 --runtime 60s
//! ```
//!
//! Walk it from here: [`traces`] says what is asked for in each frame, [`pooled`] carries that out on a pool and knows what must lie in its
//! blocks, [`hour`] judges it. While it runs its figures are on /metrics (`vitals_pool_*`).

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod hour;
mod options;
mod pooled;
mod traces;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use clap::Parser;
use engine_vitals::Vitals;
use engine_vitals::resources::pool::layout::LayoutConfig;
use engine_vitals::resources::pool::{MemoryPool, MemoryPoolConfig, PoolStats};
use indicatif::{ProgressBar, ProgressStyle};

use crate::hour::{Hour, Quality};
use crate::options::Options;
use crate::pooled::Pooled;
use crate::traces::{FRAMES_A_MINUTE, FRAMES_A_SECOND, Trace};

/// How examples end without an adapter.
const NO_ADAPTER: u8 = 3;
/// The part of the budget that a frame may move.
const MOVES_DIVISOR: u64 = 256;

/// Set by Ctrl-C (and by SIGTERM).
static STOP: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Problem::NoAdapter(problem)) => {
            eprintln!("memory_pool: {problem}");
            ExitCode::from(NO_ADAPTER)
        }
        Err(Problem::Other(problem)) => {
            eprintln!("memory_pool: {problem}");
            ExitCode::FAILURE
        }
    }
}

enum Problem {
    NoAdapter(String),
    Other(String),
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self::Other(problem)
    }
}

fn run(options: &Options) -> Result<(), Problem> {
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).map_err(|error| error.to_string())?;
    let vitals = Vitals::builder().app("memory_pool", env!("CARGO_PKG_VERSION")).listen(options.listen).start();
    if let Some(url) = vitals.url() {
        println!("Figures: {url}metrics");
    }
    let (device, queue) = open(&vitals)?;
    let budget = options.budget();
    println!("{}, {} of memory at most, {} frames", options.trace.name(), ByteSize(budget), options.frames());
    let config = MemoryPoolConfig {
        name: "blocks".to_owned(),
        layout: LayoutConfig { budget_bytes: Some(budget), ..LayoutConfig::default() },
        defrag_bytes: if options.no_defragmentation { 0 } else { budget / MOVES_DIVISOR },
        ..MemoryPoolConfig::default()
    };
    let pool = MemoryPool::with_config(&device, &queue, vitals.probe(), config);
    let mut pooled = Pooled::new(&device, &queue, pool.clone(), options.trace.name());
    let mut hour = Hour::new(Trace::new(options.trace, 1, budget, options.occupancy()));
    let progress = progress(options.frames());
    let begun = Instant::now();
    let mut compared = 0;
    let mut frame = 0;
    while frame < options.frames() && !STOP.load(Ordering::Relaxed) {
        hour.frame(&mut pooled);
        vitals.frame();
        frame += 1;
        progress.inc(1);
        if frame.is_multiple_of(FRAMES_A_SECOND / 2) {
            progress.set_message(line(&pool.stats()));
        }
        if frame.is_multiple_of(FRAMES_A_MINUTE) {
            compared += compare(&pooled)?;
        }
        if !options.fast {
            let due = begun + Duration::from_secs_f64(frame as f64 / FRAMES_A_SECOND as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    compared += compare(&pooled)?;
    progress.finish();
    print(&hour.quality(), &pool.stats(), compared);
    match pooled.failure.take() {
        Some(error) => Err(format!("a block could not be had: {error}").into()),
        None => Ok(()),
    }
}

fn open(vitals: &Vitals) -> Result<(wgpu::Device, wgpu::Queue), Problem> {
    let instance = vitals.wrap(wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env()));
    let preferences = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..wgpu::RequestAdapterOptions::default()
    };
    let adapter = pollster::block_on(instance.request_adapter(&preferences)).map_err(|error| {
        Problem::NoAdapter(format!("no GPU adapter (install mesa-vulkan-drivers for a software one): {error}"))
    })?;
    let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..wgpu::DeviceDescriptor::default() };
    let info = adapter.get_info();
    println!("Adapter: {} ({:?})", info.name, info.backend);
    pollster::block_on(adapter.request_device(&descriptor))
        .map_err(|error| Problem::Other(format!("no device: {error}")))
}

fn progress(frames: u64) -> ProgressBar {
    let progress = ProgressBar::new(frames);
    let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} {msg}");
    progress.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn line(stats: &PoolStats) -> String {
    let memory = &stats.memory;
    let loss = memory.loss_ratio().map_or_else(String::new, |loss| format!(", {:.1} % lost", 100.0 * loss));
    format!("{} blocks in {}{loss}, {} moved", memory.live_blocks, ByteSize(memory.reserved_bytes), stats.defrag.moved)
}

/// Returns how many blocks hold what was written to them: all of them.
fn compare(pooled: &Pooled) -> Result<u64, Problem> {
    let found = pooled.compare()?;
    if found.wrong > 0 {
        return Err(format!("{} of {} blocks do not hold what was written", found.wrong, found.blocks).into());
    }
    Ok(found.blocks)
}

fn print(quality: &Quality, stats: &PoolStats, compared: u64) {
    println!(
        "{} frames, {} blocks given out, {} at once at most",
        quality.frames, quality.allocations, quality.most_blocks
    );
    println!("{} could not be had", quality.failures);
    println!("{compared} compared with what was written: the same");
    if quality.mean_loss().is_finite() {
        let (worst, mean) = (100.0 * quality.worst_loss, 100.0 * quality.mean_loss());
        println!("lost of what is reserved: {worst:.2} % in the worst frame, {mean:.2} % in the mean");
        let (worst, mean) = (quality.worst_reserved, quality.mean_reserved());
        println!(
            "reserved, against the most asked for in the minute before: {worst:.3}x in the worst frame, {mean:.3}x in the mean"
        );
    } else {
        println!("the first half minute is not judged");
    }
    let moved = &stats.defrag;
    println!(
        "{} blocks moved, {} ({} in a frame at most); {} given back by that; {} slabs made, {} given back",
        moved.moved,
        ByteSize(moved.moved_bytes),
        ByteSize(quality.most_moved_bytes),
        ByteSize(moved.recovered_bytes),
        quality.buffers_made,
        stats.slabs_released
    );
}
