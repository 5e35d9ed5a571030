//! The queries of one device, and what encoders take of them.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use engine_vitals_core::monitor::UntimedPass;
use engine_vitals_core::probe::Context;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::frames::Span;
use super::names::NameId;
use super::pool::{CHUNK_QUERIES, CHUNKS, Chunk, Pool, SET_CHUNKS, SET_QUERIES, SETS};
use super::read_back::{InFlight, ReadBacks, TimedPass};
use super::{PassTiming, Retry, is_first};
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
    /// Made when they are first taken into use.
    sets: [OnceLock<wgpu::QuerySet>; SETS as usize],
    retry: Retry,
    /// One for all submissions: each reads from it what it has written there before the next one writes.
    resolve: wgpu::Buffer,
    pool: Mutex<Pool>,
    pub(super) reads: ReadBacks,
}

/// Runs of queries begin at a multiple of so many bytes in the buffer that they are resolved into.
const ALIGNMENT: u64 = wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT;

/// Stamps in that buffer, and in those that they are read from: if chunks were taken with one free between any two of them.
pub(super) const STAMPS: u32 = CHUNKS / 2 * (ALIGNMENT as u32 / wgpu::QUERY_SIZE);

// So do all chunks: a query set begins at such a multiple.
const _: () =
    assert!(STAMPS >= SETS * SET_QUERIES && ((SET_QUERIES * wgpu::QUERY_SIZE) as u64).is_multiple_of(ALIGNMENT));

impl PassTimer {
    /// A timer for `device`, whose clock ticks at `period` (see `Queue::get_timestamp_period`). `None` if it has no time stamps, cannot read
    /// them without waiting, or has no memory for them, of which the program hears nothing.
    pub(crate) fn new(timing: &Arc<PassTiming>, device: &wgpu::Device, period: f32) -> Option<Arc<Self>> {
        static DEVICES: AtomicU64 = AtomicU64::new(0);
        // As for `Timestamps`: none of this is the program's.
        let _ours = Context::current().untracked().enter();
        if TimestampSupport::of(device.features()) == TimestampSupport::None || waits(&device.adapter_info()) {
            return None;
        }
        let period = Period::new(period)?;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolve = made(device, || buffer(device, STAMPS, usage))?;
        Some(Arc::new(Self {
            timing: Arc::clone(timing),
            device: device.clone(),
            number: DEVICES.fetch_add(1, Ordering::Relaxed),
            period,
            sets: [const { OnceLock::new() }; SETS as usize],
            retry: Retry::default(),
            resolve,
            pool: Mutex::new(Pool::new()),
            reads: ReadBacks::new(),
        }))
    }

    /// The passes of an encoder that is made now.
    pub(crate) fn encoder(self: &Arc<Self>) -> EncoderPasses {
        let timer = Arc::clone(self);
        EncoderPasses {
            timer,
            chunks: SmallVec::new(),
            frame: 0,
            timed: 0,
            own: 0,
            beyond_budget: 0,
            beyond_chunks: 0,
            without_set: 0,
        }
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

    /// The submission with these passes was refused before it was made: they did not run. None are left.
    #[cfg(feature = "fault")]
    pub(crate) fn refused(mut passes: SmallVec<[EncoderPasses; 2]>) -> SmallVec<[EncoderPasses; 2]> {
        passes.drain(..).for_each(|mut passes| passes.end(UntimedPass::Failed));
        passes
    }

    /// Resolves each run of neighbouring chunks at once, and says where in the buffer the stamps of each pass are then. Returns how many
    /// bytes of it are used.
    fn resolve_runs(&self, encoder: &mut wgpu::CommandEncoder, chunks: &[Chunk], passes: &mut Vec<TimedPass>) -> u64 {
        let mut bytes = 0_u64;
        let neighbours = |a: &Chunk, b: &Chunk| a.index + 1 == b.index && a.set() == b.set();
        for run in chunks.chunk_by(neighbours) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            // No chunk is in use without its query set.
            let Some(set) = self.sets.get(first.set() as usize).and_then(OnceLock::get) else { continue };
            let start = bytes.next_multiple_of(ALIGNMENT);
            let begin = first.index % SET_CHUNKS * CHUNK_QUERIES;
            let queries = begin..last.index % SET_CHUNKS * CHUNK_QUERIES + 2 * count(last.names());
            bytes = start + u64::from(queries.end - queries.start) * u64::from(wgpu::QUERY_SIZE);
            for chunk in run {
                let ahead = (chunk.index - first.index) * CHUNK_QUERIES;
                for (name, place) in chunk.names().iter().zip(0..) {
                    let query = chunk.index * CHUNK_QUERIES + 2 * place;
                    let at = start / u64::from(wgpu::QUERY_SIZE) + u64::from(ahead + 2 * place);
                    passes.push(TimedPass::new(*name, query / 2, usize::try_from(at).unwrap_or(usize::MAX)));
                }
            }
            encoder.resolve_query_set(set, queries, &self.resolve, start);
        }
        bytes
    }

    /// A query set, made if need be. `None` if it could not be made, which is tried again after a while.
    fn set(&self, number: u32) -> Option<&wgpu::QuerySet> {
        let set = self.sets.get(number as usize)?;
        if let Some(set) = set.get() {
            return Some(set);
        }
        let make = || {
            let _ours = Context::current().untracked().enter();
            made(&self.device, || {
                self.device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("engine-vitals passes"),
                    ty: wgpu::QueryType::Timestamp,
                    count: SET_QUERIES,
                })
            })
        };
        let made = self.retry.attempt(make)?;
        // Another thread may have been faster.
        Some(set.get_or_init(|| made))
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

/// Whether wgpu waits for the GPU when it resolves queries: on an OpenGL that cannot copy them into buffers, which came with 4.4.
fn waits(info: &wgpu::AdapterInfo) -> bool {
    info.backend == wgpu::Backend::Gl && gl_version(&info.driver_info).is_none_or(|version| version < (4, 4))
}

/// The numbers that a version of OpenGL begins with, as in "4.5 (Core Profile) Mesa 22.3.6". That of OpenGL ES does not.
fn gl_version(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
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
    /// Passes for which no query set could be made.
    without_set: u32,
}

/// The queries of a pass: the first, and the one behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassQueries<'a> {
    set: &'a wgpu::QuerySet,
    first: u32,
}

impl<'a> PassQueries<'a> {
    /// What the description of a render pass takes.
    pub(crate) fn render_pass_writes(self) -> wgpu::RenderPassTimestampWrites<'a> {
        wgpu::RenderPassTimestampWrites {
            query_set: self.set,
            beginning_of_pass_write_index: Some(self.first),
            end_of_pass_write_index: Some(self.first + 1),
        }
    }

    /// What the description of a compute pass takes.
    pub(crate) fn compute_pass_writes(self) -> wgpu::ComputePassTimestampWrites<'a> {
        wgpu::ComputePassTimestampWrites {
            query_set: self.set,
            beginning_of_pass_write_index: Some(self.first),
            end_of_pass_write_index: Some(self.first + 1),
        }
    }
}

impl EncoderPasses {
    /// Queries for the next pass, unless there are none for it.
    pub(crate) fn time(&mut self, label: Option<&str>) -> Option<PassQueries<'_>> {
        let Self { timer, chunks, .. } = self;
        let (frame, budget) = timer.timing.frame();
        let name = timer.timing.names.id(label);
        let mut pool = timer.pool.lock();
        if !pool.charge(frame, budget) {
            self.beyond_budget += 1;
            return None;
        }
        if chunks.last().is_none_or(Chunk::is_full) {
            let Some(chunk) = pool.take() else {
                pool.refund(frame, 1);
                self.beyond_chunks += 1;
                return None;
            };
            // Not held while wgpu is called.
            drop(pool);
            if timer.set(chunk.set()).is_none() {
                let mut pool = timer.pool.lock();
                pool.give_back(&chunk);
                pool.refund(frame, 1);
                self.without_set += 1;
                return None;
            }
            chunks.push(chunk);
        }
        let first = chunks.last_mut()?.next(name)?;
        // It counts for the frame of its encoder's last pass.
        self.frame = frame;
        self.timed += 1;
        let set = timer.set(first / SET_QUERIES)?;
        Some(PassQueries { set, first: first % SET_QUERIES })
    }

    /// The next pass has time stamps of its own.
    pub(crate) fn own(&mut self) {
        self.own += 1;
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
        timing.untimed(UntimedPass::Failed, self.without_set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opengl_that_would_wait_is_told_by_its_version() {
        for (version, numbers) in [
            ("4.5 (Core Profile) Mesa 22.3.6", Some((4, 5))),
            ("4.4.0 NVIDIA 535.54", Some((4, 4))),
            ("3.3", Some((3, 3))),
            ("OpenGL ES 3.2 Mesa 22.3.6", None),
            ("", None),
            ("4", None),
            ("99999999999.1", None),
        ] {
            assert_eq!(gl_version(version), numbers, "{version:?}");
        }
    }
}
