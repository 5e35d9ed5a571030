//! The standard monitors.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use engine_vitals_core::contract::ResourceMonitor;
use engine_vitals_core::monitor::{
    AllocatorMonitor, BudgetMonitor, FrameMonitor, GpuFrameMonitor, HitchMonitor, LifecycleResourceMonitor,
    MemoryResourceMonitor, PassTimeMonitor, ProcessMemoryMonitor, ReconciliationMonitor, StoreMonitor,
};
use engine_vitals_core::registry::{Registry, RegistryMonitor};
use engine_vitals_core::tracker::Tracker;

use super::super::{Builder, StandardMonitor};
use super::parts::default_hitch_rules;

/// Those that [`Vitals`](super::Vitals) speaks to, registered or not.
pub(super) struct Monitors {
    pub(super) heap: Arc<MemoryResourceMonitor>,
    pub(super) frames: Arc<FrameMonitor>,
    pub(super) hitches: Arc<HitchMonitor>,
    pub(super) gpu: Arc<GpuFrameMonitor>,
    pub(super) passes: Arc<PassTimeMonitor>,
    pub(super) lifecycle: Arc<LifecycleResourceMonitor>,
    pub(super) budgets: Arc<BudgetMonitor>,
    pub(super) reconcile: Arc<ReconciliationMonitor>,
}

impl Monitors {
    /// As the builder says. Its rules and guards are taken out of it.
    pub(super) fn of(tracker: &Arc<Tracker>, builder: &mut Builder) -> Self {
        let heap = MemoryResourceMonitor::new("heap").with_budget(builder.heap_budget);
        let passes = PassTimeMonitor::new("passes");
        let passes = Arc::new(match builder.pass_names {
            Some(names) => passes.with_names(names),
            None => passes,
        });
        let hitches = HitchMonitor::new(Arc::clone(tracker), "hitches").with_passes(Arc::clone(&passes));
        let rules = std::mem::take(&mut builder.rules);
        let lifecycle = LifecycleResourceMonitor::with_rules(Arc::clone(tracker), "lifecycle", rules);
        Self {
            heap: Arc::new(heap.with_guards(builder.heap_guards)),
            frames: Arc::new(FrameMonitor::new("frames")),
            hitches: Arc::new(hitches.with_rules(builder.hitch_rules.take().unwrap_or_else(default_hitch_rules))),
            gpu: Arc::new(GpuFrameMonitor::new("gpu")),
            passes,
            lifecycle: Arc::new(lifecycle.with_guards(builder.guards.take().unwrap_or_default())),
            budgets: Arc::new(BudgetMonitor::new(Arc::clone(tracker), "budgets")),
            reconcile: Arc::new(ReconciliationMonitor::new(Arc::clone(tracker), "reconcile")),
        }
    }

    /// Puts these, and those that nobody speaks to, into the registry, but for those left out. Returns the ids of those that are in it.
    pub(super) fn register(
        &self,
        tracker: &Arc<Tracker>,
        registry: &Registry,
        left_out: &HashSet<StandardMonitor>,
        notices: &mut Vec<String>,
    ) -> Vec<Cow<'static, str>> {
        let standard: [(StandardMonitor, Arc<dyn ResourceMonitor>); 12] = [
            (StandardMonitor::Heap, self.heap.clone()),
            (StandardMonitor::Allocator, Arc::new(AllocatorMonitor::new("allocator"))),
            (StandardMonitor::Process, Arc::new(ProcessMemoryMonitor::new("process"))),
            (StandardMonitor::Frames, self.frames.clone()),
            (StandardMonitor::Hitches, self.hitches.clone()),
            (StandardMonitor::Gpu, self.gpu.clone()),
            (StandardMonitor::Passes, self.passes.clone()),
            (StandardMonitor::Lifecycle, self.lifecycle.clone()),
            (StandardMonitor::Budgets, self.budgets.clone()),
            (StandardMonitor::Reconciliation, self.reconcile.clone()),
            (StandardMonitor::Stores, Arc::new(StoreMonitor::new(Arc::clone(tracker), "stores"))),
            (StandardMonitor::Registry, Arc::new(RegistryMonitor::new(registry, "registry"))),
        ];
        let mut registered = Vec::new();
        for (which, monitor) in standard {
            if !left_out.contains(&which) {
                match registry.register_dyn(Arc::clone(&monitor)) {
                    Ok(()) => registered.push(monitor.monitor_id()),
                    Err(error) => notices.push(error.to_string()),
                }
            }
        }
        registered
    }
}
