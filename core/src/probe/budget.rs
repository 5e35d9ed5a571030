//! What a soft budget is, and what is told of one.

use super::{OwnerId, OwnerKind, ResourceKind};
use std::borrow::Cow;

/// Pressure begins at this share of a budget, in percent, unless [`SoftBudget::watermark`] says otherwise.
pub const PRESSURE_BEGINS_PERCENT: u8 = 90;
/// Pressure ends below this share of a budget, in percent, unless [`SoftBudget::watermark`] says otherwise.
pub const PRESSURE_ENDS_PERCENT: u8 = 85;
/// The resources that share a soft budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BudgetScope {
    /// All that the tracker knows, whoever owns it.
    Process,
    /// Those of one owner kind; [`OwnerKind::UNOWNED`] for those without an owner.
    Owner(OwnerKind),
}

impl BudgetScope {
    /// The name: the value of the label `budget`. `gpu` for the whole process, `owner:` and the kind's name for an owner kind.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Process => Cow::Borrowed("gpu"),
            Self::Owner(kind) => Cow::Owned(format!("owner:{}", kind.name())),
        }
    }
}

/// Bytes of graphics resources that the program wants to stay within. Nothing is refused beyond it: crossings are counted, the pressure is
/// told, and a callback may make room before a creation.
///
/// Counted are the bytes of resources with memory of their own, from their creation to their release: live ones and those that wait for their
/// release, since their memory is taken until then. Suballocations are their blocks' bytes and are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SoftBudget {
    /// Whose.
    pub scope: BudgetScope,
    /// Its bytes. 0 is no budget: set, it lifts the one there is.
    pub bytes: u64,
    /// Pressure begins at this share of it, in percent; [`PRESSURE_BEGINS_PERCENT`] by default.
    pub begins_percent: u8,
    /// Pressure ends below this share of it, in percent; [`PRESSURE_ENDS_PERCENT`] by default.
    pub ends_percent: u8,
}

impl SoftBudget {
    /// A budget of all of the tracker's resources together.
    #[must_use]
    pub const fn process(bytes: u64) -> Self {
        Self::of(BudgetScope::Process, bytes)
    }

    /// A budget of all resources of owners of that kind.
    #[must_use]
    pub const fn owner(kind: OwnerKind, bytes: u64) -> Self {
        Self::of(BudgetScope::Owner(kind), bytes)
    }

    /// A budget of that scope.
    #[must_use]
    pub const fn of(scope: BudgetScope, bytes: u64) -> Self {
        Self { scope, bytes, begins_percent: PRESSURE_BEGINS_PERCENT, ends_percent: PRESSURE_ENDS_PERCENT }
    }

    /// With pressure from `begins` percent of it on, until less than `ends` percent is used. At most 100; an end above the beginning counts
    /// as the beginning.
    #[must_use]
    pub fn watermark(self, begins: u8, ends: u8) -> Self {
        let begins_percent = begins.min(100);
        Self { begins_percent, ends_percent: ends.min(begins_percent), ..self }
    }
}

/// How near a soft budget is, from nothing to exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Pressure {
    /// There is room, or there is no budget.
    #[default]
    None,
    /// The use has reached the watermark and has not fallen below its end since.
    High,
    /// More is used than the budget has.
    Over,
}

impl Pressure {
    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::High => "high",
            Self::Over => "over",
        }
    }
}

/// A soft budget, and how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// The budget.
    pub budget: SoftBudget,
    /// Bytes used of it, waiting for their release or not.
    pub used_bytes: u64,
    /// The most bytes used since there is one.
    pub peak_bytes: u64,
    /// How near it is.
    pub pressure: Pressure,
    /// Times that it was crossed, upwards, since the tracker was made. What wavers at the budget has crossed it once: only when no more than
    /// 95 % are used can it be crossed anew.
    pub crossings: u64,
}

impl BudgetStatus {
    /// Bytes left; 0 if none are.
    #[must_use]
    pub fn left_bytes(&self) -> u64 {
        self.budget.bytes.saturating_sub(self.used_bytes)
    }
}

/// How often a program was called before a soft budget would be exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetCalls {
    /// Calls.
    pub calls: u64,
    /// Calls that panicked.
    pub panics: u64,
}

/// A creation, or a growth, that would leave a budget exceeded, as a callback is told of it before it is carried out.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WouldCross<'a> {
    /// The budget.
    pub budget: SoftBudget,
    /// Bytes used of it now.
    pub used_bytes: u64,
    /// Bytes that are about to be added.
    pub requested_bytes: u64,
    /// What is about to be created, or grows.
    pub kind: ResourceKind,
    /// Its label; `None` if it has none, or grows.
    pub label: Option<&'a str>,
    /// Its owner.
    pub owner: OwnerId,
}

impl WouldCross<'_> {
    /// Bytes that must go for the request to fit.
    #[must_use]
    pub fn excess_bytes(&self) -> u64 {
        self.used_bytes.saturating_add(self.requested_bytes).saturating_sub(self.budget.bytes)
    }
}

/// `bytes` are at least that share of `budget`.
#[cfg(feature = "telemetry")]
pub(crate) fn reaches(bytes: u64, budget: u64, percent: u8) -> bool {
    u128::from(bytes) * 100 >= u128::from(budget) * u128::from(percent)
}

/// `bytes` are so near to `budget` that what has crossed it has not left it: more than 95 %. What wavers at a budget has crossed it once.
#[cfg(feature = "telemetry")]
pub(crate) fn wavers(bytes: u64, budget: u64) -> bool {
    u128::from(bytes) * 100 > u128::from(budget) * 95
}
