//! What is made and released again of the kinds that are costly to make. Their lives are written down one by one, and no load makes and
//! releases many: one window is enough to tell.

use std::collections::HashMap;

use super::churn::{is_scratch, most, storm_finding};
use super::finding::{Finding, Subject, figure};
use super::step::{GuardInput, Window};
use super::{Guard, GuardSettings, young};
use crate::analysis::text::duration;
use crate::probe::{Counts, OwnerId, ResourceKind};
use crate::tracker::LifeRecord;

/// Loops of one owner, and storms of all. `since` is what was counted of a kind since the last step. Returns the owners that loop.
pub(super) fn look(
    settings: &GuardSettings,
    window: &Window,
    input: &GuardInput<'_>,
    since: &dyn Fn(ResourceKind) -> Counts,
    findings: &mut Vec<Finding>,
) -> Vec<OwnerId> {
    let counts: Vec<_> = settings.costly_kinds.iter().map(|kind| (*kind, since(*kind))).collect();
    let released = counts.iter().fold(0_u64, |sum, (_, counts)| sum.saturating_add(counts.released));
    if released < settings.recreate_count.min(settings.costly_storm_count) {
        return Vec::new();
    }
    let mut lives = (input.lives)();
    lives.retain(|life| life.released >= window.from && settings.costly_kinds.contains(&life.kind));
    let looping = loops(settings, window, input, &lives, findings);
    for (kind, counts) in counts {
        let young = young(&counts, settings.window);
        if young >= window.at_least(settings.costly_storm_count)
            && window.exceeds_packets(young, settings.costly_storm_per_packet)
        {
            let ended = lives.iter().filter(|life| life.kind == kind);
            let most = most(ended.map(|life| (life.site, life.owner, 1)));
            let what = format!("{} of kind {}", counts.released, kind.name());
            findings.push(storm_finding(window, Some(kind), most, &what, &counts, young));
        }
    }
    looping
}

/// Owners of which so many were made and released within less than a window, however many frames were presented.
fn loops(
    settings: &GuardSettings,
    window: &Window,
    input: &GuardInput<'_>,
    lives: &[LifeRecord],
    findings: &mut Vec<Finding>,
) -> Vec<OwnerId> {
    let mut owners: HashMap<OwnerId, Vec<&LifeRecord>> = HashMap::new();
    for life in lives {
        let short = life.released.since(life.created).is_none_or(|lived| lived < settings.window);
        if let Some(owner) = life.owner.filter(|owner| short && !is_scratch(*owner)) {
            owners.entry(owner).or_default().push(life);
        }
    }
    let mut found: Vec<_> = owners
        .into_iter()
        .filter(|(owner, lives)| {
            let times = lives.len() as u64;
            times >= window.at_least(settings.recreate_count) && (input.owner)(*owner).is_some()
        })
        .collect();
    found.sort_by_key(|(owner, lives)| (std::cmp::Reverse(lives.len()), *owner));
    for (owner, lives) in &found {
        findings.push(loop_finding(window, *owner, lives));
    }
    found.into_iter().map(|(owner, _)| owner).collect()
}

fn loop_finding(window: &Window, owner: OwnerId, lives: &[&LifeRecord]) -> Finding {
    let Window { span, presented, .. } = *window;
    let (site, _) = most(lives.iter().map(|life| (life.site, None, 1)));
    let of_site = lives.iter().rev().find(|life| life.site == site);
    let times = lives.len() as u64;
    Finding {
        guard: Guard::RecreateLoop,
        subject: Subject { owner: Some(owner), kind: of_site.map(|life| life.kind), site, what: "" },
        likely: None,
        label: of_site.and_then(|life| life.label.clone()),
        text: format!(
            "{times} queues or targets made and released again in {} with {presented} presented packets",
            duration(span)
        ),
        figures: vec![figure("released", times), figure("presented_packets", presented)],
    }
}
