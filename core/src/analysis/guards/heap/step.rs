//! One step of the heap's guards: from what was counted to what is told.

use std::time::Duration;

use super::budget::{Budget, Crossing};
use super::growth::Growth;
use super::{GrowthSuspect, HeapGuardSettings};
use crate::analysis::guards::finding::{Finding, Listed, Subject, figure};
use crate::analysis::guards::{Guard, Warning};
use crate::analysis::text::{bytes, duration, quoted};
use crate::contract::TagTotals;
use crate::probe::Timestamp;

/// Tags that a warning of the budget names.
const NAMED: usize = 3;
/// Suspects that are warned of in one window, those that gained most first.
const MOST_PER_WINDOW: usize = 16;

/// What a step looks at: plain data, as the allocator has counted it.
#[derive(Clone, Copy, Debug)]
pub struct HeapInput<'a> {
    /// When it was read.
    pub time: Timestamp,
    /// Bytes live.
    pub live_bytes: u64,
    /// The most bytes live at once since the start or the last reset.
    pub peak_bytes: u64,
    /// What was allocated under each tag, in the same order each time; new ones come last. Empty where the allocator keeps none.
    pub tags: &'a [TagTotals],
}

/// The guards of one heap, with what they remember from step to step and the last 64 warnings. A step allocates only for tags that are
/// new and for what it warns of.
#[derive(Debug)]
pub struct HeapGuards {
    settings: HeapGuardSettings,
    budget: Option<Budget>,
    growth: Growth,
    suspects: Vec<GrowthSuspect>,
    listed: Listed,
    raised: [u64; Guard::ALL.len()],
}

impl HeapGuards {
    /// Guards with these thresholds and, if there is one, a budget in bytes, that have seen nothing yet. A budget of 0 is none.
    #[must_use]
    pub fn new(settings: HeapGuardSettings, budget_bytes: Option<u64>) -> Self {
        Self {
            settings: HeapGuardSettings { window: settings.window.max(Duration::from_millis(1)), ..settings },
            budget: budget_bytes.filter(|&bytes| bytes > 0).map(Budget::of),
            growth: Growth::new(),
            suspects: Vec::new(),
            listed: Listed::default(),
            raised: [0; Guard::ALL.len()],
        }
    }

    /// The budget in bytes.
    #[must_use]
    pub fn budget_bytes(&self) -> Option<u64> {
        self.budget.as_ref().map(Budget::bytes)
    }

    /// How often the heap has crossed its budget, upwards; `None` without a budget.
    #[must_use]
    pub fn budget_crossings(&self) -> Option<u64> {
        self.budget.as_ref().map(Budget::crossings)
    }

    /// The tags that grow without end, as of the last window that has ended, those that gained most first.
    #[must_use]
    pub fn growth_suspects(&self) -> &[GrowthSuspect] {
        &self.suspects
    }

    /// The last 64 warnings, one for each guard and tag, the last raised at the end.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.listed.all()
    }

    /// Warnings that a guard of the heap has raised: one per crossing of the budget, and per window and tag that grows.
    #[must_use]
    pub fn raised(&self, guard: Guard) -> u64 {
        self.raised.get(guard.index()).copied().unwrap_or_default()
    }

    /// Looks at the heap, and gives the warnings to tell. One that is raised again and again is given when it is raised for the 1st, 2nd,
    /// 4th, 8th, … time; each time counts in [`raised`](Self::raised) and in [`Warning::windows`].
    pub fn step(&mut self, input: &HeapInput<'_>) -> Vec<Warning> {
        let mut told = Vec::new();
        let window_ended = self.growth.step(&self.settings, input.time, input.tags);
        let crossing = self.budget.as_mut().and_then(|budget| budget.step(input.live_bytes, input.peak_bytes));
        if let (Some(crossing), Some(budget)) = (crossing, self.budget) {
            let finding = over_budget(crossing, budget.bytes(), input, &self.growth);
            told.extend(self.raise(input.time, finding));
        }
        if window_ended && self.settings.growth {
            let mut suspects = std::mem::take(&mut self.suspects);
            self.growth.suspects(&self.settings, input.tags, &mut suspects);
            for suspect in suspects.iter().take(MOST_PER_WINDOW) {
                told.extend(self.raise(input.time, grows(suspect)));
            }
            self.suspects = suspects;
        }
        told
    }

    fn raise(&mut self, time: Timestamp, finding: Finding) -> Option<Warning> {
        if let Some(raised) = self.raised.get_mut(finding.guard.index()) {
            *raised += 1;
        }
        let warning = self.listed.raise(time, finding, None);
        warning.windows.is_power_of_two().then(|| warning.clone())
    }
}

fn over_budget(crossing: Crossing, budget: u64, input: &HeapInput<'_>, growth: &Growth) -> Finding {
    let HeapInput { time, live_bytes, peak_bytes, tags } = *input;
    let what = match crossing {
        Crossing::Above => format!("the heap is above its budget of {}: {} live", bytes(budget), bytes(live_bytes)),
        Crossing::Spike => format!(
            "the heap was above its budget of {} between two updates: peak {}, {} live",
            bytes(budget),
            bytes(peak_bytes),
            bytes(live_bytes)
        ),
    };
    let largest = tags.iter().filter_map(|tag| Some((tag.name, tag.live_bytes()?)));
    let (since, gains) = growth.gains(tags);
    let lately = since
        .and_then(|since| time.since(since))
        .map_or_else(String::new, |span| format!(" in the last {}", duration(span)));
    let largest = named("; largest tags", "", largest);
    let fastest = named(&format!("; fastest growing{lately}"), "+", gains);
    Finding {
        guard: Guard::HeapBudget,
        subject: Subject::default(),
        likely: None,
        label: None,
        text: format!("{what}{largest}{fastest}"),
        figures: vec![
            figure("budget_bytes", budget),
            figure("live_bytes", live_bytes),
            figure("peak_bytes", peak_bytes),
        ],
    }
}

/// The few with the most bytes: `{what}: meshes 2.00 MiB, physics 1.00 MiB`. Nothing if none has any.
fn named(what: &str, sign: &str, tags: impl Iterator<Item = (&'static str, u64)>) -> String {
    let mut tags: Vec<_> = tags.filter(|(_, bytes)| *bytes > 0).collect();
    tags.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let tags: Vec<_> =
        tags.iter().take(NAMED).map(|(name, size)| format!("{} {sign}{}", quoted(name), bytes(*size))).collect();
    if tags.is_empty() { String::new() } else { format!("{what}: {}", tags.join(", ")) }
}

fn grows(suspect: &GrowthSuspect) -> Finding {
    let mut figures = vec![
        figure("windows", suspect.windows.into()),
        figure("gained_bytes", suspect.gained_bytes),
        figure("live_bytes", suspect.live_bytes),
    ];
    figures.extend(suspect.live_allocations.map(|blocks| figure("live_allocations", blocks)));
    Finding {
        guard: Guard::HeapGrowth,
        subject: Subject { what: suspect.tag, ..Subject::default() },
        likely: None,
        label: None,
        text: suspect.to_string(),
        figures,
    }
}
