//! Core.
pub mod contract;
#[cfg(feature = "telemetry")]
mod log;
pub mod memory;
pub mod monitor;
pub mod registry;
