//! Faults: each looks as wgpu's own does, and a renderer that recovers comes through all of them with its books in order.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod creations;
mod engine;
mod helpers;
mod looks;
mod scenes;
#[path = "../support/mod.rs"]
mod support;
mod tools;
#[cfg(target_os = "linux")]
mod window;
