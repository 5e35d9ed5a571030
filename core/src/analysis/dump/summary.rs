//! A dump as text for people: what there is, by kind, by owner and by size; the last packets; the course of the run.

use super::model::{Dump, DumpOwner, Packet, PacketName, Resource, Sum, Timeline, Touch};
use crate::analysis::stores_text;
use crate::analysis::text::{Side, Table, bytes, counted, duration, plain, quoted};
use crate::probe::Timestamp;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::hash::Hash;

/// Lines of a list that are written where nothing else is asked for.
const MOST: usize = 20;
/// Slices of the timeline that are written, from the start.
const MOST_SLICES: usize = 60;
/// Touches of a packet that are written.
const MOST_TOUCHES: usize = 12;
/// Length of the longest bar of the timeline.
const BAR: u64 = 40;

/// All of it, the longest lists cut short.
impl Display for Dump {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}", self.summary(), self.graph().most(MOST), self.packets_text())?;
        write!(f, "\n{}", self.course())?;
        hitches(f, self, MOST)
    }
}

impl Dump {
    /// What there is: by kind, by owner and by size, each list up to 20 lines unless told otherwise.
    pub fn summary(&self) -> Summary<'_> {
        Summary { dump: self, most: MOST }
    }

    /// The last packets with what they touched.
    pub fn packets_text(&self) -> Packets<'_> {
        Packets { dump: self, most: usize::MAX }
    }

    /// Creations and releases since the start, and the lives that have ended.
    pub fn course(&self) -> Course<'_> {
        Course { timeline: &self.timeline, began: self.began() }
    }

    /// The moment from which times are told.
    fn began(&self) -> Timestamp {
        let first_slice = self.timeline.slices.iter().map(|slice| slice.from).min();
        let first_packet = self.packets.iter().map(|packet| packet.queued).min();
        let began = self.tracked_since.into_iter().chain(first_slice).chain(first_packet).min();
        began.unwrap_or(self.taken)
    }
}

/// A [`Dump`]'s resources as tables.
#[derive(Clone, Copy, Debug)]
#[must_use = "it is written by Display"]
pub struct Summary<'a> {
    dump: &'a Dump,
    most: usize,
}

impl Summary<'_> {
    /// With that many lines for each list.
    pub fn most(self, lines: usize) -> Self {
        Self { most: lines, ..self }
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { dump, most } = *self;
        heading(f, dump)?;
        by_kind(f, dump)?;
        by_owner(f, dump, most)?;
        biggest(f, dump, most)?;
        stores(f, dump)
    }
}

/// What has memory of its own, what of it is pending, and what lies within blocks.
#[derive(Default)]
struct Held {
    own: Sum,
    pending: Sum,
    within: Sum,
}

impl Held {
    fn of<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Self {
        let mut held = Self::default();
        for resource in resources {
            held.add(resource);
        }
        held
    }

    fn add(&mut self, resource: &Resource) {
        let bytes = resource.held_bytes();
        if resource.within.is_some() {
            self.within.add(bytes);
        } else {
            self.own.add(bytes);
        }
        if !resource.is_live() {
            self.pending.add(bytes);
        }
    }

    fn size(&self) -> (u64, u64, u64) {
        (self.own.bytes, self.within.bytes, self.own.count + self.within.count)
    }
}

fn heading(f: &mut Formatter<'_>, dump: &Dump) -> fmt::Result {
    let age = dump.tracked_since.and_then(|since| dump.taken.since(since));
    let age = age.map_or_else(String::new, |age| format!(", {} after tracking began", duration(age)));
    writeln!(f, "snapshot of process {}, level {}{age}", plain(&dump.run), plain(&dump.level))?;
    let Held { own, pending, within } = Held::of(&dump.resources);
    write!(f, "{}, {}", counted(own.count, "resource", "resources"), bytes(own.bytes))?;
    if within.count > 0 {
        let count = counted(within.count, "suballocation", "suballocations");
        write!(f, "; {count} within them, {}", bytes(within.bytes))?;
    }
    writeln!(f, "; pending of all {}, {}", pending.count, bytes(pending.bytes))?;
    let totals = &dump.totals;
    if totals.peak_live_bytes > 0 {
        writeln!(f, "peak {}, telemetry {}", bytes(totals.peak_live_bytes), bytes(totals.telemetry_bytes))?;
    }
    for (count, what) in [
        (dump.left_out.count, "smaller resources were left out"),
        (dump.contended, "slots were being written at every look and are missing"),
        (totals.untracked_resources, "resources were not tracked for want of room"),
        (totals.names_not_kept, "names were not kept for want of room"),
    ] {
        if count > 0 {
            writeln!(f, "note: {count} {what}")?;
        }
    }
    Ok(())
}

/// The newest hitches, the newest at the end.
fn hitches(f: &mut Formatter<'_>, dump: &Dump, most: usize) -> fmt::Result {
    if dump.hitches.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nframes that took too long")?;
    for hitch in dump.hitches.iter().skip(dump.hitches.len().saturating_sub(most)) {
        writeln!(f, "  {}", plain(&hitch.text))?;
    }
    Ok(())
}

fn by_kind(f: &mut Formatter<'_>, dump: &Dump) -> fmt::Result {
    let mut kinds: HashMap<(&str, bool), Sum> = HashMap::new();
    for resource in &dump.resources {
        kinds.entry((&*resource.kind, resource.within.is_some())).or_default().add(resource.held_bytes());
    }
    let counts: HashMap<_, _> =
        dump.totals.kinds.iter().map(|line| ((&*line.kind, line.suballocations), line)).collect();
    // Kinds that are gone were counted all the same.
    for key in counts.keys() {
        kinds.entry(*key).or_default();
    }
    let mut table = Table::new([
        ("kind", Side::Left),
        ("there", Side::Right),
        ("bytes", Side::Right),
        ("created", Side::Right),
        ("released", Side::Right),
        ("destroyed", Side::Right),
        ("rebuilt", Side::Right),
    ]);
    for ((kind, within), sum) in sorted(kinds, |(key, sum)| (Reverse((sum.bytes, sum.count)), *key)) {
        let counted = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let line = counts.get(&(kind, within));
        table.row([
            format!("{}{}", plain(kind), if within { " (within blocks)" } else { "" }),
            sum.count.to_string(),
            bytes(sum.bytes),
            counted(line.map(|line| line.created)),
            counted(line.map(|line| line.released)),
            counted(line.map(|line| line.destroyed)),
            counted(line.map(|line| line.rebuilds)),
        ]);
    }
    section(f, "by kind", &table, 0)
}

/// Rings and pools: they are few.
fn stores(f: &mut Formatter<'_>, dump: &Dump) -> fmt::Result {
    section(f, &stores_text::RINGS.to_lowercase(), &stores_text::rings(&dump.staging_rings), 0)?;
    section(f, &stores_text::POOLS.to_lowercase(), &stores_text::pools(&dump.memory_pools), 0)?;
    section(f, &stores_text::TARGETS.to_lowercase(), &stores_text::targets(&dump.target_pools), 0)
}

fn by_owner(f: &mut Formatter<'_>, dump: &Dump, most: usize) -> fmt::Result {
    let mut owners: HashMap<Option<&DumpOwner>, Held> = HashMap::new();
    for resource in &dump.resources {
        owners.entry(resource.owner.as_deref()).or_default().add(resource);
    }
    let mut table = Table::new([
        ("owner", Side::Left),
        ("there", Side::Right),
        ("bytes", Side::Right),
        ("within blocks", Side::Right),
        ("pending", Side::Right),
    ]);
    let owners = sorted(owners, |(owner, held)| (Reverse(held.size()), *owner));
    let left = owners.len().saturating_sub(most);
    for (owner, held) in owners.into_iter().take(most) {
        table.row([
            owner_text(owner),
            (held.own.count + held.within.count).to_string(),
            bytes(held.own.bytes),
            bytes(held.within.bytes),
            held.pending.count.to_string(),
        ]);
    }
    section(f, "by owner", &table, left)
}

fn biggest(f: &mut Formatter<'_>, dump: &Dump, most: usize) -> fmt::Result {
    let mut resources: Vec<&Resource> = dump.resources.iter().collect();
    resources.sort_unstable_by_key(|resource| (Reverse(resource.held_bytes()), resource.id));
    let mut table = Table::new([
        ("bytes", Side::Right),
        ("kind", Side::Left),
        ("id", Side::Right),
        ("label", Side::Left),
        ("owner", Side::Left),
        ("state", Side::Left),
        ("site", Side::Left),
    ]);
    let left = resources.len().saturating_sub(most);
    for resource in resources.into_iter().take(most) {
        table.row([
            bytes(resource.held_bytes()),
            plain(&resource.kind),
            resource.id.to_string(),
            resource.label.as_deref().map_or_else(|| "-".to_owned(), quoted),
            owner_text(resource.owner.as_deref()),
            state_text(resource).to_owned(),
            resource.site.as_deref().map_or_else(|| "-".to_owned(), plain),
        ]);
    }
    section(f, "biggest", &table, left)
}

/// A [`Dump`]'s packets as a table.
#[derive(Clone, Copy, Debug)]
#[must_use = "it is written by Display"]
pub struct Packets<'a> {
    dump: &'a Dump,
    most: usize,
}

impl Packets<'_> {
    /// With that many packets, the newest.
    pub fn most(self, packets: usize) -> Self {
        Self { most: packets, ..self }
    }
}

impl Display for Packets<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { dump, most } = *self;
        let (packets, began) = (&dump.packets, dump.began());
        let newest = packets.get(packets.len().saturating_sub(most)..).unwrap_or(packets);
        let mut table = Table::new([
            ("packet", Side::Left),
            ("command", Side::Right),
            ("queued at", Side::Right),
            ("submitted", Side::Right),
            ("completed", Side::Right),
            ("ended", Side::Right),
            ("result", Side::Left),
            ("submissions", Side::Right),
            ("created", Side::Right),
            ("released", Side::Right),
        ]);
        for packet in newest {
            let after = |moment: Option<Timestamp>| moment.map_or_else(|| "-".to_owned(), |at| time(at, packet.queued));
            table.row([
                format!("{} {}", plain(&packet.lane), packet.number),
                packet.command.map_or_else(|| "-".to_owned(), |command| command.to_string()),
                time(packet.queued, began),
                after(packet.submitted),
                after(packet.completed),
                after(packet.ended),
                packet.result.as_deref().map_or_else(|| "open".to_owned(), plain),
                packet.submissions.to_string(),
                packet.created.to_string(),
                packet.released.to_string(),
            ]);
        }
        section(f, "last packets, the newest last (times after they were queued)", &table, 0)?;
        touches(f, dump, newest)
    }
}

fn touches(f: &mut Formatter<'_>, dump: &Dump, packets: &[Packet]) -> fmt::Result {
    if packets.iter().all(|packet| packet.touches.is_none()) {
        return if packets.is_empty() {
            Ok(())
        } else {
            writeln!(f, "\nno touches were recorded: that takes the level `events` and touch lists")
        };
    }
    let resources: HashMap<u64, &Resource> = dump.resources.iter().map(|resource| (resource.id, resource)).collect();
    let name = |touch: &Touch| match resources.get(&touch.resource) {
        Some(resource) => name_text(resource),
        None => format!("{} {}", plain(&touch.kind), touch.resource),
    };
    writeln!(f, "\ntouched")?;
    for packet in packets {
        let touches = packet.touches.as_deref().unwrap_or_default();
        let mut names: Vec<_> = touches.iter().take(MOST_TOUCHES).map(name).collect();
        let more = (touches.len().saturating_sub(MOST_TOUCHES) as u64).saturating_add(packet.touches_left_out);
        if more > 0 {
            names.push(format!("{more} more"));
        }
        if !names.is_empty() {
            writeln!(f, "  {} {}: {}", plain(&packet.lane), packet.number, names.join(", "))?;
        }
    }
    Ok(())
}

/// A [`Dump`]'s [`Timeline`] as tables.
#[derive(Clone, Copy, Debug)]
#[must_use = "it is written by Display"]
pub struct Course<'a> {
    timeline: &'a Timeline,
    began: Timestamp,
}

impl Display for Course<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { timeline, began } = *self;
        let mut table =
            Table::new([("at", Side::Right), ("created", Side::Right), ("released", Side::Right), ("", Side::Left)]);
        let slices = timeline.slices.get(..MOST_SLICES).unwrap_or(&timeline.slices);
        let highest = slices.iter().map(|slice| slice.created.max(slice.released)).max().unwrap_or(0).max(1);
        let bar = |count: u64, sign: &str| {
            sign.repeat(u64::try_from(u128::from(count) * u128::from(BAR) / u128::from(highest)).unwrap_or(BAR) as usize)
        };
        for slice in slices {
            table.row([
                time(slice.from, began),
                slice.created.to_string(),
                slice.released.to_string(),
                format!("{} {}", bar(slice.created, "+"), bar(slice.released, "-")).trim().to_owned(),
            ]);
        }
        let title = "created and released since the start, without passing kinds (views, command buffers and the like)";
        section(f, title, &table, timeline.slices.len().saturating_sub(MOST_SLICES))?;
        let mut table = Table::new([
            ("kind", Side::Left),
            ("id", Side::Right),
            ("label", Side::Left),
            ("owner", Side::Left),
            ("created", Side::Right),
            ("in packet", Side::Left),
            ("lived", Side::Right),
            ("released in", Side::Left),
            ("", Side::Left),
            ("site", Side::Left),
        ]);
        let lives = timeline.lives.get(timeline.lives.len().saturating_sub(MOST)..).unwrap_or(&timeline.lives);
        for life in lives {
            table.row([
                plain(&life.kind),
                life.id.to_string(),
                life.label.as_deref().map_or_else(|| "-".to_owned(), quoted),
                owner_text(life.owner.as_deref()),
                time(life.created, began),
                packet_text(life.created_in.as_ref()),
                time(life.released, life.created),
                packet_text(life.released_in.as_ref()),
                if life.explicit { "destroyed" } else { "" }.to_owned(),
                life.site.as_deref().map_or_else(|| "-".to_owned(), plain),
            ]);
        }
        let before = timeline.lives_missed.saturating_add(timeline.lives.len().saturating_sub(MOST) as u64);
        let earlier = if before > 0 { format!("; {before} earlier ones are not shown") } else { String::new() };
        section(f, &format!("lives that have ended, the newest last{earlier}"), &table, 0)
    }
}

/// A title with a table, unless that is empty, and how many lines it lacks.
fn section<const N: usize>(f: &mut Formatter<'_>, title: &str, table: &Table<N>, left: usize) -> fmt::Result {
    if table.is_empty() {
        return Ok(());
    }
    write!(f, "\n{title}\n{table}")?;
    if left > 0 { writeln!(f, "  and {left} more") } else { Ok(()) }
}

/// The entries in order.
fn sorted<K: Hash + Eq, V, O: Ord>(map: HashMap<K, V>, by: impl Fn(&(K, V)) -> O) -> Vec<(K, V)> {
    let mut entries: Vec<_> = map.into_iter().collect();
    entries.sort_by_key(|entry| by(entry));
    entries
}

/// `root_visual 1 "ui"`.
pub(crate) fn owner_text(owner: Option<&DumpOwner>) -> String {
    let Some(DumpOwner { kind, key, name }) = owner else { return "unowned".to_owned() };
    let key = key.map_or_else(String::new, |key| format!(" {key}"));
    let name = name.as_deref().map_or_else(String::new, |name| format!(" {}", quoted(name)));
    format!("{}{key}{name}", plain(kind))
}

/// `texture 65 "grass"`.
pub(crate) fn name_text(resource: &Resource) -> String {
    let label = resource.label.as_deref().map_or_else(String::new, |label| format!(" {}", quoted(label)));
    format!("{} {}{label}", plain(&resource.kind), resource.id)
}

/// What holds a resource.
pub(crate) fn state_text(resource: &Resource) -> &'static str {
    match (resource.freed, resource.destroyed, resource.handle_dropped) {
        (true, _, _) => "freed",
        (false, true, _) => "destroyed",
        (false, false, true) => "handle dropped",
        (false, false, false) => "live",
    }
}

fn packet_text(packet: Option<&PacketName>) -> String {
    packet.map_or_else(|| "-".to_owned(), |packet| format!("{} {}", plain(&packet.lane), packet.number))
}

/// The time from `from` to `at`; `-` if it is the earlier.
fn time(at: Timestamp, from: Timestamp) -> String {
    at.since(from).map_or_else(|| "-".to_owned(), duration)
}
