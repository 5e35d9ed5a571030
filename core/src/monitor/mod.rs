//! The standard monitors.
//!
//! A monitor reads one source, keeps what it read last, and describes its figures. This room knows the contract and the rooms that its
//! monitors read; it knows nothing of the registry that runs them or of who shows their figures.

mod adapter;
mod allocator;
mod budgets;
mod frames;
mod gpu;
#[cfg(feature = "telemetry")]
mod guards;
#[cfg(not(feature = "telemetry"))]
#[path = "guards_off.rs"]
mod guards;
mod hitches;
mod lifecycle;
mod memory;
mod passes;
mod process;
mod reconcile;
mod stores;
mod vram;

pub use adapter::AdapterMonitor;
pub use allocator::AllocatorMonitor;
pub use budgets::{BudgetMonitor, BudgetReport};
pub use frames::FrameMonitor;
pub use gpu::{GpuFrameMonitor, GpuWindow, TimerSkip};
pub use hitches::HitchMonitor;
pub use lifecycle::LifecycleResourceMonitor;
pub use memory::MemoryResourceMonitor;
pub use passes::{FramePasses, GpuPass, GpuPassReport, PassTimeMonitor, UntimedPass};
pub use process::ProcessMemoryMonitor;
pub use reconcile::ReconciliationMonitor;
pub use stores::StoreMonitor;
pub use vram::VramResourceMonitor;
