//! A workload of known size on the GPU, and what each source of this machine says of it beside the book.
//!
//! ```text
//! cargo run --release --example vram --features counters,nvml,vulkan -- --gib 2
//! ```
//!
//! It makes buffers and textures of so many bytes together, has the GPU write all of them, and prints the figures of each source before,
//! with and without them. What a source does not know is `unknown`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use engine_vitals::Vitals;
use engine_vitals::vram::{self, DetectOptions, Detected};

/// Fills the GPU's memory with so much, and prints what each source says of it.
#[derive(Debug, Parser)]
#[command(name = "vram", version)]
struct Options {
    /// Size of the workload in GiB.
    #[arg(long, value_name = "GIB", default_value_t = 2.0, value_parser = gib)]
    gib: f64,
}

/// Of one buffer or texture, 64 MiB: larger than what wgpu cuts out of a shared block on any backend, so that nothing stays reserved.
const PIECE: u64 = 64 << 20;
const MIB: f64 = (1 << 20) as f64;

fn gib(text: &str) -> Result<f64, String> {
    let size: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    (0.1..=1_024.0)
        .contains(&size)
        .then_some(size)
        .ok_or_else(|| "the size must lie between 0.1 and 1024 GiB".to_owned())
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("vram: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let vitals = Vitals::builder().without_server().start();
    let instance = vitals.wrap(wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env()));
    let preferences = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..wgpu::RequestAdapterOptions::default()
    };
    let adapter = pollster::block_on(instance.request_adapter(&preferences))
        .map_err(|error| format!("no GPU adapter (install mesa-vulkan-drivers for a software one): {error}"))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))
        .map_err(|error| format!("no device: {error}"))?;
    let info = adapter.get_info();
    println!("{} ({:?}, {} {})\n", info.name, info.backend, info.driver, info.driver_info);

    let detected = vram::detect(&device, &DetectOptions::new());
    println!("{detected}");
    let before = Figures::read(&vitals, &detected);
    let pieces = ((options.gib * 1_024.0 * MIB) as u64).div_ceil(PIECE);
    let workload = Workload::make(&device, &queue, pieces)?;
    let with = Figures::read(&vitals, &detected);
    drop(workload);
    wait(&device)?;
    let after = Figures::read(&vitals, &detected);
    print(pieces * PIECE, &detected, [&before, &with, &after]);
    Ok(())
}

/// What the GPU's memory is filled with: buffers and textures by turns.
struct Workload {
    _buffers: Vec<wgpu::Buffer>,
    _textures: Vec<wgpu::Texture>,
}

impl Workload {
    fn make(device: &wgpu::Device, queue: &wgpu::Queue, pieces: u64) -> Result<Self, String> {
        let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let mut workload = Self { _buffers: Vec::new(), _textures: Vec::new() };
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for piece in 0..pieces {
            if piece % 2 == 0 {
                let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("64 MiB"),
                    size: PIECE,
                    usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::STORAGE,
                    mapped_at_creation: false,
                });
                encoder.clear_buffer(&buffer, 0, None);
                workload._buffers.push(buffer);
            } else {
                let texture = device.create_texture(&wgpu::TextureDescriptor {
                    label: Some("4096 x 4096"),
                    size: wgpu::Extent3d { width: 4_096, height: 4_096, depth_or_array_layers: 1 },
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: wgpu::TextureDimension::D2,
                    format: wgpu::TextureFormat::Rgba8Unorm,
                    usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
                    view_formats: &[],
                });
                clear(&mut encoder, &texture);
                workload._textures.push(texture);
            }
        }
        queue.submit([encoder.finish()]);
        wait(device)?;
        match pollster::block_on(scope.pop()) {
            Some(error) => Err(format!("{pieces} pieces of 64 MiB do not fit, ask for less: {error}")),
            None => Ok(workload),
        }
    }
}

fn clear(encoder: &mut wgpu::CommandEncoder, texture: &wgpu::Texture) {
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    let ops = wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::GREEN), store: wgpu::StoreOp::Store };
    drop(encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            ops,
        })],
        ..wgpu::RenderPassDescriptor::default()
    }));
}

fn wait(device: &wgpu::Device) -> Result<(), String> {
    let timeout = Some(Duration::from_secs(120));
    let waited = device.poll(wgpu::PollType::Wait { submission_index: None, timeout });
    waited.map(drop).map_err(|error| format!("the GPU is not done after two minutes: {error}"))
}

/// What everybody says at one moment.
struct Figures {
    /// Live and pending, by the book.
    book: u64,
    /// By source, in the order found: this process's and everybody's bytes.
    sources: Vec<(Option<u64>, Option<u64>)>,
}

impl Figures {
    fn read(vitals: &Vitals, detected: &Detected) -> Self {
        let device = vitals.tracker().totals().device();
        let providers = detected.providers().iter();
        let sources = providers.map(|provider| {
            provider.refresh();
            (provider.get_vram_usage_bytes(), provider.get_vram_device_usage_bytes())
        });
        Self { book: device.live_bytes() + device.pending_bytes(), sources: sources.collect() }
    }
}

fn print(size: u64, detected: &Detected, [before, with, after]: [&Figures; 3]) {
    println!("Workload: {} MiB. All in MiB.\n", mib(Some(size)));
    println!("| source | before | with | moved by | without | budget | capacity |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let row = |name: &str, [before, with, after]: [Option<u64>; 3], budget: Option<u64>, capacity: Option<u64>| {
        let moved = before.zip(with).map(|(before, with)| with as f64 - before as f64);
        let moved = moved.map_or_else(|| "unknown".to_owned(), |bytes| format!("{:+.1}", bytes / MIB));
        let [before, with, after] = [before, with, after].map(mib);
        println!("| {name} | {before} | {with} | {moved} | {after} | {} | {} |", mib(budget), mib(capacity));
    };
    row("book", [before, with, after].map(|figures| Some(figures.book)), None, None);
    for (index, provider) in detected.providers().iter().enumerate() {
        let figures = [before, with, after].map(|figures| figures.sources.get(index).copied().unwrap_or_default());
        let (name, capacity) = (provider.source(), provider.get_vram_capacity_bytes());
        row(name, figures.map(|(used, _)| used), provider.get_vram_budget_bytes(), capacity);
        if figures.iter().any(|(_, device)| device.is_some()) {
            row(&format!("{name}, all processes"), figures.map(|(_, device)| device), None, capacity);
        }
    }
}

fn mib(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{:.1}", bytes as f64 / MIB))
}
