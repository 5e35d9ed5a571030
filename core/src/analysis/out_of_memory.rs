//! What there was when a device's memory ran out.

use std::collections::HashMap;
use std::fmt;

use super::text::{Side, Table, bytes, counted, quoted};
use crate::probe::{BudgetStatus, OwnerId, ResourceKind, Shortage, Timestamp};
use crate::tracker::Tracker;

/// Labels, owners and resources that are named, the largest first.
const NAMED: usize = 8;
/// Different labels that are told apart; what has others counts together.
const LABELS: usize = 4096;

/// A device's memory ran out: what was asked for, and what held memory at that moment. What is unknown is `None`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutOfMemory {
    /// When.
    pub at: Timestamp,
    /// The program's frame under way, from 1.
    pub frame: u64,
    /// What was asked for.
    pub shortage: Shortage,
    /// Bytes of resources that were live.
    pub live_bytes: u64,
    /// Bytes of resources that waited for their release.
    pub pending_bytes: u64,
    /// Live and pending bytes by resource kind, the most first.
    pub kinds: Vec<Share>,
    /// The owners with the most live and pending bytes, eight at most.
    pub owners: Vec<Share>,
    /// The labels with the most live and pending bytes, eight at most. Resources without a label are one share without a name.
    pub labels: Vec<Share>,
    /// The largest resources, eight at most.
    pub resources: Vec<Large>,
    /// The soft budgets.
    pub budgets: Vec<BudgetStatus>,
    /// Bytes that the graphics library's allocator had given out when it was read last.
    pub allocated_bytes: Option<u64>,
    /// Bytes that it had taken from the driver when it was read last.
    pub reserved_bytes: Option<u64>,
    /// What else ran out of memory within a second of this, for which nobody has looked.
    pub later: Later,
}

/// Shortages that were counted, for which nobody has looked at what held memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Later {
    /// How many.
    pub count: u64,
    /// What they asked for together, as far as it is known.
    pub requested_bytes: u64,
    /// The last one; `None` if there was none.
    pub last: Option<Shortage>,
}

impl Later {
    /// One more.
    pub(crate) fn add(&mut self, shortage: Shortage) {
        self.count += 1;
        self.requested_bytes = self.requested_bytes.saturating_add(shortage.requested_bytes.unwrap_or_default());
        self.last = Some(shortage);
    }

    /// These too, which came after.
    pub(crate) fn append(&mut self, later: Self) {
        self.count += later.count;
        self.requested_bytes = self.requested_bytes.saturating_add(later.requested_bytes);
        self.last = later.last.or(self.last.take());
    }
}

/// What all resources of one kind, owner or label had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// The name; empty for what has none.
    pub name: String,
    /// Resources.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One large resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Large {
    /// What it is.
    pub kind: ResourceKind,
    /// Its label.
    pub label: Option<String>,
    /// Its bytes.
    pub bytes: u64,
    /// Its handle is gone or it was destroyed: it waits for its release.
    pub pending: bool,
}

impl OutOfMemory {
    /// What `tracker` has now. Looks at every resource, which takes a tenth of a second for a million of them, and keeps little of it.
    #[must_use]
    pub fn take(tracker: &Tracker, shortage: Shortage) -> Self {
        let totals = tracker.totals();
        let device = totals.device();
        let kinds = totals.kinds().map(|(kind, totals)| Share {
            name: kind.name().to_owned(),
            count: totals.device.live() + totals.device.pending(),
            bytes: totals.device.live_bytes() + totals.device.pending_bytes(),
        });
        let mut held = Held::default();
        tracker.visit(|resource| {
            if resource.bytes > 0 && resource.within.is_none() && !resource.freed {
                held.add(
                    Large {
                        pending: !resource.is_live(),
                        kind: resource.kind,
                        bytes: resource.bytes,
                        label: resource.label,
                    },
                    resource.owner,
                );
            }
        });
        let Held { labels, owners, resources } = held;
        let owners = owners.into_iter().map(|(owner, share)| Share { name: owner_name(tracker, owner), ..share });
        Self {
            at: totals.time,
            frame: tracker.probe().frame_number(),
            shortage,
            live_bytes: device.live_bytes(),
            pending_bytes: device.pending_bytes(),
            kinds: largest(kinds.filter(|share| share.bytes > 0), usize::MAX),
            owners: largest(owners, NAMED),
            labels: largest(labels.into_iter().map(|(name, share)| Share { name, ..share }), NAMED),
            resources,
            budgets: totals.soft_budgets.clone(),
            allocated_bytes: None,
            reserved_bytes: None,
            later: Later::default(),
        }
    }

    /// With what the graphics library's allocator has given out and taken.
    #[must_use]
    pub fn with_allocator(self, allocated_bytes: Option<u64>, reserved_bytes: Option<u64>) -> Self {
        Self { allocated_bytes, reserved_bytes, ..self }
    }

    /// What was asked for, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "out of GPU memory{} in frame {}, with {} live and {} pending: {}",
            asked_for(&self.shortage),
            self.frame,
            bytes(self.live_bytes),
            bytes(self.pending_bytes),
            super::text::plain(&self.shortage.error)
        )
    }
}

/// ` for a buffer "vertices" of 8.00 MiB`, as far as it is known.
fn asked_for(Shortage { kind, requested_bytes, label, .. }: &Shortage) -> String {
    let what = kind.map_or_else(String::new, |kind| format!(" for a {}", kind.name()));
    let size = requested_bytes.map_or_else(String::new, |size| format!(" of {}", bytes(size)));
    let label = label.as_deref().map_or_else(String::new, |label| format!(" {}", quoted(label)));
    format!("{what}{label}{size}")
}

/// What the visit keeps.
#[derive(Default)]
struct Held {
    labels: HashMap<String, Share>,
    owners: HashMap<Option<OwnerId>, Share>,
    resources: Vec<Large>,
}

impl Held {
    fn add(&mut self, resource: Large, owner: Option<OwnerId>) {
        let one = |share: &mut Share| {
            share.count += 1;
            share.bytes = share.bytes.saturating_add(resource.bytes);
        };
        one(self.owners.entry(owner).or_default());
        let label = resource.label.as_deref().unwrap_or_default();
        match self.labels.get_mut(label) {
            Some(share) => one(share),
            None => {
                let label = if self.labels.len() < LABELS { label } else { "other labels" };
                one(self.labels.entry(label.to_owned()).or_default());
            }
        }
        let smallest = self.resources.last().map_or(0, |last| last.bytes);
        if self.resources.len() < NAMED || resource.bytes > smallest {
            let place = self.resources.partition_point(|known| known.bytes >= resource.bytes);
            self.resources.insert(place, resource);
            self.resources.truncate(NAMED);
        }
    }
}

fn largest(shares: impl Iterator<Item = Share>, most: usize) -> Vec<Share> {
    let mut shares: Vec<_> = shares.collect();
    shares.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.name.cmp(&other.name)));
    shares.truncate(most);
    shares
}

fn owner_name(tracker: &Tracker, owner: Option<OwnerId>) -> String {
    let Some(owner) = owner else { return String::new() };
    match tracker.owner(owner) {
        Some(known) => match known.name {
            Some(name) => format!("{} {name}", known.kind.name()),
            None => format!("{} {}", known.kind.name(), known.key),
        },
        None => owner.kind().name().to_owned(),
    }
}

impl fmt::Display for OutOfMemory {
    /// A report for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary())?;
        if let Later { count: count @ 1.., requested_bytes, last: Some(last) } = &self.later {
            let times = counted(*count, "more time", "more times");
            let (asked, error) = (asked_for(last), super::text::plain(&last.error));
            writeln!(f, "within a second {times}, for {}; the last{asked}: {error}", bytes(*requested_bytes))?;
        }
        if let (Some(allocated), Some(reserved)) = (self.allocated_bytes, self.reserved_bytes) {
            writeln!(f, "allocator, when last read: {} given out of {}", bytes(allocated), bytes(reserved))?;
        }
        for status in &self.budgets {
            let BudgetStatus { budget, used_bytes, pressure, .. } = status;
            let (name, pressure) = (budget.scope.name(), pressure.name());
            writeln!(f, "budget {name}: {} of {}, pressure {pressure}", bytes(*used_bytes), bytes(budget.bytes))?;
        }
        for (what, shares) in [("kind", &self.kinds), ("owner", &self.owners), ("label", &self.labels)] {
            let mut table = Table::new([(what, Side::Left), ("count", Side::Right), ("bytes", Side::Right)]);
            for share in shares {
                let name = if share.name.is_empty() { "(none)".to_owned() } else { quoted(&share.name) };
                table.row([name, share.count.to_string(), bytes(share.bytes)]);
            }
            if !table.is_empty() {
                write!(f, "{table}")?;
            }
        }
        let waiting = self.resources.iter().filter(|resource| resource.pending).count() as u64;
        if waiting > 0 {
            writeln!(f, "of the largest {}:", counted(waiting, "one waits for its release", "wait for their release"))?;
        }
        let mut table = Table::new([("largest", Side::Left), ("kind", Side::Left), ("bytes", Side::Right)]);
        for Large { kind, label, bytes: size, pending } in &self.resources {
            let name = label.as_deref().map_or_else(|| "(none)".to_owned(), quoted);
            let name = if *pending { format!("{name} (pending)") } else { name };
            table.row([name, kind.name().to_owned(), bytes(*size)]);
        }
        if table.is_empty() { Ok(()) } else { write!(f, "{table}") }
    }
}

#[cfg(all(test, feature = "telemetry"))]
mod tests {
    use super::*;
    use crate::probe::{Context, New, OwnerKind, SoftBudget};

    #[test]
    fn it_names_what_held_the_most() {
        let tracker = Tracker::builder().soft_budget(SoftBudget::process(10_000)).build();
        let probe = tracker.probe();
        let level = probe.owner_named(OwnerKind::ROOT_VISUAL, 1, "level");
        let owned = Context::current().with_owner(level).enter();
        let mut tickets: Vec<_> = (0..20).map(|n| probe.create(New::buffer(100 + n).label("mesh"))).collect();
        drop(owned);
        tickets.push(probe.create(New::texture(5_000).label("atlas")));
        let pending = probe.create(New::texture(700));
        pending.handle_dropped();
        let shortage = Shortage::new("Out of Memory").creating(ResourceKind::BUFFER, 1 << 30).label(Some("huge"));
        let oom = OutOfMemory::take(&tracker, shortage);
        assert_eq!((oom.live_bytes, oom.pending_bytes, oom.frame), (5_000 + 2_190, 700, 1));
        let share = |shares: &[Share]| shares.iter().map(|s| (s.name.clone(), s.count, s.bytes)).collect::<Vec<_>>();
        assert_eq!(share(&oom.kinds), [("texture".into(), 2, 5_700), ("buffer".into(), 20, 2_190)]);
        assert_eq!(share(&oom.owners), [(String::new(), 2, 5_700), ("root_visual level".into(), 20, 2_190)]);
        assert_eq!(
            share(&oom.labels),
            [("atlas".into(), 1, 5_000), ("mesh".into(), 20, 2_190), (String::new(), 1, 700)]
        );
        let sizes: Vec<_> = oom.resources.iter().map(|resource| (resource.bytes, resource.pending)).collect();
        let largest = [5_000, 700, 119, 118, 117, 116, 115, 114].map(|size| (size, size == 700));
        assert_eq!(sizes, largest);
        assert_eq!(oom.budgets[0].used_bytes, 7_890);
        let text = oom.with_allocator(Some(1), Some(2)).to_string();
        for part in [
            "for a buffer \"huge\" of 1.00 GiB in frame 1",
            "budget gpu: 7.71 KiB of 9.77 KiB",
            "(pending)",
            "\"mesh\"",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
