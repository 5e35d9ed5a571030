//! What a frame ends with.

use engine_vitals_core::probe::Pressure;
use engine_vitals_core::registry::UpdateSummary;

/// What [`Vitals::frame`](super::Vitals::frame) answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameSummary {
    /// What the update of the registry did.
    pub update: UpdateSummary,
    /// How near the soft budgets of GPU memory are, the worst of them; [`Pressure::None`] without a budget.
    pub pressure: Pressure,
}
