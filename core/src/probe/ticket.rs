//! Tickets: the life of one resource, from creation to release.

use super::book::Book;
use super::clock::nanos;
use super::event::{Event, EventKind};
use super::local::{self, Local};
use super::record::Record;
use super::slot::{DESTROYED, FREED, HANDLE_DROPPED, Slot};
use super::{Context, Extent, Level, New, PacketId, ResourceId, Timestamp};
use std::panic::Location;
use std::time::Duration;

/// The unit of truth: one per resource, held by whatever keeps the resource alive. Its drop is the resource's release.
///
/// A ticket of a probe that is off, or that found the tracker full, is empty: it has no id and does nothing.
/// All methods may be called from any thread. Dropping a ticket in a thread-local destructor or while the program ends is
/// fine.
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
        if level == Level::Events && book.touch_lists() {
            let context = Context::current().with_packet(packet);
            local::with(book, |local| {
                local.emit(book, resource_event(book, slot, EventKind::Bind, context), 0);
            });
        }
    }

    /// The touch by one of several.
    fn touch_with(&self, touches: &mut Touches<'_>) {
        let Some(Entry { slot, book }) = self.0 else { return };
        if !std::ptr::eq(book, touches.book) {
            self.touch(touches.packet);
        } else if slot.touch(touches.packet)
            && let Some((local, time, context)) = &mut touches.events
        {
            let event = event_of(&slot.record(), EventKind::Bind, slot.next_sequence(), *time, *context);
            local.emit(book, event, 0);
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

    /// The program dropped its handle; views, bind groups or work in flight may still hold the resource. The resource
    /// leaves live if it has not yet.
    pub fn handle_dropped(&self) {
        if let Some(entry) = self.0 {
            entry.leave_live(HANDLE_DROPPED);
        }
    }

    /// The program destroyed the resource explicitly. The resource leaves live if it has not yet, and is released when the
    /// ticket is dropped.
    pub fn destroyed(&self) {
        if let Some(entry) = self.0 {
            entry.leave_live(DESTROYED);
        }
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
        local::with(book, |local| {
            slot.rewrite(&new);
            for row in new.rows() {
                local.shard.rows.row(row).resize(before, after, pending);
            }
            if new.within.is_none() && !pending {
                local.move_live(book, bytes, old.bytes);
            }
            if level == Level::Events {
                let event = resource_event(book, slot, EventKind::ResizeRebuild, Context::current());
                local.emit(book, event, 0);
            }
        });
    }

    /// Reports what a mark says of this resource, at a level other than Off.
    pub(super) fn mark(&self, level: Level, kind: EventKind, extent: Option<Extent>) {
        let Some(Entry { slot, book }) = self.0 else { return };
        if level != Level::Events && kind != EventKind::ResizeRebuild {
            return;
        }
        local::with(book, |local| {
            if kind == EventKind::ResizeRebuild {
                let record = slot.record();
                for row in record.rows() {
                    local.shard.rows.row(row).rebuild();
                }
            }
            if level == Level::Events {
                let event = resource_event(book, slot, kind, Context::current());
                local.emit(book, Event { extent: extent.or(event.extent), ..event }, 0);
            }
        });
    }

    /// An event of this resource, if it is one of `book`'s.
    pub(super) fn event(&self, book: &'static Book, kind: EventKind) -> Option<Event> {
        let entry = self.0.filter(|entry| std::ptr::eq(entry.book, book))?;
        Some(resource_event(book, entry.slot, kind, Context::current()))
    }
}

/// Touches of many resources by one packet at one moment, as [`Probe::touching`](super::Probe::touching) hands it out.
pub struct Touches<'a> {
    book: &'static Book,
    packet: PacketId,
    /// With touch lists: where their events go, and what they have in common.
    events: Option<(&'a mut Local, Timestamp, Context)>,
}

impl Touches<'_> {
    /// The packet uses the resource too, as by [`Ticket::touch`].
    #[inline]
    pub fn touch(&mut self, ticket: &Ticket) {
        ticket.touch_with(self);
    }
}

impl std::fmt::Debug for Touches<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Touches").field("packet", &self.packet).finish_non_exhaustive()
    }
}

/// Touches by one packet, at a level other than Off.
pub(super) fn touching(book: &'static Book, level: Level, packet: PacketId, tell: impl Fn(&mut Touches<'_>)) {
    if level != Level::Events || !book.touch_lists() {
        return tell(&mut Touches { book, packet, events: None });
    }
    let (time, context) = (book.now(), Context::current().with_packet(packet));
    local::with(book, |local| tell(&mut Touches { book, packet, events: Some((local, time, context)) }));
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
    fn leave_live(self, bit: u32) {
        let Self { slot, book } = self;
        // Whoever sets the first bit counts the step, on whatever thread; the others find it counted.
        let before = slot.mark(bit);
        if before & bit != 0 {
            return;
        }
        let record = slot.record();
        local::with(book, |local| {
            for row in record.rows() {
                let row = local.shard.rows.row(row);
                if before == 0 {
                    row.leave_live(record.bytes);
                }
                if bit == DESTROYED {
                    row.destroy();
                }
            }
            if before == 0 && record.within.is_none() {
                local.move_live(book, 0, record.bytes);
            }
        });
    }

    fn free(self) {
        let Self { slot, book } = self;
        if slot.mark(FREED) & FREED == 0 {
            let record = slot.record();
            local::with(book, |local| {
                for row in record.rows() {
                    local.shard.rows.row(row).free(record.bytes);
                }
            });
        }
    }

    fn release(self) {
        let Self { slot, book } = self;
        let record = slot.record();
        let state = slot.state();
        let live = state == 0;
        let held = if state & FREED == 0 { record.bytes } else { 0 };
        let level = book.level();
        local::with(book, |local| {
            for row in record.rows() {
                let row = local.shard.rows.row(row);
                if live {
                    row.leave_live(record.bytes);
                }
                row.release(held);
            }
            if live && record.within.is_none() {
                local.move_live(book, 0, record.bytes);
            }
            if level == Level::Events {
                let event = resource_event(book, slot, EventKind::Destroy, Context::current());
                // A clock that stands still or was moved back gives no lifetime below zero.
                let lifetime = Some(event.time.since(record.created).unwrap_or(Duration::ZERO));
                local.emit(book, Event { lifetime, ..event }, 0);
            }
            slot.close();
            local.give_slot(book, slot);
            if record.labelled {
                local.drop_label(book);
            }
        });
    }
}

/// Begins a resource's life, at a level other than Off.
pub(super) fn create(book: &'static Book, level: Level, new: &New<'_>, site: &'static Location<'static>) -> Ticket {
    let context = Context::current();
    if context.is_untracked() {
        return Ticket::EMPTY;
    }
    let bytes = book.believe(new.bytes);
    let created = book.now();
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
            native: new.native,
            extent: new.extent,
            within: new.within,
        };
        slot.open(&record);
        count_creation(book, local, &record);
        if level == Level::Events {
            let took = new.took.map(|took| Duration::from_nanos(nanos(took)));
            let event = event_of(&record, EventKind::Create, 0, created, context);
            local.emit(book, Event { took, ..event }, 0);
        }
        Some(Entry { slot, book })
    });
    Ticket(entry)
}

#[inline]
fn count_creation(book: &Book, local: &mut Local, record: &Record) {
    for row in record.rows() {
        local.shard.rows.row(row).create(record.bytes);
    }
    if record.within.is_none() {
        local.move_live(book, record.bytes, 0);
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

/// The resource's next event, now.
#[inline]
fn resource_event(book: &Book, slot: &Slot, kind: EventKind, context: Context) -> Event {
    event_of(&slot.record(), kind, slot.next_sequence(), book.now(), context)
}

#[inline]
fn event_of(record: &Record, kind: EventKind, sequence: u32, time: Timestamp, context: Context) -> Event {
    Event {
        backend: record.backend,
        resource_kind: Some(record.kind),
        resource: ResourceId::new(record.id),
        native: record.native,
        owner: (!record.owner.is_none()).then_some(record.owner),
        extent: record.extent,
        bytes: Some(record.bytes),
        sequence: Some(sequence),
        suballocation: record.within.is_some(),
        ..bare_event(kind, time, context)
    }
}

/// An event of no resource. The thread is filled in by the ring's owner.
#[inline]
pub(super) fn bare_event(kind: EventKind, time: Timestamp, context: Context) -> Event {
    Event {
        time,
        event: kind,
        backend: super::Backend::Common,
        resource_kind: None,
        resource: None,
        native: None,
        thread: 0,
        owner: (!context.owner().is_none()).then_some(context.owner()),
        packet: (!context.packet().is_none()).then_some(context.packet()),
        lane: (!context.lane().is_none()).then_some(context.lane()),
        extent: None,
        bytes: None,
        sequence: None,
        correlation: None,
        marker: None,
        result: None,
        took: None,
        lifetime: None,
        suballocation: false,
    }
}
