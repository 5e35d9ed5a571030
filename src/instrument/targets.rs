//! Which render target takes the place of which: a new one in another size, of the same owner and with the same description
//! but for its size, is the old one rebuilt.
//!
//! The new one may be made before the old one is dropped or after. Where more than one of the same description lives at a
//! time, which of them a new one replaces cannot be told, and none is called rebuilt.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

use engine_vitals_core::probe::{Extent, Mark, OwnerId, Probe, ResourceId};
use parking_lot::Mutex;

use super::record::Record;

/// Places that are remembered: those whose targets have left make room for others. While so many have live targets, those of
/// further ones are not compared.
const MAX_PLACES: usize = 4096;

/// What was found rebuilt.
#[derive(Debug)]
pub(super) struct Rebuilt(Weak<Record>, Extent);

#[derive(Debug, Default)]
pub(super) struct Targets(Mutex<HashMap<u64, Place>>);

#[derive(Debug, Default)]
struct Place {
    live: Vec<(ResourceId, Extent, Weak<Record>)>,
    /// The size of the one that left last, while none lives.
    left: Option<(u32, u32, u32)>,
}

impl Targets {
    /// The place of a target.
    pub(super) fn key(owner: OwnerId, descriptor: &wgpu::TextureDescriptor<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        (owner, descriptor.label, descriptor.format, descriptor.usage, descriptor.dimension).hash(&mut hasher);
        descriptor.sample_count.hash(&mut hasher);
        hasher.finish()
    }

    /// A target was made. Returns it if it is one that left, in another size.
    pub(super) fn enter(&self, key: u64, record: &Arc<Record>, extent: Extent) -> Option<Rebuilt> {
        let id = record.ticket().id()?;
        let mut places = self.0.lock();
        if places.len() >= MAX_PLACES && !places.contains_key(&key) {
            places.retain(|_, place| !place.live.is_empty());
            if places.len() >= MAX_PLACES {
                return None;
            }
        }
        let place = places.entry(key).or_default();
        place.live.push((id, extent, Arc::downgrade(record)));
        let before = place.left.take()?;
        (before != size(extent)).then(|| Rebuilt(Arc::downgrade(record), extent))
    }

    /// A target left. Returns the one that had been made to take its place, in another size.
    pub(super) fn leave(&self, key: u64, id: ResourceId) -> Option<Rebuilt> {
        let mut places = self.0.lock();
        let place = places.get_mut(&key)?;
        let index = place.live.iter().position(|(live, ..)| *live == id)?;
        let (_, old, _) = place.live.remove(index);
        match place.live.as_slice() {
            [] => {
                place.left = Some(size(old));
                None
            }
            // It is the first of two that leaves: the second was made to replace it.
            [(_, new, record)] if index == 0 && size(*new) != size(old) => Some(Rebuilt(record.clone(), *new)),
            _ => None,
        }
    }
}

/// Says so in the book. Outside any lock of this room.
pub(super) fn report_rebuild(probe: Probe, rebuilt: &Rebuilt) {
    if let Some(record) = rebuilt.0.upgrade() {
        probe.event(Mark::ResizeRebuild { target: record.ticket(), extent: Some(rebuilt.1) });
    }
}

fn size(extent: Extent) -> (u32, u32, u32) {
    (extent.width, extent.height, extent.depth_or_layers)
}

#[cfg(test)]
mod tests {
    use engine_vitals_core::probe::New;
    use engine_vitals_core::tracker::Tracker;

    use super::super::record::Held;
    use super::*;

    struct Bench {
        tracker: Tracker,
        targets: Targets,
    }

    impl Bench {
        fn make(&self, width: u32) -> (Arc<Record>, bool) {
            let extent = Extent::new(width, 8);
            let ticket = self.tracker.probe().create(New::texture_target(1).extent(extent));
            let held = Held::new(ticket, Vec::new(), None);
            let record = Arc::clone(held.record().unwrap());
            let rebuilt = self.targets.enter(7, &record, extent).is_some();
            (record, rebuilt)
        }

        fn leave(&self, record: &Record) -> Option<ResourceId> {
            let rebuilt = self.targets.leave(7, record.ticket().id().unwrap())?;
            rebuilt.0.upgrade().and_then(|record| record.ticket().id())
        }
    }

    #[test]
    fn a_target_is_rebuilt_by_one_of_another_size_made_before_or_after_it_left() {
        let bench = Bench { tracker: Tracker::new(), targets: Targets::default() };
        let (first, rebuilt) = bench.make(16);
        assert!(!rebuilt);
        let (second, rebuilt) = bench.make(32);
        assert!(!rebuilt, "the first still lives");
        assert_eq!(bench.leave(&first), second.ticket().id());
        assert_eq!(bench.leave(&second), None);
        let (third, rebuilt) = bench.make(48);
        assert!(rebuilt);
        let (fourth, _) = bench.make(48);
        assert_eq!(bench.leave(&third), None, "the same size is a re-creation, not a resize");
        assert_eq!(bench.leave(&fourth), None);
    }

    #[test]
    fn places_whose_targets_have_left_make_room_for_others() {
        let bench = Bench { tracker: Tracker::new(), targets: Targets::default() };
        let extent = Extent::new(16, 8);
        let make = |key| {
            let ticket = bench.tracker.probe().create(New::texture_target(1).extent(extent));
            let held = Held::new(ticket, Vec::new(), None);
            let record = held.record().cloned().unwrap();
            assert!(bench.targets.enter(key, &record, extent).is_none());
            record
        };
        let kept = make(1);
        for key in 100..100 + 3 * MAX_PLACES as u64 {
            let record = make(key);
            bench.targets.leave(key, record.ticket().id().unwrap());
        }
        assert!(bench.targets.0.lock().len() <= MAX_PLACES);
        let (_last, rebuilt) = bench.make(32);
        assert!(!rebuilt);
        let (_wider, _) = bench.make(48);
        assert_eq!(bench.targets.0.lock().get(&7).map(|place| place.live.len()), Some(2), "there was room");
        assert!(bench.targets.0.lock().contains_key(&1));
        drop(kept);
    }

    #[test]
    fn a_chain_of_like_targets_is_not_taken_for_rebuilds() {
        let bench = Bench { tracker: Tracker::new(), targets: Targets::default() };
        let chain = [64, 32, 16].map(|width| bench.make(width).0);
        let again = [60, 30, 15].map(|width| bench.make(width));
        assert!(again.iter().all(|(_, rebuilt)| !rebuilt));
        assert!(chain.iter().all(|record| bench.leave(record).is_none()));
    }
}
