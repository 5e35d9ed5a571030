//! What a frame ends with.

use engine_vitals_core::analysis::hitches::Hitch;
use engine_vitals_core::probe::Pressure;
use engine_vitals_core::registry::UpdateSummary;

/// What [`Vitals::frame`](super::Vitals::frame) answers.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct FrameSummary {
    /// What the update of the registry did.
    pub update: UpdateSummary,
    /// How near the soft budgets of GPU memory are, the worst of them; [`Pressure::None`] without a budget.
    pub pressure: Pressure,
    /// The newest hitch that this frame's end made known, if any: of this frame or, where passes are timed, of one a few frames before.
    pub hitch: Option<Box<Hitch>>,
}
