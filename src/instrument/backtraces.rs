//! Backtraces of sampled creations.

use std::backtrace::Backtrace;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals_core::probe::ResourceId;
use parking_lot::Mutex;

/// Backtraces that are kept at a time, and one more for each thread that takes one just then.
const MAX_KEPT: usize = 4096;

/// The backtrace of every so-manieth creation, for as long as the resource is not released.
#[derive(Debug, Default)]
pub(super) struct Backtraces {
    /// 0 for none.
    pub(super) every: u64,
    creations: AtomicU64,
    kept: Mutex<HashMap<ResourceId, Arc<Backtrace>>>,
}

impl Backtraces {
    pub(super) fn new(every: u64) -> Self {
        Self { every, ..Self::default() }
    }

    /// Keeps the calling thread's backtrace if it is this creation's turn. Returns whether it did.
    pub(super) fn sample(&self, id: ResourceId) -> bool {
        if self.every == 0 || !self.creations.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every) {
            return false;
        }
        if self.kept.lock().len() >= MAX_KEPT {
            return false;
        }
        // Captured now and outside the lock, its symbols are looked up when it is shown.
        let backtrace = Arc::new(Backtrace::force_capture());
        self.kept.lock().insert(id, backtrace);
        true
    }

    pub(super) fn get(&self, id: ResourceId) -> Option<Arc<Backtrace>> {
        self.kept.lock().get(&id).cloned()
    }

    pub(super) fn forget(&self, id: ResourceId) {
        self.kept.lock().remove(&id);
    }
}
