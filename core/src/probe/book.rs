//! The book: all state of one tracker that producers write and readers read. It is leaked, and stays reachable.

use super::budgets::{Before, Budgets};
use super::chronicle::Chronicle;
use super::clock::Clock;
use super::lifetimes::BurstLog;
use super::local::{ID_BLOCK, Local, Shard};
use super::packets::Packets;
use super::slots::Slots;
use super::stores::Stores;
use super::submissions::Submissions;
use super::tables::{Names, Owners, Sites};
use super::{Lane, Level, OwnerKind, ResourceKind, SoftBudget, Timestamp};
use crate::memory::HeapTag;
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::ops::Range;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// Most bytes of one resource that are believed.
pub(crate) const MAX_BYTES: u64 = 1 << 48;
/// Marker names that are kept.
pub(crate) const MAX_MARKERS: usize = 1024;
/// Different labels that events carry.
pub(crate) const MAX_EVENT_LABELS: usize = 4096;

/// A thread takes at most this part of the room for labels at a time, and at most [`MAX_LABEL_BLOCK`].
const LABEL_SHARE: usize = 1024;
const MAX_LABEL_BLOCK: usize = 64;

/// Every book there is: a tracker's book outlives it, since probes and tickets are handed out for the life of the program.
static BOOKS: Mutex<Vec<&'static Book>> = Mutex::new(Vec::new());

/// What a tracker is built with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) level: Level,
    pub(crate) ring_capacity: usize,
    pub(crate) resources: usize,
    pub(crate) owners: usize,
    pub(crate) lanes: usize,
    pub(crate) labels: usize,
    pub(crate) user_kinds: usize,
    /// Packets kept of each lane.
    pub(crate) packets: usize,
    /// A life of fewer packets, or of less time, is short.
    pub(crate) short_packets: u64,
    pub(crate) short_nanos: u64,
    /// Kinds whose lives are written down, a bit each.
    pub(crate) followed: u64,
    /// Kinds that every frame makes by its nature, a bit each.
    pub(crate) passing: u64,
    pub(crate) panic_on_misuse: bool,
    pub(crate) clock: Clock,
    /// Set when the book is opened.
    pub(crate) budgets: Vec<SoftBudget>,
    /// Asked from when the book is opened.
    pub(crate) before: Option<Before>,
}

/// One tracker's state.
#[derive(Debug)]
pub(crate) struct Book {
    level: AtomicU8,
    touch_lists: AtomicBool,
    pub(crate) budgets: Budgets,
    pub(crate) settings: Settings,
    /// When the level last left Off.
    tracked_since: AtomicU64,
    pub(crate) slots: Slots,
    pub(crate) owners: Owners,
    pub(crate) lane_names: Names,
    pub(crate) lanes: Box<[Packets]>,
    pub(crate) markers: Names,
    pub(crate) event_labels: Names,
    pub(crate) sites: Sites,
    shards: RwLock<Vec<&'static Shard>>,
    idle: Mutex<Vec<Local>>,
    shared: Mutex<Local>,
    admitted_kinds: Admitted,
    admitted_owner_kinds: Admitted,
    pub(crate) peak: Peak,
    pub(crate) submissions: Submissions,
    pub(crate) stores: Stores,
    pub(crate) bursts: BurstLog,
    pub(crate) chronicle: Chronicle,
    /// When the book was opened.
    pub(crate) opened: u64,
    /// Frames that have ended.
    pub(crate) frames: AtomicU64,
    ids: Padded<AtomicU64>,
    labels: Padded<AtomicUsize>,
    pub(crate) label_bytes: AtomicUsize,
    pub(crate) overflows: Overflows,
}

/// On cache lines of its own.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Padded<T>(T);

/// What was not kept for want of room, by what it was.
#[derive(Debug, Default)]
pub(crate) struct Overflows {
    pub(crate) resources: AtomicU64,
    pub(crate) resource_kinds: AtomicU64,
    pub(crate) owner_kinds: AtomicU64,
    pub(crate) owners: AtomicU64,
    pub(crate) lanes: AtomicU64,
    pub(crate) labels: AtomicU64,
    pub(crate) event_labels: AtomicU64,
    pub(crate) markers: AtomicU64,
    pub(crate) sites: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Book {
    /// A book for the rest of the program's life.
    pub(crate) fn open(mut settings: Settings) -> &'static Self {
        let _own = HeapTag::OWN.enter();
        // The program's own, which is not to live as long as the book.
        let before = settings.before.take();
        let shard: &'static Shard = Box::leak(Box::new(Shard::new(settings.owners)));
        let opened = settings.clock.now().unix_nanos();
        let book: &'static Self = Box::leak(Box::new(Self {
            level: AtomicU8::new(settings.level as u8),
            touch_lists: AtomicBool::new(false),
            budgets: Budgets::default(),
            tracked_since: AtomicU64::new(opened),
            slots: Slots::new(settings.resources),
            owners: Owners::new(settings.owners),
            lane_names: Names::new(settings.lanes),
            // One for no lane and one for those beyond the limit.
            lanes: (0..settings.lanes + 2).map(|_| Packets::default()).collect(),
            markers: Names::new(MAX_MARKERS),
            event_labels: Names::new(MAX_EVENT_LABELS),
            sites: Sites::default(),
            shards: RwLock::new(vec![shard]),
            idle: Mutex::default(),
            shared: Mutex::new(Local::new(shard, 0)),
            admitted_kinds: Admitted::default(),
            admitted_owner_kinds: Admitted::default(),
            peak: Peak::default(),
            submissions: Submissions::default(),
            stores: Stores::default(),
            bursts: BurstLog::default(),
            chronicle: Chronicle::default(),
            opened,
            frames: AtomicU64::new(0),
            ids: Padded(AtomicU64::new(1)),
            labels: Padded::default(),
            label_bytes: AtomicUsize::new(0),
            overflows: Overflows::default(),
            settings,
        }));
        for budget in &book.settings.budgets {
            book.budgets.set(book, *budget);
        }
        book.budgets.set_before(before);
        BOOKS.lock().push(book);
        book
    }

    /// How much is recorded.
    #[inline]
    pub(crate) fn level(&self) -> Level {
        Level::from_bits(self.level.load(Ordering::Relaxed))
    }

    /// Sets how much is recorded.
    pub(crate) fn set_level(&self, level: Level) {
        let before = Level::from_bits(self.level.swap(level as u8, Ordering::Relaxed));
        if before == Level::Off && level != Level::Off {
            self.tracked_since.store(self.settings.clock.now().unix_nanos(), Ordering::Relaxed);
        }
    }

    /// Touches are recorded as events.
    pub(crate) fn touch_lists(&self) -> bool {
        self.touch_lists.load(Ordering::Relaxed)
    }

    /// Switches touch lists.
    pub(crate) fn set_touch_lists(&self, on: bool) {
        self.touch_lists.store(on, Ordering::Relaxed);
    }

    /// When the level last left Off, or the book was opened.
    pub(crate) fn tracked_since(&self) -> Timestamp {
        Timestamp::from_unix_nanos(self.tracked_since.load(Ordering::Relaxed))
    }

    /// The present moment.
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// `bytes` as far as they are believed.
    #[inline]
    pub(crate) fn believe(&self, bytes: u64) -> u64 {
        if bytes > MAX_BYTES {
            count(&self.overflows.bytes);
        }
        bytes.min(MAX_BYTES)
    }

    /// A block of ids that nobody has had.
    pub(crate) fn next_ids(&self) -> Range<u64> {
        let first = self.ids.0.fetch_add(ID_BLOCK, Ordering::Relaxed);
        first..first + ID_BLOCK
    }

    /// The number of a creation site; 0 if there is no room for it.
    pub(crate) fn site(&self, site: &'static Location<'static>) -> u16 {
        self.sites.intern(site).unwrap_or_else(|| {
            count(&self.overflows.sites);
            0
        })
    }

    /// Labels whose room a thread takes at a time; 0 where there is so little that it is taken one by one and given back at once.
    #[inline]
    pub(crate) fn label_block(&self) -> usize {
        (self.settings.labels / LABEL_SHARE).min(MAX_LABEL_BLOCK)
    }

    /// Takes room for up to a block of labels: how many, 0 if as many are kept as may be.
    pub(crate) fn take_labels(&self) -> usize {
        let wanted = self.label_block().max(1);
        let before = self.labels.0.fetch_add(wanted, Ordering::Relaxed);
        let taken = self.settings.labels.saturating_sub(before).min(wanted);
        self.give_labels(wanted - taken);
        taken
    }

    /// Gives back the room of so many labels.
    pub(crate) fn give_labels(&self, labels: usize) {
        self.labels.0.fetch_sub(labels, Ordering::Relaxed);
    }

    /// The resource kind of that name.
    pub(crate) fn kind(&self, name: &str) -> ResourceKind {
        ResourceKind::intern(name)
            .filter(|kind| kind.is_built_in() || self.admitted_kinds.admit(kind.index(), self.settings.user_kinds))
            .unwrap_or_else(|| {
                count(&self.overflows.resource_kinds);
                ResourceKind::OTHER
            })
    }

    /// The owner kind of that name.
    pub(crate) fn owner_kind(&self, name: &str) -> OwnerKind {
        OwnerKind::intern(name)
            .filter(|kind| {
                kind.is_built_in() || self.admitted_owner_kinds.admit(kind.index(), self.settings.user_kinds)
            })
            .unwrap_or_else(|| {
                count(&self.overflows.owner_kinds);
                OwnerKind::OTHER
            })
    }

    /// The lane of that name.
    pub(crate) fn lane(&self, name: &str) -> Lane {
        // Two come before the named ones: no lane, and the lanes beyond the limit.
        let place = self.lane_names.intern(name).and_then(|place| u8::try_from(place + 1).ok());
        place.map(Lane::from_bits).unwrap_or_else(|| {
            count(&self.overflows.lanes);
            Lane::OTHER
        })
    }

    /// The name of a lane.
    pub(crate) fn lane_name(&self, lane: Lane) -> Option<&'static str> {
        if lane == Lane::OTHER {
            return Some("other");
        }
        self.lane_names.get(u16::from(lane.get()).checked_sub(1)?)
    }

    /// The packets of a lane; those of [`Lane::OTHER`] for a lane that this book does not have.
    pub(crate) fn packets(&self, lane: Lane) -> Option<(Lane, &Packets)> {
        let known = |lane: Lane| self.lanes.get(usize::from(lane.get())).map(|packets| (lane, packets));
        if lane.is_none() { known(Lane::OTHER) } else { known(lane).or_else(|| known(Lane::OTHER)) }
    }

    /// The number of a marker's name; 0 if there is no room for it.
    pub(crate) fn marker(&self, name: &str) -> u16 {
        self.markers.intern(name).unwrap_or_else(|| {
            count(&self.overflows.markers);
            0
        })
    }

    /// The number of a label that an event carries; 0 if there is no room for it.
    pub(crate) fn event_label(&self, label: &str) -> u16 {
        self.event_labels.intern(label).unwrap_or_else(|| {
            count(&self.overflows.event_labels);
            0
        })
    }

    /// A thread's part: one that an ended thread left, or a new one.
    pub(crate) fn adopt_local(&self, thread: u64) -> Local {
        let _own = HeapTag::OWN.enter();
        if let Some(local) = self.idle.lock().pop() {
            return local.for_thread(thread);
        }
        let shard: &'static Shard = Box::leak(Box::new(Shard::new(self.settings.owners)));
        self.shards.write().push(shard);
        Local::new(shard, thread)
    }

    /// Keeps the part of a thread that ends.
    pub(crate) fn return_local(&self, local: Local) {
        let _own = HeapTag::OWN.enter();
        self.idle.lock().push(local);
    }

    /// The part shared by threads without thread-local storage.
    pub(crate) fn shared_local(&self) -> MutexGuard<'_, Local> {
        self.shared.lock()
    }

    /// Runs `f` with all shards as of now.
    pub(crate) fn with_shards<R>(&self, f: impl FnOnce(&[&'static Shard]) -> R) -> R {
        f(&self.shards.read())
    }

    /// Resources that all threads have created and released.
    pub(crate) fn lives(&self) -> (u64, u64) {
        self.with_shards(|shards| {
            shards.iter().fold((0u64, 0u64), |(created, released), shard| {
                let (begun, ended) = shard.lives.counts();
                (created.wrapping_add(begun), released.wrapping_add(ended))
            })
        })
    }

    /// Bytes that the book takes.
    pub(crate) fn footprint(&self) -> usize {
        let shards =
            self.with_shards(|shards| shards.iter().map(|shard| shard.footprint() + Local::FOOTPRINT).sum::<usize>());
        size_of::<Self>()
            + size_of_val(&*self.lanes)
            + self.lanes.iter().map(Packets::footprint).sum::<usize>()
            + self.submissions.footprint()
            + self.bursts.footprint()
            + self.chronicle.footprint()
            + shards
            + self.slots.footprint()
            + self.owners.footprint()
            + self.lane_names.footprint()
            + self.markers.footprint()
            + self.event_labels.footprint()
            + self.sites.footprint()
            + self.label_bytes.load(Ordering::Relaxed)
    }
}

/// One more of what is counted.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The program's own kinds that one book has taken.
#[derive(Debug, Default)]
struct Admitted(AtomicU64);

impl Admitted {
    /// Takes the kind, if fewer than `limit` are taken or it is one of them.
    fn admit(&self, index: usize, limit: usize) -> bool {
        let bit = 1 << (index % 64);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            (bits & bit != 0 || (bits.count_ones() as usize) < limit).then_some(bits | bit)
        });
        taken.is_ok()
    }
}

/// The highest sum of live bytes, as far as the threads have told theirs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Peak {
    told: AtomicI64,
    highest: AtomicI64,
}

impl Peak {
    /// Adds what a thread has not told yet.
    pub(crate) fn add(&self, change: i64) {
        let told = self.told.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        if told > self.highest.load(Ordering::Relaxed) {
            self.highest.fetch_max(told, Ordering::Relaxed);
        }
    }

    /// The highest sum so far.
    pub(crate) fn highest(&self) -> u64 {
        u64::try_from(self.highest.load(Ordering::Relaxed)).unwrap_or_default()
    }
}
