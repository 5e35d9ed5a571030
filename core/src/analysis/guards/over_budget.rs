//! Soft budgets that were crossed. Exact, whatever the window: the book counts each crossing.

use super::finding::{self, Finding, Subject, figure};
use super::{Guard, GuardInput};
use crate::analysis::text::{bytes, counted};
use crate::probe::{BudgetScope, BudgetStatus};

/// Owners and kinds that a warning names.
const NAMED: usize = 3;

/// The crossings that were warned of.
#[derive(Debug, Default)]
pub(super) struct OverBudget(Vec<(BudgetScope, u64)>);

impl OverBudget {
    pub(super) fn look(&mut self, input: &GuardInput<'_>, findings: &mut Vec<Finding>) {
        for status in &input.totals.soft_budgets {
            let BudgetStatus { budget, crossings, .. } = *status;
            let known = self.0.iter_mut().find(|(scope, _)| *scope == budget.scope);
            let before = match known {
                Some((_, known)) => std::mem::replace(known, crossings),
                None => {
                    self.0.push((budget.scope, crossings));
                    0
                }
            };
            // Lower than before: another tracker's.
            if crossings > before {
                findings.push(crossed(status, crossings - before, input));
            }
        }
    }
}

fn crossed(status: &BudgetStatus, times: u64, input: &GuardInput<'_>) -> Finding {
    let BudgetStatus { budget, used_bytes, peak_bytes, .. } = *status;
    let (whose, what) = match budget.scope {
        BudgetScope::Process => (String::new(), "gpu"),
        BudgetScope::Owner(kind) => (format!(" of owners of kind {}", kind.name()), kind.name()),
    };
    let of_scope = |kind| budget.scope == BudgetScope::Process || budget.scope == BudgetScope::Owner(kind);
    let mut owners: Vec<_> = input
        .owners
        .iter()
        .filter(|owner| of_scope(owner.owner.kind()))
        .map(|owner| (owner.owner, owner.counts.live_bytes() + owner.counts.pending_bytes()))
        .filter(|(_, held)| *held > 0)
        .collect();
    owners.sort_by_key(|(_, held)| std::cmp::Reverse(*held));
    let owners = owners
        .into_iter()
        .take(NAMED)
        .map(|(owner, held)| format!("{} {}", finding::name(owner, (input.owner)(owner)), bytes(held)));
    let mut kinds: Vec<_> = input
        .totals
        .kinds()
        .map(|(kind, totals)| (kind.name(), totals.device.live_bytes() + totals.device.pending_bytes()))
        .filter(|(_, held)| *held > 0 && budget.scope == BudgetScope::Process)
        .collect();
    kinds.sort_by_key(|(_, held)| std::cmp::Reverse(*held));
    let kinds = kinds.into_iter().take(NAMED).map(|(name, held)| format!("{name} {}", bytes(held)));
    let list = |what: &str, names: Vec<String>| {
        if names.is_empty() { String::new() } else { format!("; largest {what}: {}", names.join(", ")) }
    };
    Finding {
        guard: Guard::GpuBudget,
        subject: Subject { what, ..Subject::default() },
        likely: None,
        label: None,
        text: format!(
            "GPU memory{whose} has crossed its budget of {} {}: {} used now, {} at most{}{}",
            bytes(budget.bytes),
            counted(times, "time", "times"),
            bytes(used_bytes),
            bytes(peak_bytes),
            list("owners", owners.collect()),
            list("kinds", kinds.collect()),
        ),
        figures: vec![
            figure("budget_bytes", budget.bytes),
            figure("used_bytes", used_bytes),
            figure("peak_bytes", peak_bytes),
            figure("crossings", times),
        ],
    }
}
