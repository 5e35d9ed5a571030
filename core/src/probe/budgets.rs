//! The book's own watch over soft budgets: exact at each creation, resize and release.
//!
//! The counters that budgets are held against are those that the book keeps anyway, in the threads' shards: the bytes of an owner kind that a
//! shard has created less those that it has released. While there is a budget, each step is followed by *settling* the row that it has changed:
//! what the row gained since it was settled last is added to the book's sum, under one short lock. A row that was never settled is settled
//! whole, so a budget that is set in the middle of a run begins with what there is, whoever made it; a step that another thread was taking at
//! that very moment without knowing of the budget is settled with its next one, or when the budget is next read.
//!
//! Each step changes one of the row's two words, so whoever settles it sees all of it or nothing.

use super::budget::{BudgetCalls, BudgetScope, BudgetStatus, Pressure, SoftBudget, WouldCross, reaches, wavers};
use super::kind::{OWNER_KINDS, owner_row};
use super::local::Shard;
use super::{Context, New, OwnerId, OwnerKind, ResourceKind};
use crate::probe::book::Book;
use parking_lot::{Mutex, RwLock};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// There are budgets.
const WATCHED: u8 = 1;
/// And a callback that wants to know before one is exceeded.
const FOREWARNED: u8 = 2;

/// One for the process and one for each owner kind.
const SCOPES: usize = 1 + OWNER_KINDS;

/// What a program does before a budget is exceeded.
#[derive(Clone)]
pub(crate) struct Before(pub(crate) Arc<dyn Fn(&WouldCross<'_>) + Send + Sync>);

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Before")
    }
}

/// The budgets of one book.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    /// What there is, for who has to be quick.
    flags: AtomicU8,
    /// Taken before the list of shards, and in a thread's part: nothing is reported and nothing allocated under it.
    state: Mutex<State>,
    before: RwLock<Option<Before>>,
    calls: AtomicU64,
    panics: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes used by owner kind, as far as they are settled. Negative while the thread that made what another one released has settled nothing.
    used: [i64; OWNER_KINDS],
    watches: [Option<Watch>; SCOPES],
    /// Kept when a budget is lifted.
    crossings: [u64; SCOPES],
}

/// What each shard has settled, by owner kind. Read and written under the lock of the book's budgets.
#[derive(Debug, Default)]
pub(crate) struct Settled([AtomicU64; OWNER_KINDS]);

/// One budget, step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    budget: SoftBudget,
    pressure: Pressure,
    /// It was crossed, and the use has not fallen far enough to cross it anew.
    crossed: bool,
    peak: u64,
}

impl Watch {
    pub(crate) fn of(budget: SoftBudget) -> Self {
        Self { budget, pressure: Pressure::None, crossed: false, peak: 0 }
    }

    /// So many bytes are used now; `true` if that crosses the budget.
    pub(crate) fn step(&mut self, used: u64) -> bool {
        let SoftBudget { bytes, begins_percent, ends_percent, .. } = self.budget;
        let over = used > bytes;
        let high = reaches(used, bytes, begins_percent)
            || (self.pressure != Pressure::None && reaches(used, bytes, ends_percent));
        self.pressure = match (over, high) {
            (true, _) => Pressure::Over,
            (false, true) => Pressure::High,
            (false, false) => Pressure::None,
        };
        self.peak = self.peak.max(used);
        let crosses = over && !self.crossed;
        self.crossed = over || (self.crossed && wavers(used, bytes));
        crosses
    }
}

impl Budgets {
    /// Nothing is set: a relaxed load and a branch is all that this costs.
    #[inline]
    pub(crate) fn watched(&self) -> bool {
        self.flags.load(Ordering::Relaxed) != 0
    }

    #[inline]
    pub(crate) fn forewarned(&self) -> bool {
        self.flags.load(Ordering::Relaxed) == WATCHED | FOREWARNED
    }

    /// Sets a budget, or lifts it, counting what all shards have now.
    pub(crate) fn set(&self, book: &Book, budget: SoftBudget) {
        let mut state = self.state.lock();
        let scope = place(budget.scope);
        let Some(watch) = state.watches.get_mut(scope) else { return };
        // A budget that follows what the driver allows is set anew again and again: what was crossed stays so.
        let before = watch.unwrap_or_else(|| Watch::of(budget));
        *watch = (budget.bytes > 0).then_some(Watch { budget, ..before });
        // Steps that begin now settle what they change.
        self.refresh_flags(&state);
        state.settle_all(book);
    }

    /// Asks `before` from now on, before a creation would exceed a budget.
    pub(crate) fn set_before(&self, before: Option<Before>) {
        let replaced = std::mem::replace(&mut *self.before.write(), before);
        self.refresh_flags(&self.state.lock());
        // The program's own, and its drop may do anything.
        drop(replaced);
    }

    fn refresh_flags(&self, state: &State) {
        let watched = state.watches.iter().any(Option::is_some);
        let before = self.before.read().is_some();
        let flags = if watched { WATCHED | if before { FOREWARNED } else { 0 } } else { 0 };
        self.flags.store(flags, Ordering::Release);
    }

    /// Takes over what the shard has counted for owners of that kind.
    #[cold]
    pub(crate) fn settle(&self, shard: &Shard, kind: OwnerKind) {
        let mut state = self.state.lock();
        state.take_over(shard, kind);
        state.step();
    }

    /// The budgets as they stand.
    pub(crate) fn read(&self, book: &Book, statuses: &mut Vec<BudgetStatus>) {
        statuses.clear();
        if !self.watched() {
            return;
        }
        statuses.reserve(SCOPES);
        let mut state = self.state.lock();
        state.settle_all(book);
        for (scope, watch) in state.watches.iter().enumerate() {
            let Some(Watch { budget, pressure, peak, .. }) = *watch else { continue };
            let crossings = state.crossings.get(scope).copied().unwrap_or_default();
            let used_bytes = state.used(budget.scope);
            statuses.push(BudgetStatus { budget, used_bytes, peak_bytes: peak, pressure, crossings });
        }
    }

    /// The worst pressure of all budgets.
    pub(crate) fn pressure(&self, book: &Book) -> Pressure {
        if !self.watched() {
            return Pressure::None;
        }
        let mut state = self.state.lock();
        state.settle_all(book);
        state.watches.iter().flatten().map(|watch| watch.pressure).max().unwrap_or_default()
    }

    /// How often the callback was called, and how often it panicked.
    pub(crate) fn calls(&self) -> BudgetCalls {
        let panics = self.panics.load(Ordering::Acquire);
        BudgetCalls { calls: self.calls.load(Ordering::Relaxed), panics }
    }

    /// Tells the callback of the budgets that `more` bytes for an owner of that kind would leave exceeded.
    fn forewarn(&self, more: u64, kind: ResourceKind, label: Option<&str>, owner: OwnerId) {
        for scope in [BudgetScope::Process, BudgetScope::Owner(owner.kind())] {
            let would = {
                let state = self.state.lock();
                let watch = state.watches.get(place(scope)).and_then(Option::as_ref);
                watch.map(|watch| (watch.budget, state.used(scope)))
            };
            let Some((budget, used_bytes)) = would else { continue };
            if used_bytes.saturating_add(more) <= budget.bytes {
                continue;
            }
            let Some(Before(call)) = self.before.read().clone() else { return };
            self.calls.fetch_add(1, Ordering::Relaxed);
            let would = WouldCross { budget, used_bytes, requested_bytes: more, kind, label, owner };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| call(&would))) {
                self.panics.fetch_add(1, Ordering::Release);
                // Its drop may panic, too.
                std::mem::forget(panic);
            }
        }
    }
}

impl State {
    /// Bytes used, as far as they are settled.
    fn used(&self, scope: BudgetScope) -> u64 {
        let used = match scope {
            BudgetScope::Process => self.used.iter().fold(0_i64, |sum, used| sum.wrapping_add(*used)),
            BudgetScope::Owner(kind) => self.used.get(kind.index()).copied().unwrap_or_default(),
        };
        u64::try_from(used).unwrap_or_default()
    }

    /// Takes over what a row has gained since it was settled.
    fn take_over(&mut self, shard: &Shard, kind: OwnerKind) {
        let Settled(settled) = &shard.settled;
        if let (Some(settled), Some(used)) = (settled.get(kind.index()), self.used.get_mut(kind.index())) {
            let held = shard.rows.at(owner_row(kind, false)).map_or(0, super::tally::Tally::held_bytes);
            // Both wrap.
            let gained = held.wrapping_sub(settled.load(Ordering::Relaxed)) as i64;
            settled.store(held, Ordering::Relaxed);
            *used = used.wrapping_add(gained);
        }
    }

    fn settle_all(&mut self, book: &Book) {
        book.with_shards(|shards| {
            for shard in shards {
                for kind in 0..OWNER_KINDS {
                    self.take_over(shard, OwnerKind::at(kind));
                }
            }
        });
        self.step();
    }

    /// Looks at all budgets.
    fn step(&mut self) {
        for scope in 0..SCOPES {
            let Some(Some(watch)) = self.watches.get(scope) else { continue };
            let used = self.used(watch.budget.scope);
            if let (Some(Some(watch)), Some(crossings)) = (self.watches.get_mut(scope), self.crossings.get_mut(scope)) {
                *crossings += u64::from(watch.step(used));
            }
        }
    }
}

/// A scope's place in tables.
fn place(scope: BudgetScope) -> usize {
    match scope {
        BudgetScope::Process => 0,
        BudgetScope::Owner(kind) => 1 + kind.index(),
    }
}

thread_local! {
    // Without destructors, so that they are there for as long as the thread is.
    /// The callback is running.
    static CALLING: Cell<bool> = const { Cell::new(false) };
    /// The book that the creation under way was announced to.
    static ANNOUNCED: Cell<Option<&'static Book>> = const { Cell::new(None) };
}

/// A creation that was [announced](super::Probe::announce): what is created on this thread meanwhile is not announced again. Stays on its
/// thread:
///
/// ```compile_fail,E0277
/// # use engine_vitals_core::probe::{New, Probe};
/// let announced = Probe::OFF.announce(&New::buffer(1));
/// std::thread::spawn(move || drop(announced));
/// ```
#[must_use = "the announcement ends when it is dropped"]
pub struct Announced {
    /// What was announced before; `None` if this is no announcement.
    before: Option<Option<&'static Book>>,
    here: PhantomData<*const ()>,
}

impl Announced {
    pub(super) const NOTHING: Self = Self { before: None, here: PhantomData };
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            ANNOUNCED.set(before);
        }
    }
}

impl fmt::Debug for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announced").finish_non_exhaustive()
    }
}

/// Tells the callback of a creation that is about to be carried out, unless that was done.
#[cold]
pub(super) fn announce(book: &'static Book, new: &New<'_>, owner: OwnerId) -> Announced {
    if Context::current().is_untracked() {
        return Announced::NOTHING;
    }
    let more = if new.within.is_none() { book.believe(new.bytes) } else { 0 };
    forewarn(book, more, new.kind, new.label, owner);
    Announced { before: Some(ANNOUNCED.replace(Some(book))), here: PhantomData }
}

/// Tells the callback of bytes that are about to be added, unless that was done or it is what adds them.
#[cold]
pub(super) fn forewarn(book: &'static Book, more: u64, kind: ResourceKind, label: Option<&str>, owner: OwnerId) {
    let announced = ANNOUNCED.get().is_some_and(|announced| std::ptr::eq(announced, book));
    if more == 0 || announced || CALLING.replace(true) {
        return;
    }
    book.budgets.forewarn(more, kind, label, owner);
    CALLING.set(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(budget: SoftBudget, uses: &[u64]) -> Vec<(Pressure, bool)> {
        let mut watch = Watch::of(budget);
        uses.iter().map(|&used| (watch.step(used), watch.pressure)).map(|(crosses, now)| (now, crosses)).collect()
    }

    #[test]
    fn pressure_begins_and_ends_at_its_bounds() {
        use Pressure::{High, None, Over};
        let told =
            steps(SoftBudget::process(1_000), &[899, 900, 901, 850, 849, 899, 900, 1_000, 1_001, 1_000, 850, 849]);
        let pressures: Vec<_> = told.iter().map(|(pressure, _)| *pressure).collect();
        assert_eq!(pressures, [None, High, High, High, None, None, High, High, Over, High, High, None]);
        let crossed: Vec<_> = told.iter().map(|(_, crosses)| *crosses).collect();
        assert_eq!(crossed.iter().filter(|crosses| **crosses).count(), 1);
        assert!(crossed[8], "one above");
    }

    #[test]
    fn what_wavers_at_the_budget_has_crossed_it_once() {
        let uses = [1_001, 1_000, 1_001, 951, 1_001, 950, 1_001];
        let crossed: Vec<_> =
            steps(SoftBudget::process(1_000), &uses).into_iter().map(|(_, crosses)| crosses).collect();
        assert_eq!(crossed, [true, false, false, false, false, false, true]);
    }

    #[test]
    fn a_watermark_is_kept_sound() {
        let budget = SoftBudget::process(100).watermark(200, 250);
        assert_eq!((budget.begins_percent, budget.ends_percent), (100, 100));
        let pressures: Vec<_> = steps(budget, &[99, 100, 101, 99]).into_iter().map(|(pressure, _)| pressure).collect();
        assert_eq!(pressures, [Pressure::None, Pressure::High, Pressure::Over, Pressure::None]);
        assert!(!reaches(0, u64::MAX, 1) && reaches(u64::MAX, u64::MAX, 100), "no overflow");
    }
}
