//! What the two compositors share: everything but what they draw with.
//!
//! A compositor keeps a tree of visuals. Each visual has a native target of its own, a texture that it is drawn into, and each native
//! target has a command queue of its own; an effect pipeline adds shadows, and the root's picture is composed of all of them. wgpu
//! knows neither native targets nor queues like these, so the compositor reports them by hand, with a ticket each. What lies behind
//! them, textures, pipelines, and all that the renderer makes, is seen by the instrumentation.
//!
//! Walk it from here: [`options`] is the command line, [`script`] what happens in which frame (a resize storm, transients, what is
//! planted), [`tree`] a frame, [`visual`] and [`target`] what is made and destroyed for it, [`composer`] the effect pipeline,
//! [`painter`] what the two programs have apart, [`headless`] and [`window`] the two loops. [`truth`] is the program's own account
//! of all this, which no telemetry has a part in; [`telemetry`] is where engine-vitals is set up.

mod composer;
mod headless;
mod options;
mod painter;
mod script;
mod target;
mod telemetry;
mod tree;
mod truth;
mod visual;
mod window;

// Finding an adapter, pictures and errors are the same as in the demo engine.
#[path = "../engine/device.rs"]
mod device;
#[path = "../engine/failure.rs"]
mod failure;
#[path = "../engine/pace.rs"]
mod pace;
#[path = "../engine/screenshot.rs"]
mod screenshot;
#[path = "../engine/size.rs"]
mod size;

pub(crate) use failure::Failure;
pub(crate) use painter::{Canvas, Gpu, Painter};
pub(crate) use visual::Role;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

use options::Options;

/// Set by Ctrl-C (and by SIGTERM).
static STOP: AtomicBool = AtomicBool::new(false);

/// The whole program around a painter.
pub(crate) fn main<P: Painter>() -> ExitCode {
    let options = Options::parse();
    match run::<P>(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}: {failure}", env!("CARGO_BIN_NAME"));
            failure.exit_code()
        }
    }
}

fn run<P: Painter>(options: &Options) -> Result<(), Failure> {
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::Running(format!("no handler for Ctrl-C: {error}")))?;
    let (vitals, truth) =
        if options.window { window::run::<P>(options, &STOP)? } else { headless::run::<P>(options, &STOP)? };
    println!("{}", truth.summary());
    if let Some(path) = &options.ground_truth {
        truth.write(path)?;
        println!("wrote {}", path.display());
    }
    if let Some(path) = &options.report {
        telemetry::write_report(&vitals, path)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
