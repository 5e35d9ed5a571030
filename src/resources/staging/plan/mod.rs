//! Which bytes of which staging buffer are whose: plain data, no graphics API, no clock.
//!
//! A ring has buffers in order. One is being filled; the others were filled and wait to be flushed, or were flushed and wait for the GPU, or
//! are ready. Beside them there are dedicated buffers, each for one write that is larger than a buffer of the ring. This folder owns that
//! order, the merging of copies and the figures. Mapping, copying and fences are its caller's: buffers are named by number, a flush by its
//! number, and what has become of a flushed buffer is told by [`Plan::landed`].
//!
//! A buffer's way round: ready, filled ([`Plan::reserve`]), in flight ([`Plan::flush`]), landed ([`Plan::landed`]: the GPU, or whoever had
//! its commands, is done with it), ready again ([`Plan::ready`]: the caller has its memory back).

mod copies;
mod stats;
#[cfg(test)]
mod tests;

pub use self::copies::{BufferCopy, Copy, Destination, Edges};
pub use self::stats::StagingStats;

use std::fmt;
use std::time::Duration;

/// What wgpu copies: sizes and offsets of copies between buffers are multiples of it.
pub const COPY_ALIGNMENT: u64 = 4;

/// From this number on buffers are dedicated ones.
pub const DEDICATED: u32 = 1 << 31;

/// The size of a dedicated buffer is a multiple of this, so that writes of about one size find one another's.
const DEDICATED_GRAIN: u64 = 64 << 10;

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

/// Why nothing was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Nothing was asked for.
    Zero,
    /// The alignment is no power of two.
    Alignment(u64),
    /// It is more than all dedicated buffers together may have.
    TooLarge {
        /// What was asked for.
        bytes: u64,
        /// What there may be.
        most: u64,
    },
    /// It is more than a buffer of the ring holds, and no dedicated buffer that is ready holds it: one of so many bytes is to be
    /// [added](Plan::add_dedicated).
    NeedsDedicated {
        /// Bytes of the buffer to add.
        bytes: u64,
    },
    /// All buffers are filled or in flight.
    Stalled {
        /// The buffer that was flushed first of those that would do; `None` when none is in flight: then only a flush helps.
        oldest: Option<u32>,
        /// Whether the ring may grow by one.
        may_grow: bool,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => out.write_str("0 bytes were asked for: ask for at least one"),
            Self::Alignment(align) => write!(out, "an alignment of {align} was asked for: use a power of two"),
            Self::TooLarge { bytes, most } => {
                write!(out, "{bytes} bytes were asked for in one piece, and {most} is the most: write in pieces, or allow more")
            }
            Self::NeedsDedicated { bytes } => write!(out, "a buffer of its own, of {bytes} bytes, is needed"),
            Self::Stalled { oldest: Some(_), .. } => out.write_str("all buffers are in flight: wait for the GPU, let the ring grow, or give it more buffers"),
            Self::Stalled { oldest: None, .. } => {
                out.write_str("all buffers are filled and none was flushed: flush and submit, let the ring grow, or give it more buffers")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// What has become of a flushed buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Landing {
    /// It is mapped again.
    Mapped,
    /// It cannot be mapped: there is no memory, or the device is lost. It is to be made anew.
    Failed,
    /// Its commands were dropped before they were submitted: its bytes went nowhere. It is to be mapped.
    Dropped,
}

/// What a buffer is for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Mapped and empty.
    Ready,
    /// Mapped, with bytes that were not flushed.
    Filled { end: u64 },
    /// Flushed: the GPU, or who is to submit, has it.
    InFlight { flush: u64, end: u64, submitted: bool },
    /// Whoever had it is done with it.
    Landed { flush: u64, landing: Landing },
    /// It is to be made anew.
    Broken,
}

/// A buffer for a write that is larger than a buffer of the ring.
#[derive(Debug, Clone, Copy)]
struct Dedicated {
    state: State,
    bytes: u64,
    idle_ticks: u64,
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
        let buffers = config.buffers.max(1);
        let config = PlanConfig {
            buffers,
            buffer_bytes: (config.buffer_bytes & !(COPY_ALIGNMENT - 1)).max(COPY_ALIGNMENT),
            most_buffers: config.most_buffers.max(buffers),
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
                State::InFlight { end, submitted, .. } => {
                    stats.in_flight_bytes += end;
                    stats.in_flight_buffers += 1;
                    stats.unsubmitted_bytes += if submitted { 0 } else { end };
                }
                State::Ready | State::Landed { .. } | State::Broken => {}
            }
        }
        stats.buffers = self.count();
        stats.buffer_bytes = self.config.buffer_bytes * u64::from(self.count());
        stats.dedicated_buffers = self.dedicated.iter().flatten().count() as u32;
        stats.dedicated_bytes = self.dedicated.iter().flatten().map(|one| one.bytes).sum();
        stats
    }

    /// Bytes of each buffer of the ring that were flushed and that the GPU is not done with, in the order of the ring.
    pub fn in_flight(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.buffers.iter().map(|state| if let State::InFlight { end, .. } = state { *end } else { 0 })
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
            let oldest = oldest(self.buffers.iter().zip(0..));
            return Err(Refused::Stalled { oldest, may_grow: count < self.config.most_buffers });
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

    /// The smallest dedicated buffer that is ready and holds it.
    fn reserve_dedicated(&mut self, bytes: u64, phase: u64) -> Result<Reserved, Refused> {
        let most = self.config.most_dedicated_bytes;
        let too_large = Refused::TooLarge { bytes, most };
        let needed = bytes
            .checked_add(phase)
            .and_then(|bytes| bytes.checked_next_multiple_of(DEDICATED_GRAIN))
            .filter(|&needed| needed <= most)
            .ok_or(too_large)?;
        let mut found: Option<(u64, u32)> = None;
        let mut kept = 0;
        for (one, index) in self.dedicated.iter().zip(0..) {
            let Some(one) = one else { continue };
            if one.state != State::Ready {
                kept += one.bytes;
            } else if one.bytes >= needed && found.is_none_or(|(bytes, _)| one.bytes < bytes) {
                found = Some((one.bytes, index));
            }
        }
        match found {
            Some((_, index)) => {
                self.stats.dedicated += 1;
                if let Some(Some(one)) = self.dedicated.get_mut(index as usize) {
                    one.state = State::Filled { end: phase + bytes };
                    one.idle_ticks = 0;
                }
                Ok(Reserved { buffer: DEDICATED | index, offset: phase, bytes })
            }
            None if needed <= most.saturating_sub(kept) => Err(Refused::NeedsDedicated { bytes: needed }),
            None => {
                let states = self.dedicated.iter().zip(DEDICATED..);
                let states = states.filter_map(|(one, number)| Some((&one.as_ref()?.state, number)));
                Err(Refused::Stalled { oldest: oldest(states), may_grow: false })
            }
        }
    }

    /// A dedicated buffer of so many bytes, which is ready. Give up those that [`idle_dedicated`](Self::idle_dedicated) names before.
    pub fn add_dedicated(&mut self, bytes: u64) -> u32 {
        let added = Some(Dedicated { state: State::Ready, bytes, idle_ticks: 0 });
        let index = match self.dedicated.iter().position(Option::is_none) {
            Some(index) => {
                self.dedicated[index] = added;
                index
            }
            None => {
                self.dedicated.push(added);
                self.dedicated.len() - 1
            }
        };
        DEDICATED | index as u32
    }

    /// A dedicated buffer that is not needed and whose bytes are: without it, `bytes` more come nearer to what is allowed. Its caller drops it.
    pub fn idle_dedicated(&mut self, bytes: u64) -> Option<u32> {
        let all: u64 = self.dedicated.iter().flatten().map(|one| one.bytes).sum();
        if all.saturating_add(bytes) <= self.config.most_dedicated_bytes {
            return None;
        }
        self.give_up_dedicated(|_| true)
    }

    /// A dedicated buffer that nobody has needed for long. Its caller drops it.
    pub fn quiet_dedicated(&mut self) -> Option<u32> {
        let most = self.config.quiet_ticks;
        self.give_up_dedicated(|one| one.idle_ticks >= most)
    }

    fn give_up_dedicated(&mut self, goes: impl Fn(&Dedicated) -> bool) -> Option<u32> {
        let idle = |one: &Option<Dedicated>| one.as_ref().is_some_and(|one| one.state == State::Ready && goes(one));
        let index = self.dedicated.iter().position(idle)?;
        self.dedicated[index] = None;
        Some(DEDICATED | index as u32)
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
        let ring = self.buffers.iter_mut().zip(0..);
        let dedicated = self.dedicated.iter_mut().zip(DEDICATED..);
        let dedicated = dedicated.filter_map(|(one, buffer)| Some((&mut one.as_mut()?.state, buffer)));
        for (state, buffer) in ring.chain(dedicated) {
            if let State::Filled { end } = *state {
                *state = State::InFlight { flush: number, end, submitted: false };
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

    /// All that was flushed is submitted.
    pub fn submitted(&mut self) {
        for state in self.states_mut() {
            if let State::InFlight { submitted, .. } = state {
                *submitted = true;
            }
        }
    }

    /// What has become of a buffer of that flush. False for one that is not in flight by that flush.
    pub fn landed(&mut self, buffer: u32, flush: u64, landing: Landing) -> bool {
        let lost = match self.state_mut(buffer) {
            Some(state) => match *state {
                State::InFlight { flush: of, end, .. } if of == flush => {
                    *state = State::Landed { flush, landing };
                    if landing == Landing::Dropped { end } else { 0 }
                }
                _ => return false,
            },
            None => return false,
        };
        self.stats.dropped_bytes += lost;
        self.stats.broken += u64::from(landing == Landing::Failed);
        true
    }

    /// Whether a buffer was flushed and has not landed.
    #[must_use]
    pub fn is_in_flight(&self, buffer: u32) -> bool {
        let state = match buffer.checked_sub(DEDICATED) {
            Some(index) => self.dedicated.get(index as usize).and_then(Option::as_ref).map(|one| &one.state),
            None => self.buffers.get(buffer as usize),
        };
        matches!(state, Some(State::InFlight { .. }))
    }

    /// The next buffer that has landed, from that number on, and how.
    #[must_use]
    pub fn next_landed(&self, from: u32) -> Option<(u32, Landing)> {
        let ring = self.buffers.iter().zip(0..);
        let dedicated = self.dedicated.iter().zip(DEDICATED..);
        let dedicated = dedicated.filter_map(|(one, number)| Some((&one.as_ref()?.state, number)));
        ring.chain(dedicated).filter(|&(_, number)| number >= from).find_map(|(state, number)| match *state {
            State::Landed { landing, .. } => Some((number, landing)),
            State::Broken => Some((number, Landing::Failed)),
            State::Ready | State::Filled { .. } | State::InFlight { .. } => None,
        })
    }

    /// The caller has the memory of a landed buffer back, or has made the buffer anew. False for one that has not landed.
    pub fn ready(&mut self, buffer: u32) -> bool {
        self.end_landing(buffer, |_| State::Ready)
    }

    /// The caller could not get the memory of a landed buffer back, or has none for one that is ready: it is to be made anew.
    pub fn broken(&mut self, buffer: u32) -> bool {
        match self.state_mut(buffer) {
            Some(state @ (State::Ready | State::Landed { .. })) => *state = State::Broken,
            _ => return false,
        }
        self.stats.broken += 1;
        true
    }

    /// A buffer that landed as [dropped](Landing::Dropped) is being mapped: it is in flight once more, with nothing in it. Returns the number of
    /// its flush.
    pub fn remapping(&mut self, buffer: u32) -> Option<u64> {
        let mut number = None;
        self.end_landing(buffer, |flush| {
            number = Some(flush);
            State::InFlight { flush, end: 0, submitted: true }
        });
        number
    }

    fn end_landing(&mut self, buffer: u32, to: impl FnOnce(u64) -> State) -> bool {
        match self.state_mut(buffer) {
            Some(state) => match *state {
                State::Landed { flush, .. } => *state = to(flush),
                State::Broken => *state = to(0),
                State::Ready | State::Filled { .. } | State::InFlight { .. } => return false,
            },
            None => return false,
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
            one.idle_ticks = if one.state == State::Ready { one.idle_ticks + 1 } else { 0 };
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
                self.turn_to(0);
            }
            last
        })
    }

    fn states(&self) -> impl Iterator<Item = &State> {
        self.buffers.iter().chain(self.dedicated.iter().flatten().map(|one| &one.state))
    }

    fn states_mut(&mut self) -> impl Iterator<Item = &mut State> {
        self.buffers.iter_mut().chain(self.dedicated.iter_mut().flatten().map(|one| &mut one.state))
    }

    fn state_mut(&mut self, buffer: u32) -> Option<&mut State> {
        match buffer.checked_sub(DEDICATED) {
            Some(index) => Some(&mut self.dedicated.get_mut(index as usize)?.as_mut()?.state),
            None => self.buffers.get_mut(buffer as usize),
        }
    }
}

/// The buffer that was flushed first of those in flight.
fn oldest<'a>(states: impl Iterator<Item = (&'a State, u32)>) -> Option<u32> {
    let flushed = states.filter_map(|(state, number)| match state {
        State::InFlight { flush, .. } => Some((*flush, number)),
        State::Ready | State::Filled { .. } | State::Landed { .. } | State::Broken => None,
    });
    flushed.min().map(|(_, number)| number)
}
