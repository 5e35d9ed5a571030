//! What grows and never falls.

use std::collections::HashMap;
use std::time::Duration;

use super::finding::{Finding, Subject, figure};
use super::run::{Gain, Run};
use super::step::{GuardInput, Window};
use super::{Guard, GuardSettings};
use crate::analysis::text::{bytes as size, counted};
use crate::probe::{Counts, OwnerId, ResourceKind};
use crate::tracker::OwnerTotals;

/// How long each owner and kind has been growing.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// Time watched since the first look.
    watched: Duration,
    /// In the order in which the tracker gave them.
    owners: Vec<(OwnerId, Runs)>,
    kinds: Vec<(ResourceKind, Runs)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Runs {
    resources: Run,
    bytes: Run,
}

impl Runs {
    fn begun(counts: &Counts) -> Self {
        Self { resources: Run::begun(counts.live()), bytes: Run::begun(counts.live_bytes()) }
    }

    fn look(&mut self, counts: &Counts, settings: &GuardSettings) {
        self.resources.look(counts.live(), Gain::of(settings.growth_resources, settings.growth_windows));
        self.bytes.look(counts.live_bytes(), Gain::of(settings.growth_bytes, settings.growth_windows));
    }

    fn endless(&self, settings: &GuardSettings) -> bool {
        let windows = settings.growth_windows;
        self.resources.endless(windows, Gain::of(settings.growth_resources, settings.growth_windows))
            || self.bytes.endless(windows, Gain::of(settings.growth_bytes, settings.growth_windows))
    }
}

impl Growth {
    /// Nothing has grown so far.
    pub(super) fn begin_anew(&mut self) {
        *self = Self::default();
    }

    pub(super) fn look(
        &mut self,
        settings: &GuardSettings,
        window: &Window,
        input: &GuardInput<'_>,
        findings: &mut Vec<Finding>,
    ) {
        self.watched = self.watched.saturating_add(window.watched);
        let starting = self.watched < settings.startup;
        if window.presented == 0 && input.totals.packets().presented > 0 {
            // The window is hidden, or a load shows nothing: what stands still now may grow again.
            return;
        }
        self.follow_owners(settings, input.owners, starting);
        self.follow_kinds(settings, input, starting);

        let mut found: Vec<_> = self
            .owners
            .iter()
            .zip(input.owners)
            .filter(|((owner, runs), _)| runs.endless(settings) && (input.owner)(*owner).is_some())
            .map(|((_, runs), owner)| (*runs, owner))
            .collect();
        found.sort_by_key(|(runs, _)| std::cmp::Reverse((runs.bytes.gained(), runs.resources.gained())));
        // What an owner's growth explains is not said of its kind too.
        if found.is_empty() {
            let kinds = self.kinds.iter().filter(|(_, runs)| runs.endless(settings));
            findings.extend(kinds.map(|(kind, runs)| {
                let most = self.most_of(*kind, runs, input);
                let subject = Subject {
                    owner: most.map(|owner| owner.owner),
                    kind: Some(*kind),
                    site: most.and_then(|owner| owner.site),
                    what: "",
                };
                let most = if most.is_some() { ", most of them or of their bytes of the owner named" } else { "" };
                finding(subject, &format!("live resources of kind {}{most},", kind.name()), runs)
            }));
        }
        findings.extend(found.into_iter().map(|(runs, owner)| {
            let OwnerTotals { owner, kind, site, .. } = *owner;
            let subject = Subject { owner: Some(owner), kind, site, what: "" };
            finding(subject, "live resources of one owner", &runs)
        }));
    }

    /// The owner that at least half of a kind's growth is of.
    fn most_of<'a>(&self, kind: ResourceKind, grown: &Runs, input: &GuardInput<'a>) -> Option<&'a OwnerTotals> {
        let growing = |runs: &Runs| (runs.bytes.gained(), runs.resources.gained());
        let owners = self.owners.iter().zip(input.owners).filter(|(_, totals)| totals.kind == Some(kind));
        let ((_, runs), totals) = owners.max_by_key(|((_, runs), _)| growing(runs))?;
        let half = |part: &Run, all: &Run| all.gained() > 0 && part.gained() >= all.gained() / 2;
        (half(&runs.bytes, &grown.bytes) || half(&runs.resources, &grown.resources)).then_some(totals)
    }

    fn follow_owners(&mut self, settings: &GuardSettings, owners: &[OwnerTotals], starting: bool) {
        let in_order = self.owners.len() <= owners.len()
            && self.owners.iter().zip(owners).all(|((known, _), totals)| *known == totals.owner);
        if !in_order {
            let known: HashMap<_, _> = self.owners.drain(..).collect();
            let runs =
                |totals: &OwnerTotals| known.get(&totals.owner).copied().unwrap_or_else(|| Runs::begun(&totals.counts));
            self.owners.extend(owners.iter().map(|totals| (totals.owner, runs(totals))));
        }
        for ((_, runs), totals) in self.owners.iter_mut().zip(owners) {
            if starting {
                *runs = Runs::begun(&totals.counts);
            } else {
                runs.look(&totals.counts, settings);
            }
        }
        // What a new owner begins with is no growth.
        let new = owners.get(self.owners.len()..).unwrap_or_default();
        self.owners.extend(new.iter().map(|totals| (totals.owner, Runs::begun(&totals.counts))));
    }

    fn follow_kinds(&mut self, settings: &GuardSettings, input: &GuardInput<'_>, starting: bool) {
        for (kind, totals) in input.totals.kinds() {
            let mut counts = totals.device;
            counts += totals.within;
            match self.kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, runs)) if !starting => runs.look(&counts, settings),
                Some((_, runs)) => *runs = Runs::begun(&counts),
                None => self.kinds.push((kind, Runs::begun(&counts))),
            }
        }
    }
}

fn finding(subject: Subject, what: &str, runs: &Runs) -> Finding {
    let Runs { resources, bytes } = runs;
    let gains = [(resources, counted(resources.gained(), "resource", "resources")), (bytes, size(bytes.gained()))];
    let gains: Vec<_> = gains
        .into_iter()
        .filter(|(run, _)| run.gained() > 0)
        .map(|(run, gain)| format!("{gain} in {}", counted(u64::from(run.windows), "window", "windows")))
        .collect();
    Finding {
        guard: Guard::Growth,
        subject,
        likely: None,
        label: None,
        text: format!("{what} grow without a fall: by {}", gains.join(" and by ")),
        figures: vec![
            figure("windows", u64::from(resources.windows.max(bytes.windows))),
            figure("gained", resources.gained()),
            figure("gained_bytes", bytes.gained()),
            figure("live", resources.last),
            figure("live_bytes", bytes.last),
        ],
    }
}
