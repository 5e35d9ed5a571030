//! What all objects of one wrapped instance share, and what all objects of one device share.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use engine_vitals_core::contract::Histogram;
use engine_vitals_core::probe::{
    Announced, Backend, Context, Extent, Level, Mark, New, OwnerId, Probe, ResourceId, ResourceKind, Ticket,
};
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::backtraces::Backtraces;
use super::errors::Errors;
use super::handles::{Handle, Tracked};
use super::instrumentation::DeviceHook;
use super::native;
use super::record::{Extras, Held, Holds, Record, Touched};
use super::rules::Rules;
use super::shortage::{Listeners, UnderWay};
use super::targets::{self, Targets};
use crate::gpu::pass_timer::PassTiming;
use crate::gpu::{Submissions, probe_backend};

/// What all objects of one instrumentation share.
pub(super) struct World {
    pub(super) probe: Probe,
    pub(super) rules: Rules,
    pub(super) backtraces: Backtraces,
    pub(super) targets: Targets,
    /// Devices get the adapter's timestamp features.
    pub(super) timestamps: bool,
    /// The API's own handles are told, where they are to be had.
    pub(super) native_handles: bool,
    pub(super) latencies: Option<Arc<Histogram>>,
    /// Whether and where to the time of passes is told.
    pub(super) passes: Arc<PassTiming>,
    pub(super) on_device: Option<DeviceHook>,
    /// Who is told when memory runs out.
    pub(super) shortages: Arc<Listeners>,
    #[cfg(feature = "fault")]
    pub(super) faults: Option<super::fault::FaultPlan>,
    /// The numbers of the surfaces that there are, which name their lanes.
    pub(super) surfaces: Mutex<BTreeSet<u32>>,
    /// Frames of surfaces that have ended.
    pub(super) frames: AtomicU64,
}

impl World {
    /// Begins the life of an object, if it is to be tracked.
    pub(super) fn track(self: &Arc<Self>, new: New<'_>, holds: Vec<Arc<Record>>, target: Option<u64>) -> Held {
        if self.probe.level() == Level::Off || !self.rules.admit(new.kind, new.label) {
            return Held::new(Ticket::EMPTY, holds, None);
        }
        let mut new = new.without_site();
        let context = Context::current();
        let owner = self.rules.owner(new.label).filter(|_| context.owner().is_none());
        let labelled = self.rules.limit_label(&mut new);
        let owned = owner.map(|owner| context.with_owner(owner).enter());
        // A recorded list refers to all that it uses: its touches tell that.
        let listed = matches!(new.kind, ResourceKind::COMMAND_BUFFER | ResourceKind::RENDER_BUNDLE);
        let links: SmallVec<[ResourceId; 8]> =
            holds.iter().filter(|_| !listed).filter_map(|held| held.ticket().id()).collect();
        let ticket = self.probe.create(new.links(&links));
        drop(owned);
        let id = ticket.id();
        if id.is_none() {
            // Untracked, or there was no room.
            self.rules.released(labelled);
        }
        let labelled = labelled && id.is_some();
        let backtrace = id.is_some_and(|id| self.backtraces.sample(id));
        let parts = Mutex::default();
        let extras = (labelled || backtrace || target.is_some() || new.kind == ResourceKind::TLAS)
            .then(|| Box::new(Extras { world: Arc::clone(self), labelled, backtrace, target, parts }));
        Held::new(ticket, holds, extras)
    }

    /// The program may make room before something so large is made; what this returns is kept until it is.
    pub(super) fn announce(&self, new: &New<'_>) -> Option<Announced> {
        if !self.probe.is_forewarned() || !self.rules.admit(new.kind, new.label) {
            return None;
        }
        let owner = self.owner(new.label);
        let _owned = Context::current().with_owner(owner).enter();
        Some(self.probe.announce(new))
    }

    /// With the API's own handle, if that is wanted and to be had; without bytes, if there is none because the creation failed.
    pub(super) fn native<'a>(&self, new: New<'a>, handle: impl FnOnce() -> Option<u64>) -> New<'a> {
        let wanted = self.native_handles && self.probe.level() != Level::Off;
        match wanted.then(handle).flatten() {
            Some(handle) => new.native(handle),
            None if wanted && native::tells(new.backend) => failed(new),
            None => new,
        }
    }

    /// The owner under which such a target would be tracked.
    fn owner(&self, label: Option<&str>) -> OwnerId {
        let owner = Context::current().owner();
        if owner.is_none() { self.rules.owner(label).unwrap_or(owner) } else { owner }
    }

    /// Begins the life of a texture.
    pub(super) fn track_texture(self: &Arc<Self>, new: New<'_>, descriptor: &wgpu::TextureDescriptor<'_>) -> Held {
        if self.probe.level() == Level::Off || !descriptor.usage.contains(wgpu::TextureUsages::RENDER_ATTACHMENT) {
            return self.track(new, Vec::new(), None);
        }
        let key = Targets::key(self.owner(descriptor.label), descriptor);
        let record = self.track(new, Vec::new(), Some(key));
        let extent = new.extent.unwrap_or(Extent::new(0, 0));
        if let Some(rebuilt) = record.record().and_then(|record| self.targets.enter(key, record, extent)) {
            targets::report_rebuild(self.probe, &rebuilt);
        }
        record
    }

    /// A name for people becomes a marker among the events.
    pub(super) fn mark(&self, name: &str) {
        self.probe.event(Mark::Marker(name));
    }
}

/// An object whose creation failed has no memory.
pub(super) fn failed(mut new: New<'_>) -> New<'_> {
    new.bytes = 0;
    new
}

impl fmt::Debug for World {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("World").field("probe", &self.probe).field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// What all objects of one device share. It holds none of wgpu's objects: a resource must not keep its device's handle.
#[derive(Debug)]
pub(super) struct DeviceState {
    pub(super) world: Arc<World>,
    pub(super) backend: Backend,
    pub(super) errors: Arc<Errors>,
    pub(super) submissions: Submissions,
    pub(super) submitted: Mutex<Submitted>,
    /// What writes of the queue use that no submission has taken with it yet.
    pub(super) writes: Mutex<Touched>,
    /// The device's own, which all of its objects keep.
    _record: Option<Arc<Record>>,
    #[cfg(feature = "fault")]
    pub(super) faults: Option<super::fault::DeviceFaults>,
}

impl DeviceState {
    pub(super) fn new(world: Arc<World>, real: &wgpu::Device, device: &Held) -> Arc<Self> {
        let submissions = Submissions::new(world.probe);
        let submissions = match &world.latencies {
            Some(latencies) => submissions.with_latencies(Arc::clone(latencies)),
            None => submissions,
        };
        Arc::new(Self {
            #[cfg(feature = "fault")]
            faults: world.faults.as_ref().map(|plan| super::fault::DeviceFaults::new(plan, real)),
            _record: device.record().cloned(),
            backend: probe_backend(real.adapter_info().backend),
            errors: Errors::new(Arc::clone(&world.shortages)),
            submissions,
            submitted: Mutex::default(),
            writes: Mutex::new(Touched::new()),
            world,
        })
    }

    /// A new object of this device around a real one.
    pub(super) fn tracked<T>(self: &Arc<Self>, real: T, new: New<'_>, holds: Holds) -> Tracked<T> {
        let record = self.world.track(new.backend(self.backend), holds.into_vec(), None);
        Tracked { real, record, device: Arc::clone(self) }
    }

    /// The creation of an object that takes memory begins: the program may make room for it now.
    pub(super) fn begin(&self, new: &New<'_>) -> Making {
        // Announced first: what the program creates to make room is another creation.
        let announced = self.world.announce(new);
        Making { _announced: announced, under_way: UnderWay::begins(new) }
    }

    /// Makes the object. It has no bytes if there was no memory for it.
    pub(super) fn make<'a, R>(
        &self,
        making: Option<&Making>,
        real: &wgpu::Device,
        new: New<'a>,
        make: impl FnOnce() -> R,
    ) -> (R, New<'a>) {
        let Some(Making { under_way, .. }) = making else { return (make(), new) };
        let made = self.errors.watching(real, make);
        (made, if under_way.failed() { failed(new) } else { new })
    }

    /// So many bytes go to what has that record with the next submission, which keeps it until then.
    pub(super) fn staged(&self, held: &Held, bytes: u64) {
        match held.record() {
            Some(record) => self.world.probe.staged_into(record.ticket(), bytes),
            None => self.world.probe.staged_into(&Ticket::EMPTY, bytes),
        }
        self.writes.lock().add(held);
    }

    /// The queue is gone, and with it the writes that no submission took.
    pub(super) fn queue_dropped(&self) {
        let left = std::mem::replace(&mut *self.writes.lock(), Touched::new());
        // Outside the lock: what only a write kept ends here.
        drop(left);
        self.free_destroyed();
    }

    /// The program destroys the object. Its memory is free when nothing that was submitted or written uses it.
    pub(super) fn destroy(&self, held: &Held) {
        let Some(record) = held.record() else { return };
        record.destroyed();
        let writes = self.writes.lock();
        let mut submitted = self.submitted.lock();
        if submitted.uses(&writes, record) {
            submitted.destroyed.push(Arc::clone(record));
        } else {
            record.freed();
        }
    }

    /// A submission of these commands is about to be made, and takes with it all that was written before. Returns what it uses.
    pub(super) fn starts(&self, mut commands: Touched) -> Arc<Used> {
        // Under both locks, so that what it uses is at no moment in no use.
        let mut writes = self.writes.lock();
        let mut submitted = self.submitted.lock();
        commands.built();
        commands.append(std::mem::replace(&mut *writes, Touched::new()));
        let used = Arc::new(Used::new(commands.into_records()));
        submitted.starting.push(Arc::clone(&used));
        used
    }

    /// A submission has ended, or could not be made.
    pub(super) fn ended(&self, number: u64, used: &Arc<Used>) {
        let waiting = {
            let mut submitted = self.submitted.lock();
            submitted.started(used);
            submitted.ended(number);
            !submitted.destroyed.is_empty()
        };
        if waiting {
            self.free_destroyed();
        }
    }

    /// Frees what was destroyed and is in no use any more.
    fn free_destroyed(&self) {
        let writes = self.writes.lock();
        let mut submitted = self.submitted.lock();
        let mut destroyed = std::mem::take(&mut submitted.destroyed);
        destroyed.retain(|record| {
            let used = submitted.uses(&writes, record);
            if !used {
                record.freed();
            }
            used
        });
        submitted.destroyed = destroyed;
    }

    /// The object behind a handle, if it is one of this instance's. If not, an error is reported that says so.
    #[inline(always)]
    pub(super) fn own<'a, H: Handle>(&self, handle: &'a H, call: &'static str) -> Option<&'a Tracked<H::Real>> {
        match handle.tracked() {
            Some(tracked) if std::ptr::eq(&*tracked.device, self) => Some(tracked),
            // Another device of this instance: wgpu says what it thinks of that.
            Some(tracked) if Arc::ptr_eq(&tracked.device.world, &self.world) => Some(tracked),
            _ => self.foreign(H::WHAT, call),
        }
    }

    #[cold]
    fn foreign<T>(&self, what: &'static str, call: &'static str) -> Option<T> {
        self.errors.foreign(what, call);
        None
    }
}

/// A creation under way, until it is tracked.
#[derive(Debug)]
pub(super) struct Making {
    _announced: Option<Announced>,
    under_way: UnderWay,
}

/// The submissions of a device, by the numbers that the program knows.
#[derive(Debug, Default)]
pub(super) struct Submitted {
    last: u64,
    /// What submissions use that are being made.
    starting: Vec<Arc<Used>>,
    in_flight: BTreeMap<u64, InFlight>,
    /// The newest that is complete.
    done: Option<(u64, wgpu::SubmissionIndex)>,
    /// Destroyed, and in use still.
    destroyed: Vec<Arc<Record>>,
}

#[derive(Debug)]
struct InFlight {
    index: wgpu::SubmissionIndex,
    used: Arc<Used>,
}

/// What a submission uses, until it is done.
#[derive(Debug)]
pub(super) struct Used {
    records: Vec<Arc<Record>>,
    /// The addresses of these and of all that they keep, from when somebody first asks.
    all: OnceLock<HashSet<usize>>,
}

impl Used {
    fn new(records: Vec<Arc<Record>>) -> Self {
        Self { records, all: OnceLock::new() }
    }

    pub(super) fn records(&self) -> &[Arc<Record>] {
        &self.records
    }

    fn has(&self, record: &Record) -> bool {
        let all = self.all.get_or_init(|| {
            let mut all = HashSet::new();
            for record in &self.records {
                record.walk(&mut |record| all.insert(std::ptr::from_ref(record).addr()));
            }
            all
        });
        all.contains(&std::ptr::from_ref(record).addr())
    }
}

/// What a number of the program's stands for.
#[derive(Debug)]
pub(super) enum Found {
    /// That submission, or, if it is complete, the newest that is.
    Index(wgpu::SubmissionIndex),
    /// Never given out; with the newest that was.
    Unknown(u64),
}

impl Submitted {
    /// Work was submitted under that number.
    pub(super) fn submitted(&mut self, number: u64, index: wgpu::SubmissionIndex, used: Arc<Used>) {
        self.started(&used);
        self.last = self.last.max(number);
        self.in_flight.insert(number, InFlight { index, used });
    }

    /// Something submitted or written uses the object of that record.
    fn uses(&self, writes: &Touched, record: &Record) -> bool {
        writes.records().iter().any(|written| written.uses(record))
            || self.starting.iter().any(|used| used.has(record))
            || self.in_flight.values().any(|submission| submission.used.has(record))
    }

    /// A submission that uses these is no longer being made.
    fn started(&mut self, used: &Arc<Used>) {
        self.starting.retain(|starting| !Arc::ptr_eq(starting, used));
    }

    /// The work of a number is done, or lost.
    fn ended(&mut self, number: u64) {
        if let Some(InFlight { index, .. }) = self.in_flight.remove(&number)
            && self.done.as_ref().is_none_or(|(done, _)| *done < number)
        {
            self.done = Some((number, index));
        }
    }

    /// The newest.
    #[cfg(feature = "fault")]
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The real index of a number.
    pub(super) fn find(&self, number: u64) -> Found {
        let done = || self.done.as_ref().filter(|(done, _)| number <= *done).map(|(_, index)| index);
        let index = self.in_flight.get(&number).map(|submission| &submission.index).or_else(done);
        index.cloned().map_or(Found::Unknown(self.last), Found::Index)
    }
}

/// Numbers that no two objects of the process share.
pub(super) fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
