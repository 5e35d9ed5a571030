//! Core.
pub mod contract;
#[cfg(feature = "telemetry")]
mod log;
pub mod memory;
pub mod monitor;
pub mod probe;
pub mod registry;
#[cfg(feature = "telemetry")]
mod sync;
pub mod tracker;
