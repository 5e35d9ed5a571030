//! Frames without a window.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::failure::Failure;
use crate::options::Options;
use crate::pace::Pace;
use crate::size::Size;
use crate::status::Status;

/// Renders until `stop`, or for as many frames as the options say.
///
/// # Errors
/// When a frame fails.
pub(crate) fn run(engine: &mut Engine, options: &Options, stop: &AtomicBool) -> Result<(), Failure> {
    let mut pace = Pace::new(options.fps);
    let mut status = Status::new();
    while !stop.load(Ordering::Relaxed) && (options.frames == 0 || engine.frames() < options.frames) {
        let wait = pace.due().saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            // In short steps, so that Ctrl-C is heard at any rate.
            std::thread::sleep(wait.min(Duration::from_millis(100)));
            continue;
        }
        pace.started(Instant::now());
        engine.resize(size_at(engine.frames(), options))?;
        engine.render(egui::RawInput::default(), |_, _| {}, None::<fn(&wgpu::Queue)>)?;
        status.frame(engine.frames(), || engine.status());
    }
    status.end();
    engine.finish()?;
    print!("{}{}", engine.times(), engine.memory());
    Ok(())
}

/// The full size, or three quarters of it in every second stretch of `--resize-every`.
fn size_at(frame: u64, options: &Options) -> Size {
    let Size { width, height } = options.size;
    if options.resize_every == 0 || (frame / options.resize_every).is_multiple_of(2) {
        return options.size;
    }
    Size { width: (width * 3 / 4).max(1), height: (height * 3 / 4).max(1) }
}
