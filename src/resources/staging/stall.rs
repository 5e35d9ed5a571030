//! Where a ring gets a buffer from when none is ready, and how buffers come back.

use std::time::Duration;

use web_time::Instant;

use super::plan::{DEDICATED, Landing, Refused, Reserved, StalledOn};
use super::ring::{StagingRing, take_dedicated, twin_bytes};
use super::shared::Returning;
use super::slot::Slot;
use super::{StagingError, StallPolicy};

/// Bytes, alignment, and how far beyond it.
type Ask = [u64; 3];

impl StagingRing {
    /// Room in the ring after the plan has refused it once.
    #[cold]
    pub(super) fn reserve_anyway(&mut self, refused: Refused, ask: Ask) -> Result<Reserved, StagingError> {
        let reserved = match refused {
            Refused::NeedsDedicated { .. } | Refused::Stalled { .. } => self.reserve_slowly(ask),
            Refused::Zero | Refused::Alignment(_) | Refused::TooLarge { .. } => Err(refused.into()),
        };
        reserved.map_err(|error| self.failed(error))
    }

    fn reserve_slowly(&mut self, ask: Ask) -> Result<Reserved, StagingError> {
        self.collect();
        if let Ok(reserved) = self.ask(ask) {
            return Ok(reserved);
        }
        // Nobody may have told the device to look for long.
        let _ = self.maker.device.poll(wgpu::PollType::Poll);
        self.collect();
        self.repair();
        let refused = match self.ask(ask) {
            Ok(reserved) => return Ok(reserved),
            Err(refused) => refused,
        };
        let begun = Instant::now();
        let result = self.make_room(refused, ask, begun);
        let took = begun.elapsed();
        self.shared.lock().plan.stalled(took);
        self.maker.probe.stalled(took);
        result
    }

    fn ask(&self, [bytes, align, phase]: Ask) -> Result<Reserved, Refused> {
        self.shared.lock().plan.reserve(bytes, align, phase)
    }

    /// What the policy has to offer.
    fn make_room(&mut self, mut refused: Refused, ask: Ask, begun: Instant) -> Result<Reserved, StagingError> {
        loop {
            match (refused, self.stall) {
                (Refused::NeedsDedicated { bytes }, _) => self.add_dedicated(bytes)?,
                (Refused::Stalled { may_grow: true, .. }, StallPolicy::Grow { .. }) => self.grow()?,
                (Refused::Stalled { oldest: Some(oldest), .. }, StallPolicy::Wait { timeout }) => {
                    if let Err(timed_out) = self.wait(oldest, timeout, begun) {
                        // Another may have come meanwhile.
                        return self.ask(ask).map_err(|_| timed_out);
                    }
                    self.repair();
                }
                _ => return Err(self.refusal(refused)),
            }
            match self.ask(ask) {
                Ok(reserved) => return Ok(reserved),
                // It waited for that one, and it did not come: it is not submitted.
                Err(again) if again == refused => return Err(self.refusal(refused)),
                Err(other) => refused = other,
            }
        }
    }

    fn refusal(&self, refused: Refused) -> StagingError {
        let failed = |landed: Option<(u32, Landing)>| landed.is_some_and(|(_, landing)| landing == Landing::Failed);
        let is_stalled = matches!(refused, Refused::Stalled { on: StalledOn::AFlush, .. });
        if is_stalled && failed(self.shared.lock().plan.next_landed(0)) {
            return StagingError::NoBuffer;
        }
        refused.into()
    }

    fn grow(&mut self) -> Result<(), StagingError> {
        let bytes = self.shared.lock().plan.config().buffer_bytes;
        let slot = self.maker.slot(bytes);
        if slot.view.is_none() {
            return Err(StagingError::NoBuffer);
        }
        if self.shared.lock().plan.grow().is_some() {
            self.buffers.push(slot);
        }
        Ok(())
    }

    fn add_dedicated(&mut self, bytes: u64) -> Result<(), StagingError> {
        loop {
            let mut state = self.shared.lock();
            let Some(number) = state.plan.idle_dedicated(bytes) else { break };
            let gone = take_dedicated(&mut self.dedicated, number);
            state.twin_bytes -= twin_bytes(gone.as_slice());
            drop(state);
            drop(gone);
        }
        let slot = self.maker.slot(bytes);
        if slot.view.is_none() {
            return Err(StagingError::NoBuffer);
        }
        let index = (self.shared.lock().plan.add_dedicated(bytes) - DEDICATED) as usize;
        if self.dedicated.len() <= index {
            self.dedicated.resize_with(index + 1, || None);
        }
        self.dedicated[index] = Some(slot);
        Ok(())
    }

    /// Waits for the buffer that was flushed first. If no submission of it is known, only as long as there is any work.
    fn wait(&mut self, oldest: u32, timeout: Duration, begun: Instant) -> Result<(), StagingError> {
        let submission_index = self.slot(oldest).and_then(|slot| slot.submission.clone());
        loop {
            let left = timeout.saturating_sub(begun.elapsed());
            let submission_index = submission_index.clone();
            let is_submitted = submission_index.is_some();
            let waited = self.maker.device.poll(wgpu::PollType::Wait { submission_index, timeout: Some(left) });
            self.collect();
            if !self.shared.lock().plan.is_in_flight(oldest) {
                return Ok(());
            }
            match waited {
                Err(wgpu::PollError::Timeout) => return Err(StagingError::TimedOut { waited: begun.elapsed() }),
                // On the web nobody can wait.
                Ok(_) if is_submitted && !cfg!(target_family = "wasm") => {}
                Ok(_) | Err(_) => return Ok(()),
            }
            // The GPU is done, and another thread that polls is about to tell.
            if left.is_zero() {
                return Err(StagingError::TimedOut { waited: begun.elapsed() });
            }
            std::thread::sleep(Duration::from_micros(20).min(left));
        }
    }

    /// Takes back what the GPU is done with. What cannot be taken back is left for [`repair`](Self::repair).
    pub(super) fn collect(&mut self) {
        let mut from = 0;
        loop {
            let next = self.shared.lock().plan.next_landed(from);
            let Some((number, landing)) = next else { return };
            from = number + 1;
            match landing {
                Landing::Mapped => {
                    let Some(slot) = self.slot_mut(number) else { continue };
                    slot.view = slot.buffer.get_mapped_range_mut(..).ok();
                    slot.submission = None;
                    let is_mapped = slot.view.is_some();
                    let plan = &mut self.shared.lock().plan;
                    if is_mapped {
                        plan.ready(number)
                    } else {
                        plan.broken(number)
                    };
                }
                Landing::Dropped => {
                    let flush = self.shared.lock().plan.remapping(number);
                    if let (Some(slot), Some(flush)) = (self.slot(number), flush) {
                        let returning = Returning::new(&self.shared, number, flush);
                        let told = move |mapped: Result<(), _>| returning.mapped(mapped.is_ok());
                        slot.buffer.map_async(wgpu::MapMode::Write, .., told);
                    }
                }
                Landing::Failed => {}
            }
        }
    }

    /// Makes the ring's buffers anew that could not be mapped, as far as there is memory. Dedicated ones are given up.
    pub(super) fn repair(&mut self) {
        loop {
            let mut state = self.shared.lock();
            let Some(number) = state.plan.broken_dedicated() else { break };
            let gone = take_dedicated(&mut self.dedicated, number);
            state.twin_bytes -= twin_bytes(gone.as_slice());
            drop(state);
            drop(gone);
        }
        let mut from = 0;
        loop {
            let next = self.shared.lock().plan.next_landed(from);
            let Some((number, landing)) = next else { return };
            from = number + 1;
            if landing != Landing::Failed {
                continue;
            }
            let Some(bytes) = self.slot(number).map(|slot| slot.buffer.size()) else { continue };
            let made = self.maker.slot(bytes);
            if made.view.is_none() {
                return;
            }
            self.put(number, made);
            self.shared.lock().plan.ready(number);
        }
    }

    fn put(&mut self, number: u32, made: Slot) {
        if let Some(slot) = self.slot_mut(number) {
            let before = std::mem::replace(slot, made);
            self.shared.lock().twin_bytes -= twin_bytes(std::slice::from_ref(&before));
        }
    }

    /// The twin of a buffer, made if need be.
    pub(super) fn twin(&mut self, number: u32, usage: wgpu::BufferUsages) -> Option<wgpu::Buffer> {
        if let Some(twin) = self.slot(number)?.twin.clone() {
            return Some(twin);
        }
        let slot = match number.checked_sub(DEDICATED) {
            Some(index) => self.dedicated.get_mut(index as usize)?.as_mut()?,
            None => self.buffers.get_mut(number as usize)?,
        };
        if self.maker.twin(slot, usage) {
            self.shared.lock().twin_bytes += slot.buffer.size();
        }
        slot.twin.clone()
    }
}
