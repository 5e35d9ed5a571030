//! Tickets: the life of one resource, from creation to release.

mod misuse;
mod touches;

pub use self::touches::Touches;
pub(super) use self::touches::touching;

use self::misuse::{check_use, insist};
use super::book::Book;
use super::budgets;
use super::chronicle::Life;
use super::clock::nanos;
use super::event::EventKind;
use super::lifetimes::Step;
use super::local::{self, Local, Shard};
use super::record::{EventWords, Record};
use super::slot::{DESTROYED, FREED, HANDLE_DROPPED, Slot};
use super::tally::Tally;
use super::{Activity, Context, Extent, Level, New, OwnerId, PacketId, ResourceId, Timestamp};
use std::panic::Location;
use std::time::Duration;

/// The unit of truth: one per resource, held by whatever keeps the resource alive. Its drop is the resource's release.
///
/// A ticket of a probe that is off, or that found the tracker full, is empty: it has no id and does nothing.
/// All methods may be called from any thread. Dropping a ticket in a thread-local destructor or while the program ends is
/// fine, but where the tracker was asked to panic on misuse: a panic there ends the program.
#[must_use = "dropping the ticket releases the resource"]
pub struct Ticket(Option<Entry>);

#[derive(Clone, Copy)]
struct Entry {
    slot: &'static Slot,
    book: &'static Book,
}

impl Ticket {
    /// A ticket of nothing.
    pub const EMPTY: Self = Self(None);

    /// The resource's id; `None` if the resource is not tracked.
    #[must_use]
    pub fn id(&self) -> Option<ResourceId> {
        ResourceId::new(self.0?.slot.id())
    }

    /// Notes that `packet` uses the resource. With touch lists on, at [`Level::Events`], the first touch by a packet
    /// (after one by another) is a [`EventKind::Bind`] event.
    #[inline]
    pub fn touch(&self, packet: PacketId) {
        let Some(Entry { slot, book }) = self.0 else { return };
        let level = book.level();
        if level == Level::Off || !slot.touch(packet) {
            return;
        }
        check_use(book, slot, packet);
        if level == Level::Events && book.touch_lists() {
            let context = Context::current().with_packet(packet);
            local::with(book, |local| {
                local.emit_next(book, slot, event_of(slot, EventKind::Bind, book.now(), context));
            });
        }
    }

    /// The resource's storage was rebuilt with `bytes`.
    pub fn resize(&mut self, bytes: u64) {
        self.rebuild(bytes, None);
    }

    /// The resource's storage was rebuilt with `bytes`, as an image of that size.
    pub fn resize_to(&mut self, bytes: u64, extent: Extent) {
        self.rebuild(bytes, Some(extent));
    }

    /// The suballocation lies within another block from now on. It stays what it is, with all of its bytes: nothing is counted. A resource that
    /// lies within no block stays one.
    pub fn moved_within(&mut self, block: ResourceId) {
        let Some(Entry { slot, .. }) = self.0 else { return };
        let old = slot.record();
        if old.within.is_some_and(|before| before != block) {
            slot.rewrite(&Record { within: Some(block), ..old });
        }
    }

    /// The program dropped its handle; views, bind groups or work in flight may still hold the resource. The resource
    /// leaves live if it has not yet.
    pub fn handle_dropped(&self) {
        if let Some(entry) = self.0 {
            entry.leave_live(HANDLE_DROPPED);
        }
    }

    /// The program destroyed the resource explicitly. The resource leaves live if it has not yet, and is released when the
    /// ticket is dropped. It is a misuse while a packet that has touched the resource is open
    /// ([`Tracker::misuses`](crate::tracker::Tracker::misuses)).
    ///
    /// # Panics
    /// On a misuse, if the tracker was built to
    /// ([`panic_on_misuse`](crate::tracker::TrackerBuilder::panic_on_misuse)).
    #[track_caller]
    pub fn destroyed(&self) {
        if let Some(entry) = self.0
            && entry.leave_live(DESTROYED)
        {
            insist(entry.check_end(Some(Location::caller())));
        }
    }

    /// The program took the resource again where it could have made another: from a pool, or from a cache. Counted for its
    /// kind and owner.
    pub fn reused(&self) {
        self.count(Tally::reuse);
    }

    /// A call asked for the resource in another size, whether its storage is rebuilt or not. Counted for its kind and owner;
    /// a rebuild is reported apart ([`resize`](Self::resize), [`Mark::ResizeRebuild`](super::Mark::ResizeRebuild)).
    pub fn resize_requested(&self) {
        self.count(Tally::request_resize);
    }

    fn count(&self, what: impl Fn(&Tally)) {
        let Some(Entry { slot, book }) = self.0.filter(|entry| entry.book.level() != Level::Off) else { return };
        let record = slot.record();
        local::with(book, |local| {
            local.shard.tally(book.settings.passing, &record, &what);
        });
    }

    /// The memory of a destroyed resource is free: its bytes are no longer pending, though handles may keep the resource itself
    /// until the ticket is dropped. Counts as [`destroyed`](Self::destroyed) if it was not.
    pub fn freed(&self) {
        if let Some(entry) = self.0 {
            entry.leave_live(DESTROYED);
            entry.free();
        }
    }

    fn rebuild(&mut self, bytes: u64, extent: Option<Extent>) {
        let Some(Entry { slot, book }) = self.0 else { return };
        let bytes = book.believe(bytes);
        let old = slot.record();
        let new = Record { bytes, extent: extent.or(old.extent), ..old };
        let state = slot.state();
        let pending = state != 0;
        // What is free has no bytes to change.
        let (before, after) = if state & FREED == 0 { (old.bytes, bytes) } else { (0, 0) };
        let level = book.level();
        if after > before && new.within.is_none() && level != Level::Off && book.budgets.forewarned() {
            budgets::forewarn(book, after - before, new.kind, None, new.owner);
        }
        local::with(book, |local| {
            slot.rewrite(&new);
            local.shard.tally(book.settings.passing, &new, |tally| tally.resize(before, after, pending));
            settle(book, local.shard, &new);
            if new.within.is_none() && !pending {
                local.move_live(book, bytes, old.bytes);
            }
            if level == Level::Events {
                let event = event_of(slot, EventKind::ResizeRebuild, book.now(), Context::current());
                local.emit_next(book, slot, event);
            }
        });
    }

    /// Reports that the resource was bound or unbound.
    #[inline]
    pub(super) fn tell(&self, level: Level, kind: EventKind) {
        if let Some(entry) = self.0
            && level == Level::Events
        {
            entry.tell(kind);
        }
    }

    /// Reports that the resource was rebuilt by other means than [`resize`](Self::resize), at a level other than Off.
    #[inline]
    pub(super) fn rebuilt(&self, level: Level, extent: Option<Extent>) {
        if let Some(entry) = self.0 {
            entry.rebuilt(level, extent);
        }
    }

    /// The resource's owner.
    pub(super) fn owner(&self) -> Option<OwnerId> {
        Some(self.0?.slot.record().owner)
    }

    /// An event of this resource, if it is one of `book`'s.
    pub(super) fn event(&self, book: &'static Book, kind: EventKind, time: Timestamp) -> Option<EventWords> {
        let entry = self.0.filter(|entry| std::ptr::eq(entry.book, book))?;
        let event = event_of(entry.slot, kind, time, Context::current());
        Some(event.sequence(entry.slot.next_sequence()))
    }
}

impl Drop for Ticket {
    #[inline]
    fn drop(&mut self) {
        if let Some(entry) = self.0 {
            entry.release();
        }
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ticket").field(&self.id()).finish()
    }
}

impl Entry {
    /// An event that changes nothing and is not counted.
    fn tell(self, kind: EventKind) {
        let Self { slot, book } = self;
        local::with(book, move |local| {
            local.emit_next(book, slot, event_of(slot, kind, book.now(), Context::current()));
        });
    }

    /// The resource was rebuilt in a size that its record does not have.
    fn rebuilt(self, level: Level, extent: Option<Extent>) {
        let Self { slot, book } = self;
        let record = slot.record();
        local::with(book, |local| {
            local.shard.tally(book.settings.passing, &record, Tally::rebuild);
            if level == Level::Events {
                let event = event_of(slot, EventKind::ResizeRebuild, book.now(), Context::current());
                local.emit_next(book, slot, event.extent(extent));
            }
        });
    }

    /// Sets a bit of the state; `true` if it was not set before.
    fn leave_live(self, bit: u32) -> bool {
        let Self { slot, book } = self;
        // Whoever sets the first bit counts the step, on whatever thread; the others find it counted.
        let before = slot.mark(bit);
        if before & bit != 0 {
            return false;
        }
        let record = slot.record();
        local::with(book, |local| {
            local.shard.tally(book.settings.passing, &record, |tally| {
                if before == 0 {
                    tally.leave_live(record.bytes);
                }
                if bit == DESTROYED {
                    tally.destroy();
                }
            });
            if before == 0 && record.within.is_none() {
                local.move_live(book, 0, record.bytes);
            }
        });
        true
    }

    fn free(self) {
        let Self { slot, book } = self;
        if slot.mark(FREED) & FREED == 0 {
            let record = slot.record();
            local::with(book, |local| {
                local.shard.tally(book.settings.passing, &record, |tally| tally.free(record.bytes));
                settle(book, local.shard, &record);
            });
        }
    }

    fn release(self) {
        let Self { slot, book } = self;
        let record = slot.record();
        let state = slot.state();
        let hand_tracked = record.site != 0 && state & DESTROYED == 0;
        let misused = if hand_tracked { self.check_end(None) } else { None };
        let (now, context) = (book.now(), Context::current());
        // A clock that stands still or was moved back gives no lifetime below zero.
        let lifetime = now.since(record.created).unwrap_or(Duration::ZERO);
        let life = nanos(lifetime);
        let short = !record.kind.is_in(book.settings.passing) && is_short(book, &record, life, context.packet());
        let live = state == 0;
        let held = if state & FREED == 0 { record.bytes } else { 0 };
        let level = book.level();
        local::with(book, |local| {
            let shard = local.shard;
            let owner = shard.tally(book.settings.passing, &record, |tally| {
                if live {
                    tally.leave_live(record.bytes);
                }
                tally.release(held, life, short);
            });
            settle(book, shard, &record);
            if let Some(owner) = owner {
                owner.note_released(record.kind, record.site);
            }
            if !record.kind.is_in(book.settings.passing) {
                shard.lives.end(life);
                shard.burst.count(&book.bursts, book.opened, now, Step::Released);
            }
            if short && record.bytes > 0 && record.within.is_none() {
                shard.alike.count(&record);
            }
            if live && record.within.is_none() {
                local.move_live(book, 0, record.bytes);
            }
            if level == Level::Events {
                let event = event_of(slot, EventKind::Destroy, now, context);
                local.emit(book, event.sequence(slot.last_sequence()).span(Some(lifetime)));
            }
            if record.kind.is_in(book.settings.followed) {
                write_down(book, slot, &record, state, now, context.packet());
            }
            slot.close();
            local.give_slot(book, slot);
            if record.labelled {
                local.drop_label(book);
            }
        });
        insist(misused);
    }
}

/// Whether a life that ends in `packet` after so many nanoseconds was short.
#[inline]
fn is_short(book: &Book, record: &Record, life: u64, packet: PacketId) -> bool {
    let packets = || packet.number().checked_sub(record.packet.number());
    life < book.settings.short_nanos
        || (!packet.is_none()
            && packet.lane() == record.packet.lane()
            && packets().is_some_and(|packets| packets < book.settings.short_packets))
}

/// Writes down the end of a life that is followed.
#[cold]
fn write_down(book: &Book, slot: &Slot, record: &Record, state: u32, now: Timestamp, packet: PacketId) {
    book.chronicle.life(Life {
        record: *record,
        label: if record.labelled { slot.label() } else { None },
        released: now,
        released_in: packet,
        last_packet: slot.last_packet(),
        explicit: state & DESTROYED != 0,
    });
}

/// Begins a resource's life, at a level other than Off.
pub(super) fn create(book: &'static Book, level: Level, new: &New<'_>, site: &'static Location<'static>) -> Ticket {
    let context = Context::current();
    if context.is_untracked() {
        return Ticket::EMPTY;
    }
    let bytes = book.believe(new.bytes);
    let mut created = book.now();
    let took = new.took.or_else(|| new.begun.and_then(|begun| created.since(begun))).map(nanos);
    if book.budgets.forewarned() {
        drop(budgets::announce(book, new, context.owner()));
        // What the program has reported meanwhile was before.
        created = book.now();
    }
    let entry = local::with(book, |local| {
        let Some(slot) = local.take_slot(book) else {
            super::book::count(&book.overflows.resources);
            return None;
        };
        let record = Record {
            id: local.next_id(book),
            bytes,
            created,
            packet: context.packet(),
            kind: new.kind,
            backend: new.backend,
            owner: context.owner(),
            site: if new.sited { local.site(book, site) } else { 0 },
            labelled: new.label.is_some_and(|label| keep_label(book, local, slot, label)),
            descriptor: new.descriptor & 0x7fff,
            linked: !new.links.is_empty() && keep_links(book, slot, new.links),
            native: new.native,
            extent: new.extent,
            within: new.within,
        };
        let words = slot.open(&record);
        count_creation(book, local, &record, took.unwrap_or(0));
        if level == Level::Events {
            let took = took.map(Duration::from_nanos);
            let event = EventWords::of(|word| words[word], EventKind::Create, created, context).span(took);
            local.emit(book, new.label.map_or(event, |label| event.name(book.event_label(label))));
        }
        Some(Entry { slot, book })
    });
    Ticket(entry)
}

#[inline]
fn count_creation(book: &Book, local: &mut Local, record: &Record, took: u64) {
    let shard = local.shard;
    let owner = shard.tally(book.settings.passing, record, |tally| tally.create(record.bytes));
    if let Some(owner) = owner {
        owner.note_created(record.kind, record.site);
    }
    if !record.kind.is_in(book.settings.passing) {
        shard.lives.begin();
        // The bytes of a suballocation are its block's.
        let bytes = if record.within.is_none() { record.bytes } else { 0 };
        shard.efforts.add(Activity::of_creating(record.kind), 1, bytes, took);
        shard.burst.count(&book.bursts, book.opened, record.created, Step::Created);
    }
    if record.within.is_none() {
        local.move_live(book, record.bytes, 0);
        settle(book, shard, record);
    }
}

/// Tells the budgets of the bytes of a step that was just counted.
#[inline]
fn settle(book: &Book, shard: &Shard, record: &Record) {
    if book.budgets.watched() && record.within.is_none() {
        book.budgets.settle(shard, record.owner.kind());
    }
}

#[inline]
fn keep_label(book: &Book, local: &mut Local, slot: &Slot, label: &str) -> bool {
    let kept = local.admit_label(book);
    if kept {
        let grown = slot.set_label(label);
        if grown > 0 {
            book.label_bytes.fetch_add(grown, std::sync::atomic::Ordering::Relaxed);
        }
    }
    kept
}

fn keep_links(book: &Book, slot: &Slot, links: &[ResourceId]) -> bool {
    let grown = slot.set_links(links);
    if grown > 0 {
        book.label_bytes.fetch_add(grown, std::sync::atomic::Ordering::Relaxed);
    }
    true
}

/// An event of the resource in `slot`, without its number.
#[inline]
fn event_of(slot: &Slot, kind: EventKind, time: Timestamp, context: Context) -> EventWords {
    EventWords::of(|word| slot.word(word), kind, time, context)
}
