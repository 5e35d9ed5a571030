//! Everything that a tracker knows at one moment, as data, as a file and as text: to look into, to keep, and to compare.

/// What a [`Dump`] has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DumpOptions {
    /// Packets queued last; 64 by default.
    pub packets: usize,
    /// Resources that each of them touched; 256 by default. More are counted.
    pub touches: usize,
    /// Resources, the biggest first; all by default. More are counted.
    pub resources: usize,
    /// Lives that have ended; the newest 1,024 by default. More are counted.
    pub lives: usize,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self { packets: 64, touches: 256, resources: usize::MAX, lives: 1024 }
    }
}

impl DumpOptions {
    /// With that many packets.
    #[must_use]
    pub const fn packets(self, packets: usize) -> Self {
        Self { packets, ..self }
    }

    /// With that many touches for each packet.
    #[must_use]
    pub const fn touches(self, touches: usize) -> Self {
        Self { touches, ..self }
    }

    /// With that many resources, the biggest.
    #[must_use]
    pub const fn resources(self, resources: usize) -> Self {
        Self { resources, ..self }
    }

    /// With that many lives that have ended, the newest.
    #[must_use]
    pub const fn lives(self, lives: usize) -> Self {
        Self { lives, ..self }
    }
}

#[cfg(feature = "telemetry")]
mod graph;
#[cfg(feature = "telemetry")]
mod json;
#[cfg(feature = "telemetry")]
mod model;
#[cfg(feature = "telemetry")]
mod names;
#[cfg(feature = "telemetry")]
mod summary;
#[cfg(feature = "telemetry")]
mod take;

#[cfg(feature = "telemetry")]
pub use {
    graph::Graph,
    json::ReadError,
    model::{
        Dump, DumpCause, DumpHitch, DumpOwner, DumpTotals, KindLine, LaneLine, Life, Packet, PacketName, Resource,
        Slice, SubmissionLine, Sum, Timeline, Touch,
    },
    summary::{Course, Packets, Summary},
};

#[cfg(feature = "telemetry")]
pub(super) use {summary::owner_text, take::locate};

#[cfg(not(feature = "telemetry"))]
mod noop;
#[cfg(not(feature = "telemetry"))]
pub use noop::Dump;
