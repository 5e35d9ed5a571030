//! One file for each crate: `draw` uses it as its own examples do and gives back the bytes that came of it.

pub(crate) mod cubecl;
pub(crate) mod egui;
pub(crate) mod glyphon;
pub(crate) mod profiler;
pub(crate) mod vello;
