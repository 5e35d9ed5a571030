//! Uploads through a staging ring, with what they cost beyond copying the bytes.
//!
//! ```text
//! cargo run --release --example staging_ring --features staging-rings -- --transfers 100 --size 100MB
//! ```
//!
//! Each transfer writes that many bytes, in pieces if asked to, submits the copies and goes on; the GPU works on the transfers before meanwhile.
//! While it runs its figures are on /metrics (`vitals_staging_*`), and in the end the destination is read back and compared.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod options;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use cpu_time::ThreadTime;
use engine_vitals::Vitals;
use engine_vitals::resources::staging::{StagingConfig, StagingRing, StagingStats, StallPolicy};
use indicatif::{ProgressBar, ProgressStyle};

use crate::options::Options;

/// How examples end without an adapter.
const NO_ADAPTER: u8 = 3;
/// A GPU that is not done with a transfer after this long hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Problem::NoAdapter(problem)) => {
            eprintln!("staging_ring: {problem}");
            ExitCode::from(NO_ADAPTER)
        }
        Err(Problem::Other(problem)) => {
            eprintln!("staging_ring: {problem}");
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
    let vitals = Vitals::builder().start();
    if let Some(url) = vitals.url() {
        println!("Figures: {url}metrics");
    }
    let (device, queue) = open(&vitals)?;
    let most = device.limits().max_buffer_size;
    let size = options.size.0;
    if size > most {
        return Err(format!("{} is more than a buffer of this device may have, {most} bytes", options.size).into());
    }
    let destination = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("destination"),
        size,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    let config = StagingConfig {
        ring_count: options.buffers,
        buffer_size: size.next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT),
        stall: StallPolicy::Wait { timeout: TIMEOUT },
        ..StagingConfig::default()
    };
    let mut ring = StagingRing::with_config(&device, vitals.probe(), "transfers", config);
    let mut transfers = Transfers { device: &device, queue: &queue, destination: &destination, costs: Vec::new() };

    let progress = progress(options.transfers);
    let mut data = vec![0; size as usize];
    let begun = Instant::now();
    for transfer in 0..options.transfers {
        // Other bytes each time, so that a transfer that did not arrive shows.
        data.fill(transfer as u8);
        transfers.one(&mut ring, &data, options.piece_bytes())?;
        vitals.frame();
        progress.inc(1);
        progress.set_message(line(&ring.stats()));
    }
    let took = begun.elapsed();
    wait(&device)?;
    progress.finish();

    let copies = memcpy_costs(options, &data);
    if options.transfers > 0 && !transfers.arrived(&data)? {
        return Err("the destination does not hold what was written last".to_owned().into());
    }
    print(options, &transfers.costs, &copies, took, &ring.stats());
    if options.stay {
        println!("Ctrl+C ends it.");
        stay(&vitals)?;
    }
    Ok(())
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

/// What uploads, and what that has cost the thread.
struct Transfers<'a> {
    device: &'a wgpu::Device,
    queue: &'a wgpu::Queue,
    destination: &'a wgpu::Buffer,
    costs: Vec<Duration>,
}

impl Transfers<'_> {
    fn one(&mut self, ring: &mut StagingRing, data: &[u8], piece: usize) -> Result<(), Problem> {
        let cost = ThreadTime::now();
        let mut offset = 0;
        for piece in data.chunks(piece) {
            ring.write_buffer(self.destination, offset, piece).map_err(|error| error.to_string())?;
            offset += piece.len() as u64;
        }
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        ring.flush(&mut encoder);
        let submission = self.queue.submit([encoder.finish()]);
        ring.advance_ring(submission);
        self.costs.push(cost.elapsed());
        Ok(())
    }

    /// Whether the destination holds `data`.
    fn arrived(&self, data: &[u8]) -> Result<bool, Problem> {
        let size = data.len() as u64 / 4 * 4;
        let readback = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read back"),
            size,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(self.destination, 0, &readback, 0, size);
        self.queue.submit([encoder.finish()]);
        readback.map_async(wgpu::MapMode::Read, .., |_| ());
        wait(self.device)?;
        let bytes = readback.get_mapped_range(..).map_err(|error| format!("nothing can be read back: {error}"))?;
        Ok(bytes[..] == data[..size as usize])
    }
}

/// The same bytes in the same pieces, copied into memory and nowhere else.
fn memcpy_costs(options: &Options, data: &[u8]) -> Vec<Duration> {
    let mut to = vec![1; data.len()];
    let piece = options.piece_bytes();
    let once = |_| {
        let cost = ThreadTime::now();
        for (to, from) in to.chunks_mut(piece).zip(data.chunks(piece)) {
            to.copy_from_slice(from);
        }
        std::hint::black_box(&mut to);
        cost.elapsed()
    };
    (0..options.transfers.clamp(1, 20)).map(once).collect()
}

fn wait(device: &wgpu::Device) -> Result<(), Problem> {
    let waited = device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(TIMEOUT) });
    waited.map(drop).map_err(|error| Problem::Other(format!("the GPU is not done after {TIMEOUT:?}: {error}")))
}

fn progress(transfers: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} transfers, {msg}");
    let progress = ProgressBar::new(transfers);
    match style {
        Ok(style) => progress.with_style(style),
        Err(_) => progress,
    }
}

fn line(stats: &StagingStats) -> String {
    let mib = |bytes: u64| bytes >> 20;
    format!(
        "{} MiB written, {} MiB in flight, {} stalls",
        mib(stats.written_bytes),
        mib(stats.in_flight_bytes),
        stats.stalls
    )
}

fn print(options: &Options, costs: &[Duration], copies: &[Duration], took: Duration, stats: &StagingStats) {
    let [transfer, copy] = [costs, copies].map(|times| median(times).as_secs_f64() * 1e3);
    println!(
        "{} transfers of {} in {} pieces each, in {:.2} s",
        options.transfers,
        options.size,
        options.pieces,
        took.as_secs_f64()
    );
    println!("CPU time of a transfer: {transfer:.2} ms; of a memcpy of the same bytes: {copy:.2} ms (medians)");
    println!("Beyond the memcpy: {:.2} ms", transfer - copy);
    println!(
        "{} bytes written, {} copies, {} merged, {} wraps, {} stalls of {:.1} ms in all, at most {} bytes in flight",
        stats.written_bytes,
        stats.copies,
        stats.merged,
        stats.wraps,
        stats.stalls,
        stats.stall_time.as_secs_f64() * 1e3,
        stats.high_water_bytes
    );
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Until Ctrl+C, for a look at the figures.
fn stay(vitals: &Vitals) -> Result<(), Problem> {
    let (ended, end) = std::sync::mpsc::channel();
    ctrlc::set_handler(move || ended.send(()).unwrap_or_default()).map_err(|error| error.to_string())?;
    while end.recv_timeout(Duration::from_secs(1)).is_err() {
        vitals.frame();
    }
    Ok(())
}
