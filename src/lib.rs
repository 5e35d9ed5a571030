//! Resource telemetry for engines built on wgpu: heap, GPU time, VRAM and the life of every GPU resource, live in Prometheus and Grafana.
//!
//! ```no_run
//! #[global_allocator] // optional: heap figures
//! static HEAP: engine_vitals::TrackingAllocator = engine_vitals::TrackingAllocator::system();
//!
//! let vitals = engine_vitals::start(); // monitors registered, /metrics on loopback
//! let instance = vitals.wrap(wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle()));
//! // adapter, device, queue, surface: unchanged, and every resource that any crate makes is tracked
//! println!("{:?}", vitals.url());
//! loop {
//!     // render
//!     vitals.frame();
//! #   break;
//! }
//! ```
//!
//! # How it flows
//!
//! ```text
//!  PRODUCE                        KEEP        UNDERSTAND    READ         FIGURES            SHOW
//!
//!  instrument, your code ─▶ probe ─▶ tracker ─▶ analysis ─┐
//!  memory   TrackingAllocator ────────────────────────────┼─▶ monitor ─▶ registry ─▶ outputs ─▶ exporters
//!  gpu      frame timer, passes, submissions ─────────────┤               (table)    metrics    Prometheus, JSON lines,
//!  vram     wgpu, the driver, the system ─────────────────┘                          facade     Perfetto
//! ```
//!
//! Data flows to the right only. A producer knows its [`Probe`] and nothing to the right of it; monitors read what was reported and other
//! sources; a [`Registry`] updates the monitors and keeps their figures in one table; outputs hand the table to whoever shows it.
//!
//! # What is where
//!
//! - [`start()`], [`Vitals`]: the one call that sets everything up
//! - [`instrument`]: track every wgpu object of every crate through one wrapped instance
//! - [`probe`]: report resources, frames and submissions; [`tracker`]: read them: totals, snapshots, events
//! - [`analysis`]: what they mean: churn, windows, guards, dumps, differences, leaks; [`assert_no_leaks!`] for tests
//! - [`memory`]: the [`TrackingAllocator`] and what the system says of the process
//! - [`gpu`]: times on the GPU, submissions, adapter facts; [`vram`]: GPU memory from every source there is
//! - `resources`: building blocks that report what they do: staging rings (feature `staging-rings`), memory pools with defragmentation and pools
//!   of render targets (feature `memory-pools`)
//! - [`contract`]: the monitor traits, their reports, and how a monitor of your own describes its figures
//! - [`monitor`]: the standard monitors; [`registry`]: what runs them
//!
//! # By hand
//!
//! Each part stands alone:
//!
//! ```
//! use std::sync::Arc;
//! use engine_vitals::monitor::{LifecycleResourceMonitor, MemoryResourceMonitor};
//! use engine_vitals::{New, Registry, Tracker};
//!
//! let tracker = Arc::new(Tracker::new());
//! let registry = Registry::new();
//! registry.register(Arc::new(MemoryResourceMonitor::new("SystemRAM")))?;
//! registry.register(Arc::new(LifecycleResourceMonitor::new(Arc::clone(&tracker), "Resources")))?;
//!
//! let vertices = tracker.probe().create(New::buffer(64 * 1024).label("vertices"));
//! registry.update();
//! # #[cfg(feature = "telemetry")]
//! assert_eq!(registry.lifecycle("Resources").and_then(|life| life.get_lifecycle_report()).map(|report| report.live_bytes), Some(65_536));
//! drop(vertices);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! - `telemetry` (default): everything that measures. Without it the same source compiles to no-op twins: no thread, no port, no
//!   allocation, nothing of wgpu beyond what the engine uses.
//! - `instrument` (default): [`Vitals::wrap`]. Turns on wgpu's features `custom` and `wgsl`
//! - `serve` (default): the HTTP server with `/metrics`
//! - `trace` (default): `ENGINE_VITALS_TRACE=1` writes the event stream as JSON lines to stderr;
//!   `ENGINE_VITALS_TRACE_FILE=path` a trace that Perfetto opens
//! - `vulkan`, `dx12`, `metal`: the API's own handles of buffers and textures, and what it says of GPU memory
//! - `nvml`: what NVIDIA's driver says of GPU memory; `counters`: what wgpu's internal counters say
//! - `fault`: faults by a plan (`instrument::fault`), to test how an engine recovers
//! - `call-sites`: the lines of the program that the heap comes from, by sampling: [`Vitals::heap_profile`]
//! - `staging-rings`: `resources::staging`, uploads through mapped buffers that are used again. `memory-pools`: `resources::pool`, many blocks in few
//!   buffers, which defragmentation moves, and render targets that are used again. Both work without `telemetry` and report nothing then
//! - `log`: warnings through `tracing`

pub mod gpu;
pub mod instrument;
#[cfg(any(feature = "staging-rings", feature = "memory-pools"))]
pub mod resources;
pub mod start;
pub mod vram;

pub use engine_vitals_core::{
    analysis, assert_no_leaks, contract, heap_scope, memory, monitor, probe, registry, tracker,
};
#[cfg(feature = "serve")]
pub use engine_vitals_prometheus as prometheus;
#[cfg(feature = "trace")]
pub use engine_vitals_trace as trace;

pub use contract::{
    GpuMonitor, LifecycleMonitor, MemoryMonitor, MonitoredResourceType, ResourceMonitor, ResourceUsageReport,
    VramMonitor, VramProvider,
};
pub use memory::{HeapTag, TrackingAllocator};
pub use probe::{Context, New, OwnerKind, PacketResult, Probe, ResourceKind, Ticket};
pub use registry::Registry;
pub use registry::global::{get_registered_monitor, get_registered_monitors, register_resource_monitor};
pub use start::{Builder, DeviceSources, DeviceWatch, FrameSummary, HeapProfileError, StandardMonitor, Vitals, start};
pub use tracker::Tracker;

/// The examples of the README compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Those of the page on the lifecycle report too.
#[cfg(all(doctest, feature = "telemetry"))]
#[doc = include_str!("../docs/LIFECYCLE.md")]
struct Lifecycle;

/// And those of the page on the heap.
#[cfg(all(doctest, feature = "telemetry"))]
#[doc = include_str!("../docs/HEAP.md")]
struct Heap;

/// And those of the page on GPU memory.
#[cfg(all(doctest, feature = "telemetry"))]
#[doc = include_str!("../docs/VRAM.md")]
struct VideoMemory;

/// And those of the page on time on the GPU.
#[cfg(all(doctest, feature = "telemetry"))]
#[doc = include_str!("../docs/GPU.md")]
struct GpuTime;

/// And those of the page on hitches.
#[cfg(all(doctest, feature = "telemetry"))]
#[doc = include_str!("../docs/HITCHES.md")]
struct Hitches;

/// And those of the page on memory pools.
#[cfg(all(doctest, feature = "memory-pools"))]
#[doc = include_str!("../docs/POOLS.md")]
struct Pools;

/// And those of the page on staging rings.
#[cfg(all(doctest, feature = "staging-rings"))]
#[doc = include_str!("../docs/STAGING.md")]
struct Staging;
