//! The names of passes, each kept once. Plain data.

use std::collections::HashMap;
use std::sync::Arc;

use engine_vitals_core::monitor::PassTimeMonitor;
use parking_lot::RwLock;

/// A name, for as long as the table is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct NameId(u16);

/// Names, up to a limit; those beyond are [`PassTimeMonitor::OTHER`].
#[derive(Debug)]
pub(super) struct Names(RwLock<Table>);

#[derive(Debug)]
struct Table {
    ids: HashMap<Arc<str>, NameId>,
    names: Vec<Arc<str>>,
}

/// The name of passes that have none.
pub(super) const UNLABELLED: &str = "(no label)";

/// A longer label is cut off here, so that its memory is bounded too.
const LONGEST_BYTES: usize = 96;

impl Names {
    /// Of passes whose own name found no place; one that is called so has a place as any other.
    pub(super) const OTHER: NameId = NameId(0);
    const UNLABELLED: NameId = NameId(1);

    pub(super) fn new() -> Self {
        let names = vec![Arc::from(PassTimeMonitor::OTHER), Arc::from(UNLABELLED)];
        Self(RwLock::new(Table { ids: HashMap::new(), names }))
    }

    /// The name of a pass with that label. Allocates only for one that is new.
    pub(super) fn id(&self, label: Option<&str>) -> NameId {
        let Some(label) = label.filter(|label| !label.is_empty()) else { return Self::UNLABELLED };
        let label = cut(label);
        let table = self.0.read();
        if let Some(&id) = table.ids.get(label) {
            return id;
        }
        if table.ids.len() >= PassTimeMonitor::MAX_NAMES {
            return Self::OTHER;
        }
        drop(table);
        self.0.write().add(label)
    }

    /// The name itself.
    pub(super) fn name(&self, NameId(id): NameId) -> Arc<str> {
        let table = self.0.read();
        Arc::clone(table.names.get(usize::from(id)).unwrap_or(&table.names[0]))
    }
}

impl Table {
    fn add(&mut self, label: &str) -> NameId {
        // Another thread may have been faster.
        if let Some(&id) = self.ids.get(label) {
            return id;
        }
        match u16::try_from(self.names.len()) {
            Ok(id) if self.ids.len() < PassTimeMonitor::MAX_NAMES => {
                let name: Arc<str> = label.into();
                self.ids.insert(Arc::clone(&name), NameId(id));
                self.names.push(name);
                NameId(id)
            }
            _ => Names::OTHER,
        }
    }
}

/// The label up to the longest that is kept, ending between two characters.
fn cut(label: &str) -> &str {
    &label[..label.floor_char_boundary(LONGEST_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_found_again() {
        let names = Names::new();
        let (a, b) = (names.id(Some("a")), names.id(Some("b")));
        assert_ne!(a, b);
        assert_eq!((names.id(Some("a")), &*names.name(a), &*names.name(b)), (a, "a", "b"));
        assert_eq!(names.id(None), names.id(Some("")));
        assert_eq!(&*names.name(names.id(None)), UNLABELLED);
    }

    #[test]
    fn names_and_their_lengths_are_bounded() {
        let names = Names::new();
        let long = "ä".repeat(LONGEST_BYTES);
        assert_eq!(names.name(names.id(Some(&long))).len(), LONGEST_BYTES);
        assert_eq!(names.id(Some(&long)), names.id(Some(&format!("{long}!"))), "the same as far as it is kept");
        for number in 1..PassTimeMonitor::MAX_NAMES {
            assert_eq!(*names.name(names.id(Some(&number.to_string()))), number.to_string());
        }
        for number in PassTimeMonitor::MAX_NAMES..10_000 {
            assert_eq!(names.id(Some(&number.to_string())), Names::OTHER);
        }
        assert_ne!(Names::new().id(Some(PassTimeMonitor::OTHER)), Names::OTHER, "its own name");
        assert_eq!(&*names.name(Names::OTHER), "other");
        assert_eq!(&*names.name(names.id(Some("7"))), "7", "those that are known stay");
    }
}
