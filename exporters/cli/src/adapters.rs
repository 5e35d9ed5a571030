//! `engine-vitals adapters`: what this machine offers, and what of it engine-vitals can measure.

use std::io::{self, IsTerminal, Write};

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use ratatui::crossterm::terminal;
use serde::Serialize;

use crate::failure::Failure;
use crate::watch::units;

/// List the GPU adapters of this machine and what can be measured on each.
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
    max_texture_dimension_2d: u32,
    max_buffer_bytes: u64,
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
    adapters.iter().map(|adapter| facts(adapter.get_info(), adapter.features(), &adapter.limits())).collect()
}

fn facts(info: wgpu::AdapterInfo, features: wgpu::Features, limits: &wgpu::Limits) -> Facts {
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
            facts.max_texture_dimension_2d.to_string(),
            units::bytes(Some(facts.max_buffer_bytes as f64)),
        ]);
    }
    for numbers in table.column_iter_mut().skip(6) {
        numbers.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "{}\n\
         timestamps: GPU times can be taken at the bounds of passes, inside encoders (between passes), inside passes.\n\
         allocator report: wgpu tells how many bytes its allocator gave out and reserved; elsewhere those are absent.\n",
        table.trim_fmt()
    )
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
        facts(info, wgpu::Features::TIMESTAMP_QUERY, &wgpu::Limits::default())
    }

    #[test]
    fn facts_are_told_in_a_table_and_in_json() {
        let table = table(&[adapter()], None);
        let row = table.lines().find(|line| line.contains("A GPU")).unwrap();
        let cells: Vec<_> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells, ["A GPU", "DX12", "discrete", "32.0", "bounds", "yes", "8192", "256 MiB"]);
        let json: serde_json::Value = serde_json::from_str(&json(&[adapter()]).unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "name": "A GPU", "backend": "DX12", "kind": "discrete", "driver": "32.0",
                "timestamps": {"pass_bounds": true, "inside_encoders": false, "inside_passes": false},
                "allocator_report": true, "max_texture_dimension_2d": 8192, "max_buffer_bytes": 268_435_456,
            })
        );
    }

    #[test]
    fn a_table_keeps_to_the_width_of_the_terminal() {
        for line in table(&[adapter(), adapter()], Some(80)).lines().filter(|line| !line.contains(": ")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
