//! What is written down one by one because it is rare and matters: the ends of followed kinds' lives, and misuses.

use super::record::Record;
use super::{PacketId, Timestamp};
use crate::memory::HeapTag;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::panic::Location;

/// Lives that are kept.
const LIVES: usize = 4096;
/// Misuses that are kept.
const MISUSES: usize = 256;

/// A life of a followed kind that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) record: Record,
    pub(crate) label: Option<String>,
    pub(crate) released: Timestamp,
    pub(crate) released_in: PacketId,
    pub(crate) last_packet: PacketId,
    pub(crate) explicit: bool,
}

/// A use of a resource against its life.
#[derive(Clone, Debug)]
pub(crate) struct Misused {
    pub(crate) after_destroy: bool,
    pub(crate) time: Timestamp,
    pub(crate) record: Record,
    pub(crate) label: Option<String>,
    pub(crate) packet: PacketId,
    pub(crate) at: Option<&'static Location<'static>>,
}

/// The last entries of one sort and how many there were in all.
#[derive(Debug)]
struct Kept<T> {
    entries: VecDeque<T>,
    total: u64,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), total: 0 }
    }
}

/// Both lists.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    lives: Mutex<Kept<Life>>,
    misuses: Mutex<Kept<Misused>>,
}

impl Chronicle {
    /// Writes down the end of a life; the oldest goes if there is no room.
    pub(crate) fn life(&self, life: Life) {
        let _own = HeapTag::OWN.enter();
        let mut lives = self.lives.lock();
        lives.total += 1;
        if lives.entries.len() >= LIVES {
            lives.entries.pop_front();
        }
        lives.entries.push_back(life);
    }

    /// Writes down a misuse, if there is room.
    pub(crate) fn misuse(&self, misuse: Misused) {
        let _own = HeapTag::OWN.enter();
        let mut misuses = self.misuses.lock();
        misuses.total += 1;
        if misuses.entries.len() < MISUSES {
            let room = MISUSES - misuses.entries.len();
            misuses.entries.reserve_exact(room);
            misuses.entries.push_back(misuse);
        }
    }

    /// The lives kept, and how many there were.
    pub(crate) fn lives(&self) -> (Vec<Life>, u64) {
        let lives = self.lives.lock();
        (lives.entries.iter().cloned().collect(), lives.total)
    }

    /// The misuses kept, and how many there were.
    pub(crate) fn misuses(&self) -> (Vec<Misused>, u64) {
        let misuses = self.misuses.lock();
        (misuses.entries.iter().cloned().collect(), misuses.total)
    }

    /// How many misuses there were.
    pub(crate) fn misused(&self) -> u64 {
        self.misuses.lock().total
    }

    /// Bytes that both take, without labels.
    pub(crate) fn footprint(&self) -> usize {
        self.lives.lock().entries.capacity() * size_of::<Life>()
            + self.misuses.lock().entries.capacity() * size_of::<Misused>()
    }
}
