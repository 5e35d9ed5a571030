//! The program of docs/RECIPES.md; build.rs takes it from there.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that tells what it saw")]

include!(concat!(env!("OUT_DIR"), "/recipe_winit.rs"));
