//! Core.
pub mod contract;
