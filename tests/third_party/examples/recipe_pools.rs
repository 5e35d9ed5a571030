//! The program of docs/RECIPES.md; build.rs takes it from there.
#![expect(clippy::print_stdout, reason = "a program that tells what it saw")]

include!(concat!(env!("OUT_DIR"), "/recipe_pools.rs"));
