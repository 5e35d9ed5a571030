//! What a registry is made with, and what its calls answer.

use std::fmt;
use std::time::Duration;

use super::Registry;

/// Sets up a [`Registry`].
#[derive(Debug, Clone)]
#[must_use]
pub struct RegistryBuilder {
    pub(super) update_budget: Duration,
    pub(super) monitor_budget: Duration,
    pub(super) demoted_cadence: Duration,
    pub(super) stale_after: Duration,
    pub(super) figures_per_monitor: usize,
    pub(super) usage_warning_percent: f64,
}

impl Default for RegistryBuilder {
    fn default() -> Self {
        Self {
            update_budget: Duration::from_millis(4),
            monitor_budget: Duration::from_millis(1),
            demoted_cadence: Duration::from_secs(1),
            stale_after: Duration::from_secs(15),
            figures_per_monitor: 1_024,
            usage_warning_percent: 80.0,
        }
    }
}

impl RegistryBuilder {
    /// How long one [`Registry::update`] may take before it leaves the remaining monitors to the next; 4 ms by default.
    pub fn update_budget(mut self, budget: Duration) -> Self {
        self.update_budget = budget;
        self
    }

    /// How long one monitor may take in [`Registry::update`]; 1 ms by default. One that takes longer twice within 64
    /// updates, or eight times as long once, is moved to the sampler thread.
    pub fn monitor_budget(mut self, budget: Duration) -> Self {
        self.monitor_budget = budget;
        self
    }

    /// How often a monitor runs that was moved to the sampler thread; each second by default.
    pub fn demoted_cadence(mut self, cadence: Duration) -> Self {
        self.demoted_cadence = cadence.max(Duration::from_millis(1));
        self
    }

    /// How long figures stand beyond their cadence before they are stale, and with that absent; 15 s by default.
    pub fn stale_after(mut self, age: Duration) -> Self {
        self.stale_after = age;
        self
    }

    /// How many figures one monitor may describe; 1,024 by default. Those beyond are refused and counted.
    pub fn figures_per_monitor(mut self, cap: usize) -> Self {
        self.figures_per_monitor = cap;
        self
    }

    /// Usage above this share of the capacity is a health issue; 80 by default.
    pub fn usage_warning_percent(mut self, percent: f64) -> Self {
        self.usage_warning_percent = percent;
        self
    }

    /// The registry.
    #[must_use]
    pub fn build(self) -> Registry {
        Registry::with(self)
    }
}

/// The error of registering a monitor whose id is taken; hands the monitor back.
#[derive(Debug)]
pub struct DuplicateMonitor<M> {
    /// The monitor that was not registered.
    pub monitor: M,
    /// The id that both have.
    pub id: String,
}

impl<M> fmt::Display for DuplicateMonitor<M> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "a monitor with the id {:?} is registered already: give each its own id, or unregister that one first",
            self.id
        )
    }
}

impl<M: fmt::Debug> std::error::Error for DuplicateMonitor<M> {}

/// What one [`Registry::update`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpdateSummary {
    /// Monitors that ran.
    pub ran: usize,
    /// Monitors whose run ended in a panic.
    pub failed: usize,
    /// Monitors left to the next update because the budget was spent.
    pub deferred: usize,
    /// Whether nothing was done because another thread was updating.
    pub skipped: bool,
    /// How long it took.
    pub took: Duration,
}
