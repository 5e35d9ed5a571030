//! Why a write gets no room, in words.

use std::fmt;

use super::state::State;

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
    /// [added](super::Plan::add_dedicated).
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

/// Why none of these is ready, and the one that was flushed first of those that will be.
pub(super) fn stalled<'a>(states: impl Iterator<Item = (&'a State, u32)>, may_grow: bool) -> Refused {
    // Those that are submitted come first, since they end.
    let flushed = states.filter_map(|(state, number)| match state {
        State::InFlight { flush, sent, .. } => Some((!sent.ends(), *flush, number)),
        State::Ready | State::Filled { .. } | State::Landed { .. } | State::Broken => None,
    });
    let (on, oldest) = match flushed.min() {
        Some((false, _, number)) => (StalledOn::TheGpu, Some(number)),
        Some((true, _, number)) => (StalledOn::ASubmission, Some(number)),
        None => (StalledOn::AFlush, None),
    };
    Refused::Stalled { on, oldest, may_grow }
}
