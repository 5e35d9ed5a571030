//! Tags that grow and never fall.

use std::time::Duration;

use super::{GrowthSuspect, HeapGuardSettings};
use crate::analysis::guards::run::{Gain, Run};
use crate::contract::TagTotals;
use crate::probe::Timestamp;

/// How long each tag has been growing.
#[derive(Debug)]
pub(super) struct Growth {
    /// When this window began; `None` before the first look.
    began: Option<Timestamp>,
    /// Time watched since the first look.
    watched: Duration,
    /// Beginning of the window before.
    before: Option<Timestamp>,
    /// In the order of the tags.
    tags: Vec<Followed>,
}

/// What is remembered of a tag.
#[derive(Clone, Copy, Debug)]
struct Followed {
    name: &'static str,
    /// The least and the most bytes live in this window.
    floor: u64,
    ceiling: u64,
    /// How far apart they were in the window before.
    swing: u64,
    /// That of the window before: 0 for a tag that was not there.
    base: u64,
    /// Of the windows' floors.
    run: Run,
    /// When the run began.
    since: Timestamp,
    pace: Pace,
}

/// Whether a run goes on as it did, by halves of the windows that it takes.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// Of this half: its windows so far, what they gained, and the largest jump.
    windows: u32,
    gained: u64,
    jump: u64,
    /// What the half before gained, beside its largest jump.
    before: Option<u64>,
    /// The last half that has ended gained at least half of what the one before it did.
    steady: bool,
}

impl Pace {
    /// A window of the run has ended, of so many that it takes, with so much more.
    fn look(&mut self, windows: u32, gained: u64) {
        self.windows += 1;
        self.gained = self.gained.saturating_add(gained);
        self.jump = self.jump.max(gained);
        if self.windows >= windows.div_ceil(2) {
            let gained = self.gained.saturating_sub(self.jump);
            let steady = self.before.is_some_and(|before| gained >= before / 2);
            *self = Self { before: Some(gained), steady, ..Self::default() };
        }
    }
}

impl Followed {
    fn begun(name: &'static str, live: u64, now: Timestamp) -> Self {
        Self {
            name,
            floor: live,
            ceiling: live,
            swing: 0,
            base: 0,
            run: Run::begun(live),
            since: now,
            pace: Pace::default(),
        }
    }

    /// A window has ended.
    fn look(&mut self, windows: u32, gain: Gain, now: Timestamp) {
        let before = self.run.last;
        self.run.look(self.floor, gain);
        if self.run.windows == 0 {
            (self.since, self.pace) = (now, Pace::default());
        } else {
            self.pace.look(windows, self.floor.saturating_sub(before));
        }
    }

    /// What swings far in each window seems to grow where each look comes a little later in the swing: what it gained must stand out.
    fn is_suspect(&self, windows: u32, gain: Gain) -> bool {
        self.run.endless(windows, gain) && self.pace.steady && self.run.gained() >= self.swing / 4
    }
}

impl Growth {
    pub(super) fn new() -> Self {
        Self { began: None, watched: Duration::ZERO, before: None, tags: Vec::new() }
    }

    /// Looks at the tags; `true` if a window has ended. Allocates only for tags that are new.
    pub(super) fn step(&mut self, settings: &HeapGuardSettings, now: Timestamp, tags: &[TagTotals]) -> bool {
        let span = self.began.and_then(|began| now.since(began));
        let Some(span) = span else {
            // The first look, or the clock went back: there is nothing to compare with.
            *self = Self::new();
            self.began = Some(now);
            self.follow(tags, now);
            self.tags.iter_mut().for_each(|followed| followed.base = followed.floor);
            return false;
        };
        self.follow(tags, now);
        if span < settings.window {
            return false;
        }
        self.before = self.began.replace(now);
        self.watched = self.watched.saturating_add(span.min(2 * settings.window));
        let starting = self.watched < settings.startup;
        let gain = Gain::of(settings.growth_bytes, settings.growth_windows);
        for (followed, totals) in self.tags.iter_mut().zip(tags) {
            if starting {
                followed.run = Run::begun(followed.floor);
                followed.since = now;
            } else {
                followed.look(settings.growth_windows, gain, now);
            }
            (followed.base, followed.swing) = (followed.floor, followed.ceiling - followed.floor);
            followed.floor = totals.live_bytes().unwrap_or(followed.floor);
            followed.ceiling = followed.floor;
        }
        true
    }

    /// The tags that grow without end, those that gained most first.
    pub(super) fn suspects(&self, settings: &HeapGuardSettings, tags: &[TagTotals], suspects: &mut Vec<GrowthSuspect>) {
        suspects.clear();
        let gain = Gain::of(settings.growth_bytes, settings.growth_windows);
        let grown = self.tags.iter().zip(tags).filter(|(tag, _)| tag.is_suspect(settings.growth_windows, gain));
        suspects.extend(grown.map(|(tag, totals)| GrowthSuspect {
            tag: tag.name,
            since: tag.since,
            until: self.began.unwrap_or(tag.since),
            windows: tag.run.windows,
            gained_bytes: tag.run.gained(),
            live_bytes: totals.live_bytes().unwrap_or(tag.run.last),
            live_allocations: totals.live_allocations(),
        }));
        suspects.sort_unstable_by_key(|suspect| std::cmp::Reverse(suspect.gained_bytes));
    }

    /// What each tag has gained over the floor of the window before, and since when that is.
    pub(super) fn gains<'a>(
        &'a self,
        tags: &'a [TagTotals],
    ) -> (Option<Timestamp>, impl Iterator<Item = (&'static str, u64)> + 'a) {
        let gains = self.tags.iter().zip(tags).filter_map(|(followed, totals)| {
            let gained = totals.live_bytes()?.checked_sub(followed.base)?;
            Some((followed.name, gained))
        });
        (self.before.or(self.began), gains)
    }

    /// Takes floors and ceilings to what is live now. Tags are only ever added; others than before are followed anew.
    fn follow(&mut self, tags: &[TagTotals], now: Timestamp) {
        if !self.tags.iter().map(|followed| followed.name).eq(tags.iter().take(self.tags.len()).map(|tag| tag.name)) {
            self.tags.clear();
        }
        for (followed, totals) in self.tags.iter_mut().zip(tags) {
            if let Some(live) = totals.live_bytes() {
                (followed.floor, followed.ceiling) = (followed.floor.min(live), followed.ceiling.max(live));
            }
        }
        // What a new tag begins with is no growth.
        let new = tags.get(self.tags.len()..).unwrap_or_default();
        self.tags.extend(new.iter().map(|tag| Followed::begun(tag.name, tag.live_bytes().unwrap_or_default(), now)));
    }
}
