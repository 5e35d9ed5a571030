//! Why queues and targets were destroyed: which of them another one replaced.

use std::collections::HashMap;
use std::panic::Location;
use std::time::Duration;

use crate::probe::{OwnerId, PacketId, ResourceId, ResourceKind, Timestamp};
use crate::tracker::{LifeRecord, ResourceRecord};

/// Without a packet on either side, a resource made this long before or after another's end may replace it.
const NEAR: Duration = Duration::from_millis(100);

/// A resource that may be the one in another's place.
#[derive(Debug, Clone, Copy)]
struct Made {
    id: ResourceId,
    at: Timestamp,
    within: Option<PacketId>,
    taken: bool,
}

/// Whose places a resource can take: those of its kind and owner, or without an owner those of its kind, label and line of source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Owned(ResourceKind, OwnerId),
    Alike(ResourceKind, Option<String>, Option<&'static Location<'static>>),
}

impl Place {
    fn of(
        kind: ResourceKind,
        owner: Option<OwnerId>,
        label: Option<&String>,
        site: Option<&'static Location<'static>>,
    ) -> Option<Self> {
        match owner {
            Some(owner) => Some(Self::Owned(kind, owner)),
            None if label.is_none() && site.is_none() => None,
            None => Some(Self::Alike(kind, label.cloned(), site)),
        }
    }
}

/// For each resource that was replaced, the one that was made in its place. `ended` is in the order of the ends.
///
/// A resource takes the place of one at most: of those that ended first, the one whose end lies nearest to its creation. It was made
/// later than what it replaces, and within the packet of that one's end or the next packet of the lane; with no packet on either side,
/// within 100 ms. One that was made while the other still lived takes its place only if the other had lived longer without it than
/// beside it: two that were made together do not replace each other.
pub(super) fn replacements<'a>(
    ended: impl Iterator<Item = &'a LifeRecord> + Clone,
    live: impl Iterator<Item = &'a ResourceRecord>,
) -> HashMap<ResourceId, ResourceId> {
    let mut made: HashMap<Place, Vec<Made>> = HashMap::new();
    let dead = ended.clone().map(|life| {
        let place = Place::of(life.kind, life.owner, life.label.as_ref(), life.site);
        (place, Made { id: life.id, at: life.created, within: life.created_in, taken: false })
    });
    let live = live.map(|record| {
        let place = Place::of(record.kind, record.owner, record.label.as_ref(), record.site);
        (place, Made { id: record.id, at: record.created, within: record.created_in, taken: false })
    });
    for (place, candidate) in dead.chain(live) {
        if let Some(place) = place {
            made.entry(place).or_default().push(candidate);
        }
    }
    for candidates in made.values_mut() {
        candidates.sort_by_key(|made| (made.at, made.id));
    }
    let mut replaced = HashMap::new();
    for life in ended {
        let place = Place::of(life.kind, life.owner, life.label.as_ref(), life.site);
        let Some(candidates) = place.and_then(|place| made.get_mut(&place)) else { continue };
        // Made later than the life itself: it stands before them.
        let first = candidates.partition_point(|made| (made.at, made.id) <= (life.created, life.id));
        let free = candidates.iter_mut().skip(first).filter(|made| !made.taken && may_replace(life, made));
        if let Some(nearest) = free.min_by_key(|made| distance(made.at, life.released)) {
            nearest.taken = true;
            replaced.insert(life.id, nearest.id);
        }
    }
    replaced
}

fn may_replace(life: &LifeRecord, made: &Made) -> bool {
    if let Some(beside) = life.released.since(made.at)
        && made.at.since(life.created).is_none_or(|alone| alone < beside)
    {
        return false;
    }
    match (life.released_in, made.within) {
        (Some(end), Some(begin)) => {
            end.lane() == begin.lane() && (end.number()..=end.number() + 1).contains(&begin.number())
        }
        (None, _) | (_, None) => distance(made.at, life.released) <= NEAR,
    }
}

fn distance(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).or_else(|| other.since(one)).unwrap_or_default()
}

#[cfg(all(test, feature = "telemetry"))]
mod tests {
    use super::*;
    use crate::probe::{Lane, OwnerKind};
    use proptest::prelude::*;

    /// Made and ended: a time in milliseconds and the number of a packet on the one lane.
    type Moment = (u64, Option<u64>);

    fn life(id: u64, owner: u32, made: Moment, ended: Moment) -> LifeRecord {
        let at = |(millis, _): Moment| Timestamp::from_unix_nanos(millis * 1_000_000);
        let packet = |(_, number): Moment| number.map(|number| PacketId::of(Lane::OTHER, number));
        LifeRecord {
            id: known(id),
            kind: ResourceKind::COMMAND_QUEUE,
            label: None,
            owner: (owner > 0).then(|| OwnerId::of(OwnerKind::CHILD_VISUAL, owner)),
            site: None,
            bytes: 0,
            created: at(made),
            created_in: packet(made),
            released: at(ended),
            released_in: packet(ended),
            last_packet: None,
            explicit: false,
        }
    }

    #[expect(clippy::unwrap_used, reason = "a test: no resource has the id 0")]
    fn known(id: u64) -> ResourceId {
        ResourceId::new(id).unwrap()
    }

    fn replaced(lives: &[LifeRecord]) -> Vec<(u64, u64)> {
        let mut pairs: Vec<_> =
            replacements(lives.iter(), std::iter::empty()).iter().map(|(old, new)| (old.get(), new.get())).collect();
        pairs.sort_unstable();
        pairs
    }

    #[test]
    fn one_made_after_the_end_replaces_within_the_same_packet_or_the_next() {
        for (packet, expected) in [(4, false), (5, true), (6, true), (7, false)] {
            let lives = [life(1, 1, (0, Some(1)), (100, Some(5))), life(2, 1, (110, Some(packet)), (900, Some(90)))];
            assert_eq!(replaced(&lives), if expected { vec![(1, 2)] } else { vec![] }, "made in {packet}");
        }
    }

    #[test]
    fn one_made_just_before_the_end_replaces_and_one_made_together_does_not() {
        // `self.target = Target::new()`: the new is made, then the old is dropped.
        let chain = [
            life(1, 1, (0, Some(1)), (101, Some(2))),
            life(2, 1, (100, Some(2)), (201, Some(3))),
            life(3, 1, (200, Some(3)), (990, Some(50))),
        ];
        assert_eq!(replaced(&chain), [(1, 2), (2, 3)]);
        let pair = [life(1, 1, (0, Some(1)), (100, Some(1))), life(2, 1, (1, Some(1)), (101, Some(1)))];
        assert_eq!(replaced(&pair), [], "two queues of one owner, torn down together");
    }

    #[test]
    fn owners_and_time_keep_places_apart() {
        let far = [life(1, 1, (0, None), (100, None)), life(2, 1, (201, None), (900, None))];
        assert_eq!(replaced(&far), [], "101 ms");
        let near = [life(1, 1, (0, None), (100, None)), life(2, 1, (200, None), (900, None))];
        assert_eq!(replaced(&near), [(1, 2)]);
        let others = [life(1, 1, (0, None), (100, None)), life(2, 2, (101, None), (900, None))];
        assert_eq!(replaced(&others), [], "another owner's");
        let unowned = [life(1, 0, (0, None), (100, None)), life(2, 0, (101, None), (900, None))];
        assert_eq!(replaced(&unowned), [], "nothing says that they belong together");
    }

    proptest! {
        /// Whatever the lives, no resource replaces two, itself, an older one, or one of another owner.
        #[test]
        fn a_replacement_is_younger_of_the_same_owner_and_taken_once(
            raw in prop::collection::vec((1_u32..3, 0_u64..60, 0_u64..60, prop::option::of(1_u64..6)), 0..30),
        ) {
            let mut lives: Vec<_> = raw
                .iter()
                .zip(1..)
                .map(|(&(owner, made, life_time, packet), id)| {
                    life(id, owner, (made, packet), (made + life_time, packet.map(|packet| packet + life_time / 20)))
                })
                .collect();
            lives.sort_by_key(|life| life.released);
            let pairs = replaced(&lives);
            let by_id = |id: u64| lives.iter().find(|life| life.id.get() == id).unwrap();
            let mut taken: Vec<_> = pairs.iter().map(|(_, new)| *new).collect();
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(taken.len(), pairs.len());
            for &(old, new) in &pairs {
                let (old, new) = (by_id(old), by_id(new));
                prop_assert_eq!(old.owner, new.owner);
                prop_assert!((new.created, new.id) > (old.created, old.id));
            }
        }
    }
}
