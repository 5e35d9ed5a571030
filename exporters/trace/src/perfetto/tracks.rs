//! Which track a slice lies on. Slices of one track must nest, and what is shown here overlaps at will: so each track
//! holds one slice at a time, and as many tracks of one name are made as slices overlap. Perfetto's page shows tracks of
//! one name below one parent as one.

use super::write;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::io;

/// Makes tracks.
#[derive(Debug)]
pub(crate) struct Tracks {
    last: u64,
}

impl Tracks {
    pub(crate) fn new() -> Self {
        Self { last: 0 }
    }

    /// A number that no other track has.
    pub(crate) fn uuid(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// A track that only others lie below; told of when the first of them is.
#[derive(Debug)]
pub(crate) struct Heading {
    name: &'static str,
    rank: i32,
    uuid: Option<u64>,
}

impl Heading {
    pub(crate) fn new(name: &'static str, rank: i32) -> Self {
        Self { name, rank, uuid: None }
    }

    /// Its number.
    pub(crate) fn get(&mut self, tracks: &mut Tracks, parent: u64, out: &mut Vec<u8>) -> io::Result<u64> {
        if let Some(uuid) = self.uuid {
            return Ok(uuid);
        }
        let uuid = tracks.uuid();
        self.uuid = Some(uuid);
        write::named_track(out, uuid, parent, self.rank, self.name)?;
        Ok(uuid)
    }
}

/// Tracks of one name, each free from a moment on.
#[derive(Debug)]
pub(crate) struct Group {
    name: String,
    parent: u64,
    rank: i32,
    free: BinaryHeap<Reverse<(u64, u64)>>,
    made: usize,
}

impl Group {
    pub(crate) fn new(name: String, parent: u64, rank: i32) -> Self {
        Self { name, parent, rank, free: BinaryHeap::new(), made: 0 }
    }

    /// A track that is free from `at` on; `None` if there are `most` of them and none is.
    fn take(&mut self, tracks: &mut Tracks, at: u64, most: usize, out: &mut Vec<u8>) -> io::Result<Option<u64>> {
        if let Some(Reverse((_, track))) = self.free.peek().filter(|Reverse((since, _))| *since <= at).copied() {
            self.free.pop();
            return Ok(Some(track));
        }
        if self.made >= most {
            return Ok(None);
        }
        self.made += 1;
        let track = tracks.uuid();
        write::named_track(out, track, self.parent, self.rank, &self.name)?;
        Ok(Some(track))
    }
}

/// A slice that has begun.
#[derive(Debug)]
struct Open<K> {
    track: u64,
    group: K,
    began: u64,
}

/// The slices of one sort that have begun and not ended, at most so many: by what they are slices of, on tracks by group.
#[derive(Debug)]
pub(crate) struct Slices<I, K> {
    open: HashMap<I, Open<K>>,
    groups: HashMap<K, Group>,
    most: usize,
}

impl<I: Eq + Hash + Copy, K: Eq + Hash + Copy> Slices<I, K> {
    pub(crate) fn new(most: usize) -> Self {
        Self { open: HashMap::new(), groups: HashMap::new(), most }
    }

    pub(crate) fn is_open(&self, id: I) -> bool {
        self.open.contains_key(&id)
    }

    /// The track that the open slice of `id` lies on.
    pub(crate) fn track(&self, id: I) -> Option<u64> {
        self.open.get(&id).map(|open| open.track)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = I> + '_ {
        self.open.keys().copied()
    }

    /// There is room for one more open slice.
    pub(crate) fn has_room(&self) -> bool {
        self.open.len() < self.most
    }

    /// The group's place is known.
    pub(crate) fn knows(&self, group: K) -> bool {
        self.groups.contains_key(&group)
    }

    pub(crate) fn add_group(&mut self, key: K, group: Group) {
        self.groups.insert(key, group);
    }

    /// Where a slice that begins at `at` can lie; `None` if there is no room.
    pub(crate) fn place(
        &mut self,
        tracks: &mut Tracks,
        group: K,
        at: u64,
        out: &mut Vec<u8>,
    ) -> io::Result<Option<u64>> {
        // As many again as may be open: for slices that are told of only when they end.
        let most = self.most.saturating_mul(2);
        self.groups.get_mut(&group).map_or(Ok(None), |group| group.take(tracks, at, most, out))
    }

    /// The slice of `id` has begun at `at` on a track that [`place`](Self::place) gave.
    pub(crate) fn begin(&mut self, id: I, group: K, track: u64, at: u64) {
        self.open.insert(id, Open { track, group, began: at });
    }

    /// The slice of `id` ends at `at`: its track, and when it ends, which is never before it began.
    pub(crate) fn end(&mut self, id: I, at: u64) -> Option<(u64, u64)> {
        let open = self.open.remove(&id)?;
        let at = at.max(open.began);
        self.release(open.group, open.track, at);
        Some((open.track, at))
    }

    /// The track is free again from `at` on.
    pub(crate) fn release(&mut self, group: K, track: u64, at: u64) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.free.push(Reverse((at, track)));
        }
    }
}
