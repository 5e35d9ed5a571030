//! One step of all guards: from what was counted to what is told.

use std::time::Duration;

use super::churn::Churn;
use super::finding::{self, Finding, Listed, Subject, figure};
use super::growth::Growth;
use super::over_budget::OverBudget;
use super::waiting::Waiting;
use super::{Guard, GuardSettings, Warning};
use crate::analysis::text::duration;
use crate::probe::{Level, OwnerId, Timestamp};
use crate::tracker::{
    LifeRecord, Misuse, MisuseKind, Misuses, OverflowTotals, Owner, OwnerTotals, SubmissionRecord, Totals, Unsubmitted,
};

/// What a step looks at: plain data, as one [`Tracker`](crate::tracker::Tracker) answers them.
#[derive(Clone, Copy)]
pub struct GuardInput<'a> {
    /// When they were read.
    pub time: Timestamp,
    /// How much is recorded. At [`Level::Off`] nothing is judged.
    pub level: Level,
    /// The totals.
    pub totals: &'a Totals,
    /// What each owner has made and released.
    pub owners: &'a [OwnerTotals],
    /// The misuses so far.
    pub misuses: &'a Misuses,
    /// Staged bytes that wait.
    pub unsubmitted: Option<Unsubmitted>,
    /// The oldest submission in flight.
    pub oldest_in_flight: Option<SubmissionRecord>,
    /// The followed lives that have ended, asked for only where a storm of them is to be named.
    pub lives: &'a dyn Fn() -> Vec<LifeRecord>,
    /// What is known of an owner.
    pub owner: &'a dyn Fn(OwnerId) -> Option<Owner>,
}

impl std::fmt::Debug for GuardInput<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardInput").field("time", &self.time).field("level", &self.level).finish_non_exhaustive()
    }
}

/// All guards over one tracker, with what they remember from step to step and the last 64 warnings.
///
/// Its memory is bounded by [`GuardSettings::owners`], a step's time by the owners that there are.
#[derive(Debug)]
pub struct Guards {
    settings: GuardSettings,
    /// When the last step was; `None` before the first.
    last: Option<Timestamp>,
    misuses: u64,
    overflows: OverflowTotals,
    churn: Churn,
    growth: Growth,
    waiting: Waiting,
    over_budget: OverBudget,
    listed: Listed,
    raised: [u64; Guard::ALL.len()],
    suppressed: u64,
    unguarded: u64,
    told: u64,
}

/// The time between two steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Its beginning.
    pub(super) from: Timestamp,
    /// Its end: now.
    pub(super) time: Timestamp,
    /// Its length.
    pub(super) span: Duration,
    /// The length as far as it counts as watched.
    pub(super) watched: Duration,
    /// How many of the set windows it is as long as, at least 1.
    pub(super) scale: f64,
    /// Packets that were presented in it.
    pub(super) presented: u64,
}

impl Window {
    /// So many per set window are so many in this one.
    pub(super) fn at_least(&self, count: u64) -> u64 {
        (count as f64 * self.scale).ceil() as u64
    }

    /// `count` is more than so many for each presented packet.
    pub(super) fn exceeds_packets(&self, count: u64, per_packet: f64) -> bool {
        count as f64 > per_packet * self.presented as f64
    }
}

impl Guards {
    /// Guards with these thresholds, that have seen nothing yet.
    #[must_use]
    pub fn new(settings: GuardSettings) -> Self {
        let settings = GuardSettings { window: settings.window.max(Duration::from_millis(1)), ..settings };
        Self {
            settings,
            last: None,
            misuses: 0,
            overflows: OverflowTotals::default(),
            churn: Churn::default(),
            growth: Growth::default(),
            waiting: Waiting::default(),
            over_budget: OverBudget::default(),
            listed: Listed::default(),
            raised: [0; Guard::ALL.len()],
            suppressed: 0,
            unguarded: 0,
            told: 0,
        }
    }

    /// The thresholds.
    #[must_use]
    pub fn settings(&self) -> &GuardSettings {
        &self.settings
    }

    /// A step at that time would look: the last one is a window ago, or there was none, or the clock went back. Ask this before reading the
    /// input.
    #[must_use]
    pub fn due(&self, time: Timestamp) -> bool {
        let since = self.last.map(|last| time.since(last));
        self.settings.on && since.is_none_or(|since| since.is_none_or(|since| since >= self.settings.window))
    }

    /// Looks at what was counted since the last step, and gives the warnings to tell, what is certain first. Gives none, and remembers
    /// nothing, unless it is [due](Self::due).
    ///
    /// A warning that is raised window after window is given when it is raised for the 1st, 2nd, 4th, 8th, … time; each time counts in
    /// [`raised`](Self::raised) and in [`Warning::windows`].
    pub fn step(&mut self, input: &GuardInput<'_>) -> impl Iterator<Item = Warning> + use<> {
        let told = if self.due(input.time) { self.look(input) } else { Vec::new() };
        told.into_iter()
    }

    /// The last 64 warnings, one for each guard and subject, the last raised at the end.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.listed.all()
    }

    /// Warnings that a guard has raised, one per window and subject.
    #[must_use]
    pub fn raised(&self, guard: Guard) -> u64 {
        self.raised.get(guard.index()).copied().unwrap_or_default()
    }

    /// Warnings that were counted and not listed, since there were too many of one guard in a window.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// Owners that the last step did not compare, since there were too many.
    #[must_use]
    pub fn unguarded(&self) -> u64 {
        self.unguarded
    }

    fn look(&mut self, input: &GuardInput<'_>) -> Vec<Warning> {
        let window = self.window(input);
        self.last = Some(input.time);
        let owners = input.owners.get(..self.settings.owners).unwrap_or(input.owners);
        self.unguarded = (input.owners.len() - owners.len()) as u64;
        let input = &GuardInput { owners, ..*input };

        let mut findings = Vec::new();
        self.misused(input.misuses, &mut findings);
        self.over_budget.look(input, &mut findings);
        let Some(window) = window.filter(|_| input.level != Level::Off && self.churn.continues(input)) else {
            self.begin_anew(input);
            return self.tell(input, findings);
        };
        self.waiting.look(&self.settings, &window, input, &mut findings);
        self.churn.look(&self.settings, &window, input, &mut findings);
        self.growth.look(&self.settings, &window, input, &mut findings);
        self.overflowed(&window, input, &mut findings);
        self.tell(input, findings)
    }

    /// The window that ends now; `None` if there is nothing to compare with.
    fn window(&self, input: &GuardInput<'_>) -> Option<Window> {
        let from = self.last?;
        let span = input.time.since(from)?;
        let set = self.settings.window;
        Some(Window {
            from,
            time: input.time,
            span,
            watched: span.min(2 * set),
            scale: (span.as_secs_f64() / set.as_secs_f64()).max(1.0),
            presented: self.churn.presented_since(input.totals),
        })
    }

    /// What is there now is what later steps compare with.
    fn begin_anew(&mut self, input: &GuardInput<'_>) {
        self.waiting = Waiting::begun(&input.totals.submissions);
        self.growth.begin_anew();
        self.churn.remember(input);
        self.overflows = input.totals.overflows;
    }

    /// Misuses are exact, whatever the window: those since the last step, one finding for each resource kind, owner and site.
    fn misused(&mut self, misuses: &Misuses, findings: &mut Vec<Finding>) {
        let Misuses { records, total, .. } = misuses;
        if *total < self.misuses {
            self.misuses = 0;
        }
        // The tracker keeps the first of them.
        let new = records.get(usize::try_from(self.misuses).unwrap_or(usize::MAX)..).unwrap_or_default();
        let unknown = (total - self.misuses).saturating_sub(new.len() as u64);
        self.misuses = *total;
        let mut groups: Vec<(Subject, &Misuse, u64)> = Vec::new();
        for misuse in new {
            let Misuse { what, kind, owner, site, at, .. } = misuse;
            let subject = Subject { owner: *owner, kind: Some(*kind), site: at.or(*site), what: what.name() };
            match groups.iter_mut().find(|(known, ..)| *known == subject) {
                Some((_, _, times)) => *times += 1,
                None => groups.push((subject, misuse, 1)),
            }
        }
        findings.extend(groups.into_iter().map(|(subject, misuse, times)| misuse_finding(subject, misuse, times)));
        if unknown > 0 {
            findings.push(Finding {
                guard: Guard::DestroyedInUse,
                subject: Subject { what: "beyond those kept", ..Subject::default() },
                likely: None,
                label: None,
                text: format!("{unknown} more resources were destroyed in use or used after they were destroyed"),
                figures: vec![figure("misuses", unknown)],
            });
        }
    }

    fn overflowed(&mut self, window: &Window, input: &GuardInput<'_>, findings: &mut Vec<Finding>) {
        let (now, before) = (input.totals.overflows, self.overflows);
        self.overflows = now;
        let tables = [
            ("labels", now.labels, before.labels),
            ("owners", now.owners, before.owners),
            ("sites", now.sites, before.sites),
            ("markers", now.markers, before.markers),
            ("lanes", now.lanes, before.lanes),
            ("resource kinds", now.resource_kinds, before.resource_kinds),
            ("owner kinds", now.owner_kinds, before.owner_kinds),
        ];
        for (table, now, before) in tables {
            let refused = now.saturating_sub(before);
            if refused == 0 {
                continue;
            }
            // Who was refused is not known; who made the most is.
            let likely = self.churn.busiest();
            let hint = if likely.is_some() { "; most of what was made then is of the owner named" } else { "" };
            findings.push(Finding {
                guard: Guard::LabelOverflow,
                subject: Subject { site: likely.and_then(|owner| owner.site), what: table, ..Subject::default() },
                likely: likely.map(|owner| owner.owner),
                label: None,
                text: format!("{refused} {table} found no room in {}{hint}", duration(window.span)),
                figures: vec![figure("refused", refused), figure("refused_in_all", now)],
            });
        }
    }

    /// Counts and lists what was found, and picks what is told.
    fn tell(&mut self, input: &GuardInput<'_>, mut findings: Vec<Finding>) -> Vec<Warning> {
        findings.sort_by_key(|finding| finding.guard);
        let mut told = Vec::new();
        let mut by_guard = [0_usize; Guard::ALL.len()];
        for finding in findings {
            let place = finding.guard.index();
            if let (Some(raised), Some(here)) = (self.raised.get_mut(place), by_guard.get_mut(place)) {
                *raised += 1;
                *here += 1;
                if *here > self.settings.most_per_window {
                    self.suppressed += 1;
                    continue;
                }
            }
            let owner = finding.subject.owner.or(finding.likely);
            let owner = owner.map(|owner| finding::name(owner, (input.owner)(owner)));
            let warning = self.listed.raise(input.time, finding, owner);
            if warning.windows.is_power_of_two() && self.told < self.settings.most_told {
                self.told += 1;
                told.push(warning.clone());
            }
        }
        told
    }
}

fn misuse_finding(subject: Subject, misuse: &Misuse, times: u64) -> Finding {
    let Misuse { what, resource, kind, packet, label, site, at, .. } = misuse;
    let did = match what {
        MisuseKind::DestroyedInUse => "was destroyed while it is used by the open",
        MisuseKind::UsedAfterDestroy => "was destroyed and then used by",
    };
    let more = if times > 1 { format!(", and {} more like it", times - 1) } else { String::new() };
    let made = match (site, at) {
        (Some(site), Some(_)) => format!(", made at {}:{}", site.file(), site.line()),
        _ => String::new(),
    };
    Finding {
        guard: Guard::DestroyedInUse,
        subject,
        likely: None,
        label: label.clone(),
        text: format!(
            "{} {}{made} {did} packet {} of lane {}{more}",
            kind.name(),
            resource.get(),
            packet.number(),
            packet.lane().get()
        ),
        figures: vec![figure("misuses", times), figure("resource", resource.get()), figure("packet", packet.number())],
    }
}
