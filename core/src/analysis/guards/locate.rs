//! Sites that a layer beside the tracker knows.

use super::Warning;
use crate::probe::ResourceId;
use crate::tracker::{ResourceRecord, Tracker};

/// Newest resources of a subject whose sites are asked for.
const ASKED: usize = 64;

/// Fills in the sites that are not known, by `site`, for layers that know otherwise where a live resource was made. The site of a warning is
/// that of the newest resource of its owner, kind and label of which it is known. Takes a snapshot if any warning is without a site.
pub fn locate(warnings: &mut [Warning], tracker: &Tracker, mut site: impl FnMut(ResourceId) -> Option<String>) {
    if warnings.iter().all(|warning| warning.site.is_some()) {
        return;
    }
    let mut resources = tracker.snapshot().resources;
    resources.sort_by_key(|resource| std::cmp::Reverse(resource.created));
    for warning in warnings.iter_mut().filter(|warning| warning.site.is_none()) {
        let of_it = resources.iter().filter(|resource| is_of(warning, resource, tracker));
        if let Some(found) = of_it.take(ASKED).find_map(|resource| site(resource.id)) {
            warning.text.push_str(&format!("; one was made at {found}"));
            warning.site = Some(found);
        }
    }
}

/// Whether the resource is one that the warning is of. A warning that names neither owner nor kind is of none.
fn is_of(warning: &Warning, resource: &ResourceRecord, tracker: &Tracker) -> bool {
    let owner = || resource.owner.and_then(|owner| tracker.owner(owner));
    let named = warning.owner.is_some() || warning.resource.is_some();
    named
        && warning.resource.is_none_or(|kind| kind == resource.kind.name())
        && warning.label.as_deref().is_none_or(|label| resource.label.as_deref() == Some(label))
        && warning.owner.is_none_or(|named| {
            owner().is_some_and(|owner| owner.kind.name() == named.kind && Some(owner.key) == named.key)
        })
}
