//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::pace::parse_fps;
use super::size::{Size, parse_size};

/// Frames of a run without a window that is not told how many.
const FRAMES: u64 = 120;
/// Frames per second of a window that is not told how many.
const WINDOW_FPS: f64 = 60.0;

/// A compositor of visuals whose native targets each own a command queue, measured by engine-vitals: a resize storm, steady frames, a
/// teardown.
///
/// Exit codes: 0 done, 1 failed while running, 2 wrong options, 3 no GPU adapter, 4 no display for `--window`.
#[derive(Clone, Debug, Parser)]
#[command(name = env!("CARGO_BIN_NAME"), version, args_override_self = true)]
pub(crate) struct Options {
    /// Where /metrics and the page are served. A taken port: the next free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9184")]
    pub(crate) listen: SocketAddr,

    /// Stop after this many frames; 0 runs until Ctrl-C or until the window is closed. Default: 120, and 0 in a window.
    #[arg(long, value_name = "N")]
    frames: Option<u64>,

    /// Frames per second to hold; 0 runs as fast as possible. Default: 0, and 60 in a window.
    #[arg(long, value_name = "F", value_parser = parse_fps)]
    fps: Option<f64>,

    /// Size of the picture in pixels.
    #[arg(long, value_name = "WxH", default_value = "640x400", value_parser = parse_size)]
    pub(crate) size: Size,

    /// What the resize storm at the start is like: the same number, the same storm.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// A fault to find.
    #[arg(long, value_name = "FAULT", value_enum, default_value_t = Plant::None)]
    pub(crate) plant: Plant,

    /// Write the last picture to this file before the teardown.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) screenshot: Option<PathBuf>,

    /// Write what engine-vitals saw to this file after the teardown.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,

    /// Write the compositor's own account to this file after the teardown.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) ground_truth: Option<PathBuf>,

    /// Show the picture in a window.
    #[arg(long)]
    pub(crate) window: bool,
}

impl Options {
    /// Frames to run for; `None` until stopped.
    pub(crate) fn frames(&self) -> Option<u64> {
        let frames = self.frames.unwrap_or(if self.window { 0 } else { FRAMES });
        (frames != 0).then_some(frames)
    }

    /// Frames per second to hold; 0 holds nothing back.
    pub(crate) fn fps(&self) -> f64 {
        self.fps.unwrap_or(if self.window { WINDOW_FPS } else { 0.0 })
    }
}

/// What a run does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// Nothing.
    None,
    /// A child whose size does not settle: its target and queue are made anew in each of the first frames.
    RecreateLoop,
    /// Thumbnails whose targets and queues are never released.
    Leak,
    /// A stretch in which nothing is drawn, as of a minimised window, but the looks of the layers are written all the same.
    UnsubmittedWrites,
    /// A target that is destroyed in the packet that has just drawn with it.
    DestroyInUse,
}

impl Plant {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
