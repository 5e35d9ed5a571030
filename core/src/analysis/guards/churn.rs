//! What is made and released again: by one owner, and against the frames that were presented.

use std::collections::HashMap;
use std::panic::Location;
use std::time::Duration;

use super::costly;
use super::finding::{Finding, Subject, figure};
use super::step::{GuardInput, Window};
use super::{Guard, GuardSettings, young};
use crate::analysis::text::duration;
use crate::probe::{Counts, OwnerId, OwnerKind, ResourceKind};
use crate::tracker::{KindTotals, OwnerTotals, Totals};

/// Kinds that programs without a fault make and release as they go: in each frame, for each upload, or to make another of.
const PASSING: [ResourceKind; 9] = [
    ResourceKind::COMMAND_ENCODER,
    ResourceKind::COMMAND_BUFFER,
    ResourceKind::SURFACE_TEXTURE,
    ResourceKind::TEXTURE_VIEW,
    ResourceKind::BIND_GROUP,
    ResourceKind::BIND_GROUP_LAYOUT,
    ResourceKind::PIPELINE_LAYOUT,
    ResourceKind::SHADER_MODULE,
    ResourceKind::STAGING_BUFFER,
];

/// The counts at the last step.
#[derive(Debug, Default)]
pub(super) struct Churn {
    presented: u64,
    created: u64,
    kinds: Vec<(ResourceKind, KindTotals)>,
    /// In the order in which the tracker gave them.
    owners: Vec<(OwnerId, Past)>,
    /// Windows in a row that were a storm.
    stormy: u32,
    busiest: Option<Busiest>,
}

/// What an owner's counts were.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    created: u64,
    released: u64,
    rebuilds: u64,
    lifetime_nanos: u64,
    /// Windows in a row in which the owner made again what it released.
    again: u32,
}

/// The owner that made the most in the last window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Busiest {
    pub(super) owner: OwnerId,
    pub(super) site: Option<&'static Location<'static>>,
}

/// What one owner did in a window.
#[derive(Clone, Copy, Debug)]
struct Change<'a> {
    /// Its place among the owners.
    place: usize,
    owner: &'a OwnerTotals,
    counts: Counts,
    young: u64,
    /// Windows in a row in which the owner made again what it released, this one included.
    again: u32,
}

impl Churn {
    /// The counts go on from those of the last step. They do not where they are another tracker's.
    pub(super) fn continues(&self, input: &GuardInput<'_>) -> bool {
        input.totals.packets().presented >= self.presented && created(input.totals) >= self.created
    }

    /// Packets presented since the last step.
    pub(super) fn presented_since(&self, totals: &Totals) -> u64 {
        totals.packets().presented.saturating_sub(self.presented)
    }

    /// The owner that made the most in the last window.
    pub(super) fn busiest(&self) -> Option<Busiest> {
        self.busiest
    }

    pub(super) fn remember(&mut self, input: &GuardInput<'_>) {
        self.presented = input.totals.packets().presented;
        self.created = created(input.totals);
        self.kinds.clear();
        self.kinds.extend(input.totals.kinds());
        self.owners.clear();
        self.owners.extend(input.owners.iter().map(|totals| (totals.owner, Past::of(&totals.counts))));
        self.stormy = 0;
        self.busiest = None;
    }

    pub(super) fn look(
        &mut self,
        settings: &GuardSettings,
        window: &Window,
        input: &GuardInput<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let changes = self.changes(settings, window, input.owners);
        let busiest = changes.iter().max_by_key(|change| change.counts.created).copied();
        let looping = costly::look(settings, window, input, &|kind| self.kind_since(input.totals, kind), findings);
        recreated(settings, window, input, &changes, &looping, findings);
        let stormy = self.storm(settings, window, input.totals, &changes, findings);
        self.remember(input);
        self.stormy = stormy;
        for change in &changes {
            if let Some((_, past)) = self.owners.get_mut(change.place) {
                past.again = change.again;
            }
        }
        self.busiest = busiest
            .filter(|change| change.counts.created > 0)
            .map(|change| Busiest { owner: change.owner.owner, site: change.owner.site });
    }

    /// What each owner did since the last step, of those that did anything.
    fn changes<'a>(&self, settings: &GuardSettings, window: &Window, owners: &'a [OwnerTotals]) -> Vec<Change<'a>> {
        // Owners come in one order, new ones behind: only if that fails are they looked up.
        let mut places = None;
        let mut past = |place: usize, owner: OwnerId| match self.owners.get(place) {
            Some((known, past)) if *known == owner => *past,
            _ => {
                let places = places.get_or_insert_with(|| self.owners.iter().copied().collect::<HashMap<_, _>>());
                places.get(&owner).copied().unwrap_or_default()
            }
        };
        let changes = owners.iter().enumerate().filter_map(|(place, owner)| {
            let past = past(place, owner.owner);
            let counts = past.until(&owner.counts)?;
            let mut change = Change { place, owner, counts, young: young(&counts, settings.window), again: 0 };
            if change.is_loop(settings, window) {
                change.again = past.again.saturating_add(1);
            }
            Some(change)
        });
        changes.collect()
    }

    /// Far more of anything has gone, soon after it was made, than was presented. Returns for how many windows in a row.
    fn storm(
        &self,
        settings: &GuardSettings,
        window: &Window,
        totals: &Totals,
        changes: &[Change<'_>],
        findings: &mut Vec<Finding>,
    ) -> u32 {
        // Scratch is meant to come and go.
        let owned = || changes.iter().filter(|change| !is_scratch(change.owner.owner));
        let mut sum = self.unowned(totals, changes);
        let unowned = young(&sum, settings.window);
        let young_ones = owned().fold(unowned, |young, change| young.saturating_add(change.young));
        owned().for_each(|change| sum += change.counts);
        let is_storm = window.presented > 0
            && young_ones >= window.at_least(settings.storm_count)
            && window.exceeds_packets(young_ones, settings.storm_per_packet)
            && as_many_go(&sum);
        let stormy = if is_storm { self.stormy.saturating_add(1) } else { 0 };
        if is_storm && stormy >= settings.lasting_windows {
            let short = owned().filter(|change| change.young > 0);
            let most = most(short.map(|change| (change.owner.site, Some(change.owner.owner), change.young)));
            let what = format!("{} resources", sum.released);
            findings.push(storm_finding(window, None, most, &what, &sum, young_ones));
        }
        stormy
    }

    /// What no owner has made or released since the last step: at most so much, after lives at least so long.
    fn unowned(&self, totals: &Totals, changes: &[Change<'_>]) -> Counts {
        let mut sum = Counts::default();
        for (kind, _) in totals.kinds().filter(|(kind, _)| !PASSING.contains(kind)) {
            sum += self.kind_since(totals, kind);
        }
        for change in changes {
            sum.created = sum.created.saturating_sub(change.counts.created);
            sum.released = sum.released.saturating_sub(change.counts.released);
        }
        sum
    }

    fn kind_since(&self, totals: &Totals, kind: ResourceKind) -> Counts {
        let before =
            self.kinds.iter().find(|(known, _)| *known == kind).map_or_else(KindTotals::default, |(_, past)| *past);
        let now = totals.kind(kind);
        let mut counts = now.device.since(&before.device);
        counts += now.within.since(&before.within);
        counts
    }
}

impl Change<'_> {
    /// Resources that the owner made again, soon after it had released their like, and not in another size. At least so many.
    fn remade(&self) -> u64 {
        self.young.min(self.counts.created).saturating_sub(self.counts.rebuilds)
    }

    fn is_loop(&self, settings: &GuardSettings, window: &Window) -> bool {
        let remade = self.remade();
        window.presented > 0
            && !is_scratch(self.owner.owner)
            && remade >= window.at_least(settings.recreate_count)
            && window.exceeds_packets(remade, settings.recreate_per_packet)
            && as_many_go(&self.counts)
    }
}

impl Past {
    fn of(counts: &Counts) -> Self {
        let Counts { created, released, rebuilds, lifetime_nanos, .. } = *counts;
        Self { created, released, rebuilds, lifetime_nanos, again: 0 }
    }

    /// What was counted since, if anything was; nothing for counts that went back.
    fn until(self, now: &Counts) -> Option<Counts> {
        let created = now.created.checked_sub(self.created)?;
        let released = now.released.checked_sub(self.released)?;
        let counts = Counts {
            created,
            released,
            rebuilds: now.rebuilds.saturating_sub(self.rebuilds),
            // Of many long lives the sum goes round.
            lifetime_nanos: now.lifetime_nanos.wrapping_sub(self.lifetime_nanos),
            ..Counts::default()
        };
        (created > 0 || released > 0).then_some(counts)
    }
}

/// Scratch that lives for a frame or less, and says so.
pub(super) fn is_scratch(owner: OwnerId) -> bool {
    owner.kind() == OwnerKind::TRANSIENT
}

/// As many go as come, to within an eighth: what is made takes the place of what goes. Where much more comes, something is loaded; where much
/// more goes, a load has ended.
fn as_many_go(counts: &Counts) -> bool {
    let (least, most) = (counts.created.min(counts.released), counts.created.max(counts.released));
    least >= most - most / 8
}

/// Owners that make again what they release, and not in another size; `named` are named already.
fn recreated(
    settings: &GuardSettings,
    window: &Window,
    input: &GuardInput<'_>,
    changes: &[Change<'_>],
    named: &[OwnerId],
    findings: &mut Vec<Finding>,
) {
    let lasting = settings.lasting_windows.max(1);
    let lasts = |change: &&Change<'_>| {
        let owner = change.owner.owner;
        change.again >= lasting && !named.contains(&owner) && (input.owner)(owner).is_some()
    };
    let mut found: Vec<_> = changes.iter().filter(lasts).collect();
    found.sort_by_key(|change| std::cmp::Reverse(change.remade()));
    findings.extend(found.into_iter().map(|change| {
        let OwnerTotals { owner, kind, site, .. } = *change.owner;
        let Counts { created, released, .. } = change.counts;
        let mean = change.counts.mean_lifetime().unwrap_or_default();
        let what = kind.map_or("resources", ResourceKind::name);
        Finding {
            guard: Guard::RecreateLoop,
            subject: Subject { owner: Some(owner), kind, site, what: "" },
            likely: None,
            label: None,
            text: format!(
                "{created} created and {released} released, after {} on average, in {} with {} presented packets; the last: {what}",
                duration(mean),
                duration(window.span),
                window.presented,
            ),
            figures: vec![
                figure("created", created),
                figure("released", released),
                figure("presented_packets", window.presented),
                figure("mean_lifetime_us", micros(mean)),
            ],
        }
    }));
}

/// Where most were made, and whose most of these are.
pub(super) type Most = (Option<&'static Location<'static>>, Option<OwnerId>);

pub(super) fn most(parts: impl Iterator<Item = (Option<&'static Location<'static>>, Option<OwnerId>, u64)>) -> Most {
    let mut sites: HashMap<_, HashMap<_, u64>> = HashMap::new();
    for (site, owner, count) in parts {
        *sites.entry(site).or_default().entry(owner).or_default() += count;
    }
    let most = sites.into_iter().max_by_key(|(site, owners)| (owners.values().sum::<u64>(), *site));
    most.map_or((None, None), |(site, owners)| {
        (site, owners.into_iter().max_by_key(|(owner, count)| (*count, *owner)).and_then(|(owner, _)| owner))
    })
}

pub(super) fn storm_finding(
    window: &Window,
    kind: Option<ResourceKind>,
    (site, likely): Most,
    what: &str,
    counts: &Counts,
    young: u64,
) -> Finding {
    let Window { span, presented, .. } = *window;
    Finding {
        guard: Guard::DestroyStorm,
        subject: Subject { kind, site, ..Subject::default() },
        likely,
        label: None,
        text: format!(
            "{what} destroyed in {} with {presented} presented packets, {young} of them soon after they were made: most of these as named",
            duration(span),
        ),
        figures: vec![
            figure("destroyed", counts.released),
            figure("short_lived", young),
            figure("presented_packets", presented),
        ],
    }
}

fn created(totals: &Totals) -> u64 {
    totals.device().created.wrapping_add(totals.suballocations().created)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
