//! Touches of many resources at once.

use super::misuse::check_use;
use super::{Entry, Ticket, event_of};
use crate::probe::book::Book;
use crate::probe::event::EventKind;
use crate::probe::local::{self, Local};
use crate::probe::{Context, Level, PacketId, Timestamp};

/// Touches of many resources by one packet at one moment, as [`Probe::touching`](crate::probe::Probe::touching) hands it out.
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
        let Some(Entry { slot, book }) = ticket.0 else { return };
        if !std::ptr::eq(book, self.book) {
            ticket.touch(self.packet);
        } else if slot.touch(self.packet) {
            check_use(book, slot, self.packet);
            if let Some((local, time, context)) = &mut self.events {
                local.emit_next(book, slot, event_of(slot, EventKind::Bind, *time, *context));
            }
        }
    }
}

impl std::fmt::Debug for Touches<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Touches").field("packet", &self.packet).finish_non_exhaustive()
    }
}

/// Touches by one packet, at a level other than Off.
pub(in crate::probe) fn touching(book: &'static Book, level: Level, packet: PacketId, tell: impl Fn(&mut Touches<'_>)) {
    if level != Level::Events || !book.touch_lists() {
        return tell(&mut Touches { book, packet, events: None });
    }
    let (time, context) = (book.now(), Context::current().with_packet(packet));
    local::with(book, |local| tell(&mut Touches { book, packet, events: Some((local, time, context)) }));
}
