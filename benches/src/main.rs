//! Measures engine-vitals against its peers and against doing without.
//!
//! - `harness`: runs the subjects of a case alternating in paired rounds and takes medians. It knows no subject.
//! - `report`: the rows as a table or as JSON lines.
//! - `groups`: what is measured.
//! - `here`: counts what the calling thread allocates; part of this program's global allocator.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints its results")]

mod groups;
mod harness;
mod here;
mod report;

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use engine_vitals_core::memory::TrackingAllocator;

use crate::groups::Group;
use crate::harness::Effort;

/// The standard monitors are measured with a heap that is counted, as an engine has it.
#[global_allocator]
static HEAP: TrackingAllocator<here::CountingHere> = TrackingAllocator::new(here::CountingHere);

/// Measure engine-vitals against its peers and against doing without.
///
/// Values are medians over paired rounds; a ratio is the median of the rounds' own ratios to the baseline. A target belongs to the ratio
/// where the row has a baseline, else to the value, and is met at or below. Times are CPU times of the measuring threads unless the case
/// says wall.
#[derive(Parser)]
#[command(name = "engine-vitals-benches")]
struct Options {
    /// What to measure; all groups without one
    group: Option<Group>,
    /// Fewer and shorter rounds: shows that it works, proves no figure
    #[arg(long)]
    quick: bool,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// The folder with the programs that the groups `instrument` and `gpu` run; `cargo xtask bench` builds them
    #[arg(long)]
    subjects: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let effort = if options.quick { Effort::QUICK } else { Effort::FULL };
    let groups = options.group.map_or_else(|| Group::ALL.to_vec(), |group| vec![group]);
    let mut rows = Vec::new();
    for group in groups {
        rows.extend(group.run(effort, options.subjects.as_deref())?);
    }
    let shown = if options.json { report::json_lines(&rows)? } else { report::table(&rows) };
    println!("{shown}");
    Ok(())
}
