//! What is measured. Each group is a file; each says what its subjects are and what its targets mean.

mod exporter;
mod instrument;
mod memory;
mod probe;
mod registry;

use std::error::Error;
use std::path::Path;

use crate::harness::Effort;
use crate::report::Row;

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Group {
    /// Allocators that count: time of an allocation and its freeing
    Memory,
    /// A resource's life as a producer reports it
    Probe,
    /// `Registry::update`
    Registry,
    /// A scrape of /metrics, and what it costs the frame
    Exporter,
    /// wgpu's calls, plain and instrumented
    Instrument,
}

impl Group {
    pub(crate) const ALL: &'static [Self] =
        &[Self::Memory, Self::Probe, Self::Registry, Self::Exporter, Self::Instrument];

    /// `subjects`: where the programs of [`Instrument`](Self::Instrument) lie.
    pub(crate) fn run(self, effort: Effort, subjects: Option<&Path>) -> Result<Vec<Row>, Box<dyn Error>> {
        match self {
            Self::Memory => Ok(memory::run(effort)),
            Self::Probe => Ok(probe::run(effort)),
            Self::Registry => registry::run(effort),
            Self::Exporter => exporter::run(effort),
            Self::Instrument => instrument::run(effort, subjects),
        }
    }
}
