//! Resources that are used after their destruction, or destroyed while they are used.

use super::Entry;
use crate::probe::PacketId;
use crate::probe::book::Book;
use crate::probe::chronicle::Misused;
use crate::probe::slot::{DESTROYED, Slot};
use std::panic::Location;

impl Entry {
    /// The resource is about to go: while a packet that has touched it is open, that is a misuse.
    pub(super) fn check_end(self, at: Option<&'static Location<'static>>) -> Option<Refusal> {
        let Self { slot, book } = self;
        let packet = slot.last_packet();
        let open = !packet.is_none() && book.packets(packet.lane()).is_some_and(|(_, packets)| packets.is_open(packet));
        if open { misuse(book, slot, false, packet, at) } else { None }
    }
}

/// A packet is about to use the resource: after its destruction, that is a misuse.
#[inline]
pub(super) fn check_use(book: &'static Book, slot: &'static Slot, packet: PacketId) {
    if slot.state() & DESTROYED != 0 {
        insist(misuse(book, slot, true, packet, None));
    }
}

/// What a program that asked for it panics with.
pub(super) type Refusal = String;

/// Writes a misuse down.
#[cold]
fn misuse(
    book: &'static Book,
    slot: &'static Slot,
    after_destroy: bool,
    packet: PacketId,
    at: Option<&'static Location<'static>>,
) -> Option<Refusal> {
    let record = slot.record();
    let label = if record.labelled { slot.label() } else { None };
    let at = at.filter(|_| record.site != 0);
    let refusal = book.settings.panic_on_misuse.then(|| {
        let what = if after_destroy { "used after it was destroyed" } else { "destroyed while it was in use" };
        let site = book.sites.get(record.site).map(|site| format!(", made at {site}")).unwrap_or_default();
        let (kind, id, label) = (record.kind.name(), record.id, label.as_deref().unwrap_or("without a label"));
        format!("engine-vitals: {kind} {label:?} (resource {id}{site}) was {what}, by packet {}", packet.number())
    });
    book.chronicle.misuse(Misused { after_destroy, time: book.now(), record, label, packet, at });
    refusal
}

/// Panics over a misuse, where that is asked for.
#[expect(clippy::panic, reason = "only for who asked for it")]
pub(super) fn insist(refusal: Option<Refusal>) {
    if let Some(refusal) = refusal
        && !std::thread::panicking()
    {
        panic!("{refusal}");
    }
}
