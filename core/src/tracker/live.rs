//! The tracker: totals, snapshots and recent events.

use super::activities::Activities;
use super::records::Lifetimes;
use super::snapshot::{Owner, ResourceRecord, Snapshot};
use super::totals::{EventTotals, LaneTotals, OverflowTotals, PacketTotals, SubmissionTotals, Totals};
use super::{EventCursor, TrackerBuilder};
use crate::contract::StoreReport;
use crate::probe::book::Book;
use crate::probe::budgets::Before;
use crate::probe::efforts::EffortSums;
use crate::probe::kind::ROWS;
use crate::probe::lifetimes::{BUCKETS, bound};
use crate::probe::local::{self, Shard};
use crate::probe::ring::{Follower, Ring};
use crate::probe::slot::{DESTROYED, FREED, HANDLE_DROPPED, Sighting, Slot};
use crate::probe::tally::Pass;
use crate::probe::{
    BudgetCalls, BudgetStatus, Clock, Counts, Event, Lane, Level, OwnerId, PEAK_FOLD_BYTES, Pressure, Probe,
    ResourceId, ResourceKind, SoftBudget, Timestamp, WouldCross,
};
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The read side of a book: totals, snapshots and events. Share it in an [`Arc`](std::sync::Arc); all methods may be
/// called from any thread, and reading resets nothing.
///
/// The book behind it is never freed, since probes and tickets stay valid for the life of the program: make a tracker or
/// a few, not one per frame. Dropping the tracker sets the level to [`Level::Off`].
#[derive(Debug)]
pub struct Tracker {
    pub(super) book: &'static Book,
}

impl Tracker {
    /// A tracker with the defaults of [`TrackerBuilder`].
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A tracker to be configured.
    pub fn builder() -> TrackerBuilder {
        TrackerBuilder::default()
    }

    /// The hook side: give it to whatever makes resources.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe(Some(self.book))
    }

    /// How much is recorded.
    #[must_use]
    pub fn level(&self) -> Level {
        self.book.level()
    }

    /// Sets how much is recorded from now on. Threads follow at their next call.
    pub fn set_level(&self, level: Level) {
        self.book.set_level(level);
    }

    /// Whether touches are recorded as events, at [`Level::Events`]; off at first.
    #[must_use]
    pub fn touch_lists(&self) -> bool {
        self.book.touch_lists()
    }

    /// Switches the recording of touches.
    pub fn set_touch_lists(&self, on: bool) {
        self.book.set_touch_lists(on);
    }

    /// Sets a soft budget from now on, in place of the one of the same scope; one of 0 bytes lifts it.
    ///
    /// What is there already counts, whoever made it. What another thread creates or releases while this runs counts at the latest with that
    /// thread's next step, or when the budgets are next read; from then on, and where a budget is there from the
    /// [start](TrackerBuilder::soft_budget) on from the first resource, each step is held against it exactly, in the thread that takes it and
    /// under one short lock.
    pub fn set_soft_budget(&self, budget: SoftBudget) {
        self.book.budgets.set(self.book, budget);
    }

    /// Calls `call` before a creation, or a growth, that would leave a soft budget exceeded, in place of what was called before. It can make
    /// room: what it drops or destroys is gone, and its memory free as soon as nothing in flight uses it, when the creation goes on, which it
    /// does in any case.
    ///
    /// It runs in the creating thread, before the object is made (for those of an instrumented device and those that were
    /// [announced](Probe::announce)) and with no lock held. What it creates itself calls nobody. A panic in it is caught and counted
    /// ([`budget_calls`](Self::budget_calls)). Creations that happen at the same time each see what is used then: two that fit one by one may
    /// exceed a budget together, and are counted as a crossing.
    pub fn before_over_budget(&self, call: impl Fn(&WouldCross<'_>) + Send + Sync + 'static) {
        self.book.budgets.set_before(Some(Before(Arc::new(call))));
    }

    /// Calls nothing any more before a budget would be exceeded, and drops what was called; so does dropping the tracker.
    pub fn never_before_over_budget(&self) {
        self.book.budgets.set_before(None);
    }

    /// What hands out memory from resources of its own ([`Probe::list`]), as it stands now, in the order in which it came.
    #[must_use]
    pub fn stores(&self) -> Vec<StoreReport> {
        let mut reports = Vec::new();
        self.read_stores(&mut reports);
        reports.into_iter().map(|(_, report)| report).collect()
    }

    /// Fills in what hands out memory, as it stands now: each under a number that it keeps and that no other one of this tracker has.
    pub fn read_stores(&self, reports: &mut Vec<(u64, StoreReport)>) {
        self.book.stores.read(reports);
    }

    /// The soft budgets, and how each stands now. The process's comes first.
    #[must_use]
    pub fn soft_budgets(&self) -> Vec<BudgetStatus> {
        let mut statuses = Vec::new();
        self.read_soft_budgets(&mut statuses);
        statuses
    }

    /// Fills in the soft budgets, and how each stands now.
    pub fn read_soft_budgets(&self, statuses: &mut Vec<BudgetStatus>) {
        self.book.budgets.read(self.book, statuses);
    }

    /// The worst pressure of all soft budgets now.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.book.budgets.pressure(self.book)
    }

    /// How often what [is called before a budget is exceeded](Self::before_over_budget) was called, and how often it panicked.
    #[must_use]
    pub fn budget_calls(&self) -> BudgetCalls {
        self.book.budgets.calls()
    }

    /// The clock that events and snapshots are stamped by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.book.settings.clock.clone()
    }

    /// When the tracker was made.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        Timestamp::from_unix_nanos(self.book.opened)
    }

    /// The kinds whose ends are written down one by one ([`TrackerBuilder::followed_kinds`]).
    #[must_use]
    pub fn followed_kinds(&self) -> Vec<ResourceKind> {
        ResourceKind::all_in(self.book.settings.followed).collect()
    }

    /// The kinds that every frame makes by its nature ([`TrackerBuilder::passing_kinds`]).
    #[must_use]
    pub fn passing_kinds(&self) -> Vec<ResourceKind> {
        ResourceKind::all_in(self.book.settings.passing).collect()
    }

    /// What is known of an owner; `None` for no owner, and for those beyond the limit.
    #[must_use]
    pub fn owner(&self, owner: OwnerId) -> Option<Owner> {
        let entry = self.book.owners.get(owner)?;
        Some(Owner { kind: entry.kind, key: entry.key, name: entry.name })
    }

    /// The name of a lane.
    #[must_use]
    pub fn lane_name(&self, lane: Lane) -> Option<&'static str> {
        self.book.lane_name(lane)
    }

    /// All totals. Allocates the answer; see [`read_totals`](Self::read_totals).
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.read_totals(&mut totals);
        totals
    }

    /// Fills in all totals, at the cost of some microseconds per thread that has reported.
    pub fn read_totals(&self, totals: &mut Totals) {
        let book = self.book;
        totals.time = book.now();
        totals.rows.clear();
        totals.rows.resize(ROWS, Counts::default());
        for pass in Pass::ORDER {
            // The list is read anew for each pass: see `tally.rs`.
            book.with_shards(|shards| {
                for shard in shards {
                    shard.rows.sum_into(pass, &mut totals.rows);
                }
            });
        }
        let inconsistent = totals.rows.iter().filter(|counts| !counts.consistent()).count() as u64;
        debug_assert_eq!(inconsistent, 0, "rows with a negative difference: {:?}", totals.rows);
        totals.inconsistencies = inconsistent;
        totals.peak_live_bytes = book.peak.highest();
        (totals.events, totals.peak_error_bytes) = book.with_shards(|shards| {
            let rings = shards.iter().filter_map(|shard| shard.ring.get());
            let events = rings.fold(EventTotals::default(), |sum, ring| EventTotals {
                produced: sum.produced + ring.produced(),
                overwritten: sum.overwritten + ring.produced().saturating_sub(ring.capacity()),
            });
            (events, shards.len() as u64 * PEAK_FOLD_BYTES)
        });
        totals.lifetimes = self.lifetimes();
        self.read_lanes(&mut totals.lanes);
        totals.submissions = self.submission_totals();
        book.budgets.read(book, &mut totals.soft_budgets);
        totals.budget_calls = book.budgets.calls();
        totals.misuses = book.chronicle.misused();
        totals.overflows = self.overflows();
        totals.telemetry_bytes = book.footprint() as u64;
    }

    /// What the program has spent time on, and which part of it the calling thread: for whoever asks each frame. Takes some 20 ns per thread
    /// that has reported; the first call of a thread makes room for its counters.
    #[must_use]
    pub fn activities(&self) -> Activities {
        let book = self.book;
        let own = local::with(book, |local| local.shard);
        let (mut all, mut here) = (EffortSums::default(), EffortSums::default());
        own.efforts.sum_into(&mut here);
        let released = book.with_shards(|shards| {
            shards.iter().fold(0_u64, |released, shard| {
                shard.efforts.sum_into(&mut all);
                released.wrapping_add(shard.lives.counts().1)
            })
        });
        let asked_by = std::ptr::from_ref::<Shard>(own).addr();
        Activities::new(&all, &here, asked_by, released, book.submissions.read().staged)
    }

    /// Every resource that is live or pending. Takes a tenth of a second for a million resources, most of it for the memory
    /// of the answer. Producers go on meanwhile: at most they wait until a label or the list of pages is copied.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.read_snapshot(&mut snapshot);
        snapshot
    }

    /// Takes a [`snapshot`](Self::snapshot) into the memory of an earlier one: for a million resources in half of the time.
    pub fn read_snapshot(&self, snapshot: &mut Snapshot) {
        let book = self.book;
        snapshot.taken = book.now();
        snapshot.level = book.level();
        snapshot.tracked_since = (snapshot.level != Level::Off).then(|| book.tracked_since());
        snapshot.resources.clear();
        let resources = &mut snapshot.resources;
        snapshot.contended = self.visit(|resource| resources.push(resource));
    }

    /// Hands over each resource that is live or pending, as for a snapshot. Returns how many slots were being written at every look.
    pub(crate) fn visit(&self, mut visit: impl FnMut(ResourceRecord)) -> u64 {
        let sites = self.book.sites.all();
        let mut contended = 0;
        for slot in self.book.slots.pages().into_iter().flatten() {
            match look(slot) {
                Some(Some(sighting)) => self.record(sighting, &sites).into_iter().for_each(&mut visit),
                Some(None) => {}
                None => contended += 1,
            }
        }
        contended
    }

    /// A reader of all events from now on, with a count of its own of what it lost.
    #[must_use]
    pub fn events(&self) -> EventCursor {
        let followers = self.book.with_shards(|shards| {
            // A ring that is made later starts at 0, whichever shard it belongs to.
            shards.iter().map(|shard| Follower::at(shard.ring.get().map_or(0, Ring::produced))).collect()
        });
        EventCursor::of(self.book, followers)
    }

    /// The last `n` events that the rings still keep, by time.
    #[must_use]
    pub fn recent_events(&self, n: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for ring in self.book.with_shards(|shards| shards.iter().filter_map(|s| s.ring.get()).collect::<Vec<_>>()) {
            let from = ring.produced().saturating_sub(n as u64);
            Follower::at(from).drain(ring, |words| events.push(super::cursor::decode(self.book, words)));
        }
        events.sort_by_key(|event| event.time);
        events.split_off(events.len().saturating_sub(n))
    }

    fn lifetimes(&self) -> Lifetimes {
        let (mut buckets, mut sum) = ([0; BUCKETS + 1], 0);
        self.book.with_shards(|shards| shards.iter().for_each(|shard| shard.lives.sum_into(&mut buckets, &mut sum)));
        let mut lifetimes = Lifetimes { sum: Duration::from_nanos(sum), ..Lifetimes::default() };
        for (index, lives) in buckets.into_iter().enumerate() {
            lifetimes.count += lives;
            if let Some(bucket) = lifetimes.buckets.get_mut(index) {
                *bucket = (bound(index), lifetimes.count);
            }
        }
        lifetimes
    }

    fn record(&self, sighting: Sighting, sites: &[&'static Location<'static>]) -> Option<ResourceRecord> {
        let Sighting { record, state, last_packet, label, links } = sighting;
        // Most sites were there when the taking began.
        let site = usize::from(record.site).checked_sub(1).and_then(|place| sites.get(place).copied());
        Some(ResourceRecord {
            id: ResourceId::new(record.id)?,
            kind: record.kind,
            handle_dropped: state & HANDLE_DROPPED != 0,
            destroyed: state & DESTROYED != 0,
            freed: state & FREED != 0,
            bytes: record.bytes,
            backend: record.backend,
            label,
            owner: (!record.owner.is_none()).then_some(record.owner),
            native: record.native,
            extent: record.extent,
            within: record.within,
            links,
            descriptor: record.descriptor,
            created: record.created,
            site: site.or_else(|| self.book.sites.get(record.site)),
            created_in: (!record.packet.is_none()).then_some(record.packet),
            last_packet: (!last_packet.is_none()).then_some(last_packet),
        })
    }

    fn read_lanes(&self, lanes: &mut Vec<LaneTotals>) {
        lanes.clear();
        for (index, counters) in self.book.lanes.iter().enumerate().take(self.book.lane_names.len() + 2) {
            let lane = Lane::from_bits(index as u8);
            let ([presented, dropped, no_op, failed], queued, submitted) = counters.read();
            let Some(name) = self.book.lane_name(lane).filter(|_| queued > 0) else { continue };
            let packets = PacketTotals { queued, submitted, presented, dropped, no_op, failed };
            lanes.push(LaneTotals { lane, name, packets });
        }
    }

    fn submission_totals(&self) -> SubmissionTotals {
        let counts = self.book.submissions.read();
        SubmissionTotals {
            submitted: counts.submitted,
            completed: counts.completed,
            abandoned: counts.abandoned,
            unmatched_completions: counts.unmatched,
            staged_bytes: counts.staged,
            submitted_bytes: counts.taken,
        }
    }

    fn overflows(&self) -> OverflowTotals {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let overflows = &self.book.overflows;
        OverflowTotals {
            resources: load(&overflows.resources),
            resource_kinds: load(&overflows.resource_kinds),
            owner_kinds: load(&overflows.owner_kinds),
            owners: load(&overflows.owners),
            lanes: load(&overflows.lanes),
            labels: load(&overflows.labels),
            event_labels: load(&overflows.event_labels),
            markers: load(&overflows.markers),
            sites: load(&overflows.sites),
            bytes: load(&overflows.bytes),
        }
    }
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.book.set_level(Level::Off);
        self.never_before_over_budget();
    }
}

/// The tracker of a probe, to read from: dropping it stops nothing.
pub(crate) fn reader(probe: Probe) -> Option<ManuallyDrop<Tracker>> {
    probe.0.map(|book| ManuallyDrop::new(Tracker { book }))
}

/// Looks until the slot is whole; `None` if it was being written at every look.
fn look(slot: &Slot) -> Option<Option<Sighting>> {
    const LOOKS: usize = 1000;
    (0..LOOKS).find_map(|attempt| {
        if attempt % 16 == 15 {
            // The writer may wait for this core.
            std::thread::yield_now();
        }
        slot.look().ok()
    })
}
