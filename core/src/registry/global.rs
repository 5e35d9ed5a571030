//! A default registry for the whole process, for engines that register from anywhere. No other room uses it.
//!
//! Nothing updates or shows it by itself: update it in the frame loop and give it to an exporter, or to the builder of `Vitals` in the
//! crate `engine-vitals` (`in_registry`).

use std::sync::Arc;

use once_cell::sync::Lazy;

use super::{DuplicateMonitor, Registry};
use crate::contract::ResourceMonitor;

static REGISTRY: Lazy<Registry> = Lazy::new(Registry::new);

/// The default registry.
#[must_use]
pub fn registry() -> &'static Registry {
    &REGISTRY
}

/// Registers a monitor in the default registry.
///
/// # Errors
/// [`DuplicateMonitor`] when a monitor with that id is registered; it hands the monitor back.
pub fn register_resource_monitor<M: ResourceMonitor>(monitor: Arc<M>) -> Result<(), DuplicateMonitor<Arc<M>>> {
    REGISTRY.register(monitor)
}

/// The monitor with this id in the default registry, if its type is `M`.
#[must_use]
pub fn get_registered_monitor<M: ResourceMonitor>(id: &str) -> Option<Arc<M>> {
    REGISTRY.get(id)
}

/// All monitors of the default registry, in the order of their registration.
#[must_use]
pub fn get_registered_monitors() -> Vec<Arc<dyn ResourceMonitor>> {
    REGISTRY.monitors()
}
