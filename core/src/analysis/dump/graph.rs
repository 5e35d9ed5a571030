//! Who owns what, and what refers to what, as text: owner to resources, view to texture, bind group to members, suballocation to block.

use super::model::{Dump, DumpOwner, Resource};
use super::summary::{name_text, owner_text, state_text};
use crate::analysis::text::{bytes, counted, plain};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

/// Links of a resource that are written.
const MOST_LINKS: usize = 16;

impl Dump {
    /// Each owner with its resources, each with what it refers to. The data of it are [`Resource::owner`], [`Resource::links`] and
    /// [`Resource::within`].
    pub fn graph(&self) -> Graph<'_> {
        Graph { dump: self, most: usize::MAX }
    }
}

/// A [`Dump`]'s resources under their owners.
#[derive(Clone, Copy, Debug)]
#[must_use = "it is written by Display"]
pub struct Graph<'a> {
    dump: &'a Dump,
    most: usize,
}

impl Graph<'_> {
    /// With that many owners, and that many resources under each: the biggest.
    pub fn most(self, lines: usize) -> Self {
        Self { most: lines, ..self }
    }
}

impl Display for Graph<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { dump, most } = *self;
        let by_id: HashMap<u64, &Resource> = dump.resources.iter().map(|resource| (resource.id, resource)).collect();
        let mut owners: HashMap<Option<&DumpOwner>, Vec<&Resource>> = HashMap::new();
        for resource in &dump.resources {
            owners.entry(resource.owner.as_deref()).or_default().push(resource);
        }
        let mut owners: Vec<_> = owners
            .into_iter()
            .map(|(owner, resources)| {
                let own = resources.iter().filter(|resource| resource.within.is_none());
                let held = own.fold(0_u64, |sum, resource| sum.saturating_add(resource.held_bytes()));
                (owner, resources, held)
            })
            .collect();
        owners.sort_by_key(|(owner, resources, held)| (Reverse((*held, resources.len())), *owner));
        writeln!(f, "resource graph")?;
        let left = owners.len().saturating_sub(most);
        for (owner, mut resources, held) in owners.into_iter().take(most) {
            let count = counted(resources.len() as u64, "resource", "resources");
            writeln!(f, "{}: {count}, {}", owner_text(owner), bytes(held))?;
            resources.sort_unstable_by_key(|resource| (Reverse(resource.held_bytes()), resource.id));
            for resource in resources.iter().take(most) {
                node(f, resource, &by_id)?;
            }
            more(f, "  ", resources.len().saturating_sub(most))?;
        }
        more(f, "", left)
    }
}

fn node(f: &mut Formatter<'_>, resource: &Resource, by_id: &HashMap<u64, &Resource>) -> fmt::Result {
    write!(f, "  {}", name_text(resource))?;
    if resource.bytes > 0 {
        write!(f, " {}", bytes(resource.held_bytes()))?;
    }
    if let Some([width, height, layers]) = resource.extent {
        write!(f, " {width}x{height}x{layers}")?;
    }
    if !resource.is_live() {
        write!(f, " ({})", state_text(resource))?;
    }
    if let Some(site) = &resource.site {
        write!(f, " at {}", plain(site))?;
    }
    writeln!(f)?;
    let name = |id: u64| by_id.get(&id).map_or_else(|| format!("{id} (not there)"), |linked| name_text(linked));
    if let Some(block) = resource.within {
        writeln!(f, "    within {}", name(block))?;
    }
    for link in resource.links.iter().take(MOST_LINKS) {
        writeln!(f, "    -> {}", name(*link))?;
    }
    more(f, "    ", resource.links.len().saturating_sub(MOST_LINKS))
}

fn more(f: &mut Formatter<'_>, indent: &str, count: usize) -> fmt::Result {
    if count > 0 { writeln!(f, "{indent}and {count} more") } else { Ok(()) }
}
