//! Core.
pub mod contract;
pub mod memory;
pub mod monitor;
