//! Who is suspected of growing without end, and when.

use std::fmt;
use std::time::Duration;

use crate::analysis::text::{bytes, counted, duration, quoted};
use crate::probe::Timestamp;

/// When the guard `heap_growth` warns. Every field has a default that raises nothing on a sound program; change those that do not fit
/// yours.
///
/// What is judged of a window is the least that a tag had live in it, as far as updates saw, so that what each frame allocates and frees
/// again hides nothing and looks like nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapGuardSettings {
    /// Whether growth is looked for; `true` by default.
    pub growth: bool,
    /// How long one window is: 5 s by default, at least 1 ms.
    pub window: Duration,
    /// Windows with more live bytes than the one before, with no fall between them and at least every other of which had: 36 by default,
    /// three minutes.
    pub growth_windows: u32,
    /// Bytes gained over these windows, without the largest jump, at least: 1 MiB by default. A window counts as grown by a quarter of its
    /// share in this. Half of the windows must gain at least half of what the half before did: what fills up grows ever more slowly. And what was
    /// gained must be at least a quarter of how far the tag swings within a window.
    pub growth_bytes: u64,
    /// How long after the first look growth is the start's own: 30 s by default.
    pub startup: Duration,
}

impl Default for HeapGuardSettings {
    fn default() -> Self {
        Self {
            growth: true,
            window: Duration::from_secs(5),
            growth_windows: 36,
            growth_bytes: 1 << 20,
            startup: Duration::from_secs(30),
        }
    }
}

/// A tag whose live bytes grow without a fall: a leak, or something that never stops filling.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct GrowthSuspect {
    /// The tag's name; `heap` for all of it, where the allocator keeps no tags.
    pub tag: &'static str,
    /// When the growth began.
    pub since: Timestamp,
    /// When it was last seen to go on.
    pub until: Timestamp,
    /// Windows that it has lasted for.
    pub windows: u32,
    /// Bytes gained in that time.
    pub gained_bytes: u64,
    /// Bytes live.
    pub live_bytes: u64,
    /// Blocks live.
    pub live_allocations: Option<u64>,
}

impl GrowthSuspect {
    /// How long it has grown.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.until.since(self.since).unwrap_or_default()
    }

    /// Bytes gained per second; `None` if no time has passed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn bytes_per_second(&self) -> Option<f64> {
        let seconds = self.lasted().as_secs_f64();
        (seconds > 0.0).then(|| self.gained_bytes as f64 / seconds)
    }
}

impl fmt::Display for GrowthSuspect {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate that is not negative, for people"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tag, gained_bytes, live_bytes, .. } = self;
        let rate = self.bytes_per_second().unwrap_or_default() as u64;
        write!(
            f,
            "heap tag {} grows without a fall: by {} in {}, {} per second; {} live",
            quoted(tag),
            bytes(*gained_bytes),
            duration(self.lasted()),
            bytes(rate),
            bytes(*live_bytes)
        )?;
        self.live_allocations.map_or(Ok(()), |blocks| write!(f, " in {}", counted(blocks, "block", "blocks")))
    }
}
