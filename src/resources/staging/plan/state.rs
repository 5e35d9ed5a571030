//! What a buffer is for at the moment, and what becomes of it from its flush on.

use super::{DEDICATED, Plan};

/// What has become of a flushed buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
pub(super) enum State {
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
    pub(super) fn grow_from(&mut self, end: u64, bytes: u64) -> bool {
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
pub(super) enum Sent {
    /// Nothing.
    Unknown,
    /// The caller has said that it is submitted.
    Told,
    /// A later flush has landed: this one was forgotten, whatever the caller has said.
    Overtaken,
    /// Its commands were dropped, and it is only being mapped again.
    Dropped,
}

impl Sent {
    /// It comes back by itself.
    pub(super) fn ends(self) -> bool {
        match self {
            Self::Told | Self::Dropped => true,
            Self::Unknown | Self::Overtaken => false,
        }
    }
}

impl Plan {
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
        let (lost, was) = match self.state_mut(buffer) {
            Some(state) => match *state {
                State::InFlight { flush: of, end, sent } if of == flush => {
                    *state = State::Landed { flush, landing };
                    (if landing == Landing::Dropped { end } else { 0 }, sent)
                }
                _ => return false,
            },
            None => return false,
        };
        self.stats.dropped_bytes += lost;
        self.stats.broken += u64::from(landing == Landing::Failed);
        if landing != Landing::Dropped && was != Sent::Dropped {
            // A queue ends submissions in their order; what is mapped again after its commands were dropped was none.
            for (state, _) in self.numbered_mut() {
                if let State::InFlight { flush: earlier, sent, .. } = state
                    && *earlier < flush
                    && *sent != Sent::Dropped
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
            State::InFlight { flush, end: 0, sent: Sent::Dropped }
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
}
