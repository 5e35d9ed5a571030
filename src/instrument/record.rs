//! The record of one object's life, who holds it, and the list of records that recorded commands touch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals_core::probe::{Ticket, Touches};

use parking_lot::Mutex;

use super::state::World;

/// An object's record, if it has one, and the list that took it last. It lies in the object itself, so that a touch that repeats the last
/// one looks at nothing else.
#[derive(Debug, Default)]
pub(super) struct Held {
    record: Option<Arc<Record>>,
    stamp: AtomicU64,
}

impl Held {
    /// A record, unless there is nothing to record: neither a resource nor others that it keeps.
    pub(super) fn new(ticket: Ticket, holds: Vec<Arc<Record>>, extras: Option<Box<Extras>>) -> Self {
        let worthwhile = ticket.id().is_some() || !holds.is_empty();
        let record = worthwhile.then(|| Arc::new(Record { ticket, holds, unwritten: AtomicU64::new(0), extras }));
        Self { record, stamp: AtomicU64::new(0) }
    }

    pub(super) fn record(&self) -> Option<&Arc<Record>> {
        self.record.as_ref()
    }

    /// The last clone of the public handle is gone, and this goes next.
    #[inline]
    pub(super) fn handle_dropped(&self) {
        if let Some(record) = &self.record {
            // What nothing else holds is released at once, and leaves live by that.
            if Arc::strong_count(record) > 1 {
                record.ticket.handle_dropped();
            }
            record.leave_target();
        }
    }

    /// Bytes of a buffer's first content, if it is written now.
    #[inline]
    pub(super) fn take_unwritten(&self) -> Option<u64> {
        self.record.as_ref()?.take_unwritten()
    }
}

/// The life of one object. It is kept by the object's handle, by the records of what holds the object, and by commands that
/// use it until they are complete: its drop is the object's release.
#[derive(Debug)]
pub(super) struct Record {
    ticket: Ticket,
    /// What the object keeps alive.
    holds: Vec<Arc<Record>>,
    /// Bytes of a buffer that was mapped when it was created, through staging memory that its unmapping writes from.
    unwritten: AtomicU64,
    extras: Option<Box<Extras>>,
}

/// What few records have.
#[derive(Debug)]
pub(super) struct Extras {
    pub(super) world: Arc<World>,
    /// The label takes room under the limit.
    pub(super) labelled: bool,
    /// A backtrace of the creation is kept.
    pub(super) backtrace: bool,
    /// The place of a render target.
    pub(super) target: Option<u64>,
    /// What a top-level acceleration structure was built of, and refers to.
    pub(super) parts: Mutex<Vec<Arc<Record>>>,
}

impl Record {
    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    pub(super) fn destroyed(&self) {
        self.ticket.destroyed();
        self.leave_target();
    }

    /// Its memory was destroyed and is in no use any more.
    pub(super) fn freed(&self) {
        self.ticket.freed();
    }

    /// The object or what it keeps is the one of that record.
    pub(super) fn uses(&self, record: &Self) -> bool {
        std::ptr::eq(self, record) || self.holds.iter().any(|held| held.uses(record))
    }

    /// Visits this and all that it keeps; not again what `visit` says it has seen.
    pub(super) fn walk(&self, visit: &mut impl FnMut(&Self) -> bool) {
        if visit(self) {
            for held in &self.holds {
                held.walk(visit);
            }
        }
    }

    /// The buffer's first content, so many bytes, will be written when it is unmapped.
    pub(super) fn set_unwritten(&self, bytes: u64) {
        self.unwritten.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of the buffer's first content, if it is written now.
    #[inline]
    pub(super) fn take_unwritten(&self) -> Option<u64> {
        let unwritten = self.unwritten.load(Ordering::Relaxed) > 0;
        unwritten.then(|| self.unwritten.swap(0, Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// A top-level acceleration structure is built of these, and keeps them until it is built of others.
    fn set_parts(&self, parts: Holds) {
        if let Some(extras) = &self.extras {
            *extras.parts.lock() = parts.into_vec();
        }
    }

    /// The packet uses the object, and with it all that it keeps.
    pub(super) fn touch(&self, touches: &mut Touches<'_>) {
        touches.touch(&self.ticket);
        for held in &self.holds {
            held.touch(touches);
        }
    }

    fn leave_target(&self) {
        if let Some((extras, key, id)) =
            self.extras.as_ref().and_then(|extras| Some((extras, extras.target?, self.ticket.id()?)))
            && let Some(rebuilt) = extras.world.targets.leave(key, id)
        {
            super::targets::report_rebuild(extras.world.probe, &rebuilt);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(extras) = &self.extras {
            extras.world.rules.released(extras.labelled);
            if let (true, Some(id)) = (extras.backtrace, self.ticket.id()) {
                extras.world.backtraces.forget(id);
            }
        }
    }
}

/// Puts the records of what an object keeps alive into one list.
#[derive(Debug, Default)]
pub(super) struct Holds(Vec<Arc<Record>>);

impl Holds {
    pub(super) fn add(&mut self, held: &Held) {
        self.0.extend(held.record.clone());
    }

    /// All that a recorded list uses.
    pub(super) fn of(touched: Touched) -> Self {
        Self(touched.into_records())
    }

    pub(super) fn into_vec(self) -> Vec<Arc<Record>> {
        self.0
    }
}

/// What a list of commands uses: each record once, as long as no other list takes it in between.
#[derive(Debug)]
pub(super) struct Touched {
    stamp: u64,
    records: Vec<Arc<Record>>,
    /// Top-level acceleration structures that the commands build, and what of.
    builds: Vec<(Arc<Record>, Holds)>,
}

impl Touched {
    pub(super) fn new() -> Self {
        static STAMPS: AtomicU64 = AtomicU64::new(1);
        Self { stamp: STAMPS.fetch_add(1, Ordering::Relaxed), records: Vec::new(), builds: Vec::new() }
    }

    /// Takes the record, unless this list was the last to take it.
    #[inline]
    pub(super) fn add(&mut self, held: &Held) {
        if held.stamp.load(Ordering::Relaxed) != self.stamp {
            self.take(held);
        }
    }

    #[cold]
    fn take(&mut self, held: &Held) {
        // Of what has no record too: it is not looked at again.
        held.stamp.store(self.stamp, Ordering::Relaxed);
        self.records.extend(held.record.clone());
    }

    /// The commands build a top-level acceleration structure of these.
    pub(super) fn builds(&mut self, structure: &Held, parts: Holds) {
        self.builds.extend(structure.record.clone().map(|structure| (structure, parts)));
    }

    /// The commands are submitted: what they build refers to its parts from now on.
    pub(super) fn built(&mut self) {
        for (structure, parts) in self.builds.drain(..) {
            structure.set_parts(parts);
        }
    }

    /// A list that nothing is put into.
    pub(super) fn empty() -> Self {
        Self { stamp: 0, records: Vec::new(), builds: Vec::new() }
    }

    /// Another list that goes on with this one: what this one has taken it does not take again, as long as nothing is put into
    /// this one before the other one is appended.
    pub(super) fn split(&mut self) -> Self {
        Self { stamp: self.stamp, records: std::mem::take(&mut self.records), builds: Vec::new() }
    }

    /// Takes what another list has.
    pub(super) fn append(&mut self, mut other: Self) {
        self.builds.append(&mut other.builds);
        if self.records.is_empty() {
            self.records = other.records;
        } else {
            self.records.append(&mut other.records);
        }
    }

    pub(super) fn records(&self) -> &[Arc<Record>] {
        &self.records
    }

    pub(super) fn into_records(self) -> Vec<Arc<Record>> {
        self.records
    }
}
