//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::pace::parse_fps;
use crate::size::{Size, parse_size};

/// The demo engine of engine-vitals: a small wgpu renderer whose heap, GPU time, VRAM and resources are measured and
/// served live.
///
/// Exit codes: 0 done, 1 failed while running, 2 wrong options, 3 no GPU adapter, 4 no display for `--window`.
#[derive(Clone, Debug, Parser)]
#[command(name = "engine", version, args_override_self = true)]
pub(crate) struct Options {
    /// Where /metrics and the page are served. A taken port: the next free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9184")]
    pub(crate) listen: SocketAddr,

    /// Stop after this many frames; 0 runs until Ctrl-C or until the window is closed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) frames: u64,

    /// Frames per second to hold; 0 runs as fast as possible.
    #[arg(long, value_name = "F", default_value_t = 60.0, value_parser = parse_fps)]
    pub(crate) fps: f64,

    /// Size of the picture in pixels.
    #[arg(long, value_name = "WxH", default_value = "960x540", value_parser = parse_size)]
    pub(crate) size: Size,

    /// Samples per pixel of the main pass; 1 about doubles the frame rate of a software GPU.
    #[arg(long, value_name = "1|4", default_value = "4", value_parser = ["1", "4"])]
    samples: String,

    /// Create and drop this many transient buffers and textures in each frame.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub(crate) churn: u32,

    /// Leak this many 1 KiB buffers in each frame.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub(crate) leak: u32,

    /// Without a window: change the picture's size, and back, each N frames, so that the targets are rebuilt; 0 never.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "window")]
    pub(crate) resize_every: u64,

    /// Leave the live panel out of the picture.
    #[arg(long)]
    pub(crate) no_ui: bool,

    /// Write the last frame to this file when the engine stops.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) screenshot: Option<PathBuf>,

    /// Render into a window instead of offscreen.
    #[arg(long)]
    pub(crate) window: bool,
}

impl Options {
    /// Samples per pixel of the main pass.
    pub(crate) fn samples(&self) -> u32 {
        if self.samples == "1" { 1 } else { 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }
}
