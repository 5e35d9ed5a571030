//! The same calls without telemetry: nothing is stored, nothing is done.

use super::{
    Activity, Extent, Lane, Level, Mark, New, OwnerId, OwnerKind, PacketId, PacketResult, ResourceId, ResourceKind,
    Timestamp,
};
use crate::contract::Store;
use std::marker::PhantomData;
use std::sync::Weak;
use std::time::Duration;

/// Touches of many resources by one packet; there are none.
#[derive(Debug)]
pub struct Touches<'a>(PhantomData<&'a ()>);

impl Touches<'_> {
    /// Nothing.
    #[inline(always)]
    pub fn touch(&mut self, _ticket: &Ticket) {}
}

/// The hook side of a tracker. Without the feature `telemetry` it does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe(());

impl Probe {
    /// A probe that does nothing.
    pub const OFF: Self = Self(());

    /// [`Level::Off`].
    #[inline(always)]
    #[must_use]
    pub fn level(self) -> Level {
        Level::Off
    }

    /// Never.
    #[inline(always)]
    #[must_use]
    pub fn touch_lists(self) -> bool {
        false
    }

    /// An empty ticket.
    #[inline(always)]
    pub fn create(self, _new: New<'_>) -> Ticket {
        Ticket(())
    }

    /// Nothing.
    #[inline(always)]
    pub fn announce(self, _new: &New<'_>) -> Announced {
        Announced(PhantomData)
    }

    /// Never.
    #[inline(always)]
    #[must_use]
    pub fn is_forewarned(self) -> bool {
        false
    }

    /// No owner.
    #[inline(always)]
    #[must_use]
    pub fn owner(self, _kind: OwnerKind, _key: u64) -> OwnerId {
        OwnerId::NONE
    }

    /// No owner.
    #[inline(always)]
    #[must_use]
    pub fn owner_named(self, _kind: OwnerKind, _key: u64, _name: &str) -> OwnerId {
        OwnerId::NONE
    }

    /// [`OwnerKind::OTHER`].
    #[inline(always)]
    #[must_use]
    pub fn owner_kind(self, _name: &str) -> OwnerKind {
        OwnerKind::OTHER
    }

    /// [`ResourceKind::OTHER`].
    #[inline(always)]
    #[must_use]
    pub fn kind(self, _name: &str) -> ResourceKind {
        ResourceKind::OTHER
    }

    /// No lane.
    #[inline(always)]
    #[must_use]
    pub fn lane(self, _name: &str) -> Lane {
        Lane::NONE
    }

    /// `tell` is not called.
    #[inline(always)]
    pub fn touching(self, _packet: PacketId, _tell: impl Fn(&mut Touches<'_>)) {}

    /// An empty packet.
    #[inline(always)]
    pub fn packet(self, _lane: Lane) -> Packet {
        Packet(())
    }

    /// 0.
    #[inline(always)]
    #[must_use]
    pub fn frame_number(self) -> u64 {
        0
    }

    /// 0.
    #[inline(always)]
    pub fn frame_ended(self) -> u64 {
        0
    }

    /// Nothing.
    #[inline(always)]
    pub fn list(self, _store: Weak<dyn Store>) {}

    /// Nothing.
    #[inline(always)]
    pub fn staged(self, _bytes: u64) {}

    /// Nothing.
    #[inline(always)]
    pub fn staged_into(self, _resource: &Ticket, _bytes: u64) {}

    /// `None`.
    #[inline(always)]
    #[must_use]
    pub fn now(self) -> Option<Timestamp> {
        None
    }

    /// Runs `call`.
    #[inline(always)]
    pub fn timed<R>(self, _activity: Activity, call: impl FnOnce() -> R) -> R {
        call()
    }

    /// Runs `call`.
    #[inline(always)]
    pub fn uploading<R>(self, _bytes: u64, call: impl FnOnce() -> R) -> R {
        call()
    }

    /// Runs `call`.
    #[inline(always)]
    pub fn uploading_in_part<R>(self, _bytes: u64, call: impl FnOnce() -> R) -> R {
        call()
    }

    /// Nothing.
    #[inline(always)]
    pub fn stalled(self, _time: Duration) {}

    /// Nothing.
    #[inline(always)]
    pub fn event(self, _mark: Mark<'_>) {}

    /// Nothing.
    #[inline(always)]
    pub fn event_without_site(self, _mark: Mark<'_>) {}
}

/// The unit of truth of one resource. Without the feature `telemetry` it is empty.
#[derive(Debug)]
#[must_use = "dropping the ticket releases the resource"]
pub struct Ticket(());

impl Ticket {
    /// A ticket of nothing.
    pub const EMPTY: Self = Self(());

    /// No id.
    #[inline(always)]
    #[must_use]
    pub fn id(&self) -> Option<ResourceId> {
        None
    }

    /// Nothing.
    #[inline(always)]
    pub fn touch(&self, _packet: PacketId) {}

    /// Nothing.
    #[inline(always)]
    pub fn resize(&mut self, _bytes: u64) {}

    /// Nothing.
    #[inline(always)]
    pub fn resize_to(&mut self, _bytes: u64, _extent: Extent) {}

    /// Nothing.
    #[inline(always)]
    pub fn moved_within(&mut self, _block: ResourceId) {}

    /// Nothing.
    #[inline(always)]
    pub fn handle_dropped(&self) {}

    /// Nothing.
    #[inline(always)]
    pub fn destroyed(&self) {}

    /// Nothing.
    #[inline(always)]
    pub fn freed(&self) {}

    /// Nothing.
    #[inline(always)]
    pub fn reused(&self) {}

    /// Nothing.
    #[inline(always)]
    pub fn resize_requested(&self) {}
}

/// A frame on a lane. Without the feature `telemetry` it is empty.
#[derive(Debug)]
#[must_use = "a packet that is dropped counts as dropped"]
pub struct Packet(());

impl Packet {
    /// [`PacketId::NONE`].
    #[inline(always)]
    #[must_use]
    pub fn id(&self) -> PacketId {
        PacketId::NONE
    }

    /// [`Context::NONE`].
    #[inline(always)]
    #[must_use]
    pub fn context(&self) -> Context {
        Context::NONE
    }

    /// The same packet.
    #[inline(always)]
    pub fn with_command(self, _command: u64) -> Self {
        self
    }

    /// Nothing.
    #[inline(always)]
    pub fn finish(self, _result: PacketResult) {}
}

/// Owner, lane and packet. Without the feature `telemetry` it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context(());

impl Context {
    /// No owner, lane or packet.
    pub const NONE: Self = Self(());

    /// [`Context::NONE`].
    #[inline(always)]
    #[must_use]
    pub fn current() -> Self {
        Self::NONE
    }

    /// [`Context::NONE`].
    #[inline(always)]
    #[must_use]
    pub fn with_owner(self, _owner: OwnerId) -> Self {
        self
    }

    /// [`Context::NONE`].
    #[inline(always)]
    #[must_use]
    pub fn with_lane(self, _lane: Lane) -> Self {
        self
    }

    /// [`Context::NONE`].
    #[inline(always)]
    #[must_use]
    pub fn with_packet(self, _packet: PacketId) -> Self {
        self
    }

    /// [`Context::NONE`].
    #[inline(always)]
    #[must_use]
    pub fn untracked(self) -> Self {
        self
    }

    /// Always.
    #[inline(always)]
    #[must_use]
    pub fn is_untracked(&self) -> bool {
        true
    }

    /// No owner.
    #[inline(always)]
    #[must_use]
    pub fn owner(&self) -> OwnerId {
        OwnerId::NONE
    }

    /// No lane.
    #[inline(always)]
    #[must_use]
    pub fn lane(&self) -> Lane {
        Lane::NONE
    }

    /// No packet.
    #[inline(always)]
    #[must_use]
    pub fn packet(&self) -> PacketId {
        PacketId::NONE
    }

    /// Nothing.
    #[inline(always)]
    pub fn make_current(self) {}

    /// A guard of nothing.
    #[inline(always)]
    #[must_use = "the context ends when the guard is dropped"]
    pub fn enter(self) -> ContextGuard {
        ContextGuard(PhantomData)
    }
}

/// Ends a context. Stays on its thread, as with telemetry:
///
/// ```compile_fail,E0277
/// let guard = engine_vitals_core::probe::Context::current().enter();
/// std::thread::spawn(move || drop(guard));
/// ```
#[derive(Debug)]
pub struct ContextGuard(PhantomData<*const ()>);

// A guard means something when it is dropped, here as there.
impl Drop for ContextGuard {
    #[inline(always)]
    fn drop(&mut self) {}
}

/// A creation that was announced. Stays on its thread, as with telemetry:
///
/// ```compile_fail,E0277
/// # use engine_vitals_core::probe::{New, Probe};
/// let announced = Probe::OFF.announce(&New::buffer(1));
/// std::thread::spawn(move || drop(announced));
/// ```
#[derive(Debug)]
#[must_use = "the announcement ends when it is dropped"]
pub struct Announced(PhantomData<*const ()>);

// It means something when it is dropped, here as there.
impl Drop for Announced {
    #[inline(always)]
    fn drop(&mut self) {}
}

impl Drop for Ticket {
    #[inline(always)]
    fn drop(&mut self) {}
}

impl Drop for Packet {
    #[inline(always)]
    fn drop(&mut self) {}
}
