//! What there is when memory runs out, taken at that moment.

use std::sync::Arc;

use engine_vitals_core::analysis::OutOfMemory;
use engine_vitals_core::memory::HeapTag;
use engine_vitals_core::monitor::{BudgetMonitor, ReconciliationMonitor};
use engine_vitals_core::probe::Shortage;
use engine_vitals_core::tracker::Tracker;

/// What the instrumentation tells of shortages. Devices may outlive `Vitals`; what they tell then, nobody asks for.
pub(super) fn capture(
    tracker: &Arc<Tracker>,
    budgets: &Arc<BudgetMonitor>,
    reconcile: &Arc<ReconciliationMonitor>,
) -> impl Fn(&Shortage) + Send + Sync + 'static {
    let (tracker, budgets, reconcile) = (Arc::downgrade(tracker), Arc::downgrade(budgets), Arc::downgrade(reconcile));
    move |shortage| {
        let _own = HeapTag::OWN.enter();
        if let (Some(tracker), Some(budgets)) = (tracker.upgrade(), budgets.upgrade()) {
            let figures = reconcile.upgrade().map(|sources| sources.allocator_bytes());
            let (allocated, reserved) = figures.unwrap_or_default();
            budgets.ran_out(OutOfMemory::take(&tracker, shortage.clone()).with_allocator(allocated, reserved));
        }
    }
}
