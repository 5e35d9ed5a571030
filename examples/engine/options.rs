//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

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

/// Width and height in pixels, both from 1 to 16384.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

const LARGEST: u32 = 16_384;

fn parse_size(text: &str) -> Result<Size, String> {
    let (width, height) = text.split_once('x').ok_or("expected WIDTHxHEIGHT, for example 960x540")?;
    let side = |name: &str, digits: &str| match digits.parse::<u32>() {
        Ok(value) if (1..=LARGEST).contains(&value) => Ok(value),
        Ok(_) | Err(_) => Err(format!("the {name} {digits:?} is not a whole number from 1 to {LARGEST}")),
    };
    Ok(Size { width: side("width", width)?, height: side("height", height)? })
}

fn parse_fps(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(fps) if (0.0..=10_000.0).contains(&fps) && (fps == 0.0 || fps >= 0.01) => Ok(fps),
        Ok(_) | Err(_) => Err("expected 0 (as fast as possible) or frames per second from 0.01 to 10000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_and_refused_with_a_reason() {
        assert_eq!(parse_size("640x360"), Ok(Size { width: 640, height: 360 }));
        for wrong in ["", "640", "640x", "x360", "0x1", "1x0", "16385x1", "-1x2", "640X360", "1x1x1"] {
            assert!(parse_size(wrong).is_err(), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn rates_that_are_not_finite_or_negative_are_refused() {
        assert_eq!(parse_fps("0"), Ok(0.0));
        assert_eq!(parse_fps("59.94"), Ok(59.94));
        for wrong in ["-1", "NaN", "inf", "1e9", "0.0001", "fast"] {
            assert!(parse_fps(wrong).is_err(), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }
}
