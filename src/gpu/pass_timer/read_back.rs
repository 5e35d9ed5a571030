//! Submissions whose passes are read back.

use std::mem;
use std::sync::{Arc, Weak};
use std::time::Duration;

use engine_vitals_core::monitor::UntimedPass;
use parking_lot::Mutex;

use super::names::{NameId, Names};
use super::pool::{CHUNK_PASSES, CHUNKS};
use super::timer::{PassTimer, STAMPS};
use super::{PassTiming, Span};
use crate::gpu::slots::Slots;
use crate::gpu::ticks::Period;
use crate::gpu::timestamps::{READ, buffer, made};

/// A pass of a submission.
#[derive(Debug)]
pub(super) struct TimedPass {
    name: NameId,
    /// Its two queries, among all pairs.
    pair: u32,
    /// Where in the buffer its first stamp is; its second follows.
    at: usize,
    /// Both, once they were read.
    stamps: (u64, u64),
}

impl TimedPass {
    pub(super) fn new(name: NameId, pair: u32, at: usize) -> Self {
        Self { name, pair, at, stamps: (0, 0) }
    }

    /// How long it ran, or why that is not known.
    fn time(&self, period: Period) -> Result<Duration, UntimedPass> {
        let (begin, end) = self.stamps;
        // Queries that were not written read as zero; Metal's error value is all ones.
        if [begin, end].iter().any(|&stamp| stamp == 0 || stamp == u64::MAX) {
            return Err(UntimedPass::Unwritten);
        }
        period.between(begin, end).ok_or(UntimedPass::Disorder)
    }
}

/// What the stamps of one device are read back with. All is made when it is first needed, and used again.
#[derive(Debug)]
pub(super) struct ReadBacks {
    slots: Mutex<Slots>,
    reads: Vec<Mutex<Read>>,
    /// The first stamp that each pair of queries was read with, to know a pair that was not written again.
    last: Mutex<Box<[u64]>>,
    /// Empty lists with room.
    lists: Mutex<Vec<Vec<TimedPass>>>,
}

#[derive(Debug, Default)]
struct Read {
    /// `None` before the first use, and after a mapping that failed: wgpu takes the buffer for mapped from then on.
    buffer: Option<wgpu::Buffer>,
    /// What was in it when it was read last, from its begin; zeros follow.
    held: Vec<u64>,
}

impl ReadBacks {
    /// Submissions that may be in flight.
    const SLOTS: u32 = 32;

    pub(super) fn new() -> Self {
        Self {
            slots: Mutex::new(Slots::new(Self::SLOTS)),
            reads: (0..Self::SLOTS).map(|_| Mutex::default()).collect(),
            last: Mutex::new(vec![0; (CHUNKS * CHUNK_PASSES) as usize].into()),
            lists: Mutex::default(),
        }
    }

    /// Brings the stamps of these passes into them. `None` if they are not of this submission: it was refused, and nothing was written.
    fn read(&self, slot: u32, bytes: u64, passes: &mut [TimedPass]) -> Option<()> {
        // No lock is held while wgpu is called.
        let (buffer, mut held) = {
            let mut read = self.reads[slot as usize].lock();
            (read.buffer.clone()?, mem::take(&mut read.held))
        };
        let range = buffer.slice(..bytes).get_mapped_range();
        let written = range.map(|range| hold(&mut held, &range));
        buffer.unmap();
        let stamp = |at: usize| held.get(at).copied().unwrap_or(0);
        for pass in passes.iter_mut() {
            pass.stamps = (stamp(pass.at), stamp(pass.at + 1));
        }
        self.reads[slot as usize].lock().held = held;
        // A backend that writes no stamps leaves zeros.
        if !written.ok()? && passes.iter().any(|pass| pass.stamps != (0, 0)) {
            return None;
        }
        let mut last = self.last.lock();
        for pass in passes {
            // A pass that the backend left out has the stamps of the one before.
            let fresh =
                last.get_mut(pass.pair as usize).is_some_and(|last| mem::replace(last, pass.stamps.0) != pass.stamps.0);
            if !fresh {
                pass.stamps = (0, 0);
            }
        }
        Some(())
    }
}

/// Takes over what is in the buffer now. Whether it is anything else than before: a clock that runs gives no stamp twice.
fn hold(held: &mut Vec<u64>, bytes: &[u8]) -> bool {
    let (stamps, _) = bytes.as_chunks();
    held.resize(held.len().max(stamps.len()), 0);
    let mut written = false;
    for (held, stamp) in held.iter_mut().zip(stamps) {
        let stamp = u64::from_le_bytes(*stamp);
        written |= mem::replace(held, stamp) != stamp;
    }
    written
}

/// A submission whose passes are being read back. However it ends, its passes are told or counted, once: at the latest when it is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    /// A callback of wgpu's holds this, so it must not keep the timer, which keeps the device.
    timer: Weak<PassTimer>,
    timing: Arc<PassTiming>,
    /// `None` once it is free again.
    slot: Option<u32>,
    frame: u64,
    passes: Vec<TimedPass>,
    told: bool,
    span: Option<Span>,
}

impl InFlight {
    /// `None` while as many are in flight as may be, and if there is no memory for another.
    pub(super) fn begin(timer: &Arc<PassTimer>) -> Option<Self> {
        let reads = &timer.reads;
        let slot = reads.slots.lock().take()?;
        let missing = reads.reads[slot as usize].lock().buffer.is_none();
        if missing {
            let Some(buffer) = made(&timer.device, || buffer(&timer.device, STAMPS, READ)) else {
                reads.slots.lock().release(slot);
                return None;
            };
            *reads.reads[slot as usize].lock() = Read { buffer: Some(buffer), held: Vec::new() };
        }
        let passes = reads.lists.lock().pop().unwrap_or_default();
        let (timing, timer) = (Arc::clone(&timer.timing), Arc::downgrade(timer));
        Some(Self { timer, frame: timing.submitted(), timing, slot: Some(slot), passes, told: false, span: None })
    }

    /// The passes, to be filled.
    pub(super) fn passes(&mut self) -> &mut Vec<TimedPass> {
        &mut self.passes
    }

    /// Records the read-back of what is resolved in `resolved`.
    pub(super) fn read_back(
        self,
        encoder: &mut wgpu::CommandEncoder,
        timer: &PassTimer,
        resolved: &wgpu::Buffer,
        bytes: u64,
    ) {
        let buffer = self.slot.and_then(|slot| timer.reads.reads[slot as usize].lock().buffer.clone());
        let Some(buffer) = buffer else { return };
        encoder.copy_buffer_to_buffer(resolved, 0, &buffer, 0, bytes);
        encoder.map_buffer_on_submit(&buffer, wgpu::MapMode::Read, ..bytes, move |mapped| {
            self.mapped(mapped.is_ok(), bytes);
        });
    }

    fn mapped(mut self, mapped: bool, bytes: u64) {
        let (Some(timer), Some(slot)) = (self.timer.upgrade(), self.slot) else { return };
        if !mapped {
            timer.reads.reads[slot as usize].lock().buffer = None;
        } else if timer.reads.read(slot, bytes, &mut self.passes).is_some() {
            // The slot is free before anybody learns of the times, who may submit more at once.
            self.release(&timer);
            self.tell(&timer);
        }
    }

    /// Tells what each pass took, and keeps from when to when they ran.
    fn tell(&mut self, timer: &PassTimer) {
        self.told = true;
        let Some(sink) = &self.timing.sink else { return };
        let mut refused = 0;
        for pass in &self.passes {
            match pass.time(timer.period) {
                Ok(time) => {
                    let (begin, end) = pass.stamps;
                    let span = self.span.get_or_insert(timer.span(begin, end));
                    (span.first, span.last) = (span.first.min(begin), span.last.max(end));
                    sink.pass(self.frame, &self.timing.names.name(pass.name), time);
                    refused += u64::from(pass.name == Names::OTHER);
                }
                Err(why) => sink.untimed(why, 1),
            }
        }
        if refused > 0 {
            sink.names_refused(refused);
        }
    }

    fn release(&mut self, timer: &PassTimer) {
        if let Some(slot) = self.slot.take() {
            let released = timer.reads.slots.lock().release(slot);
            debug_assert!(released, "slot {slot} was released twice");
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let passes = u32::try_from(self.passes.len()).unwrap_or(u32::MAX);
        if let Some(timer) = self.timer.upgrade() {
            self.release(&timer);
            timer.landed(self.frame, passes);
            let mut list = mem::take(&mut self.passes);
            list.clear();
            timer.reads.lists.lock().push(list);
        }
        if !self.told {
            self.timing.untimed(UntimedPass::Failed, passes);
        }
        self.timing.ended(self.frame, self.span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_submission_has_written_is_told_by_each_place() {
        let bytes = |stamps: &[u64]| stamps.iter().flat_map(|stamp| stamp.to_le_bytes()).collect::<Vec<u8>>();
        let mut held = Vec::new();
        assert!(!hold(&mut held, &bytes(&[0, 0])), "nothing was ever written");
        assert!(hold(&mut held, &bytes(&[1, 2, 3, 4])));
        assert!(!hold(&mut held, &bytes(&[1, 2])), "fewer places");
        assert!(!hold(&mut held, &bytes(&[1, 2, 3, 4, 0, 0])), "more places");
        assert!(hold(&mut held, &bytes(&[5, 6])));
        assert_eq!(held, [5, 6, 3, 4, 0, 0]);
        assert!(!hold(&mut held, &bytes(&[5, 6, 3, 4])), "what was read before the last time");
    }

    #[test]
    fn a_pass_has_a_time_if_both_stamps_were_written_in_order() {
        let period = Period::new(2.0).unwrap();
        let time =
            |begin, end| TimedPass { stamps: (begin, end), ..TimedPass::new(NameId::default(), 0, 0) }.time(period);
        assert_eq!(time(10, 15), Ok(Duration::from_nanos(10)));
        assert_eq!(time(10, 10), Ok(Duration::ZERO));
        assert_eq!(time(10, 9), Err(UntimedPass::Disorder));
        for (begin, end) in [(0, 9), (9, 0), (0, 0), (u64::MAX, 9), (9, u64::MAX)] {
            assert_eq!(time(begin, end), Err(UntimedPass::Unwritten));
        }
    }
}
