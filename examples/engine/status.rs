//! The live line on a terminal.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(250);

/// One line that is rewritten four times a second; nothing where stderr is no terminal.
#[derive(Debug)]
pub(crate) struct Status {
    terminal: bool,
    last: Instant,
    last_frames: u64,
}

impl Status {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), last: Instant::now(), last_frames: 0 }
    }

    /// Rewrites the line when it is time; `details` is asked only then.
    pub(crate) fn frame(&mut self, frames: u64, details: impl FnOnce() -> String) {
        let elapsed = self.last.elapsed();
        if !self.terminal || elapsed < INTERVAL {
            return;
        }
        let rate = (frames - self.last_frames) as f64 / elapsed.as_secs_f64();
        (self.last, self.last_frames) = (Instant::now(), frames);
        self.write(&format!("\r\x1b[Kframe {frames}  {rate:.1} fps{}", details()));
    }

    /// Leaves the line and moves on to the next one.
    pub(crate) fn end(&self) {
        if self.terminal {
            self.write("\r\x1b[K");
        }
    }

    fn write(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        // A terminal that is gone is no reason to stop rendering.
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}
