//! The probe and the packet: what a program reports through.

use super::book::Book;
use super::clock::nanos;
use super::event::{EventKind, Mark};
use super::record::EventWords;
use super::submissions::{Origin, Submission};
use super::ticket::{self, Ticket, Touches};
use super::{
    Activity, Announced, Context, Lane, Level, New, OwnerId, OwnerKind, PacketId, PacketResult, ResourceId,
    ResourceKind, Timestamp, budgets, local,
};
use crate::contract::Store;
use std::cell::Cell;
use std::panic::Location;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The hook side of a tracker: a copyable handle that is given to all code that makes resources.
///
/// All methods may be called from any thread, from destructors too; none blocks on a reader for longer than a label's
/// copy takes, none calls back. They must not be called by a global allocator.
#[derive(Clone, Copy)]
pub struct Probe(pub(crate) Option<&'static Book>);

/// Of the same tracker, or both of none.
impl PartialEq for Probe {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Some(one), Some(other)) => std::ptr::eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for Probe {}

impl Probe {
    /// A probe that belongs to no tracker and does nothing.
    pub const OFF: Self = Self(None);

    /// How much is recorded.
    #[inline]
    #[must_use]
    pub fn level(self) -> Level {
        self.0.map_or(Level::Off, Book::level)
    }

    /// Touches are recorded as events, which is a switch apart from the level.
    #[inline]
    #[must_use]
    pub fn touch_lists(self) -> bool {
        self.0.is_some_and(Book::touch_lists)
    }

    /// A resource was created, in the calling thread's [`Context`], by the caller's line of source. The ticket goes where
    /// the resource goes.
    ///
    /// At [`Level::Counters`] this takes one time stamp and, in steady state, no lock and no allocation; a label adds one
    /// uncontended lock, one shared counter and the copy of its bytes.
    #[inline]
    #[track_caller]
    pub fn create(self, new: New<'_>) -> Ticket {
        match self.active() {
            Some((book, level)) => ticket::create(book, level, &new, Location::caller()),
            None => Ticket::EMPTY,
        }
    }

    /// A resource is about to be created, in the calling thread's [`Context`]. If it would leave a soft budget exceeded, the program is asked
    /// to make room first ([`TrackerBuilder::before_over_budget`](crate::tracker::TrackerBuilder::before_over_budget)). Then create it, report
    /// it, and drop what this returns. [`create`](Self::create) announces by itself what was not announced, which is too late for memory that
    /// is taken before it is reported.
    ///
    /// Without a budget and something to call this is two relaxed loads.
    #[inline]
    pub fn announce(self, new: &New<'_>) -> Announced {
        match self.0 {
            Some(book) if self.is_forewarned() => budgets::announce(book, new, Context::current().owner()),
            _ => Announced::NOTHING,
        }
    }

    /// There is a soft budget, and something to call before it is exceeded: [`announce`](Self::announce) does something.
    #[inline]
    #[must_use]
    pub fn is_forewarned(self) -> bool {
        self.0.is_some_and(|book| book.budgets.forewarned() && book.level() != Level::Off)
    }

    /// The owner of that kind and `key`, which is the program's own number for it. Takes a shared lock; keep the id.
    /// Beyond the tracker's limit, or while the level is off, an id that keeps the kind alone or nothing.
    #[must_use]
    pub fn owner(self, kind: OwnerKind, key: u64) -> OwnerId {
        self.intern_owner(kind, key, None)
    }

    /// [`owner`](Self::owner) with a name for people, to 64 bytes; the first name stays.
    #[must_use]
    pub fn owner_named(self, kind: OwnerKind, key: u64, name: &str) -> OwnerId {
        self.intern_owner(kind, key, Some(name))
    }

    /// The owner kind of that name, made if need be, at any level; [`OwnerKind::OTHER`] beyond the limit.
    #[must_use]
    pub fn owner_kind(self, name: &str) -> OwnerKind {
        self.0.map_or(OwnerKind::OTHER, |book| book.owner_kind(name))
    }

    /// The resource kind of that name, made if need be, at any level; [`ResourceKind::OTHER`] beyond the limit.
    #[must_use]
    pub fn kind(self, name: &str) -> ResourceKind {
        self.0.map_or(ResourceKind::OTHER, |book| book.kind(name))
    }

    /// The lane of that name, made if need be, at any level; [`Lane::OTHER`] beyond the limit. Takes a shared lock.
    #[must_use]
    pub fn lane(self, name: &str) -> Lane {
        self.0.map_or(Lane::NONE, |book| book.lane(name))
    }

    /// Notes that `packet` uses the resources that `tell` names, as [`Ticket::touch`] does for each. Their events have one time. For many
    /// at once this is several times faster. `tell` is not called while the level is off, and reports nothing else.
    #[inline]
    pub fn touching(self, packet: PacketId, tell: impl Fn(&mut Touches<'_>)) {
        if let Some((book, level)) = self.active() {
            ticket::touching(book, level, packet, tell);
        }
    }

    /// Queues a packet: a frame on that lane. Without a lane it counts for [`Lane::OTHER`].
    pub fn packet(self, lane: Lane) -> Packet {
        let entry = self.active().and_then(|(book, level)| {
            let (lane, packets) = book.packets(lane)?;
            let now = book.now();
            let id = packets.queue(lane, book.settings.packets, now, book.lives());
            packet_event(book, level, id, now, "packet queued", None);
            Some((book, id))
        });
        Packet(entry)
    }

    /// The number of the program's frame under way: 1 until the first has ended; 0 without a tracker. Whatever has to be told by frame (times
    /// on the GPU, hitches) goes by this one count.
    #[inline]
    #[must_use]
    pub fn frame_number(self) -> u64 {
        self.0.map_or(0, |book| book.frames.load(Ordering::Relaxed) + 1)
    }

    /// The program's frame under way has ended, at any level, and the next begins. Returns the number of the one that ended.
    /// `Vitals::frame` calls this.
    pub fn frame_ended(self) -> u64 {
        self.0.map_or(0, |book| book.frames.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Lists what hands out memory from resources of its own in the lifecycle report, at any level and for as long as it lives: a ring, a
    /// pool. It is asked whenever somebody reads.
    pub fn list(self, store: Weak<dyn Store>) {
        if let Some(book) = self.0 {
            book.stores.list(store);
        }
    }

    /// Bytes were staged for the next submission, by the caller's line of source: they count as unsubmitted until a
    /// [`Mark::Submit`].
    #[inline]
    #[track_caller]
    pub fn staged(self, bytes: u64) {
        let site = Location::caller();
        self.stage(bytes, || (Context::current().owner(), Some(site), None));
    }

    /// The same for bytes that go to a resource, by other code than the caller: the resource is named and the line of source
    /// is not.
    #[inline]
    pub fn staged_into(self, resource: &Ticket, bytes: u64) {
        self.stage(bytes, || {
            let owner = resource.owner().filter(|owner| !owner.is_none());
            (owner.unwrap_or_else(|| Context::current().owner()), None, resource.id())
        });
    }

    #[inline]
    fn stage(self, bytes: u64, by: impl FnOnce() -> (OwnerId, Option<&'static Location<'static>>, Option<ResourceId>)) {
        if let Some((book, _)) = self.active() {
            book.submissions.stage(book.believe(bytes), || {
                let (owner, site, resource) = by();
                (book.now(), Origin { packet: Context::current().packet(), owner, site }, resource)
            });
        }
    }

    /// The present moment by the tracker's clock, for [`New::begun`]; `None` while the level is off.
    #[inline]
    #[must_use]
    pub fn now(self) -> Option<Timestamp> {
        self.active().map(|(book, _)| book.now())
    }

    /// Runs `call` and counts it with the time that it took. While the level is off, and in an [untracked](Context::untracked) context, it
    /// only runs it. `call` may report to the probe; a call that panics is not counted.
    #[inline]
    pub fn timed<R>(self, activity: Activity, call: impl FnOnce() -> R) -> R {
        self.measure(activity, [1, 0], 1, call)
    }

    /// Runs `call`, which uploads so many bytes, and counts it. Calls of 16 KiB and more are timed, and of smaller ones one in eight, at
    /// random, which stands for eight: their time is an estimate that is right on average.
    #[inline]
    pub fn uploading<R>(self, bytes: u64, call: impl FnOnce() -> R) -> R {
        self.measure(Activity::Uploads, [1, bytes], upload_weight(bytes), call)
    }

    /// Runs `call`, which is a part of an upload of so many bytes that [`uploading`](Self::uploading) counts: its time is added to that of
    /// the uploads, and is measured as often.
    #[inline]
    pub fn uploading_in_part<R>(self, bytes: u64, call: impl FnOnce() -> R) -> R {
        self.measure(Activity::Uploads, [0, 0], upload_weight(bytes), call)
    }

    /// The calling thread has waited that long: for room in a staging ring, for the GPU, for another thread.
    pub fn stalled(self, time: Duration) {
        self.spent(Activity::Stalls, [1, 0], nanos(time));
    }

    #[inline]
    fn measure<R>(self, activity: Activity, counted: [u64; 2], weight: u64, call: impl FnOnce() -> R) -> R {
        let Some((book, _)) = self.active() else { return call() };
        if weight == 0 {
            let result = call();
            self.spent(activity, counted, 0);
            return result;
        }
        let begun = book.now();
        let result = call();
        let took = book.now().since(begun).map_or(0, nanos);
        self.spent(activity, counted, took.saturating_mul(weight));
        result
    }

    #[inline]
    fn spent(self, activity: Activity, [calls, bytes]: [u64; 2], nanos: u64) {
        if let Some((book, _)) = self.active()
            && !Context::current().is_untracked()
        {
            let bytes = book.believe(bytes);
            local::with(book, |local| local.shard.efforts.add(activity, calls, bytes, nanos));
        }
    }

    /// Something happened that no ticket tells of, by the caller's line of source.
    #[inline]
    #[track_caller]
    pub fn event(self, mark: Mark<'_>) {
        self.report(mark, Some(Location::caller()));
    }

    /// The same without a line of source: for a layer that reports what other code did.
    #[inline]
    pub fn event_without_site(self, mark: Mark<'_>) {
        self.report(mark, None);
    }

    /// Counts what the mark says, then offers its event. Which mark it is, the caller's code knows when it is compiled.
    #[inline]
    fn report(self, mark: Mark<'_>, site: Option<&'static Location<'static>>) {
        let Some(book) = self.0 else { return };
        let level = book.level();
        match mark {
            // Work submitted before the level went off still ends.
            Mark::Complete { correlation, queue } => complete(book, level, correlation, queue),
            Mark::Abandoned { correlation } => abandon(book, level, correlation),
            _ if level == Level::Off => {}
            Mark::Submit { correlation, queue, command_buffers } => {
                submit(book, level, correlation, queue, command_buffers, site);
            }
            Mark::Present { surface } => present(book, level, surface),
            Mark::ResizeRebuild { target, extent } => target.rebuilt(level, extent),
            Mark::Bind { resource } => resource.tell(level, EventKind::Bind),
            Mark::Unbind { resource } => resource.tell(level, EventKind::Unbind),
            Mark::Marker(name) => marker(book, level, name),
        }
    }

    #[inline]
    fn active(self) -> Option<(&'static Book, Level)> {
        let book = self.0?;
        let level = book.level();
        (level != Level::Off).then_some((book, level))
    }

    fn intern_owner(self, kind: OwnerKind, key: u64, name: Option<&str>) -> OwnerId {
        let Some((book, _)) = self.active() else { return OwnerId::NONE };
        book.owners.intern(kind, key, name).unwrap_or_else(|| {
            super::book::count(&book.overflows.owners);
            OwnerId::of(kind, 0)
        })
    }
}

/// Uploads of so many bytes are all timed.
const LARGE_UPLOAD: u64 = 16 << 10;
/// Of smaller ones one in so many is, a power of two.
const UPLOADS_SAMPLED: u32 = 8;

/// How many uploads of that size one that is timed stands for: 0 for most of the small ones.
#[inline]
fn upload_weight(bytes: u64) -> u64 {
    if bytes >= LARGE_UPLOAD { 1 } else { sampled_weight() }
}

/// How many calls a call stands for: 0 for most.
#[inline]
fn sampled_weight() -> u64 {
    thread_local! {
        static RANDOM: Cell<u32> = const { Cell::new(0x9e37_79b9) };
    }
    // Marsaglia's xorshift: at random, since what a frame writes comes in the same order each time.
    let random = RANDOM.try_with(|random| {
        let mut state = random.get();
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        random.set(state);
        state
    });
    let taken = random.is_ok_and(|random| random % UPLOADS_SAMPLED == 0);
    if taken { UPLOADS_SAMPLED.into() } else { 0 }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("level", &self.level()).finish_non_exhaustive()
    }
}

/// A frame on a lane, from when it is queued to its one result. Dropped without [`finish`](Self::finish), it counts as
/// [`PacketResult::Dropped`].
#[must_use = "a packet that is dropped counts as dropped"]
pub struct Packet(Option<(&'static Book, PacketId)>);

impl Packet {
    /// The packet's id; [`PacketId::NONE`] if it was queued while the level was off.
    #[must_use]
    pub fn id(&self) -> PacketId {
        self.0.map_or(PacketId::NONE, |(_, id)| id)
    }

    /// The calling thread's context with this packet in it.
    #[must_use]
    pub fn context(&self) -> Context {
        let current = Context::current();
        if self.id().is_none() { current } else { current.with_packet(self.id()) }
    }

    /// With the program's own number for the render command that the packet carries out.
    pub fn with_command(self, command: u64) -> Self {
        if let Some((book, id)) = self.0
            && let Some((_, packets)) = book.packets(id.lane())
        {
            packets.command(id, command);
        }
        self
    }

    /// Ends the packet. As presented, that is an [`EventKind::Present`] event.
    pub fn finish(mut self, result: PacketResult) {
        self.end(result);
    }

    fn end(&mut self, result: PacketResult) {
        let Some((book, id)) = self.0.take() else { return };
        let now = book.now();
        if let Some((_, packets)) = book.packets(id.lane()) {
            packets.finish(id, result, now, book.lives());
        }
        packet_event(book, book.level(), id, now, "packet finished", Some(result));
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        self.end(PacketResult::Dropped);
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Packet").field(&self.id()).finish()
    }
}

fn packet_event(
    book: &'static Book,
    level: Level,
    id: PacketId,
    now: Timestamp,
    marker: &str,
    result: Option<PacketResult>,
) {
    if level != Level::Events {
        return;
    }
    let kind = if result == Some(PacketResult::Presented) { EventKind::Present } else { EventKind::Marker };
    let event = EventWords::bare(kind, now, Context::current().with_packet(id)).result(result);
    let event = if kind == EventKind::Marker { event.name(book.marker(marker)) } else { event };
    local::with(book, |local| local.emit(book, event));
}

/// Counts and lists a submission.
fn submit(
    book: &'static Book,
    level: Level,
    correlation: u64,
    queue: Option<&Ticket>,
    command_buffers: &[&Ticket],
    site: Option<&'static Location<'static>>,
) {
    let now = book.now();
    let context = Context::current();
    let packet = context.packet();
    let staged = book.submissions.submit(now);
    book.submissions.list(Submission {
        correlation,
        queue: queue.and_then(Ticket::id),
        by: Origin { packet, owner: context.owner(), site },
        submitted: now,
        ended: None,
        abandoned: false,
        staged,
        command_buffers: u32::try_from(command_buffers.len()).unwrap_or(u32::MAX),
    });
    if !packet.is_none()
        && let Some((_, packets)) = book.packets(packet.lane())
    {
        packets.submit(packet, now);
    }
    report_work(book, level, EventKind::Submit, now, queue, Some(correlation), Some(staged));
    for command_buffer in command_buffers {
        report_work(book, level, EventKind::Bind, now, Some(command_buffer), Some(correlation), None);
    }
}

fn complete(book: &'static Book, level: Level, correlation: u64, queue: Option<&Ticket>) {
    let now = book.now();
    let packet = book.submissions.complete(correlation, queue.and_then(Ticket::id), now);
    work_ended(book, packet, now, true);
    report_work(book, level, EventKind::Complete, now, queue, Some(correlation), None);
}

fn abandon(book: &'static Book, level: Level, correlation: u64) {
    let now = book.now();
    let packet = book.submissions.abandon(correlation, now);
    work_ended(book, packet, now, false);
    if level == Level::Events {
        let marker = book.marker("submission abandoned");
        let event = EventWords::bare(EventKind::Marker, now, Context::current()).name(marker);
        local::with(book, |local| local.emit(book, event.correlation(correlation)));
    }
}

fn present(book: &'static Book, level: Level, surface: Option<&Ticket>) {
    report_work(book, level, EventKind::Present, book.now(), surface, None, None);
}

fn marker(book: &'static Book, level: Level, name: &str) {
    if level == Level::Events {
        let marker = book.marker(name);
        let event = EventWords::bare(EventKind::Marker, book.now(), Context::current()).name(marker);
        local::with(book, |local| local.emit(book, event));
    }
}

fn work_ended(book: &Book, packet: Option<PacketId>, now: Timestamp, completed: bool) {
    if let Some(packet) = packet
        && let Some((_, packets)) = book.packets(packet.lane())
    {
        packets.work_ended(packet, now, completed);
    }
}

fn report_work(
    book: &'static Book,
    level: Level,
    kind: EventKind,
    now: Timestamp,
    resource: Option<&Ticket>,
    correlation: Option<u64>,
    bytes: Option<u64>,
) {
    if level != Level::Events {
        return;
    }
    let event = resource
        .and_then(|ticket| ticket.event(book, kind, now))
        .unwrap_or_else(|| EventWords::bare(kind, now, Context::current()))
        .bytes(bytes);
    let event = correlation.map_or(event, |correlation| event.correlation(correlation));
    local::with(book, |local| local.emit(book, event));
}
