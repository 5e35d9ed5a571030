//! The same calls without telemetry: every answer is empty.

use super::{
    Activities, Burst, Lives, Misuses, Owner, OwnerTotals, PacketRecord, PoolCandidate, ReadOutcome, Snapshot,
    SubmissionRecord, Totals, Unsubmitted,
};
use crate::contract::StoreReport;
use crate::probe::{
    BudgetCalls, BudgetStatus, Clock, Event, Lane, Level, OwnerId, Pressure, Probe, ResourceKind, SoftBudget,
    Timestamp, WouldCross,
};
use std::time::Duration;

/// The read side of a book. Without the feature `telemetry` there is no book, and every answer is empty.
#[derive(Debug, Default)]
pub struct Tracker(());

/// How a [`Tracker`] is made. Without the feature `telemetry` it takes its settings and forgets them.
#[derive(Clone, Debug, Default)]
#[must_use = "build() makes the tracker"]
pub struct TrackerBuilder(());

impl TrackerBuilder {
    /// Nothing.
    pub fn level(self, _level: Level) -> Self {
        self
    }

    /// Nothing.
    pub fn ring_capacity(self, _events: usize) -> Self {
        self
    }

    /// Nothing.
    pub fn resource_capacity(self, _resources: usize) -> Self {
        self
    }

    /// Nothing.
    pub fn owner_capacity(self, _owners: usize) -> Self {
        self
    }

    /// Nothing.
    pub fn lane_capacity(self, _lanes: usize) -> Self {
        self
    }

    /// Nothing.
    pub fn label_capacity(self, _labels: usize) -> Self {
        self
    }

    /// Nothing.
    pub fn user_kind_capacity(self, _kinds: usize) -> Self {
        self
    }

    /// Nothing.
    pub fn packet_capacity(self, _packets: usize) -> Self {
        self
    }

    /// Nothing.
    pub fn short_lived(self, _packets: u64, _time: Duration) -> Self {
        self
    }

    /// Nothing.
    pub fn followed_kinds(self, _kinds: &[ResourceKind]) -> Self {
        self
    }

    /// Nothing.
    pub fn passing_kinds(self, _kinds: &[ResourceKind]) -> Self {
        self
    }

    /// Nothing.
    pub fn panic_on_misuse(self, _panic: bool) -> Self {
        self
    }

    /// Nothing.
    pub fn soft_budget(self, _budget: SoftBudget) -> Self {
        self
    }

    /// Nothing.
    pub fn before_over_budget(self, _call: impl Fn(&WouldCross<'_>) + Send + Sync + 'static) -> Self {
        self
    }

    /// Nothing.
    pub fn clock(self, _clock: Clock) -> Self {
        self
    }

    /// The tracker.
    #[must_use]
    pub fn build(self) -> Tracker {
        Tracker(())
    }
}

impl Tracker {
    /// A tracker of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }

    /// A tracker to be configured.
    pub fn builder() -> TrackerBuilder {
        TrackerBuilder(())
    }

    /// [`Probe::OFF`].
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe::OFF
    }

    /// [`Level::Off`].
    #[must_use]
    pub fn level(&self) -> Level {
        Level::Off
    }

    /// Nothing.
    pub fn set_level(&self, _level: Level) {}

    /// `false`.
    #[must_use]
    pub fn touch_lists(&self) -> bool {
        false
    }

    /// Nothing.
    pub fn set_touch_lists(&self, _on: bool) {}

    /// Nothing.
    pub fn set_soft_budget(&self, _budget: SoftBudget) {}

    /// Nothing.
    pub fn before_over_budget(&self, _call: impl Fn(&WouldCross<'_>) + Send + Sync + 'static) {}

    /// Nothing.
    pub fn never_before_over_budget(&self) {}

    /// None.
    #[must_use]
    pub fn soft_budgets(&self) -> Vec<BudgetStatus> {
        Vec::new()
    }

    /// None.
    pub fn read_soft_budgets(&self, statuses: &mut Vec<BudgetStatus>) {
        statuses.clear();
    }

    /// [`Pressure::None`].
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        Pressure::None
    }

    /// None.
    #[must_use]
    pub fn stores(&self) -> Vec<StoreReport> {
        Vec::new()
    }

    /// Fills in none.
    pub fn read_stores(&self, reports: &mut Vec<(u64, StoreReport)>) {
        reports.clear();
    }

    /// Never.
    #[must_use]
    pub fn budget_calls(&self) -> BudgetCalls {
        BudgetCalls::default()
    }

    /// The system's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock::system()
    }

    /// The epoch.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        Timestamp::default()
    }

    /// None.
    #[must_use]
    pub fn followed_kinds(&self) -> Vec<ResourceKind> {
        Vec::new()
    }

    /// None.
    #[must_use]
    pub fn passing_kinds(&self) -> Vec<ResourceKind> {
        Vec::new()
    }

    /// `None`.
    #[must_use]
    pub fn owner(&self, _owner: OwnerId) -> Option<Owner> {
        None
    }

    /// `None`.
    #[must_use]
    pub fn lane_name(&self, _lane: Lane) -> Option<&'static str> {
        None
    }

    /// Zeros.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals::default()
    }

    /// Zeros.
    #[must_use]
    pub fn activities(&self) -> Activities {
        Activities::default()
    }

    /// Nothing.
    pub fn read_totals(&self, _totals: &mut Totals) {}

    /// None.
    pub fn owner_totals(&self, owners: &mut Vec<OwnerTotals>) {
        owners.clear();
    }

    /// None.
    #[must_use]
    pub fn packets(&self, _n: usize) -> Vec<PacketRecord> {
        Vec::new()
    }

    /// None.
    #[must_use]
    pub fn submissions(&self, _n: usize) -> Vec<SubmissionRecord> {
        Vec::new()
    }

    /// `None`.
    #[must_use]
    pub fn oldest_in_flight(&self) -> Option<SubmissionRecord> {
        None
    }

    /// `None`.
    #[must_use]
    pub fn unsubmitted(&self) -> Option<Unsubmitted> {
        None
    }

    /// None.
    #[must_use]
    pub fn lives(&self) -> Lives {
        Lives::default()
    }

    /// None.
    #[must_use]
    pub fn bursts(&self) -> Vec<Burst> {
        Vec::new()
    }

    /// None.
    #[must_use]
    pub fn misuses(&self) -> Misuses {
        Misuses::default()
    }

    /// None.
    #[must_use]
    pub fn pool_candidate_bytes(&self) -> u64 {
        0
    }

    /// None.
    #[must_use]
    pub fn pool_candidates(&self) -> Vec<PoolCandidate> {
        Vec::new()
    }

    /// An empty snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { level: Level::Off, ..Snapshot::default() }
    }

    /// Makes the snapshot an empty one.
    pub fn read_snapshot(&self, snapshot: &mut Snapshot) {
        *snapshot = self.snapshot();
    }

    /// None.
    pub(crate) fn visit(&self, _visit: impl FnMut(super::ResourceRecord)) -> u64 {
        0
    }

    /// A cursor that delivers nothing.
    #[must_use]
    pub fn events(&self) -> EventCursor {
        EventCursor(())
    }

    /// Nothing.
    #[must_use]
    pub fn recent_events(&self, _n: usize) -> Vec<Event> {
        Vec::new()
    }
}

/// One reader of a tracker's events. Without the feature `telemetry` there are none.
#[derive(Clone, Debug)]
pub struct EventCursor(());

impl EventCursor {
    /// Nothing.
    pub fn read(&mut self, _events: &mut Vec<Event>) -> ReadOutcome {
        ReadOutcome::default()
    }

    /// 0.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        0
    }

    /// 0.
    #[must_use]
    pub fn lost(&self) -> u64 {
        0
    }
}
