//! In whose name the calling thread works: owner, lane and packet, which what it creates takes over.

use super::{Lane, OwnerId, PacketId};
use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    // Without a destructor, so that it is there for as long as the thread is.
    static CURRENT: Cell<Context> = const { Cell::new(Context::NONE) };
}

/// Owner, lane and packet. Copy it to hand work to another thread, and [`enter`](Self::enter) it there.
///
/// The ids in it are those of one tracker. A program with several trackers enters a context per tracker around the calls
/// to that tracker's probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    owner: OwnerId,
    lane: Lane,
    packet: PacketId,
    untracked: bool,
}

impl Context {
    /// No owner, lane or packet: what a thread starts with.
    pub const NONE: Self = Self { owner: OwnerId::NONE, lane: Lane::NONE, packet: PacketId::NONE, untracked: false };

    /// The calling thread's context.
    #[must_use]
    #[inline]
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// With that owner.
    #[must_use]
    pub fn with_owner(self, owner: OwnerId) -> Self {
        Self { owner, ..self }
    }

    /// With that lane, and no packet.
    #[must_use]
    pub fn with_lane(self, lane: Lane) -> Self {
        Self { lane, packet: PacketId::NONE, ..self }
    }

    /// With that packet and its lane.
    #[must_use]
    #[inline]
    pub fn with_packet(self, packet: PacketId) -> Self {
        Self { lane: packet.lane(), packet, ..self }
    }

    /// Where what is created gets an empty ticket: for a tool's own resources, which are none of the program's.
    #[must_use]
    pub fn untracked(self) -> Self {
        Self { untracked: true, ..self }
    }

    /// What is created here gets an empty ticket.
    #[must_use]
    pub fn is_untracked(&self) -> bool {
        self.untracked
    }

    /// The owner.
    #[must_use]
    #[inline]
    pub fn owner(&self) -> OwnerId {
        self.owner
    }

    /// The lane.
    #[must_use]
    #[inline]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The packet.
    #[must_use]
    #[inline]
    pub fn packet(&self) -> PacketId {
        self.packet
    }

    /// Makes this the calling thread's context for good, or until the guard of an [`enter`](Self::enter) around it is dropped. Lane
    /// and packet outlive a guard that had not changed them.
    pub fn make_current(self) {
        CURRENT.set(self);
    }

    /// Makes this the calling thread's context until the guard is dropped, which brings the one before back. If both have the same
    /// packet, one that [became current](Self::make_current) meanwhile stays: a frame may end in an owner's name. Guards are dropped in
    /// the reverse order of their making; another order leaves the context of the last guard dropped.
    #[must_use = "the context ends when the guard is dropped"]
    pub fn enter(self) -> ContextGuard {
        let before = CURRENT.replace(self);
        let same_packet = (before.lane, before.packet) == (self.lane, self.packet);
        ContextGuard { before, same_packet, here: PhantomData }
    }
}

/// Brings the context before [`Context::enter`] back when it is dropped. Stays on its thread:
///
/// ```compile_fail,E0277
/// let guard = engine_vitals_core::probe::Context::current().enter();
/// std::thread::spawn(move || drop(guard));
/// ```
#[derive(Debug)]
pub struct ContextGuard {
    before: Context,
    same_packet: bool,
    here: PhantomData<*const ()>,
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        let Context { lane, packet, .. } = if self.same_packet { CURRENT.get() } else { self.before };
        CURRENT.set(Context { lane, packet, ..self.before });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::OwnerKind;

    #[test]
    fn what_is_made_untracked_has_an_empty_ticket_and_counts_nowhere() {
        let tracker = crate::tracker::Tracker::new();
        let make = || tracker.probe().create(crate::probe::New::buffer(8));
        let guard = Context::current().untracked().enter();
        assert!(Context::current().is_untracked());
        assert_eq!(make().id(), None);
        drop(guard);
        assert!(make().id().is_some());
        assert_eq!(tracker.totals().device().created, 1);
    }

    #[test]
    fn a_packet_that_becomes_current_under_an_owner_s_guard_stays_and_under_a_packet_s_does_not() {
        let owner = OwnerId::of(OwnerKind::TRANSIENT, 3);
        let [first, second, other] = [1, 2, 7].map(|number| PacketId::of(Lane::OTHER, number));
        Context::NONE.with_packet(first).make_current();
        {
            let _owned = Context::current().with_owner(owner).enter();
            let _nested = Context::current().with_owner(OwnerId::NONE).enter();
            Context::current().with_packet(second).make_current();
        }
        assert_eq!(Context::current(), Context::NONE.with_packet(second));
        {
            let _working = Context::current().with_packet(other).enter();
            Context::current().with_packet(first).make_current();
        }
        assert_eq!(Context::current(), Context::NONE.with_packet(second));
        Context::NONE.make_current();
    }

    #[test]
    fn contexts_nest_and_travel_by_value() {
        let owner = OwnerId::of(OwnerKind::TRANSIENT, 3);
        let packet = PacketId::of(Lane::OTHER, 9);
        let outer = Context::current().with_owner(owner).enter();
        {
            let _inner = Context::current().with_packet(packet).enter();
            let here = Context::current();
            assert_eq!((here.owner(), here.lane(), here.packet()), (owner, Lane::OTHER, packet));
            let there = std::thread::spawn(move || {
                assert_eq!(Context::current(), Context::NONE);
                let _guard = here.enter();
                Context::current()
            });
            assert_eq!(there.join().unwrap(), here);
        }
        assert_eq!((Context::current().owner(), Context::current().packet()), (owner, PacketId::NONE));
        drop(outer);
        assert_eq!(Context::current(), Context::NONE);
    }
}
