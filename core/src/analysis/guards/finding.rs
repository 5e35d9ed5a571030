//! What the guards found, and the list of the last warnings.

use std::collections::VecDeque;
use std::panic::Location;

use super::{Figure, Guard, OwnerName, Warning};
use crate::analysis::text::quoted;
use crate::probe::{OwnerId, ResourceKind, Timestamp};
use crate::tracker::Owner;

/// Whom a guard warns of: two warnings with the same subject are one that was raised twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) owner: Option<OwnerId>,
    pub(super) kind: Option<ResourceKind>,
    pub(super) site: Option<&'static Location<'static>>,
    /// What else tells it from others.
    pub(super) what: &'static str,
}

/// What a guard found in one window, before it is known whether it was found before.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) guard: Guard,
    pub(super) subject: Subject,
    /// An owner that has a part in it, where it is not of one owner.
    pub(super) likely: Option<OwnerId>,
    pub(super) label: Option<String>,
    /// What the subject's sentence says of it: the owner and the site follow.
    pub(super) text: String,
    pub(super) figures: Vec<Figure>,
}

pub(super) fn figure(name: &'static str, value: u64) -> Figure {
    Figure { name, value }
}

/// Warnings that are listed.
const LISTED: usize = 64;

/// The last warnings, one for each guard and subject, in the order in which they were last raised.
#[derive(Debug, Default)]
pub(super) struct Listed(VecDeque<(Guard, Subject, Warning)>);

impl Listed {
    /// Lists a finding, whose owner has that name. Returns the warning.
    pub(super) fn raise(&mut self, time: Timestamp, finding: Finding, owner: Option<OwnerName>) -> &Warning {
        let Finding { guard, subject, label, text, figures, .. } = finding;
        let known = self.0.iter().position(|(other, about, _)| *other == guard && *about == subject);
        let before = known.and_then(|place| self.0.remove(place)).map(|(_, _, warning)| warning);
        if self.0.len() >= LISTED {
            self.0.pop_front();
        }
        let site = subject.site.map(|site| format!("{}:{}", site.file(), site.line()));
        let warning = Warning {
            guard: guard.name(),
            first_ms: before.as_ref().map_or(time.unix_millis(), |before| before.first_ms),
            last_ms: time.unix_millis(),
            windows: before.map_or(0, |before| before.windows) + 1,
            resource: subject.kind.map(ResourceKind::name),
            text: sentence(text, label.as_deref(), owner, site.as_deref()),
            owner,
            label,
            site,
            figures,
        };
        self.0.push_back((guard, subject, warning));
        // Just pushed.
        &self.0[self.0.len() - 1].2
    }

    pub(super) fn all(&self) -> Vec<Warning> {
        self.0.iter().map(|(_, _, warning)| warning.clone()).collect()
    }
}

fn sentence(text: String, label: Option<&str>, owner: Option<OwnerName>, site: Option<&str>) -> String {
    let mut sentence = text;
    if let Some(label) = label {
        sentence.push_str(&format!("; label {}", quoted(label)));
    }
    if let Some(owner) = owner {
        sentence.push_str(&format!("; owner {owner}"));
    }
    if let Some(site) = site {
        sentence.push_str(&format!("; at {site}"));
    }
    sentence
}

pub(super) fn name(owner: OwnerId, known: Option<Owner>) -> OwnerName {
    match known {
        Some(Owner { kind, key, name, .. }) => OwnerName { kind: kind.name(), key: Some(key), name },
        None => OwnerName { kind: owner.kind().name(), key: None, name: None },
    }
}
