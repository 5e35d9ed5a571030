//! A heap that is understood: a catalogue of assets is parsed from JSON, indexed, queried and half of it dropped, on an allocator that knows
//! for each block which subsystem it belongs to, and for a sample of them which line of the program asked for it.
//!
//! ```text
//! cargo run --release --example heap --features call-sites -- --profile heap.pb.gz
//! ```
//!
//! Walk it from here: [`workload`] is what an engine's asset database might do; [`show`] prints what the allocator knows of it. `/metrics` is
//! served all the while.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

#[path = "heap/show.rs"]
mod show;
#[path = "heap/workload.rs"]
mod workload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use engine_vitals::contract::{HeapMeasure, MemoryReport};
use engine_vitals::{TrackingAllocator, Vitals, heap_scope, memory};

use crate::show::Phases;

/// Knows of each block its size and its subsystem, and samples the call site of one in 64 KiB that are allocated.
#[global_allocator]
static HEAP: TrackingAllocator =
    TrackingAllocator::system().with_tags().with_size_histogram().with_call_sites(64 << 10);

/// Set by Ctrl-C (and by SIGTERM).
static STOP: AtomicBool = AtomicBool::new(false);

/// Parses, indexes and queries a catalogue of assets, and prints what its heap looks like.
#[derive(Debug, Parser)]
#[command(name = "heap", version)]
struct Options {
    /// Size of the JSON text in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=1024))]
    megabytes: u32,

    /// Where /metrics and the page are served. A taken port: the next free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9184")]
    listen: SocketAddr,

    /// Write the call sites here: folded stacks if it ends in .folded, a table if in .txt, otherwise for pprof. May be given several times.
    #[arg(long, value_name = "FILE")]
    profile: Vec<PathBuf>,

    /// Rows of the table of call sites; 0 for none, which leaves the program's debug information unread.
    #[arg(long, value_name = "N", default_value_t = 12)]
    top: usize,

    /// When all is printed, keep the data and serve until Ctrl-C.
    #[arg(long)]
    hold: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("heap: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The report of a heap in which nothing moves.
///
/// A monitor that was slow is updated on another thread, so that its report may be of before: three more are waited for.
fn at_rest(vitals: &Vitals) -> Option<MemoryReport> {
    let heap = vitals.registry().memory("heap")?;
    let reports = || heap.get_memory_report().map_or(0, |report| report.sample_count);
    let enough = reports() + 3;
    let deadline = Instant::now() + Duration::from_secs(20);
    while reports() < enough && Instant::now() < deadline {
        vitals.frame();
        std::thread::sleep(Duration::from_millis(50));
    }
    heap.get_memory_report()
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed))?;
    let vitals = Vitals::builder().app("heap", env!("CARGO_PKG_VERSION")).listen(options.listen).start();
    if let Some(url) = vitals.url() {
        println!("metrics: {url}metrics");
    }

    let frame = || {
        vitals.frame();
    };

    let mut phases = Phases::begin();
    let text = {
        heap_scope!("text");
        workload::generate(options.megabytes as usize * (1 << 20))
    };
    phases.end("generate", &vitals);
    let mut catalogue = {
        heap_scope!("parse");
        workload::parse(&text)?
    };
    phases.end("parse", &vitals);
    let index = {
        heap_scope!("index");
        workload::index(&catalogue, frame)
    };
    phases.end("index", &vitals);
    let answers = {
        heap_scope!("query");
        workload::query(&index, frame)
    };
    phases.end("query", &vitals);
    // The blocks are given back to the tags that they were allocated under.
    drop(text);
    workload::drop_half(&mut catalogue);
    phases.end("drop", &vitals);
    println!("{} assets left, {} words, {} answers\n", catalogue.assets.len(), index.words(), answers.len());

    show::analysis(&at_rest(&vitals).ok_or("there is no report of the heap")?);
    phases.show();
    show::tags();
    show::sizes(&memory::get_size_histogram().ok_or("there is no histogram of sizes")?);
    if options.top > 0 {
        let profile = vitals.heap_profile().ok_or("no call site was sampled")?;
        println!("{}", profile.top(options.top, HeapMeasure::LiveBytes));
    }
    for path in &options.profile {
        vitals.write_heap_profile(path)?;
        println!("wrote {}", path.display());
    }
    println!("at rest");
    while options.hold && !STOP.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
