//! Time: monotonic, anchored once to the wall clock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use web_time::SystemTime;

/// A moment in nanoseconds since the Unix epoch, by a monotonic clock that was anchored to the wall clock when it was
/// made: differences are exact, and the wall clock's later adjustments are not followed.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// That many nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Time since the Unix epoch.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Time from `earlier` to this moment; `None` if `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({}.{:09} s)", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// Where times come from: the system's monotonic clock, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { start: Start, unix_nanos: u64 },
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's monotonic clock, anchored to the wall clock now.
    #[must_use]
    pub fn system() -> Self {
        // A wall clock before 1970 counts as 1970: differences stay exact.
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(Source::System { start: Start::now(), unix_nanos: nanos(since_epoch) })
    }

    /// A clock that stands at `start` until its [`ManualClock`] moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> (Self, ManualClock) {
        let now = Arc::new(AtomicU64::new(start.0));
        (Self(Source::Manual(Arc::clone(&now))), ManualClock(now))
    }

    /// The present moment.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System { start, unix_nanos } => Timestamp(unix_nanos.wrapping_add(start.elapsed_nanos())),
            Source::Manual(now) => Timestamp(now.load(Ordering::Acquire)),
        }
    }
}

/// A moment of the system's monotonic clock.
///
/// Linux's is read as it is, which takes 26 ns where an [`Instant`](std::time::Instant) and the difference of two take 32. The processor's own
/// counter would take 17 to 22, but runs away from the system's clock by microseconds a second, and is told apart from a counter that differs
/// between processors by guesses.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Clone, Copy, Debug)]
struct Start(u64);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Start {
    #[inline]
    fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // Neither is negative: the clock counts from the machine's start.
        Self((time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64))
    }

    #[inline]
    fn elapsed_nanos(self) -> u64 {
        Self::now().0.wrapping_sub(self.0)
    }
}

/// A moment of the system's monotonic clock.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[derive(Clone, Copy, Debug)]
struct Start(web_time::Instant);

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Start {
    fn now() -> Self {
        Self(web_time::Instant::now())
    }

    #[inline]
    fn elapsed_nanos(self) -> u64 {
        nanos(self.0.elapsed())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// Moves a manual [`Clock`].
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(nanos(by), Ordering::AcqRel);
    }
}

/// Nanoseconds, at most those of 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_until_it_is_moved() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_500_000_000));
        assert_eq!(clock.now(), clock.now());
        let before = clock.now();
        hand.advance(Duration::from_millis(2));
        assert_eq!(clock.now().since(before), Some(Duration::from_millis(2)));
        assert_eq!(before.since(clock.now()), None);
        assert_eq!(clock.now().unix_millis(), 1_502);
    }

    #[test]
    fn the_system_clock_starts_at_the_wall_clock() {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let clock = Clock::system();
        let first = clock.now();
        assert!(first.since_epoch() >= wall);
        assert!(clock.now() >= first);
    }
}
