//! The packets of one lane: exact counts, and a record of each of the newest.

use super::{Lane, PacketId, PacketResult, Timestamp};
use crate::memory::HeapTag;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// The packets of one lane.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Packets {
    results: [AtomicU64; PacketResult::ALL.len()],
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// The number of the last packet.
    queued: u64,
    /// Packets with work submitted in their context while they were kept.
    submitted: u64,
    /// The newest packets, in the order of their numbers, which leave nothing out.
    kept: VecDeque<Entry>,
}

/// One packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) id: PacketId,
    pub(crate) command: Option<u64>,
    pub(crate) queued: Timestamp,
    pub(crate) submitted: Option<Timestamp>,
    pub(crate) completed: Option<Timestamp>,
    pub(crate) ended: Option<(Timestamp, PacketResult)>,
    pub(crate) submissions: u32,
    in_flight: u32,
    /// Resources that the program had created and released when it began, and when it ended.
    pub(crate) before: (u64, u64),
    pub(crate) after: Option<(u64, u64)>,
}

// What `TrackerBuilder::packet_capacity` says that each takes.
const _: () = assert!(size_of::<Entry>() <= 128);

impl Packets {
    /// Queues a packet, and keeps it and the `most - 1` before it.
    pub(crate) fn queue(&self, lane: Lane, most: usize, now: Timestamp, lives: (u64, u64)) -> PacketId {
        let mut log = self.log.lock();
        log.queued += 1;
        let id = PacketId::of(lane, log.queued);
        // All at once, at the first one: nothing is allocated later.
        if log.kept.capacity() == 0 {
            let _own = HeapTag::OWN.enter();
            log.kept.reserve_exact(most);
        }
        while log.kept.len() >= most.max(1) {
            log.kept.pop_front();
        }
        log.kept.push_back(Entry {
            id,
            command: None,
            queued: now,
            submitted: None,
            completed: None,
            ended: None,
            submissions: 0,
            in_flight: 0,
            before: lives,
            after: None,
        });
        id
    }

    /// Ends a packet that was queued.
    pub(crate) fn finish(&self, id: PacketId, result: PacketResult, now: Timestamp, lives: (u64, u64)) {
        let mut log = self.log.lock();
        if let Some(counter) = self.results.get(result.index()) {
            counter.fetch_add(1, Ordering::Release);
        }
        if let Some(entry) = log.entry(id) {
            entry.ended = Some((now, result));
            entry.after = Some(lives);
        }
    }

    /// The render command that the packet carries out.
    pub(crate) fn command(&self, id: PacketId, command: u64) {
        if let Some(entry) = self.log.lock().entry(id) {
            entry.command = Some(command);
        }
    }

    /// Work was submitted in the packet's context.
    pub(crate) fn submit(&self, id: PacketId, now: Timestamp) {
        let mut log = self.log.lock();
        let Some(entry) = log.entry(id) else { return };
        let first = entry.submitted.is_none();
        entry.submitted = entry.submitted.or(Some(now));
        entry.completed = None;
        entry.submissions = entry.submissions.saturating_add(1);
        entry.in_flight = entry.in_flight.saturating_add(1);
        log.submitted += u64::from(first);
    }

    /// Work that was submitted in the packet's context has ended: completed, or else it never will be.
    pub(crate) fn work_ended(&self, id: PacketId, now: Timestamp, completed: bool) {
        if let Some(entry) = self.log.lock().entry(id) {
            entry.in_flight = entry.in_flight.saturating_sub(1);
            if entry.in_flight == 0 && completed {
                entry.completed = Some(now);
            }
        }
    }

    /// Whether the packet has been queued and has not ended.
    pub(crate) fn is_open(&self, id: PacketId) -> bool {
        self.log.lock().entry(id).is_some_and(|entry| entry.ended.is_none())
    }

    /// Results by index, then queued, of which so many had work submitted: never more results than packets.
    pub(crate) fn read(&self) -> ([u64; PacketResult::ALL.len()], u64, u64) {
        let results = std::array::from_fn(|index| self.results.get(index).map_or(0, |r| r.load(Ordering::Acquire)));
        let log = self.log.lock();
        (results, log.queued, log.submitted)
    }

    /// The newest `n` packets, the oldest of them first.
    pub(crate) fn newest(&self, n: usize) -> Vec<Entry> {
        let log = self.log.lock();
        log.kept.iter().skip(log.kept.len().saturating_sub(n)).copied().collect()
    }

    /// Bytes that the records take.
    pub(crate) fn footprint(&self) -> usize {
        self.log.lock().kept.capacity() * size_of::<Entry>()
    }
}

impl Log {
    fn entry(&mut self, id: PacketId) -> Option<&mut Entry> {
        let oldest = self.queued.checked_sub(self.kept.len() as u64)?;
        let place = usize::try_from(id.number().checked_sub(oldest + 1)?).ok()?;
        self.kept.get_mut(place)
    }
}
