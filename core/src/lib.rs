//! The core of engine-vitals: everything that needs no graphics library. Users depend on the crate `engine-vitals`, which re-exports it.
//!
//! ```text
//!  probe ─▶ tracker ─▶ analysis ─┐
//!  memory, vram ─────────────────┼─▶ monitor ─▶ registry ─▶ outputs
//!  contract: what all rooms speak
//! ```
//!
//! - [`contract`]: the monitor traits, their reports, the description of a metric
//! - [`probe`]: the write side of the book of resources; [`tracker`]: its read side
//! - [`analysis`]: what its answers mean: churn, windows, guards, graphs, differences, leaks, reports
//! - [`memory`]: the tracking allocator, process and system memory
//! - [`vram`]: the memory of graphics devices, from sources that need no graphics library
//! - [`monitor`]: the standard monitors
//! - [`registry`]: runs monitors, keeps their figures in one table, hands it to outputs
//!
//! Which room may use which is listed in docs/ARCHITECTURE.md and checked by `cargo xtask tidy`.

pub mod analysis;
pub mod contract;
mod files;
mod log;
pub mod memory;
pub mod monitor;
pub mod probe;
pub mod registry;
#[cfg(feature = "telemetry")]
mod sync;
pub mod tracker;
pub mod vram;
