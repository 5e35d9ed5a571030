//! What is different in staging rings, memory pools and pools of render targets.

use super::{Diff, signed, write_table};
use crate::analysis::text::{Side, Table, bytes, duration, plain, signed_bytes};
use crate::contract::{MemoryPoolReport, StagingRingReport, Sums, TargetPoolReport};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::sync::Arc;
use std::time::Duration;

/// How the rings, or pools, of one name changed. Between two runs the counters of the one are held against those of the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreChange<R> {
    /// Their name.
    pub name: Arc<str>,
    /// Bytes of GPU memory that they hold more than before, fewer if negative.
    pub net_bytes: i64,
    /// How they stood; `None` where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<R>,
    /// How they stand; `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<R>,
}

/// The names whose rings or pools changed: what grew most, in bytes, comes first, and what shrank most last.
pub(super) fn changes<R: Compared>(older: &[R], newer: &[R]) -> Vec<StoreChange<R>> {
    let mut named: BTreeMap<&Arc<str>, [Option<R>; 2]> = BTreeMap::new();
    for (place, reports) in [older, newer].into_iter().enumerate() {
        for report in reports {
            match named.entry(report.name()).or_default().get_mut(place) {
                Some(Some(sum)) => {
                    sum.add_standing(report);
                    sum.add_counted(report);
                }
                Some(none) => *none = Some(report.clone()),
                None => {}
            }
        }
    }
    let mut changes: Vec<_> = named
        .into_iter()
        .filter(|(_, [before, after])| before.as_ref().map(R::standing) != after.as_ref().map(R::standing))
        .map(|(name, [before, after])| {
            let held = |report: &Option<R>| report.as_ref().map_or(0, R::held_bytes);
            StoreChange { name: Arc::clone(name), net_bytes: signed(held(&after), held(&before)), before, after }
        })
        .collect();
    // Stable: those that grew alike stay in the order of their names.
    changes.sort_by_key(|change| Reverse(change.net_bytes));
    changes
}

/// Writes a table of each kind of which any changed.
pub(super) fn write(f: &mut Formatter<'_>, diff: &Diff, most: usize) -> fmt::Result {
    let Diff { staging_rings, memory_pools, target_pools, .. } = diff;
    if !staging_rings.is_empty() {
        writeln!(f, "staging rings")?;
        write_table(f, &rings(staging_rings, most), staging_rings.len(), most)?;
    }
    if !memory_pools.is_empty() {
        writeln!(f, "memory pools")?;
        write_table(f, &pools(memory_pools, most), memory_pools.len(), most)?;
    }
    if !target_pools.is_empty() {
        writeln!(f, "pools of render targets")?;
        write_table(f, &targets(target_pools, most), target_pools.len(), most)?;
    }
    Ok(())
}

/// A report that can be held against an older one.
pub(super) trait Compared: Sums {
    /// What is a change if it differs. Traffic is none.
    fn standing(&self) -> [u64; 5];

    /// Bytes of GPU memory that it holds.
    fn held_bytes(&self) -> u64;
}

impl Compared for StagingRingReport {
    fn standing(&self) -> [u64; 5] {
        [self.ring_bytes, self.stalls, self.dedicated, self.failures, 0]
    }

    fn held_bytes(&self) -> u64 {
        self.ring_bytes
    }
}

impl Compared for MemoryPoolReport {
    fn standing(&self) -> [u64; 5] {
        [self.reserved_bytes, self.requested_bytes, self.lost_bytes(), self.blocks, self.failures]
    }

    fn held_bytes(&self) -> u64 {
        self.reserved_bytes
    }
}

impl Compared for TargetPoolReport {
    /// Whether a target is in use or idle depends on the moment, how many there are does not.
    fn standing(&self) -> [u64; 5] {
        [self.used.saturating_add(self.idle), self.held_bytes(), self.created, self.released, 0]
    }

    fn held_bytes(&self) -> u64 {
        self.used_bytes.saturating_add(self.idle_bytes)
    }
}

fn rings(changes: &[StoreChange<StagingRingReport>], most: usize) -> Table<8> {
    let mut table = Table::new([
        ("net", Side::Right),
        ("now", Side::Right),
        ("written", Side::Right),
        ("apart", Side::Right),
        ("stalls", Side::Right),
        ("refused", Side::Right),
        ("state", Side::Left),
        ("ring", Side::Left),
    ]);
    for change in changes.iter().take(most) {
        let stalls = match change.grown(|ring| ring.stalls) {
            0 => "0".to_owned(),
            stalls => format!("{stalls:+}, {}", signed_time(change.side(|ring| ring.stall_time))),
        };
        table.row([
            signed_bytes(change.net_bytes),
            bytes(change.now(|ring| ring.ring_bytes)),
            signed_bytes(change.grown(|ring| ring.written_bytes)),
            signed_count(change.grown(|ring| ring.dedicated)),
            stalls,
            signed_count(change.grown(|ring| ring.failures)),
            change.state().to_owned(),
            plain(&change.name),
        ]);
    }
    table
}

fn pools(changes: &[StoreChange<MemoryPoolReport>], most: usize) -> Table<9> {
    let mut table = Table::new([
        ("net", Side::Right),
        ("now", Side::Right),
        ("slabs", Side::Right),
        ("requested", Side::Right),
        ("lost", Side::Right),
        ("blocks", Side::Right),
        ("refused", Side::Right),
        ("state", Side::Left),
        ("pool", Side::Left),
    ]);
    for change in changes.iter().take(most) {
        table.row([
            signed_bytes(change.net_bytes),
            bytes(change.now(|pool| pool.reserved_bytes)),
            signed_count(change.grown(|pool| pool.slabs)),
            signed_bytes(change.grown(|pool| pool.requested_bytes)),
            signed_bytes(change.grown(MemoryPoolReport::lost_bytes)),
            signed_count(change.grown(|pool| pool.blocks)),
            signed_count(change.grown(|pool| pool.failures)),
            change.state().to_owned(),
            plain(&change.name),
        ]);
    }
    table
}

fn targets(changes: &[StoreChange<TargetPoolReport>], most: usize) -> Table<7> {
    let mut table = Table::new([
        ("net", Side::Right),
        ("now", Side::Right),
        ("targets", Side::Right),
        ("made", Side::Right),
        ("given up", Side::Right),
        ("state", Side::Left),
        ("pool", Side::Left),
    ]);
    for change in changes.iter().take(most) {
        table.row([
            signed_bytes(change.net_bytes),
            bytes(change.now(Compared::held_bytes)),
            signed_count(change.grown(|pool| pool.used.saturating_add(pool.idle))),
            signed_count(change.grown(|pool| pool.created)),
            signed_count(change.grown(|pool| pool.released)),
            change.state().to_owned(),
            plain(&change.name),
        ]);
    }
    table
}

impl<R> StoreChange<R> {
    /// A figure before and after: nothing where there was, or is, none.
    fn side<T: Default>(&self, of: impl Fn(&R) -> T) -> [T; 2] {
        [&self.before, &self.after].map(|report| report.as_ref().map(&of).unwrap_or_default())
    }

    fn grown(&self, of: impl Fn(&R) -> u64) -> i64 {
        let [before, after] = self.side(of);
        signed(after, before)
    }

    fn now(&self, of: impl Fn(&R) -> u64) -> u64 {
        let [_, after] = self.side(of);
        after
    }

    fn state(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "appeared",
            (_, None) => "gone",
            (Some(_), Some(_)) => "there",
        }
    }
}

fn signed_count(value: i64) -> String {
    if value == 0 { "0".to_owned() } else { format!("{value:+}") }
}

fn signed_time([before, after]: [Duration; 2]) -> String {
    let (sign, time) = if after < before { ("-", before - after) } else { ("+", after - before) };
    format!("{sign}{}", duration(time))
}
