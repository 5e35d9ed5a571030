//! Resources that are alike: of one kind, owner, creation site and label.

use super::dump::{DumpOwner, Resource, owner_text};
use super::text::{plain, quoted};
use serde::Serialize;
use std::sync::Arc;

/// What resources have in common that are counted together. What is unknown is `None`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// What they are.
    pub kind: Arc<str>,
    /// Their owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<DumpOwner>>,
    /// The line of source that reported their creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<Arc<str>>,
    /// Their name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Arc<str>>,
    /// They lie within blocks that are counted themselves.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suballocations: bool,
}

impl Group {
    pub(crate) fn of(resource: &Resource) -> Self {
        Self {
            kind: Arc::clone(&resource.kind),
            owner: resource.owner.clone(),
            site: resource.site.clone(),
            label: resource.label.clone(),
            suballocations: resource.within.is_some(),
        }
    }

    /// Kind, label, owner and site as cells of a table.
    pub(crate) fn cells(&self) -> [String; 4] {
        let within = if self.suballocations { " (within blocks)" } else { "" };
        [
            format!("{}{within}", plain(&self.kind)),
            self.label.as_deref().map_or_else(|| "-".to_owned(), quoted),
            owner_text(self.owner.as_deref()),
            self.site.as_deref().map_or_else(|| "-".to_owned(), plain),
        ]
    }
}
