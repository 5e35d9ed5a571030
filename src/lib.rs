//! Map.

pub mod gpu;
pub mod vram;
