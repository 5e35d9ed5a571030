//! The ring itself: carries its plan out with wgpu.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use engine_vitals_core::probe::Probe;
use parking_lot::Mutex;
use web_time::Instant;

use super::StagingError;
use super::plan::{Copy, Destination, Plan, PlanConfig, Refused, Reserved, RingStats};

/// What happens when a write finds all buffers filled or in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallPolicy {
    /// The ring gets one more buffer, up to so many; then as [`WouldStall`](Self::WouldStall).
    Grow {
        /// Buffers that there may be.
        most_buffers: u32,
    },
    /// The call waits for the GPU to be done with the buffer that was flushed first, for so long.
    Wait {
        /// After which the write fails with [`StagingError::TimedOut`].
        timeout: Duration,
    },
    /// The write fails, and whoever writes does something else.
    WouldStall,
}

/// What a ring is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StagingConfig {
    /// Buffers; 3 by default.
    pub ring_count: u32,
    /// Bytes of each; 16 MiB by default. A write of more than that gets a buffer of its own, which is dropped when its copy is done.
    pub buffer_size: u64,
    /// What happens when no buffer is ready; growing to twice as many by default.
    pub stall: StallPolicy,
    /// Frames ([`StagingRing::advance_ring`]) without need of them after which the buffers that the ring has grown by are given up, one each;
    /// 120 by default.
    pub quiet_frames: u64,
}

impl Default for StagingConfig {
    fn default() -> Self {
        Self { ring_count: 3, buffer_size: 16 << 20, stall: StallPolicy::Grow { most_buffers: 6 }, quiet_frames: 120 }
    }
}

/// The figures of a ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StagingStats {
    /// Those of its plan.
    pub ring: RingStats,
    /// Time that writes have waited for the GPU.
    pub stall_time: Duration,
    /// Writes that got a buffer of their own.
    pub dedicated: u64,
    /// Bytes of those.
    pub dedicated_bytes: u64,
}

/// A ring of staging buffers. They stay mapped while nothing uses them, so that a write is a copy into memory; [`flush`](Self::flush) records
/// the copies from there to their destinations, neighbours as one, and has each buffer mapped again when the GPU is done with it. Nothing
/// waits for that, unless the [policy](StallPolicy) says so.
///
/// For use from several threads put it behind a lock, or give each thread its own.
pub struct StagingRing {
    plan: Plan,
    stall: StallPolicy,
    device: wgpu::Device,
    probe: Probe,
    buffers: Vec<Slot>,
    destinations: Vec<wgpu::Buffer>,
    pub(super) textures: Vec<super::texture::TextureCopy>,
    dedicated: Vec<Dedicated>,
    returned: Arc<Mutex<Vec<Returned>>>,
    last_submission: Option<wgpu::SubmissionIndex>,
    stats: StagingStats,
}

struct Slot {
    buffer: wgpu::Buffer,
    /// While it is mapped.
    view: Option<wgpu::BufferViewMut>,
}

/// A buffer made for one write.
struct Dedicated {
    buffer: wgpu::Buffer,
    to: wgpu::Buffer,
    offset: u64,
    bytes: u64,
}

/// What has become of a flushed buffer.
struct Returned {
    buffer: u32,
    flush: u64,
    mapped: bool,
}

/// Room in a ring, to be written in place. Dropped without being sent anywhere, it is free again if nothing was reserved behind it.
#[must_use = "what is not copied anywhere is lost"]
pub struct StagingSlice<'a> {
    ring: &'a mut StagingRing,
    reserved: Option<Reserved>,
}

impl StagingRing {
    /// A ring of `ring_count` buffers of `buffer_size` bytes each that grows to twice as many.
    #[must_use]
    pub fn new(device: &wgpu::Device, ring_count: u32, buffer_size: u64) -> Self {
        let stall = StallPolicy::Grow { most_buffers: ring_count.saturating_mul(2) };
        Self::with_config(
            device,
            Probe::OFF,
            StagingConfig { ring_count, buffer_size, stall, ..StagingConfig::default() },
        )
    }

    /// A ring that reports its stalls and its unsubmitted bytes to a probe.
    ///
    /// All buffers are made and mapped now. What the device has no memory for is made when it is needed.
    #[must_use]
    pub fn with_config(device: &wgpu::Device, probe: Probe, config: StagingConfig) -> Self {
        let most_buffers = match config.stall {
            StallPolicy::Grow { most_buffers } => most_buffers,
            StallPolicy::Wait { .. } | StallPolicy::WouldStall => config.ring_count,
        };
        let plan = Plan::new(PlanConfig {
            buffers: config.ring_count,
            buffer_bytes: config.buffer_size,
            most_buffers,
            quiet_ticks: config.quiet_frames,
        });
        let buffers = (0..plan.count()).map(|_| Slot::new(device, plan.config().buffer_bytes)).collect();
        Self {
            plan,
            stall: config.stall,
            device: device.clone(),
            probe,
            buffers,
            destinations: Vec::new(),
            textures: Vec::new(),
            dedicated: Vec::new(),
            returned: Arc::default(),
            last_submission: None,
            stats: StagingStats::default(),
        }
    }

    /// Writes `data` into `buffer` from the byte `offset` on, with the next flush.
    ///
    /// # Errors
    /// [`StagingError`]: offset or length is no multiple of four, the data goes beyond the end, or the ring is stalled.
    #[inline]
    pub fn write_buffer(&mut self, buffer: &wgpu::Buffer, offset: u64, data: &[u8]) -> Result<(), StagingError> {
        let bytes = data.len() as u64;
        check(buffer, offset, bytes)?;
        if bytes == 0 {
            return Ok(());
        }
        if bytes > self.plan.config().buffer_bytes {
            return self.write_dedicated(buffer, offset, data);
        }
        let reserved = self.take(bytes, wgpu::COPY_BUFFER_ALIGNMENT)?;
        self.view(reserved)?.copy_from_slice(data);
        self.send(reserved, buffer, offset);
        Ok(())
    }

    /// Room for `bytes` bytes at a multiple of `align` in the ring, to be written in place and then
    /// [sent](StagingSlice::copy_to_buffer) to where they belong.
    ///
    /// # Errors
    /// [`StagingError`]: nothing or too much was asked for, the alignment is no power of two, or the ring is stalled.
    #[inline]
    pub fn reserve(&mut self, bytes: u64, align: u64) -> Result<StagingSlice<'_>, StagingError> {
        let reserved = self.take(bytes, align.max(wgpu::COPY_BUFFER_ALIGNMENT))?;
        Ok(StagingSlice { ring: self, reserved: Some(reserved) })
    }

    /// Records the copies of all that was written since the last flush. Put it before what reads the destinations, and submit the encoder:
    /// until then no buffer of this flush comes back. Returns the copies recorded.
    pub fn flush(&mut self, encoder: &mut wgpu::CommandEncoder) -> usize {
        self.collect();
        let mut recorded = self.flush_dedicated(encoder);
        let mut flushed = Vec::new();
        let buffers = &mut self.buffers;
        let planned = self.plan.flush(|buffer| {
            let slot = &mut buffers[buffer as usize];
            // The view must be gone before the buffer is unmapped.
            slot.view = None;
            slot.buffer.unmap();
            flushed.push(buffer);
        });
        let Some((flush, copies)) = planned else { return recorded };
        recorded += copies.len();
        for copy in copies {
            match copy {
                Copy::Buffer(copy) => {
                    let (from, to) =
                        (&self.buffers[copy.from.buffer as usize].buffer, &self.destinations[copy.to.buffer as usize]);
                    encoder.copy_buffer_to_buffer(from, copy.from.offset, to, copy.to.offset, copy.from.bytes);
                }
                Copy::Other(number) => {
                    let copy = &self.textures[number as usize];
                    copy.record(encoder, &self.buffers[copy.buffer() as usize].buffer);
                }
            }
        }
        self.destinations.clear();
        self.textures.clear();
        for buffer in flushed {
            let returning = Returning { buffer, flush, to: Arc::downgrade(&self.returned) };
            let slot = &self.buffers[buffer as usize];
            encoder.map_buffer_on_submit(&slot.buffer, wgpu::MapMode::Write, .., move |mapped| {
                returning.ended(mapped.is_ok());
            });
        }
        recorded
    }

    /// What was flushed is submitted, as `submission`: the next write goes to the next buffer. Call it once a frame.
    pub fn advance_ring(&mut self, submission: wgpu::SubmissionIndex) {
        self.last_submission = Some(submission);
        self.collect();
        self.plan.advance();
        if self.plan.tick().is_some() {
            self.buffers.pop();
        }
    }

    /// The buffer that is being filled, or that is next.
    #[must_use]
    pub fn get_current_buffer(&self) -> &wgpu::Buffer {
        &self.buffers[self.plan.current() as usize].buffer
    }

    /// The figures as they are now.
    #[must_use]
    pub fn stats(&self) -> StagingStats {
        StagingStats { ring: self.plan.stats(), ..self.stats }
    }

    /// Bytes of each buffer that wait for the GPU, in the order of the ring.
    pub fn in_flight(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.plan.in_flight()
    }

    /// Room in the plan, with a mapped view behind it.
    #[inline]
    pub(super) fn take(&mut self, bytes: u64, align: u64) -> Result<Reserved, StagingError> {
        let reserved = match self.plan.reserve(bytes, align) {
            Ok(reserved) => reserved,
            Err(Refused::Stalled { .. }) => self.take_stalled(bytes, align)?,
            Err(refused) => return Err(refused.into()),
        };
        Ok(reserved)
    }

    /// The mapped bytes of a reservation.
    #[inline]
    pub(super) fn view(&mut self, reserved: Reserved) -> Result<wgpu::WriteOnly<'_, [u8]>, StagingError> {
        let range = reserved.offset as usize..(reserved.offset + reserved.bytes) as usize;
        match self.buffers[reserved.buffer as usize].view.as_mut() {
            Some(view) => Ok(view.slice(range)),
            None => Err(StagingError::NoBuffer),
        }
    }

    #[inline]
    fn send(&mut self, reserved: Reserved, to: &wgpu::Buffer, offset: u64) {
        if self.destinations.last() != Some(to) {
            self.destinations.push(to.clone());
        }
        let number = self.destinations.len() as u64 - 1;
        self.plan.copy(reserved, Destination { buffer: number, offset });
    }

    pub(super) fn send_texture(&mut self, reserved: Reserved, copy: super::texture::TextureCopy) {
        self.textures.push(copy);
        self.plan.copy_other(reserved, self.textures.len() as u64 - 1);
    }

    #[cold]
    fn take_stalled(&mut self, bytes: u64, align: u64) -> Result<Reserved, StagingError> {
        let begun = Instant::now();
        // Others may have told the device to look long ago.
        let _ = self.device.poll(wgpu::PollType::Poll);
        self.collect();
        let result = self.make_ready(bytes, align);
        let waited = begun.elapsed();
        self.stats.stall_time += waited;
        self.probe.stalled(waited);
        result
    }

    fn make_ready(&mut self, bytes: u64, align: u64) -> Result<Reserved, StagingError> {
        let refused = match self.plan.reserve(bytes, align) {
            Ok(reserved) => return Ok(reserved),
            Err(refused) => refused,
        };
        match (self.stall, refused) {
            (StallPolicy::Grow { .. }, Refused::Stalled { may_grow: true, .. }) => {
                let slot = Slot::new(&self.device, self.plan.config().buffer_bytes);
                if slot.view.is_none() {
                    return Err(StagingError::NoBuffer);
                }
                if self.plan.grow().is_some() {
                    self.buffers.push(slot);
                }
            }
            (StallPolicy::Wait { timeout }, Refused::Stalled { oldest: Some(_), .. }) => {
                let submission_index = self.last_submission.clone();
                let waited = self.device.poll(wgpu::PollType::Wait { submission_index, timeout: Some(timeout) });
                self.collect();
                if waited.is_err() {
                    return Err(StagingError::TimedOut);
                }
            }
            _ => return Err(refused.into()),
        }
        Ok(self.plan.reserve(bytes, align)?)
    }

    /// Takes back what the GPU is done with, and makes anew what is lost.
    fn collect(&mut self) {
        let returned = std::mem::take(&mut *self.returned.lock());
        for Returned { buffer, flush, mapped } in returned {
            let slot = &mut self.buffers[buffer as usize];
            slot.view = if mapped { slot.buffer.get_mapped_range_mut(..).ok() } else { None };
            if slot.view.is_some() {
                self.plan.ready(buffer, flush);
            } else {
                self.plan.broken(buffer, flush);
            }
        }
        while let Some(buffer) = self.plan.to_repair() {
            let slot = Slot::new(&self.device, self.plan.config().buffer_bytes);
            if slot.view.is_none() {
                break;
            }
            self.buffers[buffer as usize] = slot;
            self.plan.repaired(buffer);
        }
    }

    #[cold]
    fn write_dedicated(&mut self, to: &wgpu::Buffer, offset: u64, data: &[u8]) -> Result<(), StagingError> {
        let bytes = data.len() as u64;
        let Slot { buffer, view } = Slot::new(&self.device, bytes);
        view.ok_or(StagingError::NoBuffer)?.copy_from_slice(data);
        self.stats.dedicated += 1;
        self.stats.dedicated_bytes += bytes;
        self.dedicated.push(Dedicated { buffer, to: to.clone(), offset, bytes });
        Ok(())
    }

    fn flush_dedicated(&mut self, encoder: &mut wgpu::CommandEncoder) -> usize {
        let dedicated = std::mem::take(&mut self.dedicated);
        for Dedicated { buffer, to, offset, bytes } in &dedicated {
            buffer.unmap();
            encoder.copy_buffer_to_buffer(buffer, 0, to, *offset, *bytes);
        }
        dedicated.len()
    }
}

impl StagingSlice<'_> {
    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.reserved.map_or(0, |reserved| reserved.bytes)
    }

    /// Never: nothing is reserved for no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, to be written and not read: mapped memory may be slow to read.
    #[inline]
    pub fn bytes(&mut self) -> wgpu::WriteOnly<'_, [u8]> {
        match self.reserved.and_then(|reserved| self.ring.view(reserved).ok()) {
            Some(view) => view,
            None => wgpu::WriteOnly::from_mut(&mut []),
        }
    }

    /// The bytes go into `buffer` from the byte `offset` on, with the next flush.
    ///
    /// # Errors
    /// [`StagingError`]: offset or length is no multiple of four, or the bytes go beyond the end.
    #[inline]
    pub fn copy_to_buffer(mut self, buffer: &wgpu::Buffer, offset: u64) -> Result<(), StagingError> {
        check(buffer, offset, self.len())?;
        if let Some(reserved) = self.reserved.take() {
            self.ring.send(reserved, buffer, offset);
        }
        Ok(())
    }
}

impl Drop for StagingSlice<'_> {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            self.ring.plan.unreserve(reserved);
        }
    }
}

impl Slot {
    /// A mapped buffer; without a view if it could not be made.
    fn new(device: &wgpu::Device, bytes: u64) -> Self {
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging ring"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        });
        let view = buffer.get_mapped_range_mut(..).ok();
        Self { buffer, view }
    }
}

/// Tells the ring what has become of a buffer, exactly once: at the latest when it is dropped, since its commands were.
struct Returning {
    buffer: u32,
    flush: u64,
    to: Weak<Mutex<Vec<Returned>>>,
}

impl Returning {
    fn ended(mut self, mapped: bool) {
        self.tell(mapped);
    }

    fn tell(&mut self, mapped: bool) {
        if let Some(to) = std::mem::take(&mut self.to).upgrade() {
            to.lock().push(Returned { buffer: self.buffer, flush: self.flush, mapped });
        }
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        self.tell(false);
    }
}

/// Whether bytes may go there.
#[inline]
fn check(buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> Result<(), StagingError> {
    const ALIGNMENT: u64 = wgpu::COPY_BUFFER_ALIGNMENT;
    if !offset.is_multiple_of(ALIGNMENT) || !bytes.is_multiple_of(ALIGNMENT) {
        return Err(StagingError::Misaligned { offset, bytes });
    }
    match offset.checked_add(bytes) {
        Some(end) if end <= buffer.size() => Ok(()),
        _ => Err(StagingError::OutOfBounds { offset, bytes, size: buffer.size() }),
    }
}

impl fmt::Debug for StagingSlice<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StagingSlice").field("reserved", &self.reserved).finish_non_exhaustive()
    }
}

impl fmt::Debug for StagingRing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StagingRing")
            .field("stall", &self.stall)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
