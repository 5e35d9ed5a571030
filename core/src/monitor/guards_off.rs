//! The same without telemetry: nothing is counted, and no guard looks.

use crate::analysis::guards::heap::{GrowthSuspect, HeapGuardSettings};
use crate::analysis::guards::{Guard, GuardSettings, Warning};
use crate::contract::{HeapTotals, MemoryReport, TagTotals};
use crate::tracker::{Totals, Tracker};

/// Guards over nothing.
#[derive(Debug)]
pub(super) struct GuardWatch;

impl GuardWatch {
    pub(super) fn new(_: GuardSettings) -> Self {
        Self
    }

    pub(super) fn update(&mut self, _: &Tracker, _: &Totals) -> Vec<Warning> {
        Vec::new()
    }

    pub(super) fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }

    pub(super) fn raised(&self, _: Guard) -> u64 {
        0
    }
}

/// Guards over no heap.
#[derive(Debug)]
pub(super) struct HeapWatch;

impl HeapWatch {
    pub(super) fn new(_: HeapGuardSettings, _: Option<u64>) -> Self {
        Self
    }

    pub(super) fn update(&mut self, _: &HeapTotals, _: &MemoryReport, _: &[TagTotals]) -> Vec<Warning> {
        Vec::new()
    }

    pub(super) fn growth_suspects(&self) -> Vec<GrowthSuspect> {
        Vec::new()
    }

    pub(super) fn budget_crossings(&self) -> Option<u64> {
        None
    }

    pub(super) fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }

    pub(super) fn raised(&self, _: Guard) -> u64 {
        0
    }
}

/// Nothing.
pub(super) fn tell(_: &[Warning]) {}
