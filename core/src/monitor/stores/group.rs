//! Rings, or pools, by their names: what those of one name are together, and what those that are gone have counted.

use std::collections::HashMap;
use std::sync::Arc;

use super::StoreMonitor;
use crate::contract::Sums;

/// All of one kind.
#[derive(Debug)]
pub(super) struct Group<T> {
    /// In the order in which they appeared, which is that of the described figures.
    named: Vec<Named<T>>,
    /// Those that are there, by their numbers.
    known: HashMap<u64, Known<T>>,
    other: Option<usize>,
    refused: u64,
    /// The readings so far.
    reading: u64,
}

#[derive(Debug)]
struct Named<T> {
    name: Arc<str>,
    /// What those that are gone have counted.
    gone: T,
    /// How those that are there stand; `None` when there is none.
    now: Option<T>,
    /// What all of them have counted.
    counted: T,
}

#[derive(Debug)]
struct Known<T> {
    place: usize,
    report: T,
    /// The last reading that found it.
    read: u64,
}

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self { named: Vec::new(), known: HashMap::new(), other: None, refused: 0, reading: 0 }
    }
}

impl<T: Sums> Group<T> {
    /// The report of one that is there. There may be so many names.
    pub(super) fn take(&mut self, number: u64, report: T, names: usize) {
        let place = match self.known.get(&number) {
            Some(known) => known.place,
            None => self.place(report.name(), names),
        };
        self.known.insert(number, Known { place, report, read: self.reading });
    }

    /// A reading ends: what it did not find is gone.
    pub(super) fn add_up(&mut self) {
        let Self { named, known, reading, .. } = self;
        known.retain(|_, known| {
            let there = known.read == *reading;
            if !there && let Some(named) = named.get_mut(known.place) {
                named.gone.add_counted(&known.report);
            }
            there
        });
        for named in named.iter_mut() {
            named.now = None;
            named.counted = named.gone.clone();
        }
        for known in known.values() {
            let Some(named) = named.get_mut(known.place) else { continue };
            named.counted.add_counted(&known.report);
            match &mut named.now {
                Some(now) => now.add_standing(&known.report),
                None => named.now = Some(known.report.clone()),
            }
        }
        *reading += 1;
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.named.len()
    }

    /// How many were [`OTHER`](StoreMonitor::OTHER) for want of names.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|named| &*named.name)
    }

    /// How those of each name stand now, and what they have counted: in the order of the names.
    pub(super) fn figures(&self) -> impl Iterator<Item = (Option<&T>, &T)> {
        self.named.iter().map(|named| (named.now.as_ref(), &named.counted))
    }

    /// How those of each name stand of which there are any.
    pub(super) fn now(&self) -> impl Iterator<Item = &T> {
        self.named.iter().filter_map(|named| named.now.as_ref())
    }

    /// Where those of a name are.
    fn place(&mut self, name: &str, names: usize) -> usize {
        let name = match &name[..name.floor_char_boundary(StoreMonitor::LONGEST_NAME)] {
            "" => "unnamed",
            name => name,
        };
        if let Some(place) = self.named.iter().position(|named| &*named.name == name) {
            return place;
        }
        let own = self.named.len() - usize::from(self.other.is_some());
        if name != StoreMonitor::OTHER && own < names {
            return self.appear(name);
        }
        // One may well be called that.
        self.refused += u64::from(name != StoreMonitor::OTHER);
        match self.other {
            Some(place) => place,
            None => {
                let place = self.appear(StoreMonitor::OTHER);
                self.other = Some(place);
                place
            }
        }
    }

    fn appear(&mut self, name: &str) -> usize {
        self.named.push(Named { name: name.into(), gone: T::default(), now: None, counted: T::default() });
        self.named.len() - 1
    }
}
