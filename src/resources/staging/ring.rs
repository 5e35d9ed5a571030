//! The ring itself: what a program calls each frame.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Weak};

use engine_vitals_core::contract::Store;
use engine_vitals_core::probe::Probe;

use super::copy::{Filled, Way};
use super::plan::{DEDICATED, Destination, Flush, PlanConfig, Reserved, StagingStats};
use super::shared::Shared;
use super::slot::{Maker, Slot, Word};
use super::texture::TextureCopy;
use super::{StagingConfig, StagingError, StagingSlice, StallPolicy};
use crate::instrument;

/// Of the destinations of a flush, so many are recognised when they are written again.
const DESTINATIONS_SEEN: usize = 8;

/// A ring of staging buffers. They stay mapped while nothing uses them, so that a write is a copy into memory; [`flush`](Self::flush) records
/// the copies from there to their destinations, neighbours as one, and has each buffer mapped again when the GPU is done with it. Nothing
/// waits for that, unless the [policy](StallPolicy) says so.
///
/// # What goes where
/// A write goes behind the one before it, or where it does not fit, to the beginning of the next buffer. One that is larger than a buffer, into a
/// buffer or a texture, gets a dedicated buffer, which is kept for the next large write until none has come for
/// [`quiet_frames`](StagingConfig::quiet_frames). A texture that is larger than a dedicated buffer may be is split at whole rows. Copies are
/// recorded in the order of the writes, so that the last one wins where they overlap.
///
/// Copies between buffers are of words of four bytes. [`write_buffer`](Self::write_buffer) writes any bytes: of a word of which only some are
/// written the others are kept, on the GPU, by three small copies. The destination needs `COPY_SRC` for that.
///
/// # Losses
/// Bytes that are written and never flushed, or flushed into an encoder that is never submitted, go nowhere: they are
/// [`unsubmitted_bytes`](StagingStats::unsubmitted_bytes), and the guard `unsubmitted_writes` warns of them. If commands with a flush are dropped, its
/// buffers come back and [`dropped_bytes`](StagingStats::dropped_bytes) says how much was lost. A submission that wgpu refuses as invalid (a
/// destination was destroyed meanwhile) loses its bytes too, which wgpu's error tells and the ring cannot know. After the device is lost
/// writes fail with [`StagingError::NoBuffer`] once no mapped buffer is left. A ring may be dropped while its buffers are in flight.
///
/// # Thread rules
/// `Send`, and its methods take `&mut self`: give each thread a ring of its own, or put one behind a lock. The device may be polled, and the ring's
/// report read, on any thread meanwhile. A write that finds no buffer ready polls the device, which runs the callbacks of others: none of them may
/// ask for a lock that is held around the ring.
pub struct StagingRing {
    pub(super) shared: Arc<Shared>,
    pub(super) maker: Maker,
    pub(super) stall: StallPolicy,
    pub(super) in_place: InPlaceUse,
    /// By number.
    pub(super) buffers: Vec<Slot>,
    /// By number, less [`DEDICATED`].
    pub(super) dedicated: Vec<Option<Slot>>,
    /// What the copies of the next flush go to, by their numbers.
    pub(super) destinations: Vec<wgpu::Buffer>,
    pub(super) textures: Vec<TextureCopy>,
    /// Where words come together of which only some bytes are written.
    pub(super) word: Option<Word>,
    /// The last flush.
    pub(super) flush: Flush,
    /// The last write, if the next may go on where it ended.
    last: Option<LastWrite>,
    pub(super) filled: Filled,
    buffer_bytes: u64,
    /// The buffers of a submission, kept for its memory.
    submitted: Vec<u32>,
}

/// A write of whole words into a buffer, which is the plan's last copy, and those that went on behind it.
#[derive(Debug)]
struct LastWrite {
    /// In which buffer of the ring, and up to which byte.
    buffer: u32,
    end: u64,
    /// Where the first byte goes, and how many there are.
    destination: Destination,
    bytes: u64,
    /// Of those, what the plan does not know.
    more_bytes: u64,
    more_writes: u64,
}

/// How bytes are used in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InPlaceUse {
    /// Not at all.
    Refused,
    /// The GPU uses the staging buffer itself.
    Direct,
    /// The GPU uses its twin.
    Twin(wgpu::BufferUsages),
}

impl StagingRing {
    /// A ring of `ring_count` buffers of `buffer_size` bytes each that grows to twice as many. If the device is instrumented, it reports to the
    /// same probe, under the name `staging ring`.
    ///
    /// All buffers are made and mapped now, since that takes several times as long as to fill them. What there is no memory for is made when
    /// it is needed, if there is then.
    #[must_use]
    pub fn new(device: &wgpu::Device, ring_count: u32, buffer_size: u64) -> Self {
        let stall = StallPolicy::Grow { most_buffers: ring_count.saturating_mul(2) };
        let config = StagingConfig { ring_count, buffer_size, stall, ..StagingConfig::default() };
        Self::with_config(device, instrument::device_probe(device).unwrap_or(Probe::OFF), "staging ring", config)
    }

    /// A ring that reports to a probe by that name: its buffers, what is staged and how long writes take and stall; and it is listed in the
    /// lifecycle report for as long as it lives.
    ///
    /// A buffer is one resource there, whose owner is the ring: of the kind `staging ring`. On a device that is instrumented for the same probe the
    /// device reports it, on any other the ring.
    #[must_use]
    pub fn with_config(device: &wgpu::Device, probe: Probe, name: &str, config: StagingConfig) -> Self {
        let most_bytes = device.limits().max_buffer_size;
        let most_buffers = match config.stall {
            StallPolicy::Grow { most_buffers } => most_buffers,
            StallPolicy::Wait { .. } | StallPolicy::WouldStall => config.ring_count,
        };
        let plan = PlanConfig {
            buffers: config.ring_count,
            buffer_bytes: config.buffer_size.min(most_bytes),
            most_buffers,
            most_dedicated_bytes: config.most_dedicated_bytes,
            largest_dedicated_bytes: most_bytes,
            quiet_ticks: config.quiet_frames,
        };
        let in_place = in_place_use(device, config.in_place_usage);
        let usage = if in_place == InPlaceUse::Direct { config.in_place_usage } else { wgpu::BufferUsages::empty() };
        let shared = Arc::new(Shared::new(name, plan));
        let listed: Weak<Shared> = Arc::downgrade(&shared);
        probe.list(listed as Weak<dyn Store>);
        let mut ring = Self {
            shared,
            maker: Maker::new(device, probe, name, usage),
            stall: config.stall,
            in_place,
            buffers: Vec::new(),
            dedicated: Vec::new(),
            destinations: Vec::new(),
            textures: Vec::new(),
            word: None,
            flush: Flush::default(),
            last: None,
            filled: Filled::default(),
            buffer_bytes: 0,
            submitted: Vec::new(),
        };
        let PlanConfig { buffers, buffer_bytes, .. } = *ring.shared.lock().plan.config();
        ring.buffer_bytes = buffer_bytes;
        for number in 0..buffers {
            let slot = ring.maker.slot(buffer_bytes);
            if slot.view.is_none() {
                ring.shared.lock().plan.broken(number);
            }
            ring.buffers.push(slot);
        }
        ring
    }

    /// Writes `data` into `buffer` from the byte `offset` on, with the next flush.
    ///
    /// # Errors
    /// [`StagingError`]: the data goes beyond the end, the buffer cannot be copied to (or from, where offset or length is no multiple of four), or no
    /// buffer of the ring is ready.
    #[inline]
    #[track_caller]
    pub fn write_buffer(&mut self, buffer: &wgpu::Buffer, offset: u64, data: &[u8]) -> Result<(), StagingError> {
        let bytes = data.len() as u64;
        const ALIGN: u64 = wgpu::COPY_BUFFER_ALIGNMENT;
        if self.goes_on(buffer, offset, data) {
            return Ok(());
        }
        self.check(buffer, offset, bytes)?;
        if bytes == 0 {
            return Ok(());
        }
        let (reserved, way) = self.take(bytes, ALIGN, offset & (ALIGN - 1))?;
        let probe = self.maker.probe;
        if let Some(view) = self.view(reserved) {
            probe.uploading(bytes, || way.copy(view, data));
        }
        self.maker.staged(bytes);
        let destination = self.destination(buffer, offset);
        self.shared.lock().plan.copy(reserved, destination);
        if reserved.buffer < DEDICATED && (offset | bytes) & (ALIGN - 1) == 0 {
            let Reserved { buffer, offset: at, .. } = reserved;
            self.last = Some(LastWrite { buffer, end: at + bytes, destination, bytes, more_bytes: 0, more_writes: 0 });
        }
        Ok(())
    }

    /// Writes what goes on where the last write ended, without asking the plan.
    #[inline]
    #[track_caller]
    fn goes_on(&mut self, buffer: &wgpu::Buffer, offset: u64, data: &[u8]) -> bool {
        let bytes = data.len() as u64;
        let Some(last) = &mut self.last else { return false };
        let follows = offset == last.destination.offset + last.bytes
            && bytes & (wgpu::COPY_BUFFER_ALIGNMENT - 1) == 0
            && bytes <= self.buffer_bytes - last.end
            && bytes <= buffer.size().saturating_sub(offset)
            && self.destinations[last.destination.buffer as usize] == *buffer;
        let view = self.buffers.get_mut(last.buffer as usize).and_then(|slot| slot.view.as_mut());
        let (true, Some(view)) = (follows && bytes > 0, view) else { return false };
        let range = last.end as usize..(last.end + bytes) as usize;
        last.end += bytes;
        last.bytes += bytes;
        last.more_bytes += bytes;
        last.more_writes += 1;
        self.shared.went_on(last.more_bytes, last.more_writes);
        let way = self.filled.more(bytes);
        self.maker.probe.uploading(bytes, || way.copy(view.slice(range), data));
        self.maker.staged(bytes);
        true
    }

    /// Tells the plan of what went on.
    #[inline]
    pub(super) fn tell(&mut self) {
        if let Some(last) = self.last.take()
            && last.more_writes > 0
        {
            let told = self.shared.tell(last.buffer, last.more_bytes, last.more_writes);
            debug_assert!(told, "the last write was not the plan's last copy");
        }
    }

    /// Room for `bytes` bytes at a multiple of `align` in the ring, to be written in place and then [sent](StagingSlice::copy_to_buffer) to where
    /// they belong, or [used where they are](StagingSlice::in_place).
    ///
    /// # Errors
    /// [`StagingError`]: nothing or too much was asked for, the alignment is no power of two, or no buffer of the ring is ready.
    #[inline]
    #[track_caller]
    pub fn reserve(&mut self, bytes: u64, align: u64) -> Result<StagingSlice<'_>, StagingError> {
        let (reserved, _) = self.take(bytes, align.max(wgpu::COPY_BUFFER_ALIGNMENT), 0)?;
        Ok(StagingSlice::new(self, reserved))
    }

    /// All that was flushed is submitted, by `submission` at the latest. Takes back what the GPU is done with, and gives up what was not needed
    /// for long. Call it once a frame, after the submission.
    #[expect(clippy::needless_pass_by_value, reason = "as `Queue::submit` gives it")]
    pub fn advance_ring(&mut self, submission: wgpu::SubmissionIndex) {
        self.collect();
        self.repair();
        let mut submitted = std::mem::take(&mut self.submitted);
        // Dropped when the lock is not held any more: wgpu may have other work to do then.
        let mut gone = Vec::new();
        let mut state = self.shared.lock();
        state.plan.submitted(|number| submitted.push(number));
        if state.plan.tick().is_some() {
            gone.extend(self.buffers.pop());
        }
        while let Some(number) = state.plan.quiet_dedicated() {
            gone.extend(take_dedicated(&mut self.dedicated, number));
        }
        state.twin_bytes -= twin_bytes(&gone);
        drop(state);
        for number in submitted.drain(..) {
            if let Some(slot) = self.slot_mut(number) {
                slot.submission = Some(submission.clone());
            }
        }
        self.submitted = submitted;
    }

    /// The buffer that is being filled, or that is next. For a look at it: its contents are the ring's.
    #[must_use]
    pub fn get_current_buffer(&self) -> &wgpu::Buffer {
        let current = self.shared.lock().plan.current();
        &self.buffers[current as usize].buffer
    }

    /// The figures as they are now.
    #[must_use]
    pub fn stats(&self) -> StagingStats {
        self.shared.stats()
    }

    /// Bytes of each buffer that were flushed and that the GPU is not done with, in the order of the ring; then of the dedicated ones.
    #[must_use]
    pub fn in_flight(&self) -> Vec<u64> {
        self.shared.lock().plan.in_flight().collect()
    }

    /// Whether bytes that are [used in place](StagingSlice::in_place) are used by the GPU where the program writes them. It is so on a device with
    /// the feature `MAPPABLE_PRIMARY_BUFFERS`, unless its memory is not the program's: on a discrete GPU.
    #[must_use]
    pub fn is_copy_free(&self) -> bool {
        self.in_place == InPlaceUse::Direct
    }

    /// The number of a destination, and where the bytes go there.
    #[inline]
    pub(super) fn destination(&mut self, buffer: &wgpu::Buffer, offset: u64) -> Destination {
        // Streams that are written in turn, vertices and indices, have few destinations.
        let last = self.destinations.len();
        let among = last.saturating_sub(DESTINATIONS_SEEN);
        let known = self.destinations[among..].iter().rposition(|one| one == buffer);
        let number = known.map_or(last, |index| among + index);
        if number == last {
            self.destinations.push(buffer.clone());
        }
        Destination { buffer: number as u64, offset }
    }

    /// Room in the ring, which is mapped, and how it is best filled.
    #[inline]
    #[track_caller]
    pub(super) fn take(&mut self, bytes: u64, align: u64, phase: u64) -> Result<(Reserved, Way), StagingError> {
        self.tell();
        let reserved = self.shared.lock().plan.reserve(bytes, align, phase);
        let reserved = match reserved {
            Ok(reserved) => reserved,
            Err(refused) => self.reserve_anyway(refused, [bytes, align, phase])?,
        };
        if reserved.offset < wgpu::COPY_BUFFER_ALIGNMENT
            && let Some(now) = self.maker.probe.now()
        {
            self.shared.lock().begin(reserved.buffer, now.unix_nanos(), Location::caller());
        }
        if self.slot(reserved.buffer).is_some_and(|slot| slot.view.is_some()) {
            return Ok((reserved, self.filled.more(bytes)));
        }
        debug_assert!(false, "a buffer that is not mapped was ready");
        self.shared.lock().plan.unreserve(reserved);
        Err(self.failed(StagingError::NoBuffer))
    }

    /// The memory of a reservation.
    #[inline]
    pub(super) fn view(&mut self, reserved: Reserved) -> Option<wgpu::WriteOnly<'_, [u8]>> {
        let range = reserved.offset as usize..(reserved.offset + reserved.bytes) as usize;
        Some(self.slot_mut(reserved.buffer)?.view.as_mut()?.slice(range))
    }

    #[inline]
    pub(super) fn slot(&self, number: u32) -> Option<&Slot> {
        match number.checked_sub(DEDICATED) {
            Some(index) => self.dedicated.get(index as usize)?.as_ref(),
            None => self.buffers.get(number as usize),
        }
    }

    #[inline]
    pub(super) fn slot_mut(&mut self, number: u32) -> Option<&mut Slot> {
        match number.checked_sub(DEDICATED) {
            Some(index) => self.dedicated.get_mut(index as usize)?.as_mut(),
            None => self.buffers.get_mut(number as usize),
        }
    }

    /// Whether bytes may go there.
    #[inline]
    pub(super) fn check(&mut self, buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> Result<(), StagingError> {
        let words = (offset | bytes) & (wgpu::COPY_BUFFER_ALIGNMENT - 1) == 0;
        let fits = offset.checked_add(bytes).is_some_and(|end| end <= buffer.size());
        if words && fits && buffer.usage().contains(wgpu::BufferUsages::COPY_DST) {
            return Ok(());
        }
        self.check_unusual(buffer, offset, bytes)
    }

    #[cold]
    fn check_unusual(&mut self, buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> Result<(), StagingError> {
        let size = buffer.size();
        let checked = if offset.checked_add(bytes).is_none_or(|end| end > size) {
            Err(StagingError::OutOfBounds { offset, bytes, size })
        } else if !buffer.usage().contains(wgpu::BufferUsages::COPY_DST) {
            Err(StagingError::NoCopyDestination)
        } else if !buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
            Err(StagingError::Misaligned { offset, bytes })
        } else {
            if self.word.is_none() {
                self.word = self.maker.word();
            }
            if self.word.is_some() { Ok(()) } else { Err(StagingError::NoBuffer) }
        };
        checked.map_err(|error| self.failed(error))
    }

    /// Counts an error.
    #[cold]
    pub(super) fn failed(&self, error: StagingError) -> StagingError {
        self.shared.lock().plan.failed();
        error
    }
}

/// Takes a dedicated buffer out of the list.
pub(super) fn take_dedicated(dedicated: &mut [Option<Slot>], number: u32) -> Option<Slot> {
    let index = number.checked_sub(DEDICATED)?;
    dedicated.get_mut(index as usize)?.take()
}

/// Bytes of the twins of some slots.
pub(super) fn twin_bytes(slots: &[Slot]) -> u64 {
    slots.iter().filter_map(|slot| slot.twin.as_ref()).map(wgpu::Buffer::size).sum()
}

fn in_place_use(device: &wgpu::Device, usage: wgpu::BufferUsages) -> InPlaceUse {
    let mappable = device.features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
    if usage.is_empty() {
        InPlaceUse::Refused
    } else if mappable && device.adapter_info().device_type != wgpu::DeviceType::DiscreteGpu {
        InPlaceUse::Direct
    } else {
        InPlaceUse::Twin(usage)
    }
}

impl fmt::Debug for StagingRing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StagingRing")
            .field("stall", &self.stall)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
