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

/// The most buffers of a ring.
pub const MOST_BUFFERS: u32 = 1 << 10;

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

/// Why nothing was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Nothing was asked for.
    Zero,
    /// The alignment is no power of two.
    Alignment(u64),
    /// It is more than a dedicated buffer may have.
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
        /// What helps.
        on: StalledOn,
        /// The buffer that was flushed first of those that would do.
        oldest: Option<u32>,
        /// Whether the ring may grow by one.
        may_grow: bool,
    },
}

/// What a write that stalls needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StalledOn {
    /// Buffers are submitted: it helps to wait.
    TheGpu,
    /// Buffers are flushed into commands of which no submission is known: submit them, and say so with `advance_ring`.
    ASubmission,
    /// All is filled and nothing was flushed: flush and submit.
    AFlush,
}

impl fmt::Display for StalledOn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::TheGpu => "all buffers of the ring are in flight: wait for the GPU, let the ring grow, or give it more buffers",
            Self::ASubmission => "all buffers of the ring are flushed into commands that are not known to be submitted: submit them and call advance_ring",
            Self::AFlush => "all buffers of the ring are filled and none was flushed: flush and submit, let the ring grow, or give it more buffers",
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => out.write_str("0 bytes were asked for: ask for at least one"),
            Self::Alignment(align) => write!(out, "an alignment of {align} was asked for: use a power of two"),
            Self::TooLarge { bytes, most } => {
                write!(
                    out,
                    "{bytes} bytes were asked for in one piece, and {most} is the most: write in pieces, or allow more"
                )
            }
            Self::NeedsDedicated { bytes } => write!(out, "a buffer of its own, of {bytes} bytes, is needed"),
            Self::Stalled { on, .. } => on.fmt(out),
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
    InFlight { flush: u64, end: u64, sent: Sent },
    /// Whoever had it is done with it.
    Landed { flush: u64, landing: Landing },
    /// It is to be made anew.
    Broken,
}

impl State {
    /// What is filled up to `end` is filled so much further.
    fn grow_from(&mut self, end: u64, bytes: u64) -> bool {
        match self {
            Self::Filled { end: filled } if *filled == end => *filled += bytes,
            Self::Filled { .. } | Self::Ready | Self::InFlight { .. } | Self::Landed { .. } | Self::Broken => {
                return false;
            }
        }
        true
    }
}

/// What is known of the submission of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// Nothing.
    Unknown,
    /// The caller has said that it is submitted.
    Told,
    /// A later flush has landed: this one was forgotten, whatever the caller has said.
    Overtaken,
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
                    stats.unsubmitted_bytes += if sent == Sent::Told { 0 } else { end };
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
            State::InFlight { sent, .. } => sent != Sent::Told,
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

    /// The smallest dedicated buffer that is ready and holds it.
    fn reserve_dedicated(&mut self, bytes: u64, phase: u64) -> Result<Reserved, Refused> {
        let PlanConfig { most_dedicated_bytes: all, largest_dedicated_bytes: most, .. } = self.config;
        let most = most & !(COPY_ALIGNMENT - 1);
        let needed = bytes.checked_add(phase).filter(|&needed| needed <= most);
        let needed = needed.ok_or(Refused::TooLarge { bytes, most })?;
        let rounded = needed.checked_next_multiple_of(DEDICATED_GRAIN).map_or(most, |rounded| rounded.min(most));
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
                if let Some(Some(one)) = self.dedicated.get_mut(index as usize) {
                    one.state = State::Filled { end: needed };
                    // One that is far too large is not needed: a smaller one would do.
                    if one.bytes / 2 < rounded {
                        one.idle_ticks = 0;
                    }
                }
                Ok(Reserved { buffer: DEDICATED | index, offset: phase, bytes })
            }
            None if rounded <= all.saturating_sub(kept) => Err(Refused::NeedsDedicated { bytes: rounded }),
            None => {
                let states = self.dedicated.iter().zip(DEDICATED..);
                let states = states.filter_map(|(one, number)| Some((&one.as_ref()?.state, number)));
                Err(stalled(states, false))
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

    /// A dedicated buffer that cannot be used any more. Its caller drops it.
    pub fn broken_dedicated(&mut self) -> Option<u32> {
        let is_broken = |one: &Option<Dedicated>| {
            one.as_ref()
                .is_some_and(|one| matches!(one.state, State::Broken | State::Landed { landing: Landing::Failed, .. }))
        };
        let index = self.dedicated.iter().position(is_broken)?;
        self.dedicated[index] = None;
        Some(DEDICATED | index as u32)
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

    /// All that was flushed is submitted. `told` hears of each buffer of which that was not known.
    pub fn submitted(&mut self, mut told: impl FnMut(u32)) {
        for (state, number) in self.numbered_mut() {
            if let State::InFlight { sent: sent @ Sent::Unknown, .. } = state {
                *sent = Sent::Told;
                told(number);
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
        if landing != Landing::Dropped {
            // A queue ends submissions in their order.
            for (state, _) in self.numbered_mut() {
                if let State::InFlight { flush: earlier, sent, .. } = state
                    && *earlier < flush
                {
                    *sent = Sent::Overtaken;
                }
            }
        }
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
            State::InFlight { flush, end: 0, sent: Sent::Told }
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

/// Why none of these is ready, and the one that was flushed first of those that will be.
fn stalled<'a>(states: impl Iterator<Item = (&'a State, u32)>, may_grow: bool) -> Refused {
    // Those that are submitted come first, since they end.
    let flushed = states.filter_map(|(state, number)| match state {
        State::InFlight { flush, sent, .. } => Some((*sent != Sent::Told, *flush, number)),
        State::Ready | State::Filled { .. } | State::Landed { .. } | State::Broken => None,
    });
    let (on, oldest) = match flushed.min() {
        Some((false, _, number)) => (StalledOn::TheGpu, Some(number)),
        Some((true, _, number)) => (StalledOn::ASubmission, Some(number)),
        None => (StalledOn::AFlush, None),
    };
    Refused::Stalled { on, oldest, may_grow }
}
