//! Identities that producers and readers share.

use super::OwnerKind;
use std::fmt;
use std::num::NonZeroU64;

/// Identity of a resource: unique within its tracker, never reused, increasing per thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(NonZeroU64);

impl ResourceId {
    /// The number.
    #[must_use]
    #[inline]
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The identity of that number; `None` for 0, which is no resource.
    #[must_use]
    #[inline]
    pub fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }
}

/// Identity of an owner within its tracker, with its kind: cheap to copy and to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(u32);

impl OwnerId {
    /// No owner.
    pub const NONE: Self = Self(0);
    const INDEX_BITS: u32 = 24;

    /// The owner's kind; [`OwnerKind::UNOWNED`] for no owner.
    #[must_use]
    #[inline]
    pub fn kind(self) -> OwnerKind {
        OwnerKind::at((self.0 >> Self::INDEX_BITS) as usize)
    }

    /// There is no owner.
    #[must_use]
    #[inline]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The number, as events and snapshots carry it.
    #[must_use]
    #[inline]
    pub fn get(self) -> u32 {
        self.0
    }

    #[cfg(feature = "telemetry")]
    #[inline]
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Owner `index` of that kind; index 0 stands for all owners of the kind beyond the limit.
    #[cfg(feature = "telemetry")]
    #[inline]
    pub(crate) fn of(kind: OwnerKind, index: u32) -> Self {
        Self((kind.index() as u32) << Self::INDEX_BITS | index & Self::MAX_INDEX)
    }

    /// Place in the table of owners; 0 if this owner has none.
    #[cfg(feature = "telemetry")]
    pub(crate) fn index(self) -> u32 {
        self.0 & Self::MAX_INDEX
    }

    #[cfg(feature = "telemetry")]
    pub(crate) const MAX_INDEX: u32 = (1 << Self::INDEX_BITS) - 1;
}

/// A surface, or a named stream of headless frames, within its tracker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(u8);

impl Lane {
    /// No lane.
    pub const NONE: Self = Self(0);
    /// Lanes beyond the limit.
    pub const OTHER: Self = Self(1);

    /// There is no lane.
    #[must_use]
    #[inline]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The lane's number: 1 for [`Lane::OTHER`], then in the order of their names' first use.
    #[must_use]
    #[inline]
    pub fn get(self) -> u8 {
        self.0
    }

    #[cfg(feature = "telemetry")]
    #[inline]
    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// Identity of a packet, which is a frame on a lane. Increasing within its lane.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(u64);

impl PacketId {
    /// No packet.
    pub const NONE: Self = Self(0);
    const NUMBER_BITS: u32 = 56;

    /// There is no packet.
    #[must_use]
    #[inline]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The packet's lane.
    #[must_use]
    #[inline]
    pub fn lane(self) -> Lane {
        Lane((self.0 >> Self::NUMBER_BITS) as u8)
    }

    /// The packet's place among its lane's packets, from 1.
    #[must_use]
    #[inline]
    pub fn number(self) -> u64 {
        self.0 & ((1 << Self::NUMBER_BITS) - 1)
    }

    /// Lane and number in one, as events carry it.
    #[must_use]
    #[inline]
    pub fn get(self) -> u64 {
        self.0
    }

    #[cfg(feature = "telemetry")]
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[cfg(feature = "telemetry")]
    #[inline]
    pub(crate) fn of(lane: Lane, number: u64) -> Self {
        Self(u64::from(lane.0) << Self::NUMBER_BITS | number & ((1 << Self::NUMBER_BITS) - 1))
    }
}

impl fmt::Debug for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketId({}:{})", self.lane().get(), self.number())
    }
}

/// How a packet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PacketResult {
    /// It was shown, or for a headless stream, finished.
    Presented,
    /// It was given up before it was shown.
    Dropped,
    /// There was nothing to draw.
    NoOp,
    /// It failed.
    Failed,
}

impl PacketResult {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 4] = [Self::Presented, Self::Dropped, Self::NoOp, Self::Failed];

    /// The name: the value of the label `result`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Presented => "presented",
            Self::Dropped => "dropped",
            Self::NoOp => "no_op",
            Self::Failed => "failed",
        }
    }

    /// A place in tables by result, below 4.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// How much is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing: each call is one relaxed load and a branch. What is made meanwhile stays unknown for life; what was known
    /// before is still followed to its end, so that the totals stay true.
    Off,
    /// Exact counters and snapshots.
    #[default]
    Counters,
    /// Also the events, in one bounded ring per thread.
    Events,
}

impl Level {
    #[cfg(feature = "telemetry")]
    #[inline]
    pub(crate) fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Off,
            1 => Self::Counters,
            _ => Self::Events,
        }
    }
}
