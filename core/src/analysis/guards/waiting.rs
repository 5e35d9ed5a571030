//! What waits: staged bytes for a submission, submissions for their completion.

use std::time::Duration;

use super::finding::{Finding, Subject, figure};
use super::step::{GuardInput, Window};
use super::{Guard, GuardSettings};
use crate::analysis::text::{bytes as size, duration};
use crate::probe::Timestamp;
use crate::tracker::{SubmissionRecord, SubmissionTotals, Unsubmitted};

/// For how long it has been seen waiting.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    writes: Option<Writes>,
    submitted: u64,
    /// Completed or abandoned.
    ended: u64,
    /// Time in which work was submitted and none was found completed.
    unpolled: Duration,
    /// Time in which work was in flight and none had ever been found completed.
    uncompleted: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Writes {
    since: Timestamp,
    first: u64,
    seen: Duration,
}

impl Waiting {
    /// Nothing has been seen waiting so far.
    pub(super) fn begun(totals: &SubmissionTotals) -> Self {
        Self { submitted: totals.submitted, ended: ended(totals), ..Self::default() }
    }

    pub(super) fn look(
        &mut self,
        settings: &GuardSettings,
        window: &Window,
        input: &GuardInput<'_>,
        findings: &mut Vec<Finding>,
    ) {
        findings.extend(self.writes(settings, window, input.unsubmitted));
        findings.extend(self.submissions(settings, window, input));
    }

    fn writes(&mut self, settings: &GuardSettings, window: &Window, waiting: Option<Unsubmitted>) -> Option<Finding> {
        let Some(waiting) = waiting else {
            self.writes = None;
            return None;
        };
        let Unsubmitted { bytes, since, owner, site, .. } = waiting;
        let writes = match self.writes {
            Some(before) if before.since == since => {
                Writes { seen: before.seen.saturating_add(window.watched), ..before }
            }
            _ => {
                let age = window.time.since(since).unwrap_or_default();
                Writes { since, first: bytes, seen: age.min(window.watched) }
            }
        };
        self.writes = Some(writes);
        let matters = bytes >= settings.unsubmitted_bytes || bytes > writes.first;
        (writes.seen >= settings.unsubmitted_for && matters).then(|| Finding {
            guard: Guard::UnsubmittedWrites,
            subject: Subject { owner, site, ..Subject::default() },
            likely: None,
            label: None,
            text: format!("{} are staged and have waited {} for a submission", size(bytes), duration(writes.seen)),
            figures: vec![figure("bytes", bytes), figure("waited_ms", millis(writes.seen))],
        })
    }

    fn submissions(&mut self, settings: &GuardSettings, window: &Window, input: &GuardInput<'_>) -> Option<Finding> {
        let totals = &input.totals.submissions;
        let ended = ended(totals);
        let more = totals.submitted > self.submitted;
        let stands = ended == self.ended && totals.in_flight() > 0;
        (self.submitted, self.ended) = (totals.submitted, ended);
        if !stands {
            (self.unpolled, self.uncompleted) = (Duration::ZERO, Duration::ZERO);
            return None;
        }
        if more {
            self.unpolled = self.unpolled.saturating_add(window.watched);
        }
        if ended == 0 {
            self.uncompleted = self.uncompleted.saturating_add(window.watched);
        }
        // While nothing more is submitted, a program may rest with its last frames in flight: what they hold does not grow.
        let unpolled = self.unpolled >= settings.unpolled_for || self.uncompleted >= settings.first_completion_within;
        let oldest = input.oldest_in_flight.filter(|_| unpolled)?;
        let SubmissionRecord { correlation, owner, site, submitted, .. } = oldest;
        let age = window.time.since(submitted).unwrap_or_default();
        Some(Finding {
            guard: Guard::NeverPolled,
            subject: Subject { owner, site, ..Subject::default() },
            likely: None,
            label: None,
            text: format!(
                "{} submissions are in flight and none was found completed for {}: is the device polled? The oldest, {correlation}, was made {} ago",
                totals.in_flight(),
                duration(self.unpolled.max(self.uncompleted)),
                duration(age),
            ),
            figures: vec![
                figure("in_flight", totals.in_flight()),
                figure("oldest_ms", millis(age)),
                figure("correlation", correlation),
            ],
        })
    }
}

fn ended(totals: &SubmissionTotals) -> u64 {
    totals.completed.saturating_add(totals.abandoned)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
