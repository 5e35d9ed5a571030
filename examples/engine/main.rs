//! The demo engine: a small but real wgpu renderer that is measured by engine-vitals.
//!
//! ```text
//! cargo run --release --example engine -- --frames 600 --screenshot scene.png
//! ```
//!
//! Walk it from here: [`options`] is the command line, [`device`] finds the best adapter, [`engine`] renders frames
//! with [`renderer`] (passes), [`targets`] (what follows the picture's size), [`pipelines`], [`world`] (what moves),
//! [`mesh`] and [`material`] (procedural content), [`memory`] (a pool and a staging ring for its bytes); [`headless`] and [`window`] are the two loops around it.
//! [`transients`] are the resources with a bad life on purpose, [`ui`] draws the live [`panel`] over the picture with egui,
//! which knows nothing of engine-vitals. [`telemetry`] is where engine-vitals is set up. Nothing reports a resource: the
//! instance is wrapped (`Vitals::wrap`), and the code that makes resources enters the context of their owner.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod device;
mod engine;
mod failure;
mod headless;
mod material;
mod memory;
mod mesh;
mod options;
mod pace;
mod panel;
mod pipelines;
mod renderer;
mod screenshot;
mod size;
mod status;
mod targets;
mod telemetry;
mod transients;
mod ui;
mod window;
mod world;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

use crate::engine::Engine;
use crate::failure::Failure;
use crate::options::Options;

/// Set by Ctrl-C (and by SIGTERM).
static STOP: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("engine: {failure}");
            failure.exit_code()
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::Running(format!("no handler for Ctrl-C: {error}")))?;
    let engine = if options.window { window::run(options, &STOP)? } else { run_headless(options)? };
    println!("rendered {} frames", engine.frames());
    if let Some(path) = &options.screenshot {
        screenshot::write(engine.device(), engine.queue(), engine.renderer().picture(), path)?;
        println!("wrote {}", path.display());
    }
    engine.begin_shutdown();
    Ok(())
}

fn run_headless(options: &Options) -> Result<Engine, Failure> {
    let vitals = telemetry::start(options)?;
    let open = device::open_offscreen(&vitals, wgpu::Limits::downlevel_defaults)?;
    println!("{}", open.describe());
    telemetry::announce(&vitals, options);
    let mut engine = Engine::new(open, options, vitals)?;
    headless::run(&mut engine, options, &STOP)?;
    Ok(engine)
}
