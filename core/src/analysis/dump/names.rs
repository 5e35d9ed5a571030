//! Names that occur again and again are kept once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// The names, and things of another sort beside.
#[derive(Debug)]
pub(super) struct Names<T> {
    names: HashSet<Arc<str>>,
    things: HashSet<Arc<T>>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { names: HashSet::new(), things: HashSet::new() }
    }
}

impl<T: Eq + Hash> Names<T> {
    /// The name, shared.
    pub(super) fn get(&mut self, name: &str) -> Arc<str> {
        match self.names.get(name) {
            Some(kept) => Arc::clone(kept),
            None => {
                let name: Arc<str> = name.into();
                self.names.insert(Arc::clone(&name));
                name
            }
        }
    }

    /// Replaces the name by the one kept.
    pub(super) fn share(&mut self, name: &mut Arc<str>) {
        match self.names.get(&**name) {
            Some(kept) => *name = Arc::clone(kept),
            None => {
                self.names.insert(Arc::clone(name));
            }
        }
    }

    /// The same for a thing.
    pub(super) fn share_thing(&mut self, thing: &mut Arc<T>) {
        match self.things.get(&**thing) {
            Some(kept) => *thing = Arc::clone(kept),
            None => {
                self.things.insert(Arc::clone(thing));
            }
        }
    }
}
