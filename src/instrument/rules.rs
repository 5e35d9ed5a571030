//! What is tracked, under which owner, and how many labels are kept.

use std::sync::atomic::{AtomicUsize, Ordering};

use engine_vitals_core::probe::{New, OwnerId, ResourceKind};

/// What the builder was told. Without any rule everything is tracked with its label and the context's owner.
#[derive(Debug)]
pub(super) struct Rules {
    /// A bit for each kind that is left out.
    pub(super) without_kinds: u64,
    pub(super) only_labels: Vec<String>,
    pub(super) without_labels: Vec<String>,
    pub(super) owners: Vec<(String, OwnerId)>,
    pub(super) label_limit: Option<usize>,
    pub(super) labels: AtomicUsize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            without_kinds: 0,
            only_labels: Vec::new(),
            without_labels: Vec::new(),
            owners: Vec::new(),
            label_limit: None,
            labels: AtomicUsize::new(0),
        }
    }
}

impl Rules {
    /// Whether such an object is tracked.
    pub(super) fn admit(&self, kind: ResourceKind, label: Option<&str>) -> bool {
        if self.without_kinds & bit(kind) != 0 {
            return false;
        }
        let begins = |prefixes: &[String]| {
            label.is_some_and(|label| prefixes.iter().any(|prefix| label.starts_with(prefix.as_str())))
        };
        (self.only_labels.is_empty() || begins(&self.only_labels)) && !begins(&self.without_labels)
    }

    /// The owner that the label names: of the longest prefix that fits. No label is as an empty one.
    pub(super) fn owner(&self, label: Option<&str>) -> Option<OwnerId> {
        let label = label.unwrap_or_default();
        let fits = self.owners.iter().filter(|(prefix, _)| label.starts_with(prefix.as_str()));
        fits.max_by_key(|(prefix, _)| prefix.len()).map(|(_, owner)| *owner)
    }

    /// Leaves out the label if as many are kept as may be. Returns whether it takes room.
    pub(super) fn limit_label(&self, new: &mut New<'_>) -> bool {
        let (Some(limit), Some(_)) = (self.label_limit, new.label) else { return false };
        if self.labels.fetch_add(1, Ordering::Relaxed) < limit {
            return true;
        }
        self.labels.fetch_sub(1, Ordering::Relaxed);
        new.label = None;
        false
    }

    /// An object is released whose label took room or not.
    pub(super) fn released(&self, labelled: bool) {
        if labelled {
            self.labels.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The kind's place in a set.
pub(super) fn bit(kind: ResourceKind) -> u64 {
    1 << (kind.index() % 64)
}

#[cfg(test)]
mod tests {
    use engine_vitals_core::probe::OwnerKind;
    use engine_vitals_core::tracker::Tracker;

    use super::*;

    #[test]
    fn kinds_and_labels_are_admitted_by_rule() {
        let rules = Rules {
            without_kinds: bit(ResourceKind::SAMPLER),
            only_labels: vec!["game".into(), "ui".into()],
            without_labels: vec!["ui tmp".into()],
            ..Rules::default()
        };
        assert!(rules.admit(ResourceKind::BUFFER, Some("game mesh")));
        assert!(!rules.admit(ResourceKind::SAMPLER, Some("game mesh")));
        assert!(rules.admit(ResourceKind::BUFFER, Some("ui quad")));
        assert!(!rules.admit(ResourceKind::BUFFER, Some("ui tmp 3")));
        assert!(!rules.admit(ResourceKind::BUFFER, None));
        assert!(Rules::default().admit(ResourceKind::BUFFER, None));
    }

    #[test]
    fn the_longest_prefix_names_the_owner() {
        let tracker = Tracker::new();
        let [ui, text] = [1, 2].map(|key| tracker.probe().owner(OwnerKind::ROOT_VISUAL, key));
        let rules = Rules { owners: vec![("ui".into(), ui), ("ui text".into(), text)], ..Rules::default() };
        assert_eq!(rules.owner(Some("ui quad")), Some(ui));
        assert_eq!(rules.owner(Some("ui text atlas")), Some(text));
        assert_eq!((rules.owner(Some("game")), rules.owner(None)), (None, None));
        let rules = Rules { owners: vec![(String::new(), text), ("ui".into(), ui)], ..Rules::default() };
        assert_eq!((rules.owner(Some("game")), rules.owner(None)), (Some(text), Some(text)));
        assert_eq!(rules.owner(Some("ui quad")), Some(ui));
    }

    #[test]
    fn labels_beyond_the_limit_are_left_out_until_one_is_given_back() {
        let rules = Rules { label_limit: Some(1), ..Rules::default() };
        let mut new = New::buffer(1).label("one");
        assert!(rules.limit_label(&mut new));
        let mut second = New::buffer(1).label("two");
        assert!(!rules.limit_label(&mut second));
        assert_eq!((new.label, second.label), (Some("one"), None));
        rules.released(true);
        assert!(rules.limit_label(&mut New::buffer(1).label("three")));
    }
}
