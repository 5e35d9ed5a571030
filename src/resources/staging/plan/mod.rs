//! Which bytes of which staging buffer are whose: plain data, no graphics API, no clock.
//!
//! A ring has buffers in order. One is being filled; the others were filled and wait to be flushed, or were flushed and wait for the GPU, or
//! are ready. Beside them there are dedicated buffers, each for one write that is larger than a buffer of the ring. This folder owns that
//! order, the merging of copies and the figures. Mapping, copying and fences are its caller's: buffers are named by number, a flush by its
//! number, and what has become of a flushed buffer is told by [`Plan::landed`].
//!
//! A buffer's way round: ready, filled ([`Plan::reserve`]), in flight ([`Plan::flush`]), landed ([`Plan::landed`]: the GPU, or whoever had
//! its commands, is done with it), ready again ([`Plan::ready`]: the caller has its memory back).
//!
//! - `state`: that way, from the flush on; `dedicated`: the buffers beside the ring
//! - `copies`: which copies are one; `refused`: why there is no room; `stats`: the figures

mod copies;
mod dedicated;
mod refused;
mod state;
mod stats;
#[cfg(test)]
mod tests;

pub use self::copies::{BufferCopy, Copy, Destination, Edges};
pub use self::refused::{Refused, StalledOn};
pub use self::state::Landing;
pub use self::stats::StagingStats;

use std::time::Duration;

use self::dedicated::Dedicated;
use self::refused::stalled;
use self::state::{Sent, State};

/// What wgpu copies: sizes and offsets of copies between buffers are multiples of it.
pub const COPY_ALIGNMENT: u64 = 4;

/// From this number on buffers are dedicated ones.
pub const DEDICATED: u32 = 1 << 31;

/// The most buffers of a ring.
pub const MOST_BUFFERS: u32 = 1 << 10;

/// What a ring is planned with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanConfig {
    /// Buffers that it has always.
    pub buffers: u32,
    /// Bytes of each.
    pub buffer_bytes: u64,
    /// Buffers that it may grow to.
    pub most_buffers: u32,
    /// Bytes that all dedicated buffers together may have.
    pub most_dedicated_bytes: u64,
    /// Bytes that one of them may have.
    pub largest_dedicated_bytes: u64,
    /// Ticks without need of a buffer beyond [`buffers`](Self::buffers), or of a dedicated one, before it is given up.
    pub quiet_ticks: u64,
}

/// Where bytes may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reserved {
    /// The number of the buffer.
    pub buffer: u32,
    /// From which byte of it.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
}

/// What a flush took: kept by the caller, so that its memory is used again.
#[derive(Debug, Default)]
pub struct Flush {
    /// Its number.
    pub number: u64,
    /// The buffers in it.
    pub buffers: Vec<u32>,
    /// The copies to record, in the order in which they were asked for.
    pub copies: Vec<Copy>,
}

/// The order of a ring's buffers, and the copies that are to be recorded.
#[derive(Debug)]
pub struct Plan {
    config: PlanConfig,
    buffers: Vec<State>,
    /// By number, less [`DEDICATED`].
    dedicated: Vec<Option<Dedicated>>,
    current: u32,
    copies: Vec<Copy>,
    flushes: u64,
    stats: StagingStats,
    /// Ticks since a buffer beyond the configured ones was last needed.
    quiet: u64,
    tick_used: u32,
    /// The current buffer was flushed, and no other has taken its place.
    stays: bool,
}

impl Plan {
    /// A ring whose buffers are all ready. There is at least one, of at least four bytes.
    #[must_use]
    pub fn new(config: PlanConfig) -> Self {
        let buffers = config.buffers.clamp(1, MOST_BUFFERS);
        let config = PlanConfig {
            buffers,
            buffer_bytes: (config.buffer_bytes & !(COPY_ALIGNMENT - 1)).max(COPY_ALIGNMENT),
            most_buffers: config.most_buffers.clamp(buffers, MOST_BUFFERS),
            largest_dedicated_bytes: config.largest_dedicated_bytes.min(config.most_dedicated_bytes),
            ..config
        };
        Self {
            config,
            buffers: vec![State::Ready; buffers as usize],
            dedicated: Vec::new(),
            current: 0,
            copies: Vec::new(),
            flushes: 0,
            stats: StagingStats::default(),
            quiet: 0,
            tick_used: 0,
            stays: false,
        }
    }

    /// What it is planned with.
    #[must_use]
    pub fn config(&self) -> &PlanConfig {
        &self.config
    }

    /// How many buffers the ring has, without dedicated ones.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.buffers.len() as u32
    }

    /// The number of the buffer that is being filled, or that is next.
    #[must_use]
    pub fn current(&self) -> u32 {
        self.current
    }

    /// The figures as they are now.
    #[must_use]
    pub fn stats(&self) -> StagingStats {
        let mut stats = self.stats;
        for state in self.states() {
            match *state {
                State::Filled { end } => {
                    stats.unflushed_bytes += end;
                    stats.unsubmitted_bytes += end;
                }
                State::InFlight { end, sent, .. } => {
                    stats.in_flight_bytes += end;
                    stats.in_flight_buffers += 1;
                    stats.unsubmitted_bytes += if sent.ends() { 0 } else { end };
                }
                State::Ready | State::Landed { .. } | State::Broken => {}
            }
        }
        stats.buffers = self.count();
        stats.buffer_bytes = self.config.buffer_bytes.saturating_mul(self.count().into());
        stats.dedicated_buffers = self.dedicated.iter().flatten().count() as u32;
        stats.dedicated_bytes = self.dedicated.iter().flatten().map(|one| one.bytes).sum();
        stats
    }

    /// Bytes of each buffer that were flushed and that the GPU is not done with, in the order of the ring; then of the dedicated ones.
    pub fn in_flight(&self) -> impl Iterator<Item = u64> + '_ {
        self.states().map(|state| if let State::InFlight { end, .. } = state { *end } else { 0 })
    }

    /// The buffers with bytes that no submission is known to have taken.
    pub fn unsubmitted(&self) -> impl Iterator<Item = u32> + '_ {
        let dedicated = self.dedicated.iter().zip(DEDICATED..);
        let dedicated = dedicated.filter_map(|(one, number)| Some((&one.as_ref()?.state, number)));
        let waiting = |state: &State| match *state {
            State::Filled { .. } => true,
            State::InFlight { sent, .. } => !sent.ends(),
            State::Ready | State::Landed { .. } | State::Broken => false,
        };
        self.buffers.iter().zip(0..).chain(dedicated).filter(move |(state, _)| waiting(state)).map(|(_, number)| number)
    }

    /// Takes room for `bytes` bytes at `phase` beyond a multiple of `align`: behind what is in the current buffer, or else from the beginning
    /// of the next. What is larger than a buffer gets a dedicated one.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then.
    #[inline]
    pub fn reserve(&mut self, bytes: u64, align: u64, phase: u64) -> Result<Reserved, Refused> {
        if bytes == 0 || !align.is_power_of_two() || bytes > self.config.buffer_bytes {
            return self.reserve_unusual(bytes, align, phase);
        }
        match self.reserve_in(self.current, bytes, align, phase) {
            Some(reserved) => Ok(reserved),
            None => self.reserve_in_next(bytes, phase),
        }
    }

    #[inline]
    fn reserve_in(&mut self, buffer: u32, bytes: u64, align: u64, phase: u64) -> Option<Reserved> {
        let state = &mut self.buffers[buffer as usize];
        let begin = match *state {
            State::Ready => phase,
            State::Filled { end } => end.checked_add(phase.wrapping_sub(end) & (align - 1))?,
            State::InFlight { .. } | State::Landed { .. } | State::Broken => return None,
        };
        let end = begin.checked_add(bytes)?;
        if end > self.config.buffer_bytes {
            return None;
        }
        if *state == State::Ready && std::mem::take(&mut self.stays) {
            self.stats.wraps += 1;
        }
        *state = State::Filled { end };
        Some(Reserved { buffer, offset: begin, bytes })
    }

    #[cold]
    fn reserve_in_next(&mut self, bytes: u64, phase: u64) -> Result<Reserved, Refused> {
        if phase.saturating_add(bytes) > self.config.buffer_bytes {
            return self.reserve_dedicated(bytes, phase);
        }
        let count = self.count();
        // Buffers become ready in the order of their flushes, but need not lie in that order once the ring has grown.
        let mut others = (1..=count).map(|step| (self.current + step) % count);
        let Some(next) = others.find(|&buffer| self.buffers[buffer as usize] == State::Ready) else {
            return Err(stalled(self.buffers.iter().zip(0..), count < self.config.most_buffers));
        };
        self.turn_to(next);
        // It is empty, and large enough.
        self.buffers[next as usize] = State::Filled { end: phase + bytes };
        Ok(Reserved { buffer: next, offset: phase, bytes })
    }

    #[cold]
    fn reserve_unusual(&mut self, bytes: u64, align: u64, phase: u64) -> Result<Reserved, Refused> {
        if bytes == 0 {
            Err(Refused::Zero)
        } else if !align.is_power_of_two() {
            Err(Refused::Alignment(align))
        } else {
            self.reserve_dedicated(bytes, phase)
        }
    }

    fn turn_to(&mut self, next: u32) {
        if next <= self.current {
            self.stats.wraps += 1;
        }
        self.stays = false;
        self.current = next;
    }

    /// Gives back what was reserved last and not sent anywhere. True if it was the last.
    pub fn unreserve(&mut self, reserved: Reserved) -> bool {
        match self.state_mut(reserved.buffer) {
            Some(state) if *state == (State::Filled { end: reserved.offset + reserved.bytes }) => {
                let empty = reserved.offset == 0 || reserved.buffer >= DEDICATED;
                *state = if empty { State::Ready } else { State::Filled { end: reserved.offset } };
                true
            }
            _ => false,
        }
    }

    /// One more buffer, which is ready; `None` at the limit.
    pub fn grow(&mut self) -> Option<u32> {
        (self.count() < self.config.most_buffers).then(|| {
            self.buffers.push(State::Ready);
            self.stats.grown += 1;
            self.quiet = 0;
            self.count() - 1
        })
    }

    /// All filled buffers are flushed: into `flush` go their numbers and the copies to record. False when nothing was filled.
    pub fn flush(&mut self, flush: &mut Flush) -> bool {
        flush.buffers.clear();
        flush.copies.clear();
        let number = self.flushes + 1;
        let dedicated = self.dedicated.iter_mut().zip(DEDICATED..);
        let dedicated = dedicated.filter_map(|(one, buffer)| Some((&mut one.as_mut()?.state, buffer)));
        for (state, buffer) in self.buffers.iter_mut().zip(0..).chain(dedicated) {
            if let State::Filled { end } = *state {
                *state = State::InFlight { flush: number, end, sent: Sent::Unknown };
                self.stats.flushed_bytes += end;
                flush.buffers.push(buffer);
            }
        }
        if flush.buffers.is_empty() {
            return false;
        }
        let used = flush.buffers.iter().filter(|&&buffer| buffer < DEDICATED).count() as u32;
        flush.number = number;
        self.flushes = number;
        self.stats.dedicated += (flush.buffers.len() - used as usize) as u64;
        self.tick_used += used;
        std::mem::swap(&mut flush.copies, &mut self.copies);
        self.stats.flushes = number;
        self.stats.copies += flush.copies.len() as u64;
        self.stats.edges += flush.copies.iter().map(Copy::edges).sum::<u64>();
        let in_flight = self.stats().in_flight_bytes;
        self.stats.high_water_bytes = self.stats.high_water_bytes.max(in_flight);
        let next = (self.current + 1) % self.count();
        // Where it is not ready, the next write looks for one that is.
        if used > 0 {
            if self.buffers[next as usize] == State::Ready {
                self.turn_to(next);
            } else {
                self.stays = true;
            }
        }
        true
    }

    /// A write found no buffer ready, and that took so long.
    pub fn stalled(&mut self, time: Duration) {
        self.stats.stalls += 1;
        self.stats.stall_time += time;
    }

    /// A write was refused.
    pub fn failed(&mut self) {
        self.stats.failures += 1;
    }

    /// A frame, or whatever the caller counts in, is over. Returns the number of the last buffer where the ring was quiet for so long that it
    /// can go: the caller drops it.
    pub fn tick(&mut self) -> Option<u32> {
        for one in self.dedicated.iter_mut().flatten() {
            one.idle_ticks += 1;
        }
        let used = std::mem::take(&mut self.tick_used);
        let waits = self.buffers.iter().filter(|state| **state != State::Ready).count() as u32;
        let needed = used.max(waits);
        self.quiet = if needed > self.config.buffers { 0 } else { self.quiet + 1 };
        let last = self.count() - 1;
        let goes = self.count() > self.config.buffers
            && self.quiet >= self.config.quiet_ticks
            && self.buffers.last() == Some(&State::Ready);
        goes.then(|| {
            self.buffers.pop();
            self.stats.shrunk += 1;
            if self.current == last {
                self.current = 0;
            }
            last
        })
    }

    fn states(&self) -> impl Iterator<Item = &State> {
        self.buffers.iter().chain(self.dedicated.iter().flatten().map(|one| &one.state))
    }

    fn numbered_mut(&mut self) -> impl Iterator<Item = (&mut State, u32)> {
        let dedicated = self.dedicated.iter_mut().zip(DEDICATED..);
        let dedicated = dedicated.filter_map(|(one, number)| Some((&mut one.as_mut()?.state, number)));
        self.buffers.iter_mut().zip(0..).chain(dedicated)
    }

    fn state_mut(&mut self, buffer: u32) -> Option<&mut State> {
        match buffer.checked_sub(DEDICATED) {
            Some(index) => Some(&mut self.dedicated.get_mut(index as usize)?.as_mut()?.state),
            None => self.buffers.get_mut(buffer as usize),
        }
    }
}
