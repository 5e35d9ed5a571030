//! What explains the time of a hitch beyond the typical: each measure in its turn, by how far it is to be trusted.

use std::cmp::Reverse;
use std::time::Duration;

use super::rolling::Grown;
use super::{Basis, Evidence, FrameFacts, HitchCause, HitchCosts, HitchLog, PassEvidence, Work, saturated};

impl HitchLog {
    /// The causes of a frame that took so much longer than the typical one, the weightiest first.
    pub(super) fn causes(&self, facts: &FrameFacts<'_>, excess: Duration) -> Vec<Evidence> {
        let mut found = Found { causes: Vec::new(), unexplained: excess };
        let works = || {
            HitchCause::ALL
                .into_iter()
                .zip(facts.work)
                .map(|(cause, work)| (cause, work, self.rolling.typical_work(cause as usize)))
        };
        let measured = |(cause, work, typical): (HitchCause, Work, Work)| {
            let time = work.time?.saturating_sub(typical.time.unwrap_or_default());
            Some(Evidence { cause, time, basis: Basis::Measured, work, typical, pass: None })
        };

        // On one thread, one thing at a time: but for a call within a call, these add up to the frame at most.
        let (waits, others): (Vec<_>, Vec<_>) =
            works().filter_map(measured).partition(|evidence| evidence.cause.waits());
        for mut evidence in others {
            evidence.time = evidence.time.min(excess);
            found.add(evidence);
        }

        // What was waited for comes before the waiting: the GPU's work, of this frame or of one before that was in flight still.
        let mut waited = waits.iter().fold(Duration::ZERO, |sum, evidence| sum.saturating_add(evidence.time));
        let mut explained = Duration::ZERO;
        for (mut evidence, only_waiting) in self.passes(facts) {
            let room = if only_waiting { waited } else { waited.saturating_add(found.unexplained) };
            evidence.time = evidence.time.min(room).min(excess);
            let waiting = evidence.time.min(waited);
            waited = waited.saturating_sub(waiting);
            explained = explained.saturating_add(waiting);
            found.add(evidence);
        }
        for mut evidence in waits {
            let rest = evidence.time.saturating_sub(explained);
            explained = explained.saturating_sub(evidence.time);
            evidence.time = rest.min(excess);
            found.add(evidence);
        }

        // What other threads did, and what was not timed, explains no more than what is left.
        let elsewhere = works().map(|(cause, work, typical)| {
            let time = work.elsewhere.saturating_sub(typical.elsewhere);
            Evidence { cause, time, basis: Basis::OtherThreads, work, typical, pass: None }
        });
        found.fill(elsewhere.collect());
        let estimated = works().map(|(cause, work, typical)| {
            let cost = |amount| self.rules.costs.of(cause, amount, work.time.is_some());
            let time = cost(work).saturating_sub(cost(typical));
            Evidence { cause, time, basis: Basis::Estimated, work, typical, pass: None }
        });
        found.fill(estimated.collect());
        found.ranked(excess)
    }

    /// Passes that took longer than they typically do, the one that grew most first, each name once, and whether it was a frame before.
    fn passes(&self, facts: &FrameFacts<'_>) -> Vec<(Evidence, bool)> {
        let own = facts.passes.iter();
        let own = own.filter_map(|(name, time)| Some((self.rolling.growth(facts.frame, name, *time)?, false)));
        let before = self.grown.iter().map(|grown| (grown.clone(), true));
        let mut grown: Vec<_> = own.chain(before).collect();
        grown.sort_by_key(|(grown, before)| (Reverse(grown.growth()), *before));
        let mut passes: Vec<(Evidence, bool)> = Vec::new();
        for (grown, before) in grown {
            let growth = grown.growth();
            let Grown { frame, name, time, typical, .. } = grown;
            let known = |(evidence, _): &(Evidence, bool)| evidence.pass.as_ref().is_some_and(|pass| pass.name == name);
            if passes.iter().any(known) {
                continue;
            }
            let of = |time| Work { count: 1, time: Some(time), ..Work::default() };
            let evidence = Evidence {
                cause: HitchCause::GpuPass,
                time: growth,
                basis: Basis::Measured,
                work: of(time),
                typical: of(typical),
                pass: Some(PassEvidence { name, frame }),
            };
            passes.push((evidence, before));
        }
        passes
    }
}

/// The causes so far, and the time that none of them explains.
struct Found {
    causes: Vec<Evidence>,
    unexplained: Duration,
}

impl Found {
    fn add(&mut self, evidence: Evidence) {
        self.unexplained = self.unexplained.saturating_sub(evidence.time);
        self.causes.push(evidence);
    }

    /// The largest of these first, each no more than what is left.
    fn fill(&mut self, mut causes: Vec<Evidence>) {
        causes.sort_by_key(|evidence| (Reverse(evidence.time), evidence.cause));
        for mut evidence in causes {
            evidence.time = evidence.time.min(self.unexplained);
            self.add(evidence);
        }
    }

    /// All that explain something worth telling; what is left unexplained is external.
    fn ranked(self, excess: Duration) -> Vec<Evidence> {
        let Self { mut causes, unexplained } = self;
        causes.push(Evidence {
            cause: HitchCause::External,
            time: unexplained,
            basis: Basis::Remainder,
            work: Work::default(),
            typical: Work::default(),
            pass: None,
        });
        // A twentieth of the excess explains nothing; what is left unexplained is told from a quarter on, or where there is nothing else.
        let least = |evidence: &Evidence| if evidence.cause == HitchCause::External { excess / 4 } else { excess / 20 };
        let most = causes.iter().map(|evidence| evidence.time).max().unwrap_or_default();
        causes.retain(|evidence| evidence.time > least(evidence) || evidence.time == most);
        causes.sort_by_key(|evidence| (Reverse(evidence.time), evidence.basis, evidence.cause));
        if most.is_zero() {
            causes.retain(|evidence| evidence.cause == HitchCause::External);
        }
        causes
    }
}

impl HitchCause {
    /// Part of it may be waiting for the GPU: drivers wait in a submit, too, when as much is in flight as may be.
    fn waits(self) -> bool {
        matches!(self, Self::Stalls | Self::Submissions)
    }
}

impl HitchCosts {
    /// What so much of it is taken to cost; where it was timed, as far as it was not.
    fn of(&self, cause: HitchCause, work: Work, timed: bool) -> Duration {
        let work = if timed { Work { count: 0, bytes: work.estimated_bytes, ..work } } else { work };
        let grown = Work { bytes: work.estimated_bytes, ..work };
        let each = |one: Duration| Duration::from_nanos(saturated(one).saturating_mul(work.count));
        let bytes = |work: Work, picoseconds: u64| Duration::from_nanos(work.bytes.saturating_mul(picoseconds) / 1_000);
        match cause {
            HitchCause::Uploads => bytes(work, self.picoseconds_per_uploaded_byte),
            HitchCause::Creations => each(self.per_creation),
            HitchCause::Destructions => each(self.per_destruction),
            HitchCause::HeapAllocations => {
                each(self.per_heap_allocation).saturating_add(bytes(grown, self.picoseconds_per_heap_byte))
            }
            HitchCause::Pipelines
            | HitchCause::ShaderModules
            | HitchCause::Submissions
            | HitchCause::Stalls
            | HitchCause::GpuPass
            | HitchCause::External => Duration::ZERO,
        }
    }
}
