//! Time stamps on the GPU, read back without waiting.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task;

use engine_vitals_core::probe::Context;
use parking_lot::Mutex;

use super::TimestampSupport;
use super::slots::Slots;
use super::ticks::Period;

/// How many stamps and how many batches there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampsConfig {
    /// Stamps in a batch; 4 by default, from 1 to 4096 over all batches.
    pub stamps_per_batch: u32,
    /// Batches that may be recorded or in flight at once; 4 by default, from 1 to 64.
    pub batches_in_flight: u32,
}

impl Default for TimestampsConfig {
    fn default() -> Self {
        Self { stamps_per_batch: 4, batches_in_flight: 4 }
    }
}

/// Time stamps on one queue, handed out in batches: usually one batch a frame. Cheap to clone; clones share everything.
///
/// A batch's stamps are resolved and copied into a buffer of their own, which is mapped once its submission is done; the
/// stamps arrive inside whatever call polls the device next (`Queue::submit` does). Nothing here waits: while all batches
/// are in flight, [`begin`](Self::begin) gives none and counts that.
#[derive(Clone, Debug)]
pub struct Timestamps {
    support: TimestampSupport,
    shared: Option<Arc<Shared>>,
}

/// What has become of the batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimestampsStats {
    /// Batches handed out.
    pub begun: u64,
    /// Batches not handed out, because all were in flight.
    pub skipped: u64,
    /// Batches read back.
    pub read: u64,
    /// Batches that were recorded and could not be read back: their commands were never submitted, or the device was lost.
    pub failed: u64,
    /// Stamps not handed out, because their batch was full.
    pub refused_stamps: u64,
    /// Stamps left out because they were those of an earlier batch: the commands that should have taken them anew had not run when they
    /// were read back.
    pub stale_stamps: u64,
}

impl Timestamps {
    /// Time stamps on `queue`. Without the features for it (see [`wanted_features`](super::wanted_features)) there are
    /// none and nothing is created on the device. There are none either where the device has no memory for them, of which
    /// the program hears nothing. They hold the device.
    #[must_use]
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, config: TimestampsConfig) -> Self {
        // Its query set and buffers are none of the program's, and an instrumented device tells it of features that it was given
        // beyond those that the program asked for.
        let _ours = Context::current().untracked().enter();
        let support = TimestampSupport::of(device.features());
        let period = Period::new(queue.get_timestamp_period());
        match (support, period) {
            (TimestampSupport::None, _) | (_, None) => Self { support: TimestampSupport::None, shared: None },
            (_, Some(period)) => match made(device, || Shared::new(device, support, period, config)) {
                Some(shared) => Self { support, shared: Some(Arc::new(shared)) },
                None => Self { support: TimestampSupport::None, shared: None },
            },
        }
    }

    /// Where stamps can be taken.
    #[must_use]
    pub fn support(&self) -> TimestampSupport {
        self.support
    }

    /// A batch to record stamps in; `None` without support, and while all batches are in flight.
    #[must_use]
    pub fn begin(&self) -> Option<Batch> {
        let shared = self.shared.as_ref()?;
        let slot = shared.slots.lock().take();
        let slot = slot.map(|index| TakenSlot { shared: Arc::downgrade(shared), index });
        let Some(slot) = slot.filter(|slot| shared.can_read(slot.index)) else {
            shared.counters.skipped.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        shared.counters.begun.fetch_add(1, Ordering::Relaxed);
        Some(Batch { slot, shared: Arc::clone(shared), used: 0 })
    }

    /// What has become of the batches so far.
    #[must_use]
    pub fn stats(&self) -> TimestampsStats {
        self.shared.as_ref().map_or_else(TimestampsStats::default, |shared| shared.counters.snapshot())
    }

    /// Batches that are being recorded or in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.shared.as_ref().map_or(0, |shared| shared.slots.lock().taken())
    }

    /// Bytes of the buffers that stamps are resolved into and read from.
    #[must_use]
    pub fn buffer_bytes(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| {
            let read = |slot: &Slot| slot.read.lock().size();
            shared.resolved.size() + shared.slots_read.iter().map(read).sum::<u64>()
        })
    }
}

/// One stamp of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp(u32);

/// The stamps at the begin and the end of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PassStamps {
    /// Taken when the pass begins.
    pub begin: Stamp,
    /// Taken when the pass ends.
    pub end: Stamp,
}

/// Stamps that are recorded together and read back together. Dropped without [`resolve`](Self::resolve), it is free again.
#[derive(Debug)]
pub struct Batch {
    shared: Arc<Shared>,
    slot: TakenSlot,
    used: u32,
}

impl Batch {
    /// Records a stamp here. `None` when the batch is full, which is counted.
    ///
    /// Where stamps can only be taken in passes, this records an empty compute pass that carries it; a backend that leaves
    /// out empty passes leaves out the stamp, and its reading is absent.
    pub fn stamp(&mut self, encoder: &mut wgpu::CommandEncoder) -> Option<Stamp> {
        let stamp = self.reserve(1)?;
        let index = Some(self.query(stamp));
        let shared = &self.shared;
        match shared.support {
            TimestampSupport::Encoders => encoder.write_timestamp(&shared.queries, self.query(stamp)),
            TimestampSupport::Passes => drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("timestamp"),
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &shared.queries,
                    beginning_of_pass_write_index: index,
                    end_of_pass_write_index: None,
                }),
            })),
            TimestampSupport::None => return None,
        }
        Some(stamp)
    }

    /// Two stamps for a pass. `None` when the batch is full, which is counted.
    pub fn pass(&mut self) -> Option<PassStamps> {
        let begin = self.reserve(2)?;
        Some(PassStamps { begin, end: Stamp(begin.0 + 1) })
    }

    /// What the description of a render pass takes, to record both stamps. Use it for one pass only.
    #[must_use]
    pub fn render_pass_writes(&self, stamps: PassStamps) -> wgpu::RenderPassTimestampWrites<'_> {
        wgpu::RenderPassTimestampWrites {
            query_set: &self.shared.queries,
            beginning_of_pass_write_index: Some(self.query(stamps.begin)),
            end_of_pass_write_index: Some(self.query(stamps.end)),
        }
    }

    /// What the description of a compute pass takes, to record both stamps. Use it for one pass only.
    #[must_use]
    pub fn compute_pass_writes(&self, stamps: PassStamps) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.shared.queries,
            beginning_of_pass_write_index: Some(self.query(stamps.begin)),
            end_of_pass_write_index: Some(self.query(stamps.end)),
        }
    }

    /// Records the read-back, after the last stamp. `on_ready` runs exactly once: with the readings inside the call that
    /// polls the device after the submission is done, or with an error when that cannot happen any more (the commands
    /// were dropped unsubmitted, the device was lost). It must not block.
    pub fn resolve(
        self,
        encoder: &mut wgpu::CommandEncoder,
        on_ready: impl FnOnce(Result<Readings, ReadbackError>) + Send + 'static,
    ) {
        let Self { shared, slot, used } = self;
        let pending = PendingRead { counters: Arc::clone(&shared.counters), on_ready: Some(on_ready) };
        if used == 0 {
            return pending.finish(Ok(Readings { ticks: Vec::new(), stale: 0 }));
        }
        let first = slot.index * shared.stamps_per_batch;
        let (bytes, place) = (bytes_of(used), u64::from(slot.index) * place_bytes(shared.stamps_per_batch));
        encoder.resolve_query_set(&shared.queries, first..first + used, &shared.resolved, place);
        let read = shared.slots_read[slot.index as usize].read.lock().clone();
        encoder.copy_buffer_to_buffer(&shared.resolved, place, &read, 0, bytes);
        encoder.map_buffer_on_submit(&read, wgpu::MapMode::Read, ..bytes, move |mapped| {
            let readings = match mapped {
                Ok(()) => slot.read(bytes),
                Err(error) => {
                    slot.unreadable();
                    Err(ReadbackError(Some(error)))
                }
            };
            // The slot is free before anybody learns of its readings, who may begin the next batch at once.
            drop(slot);
            pending.finish(readings);
        });
    }

    pub(super) fn period(&self) -> Period {
        self.shared.period
    }

    fn reserve(&mut self, count: u32) -> Option<Stamp> {
        if self.used + count > self.shared.stamps_per_batch {
            self.shared.counters.refused_stamps.fetch_add(count.into(), Ordering::Relaxed);
            return None;
        }
        let first = Stamp(self.used);
        self.used += count;
        Some(first)
    }

    fn query(&self, stamp: Stamp) -> u32 {
        self.slot.index * self.shared.stamps_per_batch + stamp.0
    }
}

/// The raw readings of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readings {
    ticks: Vec<u64>,
    stale: u32,
}

impl Readings {
    /// The raw ticks of a stamp (multiply by `Queue::get_timestamp_period` for nanoseconds; only differences mean
    /// something). `None` for a stamp that was not recorded, that the backend left out, or that is stale.
    #[must_use]
    pub fn ticks(&self, stamp: Stamp) -> Option<u64> {
        // Unwritten queries read as zero; Metal's error value is all ones.
        self.ticks.get(stamp.0 as usize).copied().filter(|&ticks| ticks != 0 && ticks != u64::MAX)
    }

    /// How many stamps are absent because they are those of an earlier batch.
    #[must_use]
    pub fn stale(&self) -> u32 {
        self.stale
    }
}

/// A batch could not be read back: its commands were dropped unsubmitted, or the device was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadbackError(Option<wgpu::BufferAsyncError>);

impl fmt::Display for ReadbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(error) => write!(f, "the time stamps could not be read back: {error}"),
            None => f.write_str("the time stamps could not be read back: their commands were not submitted"),
        }
    }
}

impl std::error::Error for ReadbackError {}

#[derive(Debug)]
struct Shared {
    device: wgpu::Device,
    support: TimestampSupport,
    period: Period,
    stamps_per_batch: u32,
    queries: wgpu::QuerySet,
    /// What queries are resolved into: a place for each slot. It cannot be mapped. One for all, since whatever tracks a device's buffers
    /// takes the longer the more there are.
    resolved: wgpu::Buffer,
    slots_read: Vec<Slot>,
    slots: Mutex<Slots>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    begun: AtomicU64,
    skipped: AtomicU64,
    read: AtomicU64,
    failed: AtomicU64,
    refused_stamps: AtomicU64,
    stale_stamps: AtomicU64,
}

impl Counters {
    fn snapshot(&self) -> TimestampsStats {
        TimestampsStats {
            begun: self.begun.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            read: self.read.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            refused_stamps: self.refused_stamps.load(Ordering::Relaxed),
            stale_stamps: self.stale_stamps.load(Ordering::Relaxed),
        }
    }
}

/// What `make` makes on the device; `None` if some of it is invalid, which would make the program's commands invalid too: by an
/// error, or since the device is lost.
pub(super) fn made<T>(device: &wgpu::Device, make: impl FnOnce() -> T) -> Option<T> {
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let made = make();
    let errors = [at_once(memory.pop()).flatten(), at_once(validation.pop()).flatten()];
    (errors.iter().all(Option::is_none) && !is_lost(device)).then_some(made)
}

/// A device that is lost reports no errors: not even for a buffer that no device accepts.
fn is_lost(device: &wgpu::Device) -> bool {
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    drop(buffer(device, 1, wgpu::BufferUsages::empty()));
    at_once(scope.pop()).is_some_and(|error| error.is_none())
}

/// What is known without waiting. Browsers alone tell of errors later.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut task::Context::from_waker(task::Waker::noop())) {
        task::Poll::Ready(value) => Some(value),
        task::Poll::Pending => None,
    }
}

/// What one batch is read from.
#[derive(Debug)]
struct Slot {
    read: Mutex<wgpu::Buffer>,
    /// The ticks that each query had when it was read back last. A query keeps them until it is recorded anew.
    before: Mutex<Vec<u64>>,
    /// A mapping has failed. wgpu takes the buffer for mapped from then on, and gives an error for its unmapping.
    unreadable: AtomicBool,
}

impl Shared {
    fn new(device: &wgpu::Device, support: TimestampSupport, period: Period, config: TimestampsConfig) -> Self {
        let slots = Slots::new(config.batches_in_flight);
        let most = wgpu::QUERY_SET_MAX_QUERIES / slots.count();
        let stamps_per_batch = config.stamps_per_batch.clamp(1, most);
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: LABEL,
            ty: wgpu::QueryType::Timestamp,
            count: stamps_per_batch * slots.count(),
        });
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: LABEL,
            size: place_bytes(stamps_per_batch) * u64::from(slots.count()),
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let slot = |_| Slot {
            read: Mutex::new(buffer(device, stamps_per_batch, READ)),
            before: Mutex::new(vec![0; stamps_per_batch as usize]),
            unreadable: AtomicBool::new(false),
        };
        let slots_read = (0..slots.count()).map(slot).collect();
        Self {
            device: device.clone(),
            support,
            period,
            stamps_per_batch,
            queries,
            resolved,
            slots_read,
            slots: Mutex::new(slots),
            counters: Arc::default(),
        }
    }

    /// Whether the slot's stamps can be read back. After a mapping that failed it gets another buffer, if there is memory for it.
    fn can_read(&self, index: u32) -> bool {
        let Slot { read, unreadable, .. } = &self.slots_read[index as usize];
        if !unreadable.load(Ordering::Relaxed) {
            return true;
        }
        let _ours = Context::current().untracked().enter();
        let made = made(&self.device, || buffer(&self.device, self.stamps_per_batch, READ));
        made.is_some_and(|made| {
            *read.lock() = made;
            unreadable.store(false, Ordering::Relaxed);
            true
        })
    }
}

/// What stamps are read from.
pub(super) const READ: wgpu::BufferUsages = wgpu::BufferUsages::COPY_DST.union(wgpu::BufferUsages::MAP_READ);

const LABEL: wgpu::Label<'_> = Some("engine-vitals timestamps");

/// What so many stamps take.
fn bytes_of(stamps: u32) -> u64 {
    u64::from(stamps) * u64::from(wgpu::QUERY_SIZE)
}

/// The distance of the places that slots of so many stamps are resolved into.
fn place_bytes(stamps: u32) -> u64 {
    bytes_of(stamps).next_multiple_of(wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT)
}

pub(super) fn buffer(device: &wgpu::Device, stamps: u32, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let size = bytes_of(stamps);
    device.create_buffer(&wgpu::BufferDescriptor { label: LABEL, size, usage, mapped_at_creation: false })
}

/// A slot that is free again when this is dropped. While its batch is in flight it is held by a callback that wgpu holds,
/// so it must not keep the buffers alive: through them it would keep itself and the device alive.
#[derive(Debug)]
struct TakenSlot {
    shared: Weak<Shared>,
    index: u32,
}

impl TakenSlot {
    /// The mapping has failed.
    fn unreadable(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.slots_read[self.index as usize].unreadable.store(true, Ordering::Relaxed);
        }
    }

    /// Reads the mapped buffer and unmaps it.
    fn read(&self, bytes: u64) -> Result<Readings, ReadbackError> {
        let shared = self.shared.upgrade().ok_or(ReadbackError(None))?;
        let buffer = shared.slots_read[self.index as usize].read.lock().clone();
        let ticks = buffer.slice(..bytes).get_mapped_range().map(|range| {
            range.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok()).map(u64::from_le_bytes).collect()
        });
        buffer.unmap();
        let mut ticks: Vec<u64> = ticks.map_err(|_| ReadbackError(None))?;
        let stale = leave_out_stale(&mut ticks, &mut shared.slots_read[self.index as usize].before.lock());
        shared.counters.stale_stamps.fetch_add(stale.into(), Ordering::Relaxed);
        Ok(Readings { ticks, stale })
    }
}

/// Makes absent what is as it was `before`, and counts that; the others are remembered. A clock that runs gives no stamp twice.
fn leave_out_stale(ticks: &mut [u64], before: &mut [u64]) -> u32 {
    let mut stale = 0;
    for (tick, before) in ticks.iter_mut().zip(before) {
        if *tick != 0 && *tick == *before {
            *tick = 0;
            stale += 1;
        } else {
            *before = *tick;
        }
    }
    stale
}

impl Drop for TakenSlot {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let released = shared.slots.lock().release(self.index);
            debug_assert!(released, "slot {} was released twice", self.index);
        }
    }
}

/// Counts a read-back and calls `on_ready`, exactly once, at the latest when it is dropped.
struct PendingRead<F: FnOnce(Result<Readings, ReadbackError>)> {
    counters: Arc<Counters>,
    on_ready: Option<F>,
}

impl<F: FnOnce(Result<Readings, ReadbackError>)> PendingRead<F> {
    fn finish(mut self, result: Result<Readings, ReadbackError>) {
        self.conclude(result);
    }

    fn conclude(&mut self, result: Result<Readings, ReadbackError>) {
        if let Some(on_ready) = self.on_ready.take() {
            let counter = if result.is_ok() { &self.counters.read } else { &self.counters.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            on_ready(result);
        }
    }
}

impl<F: FnOnce(Result<Readings, ReadbackError>)> Drop for PendingRead<F> {
    fn drop(&mut self) {
        self.conclude(Err(ReadbackError(None)));
    }
}

#[cfg(test)]
mod tests;
