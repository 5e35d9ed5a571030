//! Why something was not staged.

use std::fmt;

use super::plan::Refused;

/// Something was not staged. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StagingError {
    /// The ring has no room now, by its [policy](super::StallPolicy), or never for this.
    Refused(Refused),
    /// Sizes and offsets of copies between buffers must be multiples of four.
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
    /// A texture cannot be written like that.
    Texture(&'static str),
    /// The GPU was not done in time.
    TimedOut,
    /// No buffer could be mapped: there is no memory for it, or the device is lost.
    NoBuffer,
}

impl fmt::Display for StagingError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(out),
            Self::Misaligned { offset, bytes } => {
                write!(out, "{bytes} bytes at offset {offset}: make both multiples of {}", wgpu::COPY_BUFFER_ALIGNMENT)
            }
            Self::OutOfBounds { offset, bytes, size } => {
                write!(out, "{bytes} bytes at offset {offset} do not fit a destination of {size} bytes")
            }
            Self::Texture(what) => write!(out, "the texture cannot be written like that: {what}"),
            Self::TimedOut => out
                .write_str("the GPU was not done with a buffer of the ring in time: wait longer, or let the ring grow"),
            Self::NoBuffer => {
                out.write_str("no staging buffer could be mapped: there is no memory for one, or the device is lost")
            }
        }
    }
}

impl std::error::Error for StagingError {}

impl From<Refused> for StagingError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}
