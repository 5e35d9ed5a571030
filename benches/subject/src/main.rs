//! A wgpu program whose calls are timed.
//!
//! The same source is built three times, as `cargo xtask bench` does: against a wgpu without the feature `custom`, with it and unused, and
//! instrumented. It measures itself; comparing is the business of the program that starts it.
//!
//! - `subject`: instrumented or not, the one place that differs
//! - `scene`: the device and what the cases draw with
//! - `cases`: what is timed
//!
//! It answers on standard output. Its first line is `ready: <adapter>`, or `skip: <reason>` where the machine lacks the adapter. Then, for
//! each line `<case> <repetitions>` on standard input, the nanoseconds of one repetition.
#![expect(clippy::print_stdout, reason = "a program that prints its results")]

mod cases;
mod scene;
mod subject;

use std::error::Error;
use std::io::{BufRead, Write};

use clap::{Parser, ValueEnum};

use crate::cases::Case;
use crate::scene::Scene;
use crate::subject::Subject;

/// Times calls of wgpu; see the cases that `cargo xtask bench instrument` asks it for.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    subject: Subject,
    /// Where the calls go
    #[arg(long, default_value = "noop")]
    backend: Backend,
}

/// Where the calls go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// wgpu's backend that does nothing
    Noop,
    /// A software adapter of Vulkan
    Lavapipe,
}

impl Backend {
    fn descriptor(self) -> wgpu::InstanceDescriptor {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.flags = wgpu::InstanceFlags::empty();
        match self {
            Self::Noop => {
                descriptor.backends = wgpu::Backends::NOOP;
                descriptor.backend_options.noop = wgpu::NoopBackendOptions::enabled();
            }
            Self::Lavapipe => descriptor.backends = wgpu::Backends::VULKAN,
        }
        descriptor
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let (instance, mut frames) = options.subject.wrap(wgpu::Instance::new(options.backend.descriptor()));
    let scene = match Scene::open(&instance, options.backend) {
        Ok(scene) => scene,
        Err(error) => {
            println!("skip: {error}");
            return Ok(());
        }
    };
    println!("ready: {}", scene.adapter);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (case, times) = line.split_once(' ').ok_or_else(|| format!("not `<case> <repetitions>`: `{line}`"))?;
        let case = Case::from_str(case, false).map_err(|error| format!("case `{case}`: {error}"))?;
        let times = times.parse().map_err(|error| format!("repetitions `{times}`: {error}"))?;
        println!("{}", case.run(&scene, &mut frames, times));
        std::io::stdout().flush()?;
    }
    Ok(())
}
