//! From raw ticks of a GPU's clock to times. Plain arithmetic.

use std::time::Duration;

/// How long one tick takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Period(f64);

impl Period {
    /// `nanoseconds` per tick, as `Queue::get_timestamp_period` gives it. `None` if no clock can run like that.
    pub(crate) fn new(nanoseconds: f32) -> Option<Self> {
        (nanoseconds.is_finite() && nanoseconds > 0.0).then(|| Self(f64::from(nanoseconds)))
    }

    /// The time from one stamp to a later one; `None` when `end` lies before `begin` (the clock wrapped or was reset).
    #[expect(clippy::cast_precision_loss, reason = "exact to 2^53 ticks, which is weeks")]
    pub(crate) fn between(self, begin: u64, end: u64) -> Option<Duration> {
        let nanoseconds = end.checked_sub(begin)? as f64 * self.0;
        Duration::try_from_secs_f64(nanoseconds / 1e9).ok()
    }
}

/// The times of a frame's hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HookTimes {
    /// Each hook's time since the first hook that has one.
    pub(crate) times: [Option<Duration>; 4],
    /// Hooks left out because their stamp lies before the one of an earlier hook.
    pub(crate) disordered: u32,
}

/// Turns the raw stamps of a frame's hooks, in the order of the frame, into times since the first of them. A hook without
/// a stamp is absent; so is one whose stamp lies before that of an earlier hook.
pub(crate) fn hook_times(stamps: [Option<u64>; 4], period: Period) -> HookTimes {
    let mut result = HookTimes::default();
    let mut first = None;
    let mut latest = 0;
    for (stamp, time) in stamps.into_iter().zip(&mut result.times) {
        let Some(stamp) = stamp else { continue };
        let first = *first.get_or_insert(stamp);
        match period.between(first, stamp) {
            Some(elapsed) if stamp >= latest => {
                *time = Some(elapsed);
                latest = stamp;
            }
            Some(_) | None => result.disordered += 1,
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NANOSECOND: Period = Period(1.0);

    #[test]
    fn a_period_must_be_a_positive_number() {
        for wrong in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(Period::new(wrong), None);
        }
        assert_eq!(Period::new(1.0), Some(NANOSECOND));
    }

    #[test]
    fn ticks_become_times_by_the_period() {
        let period = Period::new(52.5).unwrap();
        assert_eq!(period.between(1_000, 1_000), Some(Duration::ZERO));
        assert_eq!(period.between(1_000, 3_000), Some(Duration::from_nanos(105_000)));
        assert_eq!(period.between(3_000, 2_999), None);
        let hour = 3_600_000_000_000;
        assert_eq!(NANOSECOND.between(u64::MAX - hour, u64::MAX), Some(Duration::from_secs(3600)));
        assert_eq!(Period(1e9).between(0, u64::MAX), None, "longer than a Duration can be");
    }

    #[test]
    fn hooks_are_relative_to_the_first_that_has_a_stamp() {
        let times = hook_times([Some(100), Some(250), Some(900), Some(1_000)], NANOSECOND);
        assert_eq!(times.times, [0, 150, 800, 900].map(|ns| Some(Duration::from_nanos(ns))));
        assert_eq!(times.disordered, 0);
        let times = hook_times([None, Some(250), None, Some(1_000)], NANOSECOND);
        assert_eq!(times.times, [None, Some(Duration::ZERO), None, Some(Duration::from_nanos(750))]);
        assert_eq!(hook_times([None; 4], NANOSECOND), HookTimes::default());
    }

    #[test]
    fn a_wrapped_or_disordered_stamp_is_absent_and_counted() {
        let wrapped = hook_times([Some(u64::MAX - 5), Some(u64::MAX), Some(3), Some(10)], NANOSECOND);
        assert_eq!(wrapped.times, [Some(Duration::ZERO), Some(Duration::from_nanos(5)), None, None]);
        assert_eq!(wrapped.disordered, 2);
        let swapped = hook_times([Some(10), Some(30), Some(20), Some(40)], NANOSECOND);
        assert_eq!(swapped.times[2], None);
        assert_eq!(swapped.times[3], Some(Duration::from_nanos(30)));
        assert_eq!(swapped.disordered, 1);
    }

    proptest! {
        #[test]
        fn times_never_go_back_and_every_stamp_is_a_time_or_counted(
            stamps in prop::array::uniform4(prop::option::of(any::<u64>())),
            period in 0.01_f32..1000.0,
        ) {
            let result = hook_times(stamps, Period::new(period).unwrap());
            let given: Vec<Duration> = result.times.iter().flatten().copied().collect();
            prop_assert!(given.is_sorted());
            prop_assert_eq!(given.len() + result.disordered as usize, stamps.iter().flatten().count());
            for (stamp, time) in stamps.iter().zip(result.times) {
                prop_assert!(stamp.is_some() || time.is_none());
            }
            if let Some(first) = given.first() {
                prop_assert_eq!(*first, Duration::ZERO);
            }
        }
    }
}
