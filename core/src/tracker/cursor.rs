//! Readers of the events.

use super::snapshot::ReadOutcome;
use crate::probe::book::Book;
use crate::probe::record::{EVENT_WORDS, decode_event};
use crate::probe::ring::Follower;
use crate::probe::{Event, EventKind};

/// One reader of a tracker's events. Several may follow the same rings; each reads all events, or counts them as lost.
#[derive(Clone, Debug)]
pub struct EventCursor {
    book: &'static Book,
    /// One per shard, in the order of the book's list.
    followers: Vec<Follower>,
    delivered: u64,
    lost: u64,
}

impl EventCursor {
    /// A reader of these places in the rings.
    pub(super) fn of(book: &'static Book, followers: Vec<Follower>) -> Self {
        Self { book, followers, delivered: 0, lost: 0 }
    }

    /// Appends every event since the last read to `events`, sorted by time, and says how many were overwritten first.
    /// Delivered and lost together are exactly what was produced. One read delivers at most what the rings keep.
    ///
    /// Each thread's events come in its order. Events of different threads are sorted within a read; an event may still be
    /// older than one of another thread that an earlier read delivered.
    pub fn read(&mut self, events: &mut Vec<Event>) -> ReadOutcome {
        let first = events.len();
        let book = self.book;
        let mut lost = 0;
        let mut shard = 0;
        // Rings are read outside the list's lock.
        while let Some(ring) = book.with_shards(|shards| shards.get(shard).map(|shard| shard.ring.get())) {
            if self.followers.len() <= shard {
                self.followers.push(Follower::at(0));
            }
            if let (Some(ring), Some(follower)) = (ring, self.followers.get_mut(shard)) {
                lost += follower.drain(ring, |words| events.push(decode(book, words)));
            }
            shard += 1;
        }
        if let Some(new) = events.get_mut(first..) {
            new.sort_by_key(|event| event.time);
        }
        let outcome = ReadOutcome { delivered: (events.len() - first) as u64, lost };
        self.delivered += outcome.delivered;
        self.lost += outcome.lost;
        outcome
    }

    /// Events delivered since the cursor was made.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Events lost since the cursor was made.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// The event that the words hold.
pub(super) fn decode(book: &Book, words: &[u64; EVENT_WORDS]) -> Event {
    decode_event(words, |kind, name| match kind {
        EventKind::Create => book.event_labels.get(name),
        _ => book.markers.get(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::book::MAX_EVENT_LABELS;
    use crate::probe::{Level, Mark, New};
    use crate::tracker::Tracker;

    #[test]
    fn creations_carry_their_labels_up_to_a_limit_and_the_others_are_counted() {
        let tracker = Tracker::builder().level(Level::Events).ring_capacity(1 << 15).build();
        let probe = tracker.probe();
        let mut cursor = tracker.events();
        drop(probe.create(New::buffer(1).label("shadow map")));
        drop(probe.create(New::buffer(1)));
        probe.event(Mark::marker("here"));
        for number in 0..MAX_EVENT_LABELS {
            drop(probe.create(New::buffer(1).label(&format!("particle {number}"))));
        }
        drop(probe.create(New::buffer(1).label("shadow map")));
        let mut events = Vec::new();
        cursor.read(&mut events);
        let names: Vec<_> = events.iter().map(|event| (event.event, event.label, event.marker)).collect();
        assert_eq!(
            names[..6],
            [
                (EventKind::Create, Some("shadow map"), None),
                (EventKind::Destroy, None, None),
                (EventKind::Create, None, None),
                (EventKind::Destroy, None, None),
                (EventKind::Marker, None, Some("here")),
                (EventKind::Create, Some("particle 0"), None),
            ]
        );
        let labelled = events.iter().filter(|event| event.label.is_some()).count();
        assert_eq!(labelled, MAX_EVENT_LABELS + 1, "the first 4,096 different ones, and one of them again");
        assert_eq!(tracker.totals().overflows.event_labels, 1);
    }
}
