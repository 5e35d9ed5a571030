//! A compositor whose visuals show text, drawn by glyphon, unmodified.
//!
//! ```text
//! cargo run --release --example text_compositor -- --screenshot text.png --ground-truth truth.json
//! ```
//!
//! Everything but the text is in `examples/compositor`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

#[path = "../compositor/mod.rs"]
mod compositor;
mod text;

use std::process::ExitCode;

fn main() -> ExitCode {
    compositor::main::<text::Texts>()
}
