//! Readers of the events.

use super::snapshot::ReadOutcome;
use crate::probe::Event;
use crate::probe::book::Book;
use crate::probe::record::{EVENT_WORDS, decode_event};
use crate::probe::ring::Follower;

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
    decode_event(words, |marker| book.markers.get(marker))
}
