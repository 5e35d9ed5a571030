//! What a ring shares with other threads: its plan and figures, behind one lock. Whoever polls the device tells there what has become of a
//! buffer, and whoever reads a report asks there.
//!
//! The lock is held for as long as a few words take to read or write: never while bytes are copied, and never around a call of wgpu, which
//! runs other people's callbacks.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Weak};

use engine_vitals_core::contract::{StagedBytes, StagingRingReport, Store, StoreReport};

use super::plan::{Landing, Plan, PlanConfig, StagingStats};
use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// A ring as other threads see it.
pub(super) struct Shared {
    name: Arc<str>,
    state: Mutex<State>,
    went_on: WentOn,
}

/// Writes that went on where the last one ended, which the plan does not know of yet. Only the ring's thread writes it, and takes it back under the lock
/// when the plan is told: a reader that holds the lock counts nothing twice. A write costs two plain stores so. A locked instruction would wait for
/// the bytes of the write before it to reach memory, which takes longer than all else that a ring does.
#[derive(Default)]
struct WentOn {
    bytes: AtomicU64,
    writes: AtomicU64,
}

pub(super) struct State {
    pub(super) plan: Plan,
    /// Bytes of the buffers that in-place bytes are copied to where the GPU cannot use them where they lie.
    pub(super) twin_bytes: u64,
    /// When and where the buffers were begun that were written last.
    begun: Vec<Begun>,
}

/// The first write into a buffer since it was ready.
struct Begun {
    buffer: u32,
    unix_nanos: u64,
    site: &'static Location<'static>,
}

impl State {
    /// A buffer gets its first bytes.
    pub(super) fn begin(&mut self, buffer: u32, unix_nanos: u64, site: &'static Location<'static>) {
        let begun = Begun { buffer, unix_nanos, site };
        match self.begun.iter_mut().find(|before| before.buffer == buffer) {
            Some(before) => *before = begun,
            None => self.begun.push(begun),
        }
    }

    fn stats(&self, went_on: &WentOn) -> StagingStats {
        let mut stats = self.plan.stats();
        stats.twin_bytes = self.twin_bytes;
        let [bytes, writes] = [&went_on.bytes, &went_on.writes].map(|word| word.load(Ordering::Relaxed));
        stats.unflushed_bytes += bytes;
        stats.unsubmitted_bytes += bytes;
        stats.written_bytes += bytes;
        stats.writes += writes;
        stats.merged += writes;
        stats
    }
}

impl Shared {
    pub(super) fn new(name: &str, config: PlanConfig) -> Self {
        Self {
            name: name.into(),
            state: Mutex::new(State { plan: Plan::new(config), twin_bytes: 0, begun: Vec::new() }),
            went_on: WentOn::default(),
        }
    }

    pub(super) fn stats(&self) -> StagingStats {
        self.lock().stats(&self.went_on)
    }

    /// So many writes of so many bytes in all went on where the last one ended, since the plan was told.
    #[inline]
    pub(super) fn went_on(&self, bytes: u64, writes: u64) {
        self.went_on.bytes.store(bytes, Ordering::Relaxed);
        self.went_on.writes.store(writes, Ordering::Relaxed);
    }

    /// Tells the plan of them.
    pub(super) fn tell(&self, buffer: u32, bytes: u64, writes: u64) -> bool {
        let mut state = self.lock();
        self.went_on(0, 0);
        state.plan.went_on(buffer, bytes, writes)
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Store for Shared {
    fn report(&self) -> StoreReport {
        let state = self.lock();
        let stats = state.stats(&self.went_on);
        StoreReport::StagingRing(StagingRingReport {
            name: Arc::clone(&self.name),
            ring_bytes: stats.buffer_bytes + stats.dedicated_bytes + stats.twin_bytes,
            in_flight_bytes: state.plan.in_flight().collect(),
            unsubmitted_bytes: stats.unsubmitted_bytes,
            high_water_bytes: stats.high_water_bytes,
            written_bytes: stats.written_bytes,
            copies: stats.copies,
            merged_copies: stats.merged,
            wraps: stats.wraps,
            stalls: stats.stalls,
            stall_time: stats.stall_time,
            dedicated: stats.dedicated,
            failures: stats.failures,
        })
    }

    fn unsubmitted(&self) -> Option<StagedBytes> {
        let state = self.lock();
        let begun = |number| state.begun.iter().find(|begun| begun.buffer == number);
        let oldest = state.plan.unsubmitted().filter_map(begun).min_by_key(|begun| begun.unix_nanos)?;
        Some(StagedBytes {
            bytes: state.stats(&self.went_on).unsubmitted_bytes,
            since_unix_nanos: oldest.unix_nanos,
            site: oldest.site,
        })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared").field("name", &self.name).field("stats", &self.stats()).finish()
    }
}

/// Tells a ring what has become of a flushed buffer, exactly once: when it is mapped, or at the latest when this is dropped, since its commands
/// were.
pub(super) struct Returning {
    to: Weak<Shared>,
    buffer: u32,
    flush: u64,
}

impl Returning {
    pub(super) fn new(to: &Arc<Shared>, buffer: u32, flush: u64) -> Self {
        Self { to: Arc::downgrade(to), buffer, flush }
    }

    pub(super) fn mapped(mut self, done: bool) {
        self.tell(if done { Landing::Mapped } else { Landing::Failed });
    }

    fn tell(&mut self, landing: Landing) {
        if let Some(to) = std::mem::take(&mut self.to).upgrade() {
            to.lock().plan.landed(self.buffer, self.flush, landing);
        }
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        self.tell(Landing::Dropped);
    }
}
