//! What all rooms speak: the monitor traits, their reports, and the description of a metric.
//!
//! This room owns vocabulary and nothing else. It depends on no other room, keeps no state of its own (a [`Histogram`] is a value that
//! its monitor owns) and knows nothing of how a figure is collected or shown.
//!
//! - [`ResourceMonitor`] and its specialisations [`MemoryMonitor`], [`GpuMonitor`], [`VramMonitor`], [`LifecycleMonitor`]
//! - the reports they give: [`MemoryReport`], [`GpuReport`], [`VramReport`], [`LifecycleReport`], [`ResourceUsageReport`]
//! - [`Store`]: what hands out GPU memory from resources of its own, and says how it stands
//! - what a monitor exports: it describes its figures once in a [`Series`] and writes their values in a [`Row`]
//!
//! Units are bytes (`u64`) and [`std::time::Duration`]. A figure that is not known is `None`; zero means that zero was measured.

mod figures;
mod frame;
mod heap;
mod histogram;
mod lifecycle;
mod memory;
mod monitor;
mod profile;
mod stores;
mod usage;
mod vram;

pub use figures::{Figure, FigureKind, Reading, Row, Series, SeriesOverflow, Unit, Value};
pub use frame::{CpuPhase, FrameStats, GpuHook, GpuReport};
pub use heap::{CallSite, HeapProfile, HeapSampleCounts, SizeBucket, SizeHistogram, TagTotals};
pub use histogram::{Histogram, HistogramSnapshot};
pub use lifecycle::{KindUsage, LifecycleReport};
pub use memory::{HeapTotals, MemoryReport};
pub use monitor::{
    Cadence, GpuMonitor, LifecycleMonitor, MemoryMonitor, MonitorRef, MonitoredResourceType, ResourceMonitor,
    VramMonitor, VramProvider,
};
pub use profile::{HeapMeasure, ResolvedFrame, ResolvedProfile, ResolvedSite, SourceLine};
pub(crate) use stores::Sums;
pub use stores::{MemoryPoolReport, StagedBytes, StagingRingReport, Store, StoreReport, TargetPoolReport};
pub use usage::{ResourceUsageReport, bytes_to_mb};
pub use vram::{Allocation, Allocations, EngineBusy, VramHeap, VramReport};
