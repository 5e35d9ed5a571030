//! Frames without a window.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine_vitals::{PacketResult, Vitals};

use super::device;
use super::failure::Failure;
use super::options::Options;
use super::pace::Pace;
use super::painter::Painter;
use super::script::Fate;
use super::telemetry;
use super::tree::Compositor;
use super::truth::Truth;

/// Runs until `stop`, or for as many frames as the options say.
///
/// # Errors
/// When there is no adapter or a frame fails.
pub(crate) fn run<P: Painter>(options: &Options, stop: &AtomicBool) -> Result<(Vitals, Truth), Failure> {
    let vitals = telemetry::start(options, P::SCRATCH);
    let open = device::open_offscreen(&vitals, P::LIMITS)?;
    println!("{}", open.describe());
    let mut compositor = Compositor::<P>::new(open, options, vitals)?;
    let mut pace = Pace::new(options.fps());
    while !stop.load(Ordering::Relaxed) && options.frames().is_none_or(|frames| compositor.frames() < frames) {
        let wait = pace.due().saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            // In short steps, so that Ctrl-C is heard at any rate.
            std::thread::sleep(wait.min(Duration::from_millis(100)));
            continue;
        }
        pace.started(Instant::now());
        frame(&mut compositor)?;
    }
    if let Some(path) = &options.screenshot {
        compositor.screenshot(path)?;
        println!("wrote {}", path.display());
    }
    compositor.close()
}

/// A frame in a packet of its own.
fn frame<P: Painter>(compositor: &mut Compositor<P>) -> Result<(), Failure> {
    let packet = compositor.packet();
    let entered = packet.context().enter();
    let fate = compositor.draw()?;
    drop(entered);
    packet.finish(match fate {
        Fate::Presented => PacketResult::Presented,
        Fate::Dropped => PacketResult::Dropped,
        Fate::NoOp => PacketResult::NoOp,
    });
    compositor.ended(fate);
    Ok(())
}
