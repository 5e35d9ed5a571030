//! What is measured. Each group is a file; each says what its subjects are and what its targets mean.

mod exporter;
mod gpu;
mod instrument;
mod lifecycle;
mod memory;
mod pool;
mod process;
mod registry;
mod staging;

use std::error::Error;
use std::path::Path;

use crate::harness::Effort;
use crate::report::Row;

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Group {
    /// Allocators that count: time of an allocation and its freeing
    Memory,
    /// The lives of resources: reporting them, against libraries that record events; snapshots; memory
    Lifecycle,
    /// `Registry::update`
    Registry,
    /// A scrape of /metrics, and what it costs the frame
    Exporter,
    /// wgpu's calls, plain and instrumented
    Instrument,
    /// The time of frames and passes on the GPU: what taking it costs, against wgpu-profiler and wgpu's own calls
    Gpu,
    /// Memory pools: blocks, plans of moves and churn, against other allocators and wgpu's own buffers
    Pool,
    /// Uploads through a staging ring, against wgpu's own ways and a bare memcpy
    Staging,
}

impl Group {
    pub(crate) const ALL: &'static [Self] = &[
        Self::Memory,
        Self::Lifecycle,
        Self::Registry,
        Self::Exporter,
        Self::Instrument,
        Self::Gpu,
        Self::Pool,
        Self::Staging,
    ];

    /// `subjects`: where the programs of [`Instrument`](Self::Instrument) and [`Gpu`](Self::Gpu) lie.
    pub(crate) fn run(self, effort: Effort, subjects: Option<&Path>) -> Result<Vec<Row>, Box<dyn Error>> {
        match self {
            Self::Memory => Ok(memory::run(effort)),
            Self::Lifecycle => Ok(lifecycle::run(effort)),
            Self::Registry => registry::run(effort),
            Self::Exporter => exporter::run(effort),
            Self::Instrument => instrument::run(effort, subjects),
            Self::Gpu => gpu::run(effort, subjects),
            Self::Pool => pool::run(effort),
            Self::Staging => staging::run(effort),
        }
    }
}
