//! `engine-vitals inspect` and `engine-vitals diff`: what is in the files that `Vitals::dump`, `ENGINE_VITALS_DUMP` and `/dump.json` write.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use engine_vitals_core::analysis::{self, Dump};

use crate::failure::Failure;

/// Most bytes of a file that are read, in GiB.
const MOST_GIB: u64 = 1;

/// Show what a snapshot of an engine's resources has: by kind, by owner, the biggest.
#[derive(Debug, Args)]
#[command(after_help = crate::failure::EXIT_CODES)]
pub(crate) struct InspectOptions {
    /// A file that the engine wrote (ENGINE_VITALS_DUMP=FILE.json), or its /dump.json
    file: PathBuf,
    /// Also each owner's resources with what they refer to
    #[arg(long)]
    graph: bool,
    /// Also the last packets with what they touched
    #[arg(long)]
    packets: bool,
    /// Also the course of the run: creations and releases over time, lives that have ended
    #[arg(long)]
    timeline: bool,
    /// Lines of each list
    #[arg(long, default_value_t = 20, value_name = "LINES")]
    top: usize,
}

/// Show what appeared, is gone and grew between two snapshots, what grew most first: resources, staging rings, memory pools.
#[derive(Debug, Args)]
#[command(after_help = crate::failure::EXIT_CODES)]
pub(crate) struct DiffOptions {
    /// The older file
    older: PathBuf,
    /// The newer file
    newer: PathBuf,
    /// All changes as one JSON object; sizes in bytes
    #[arg(long)]
    json: bool,
    /// Changes to show: of resources, and as many of rings and of pools
    #[arg(long, default_value_t = 50, value_name = "LINES", conflicts_with = "json")]
    top: usize,
}

/// Shows a snapshot.
///
/// # Errors
/// It could not be read, or the output not be written.
pub(crate) fn inspect(options: &InspectOptions) -> Result<(), Failure> {
    let dump = read(&options.file)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut show = || {
        write!(out, "{}", dump.summary().most(options.top))?;
        if options.graph {
            write!(out, "\n{}", dump.graph().most(options.top))?;
        }
        if options.packets {
            write!(out, "{}", dump.packets_text().most(options.top))?;
        }
        if options.timeline {
            write!(out, "{}", dump.course())?;
        }
        out.flush()
    };
    show().map_err(Failure::Output)
}

/// Shows the difference of two snapshots, and says by its code whether there is any.
///
/// # Errors
/// One could not be read, or the output not be written.
pub(crate) fn diff(options: &DiffOptions) -> Result<ExitCode, Failure> {
    let diff = analysis::diff(&read(&options.older)?, &read(&options.newer)?);
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if options.json { diff.write_json(&mut out) } else { write!(out, "{}", diff.most(options.top)) };
    match written.and_then(|()| out.flush()) {
        // Whoever reads our output has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Snapshot(format!("cannot write the output: {error}")))
        }
        Ok(()) | Err(_) => Ok(if diff.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }),
    }
}

fn read(path: &Path) -> Result<Dump, Failure> {
    // What is no file (a pipe that nobody writes to, a device without end) would have us wait.
    let failed = |reason: &dyn std::fmt::Display| Failure::Snapshot(format!("{path:?}: {reason}"));
    let is_file = path.metadata().map_err(|error| failed(&format_args!("cannot read: {error}")))?.is_file();
    if !is_file {
        return Err(failed(&"is no file"));
    }
    let file = File::open(path).map_err(|error| failed(&format_args!("cannot read: {error}")))?;
    Dump::read_json(file, MOST_GIB << 30).map_err(|error| {
        failed(&format_args!(
            "{error}\nA snapshot is the JSON of ENGINE_VITALS_DUMP=FILE.json, Vitals::dump or /dump.json."
        ))
    })
}
