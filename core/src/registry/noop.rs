//! The registry without the feature `telemetry`: takes monitors and forgets them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::config::{DuplicateMonitor, RegistryBuilder, UpdateSummary};
use super::table::{Health, Output, RegistryStats, Snapshot};
use crate::contract::{GpuMonitor, LifecycleMonitor, MemoryMonitor, ResourceMonitor, VramMonitor};

/// The registry's no-op twin: nothing is kept, run or counted.
#[derive(Debug, Clone, Default)]
pub struct Registry(());

impl Registry {
    /// A registry that does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }

    /// Sets up a registry that does nothing.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    pub(super) fn with(_config: RegistryBuilder) -> Self {
        Self(())
    }

    /// Forgets the monitor.
    ///
    /// # Errors
    /// Never.
    pub fn register<M: ResourceMonitor>(&self, _monitor: Arc<M>) -> Result<(), DuplicateMonitor<Arc<M>>> {
        Ok(())
    }

    /// Forgets the monitor.
    ///
    /// # Errors
    /// Never.
    pub fn register_dyn(
        &self,
        _monitor: Arc<dyn ResourceMonitor>,
    ) -> Result<(), DuplicateMonitor<Arc<dyn ResourceMonitor>>> {
        Ok(())
    }

    /// `None`.
    pub fn unregister(&self, _id: &str) -> Option<Arc<dyn ResourceMonitor>> {
        None
    }

    /// `None`.
    #[must_use]
    pub fn get<M: ResourceMonitor>(&self, _id: &str) -> Option<Arc<M>> {
        None
    }

    /// `None`.
    #[must_use]
    pub fn memory(&self, _id: &str) -> Option<Arc<dyn MemoryMonitor>> {
        None
    }

    /// `None`.
    #[must_use]
    pub fn gpu(&self, _id: &str) -> Option<Arc<dyn GpuMonitor>> {
        None
    }

    /// `None`.
    #[must_use]
    pub fn vram(&self, _id: &str) -> Option<Arc<dyn VramMonitor>> {
        None
    }

    /// `None`.
    #[must_use]
    pub fn lifecycle(&self, _id: &str) -> Option<Arc<dyn LifecycleMonitor>> {
        None
    }

    /// Nothing.
    #[must_use]
    pub fn monitors(&self) -> Vec<Arc<dyn ResourceMonitor>> {
        Vec::new()
    }

    /// Does nothing.
    pub fn update(&self) -> UpdateSummary {
        UpdateSummary::default()
    }

    /// Only finishes the output.
    pub fn read(&self, output: &mut dyn Output) {
        output.finish();
    }

    /// An empty table.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }

    /// Nothing.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        Vec::new()
    }

    /// Zeros.
    #[must_use]
    pub fn stats(&self) -> RegistryStats {
        RegistryStats::default()
    }

    /// A handle to this registry.
    #[must_use]
    pub fn downgrade(&self) -> WeakRegistry {
        WeakRegistry(())
    }
}

/// The no-op twin of the handle that does not keep a registry.
#[derive(Debug, Clone)]
pub struct WeakRegistry(());

impl WeakRegistry {
    /// The registry that does nothing.
    #[must_use]
    pub fn upgrade(&self) -> Option<Registry> {
        Some(Registry(()))
    }
}

/// The no-op twin of the thread that updates a registry: there is none.
#[derive(Debug)]
pub struct BackgroundUpdater(());

impl BackgroundUpdater {
    /// Starts nothing.
    ///
    /// # Errors
    /// Never.
    pub fn start(_registry: &Registry, _every: Duration) -> io::Result<Self> {
        Ok(Self(()))
    }
}

/// Nothing; so that dropping it means the same with and without telemetry.
impl Drop for BackgroundUpdater {
    fn drop(&mut self) {}
}
