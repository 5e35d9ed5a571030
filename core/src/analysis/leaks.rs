//! What is still there when it should be gone.

use super::dump::{Dump, Resource, Sum, locate};
use super::group::Group;
use super::text::{Side, Table, bytes, counted};
use crate::probe::{Probe, ResourceId, ResourceKind};
use crate::tracker::{Tracker, reader};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;
use web_time::Instant;

/// Groups that are written.
const MOST: usize = 50;

/// Kinds of which a program has a few for as long as it runs.
const STANDING: [ResourceKind; 4] =
    [ResourceKind::DEVICE, ResourceKind::QUEUE, ResourceKind::SURFACE, ResourceKind::PIPELINE_CACHE];

/// The resources that are not released at the end of a program: what it leaked, or has not dropped yet.
///
/// Drop the device and all that was made from it first: what is dropped later is counted here. Devices, queues, surfaces and pipeline
/// caches, which a program has for as long as it runs, are told apart.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Leaks {
    /// What is still there, the biggest first.
    pub resources: Vec<Resource>,
    /// What is still there of devices, queues, surfaces and pipeline caches.
    pub standing: Vec<Resource>,
    /// Slots that were being written at every look, so that their resource, if any, is missing.
    pub contended: u64,
}

impl Leaks {
    /// All that is live or pending now.
    #[must_use]
    pub fn find(tracker: &Tracker) -> Self {
        let snapshot = tracker.snapshot();
        let dump = Dump::of_resources(tracker, snapshot.resources);
        let is_standing = |resource: &Resource| STANDING.iter().any(|kind| kind.name() == &*resource.kind);
        let (standing, mut resources): (Vec<_>, Vec<_>) = dump.resources.into_iter().partition(is_standing);
        resources.sort_by_key(|resource| Reverse(resource.held_bytes()));
        Self { resources, standing, contended: snapshot.contended }
    }

    /// Fills in the creation sites that are not known by `site`, for layers that know them otherwise.
    pub fn locate(&mut self, mut site: impl FnMut(ResourceId) -> Option<String>) {
        for resources in [&mut self.resources, &mut self.standing] {
            locate(resources, &mut site);
        }
    }

    /// Nothing is there but devices, queues, surfaces and pipeline caches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }
}

/// By kind, then by what they have in common.
impl Display for Leaks {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = counted(self.resources.len() as u64, "resource is", "resources are");
        writeln!(f, "{count} not released")?;
        if !self.resources.is_empty() {
            write!(f, "{}", by_kind(&self.resources))?;
            write!(f, "\n{}", Listed(&self.resources))?;
        }
        if !self.standing.is_empty() {
            writeln!(f, "\nstill there, as they may be while the program runs")?;
            write!(f, "{}", by_kind(&self.standing))?;
            if !self.resources.is_empty() && self.standing.iter().any(|one| *one.kind == *ResourceKind::DEVICE.name()) {
                writeln!(
                    f,
                    "note: a device is among them, so that what is not released may only be dropped later than this was asked:\n\
                     drop the device and all that was made from it first"
                )?;
            }
        }
        if self.contended > 0 {
            writeln!(f, "note: {} slots were being written at every look and are missing", self.contended)?;
        }
        Ok(())
    }
}

fn by_kind(resources: &[Resource]) -> Table<4> {
    let mut kinds: BTreeMap<(&str, bool), (Sum, u64)> = BTreeMap::new();
    for resource in resources {
        let (sum, pending) = kinds.entry((&*resource.kind, resource.within.is_some())).or_default();
        sum.add(resource.held_bytes());
        *pending += u64::from(!resource.is_live());
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, (sum, _))| Reverse((sum.bytes, sum.count)));
    let mut table = Table::new([
        ("kind", Side::Left),
        ("count", Side::Right),
        ("bytes", Side::Right),
        ("whose handle is gone", Side::Right),
    ]);
    for ((kind, within), (sum, pending)) in kinds {
        let within = if within { " (within blocks)" } else { "" };
        table.row([format!("{kind}{within}"), sum.count.to_string(), bytes(sum.bytes), pending.to_string()]);
    }
    table
}

/// Resources by what they have in common, the biggest first.
struct Listed<'a>(&'a [Resource]);

impl Display for Listed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut groups: HashMap<Group, (Sum, u64, u64)> = HashMap::new();
        for resource in self.0 {
            let (sum, pending, first) = groups.entry(Group::of(resource)).or_insert((Sum::default(), 0, resource.id));
            sum.add(resource.held_bytes());
            *pending += u64::from(!resource.is_live());
            *first = resource.id.min(*first);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by(|(one, (sum, _, _)), (other, (other_sum, _, _))| {
            (other_sum.bytes, other_sum.count).cmp(&(sum.bytes, sum.count)).then_with(|| one.cmp(other))
        });
        let mut table = Table::new([
            ("count", Side::Right),
            ("bytes", Side::Right),
            ("kind", Side::Left),
            ("label", Side::Left),
            ("owner", Side::Left),
            ("site", Side::Left),
            ("first id", Side::Right),
            ("state", Side::Left),
        ]);
        let left = groups.len().saturating_sub(MOST);
        for (group, (sum, pending, first)) in groups.into_iter().take(MOST) {
            let [kind, label, owner, site] = group.cells();
            let state = match pending {
                0 => "live".to_owned(),
                all if all == sum.count => "handle gone, still referenced".to_owned(),
                some => format!("{some} with the handle gone"),
            };
            table.row([sum.count.to_string(), bytes(sum.bytes), kind, label, owner, site, first.to_string(), state]);
        }
        write!(f, "{table}")?;
        if left > 0 { writeln!(f, "  and {left} more") } else { Ok(()) }
    }
}

/// What [`assert_no_leaks!`](crate::assert_no_leaks) checks with: from its making to its end, whatever is created has to be released.
#[must_use = "end() checks"]
pub struct LeakCheck<'a> {
    probe: Probe,
    /// What was there before.
    before: HashSet<u64>,
    /// Resources that were not tracked before, for want of room.
    untracked: u64,
    poll: Option<Box<dyn FnMut() + 'a>>,
    ended: bool,
}

/// How long [`LeakCheck::polling`] polls at most.
const PATIENCE: Duration = Duration::from_secs(5);

impl<'a> LeakCheck<'a> {
    /// Begins.
    ///
    /// # Panics
    /// The probe records nothing: no leak could be found.
    #[track_caller]
    pub fn begin(probe: Probe) -> Self {
        let (before, untracked) = there(probe);
        Self { probe, before: before.iter().map(|resource| resource.id).collect(), untracked, poll: None, ended: false }
    }

    /// Before anything counts as leaked, calls `poll` again and again, for up to 5 s: for resources that are released a little later,
    /// as wgpu does when `Device::poll` finds their last submission completed.
    pub fn polling<R>(mut self, mut poll: impl FnMut() -> R + 'a) -> Self {
        self.poll = Some(Box::new(move || drop(poll())));
        self
    }

    /// Ends.
    ///
    /// # Panics
    /// Something that was created since the beginning is not released. The message names each.
    #[track_caller]
    pub fn end(mut self) {
        self.check();
    }

    #[track_caller]
    #[expect(clippy::panic, reason = "it is an assertion of a test")]
    fn check(&mut self) {
        self.ended = true;
        let began = Instant::now();
        let mut pause = Duration::from_millis(1);
        let leaked = loop {
            let leaked = self.leaked();
            match &mut self.poll {
                Some(poll) if !leaked.is_empty() && began.elapsed() < PATIENCE => poll(),
                Some(_) | None => break leaked,
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        };
        if !leaked.is_empty() {
            let (one, many) =
                ("resource was created in this block and is", "resources were created in this block and are");
            panic!("{} not released:\n{}", counted(leaked.len() as u64, one, many), Listed(&leaked));
        }
    }

    #[track_caller]
    #[expect(clippy::panic, reason = "it is an assertion of a test")]
    fn leaked(&self) -> Vec<Resource> {
        let (mut after, untracked) = there(self.probe);
        if untracked > self.untracked {
            panic!("the tracker has no room for all resources of this block: raise TrackerBuilder::resource_capacity");
        }
        after.retain(|resource| !self.before.contains(&resource.id));
        after
    }
}

impl Drop for LeakCheck<'_> {
    /// Checks where the block was left early, unless by a panic.
    fn drop(&mut self) {
        if !self.ended && !std::thread::panicking() {
            self.check();
        }
    }
}

impl fmt::Debug for LeakCheck<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeakCheck")
            .field("probe", &self.probe)
            .field("before", &self.before.len())
            .finish_non_exhaustive()
    }
}

/// What is there, and how many resources were not tracked so far.
#[track_caller]
#[expect(clippy::panic, reason = "it is an assertion of a test")]
fn there(probe: Probe) -> (Vec<Resource>, u64) {
    let Some(tracker) = reader(probe).filter(|_| probe.level() != crate::probe::Level::Off) else {
        panic!("assert_no_leaks! needs a probe that records; this one is off, and no leak could be found");
    };
    // A slot that is being written is another thread's: it is done in a moment.
    let snapshot = (0..100).map(|_| tracker.snapshot()).find(|snapshot| snapshot.contended == 0);
    let snapshot = snapshot.unwrap_or_else(|| tracker.snapshot());
    (Dump::of_resources(&tracker, snapshot.resources).resources, tracker.totals().overflows.resources)
}
