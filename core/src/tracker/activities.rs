//! What the program spends time on, read often and cheaply.

use crate::probe::Activity;
use std::time::Duration;

/// What was counted of one activity, over life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActivityTotals {
    /// Calls.
    pub calls: u64,
    /// Bytes made or uploaded.
    pub bytes: u64,
    /// Time that they took, as far as it was measured: zero if none was.
    pub time: Duration,
}

const ACTIVITIES: usize = Activity::ALL.len();

/// What [`Tracker::activities`](super::Tracker::activities) answers: what the program has spent time on since the tracker was made, and
/// which part of it the thread that asked. Only differences of two of them say something of a frame: [`since`](Self::since).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activities {
    all: [ActivityTotals; ACTIVITIES],
    here: [ActivityTotals; ACTIVITIES],
    /// The part of the thread that asked; 0 in a difference between two threads.
    asked_by: usize,
    /// Resources released, without the kinds that every frame makes.
    pub released: u64,
    /// Bytes staged for a submission, by whatever way.
    pub staged_bytes: u64,
}

impl Activities {
    #[cfg(feature = "telemetry")]
    pub(super) fn new(
        all: &crate::probe::efforts::EffortSums,
        here: &crate::probe::efforts::EffortSums,
        asked_by: usize,
        released: u64,
        staged_bytes: u64,
    ) -> Self {
        let totals =
            |&[calls, bytes, nanos]: &[u64; 3]| ActivityTotals { calls, bytes, time: Duration::from_nanos(nanos) };
        Self {
            all: std::array::from_fn(|index| totals(&all[index])),
            here: std::array::from_fn(|index| totals(&here[index])),
            asked_by,
            released,
            staged_bytes,
        }
    }

    /// All of one activity.
    #[must_use]
    pub fn of(&self, activity: Activity) -> ActivityTotals {
        self.all.get(activity as usize).copied().unwrap_or_default()
    }

    /// What the thread that asked did of it; `None` in a difference where two threads have asked.
    #[must_use]
    pub fn here(&self, activity: Activity) -> Option<ActivityTotals> {
        self.here.get(activity as usize).copied().filter(|_| self.asked_by != 0)
    }

    /// What was done since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let same = self.asked_by == earlier.asked_by;
        Self {
            all: std::array::from_fn(|index| self.all[index].since(earlier.all[index])),
            here: std::array::from_fn(|index| self.here[index].since(earlier.here[index])),
            asked_by: if same { self.asked_by } else { 0 },
            released: self.released.wrapping_sub(earlier.released),
            staged_bytes: self.staged_bytes.wrapping_sub(earlier.staged_bytes),
        }
    }
}

impl ActivityTotals {
    fn since(self, earlier: Self) -> Self {
        Self {
            calls: self.calls.wrapping_sub(earlier.calls),
            bytes: self.bytes.wrapping_sub(earlier.bytes),
            time: self.time.saturating_sub(earlier.time),
        }
    }
}

#[cfg(all(test, feature = "telemetry"))]
mod tests {
    use super::*;
    use crate::probe::{Clock, Context, Level, New, Timestamp};
    use crate::tracker::Tracker;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn calls_bytes_and_times_are_counted_by_activity_and_thread() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1));
        let tracker = Tracker::builder().clock(clock).build();
        let probe = tracker.probe();
        let before = tracker.activities();
        probe.timed(Activity::Submissions, || hand.advance(3 * MS));
        probe.uploading(1 << 20, || hand.advance(2 * MS));
        probe.stalled(7 * MS);
        let begun = probe.now();
        hand.advance(MS);
        let buffer = probe.create(New::buffer(100).begun(begun));
        drop(probe.create(New::render_pipeline().took(9 * MS)));
        std::thread::scope(|scope| {
            scope.spawn(|| probe.stalled(5 * MS));
        });
        let done = tracker.activities().since(&before);
        let of = |activity| {
            let ActivityTotals { calls, bytes, time } = done.of(activity);
            (calls, bytes, time.as_millis())
        };
        assert_eq!(of(Activity::Submissions), (1, 0, 3));
        assert_eq!(of(Activity::Uploads), (1, 1 << 20, 2));
        assert_eq!(of(Activity::Creations), (1, 100, 1));
        assert_eq!(of(Activity::Pipelines), (1, 0, 9));
        assert_eq!(of(Activity::Stalls), (2, 0, 12));
        assert_eq!(done.here(Activity::Stalls).map(|here| (here.calls, here.time)), Some((1, 7 * MS)));
        assert_eq!(done.released, 1);
        drop(buffer);
        let elsewhere = std::thread::scope(|scope| scope.spawn(|| tracker.activities()).join().unwrap());
        assert_eq!(elsewhere.since(&before).here(Activity::Stalls), None, "two threads have asked");
        assert_eq!(elsewhere.since(&before).released, 2);
    }

    #[test]
    fn off_and_untracked_count_nothing() {
        let tracker = Tracker::new();
        let before = tracker.activities();
        {
            let _untracked = Context::current().untracked().enter();
            tracker.probe().timed(Activity::Stalls, || ());
        }
        tracker.set_level(Level::Off);
        assert_eq!(tracker.probe().now(), None);
        tracker.probe().timed(Activity::Stalls, || ());
        tracker.probe().uploading(1 << 20, || ());
        tracker.probe().stalled(MS);
        assert_eq!(tracker.activities().since(&before).of(Activity::Stalls), ActivityTotals::default());
        assert_eq!(tracker.activities().since(&before).of(Activity::Uploads), ActivityTotals::default());
    }

    #[test]
    fn small_uploads_are_counted_each_and_timed_by_a_sample_that_stands_for_all() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1));
        let tracker = Tracker::builder().clock(clock).build();
        for _ in 0..8_000 {
            tracker.probe().uploading(64, || hand.advance(Duration::from_micros(1)));
        }
        let uploads = tracker.activities().of(Activity::Uploads);
        assert_eq!((uploads.calls, uploads.bytes), (8_000, 512_000));
        // The random numbers are the same in each run: 8 ms, and 3 % more or less.
        assert!((7_500..8_500).contains(&uploads.time.as_micros()), "{uploads:?}");
    }
}
