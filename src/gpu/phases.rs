//! What a frame's time on the CPU was spent on. Plain arithmetic: the clock is an argument.

use std::time::Duration;

use engine_vitals_core::contract::FrameStats;
use web_time::Instant;

/// The phases of one frame, which do not overlap: from its begin to the first hook it is prepared, from there to a submission it is encoded.
/// The time after a submission counts only if another one follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phases {
    /// When the phase under way began.
    since: Instant,
    /// A hook was recorded.
    encoding: bool,
    prepare: Duration,
    encode: Option<Duration>,
    submission: Option<Duration>,
    present: Option<Duration>,
}

impl Phases {
    /// The frame begins.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, encoding: false, prepare: Duration::ZERO, encode: None, submission: None, present: None }
    }

    /// Whether the next hook begins the encoding.
    pub(super) fn awaits_hook(&self) -> bool {
        !self.encoding
    }

    /// A hook is recorded; only the first says anything.
    pub(super) fn hook(&mut self, now: Instant) {
        if !self.encoding && self.submission.is_none() {
            self.prepare = now.saturating_duration_since(self.since);
            self.since = now;
        }
        self.encoding = true;
    }

    /// Commands were submitted, from `begun` to `now`.
    pub(super) fn submitted(&mut self, begun: Instant, now: Instant) {
        let before = begun.saturating_duration_since(self.since);
        if self.encoding {
            add(&mut self.encode, before);
        } else {
            self.prepare += before;
        }
        add(&mut self.submission, now.saturating_duration_since(begun));
        self.since = now;
    }

    /// The frame was presented, from `begun` to `now`.
    pub(super) fn presented(&mut self, begun: Instant, now: Instant) {
        let took = now.saturating_duration_since(begun);
        add(&mut self.present, took);
        // It is no part of the phase that it fell into.
        self.since += took;
    }

    /// What is known by now: without a submission, no more than the presenting.
    pub(super) fn write(&self, stats: &mut FrameStats) {
        if self.submission.is_some() {
            stats.cpu_preparation = Some(self.prepare + self.encode.unwrap_or_default());
            stats.cpu_encode = self.encode;
            stats.cpu_submission = self.submission;
        }
        stats.cpu_present = self.present;
    }
}

fn add(total: &mut Option<Duration>, time: Duration) {
    *total = Some(total.unwrap_or_default() + time);
}

#[cfg(test)]
mod tests {
    use engine_vitals_core::contract::CpuPhase;
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn stats(phases: &Phases) -> FrameStats {
        let mut stats = FrameStats::default();
        phases.write(&mut stats);
        stats
    }

    #[test]
    fn the_first_hook_ends_the_preparation() {
        let start = Instant::now();
        let mut phases = Phases::new(start);
        assert!(phases.awaits_hook());
        phases.hook(start + 2 * MS);
        phases.hook(start + 4 * MS);
        assert!(!phases.awaits_hook());
        phases.submitted(start + 5 * MS, start + 6 * MS);
        phases.presented(start + 8 * MS, start + 18 * MS);
        let stats = stats(&phases);
        assert_eq!(stats.cpu_preparation, Some(5 * MS), "to the submission, as ever");
        let phases = CpuPhase::ALL.map(|phase| stats.phase(phase));
        assert_eq!(phases, [2, 3, 1, 10].map(|ms| Some(ms * MS)));
    }

    #[test]
    fn without_hooks_all_is_preparation_and_without_a_submission_it_is_unknown() {
        let start = Instant::now();
        let mut phases = Phases::new(start);
        assert_eq!(stats(&phases), FrameStats::default());
        phases.presented(start, start + MS);
        assert_eq!(stats(&phases), FrameStats { cpu_present: Some(MS), ..FrameStats::default() });
        phases.submitted(start + 3 * MS, start + 3 * MS);
        let stats = stats(&phases);
        assert_eq!((stats.cpu_preparation, stats.cpu_encode), (Some(2 * MS), None), "presenting is no preparation");
        assert_eq!(stats.cpu_submission, Some(Duration::ZERO));
    }

    proptest! {
        /// Whatever an engine calls in whatever order: no time is counted twice, and none that lies after the last submission.
        #[test]
        fn phases_add_up_to_the_time_until_the_last_submission(
            steps in prop::collection::vec((0_u8..3, 0_u64..5, 0_u64..5), 0..12),
        ) {
            let start = Instant::now();
            let mut phases = Phases::new(start);
            let (mut now, mut last, mut presented_since) = (start, start, Duration::ZERO);
            for (step, idle, took) in steps {
                now += Duration::from_millis(idle);
                let begun = now;
                match step {
                    0 => phases.hook(now),
                    1 => {
                        now += Duration::from_millis(took);
                        phases.submitted(begun, now);
                        (last, presented_since) = (now, Duration::ZERO);
                    }
                    _ => {
                        now += Duration::from_millis(took);
                        phases.presented(begun, now);
                        presented_since += now - begun;
                    }
                }
            }
            let stats = stats(&phases);
            let sum: Duration = CpuPhase::ALL.into_iter().filter_map(|phase| stats.phase(phase)).sum();
            let submitted = stats.cpu_submission.is_some();
            prop_assert_eq!(sum, presented_since + if submitted { last - start } else { Duration::ZERO }
                + if submitted { Duration::ZERO } else { stats.cpu_present.unwrap_or_default() - presented_since });
        }
    }
}
