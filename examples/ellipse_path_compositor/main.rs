//! A compositor whose visuals show ellipse paths, drawn by vello, unmodified.
//!
//! ```text
//! cargo run --release --example ellipse_path_compositor -- --screenshot ellipses.png --ground-truth truth.json
//! ```
//!
//! Everything but the paths is in `examples/compositor`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

#[path = "../compositor/mod.rs"]
mod compositor;
mod paths;

use std::process::ExitCode;

fn main() -> ExitCode {
    compositor::main::<paths::EllipsePaths>()
}
