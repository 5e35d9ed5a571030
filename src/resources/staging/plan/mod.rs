//! Which bytes of which staging buffer are whose: plain data, no graphics API, no clock.
//!
//! A ring has buffers in order. One is being filled; those behind it are filled and wait to be flushed, or were flushed and wait for the GPU,
//! or are ready. This folder owns that order, the merging of copies and the figures. Mapping, copying and fences are its caller's: buffers are
//! named by number, a flush by its number, and what the GPU has done is told by [`Plan::ready`].

mod copies;
mod stats;
#[cfg(test)]
mod tests;

pub use self::copies::{BufferCopy, Copy, Destination};
pub use self::stats::RingStats;

use std::fmt;

/// What wgpu copies: sizes and offsets of copies between buffers are multiples of it.
pub const COPY_ALIGNMENT: u64 = 4;

/// What a ring is planned with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanConfig {
    /// Buffers that it has always.
    pub buffers: u32,
    /// Bytes of each.
    pub buffer_bytes: u64,
    /// Buffers that it may grow to.
    pub most_buffers: u32,
    /// Ticks without need of a buffer beyond [`buffers`](Self::buffers) before that is given up.
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
    /// It is more than a buffer holds.
    TooLarge {
        /// What was asked for.
        bytes: u64,
        /// Bytes of a buffer.
        most: u64,
    },
    /// All buffers are filled or in flight. The first is the one that was flushed first.
    Stalled {
        /// The buffer that the GPU will be done with first; `None` when none is in flight: then only a flush helps.
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
                write!(out, "{bytes} bytes were asked for in one piece, and a buffer of the ring holds {most}: write in pieces, or make the buffers larger")
            }
            Self::Stalled { oldest: Some(_), .. } => out.write_str("all buffers of the ring are in flight: wait for the GPU, let the ring grow, or give it more buffers"),
            Self::Stalled { oldest: None, .. } => {
                out.write_str("all buffers of the ring are filled and none was flushed: flush and submit, let the ring grow, or give it more buffers")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// What a buffer is for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Mapped and empty.
    Ready,
    /// Mapped, with bytes that were not flushed.
    Filled { end: u64 },
    /// Flushed: the GPU, or who submits, has it.
    InFlight { flush: u64, end: u64 },
    /// It cannot be mapped any more, and is to be made anew.
    Broken,
}

/// The order of a ring's buffers, and the copies that are to be recorded.
#[derive(Debug)]
pub struct Plan {
    config: PlanConfig,
    buffers: Vec<State>,
    current: u32,
    copies: Vec<Copy>,
    flushes: u64,
    stats: RingStats,
    /// Ticks since a buffer beyond the configured ones was last needed.
    quiet: u64,
    tick_used: u32,
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
            current: 0,
            copies: Vec::new(),
            flushes: 0,
            stats: RingStats::default(),
            quiet: 0,
            tick_used: 0,
        }
    }

    /// What it is planned with.
    #[must_use]
    pub fn config(&self) -> &PlanConfig {
        &self.config
    }

    /// How many buffers there are.
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
    pub fn stats(&self) -> RingStats {
        let mut stats = self.stats;
        for state in &self.buffers {
            match *state {
                State::Filled { end } => stats.unflushed_bytes += end,
                State::InFlight { end, .. } => {
                    stats.in_flight_bytes += end;
                    stats.in_flight_buffers += 1;
                }
                State::Ready | State::Broken => {}
            }
        }
        stats.buffers = self.count();
        stats.buffer_bytes = self.config.buffer_bytes * u64::from(self.count());
        stats
    }

    /// Bytes of each buffer that wait for the GPU, in the order of the ring.
    pub fn in_flight(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.buffers.iter().map(|state| if let State::InFlight { end, .. } = state { *end } else { 0 })
    }

    /// Takes room for `bytes` bytes at a multiple of `align`: behind what is in the current buffer, or else from the beginning of the next.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then, but for a stall, which is counted.
    #[inline]
    pub fn reserve(&mut self, bytes: u64, align: u64) -> Result<Reserved, Refused> {
        if bytes == 0 || !align.is_power_of_two() || bytes > self.config.buffer_bytes {
            return Err(match bytes {
                0 => Refused::Zero,
                _ if !align.is_power_of_two() => Refused::Alignment(align),
                _ => Refused::TooLarge { bytes, most: self.config.buffer_bytes },
            });
        }
        if let Some(reserved) = self.reserve_in(self.current, bytes, align) {
            return Ok(reserved);
        }
        self.reserve_in_next(bytes, align)
    }

    #[inline]
    fn reserve_in(&mut self, buffer: u32, bytes: u64, align: u64) -> Option<Reserved> {
        let state = &mut self.buffers[buffer as usize];
        let begin = match *state {
            State::Ready => 0,
            State::Filled { end } => end.checked_next_multiple_of(align)?,
            State::InFlight { .. } | State::Broken => return None,
        };
        let end = begin.checked_add(bytes)?;
        if end > self.config.buffer_bytes {
            return None;
        }
        *state = State::Filled { end };
        Some(Reserved { buffer, offset: begin, bytes })
    }

    #[cold]
    fn reserve_in_next(&mut self, bytes: u64, align: u64) -> Result<Reserved, Refused> {
        let count = self.count();
        // Buffers become ready in the order of their flushes, but need not lie in that order once the ring has grown.
        let ready = (1..=count).map(|step| (self.current + step) % count);
        let Some(next) = ready.into_iter().find(|&buffer| self.buffers[buffer as usize] == State::Ready) else {
            self.stats.stalls += 1;
            return Err(Refused::Stalled { oldest: self.oldest(), may_grow: count < self.config.most_buffers });
        };
        self.turn_to(next);
        self.reserve_in(next, bytes, align).ok_or(Refused::TooLarge { bytes, most: self.config.buffer_bytes })
    }

    fn turn_to(&mut self, next: u32) {
        if next <= self.current {
            self.stats.wraps += 1;
        }
        self.current = next;
    }

    /// The buffer that was flushed first of those in flight.
    fn oldest(&self) -> Option<u32> {
        let flushed = self.buffers.iter().enumerate().filter_map(|(buffer, state)| match state {
            State::InFlight { flush, .. } => Some((*flush, buffer as u32)),
            _ => None,
        });
        flushed.min().map(|(_, buffer)| buffer)
    }

    /// Gives back what was reserved last and not written. True if it was the last.
    pub fn unreserve(&mut self, reserved: Reserved) -> bool {
        match self.buffers.get_mut(reserved.buffer as usize) {
            Some(State::Filled { end }) if *end == reserved.offset + reserved.bytes => {
                *end = reserved.offset;
                true
            }
            _ => false,
        }
    }

    /// One more buffer, which is ready; `None` at the limit. It is the next one.
    pub fn grow(&mut self) -> Option<u32> {
        (self.count() < self.config.most_buffers).then(|| {
            self.buffers.push(State::Ready);
            self.stats.grown += 1;
            self.quiet = 0;
            self.count() - 1
        })
    }

    /// Fills no more into the current buffer, if anything is in it: the next bytes go to the next one.
    pub fn advance(&mut self) {
        if self.buffers[self.current as usize] != State::Ready {
            let next = (self.current + 1) % self.count();
            self.turn_to(next);
        }
    }

    /// All filled buffers are flushed: their numbers are told to `flushed`, and the copies to record are returned, in the order in which they
    /// were asked for. Returns the number of the flush too; `None` when nothing was filled.
    pub fn flush(&mut self, mut flushed: impl FnMut(u32)) -> Option<(u64, Vec<Copy>)> {
        let mut any = false;
        let flush = self.flushes + 1;
        for (buffer, state) in self.buffers.iter_mut().enumerate() {
            if let State::Filled { end } = *state {
                *state = State::InFlight { flush, end };
                self.stats.flushed_bytes += end;
                self.tick_used += 1;
                flushed(buffer as u32);
                any = true;
            }
        }
        if !any {
            return None;
        }
        self.flushes = flush;
        self.stats.flushes = flush;
        let in_flight: u64 = self.in_flight().sum();
        self.stats.high_water_bytes = self.stats.high_water_bytes.max(in_flight);
        self.advance();
        self.stats.copies += self.copies.len() as u64;
        Some((flush, std::mem::take(&mut self.copies)))
    }

    /// A buffer of that flush is mapped again. False for one that is not in flight by that flush.
    pub fn ready(&mut self, buffer: u32, flush: u64) -> bool {
        self.end_flight(buffer, flush, State::Ready)
    }

    /// A buffer of that flush will not be mapped any more: its commands were dropped, its mapping failed or its device is lost.
    pub fn broken(&mut self, buffer: u32, flush: u64) -> bool {
        let was = self.end_flight(buffer, flush, State::Broken);
        self.stats.broken += u64::from(was);
        was
    }

    /// A broken buffer was made anew, and is mapped.
    pub fn repaired(&mut self, buffer: u32) -> bool {
        match self.buffers.get_mut(buffer as usize) {
            Some(state @ State::Broken) => {
                *state = State::Ready;
                true
            }
            _ => false,
        }
    }

    /// A buffer that is to be made anew.
    #[must_use]
    pub fn to_repair(&self) -> Option<u32> {
        self.buffers.iter().position(|state| *state == State::Broken).map(|buffer| buffer as u32)
    }

    fn end_flight(&mut self, buffer: u32, flush: u64, to: State) -> bool {
        match self.buffers.get_mut(buffer as usize) {
            Some(state) if matches!(*state, State::InFlight { flush: of, .. } if of == flush) => {
                *state = to;
                true
            }
            _ => false,
        }
    }

    /// A frame, or whatever the caller counts in, is over. Returns the number of the last buffer where the ring was quiet for so long that it
    /// can go: the caller drops it.
    pub fn tick(&mut self) -> Option<u32> {
        let used = std::mem::take(&mut self.tick_used);
        let waits = self.buffers.iter().filter(|state| **state != State::Ready).count() as u32;
        let needed = used.max(waits);
        self.quiet = if needed > self.config.buffers { 0 } else { self.quiet + 1 };
        let last = self.count() - 1;
        let goes = self.count() > self.config.buffers
            && self.quiet >= self.config.quiet_ticks
            && self.buffers.last() == Some(&State::Ready)
            && self.current != last;
        goes.then(|| {
            self.buffers.pop();
            self.stats.shrunk += 1;
            last
        })
    }
}
