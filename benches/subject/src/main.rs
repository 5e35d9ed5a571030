//! A wgpu program whose calls are timed.
//!
//! The same source is built four times, as `cargo xtask bench` does: against a wgpu without the feature `custom`, the same with what takes times
//! on the GPU, against a wgpu with `custom` and unused, and instrumented. It measures itself; comparing is the business of the program that starts it.
//!
//! - `subject`: instrumented or not, the one place that differs
//! - `scene`: the device and what the cases draw with
//! - `cases`: what is timed
//! - `timing`: frames whose time on the GPU is taken
//! - `here`: what the calling thread allocates
//!
//! It answers on standard output. Its first line is `ready: <adapter>`, or `skip: <reason>` where the machine lacks the adapter. Then, for
//! each line `<case> <repetitions>` on standard input, the nanoseconds of one repetition. The built with `timed` take frames of twenty passes too:
//! `frames <timing> <draws> <repetitions>`, `allocations <timing> <repetitions>`, `bytes <timing> 1`.
#![expect(clippy::print_stdout, reason = "a program that prints its results")]

mod cases;
#[cfg(feature = "timed")]
mod here;
mod scene;
mod subject;
#[cfg(feature = "timed")]
mod timing;

use std::error::Error;
use std::io::{BufRead, Write};

use clap::{Parser, ValueEnum};

use crate::cases::Case;
use crate::scene::Scene;
use crate::subject::Subject;

#[cfg(feature = "timed")]
#[global_allocator]
static HEAP: here::CountingHere = here::CountingHere;

/// Times calls of wgpu; see the cases that `cargo xtask bench instrument` asks it for.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    subject: Subject,
    /// Where the calls go
    #[arg(long, default_value = "noop")]
    backend: Backend,
    /// Ask for time stamps
    #[arg(long)]
    stamps: bool,
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
    let features = if options.stamps {
        wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS
    } else {
        wgpu::Features::empty()
    };
    let scene = match Scene::open(&instance, options.backend, features) {
        Ok(scene) => scene,
        Err(error) => {
            println!("skip: {error}");
            return Ok(());
        }
    };
    println!("ready: {}", scene.adapter);
    #[cfg(feature = "timed")]
    let mut timers = timing::Timers::default();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<_> = line.split(' ').collect();
        let value = match *words {
            [case, times] => {
                let case = Case::from_str(case, false).map_err(|error| format!("case `{case}`: {error}"))?;
                case.run(&scene, &mut frames, number(times)?)
            }
            #[cfg(feature = "timed")]
            ["frames", timing, draws, times] => {
                timers.frames(timed(timing)?, &scene, &mut frames, number(times)?, number(draws)? as usize)
            }
            #[cfg(feature = "timed")]
            ["allocations", timing, times] => timers.allocations(timed(timing)?, &scene, &mut frames, number(times)?),
            #[cfg(feature = "timed")]
            ["bytes", timing, "1"] => timing::Timers::bytes(timed(timing)?, &scene, &mut frames),
            _ => return Err(format!("what is to be timed? `{line}`").into()),
        };
        println!("{value}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|error| format!("`{word}` is no number: {error}"))
}

#[cfg(feature = "timed")]
fn timed(word: &str) -> Result<timing::Timing, String> {
    timing::Timing::from_str(word, false).map_err(|error| format!("timing `{word}`: {error}"))
}
