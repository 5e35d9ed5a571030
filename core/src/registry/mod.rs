//! Updates the monitors, keeps their figures in one table and hands it to outputs.
//!
//! This room owns the monitors' schedule: which run in [`Registry::update`], which on the sampler thread, what happens to one that panics,
//! overruns or goes silent. It must not know what any monitor measures, nor where the figures are shown. A [`Registry`] is an instance;
//! [`global`] keeps a default one for engines that want to register from anywhere, and no other room uses it.

#[cfg(feature = "telemetry")]
mod claims;
mod config;
#[cfg(feature = "telemetry")]
mod entry;
pub mod global;
#[cfg(not(feature = "telemetry"))]
mod noop;
#[cfg(feature = "telemetry")]
mod outputs;
mod own;
#[cfg(feature = "telemetry")]
mod sampler;
#[cfg(feature = "telemetry")]
mod schedule;
mod table;
#[cfg(feature = "telemetry")]
mod updater;

pub use config::{DuplicateMonitor, RegistryBuilder, UpdateSummary};
#[cfg(not(feature = "telemetry"))]
pub use noop::{BackgroundUpdater, Registry, WeakRegistry};
#[cfg(feature = "telemetry")]
pub use outputs::MetricsOutput;
pub use own::RegistryMonitor;
#[cfg(feature = "telemetry")]
pub use schedule::{Registry, WeakRegistry};
pub use table::{
    Health, HealthIssue, MonitorKey, MonitorSnapshot, MonitorState, Output, Part, RegistryStats, Snapshot,
};
#[cfg(feature = "telemetry")]
pub use updater::BackgroundUpdater;

#[cfg(all(test, feature = "telemetry"))]
mod tests;
