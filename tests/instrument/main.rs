//! The transparent instrumentation: a scene that uses nearly all of wgpu gives the same output with and without it, and
//! the books that it keeps are right at every step.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopted;
mod bench;
mod books;
mod choices;
mod counters;
mod details;
mod foreign;
mod links;
mod lives;
mod pending;
mod same;
mod scene;
mod steady;
#[path = "../support/mod.rs"]
mod support;
mod threads;
#[cfg(target_os = "linux")]
mod window;
