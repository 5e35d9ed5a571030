//! What there is when memory runs out, taken at that moment.

use std::sync::Arc;

use engine_vitals_core::memory::HeapTag;
use engine_vitals_core::monitor::{BudgetMonitor, ReconciliationMonitor};
use engine_vitals_core::probe::Shortage;

/// What the instrumentation tells of shortages. Devices may outlive `Vitals`; what they tell then, nobody asks for.
pub(super) fn capture(
    budgets: &Arc<BudgetMonitor>,
    reconcile: &Arc<ReconciliationMonitor>,
) -> impl Fn(&Shortage) + Send + Sync + 'static {
    let (budgets, reconcile) = (Arc::downgrade(budgets), Arc::downgrade(reconcile));
    move |shortage| {
        let _own = HeapTag::OWN.enter();
        if let Some(budgets) = budgets.upgrade() {
            let figures = || reconcile.upgrade().map(|sources| sources.allocator_bytes()).unwrap_or_default();
            budgets.ran_out(shortage, figures);
        }
    }
}
