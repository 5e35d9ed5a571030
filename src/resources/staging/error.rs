//! Why something was not staged.

use std::fmt;
use std::time::Duration;

use super::plan::{Refused, StalledOn};

/// Something was not staged. Nothing was written, unless the call says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StagingError {
    /// Room for no bytes was asked for.
    ZeroSize,
    /// The alignment is no power of two.
    Alignment(u64),
    /// It is more than [`most_dedicated_bytes`](super::StagingConfig::most_dedicated_bytes), or than a buffer of the device may have.
    TooLarge {
        /// What was asked for.
        bytes: u64,
        /// The most there may be.
        most: u64,
    },
    /// All buffers are filled or in flight, and the [policy](super::StallPolicy) has nothing to offer.
    WouldStall {
        /// What helps.
        on: StalledOn,
    },
    /// The GPU was not done with a buffer in time.
    TimedOut {
        /// How long the call has waited.
        waited: Duration,
    },
    /// No buffer could be made or mapped: there is no memory for it, or the device is lost.
    NoBuffer,
    /// Copies between buffers are of words of four bytes. A word of which only some bytes are written takes a copy of what it holds, which
    /// the destination must allow.
    Misaligned {
        /// Where the bytes were to go.
        offset: u64,
        /// How many they were.
        bytes: u64,
    },
    /// The bytes do not fit where they were to go.
    OutOfBounds {
        /// Where the bytes were to go.
        offset: u64,
        /// How many they were.
        bytes: u64,
        /// How many the destination holds.
        size: u64,
    },
    /// The destination was made without `COPY_DST`.
    NoCopyDestination,
    /// A texture cannot be written like that.
    Texture(&'static str),
    /// The ring was made without [`in_place_usage`](super::StagingConfig::in_place_usage).
    NotInPlace,
}

impl fmt::Display for StagingError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroSize => Refused::Zero.fmt(out),
            Self::Alignment(align) => Refused::Alignment(*align).fmt(out),
            Self::TooLarge { bytes, most } => Refused::TooLarge { bytes: *bytes, most: *most }.fmt(out),
            Self::WouldStall { on } => on.fmt(out),
            Self::TimedOut { waited } => write!(
                out,
                "the GPU was not done with a buffer of the ring within {waited:?}: wait longer, or let the ring grow"
            ),
            Self::NoBuffer => out.write_str(
                "no staging buffer could be made or mapped: there is no memory for one, or the device is lost",
            ),
            Self::Misaligned { offset, bytes } => write!(
                out,
                "{bytes} bytes at offset {offset}: make both multiples of {}, or give the destination COPY_SRC (and write it with write_buffer)",
                wgpu::COPY_BUFFER_ALIGNMENT
            ),
            Self::OutOfBounds { offset, bytes, size } => {
                write!(out, "{bytes} bytes at offset {offset} do not fit a destination of {size} bytes")
            }
            Self::NoCopyDestination => {
                out.write_str("the destination was made without COPY_DST: add that to its usages")
            }
            Self::Texture(what) => write!(out, "the texture cannot be written like that: {what}"),
            Self::NotInPlace => {
                out.write_str("the ring was made without in_place_usage: say there what its bytes are used for")
            }
        }
    }
}

impl std::error::Error for StagingError {}

impl From<Refused> for StagingError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Zero => Self::ZeroSize,
            Refused::Alignment(align) => Self::Alignment(align),
            Refused::TooLarge { bytes, most } => Self::TooLarge { bytes, most },
            Refused::NeedsDedicated { .. } => Self::NoBuffer,
            Refused::Stalled { on, .. } => Self::WouldStall { on },
        }
    }
}
