//! What hands out memory from resources of its own: listed for as long as it lives.

use crate::contract::{StagedBytes, Store, StoreReport};
use crate::memory::HeapTag;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// The stores of a book, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Stores(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    stores: Vec<(u64, Weak<dyn Store>)>,
    /// How many there were.
    count: u64,
}

impl Stores {
    /// Lists one more, and forgets those that are gone.
    pub(super) fn list(&self, store: Weak<dyn Store>) {
        let _own = HeapTag::OWN.enter();
        let mut listed = self.0.lock();
        listed.stores.retain(|(_, store)| store.strong_count() > 0);
        listed.count += 1;
        let number = listed.count;
        listed.stores.push((number, store));
    }

    /// Of the bytes that wait for a submission in one of them, those that have waited longest.
    pub(crate) fn unsubmitted(&self) -> Option<StagedBytes> {
        let mut oldest: Option<StagedBytes> = None;
        for index in 0.. {
            // None is asked under the lock. One that is forgotten meanwhile is asked the next time.
            let store = self.0.lock().stores.get(index).map(|(_, store)| store.upgrade());
            let Some(store) = store else { break };
            let staged = store.and_then(|store| store.unsubmitted());
            oldest = oldest.into_iter().chain(staged).min_by_key(|staged| staged.since_unix_nanos);
        }
        oldest
    }

    /// Asks each for its report, under a number that no other one has.
    pub(crate) fn read(&self, reports: &mut Vec<(u64, StoreReport)>) {
        // None is asked under the lock, and none is dropped under it: the last handle may be this one.
        let live = |(number, store): &(u64, Weak<dyn Store>)| Some((*number, store.upgrade()?));
        let stores: Vec<(u64, Arc<dyn Store>)> = self.0.lock().stores.iter().filter_map(live).collect();
        reports.clear();
        reports.extend(stores.iter().map(|(number, store)| (*number, store.report())));
    }
}
