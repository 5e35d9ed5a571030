//! `engine-vitals adapters`: what this machine offers, and what of it engine-vitals can measure.

use std::fmt::{self, Display, Formatter, Write as _};
use std::io::{self, IsTerminal, Write as _};

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use engine_vitals::vram::{self, DetectOptions, Detected};
use ratatui::crossterm::terminal;
use serde::Serialize;

use crate::failure::Failure;
use crate::watch::units;

/// List the GPU adapters of this machine, what can be measured on each, and where figures of its memory come from. Opens a device on each for a moment.
#[derive(Debug, Args)]
#[command(after_help = crate::failure::EXIT_CODES)]
pub(crate) struct Options {
    /// One JSON object per adapter and line; sizes in bytes
    #[arg(long)]
    json: bool,
}

/// Lists the adapters.
///
/// # Errors
/// When there is none, or the output cannot be written.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let found = enumerate();
    if found.is_empty() {
        return Err(Failure::NoAdapter);
    }
    let text = if options.json {
        json(&found)?
    } else {
        // Where there is no terminal, lines are as long as they need to be.
        let width = if io::stdout().is_terminal() { terminal::size().ok().map(|(columns, _)| columns) } else { None };
        table(&found, width)
    };
    io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::Output)
}

/// What is worth knowing of an adapter.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Facts {
    name: String,
    backend: &'static str,
    kind: &'static str,
    driver: String,
    timestamps: Timestamps,
    /// Whether wgpu reports what its allocator gave out and reserved on this backend.
    allocator_report: bool,
    vram: Vram,
    max_texture_dimension_2d: u32,
    max_buffer_bytes: u64,
}

/// Where figures of the adapter's memory come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Vram {
    /// The source that knows best what a process uses of it; `None` if none knows.
    best: Option<&'static str>,
    /// All sources that there could be, the best first, those that are absent last.
    sources: Vec<Source>,
    /// Why no device could be opened, without which no source can be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_device: Option<String>,
}

/// A source of figures of memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Source {
    name: &'static str,
    /// Its place among those found, from 1; `None` if it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<usize>,
    /// Which figures it has, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    knows: Option<String>,
    /// Why it is absent, or what it lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Where wgpu can take time stamps on the adapter's queue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Timestamps {
    /// At the beginning and the end of passes: `TIMESTAMP_QUERY`.
    pass_bounds: bool,
    /// Between passes: `TIMESTAMP_QUERY_INSIDE_ENCODERS`.
    inside_encoders: bool,
    /// Between draws: `TIMESTAMP_QUERY_INSIDE_PASSES`.
    inside_passes: bool,
}

fn enumerate() -> Vec<Facts> {
    // All backends, or those in WGPU_BACKEND.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let all =
        |adapter| facts(wgpu::Adapter::get_info(adapter), adapter.features(), &adapter.limits(), vram_of(adapter));
    adapters.iter().map(all).collect()
}

/// Opens a device, since some sources are asked through one, and looks for all sources.
fn vram_of(adapter: &wgpu::Adapter) -> Vram {
    let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
    match pollster::block_on(adapter.request_device(&descriptor)) {
        Ok((device, _queue)) => Vram::of(&vram::detect(&device, &DetectOptions::new())),
        Err(error) => Vram { best: None, sources: Vec::new(), no_device: Some(error.to_string()) },
    }
}

fn facts(info: wgpu::AdapterInfo, features: wgpu::Features, limits: &wgpu::Limits, vram: Vram) -> Facts {
    let (backend, allocator_report) = match info.backend {
        wgpu::Backend::Noop => ("noop", false),
        wgpu::Backend::Vulkan => ("Vulkan", true),
        wgpu::Backend::Metal => ("Metal", false),
        wgpu::Backend::Dx12 => ("DX12", true),
        wgpu::Backend::Gl => ("GL", false),
        wgpu::Backend::BrowserWebGpu => ("WebGPU", false),
    };
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "unknown",
    };
    let driver = [info.driver, info.driver_info].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    Facts {
        name: info.name,
        backend,
        kind,
        driver: driver.join(" "),
        timestamps: Timestamps {
            pass_bounds: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            inside_encoders: features.contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS),
            inside_passes: features.contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES),
        },
        allocator_report,
        vram,
        max_texture_dimension_2d: limits.max_texture_dimension_2d,
        max_buffer_bytes: limits.max_buffer_size,
    }
}

fn json(found: &[Facts]) -> Result<String, Failure> {
    let mut text = String::new();
    for facts in found {
        let line = serde_json::to_string(facts).map_err(|error| Failure::Running(format!("JSON: {error}")))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

fn table(found: &[Facts], width: Option<u16>) -> String {
    let mut table = Table::new();
    if let Some(width) = width {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header([
        "adapter",
        "backend",
        "kind",
        "driver",
        "timestamps",
        "allocator report",
        "VRAM from",
        "max 2D texture",
        "max buffer",
    ]);
    for facts in found {
        table.add_row([
            facts.name.clone(),
            facts.backend.to_owned(),
            facts.kind.to_owned(),
            facts.driver.clone(),
            facts.timestamps.words(),
            if facts.allocator_report { "yes" } else { "no" }.to_owned(),
            facts.vram.best.unwrap_or("-").to_owned(),
            facts.max_texture_dimension_2d.to_string(),
            units::bytes(Some(facts.max_buffer_bytes as f64)),
        ]);
    }
    for numbers in table.column_iter_mut().skip(7) {
        numbers.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!(
        "{}\n\
         timestamps: GPU times can be taken at the bounds of passes, inside encoders (between passes), inside passes.\n\
         allocator report: wgpu tells how many bytes its allocator gave out and reserved; elsewhere those are absent.\n\
         VRAM from: the source that knows best what a process uses of the adapter's memory.\n",
        table.trim_fmt()
    );
    for facts in found {
        let _ = write!(text, "\nVRAM of {} ({}):\n{}", facts.name, facts.backend, facts.vram);
    }
    text
}

impl Vram {
    fn of(detected: &Detected) -> Self {
        let sources = detected.sources().iter().map(|source| Source {
            name: source.name,
            rank: source.rank,
            knows: source.rank.map(|_| source.knows.to_string()),
            note: source.note.clone(),
        });
        Self { best: detected.best().map(|best| best.source()), sources: sources.collect(), no_device: None }
    }
}

impl Display for Vram {
    /// A line for each source.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.no_device {
            writeln!(f, "  unknown: no device could be opened: {why}")?;
        }
        for Source { name, rank, knows, note } in &self.sources {
            let rank = rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string());
            write!(f, "{rank:>3} {name:<14} ")?;
            match knows {
                Some(knows) => write!(f, "knows {knows}")?,
                None => write!(f, "absent")?,
            }
            match note {
                Some(note) => writeln!(f, ": {note}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl Timestamps {
    fn words(self) -> String {
        let has = [(self.pass_bounds, "bounds"), (self.inside_encoders, "encoders"), (self.inside_passes, "passes")];
        let words: Vec<_> = has.into_iter().filter_map(|(has, word)| has.then_some(word)).collect();
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter() -> Facts {
        let mut info = wgpu::AdapterInfo::new(wgpu::DeviceType::DiscreteGpu, wgpu::Backend::Dx12);
        info.name = "A GPU".to_owned();
        info.driver = "32.0".to_owned();
        let dxgi = Source { name: "dxgi", rank: Some(1), knows: Some("used, budget".to_owned()), note: None };
        let drm = Source { name: "drm", rank: None, knows: None, note: Some("there is no /proc".to_owned()) };
        let vram = Vram { best: Some("dxgi"), sources: vec![dxgi, drm], no_device: None };
        facts(info, wgpu::Features::TIMESTAMP_QUERY, &wgpu::Limits::default(), vram)
    }

    #[test]
    fn facts_are_told_in_a_table_and_in_json() {
        let table = table(&[adapter()], None);
        let row = table.lines().find(|line| line.contains("A GPU")).unwrap();
        let cells: Vec<_> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells, ["A GPU", "DX12", "discrete", "32.0", "bounds", "yes", "dxgi", "8192", "256 MiB"]);
        let sources: Vec<_> = table.lines().skip_while(|line| *line != "VRAM of A GPU (DX12):").skip(1).collect();
        assert_eq!(sources, ["  1 dxgi           knows used, budget", "  - drm            absent: there is no /proc"]);
        let json: serde_json::Value = serde_json::from_str(&json(&[adapter()]).unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "name": "A GPU", "backend": "DX12", "kind": "discrete", "driver": "32.0",
                "timestamps": {"pass_bounds": true, "inside_encoders": false, "inside_passes": false},
                "allocator_report": true, "vram": {"best": "dxgi", "sources": [
                    {"name": "dxgi", "rank": 1, "knows": "used, budget"}, {"name": "drm", "note": "there is no /proc"},
                ]}, "max_texture_dimension_2d": 8192, "max_buffer_bytes": 268_435_456,
            })
        );
    }

    #[test]
    fn an_adapter_without_a_device_says_why_its_sources_are_unknown() {
        let vram = Vram { best: None, sources: Vec::new(), no_device: Some("out of memory".to_owned()) };
        let facts = Facts { vram, ..adapter() };
        let table = table(std::slice::from_ref(&facts), None);
        assert!(
            table.ends_with("VRAM of A GPU (DX12):\n  unknown: no device could be opened: out of memory\n"),
            "{table}"
        );
        assert!(json(&[facts]).unwrap().contains("\"no_device\":\"out of memory\""));
    }

    #[test]
    fn what_is_looked_for_on_a_device_is_told() {
        let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let detected = vram::detect(&device, &DetectOptions::new());
        let vram = Vram::of(&detected);
        assert_eq!(vram.best, None, "a device that does nothing has no memory");
        assert_eq!(vram.sources.len(), detected.sources().len());
        assert!(vram.sources.iter().all(|source| source.rank.is_some() || source.note.is_some()), "{vram}");
    }

    #[test]
    fn a_table_keeps_to_the_width_of_the_terminal() {
        for line in table(&[adapter(), adapter()], Some(80)).lines().filter(|line| !line.contains(": ")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
