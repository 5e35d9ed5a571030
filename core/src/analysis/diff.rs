//! What appeared, what is gone and what grew between two dumps.

mod stores;

pub use self::stores::StoreChange;

use super::dump::{Dump, Resource, Sum};
use super::group::Group;
use super::text::{Side, Table, bytes, counted, duration, signed_bytes};
use crate::contract::{MemoryPoolReport, StagingRingReport, TargetPoolReport};
use crate::tracker::{Snapshot, Tracker};
use serde::{Serialize, Serializer};
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::time::Duration;

/// Lines that are written where nothing else is asked for.
const MOST: usize = 50;

/// What is different in `newer`: of resources by kind, owner, site and label; of staging rings, memory pools and pools of render targets by
/// name.
///
/// Two dumps of one process are compared resource by resource. Between two runs no resource is the same: there, as many as have the same
/// group and size on both sides are the same, and the rest appeared or is gone.
///
/// ```
/// use engine_vitals_core::analysis::{Dump, DumpOptions, diff};
/// use engine_vitals_core::{probe::New, tracker::Tracker};
///
/// let tracker = Tracker::new();
/// let before = Dump::take(&tracker, &DumpOptions::default());
/// let ticket = tracker.probe().create(New::buffer(1024).label("vertices"));
/// let after = Dump::take(&tracker, &DumpOptions::default());
/// let diff = diff(&before, &after);
/// # #[cfg(feature = "telemetry")]
/// assert!(diff.to_string().contains("vertices"));
/// # drop(ticket);
/// ```
#[must_use]
pub fn diff(older: &Dump, newer: &Dump) -> Diff {
    let same_run = older.run == newer.run;
    let mut sides: HashMap<Group, [Vec<&Resource>; 2]> = HashMap::new();
    for (place, dump) in [older, newer].into_iter().enumerate() {
        for resource in &dump.resources {
            if let Some(side) = sides.entry(Group::of(resource)).or_default().get_mut(place) {
                side.push(resource);
            }
        }
    }
    let mut changes: Vec<_> =
        sides.into_iter().map(|(group, [before, after])| change(group, before, after, same_run)).collect();
    let sum = |of: fn(&Change) -> Sum| {
        changes.iter().filter(|change| !change.group.suballocations).fold(Sum::default(), |mut total, change| {
            let Sum { count, bytes } = of(change);
            total.count += count;
            total.bytes = total.bytes.saturating_add(bytes);
            total
        })
    };
    let (before, after) = (sum(|change| change.before), sum(|change| change.after));
    let groups = changes.len() as u64;
    changes.retain(Change::is_change);
    changes.sort_by(|one, other| one.order().cmp(&other.order()).then_with(|| one.group.cmp(&other.group)));
    Diff {
        same_run,
        elapsed: newer.taken.since(older.taken).filter(|_| same_run),
        before,
        after,
        unchanged_groups: groups - changes.len() as u64,
        missing: older.missing().saturating_add(newer.missing()),
        changes,
        staging_rings: stores::changes(&older.staging_rings, &newer.staging_rings),
        memory_pools: stores::changes(&older.memory_pools, &newer.memory_pools),
        target_pools: stores::changes(&older.target_pools, &newer.target_pools),
    }
}

impl Snapshot {
    /// What is different in this snapshot from an `older` one of the same tracker, which knows the owners' names. A snapshot has resources
    /// alone: how rings and pools stood is in a [`Dump`].
    #[must_use]
    pub fn diff(&self, older: &Self, tracker: &Tracker) -> Diff {
        let dump = |snapshot: &Self| {
            let mut dump = Dump::of_resources(tracker, snapshot.resources.clone());
            dump.taken = snapshot.taken;
            dump.contended = snapshot.contended;
            dump
        };
        diff(&dump(older), &dump(self))
    }
}

impl Dump {
    /// Resources that are not in it and may have been there.
    fn missing(&self) -> u64 {
        self.left_out.count.saturating_add(self.contended)
    }
}

/// The difference between two dumps. [`Display`] writes the first 50 changes of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diff {
    /// Both are of one process: resources were compared one by one.
    pub same_run: bool,
    /// Time between them, if both are of one process.
    #[serde(rename = "elapsed_ns", serialize_with = "nanos", skip_serializing_if = "Option::is_none")]
    pub elapsed: Option<Duration>,
    /// What was there, suballocations left out.
    pub before: Sum,
    /// What is there, suballocations left out.
    pub after: Sum,
    /// The groups that changed: what grew most, in bytes, comes first, and what shrank most last.
    pub changes: Vec<Change>,
    /// Groups that did not change.
    pub unchanged_groups: u64,
    /// Resources that are missing in either dump, since they were left out or being written: some changes may be theirs.
    pub missing: u64,
    /// The staging rings that appeared, are gone, have other bytes, or have stalled, refused writes or given one a buffer of its own since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub staging_rings: Vec<StoreChange<StagingRingReport>>,
    /// The memory pools that appeared, are gone, have other bytes reserved, requested or lost, other blocks, or have refused requests since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory_pools: Vec<StoreChange<MemoryPoolReport>>,
    /// The pools of render targets that appeared, are gone, have other targets, or have made or given up any since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_pools: Vec<StoreChange<TargetPoolReport>>,
}

/// How one group changed: `after` is `before` with what appeared, without what is gone, and with the change by resizing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// What the resources have in common.
    #[serde(flatten)]
    pub group: Group,
    /// Bytes more than before, fewer if negative.
    pub net_bytes: i64,
    /// What was there.
    pub before: Sum,
    /// What is there.
    pub after: Sum,
    /// What was not there before.
    pub appeared: Sum,
    /// What is no longer there.
    pub gone: Sum,
    /// Resources of both whose bytes are others.
    pub resized: u64,
    /// By how much those grew together, or shrank if negative.
    pub resized_bytes: i64,
}

impl Change {
    fn is_change(&self) -> bool {
        self.appeared.count > 0 || self.gone.count > 0 || self.resized > 0
    }

    /// What grew most comes first.
    fn order(&self) -> impl Ord + use<> {
        let net_count = i128::from(self.after.count) - i128::from(self.before.count);
        Reverse((self.net_bytes, net_count, self.appeared.bytes, self.appeared.count))
    }
}

impl Diff {
    /// Nothing appeared, is gone or was resized, and rings and pools stand as they did. What has merely passed through those (bytes written,
    /// blocks given out, blocks moved) is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let stores = self.staging_rings.len() + self.memory_pools.len() + self.target_pools.len();
        self.changes.is_empty() && stores == 0
    }

    /// The text with that many changes of resources, and as many of rings, of pools and of pools of render targets.
    pub fn most(&self, changes: usize) -> DiffText<'_> {
        DiffText { diff: self, most: changes }
    }

    /// Writes it as one JSON object and a line break.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_json(&self, mut writer: impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut writer, self)?;
        writer.write_all(b"\n")
    }
}

impl Display for Diff {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.most(MOST).fmt(f)
    }
}

/// A [`Diff`] as a table.
#[derive(Clone, Copy, Debug)]
#[must_use = "it is written by Display"]
pub struct DiffText<'a> {
    diff: &'a Diff,
    most: usize,
}

impl Display for DiffText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { diff, most } = *self;
        let Diff { before, after, .. } = diff;
        write!(f, "{} and {}", counted(before.count, "resource", "resources"), bytes(before.bytes))?;
        write!(f, " before, {} and {} after", after.count, bytes(after.bytes))?;
        write!(f, ": {:+}, {}", signed(after.count, before.count), signed_bytes(signed(after.bytes, before.bytes)))?;
        match (diff.elapsed, diff.same_run) {
            (Some(elapsed), _) => writeln!(f, ", within {}", duration(elapsed))?,
            (None, true) => writeln!(f, "; the newer dump was taken first")?,
            (None, false) => writeln!(f, "; of two runs, so that resources are matched by group and size")?,
        }
        if diff.missing > 0 {
            let missing = counted(diff.missing, "resource is", "resources are");
            writeln!(f, "note: {missing} missing in the dumps, and may be part of what changed")?;
        }
        if diff.is_empty() {
            return writeln!(f, "nothing changed");
        }
        if !diff.changes.is_empty() {
            write_table(f, &resources(&diff.changes, most), diff.changes.len(), most)?;
        }
        stores::write(f, diff, most)
    }
}

fn resources(changes: &[Change], most: usize) -> Table<9> {
    let mut table = Table::new([
        ("net", Side::Right),
        ("appeared", Side::Right),
        ("gone", Side::Right),
        ("resized", Side::Right),
        ("now", Side::Right),
        ("kind", Side::Left),
        ("label", Side::Left),
        ("owner", Side::Left),
        ("site", Side::Left),
    ]);
    for change in changes.iter().take(most) {
        let [kind, label, owner, site] = change.group.cells();
        let resized = match change.resized {
            0 => "0".to_owned(),
            count => format!("{count}, {}", signed_bytes(change.resized_bytes)),
        };
        table.row([
            signed_bytes(change.net_bytes),
            sum_text(change.appeared),
            sum_text(change.gone),
            resized,
            sum_text(change.after),
            kind,
            label,
            owner,
            site,
        ]);
    }
    table
}

/// A table of the first of so many changes.
fn write_table<const N: usize>(f: &mut Formatter<'_>, table: &Table<N>, changes: usize, most: usize) -> fmt::Result {
    write!(f, "{table}")?;
    match changes.saturating_sub(most) {
        0 => Ok(()),
        left => writeln!(f, "  and {left} more"),
    }
}

/// How a group changed, whose resources were `before` and are `after`.
fn change(group: Group, mut before: Vec<&Resource>, mut after: Vec<&Resource>, same_run: bool) -> Change {
    // What makes two resources the same.
    let identity = |resource: &Resource| match same_run {
        true => (resource.id, resource.created.unix_nanos()),
        false => (resource.held_bytes(), 0),
    };
    let mut change = Change {
        group,
        net_bytes: 0,
        before: sum(&before),
        after: sum(&after),
        appeared: Sum::default(),
        gone: Sum::default(),
        resized: 0,
        resized_bytes: 0,
    };
    before.sort_unstable_by_key(|resource| identity(resource));
    after.sort_unstable_by_key(|resource| identity(resource));
    let (mut before, mut after) = (before.into_iter().peekable(), after.into_iter().peekable());
    let mut resized_bytes = 0_i128;
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => identity(old).cmp(&identity(new)),
        };
        let old = if order.is_le() { before.next() } else { None };
        let new = if order.is_ge() { after.next() } else { None };
        match (old, new) {
            (Some(old), Some(new)) if old.held_bytes() != new.held_bytes() => {
                change.resized += 1;
                resized_bytes += i128::from(new.held_bytes()) - i128::from(old.held_bytes());
            }
            (Some(_), Some(_)) | (None, None) => {}
            (Some(old), None) => change.gone.add(old.held_bytes()),
            (None, Some(new)) => change.appeared.add(new.held_bytes()),
        }
    }
    change.resized_bytes = clamped(resized_bytes);
    change.net_bytes = signed(change.after.bytes, change.before.bytes);
    change
}

fn sum(resources: &[&Resource]) -> Sum {
    resources.iter().fold(Sum::default(), |mut sum, resource| {
        sum.add(resource.held_bytes());
        sum
    })
}

/// How much `after` is above `before`.
fn signed(after: u64, before: u64) -> i64 {
    clamped(i128::from(after) - i128::from(before))
}

fn clamped(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn sum_text(sum: Sum) -> String {
    if sum.count == 0 { "0".to_owned() } else { format!("{}, {}", sum.count, bytes(sum.bytes)) }
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference")]
fn nanos<S: Serializer>(elapsed: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    elapsed.map(|elapsed| u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)).serialize(serializer)
}
