//! What hands out memory from resources of its own: listed for as long as it lives.

use crate::contract::{Store, StoreReport};
use crate::memory::HeapTag;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// The stores of a book, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Stores(Mutex<Vec<Weak<dyn Store>>>);

impl Stores {
    /// Lists one more, and forgets those that are gone.
    pub(super) fn list(&self, store: Weak<dyn Store>) {
        let _own = HeapTag::OWN.enter();
        let mut stores = self.0.lock();
        stores.retain(|store| store.strong_count() > 0);
        stores.push(store);
    }

    /// Asks each for its report.
    pub(crate) fn read(&self, reports: &mut Vec<StoreReport>) {
        // None is asked under the lock, and none is dropped under it: the last handle may be this one.
        let stores: Vec<Arc<dyn Store>> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        reports.clear();
        reports.extend(stores.iter().map(|store| store.report()));
    }
}
