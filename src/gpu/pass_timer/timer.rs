//! The queries of one device, and what encoders take of them.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals_core::monitor::UntimedPass;
use engine_vitals_core::probe::Context;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::frames::Span;
use super::names::NameId;
use super::pool::{CHUNK_QUERIES, CHUNKS, Chunk, Pool, QUERIES};
use super::read_back::{InFlight, ReadBacks, TimedPass};
use super::{PassTiming, is_first};
use crate::gpu::TimestampSupport;
use crate::gpu::ticks::Period;
use crate::gpu::timestamps::{buffer, made};

/// Times passes of one device. It holds the device.
#[derive(Debug)]
pub(crate) struct PassTimer {
    pub(super) timing: Arc<PassTiming>,
    pub(super) device: wgpu::Device,
    /// Tells the device's clock from others.
    number: u64,
    pub(super) period: Period,
    queries: wgpu::QuerySet,
    /// One for all submissions: each reads from it what it has written there before the next one writes.
    resolve: wgpu::Buffer,
    pool: Mutex<Pool>,
    pub(super) reads: ReadBacks,
}

/// Runs of queries begin at a multiple of so many bytes in the buffer that they are resolved into.
const ALIGNMENT: u64 = wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT;

/// Stamps in that buffer, and in those that they are read from: if chunks were taken with one free between any two of them.
pub(super) const STAMPS: u32 = CHUNKS / 2 * (ALIGNMENT as u32 / wgpu::QUERY_SIZE);

// One run with all chunks fits too.
const _: () = assert!(STAMPS >= QUERIES);

impl PassTimer {
    /// A timer for `device`, whose clock ticks at `period` (see `Queue::get_timestamp_period`). `None` if it has no time stamps, or no memory
    /// for them, of which the program hears nothing.
    pub(crate) fn new(timing: &Arc<PassTiming>, device: &wgpu::Device, period: f32) -> Option<Arc<Self>> {
        static DEVICES: AtomicU64 = AtomicU64::new(0);
        // As for `Timestamps`: none of this is the program's.
        let _ours = Context::current().untracked().enter();
        if TimestampSupport::of(device.features()) == TimestampSupport::None {
            return None;
        }
        let period = Period::new(period)?;
        let (queries, resolve) = made(device, || {
            let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("engine-vitals passes"),
                ty: wgpu::QueryType::Timestamp,
                count: QUERIES,
            });
            (queries, buffer(device, STAMPS, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC))
        })?;
        Some(Arc::new(Self {
            timing: Arc::clone(timing),
            device: device.clone(),
            number: DEVICES.fetch_add(1, Ordering::Relaxed),
            period,
            queries,
            resolve,
            pool: Mutex::new(Pool::new()),
            reads: ReadBacks::new(),
        }))
    }

    /// The passes of an encoder that is made now.
    pub(crate) fn encoder(self: &Arc<Self>) -> EncoderPasses {
        let timer = Arc::clone(self);
        EncoderPasses { timer, chunks: SmallVec::new(), frame: 0, timed: 0, own: 0, beyond_budget: 0, beyond_chunks: 0 }
    }

    /// A command buffer to be submitted behind those that these passes were recorded in, which reads their times back. `None` if there is
    /// nothing to read back, or nothing to read it with.
    pub(crate) fn resolve(mut passes: SmallVec<[EncoderPasses; 2]>) -> Option<wgpu::CommandBuffer> {
        let timer = Arc::clone(&passes.first()?.timer);
        // wgpu refuses a submission with command buffers of two devices.
        passes.retain(|passes| Arc::ptr_eq(&passes.timer, &timer));
        let timed: u32 = passes.iter().map(|passes| passes.timed).sum();
        if timed == 0 {
            return None;
        }
        let _ours = Context::current().untracked().enter();
        let Some(mut in_flight) = InFlight::begin(&timer) else {
            passes.iter_mut().for_each(|passes| passes.end(UntimedPass::InFlight));
            return None;
        };
        let mut chunks: SmallVec<[Chunk; 12]> = SmallVec::new();
        for passes in &mut passes {
            passes.timed = 0;
            chunks.append(&mut passes.chunks);
        }
        chunks.sort_unstable_by_key(|chunk| chunk.index);
        let mut encoder = timer
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("engine-vitals passes") });
        let bytes = timer.resolve_runs(&mut encoder, &chunks, in_flight.passes());
        timer.give_back(&chunks);
        in_flight.read_back(&mut encoder, &timer, &timer.resolve, bytes);
        Some(encoder.finish())
    }

    /// Resolves each run of neighbouring chunks at once, and says where in the buffer the stamps of each pass are then. Returns how many
    /// bytes of it are used.
    fn resolve_runs(&self, encoder: &mut wgpu::CommandEncoder, chunks: &[Chunk], passes: &mut Vec<TimedPass>) -> u64 {
        let mut bytes = 0_u64;
        for run in chunks.chunk_by(|a, b| a.index + 1 == b.index) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let start = bytes.next_multiple_of(ALIGNMENT);
            let queries = first.index * CHUNK_QUERIES..last.index * CHUNK_QUERIES + 2 * count(last.names());
            bytes = start + u64::from(queries.end - queries.start) * u64::from(wgpu::QUERY_SIZE);
            for chunk in run {
                let ahead = (chunk.index - first.index) * CHUNK_QUERIES;
                for (name, place) in chunk.names().iter().zip(0..) {
                    let query = chunk.index * CHUNK_QUERIES + 2 * place;
                    let at = start / u64::from(wgpu::QUERY_SIZE) + u64::from(ahead + 2 * place);
                    passes.push(TimedPass::new(*name, query / 2, usize::try_from(at).unwrap_or(usize::MAX)));
                }
            }
            encoder.resolve_query_set(&self.queries, queries, &self.resolve, start);
        }
        bytes
    }

    fn give_back(&self, chunks: &[Chunk]) {
        let mut pool = self.pool.lock();
        for chunk in chunks {
            pool.give_back(chunk);
        }
    }

    /// So many passes of that frame are no longer in flight.
    pub(super) fn landed(&self, frame: u64, passes: u32) {
        if is_first(frame) {
            self.pool.lock().refund(frame, passes);
        }
    }

    /// From then to then.
    pub(super) fn span(&self, first: u64, last: u64) -> Span {
        Span { device: self.number, period: self.period, first, last }
    }
}

fn count(names: &[NameId]) -> u32 {
    u32::try_from(names.len()).unwrap_or(0)
}

/// The timed passes of one encoder. Dropped before they are [resolved](PassTimer::resolve), they were never submitted.
#[derive(Debug)]
pub(crate) struct EncoderPasses {
    timer: Arc<PassTimer>,
    chunks: SmallVec<[Chunk; 6]>,
    /// The one under way at the last pass.
    frame: u64,
    /// Passes in the chunks.
    timed: u32,
    /// Passes with stamps of their own.
    own: u32,
    /// Passes beyond the frame's budget.
    beyond_budget: u32,
    /// Passes for which no chunk was free.
    beyond_chunks: u32,
}

/// The queries of a pass: this one, and the one behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassQueries(u32);

impl EncoderPasses {
    /// Queries for the next pass, unless there are none for it.
    pub(crate) fn time(&mut self, label: Option<&str>) -> Option<PassQueries> {
        let timing = &self.timer.timing;
        let (frame, budget) = timing.frame();
        let name = timing.names.id(label);
        let mut pool = self.timer.pool.lock();
        if !pool.charge(frame, budget) {
            self.beyond_budget += 1;
            return None;
        }
        let query = self.chunks.last_mut().and_then(|chunk| chunk.next(name)).or_else(|| {
            self.chunks.push(pool.take()?);
            self.chunks.last_mut()?.next(name)
        });
        if query.is_none() {
            pool.refund(frame, 1);
            self.beyond_chunks += 1;
            return None;
        }
        // Passes of one encoder are recorded within one frame, or count for the last of them.
        self.frame = frame;
        self.timed += 1;
        query.map(PassQueries)
    }

    /// The next pass has time stamps of its own.
    pub(crate) fn own(&mut self) {
        self.own += 1;
    }

    /// What the description of a render pass takes.
    pub(crate) fn render_pass_writes(&self, PassQueries(query): PassQueries) -> wgpu::RenderPassTimestampWrites<'_> {
        wgpu::RenderPassTimestampWrites {
            query_set: &self.timer.queries,
            beginning_of_pass_write_index: Some(query),
            end_of_pass_write_index: Some(query + 1),
        }
    }

    /// What the description of a compute pass takes.
    pub(crate) fn compute_pass_writes(&self, PassQueries(query): PassQueries) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.timer.queries,
            beginning_of_pass_write_index: Some(query),
            end_of_pass_write_index: Some(query + 1),
        }
    }

    /// Its passes have no time, for that reason.
    fn end(&mut self, why: UntimedPass) {
        let chunks = mem::take(&mut self.chunks);
        let timed = mem::take(&mut self.timed);
        self.timer.give_back(&chunks);
        self.timer.landed(self.frame, timed);
        self.timer.timing.untimed(why, timed);
    }
}

impl Drop for EncoderPasses {
    fn drop(&mut self) {
        self.end(UntimedPass::Unsubmitted);
        let timing = &self.timer.timing;
        timing.untimed(UntimedPass::Own, self.own);
        timing.untimed(UntimedPass::Budget, self.beyond_budget);
        timing.untimed(UntimedPass::InFlight, self.beyond_chunks);
    }
}
