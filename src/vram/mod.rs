//! Figures about GPU memory that need wgpu to be read.
//!
//! This room owns providers: sources that answer the core's `VramProvider`. It knows nothing of the monitor that reads
//! them or of the resources that the engine reports itself. Sources that need no wgpu live in the core.

mod allocator_report;

pub use allocator_report::AllocatorReportProvider;
