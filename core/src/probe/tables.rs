//! Bounded tables of names, owners and creation sites. Found entries cost a shared lock; new ones an exclusive one and an
//! allocation; beyond its limit a table takes nothing more and the caller counts it.

use super::kind::{as_kept, keep};
use super::{OwnerId, OwnerKind};
use crate::memory::HeapTag;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::panic::Location;

/// Names by number, from 1.
#[derive(Debug)]
pub(crate) struct Names {
    limit: usize,
    table: RwLock<NameTable>,
}

#[derive(Debug, Default)]
struct NameTable {
    places: HashMap<&'static str, u16>,
    names: Vec<&'static str>,
}

impl Names {
    /// A table of at most `limit` names.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.min(usize::from(u16::MAX)), table: RwLock::default() }
    }

    /// The number of `name`, from 1; `None` if it is new and there is no room.
    pub(crate) fn intern(&self, name: &str) -> Option<u16> {
        let name = as_kept(name);
        {
            let table = self.table.read();
            if let Some(place) = table.places.get(name) {
                return Some(*place);
            }
            // A full table stays full: names that come and go do not wait for each other.
            if table.names.len() >= self.limit {
                return None;
            }
        }
        let _own = HeapTag::OWN.enter();
        let mut table = self.table.write();
        if let Some(place) = table.places.get(name) {
            return Some(*place);
        }
        if table.names.len() >= self.limit {
            return None;
        }
        let name = keep(name);
        table.names.push(name);
        let place = table.names.len() as u16;
        table.places.insert(name, place);
        Some(place)
    }

    /// The name of that number.
    pub(crate) fn get(&self, place: u16) -> Option<&'static str> {
        let place = usize::from(place).checked_sub(1)?;
        self.table.read().names.get(place).copied()
    }

    /// Names that are kept.
    pub(crate) fn len(&self) -> usize {
        self.table.read().names.len()
    }

    /// Bytes that the table takes, roughly.
    pub(crate) fn footprint(&self) -> usize {
        let table = self.table.read();
        let entry = size_of::<(&str, u16)>() + 1;
        table.names.iter().map(|name| name.len()).sum::<usize>()
            + table.names.capacity() * size_of::<&str>()
            + table.places.capacity() * entry
    }
}

/// An owner as the engine introduced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnerEntry {
    pub(crate) kind: OwnerKind,
    pub(crate) key: u64,
    pub(crate) name: Option<&'static str>,
}

/// Owners by number, from 1.
#[derive(Debug)]
pub(crate) struct Owners {
    limit: usize,
    table: RwLock<OwnerTable>,
}

#[derive(Debug, Default)]
struct OwnerTable {
    places: HashMap<(OwnerKind, u64), u32>,
    entries: Vec<OwnerEntry>,
    name_bytes: usize,
}

impl Owners {
    /// A table of at most `limit` owners.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.min(OwnerId::MAX_INDEX as usize), table: RwLock::default() }
    }

    /// The owner of that kind and key, with its first name; `None` if it is new and there is no room.
    pub(crate) fn intern(&self, kind: OwnerKind, key: u64, name: Option<&str>) -> Option<OwnerId> {
        {
            let table = self.table.read();
            if let Some(place) = table.places.get(&(kind, key)) {
                let named = || table.entries.get(*place as usize - 1).is_some_and(|entry| entry.name.is_some());
                if name.is_none() || named() {
                    return Some(OwnerId::of(kind, *place));
                }
            }
        }
        let _own = HeapTag::OWN.enter();
        let mut table = self.table.write();
        let table = &mut *table;
        let place = match table.places.get(&(kind, key)) {
            Some(place) => *place,
            None if table.entries.len() >= self.limit => return None,
            None => {
                table.entries.push(OwnerEntry { kind, key, name: None });
                let place = table.entries.len() as u32;
                table.places.insert((kind, key), place);
                place
            }
        };
        if let (Some(name), Some(entry)) = (name, table.entries.get_mut(place as usize - 1))
            && entry.name.is_none()
        {
            let name = keep(name);
            table.name_bytes += name.len();
            entry.name = Some(name);
        }
        Some(OwnerId::of(kind, place))
    }

    /// What is known of an owner.
    pub(crate) fn get(&self, owner: OwnerId) -> Option<OwnerEntry> {
        let place = (owner.index() as usize).checked_sub(1)?;
        self.table.read().entries.get(place).copied().filter(|entry| entry.kind == owner.kind())
    }

    /// All owners, in the order of their numbers.
    pub(crate) fn all(&self) -> impl Iterator<Item = OwnerId> {
        let kinds: Vec<_> = self.table.read().entries.iter().map(|entry| entry.kind).collect();
        kinds.into_iter().zip(1..).map(|(kind, place)| OwnerId::of(kind, place))
    }

    /// Bytes that the table takes, roughly.
    pub(crate) fn footprint(&self) -> usize {
        let table = self.table.read();
        let entry = size_of::<((OwnerKind, u64), u32)>() + 1;
        table.name_bytes + table.entries.capacity() * size_of::<OwnerEntry>() + table.places.capacity() * entry
    }
}

/// Most creation sites that are kept.
pub(crate) const MAX_SITES: usize = 4096;

/// Places in the program's source by number, from 1; 0 is none.
#[derive(Debug, Default)]
pub(crate) struct Sites(RwLock<SiteTable>);

#[derive(Debug, Default)]
struct SiteTable {
    places: HashMap<usize, u16>,
    sites: Vec<&'static Location<'static>>,
}

impl Sites {
    /// The number of a site; `None` if it is new and there is no room.
    pub(crate) fn intern(&self, site: &'static Location<'static>) -> Option<u16> {
        // Locations are constants of the program: the address is as good as the place, and quicker to look up.
        let address = std::ptr::from_ref(site).addr();
        if let Some(place) = self.0.read().places.get(&address) {
            return Some(*place);
        }
        let _own = HeapTag::OWN.enter();
        let mut table = self.0.write();
        if let Some(place) = table.places.get(&address) {
            return Some(*place);
        }
        if table.sites.len() >= MAX_SITES {
            return None;
        }
        table.sites.push(site);
        let place = table.sites.len() as u16;
        table.places.insert(address, place);
        Some(place)
    }

    /// All sites, the first being number 1.
    pub(crate) fn all(&self) -> Vec<&'static Location<'static>> {
        self.0.read().sites.clone()
    }

    /// The site of that number.
    pub(crate) fn get(&self, place: u16) -> Option<&'static Location<'static>> {
        let place = usize::from(place).checked_sub(1)?;
        self.0.read().sites.get(place).copied()
    }

    /// Bytes that the table takes, roughly.
    pub(crate) fn footprint(&self) -> usize {
        let table = self.0.read();
        table.sites.capacity() * size_of::<usize>() + table.places.capacity() * (size_of::<(usize, u16)>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_from_one_up_to_the_limit() {
        let names = Names::new(2);
        assert_eq!([names.intern("a"), names.intern("b"), names.intern("a")], [Some(1), Some(2), Some(1)]);
        assert_eq!(names.intern("c"), None);
        assert_eq!([names.get(0), names.get(2), names.get(3)], [None, Some("b"), None]);
    }

    #[test]
    fn owners_keep_their_first_name_and_the_limit() {
        let owners = Owners::new(2);
        let kind = OwnerKind::TRANSIENT;
        let first = owners.intern(kind, 7, None);
        assert_eq!(owners.intern(kind, 7, Some("sky")), first);
        assert_eq!(owners.intern(kind, 7, Some("sea")), first);
        assert_ne!(owners.intern(OwnerKind::ROOT_VISUAL, 7, None), first);
        assert_eq!(owners.intern(kind, 8, None), None);
        assert_eq!(first.and_then(|owner| owners.get(owner)), Some(OwnerEntry { kind, key: 7, name: Some("sky") }));
        assert_eq!(owners.get(OwnerId::NONE), None);
    }
}
