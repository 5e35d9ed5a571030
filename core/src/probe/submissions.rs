//! Work that was submitted, and bytes that wait for it: exact counts, and a list of the newest submissions.

use super::book::count;
use super::{OwnerId, PacketId, ResourceId, Timestamp};
use crate::memory::HeapTag;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

/// Submissions that are listed.
const LISTED: usize = 256;

/// The book's submissions.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Submissions {
    submitted: AtomicU64,
    completed: AtomicU64,
    abandoned: AtomicU64,
    unmatched: AtomicU64,
    staged: AtomicU64,
    taken: AtomicU64,
    waiting: Mutex<Waiting>,
    list: Mutex<VecDeque<Submission>>,
}

/// The first bytes that were staged after a submission.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    /// The bytes staged before.
    before: u64,
    pub(crate) since: Timestamp,
    pub(crate) by: Origin,
    pub(crate) resource: Option<ResourceId>,
}

/// Who did something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) packet: PacketId,
    pub(crate) owner: OwnerId,
    pub(crate) site: Option<&'static Location<'static>>,
}

/// One submission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Submission {
    pub(crate) correlation: u64,
    pub(crate) queue: Option<ResourceId>,
    pub(crate) by: Origin,
    pub(crate) submitted: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) abandoned: bool,
    pub(crate) staged: u64,
    pub(crate) command_buffers: u32,
}

/// What a reader finds in [`Submissions`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SubmissionCounts {
    pub(crate) submitted: u64,
    pub(crate) completed: u64,
    pub(crate) abandoned: u64,
    pub(crate) unmatched: u64,
    pub(crate) staged: u64,
    pub(crate) taken: u64,
}

impl Submissions {
    /// Bytes were staged for the next submission. `first` tells of them if they are the first since the last one.
    #[inline]
    pub(crate) fn stage(&self, bytes: u64, first: impl FnOnce() -> (Timestamp, Origin, Option<ResourceId>)) {
        // Either this sees what a submission takes, or the submission sees that there is more: both orderings are of one sequence.
        let before = self.staged.fetch_add(bytes, Ordering::SeqCst);
        if bytes > 0 && before == self.taken.load(Ordering::SeqCst) {
            let (since, by, resource) = first();
            let mut waiting = self.waiting.lock();
            // One that was held up here does not push out the first after a later submission.
            if before >= waiting.before {
                *waiting = Waiting { before, since, by, resource };
            }
        }
    }

    /// Work was submitted. Returns the staged bytes that went with it.
    pub(crate) fn submit(&self, now: Timestamp) -> u64 {
        self.submitted.fetch_add(1, Ordering::Release);
        self.take(self.staged.load(Ordering::Acquire), now)
    }

    /// A submission takes what was staged so far. What another thread has staged meanwhile has waited since now; who it was is not known.
    fn take(&self, staged: u64, now: Timestamp) -> u64 {
        let taken = staged.saturating_sub(self.taken.fetch_max(staged, Ordering::SeqCst));
        if self.staged.load(Ordering::SeqCst) > staged {
            let mut waiting = self.waiting.lock();
            if staged > waiting.before {
                *waiting = Waiting { before: staged, since: now, ..Waiting::default() };
            }
        }
        taken
    }

    /// Lists a submission. Of those in flight the oldest stays, however many there are.
    pub(crate) fn list(&self, submission: Submission) {
        let mut list = self.list.lock();
        // All at once, at the first one: nothing is allocated later.
        let room = LISTED - list.len();
        {
            let _own = HeapTag::OWN.enter();
            list.reserve_exact(room);
        }
        if list.len() >= LISTED {
            let ended = list.iter().position(|submission| submission.ended.is_some());
            list.remove(ended.unwrap_or(1));
        }
        list.push_back(submission);
    }

    /// Work was completed. A completion of work that was never seen submitted is counted apart. Returns the packet that
    /// submitted it, if it is listed.
    pub(crate) fn complete(&self, correlation: u64, queue: Option<ResourceId>, now: Timestamp) -> Option<PacketId> {
        self.end(&self.completed);
        self.unlist(correlation, queue, now, false)
    }

    /// Work was submitted that will never complete.
    pub(crate) fn abandon(&self, correlation: u64, now: Timestamp) -> Option<PacketId> {
        self.end(&self.abandoned);
        self.unlist(correlation, None, now, true)
    }

    fn unlist(&self, correlation: u64, queue: Option<ResourceId>, now: Timestamp, abandoned: bool) -> Option<PacketId> {
        let mut list = self.list.lock();
        let is_it = |listed: &&mut Submission| {
            listed.correlation == correlation
                && listed.ended.is_none()
                && (queue.is_none() || listed.queue.is_none() || listed.queue == queue)
        };
        let found = list.iter_mut().find(is_it)?;
        found.ended = Some(now);
        found.abandoned = abandoned;
        Some(found.by.packet).filter(|packet| !packet.is_none())
    }

    fn end(&self, counter: &AtomicU64) {
        let ended = || self.completed.load(Ordering::Acquire) + self.abandoned.load(Ordering::Acquire);
        let counted = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (ended() < self.submitted.load(Ordering::Acquire)).then_some(count + 1)
        });
        if counted.is_err() {
            count(&self.unmatched);
        }
    }

    /// Completed before submitted, taken before staged: neither difference is ever negative.
    pub(crate) fn read(&self) -> SubmissionCounts {
        let completed = self.completed.load(Ordering::Acquire);
        let abandoned = self.abandoned.load(Ordering::Acquire);
        let taken = self.taken.load(Ordering::Acquire);
        SubmissionCounts {
            completed,
            abandoned,
            taken,
            submitted: self.submitted.load(Ordering::Acquire),
            staged: self.staged.load(Ordering::Acquire),
            unmatched: self.unmatched.load(Ordering::Relaxed),
        }
    }

    /// The bytes that wait for a submission, and the first of them; `None` if none wait, or if they have only just begun to.
    pub(crate) fn waiting(&self) -> Option<(u64, Waiting)> {
        let taken = self.taken.load(Ordering::Acquire);
        let bytes = self.staged.load(Ordering::Acquire).saturating_sub(taken);
        let waiting = *self.waiting.lock();
        (bytes > 0 && waiting.before == taken).then_some((bytes, waiting))
    }

    /// The newest `n` submissions, the oldest of them first.
    pub(crate) fn newest(&self, n: usize) -> Vec<Submission> {
        let list = self.list.lock();
        list.iter().skip(list.len().saturating_sub(n)).copied().collect()
    }

    /// The oldest listed submission that is in flight.
    pub(crate) fn oldest_in_flight(&self) -> Option<Submission> {
        self.list.lock().iter().find(|submission| submission.ended.is_none()).copied()
    }

    /// Bytes that the list takes.
    pub(crate) fn footprint(&self) -> usize {
        self.list.lock().capacity() * size_of::<Submission>()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_unix_nanos(nanos)
    }

    fn stage(submissions: &Submissions, bytes: u64, nanos: u64) {
        submissions.stage(bytes, || (at(nanos), Origin::default(), None));
    }

    fn waiting(submissions: &Submissions) -> Option<(u64, Timestamp)> {
        submissions.waiting().map(|(bytes, waiting)| (bytes, waiting.since))
    }

    #[test]
    fn one_who_was_held_up_while_staging_hides_no_later_bytes() {
        let submissions = Submissions::default();
        submissions.stage(100, || {
            // Before it has told of them, they are submitted, and others are staged.
            assert_eq!(submissions.submit(at(2)), 100);
            stage(&submissions, 50, 3);
            (at(1), Origin::default(), None)
        });
        assert_eq!(waiting(&submissions), Some((50, at(3))));
    }

    #[test]
    fn bytes_staged_while_a_submission_takes_those_before_are_seen_to_wait() {
        let submissions = Submissions::default();
        stage(&submissions, 100, 1);
        let seen = submissions.staged.load(Ordering::Acquire);
        stage(&submissions, 50, 2);
        assert_eq!(submissions.take(seen, at(3)), 100);
        assert_eq!(waiting(&submissions), Some((50, at(3))), "no earlier than they began to wait for another");
        stage(&submissions, 7, 4);
        assert_eq!(waiting(&submissions), Some((57, at(3))));
        assert_eq!(submissions.submit(at(5)), 57);
        assert_eq!(waiting(&submissions), None);
    }
}
