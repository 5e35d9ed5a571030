//! The report for people: aligned columns under a heading for each window.

use std::fmt;

use super::lanes::{LaneFigures, Latencies};
use super::readiness::{Readiness, WorkingSet};
use super::report::{
    Contributor, DestroyReason, DestroyedResource, KindFigures, LifecycleTelemetry, OwnerName, RecreateLoop,
    StartupReport, WindowReport,
};
use super::stores_text;
use super::text::{Side, Table, bytes, counted, duration, plain, quoted};
use super::windows::StartupEnd;

/// Destroyed resources that a window's text lists; JSON has more.
const LISTED: usize = 40;

impl fmt::Display for LifecycleTelemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Lifecycle report, {} after the tracker's start", duration(self.age))?;
        write!(f, "\n{}", self.startup)?;
        for window in self.steady_state.iter().chain(&self.shutdown) {
            write!(f, "\n{window}")?;
        }
        if !self.passing_kinds.is_empty() {
            let kinds: Vec<_> = self.passing_kinds.iter().map(|kind| plain(kind)).collect();
            writeln!(f, "\n* Churn leaves out what every frame makes by its nature: {}.", kinds.join(", "))?;
        }
        write_lanes(f, &self.lanes)?;
        if let Some(set) = &self.working_set {
            write_working_set(f, set)?;
        }
        write!(f, "{}", self.readiness)?;
        write_table(f, stores_text::RINGS, &stores_text::rings(&self.staging_rings))?;
        write_table(f, stores_text::POOLS, &stores_text::pools(&self.memory_pools))?;
        write_table(f, stores_text::TARGETS, &stores_text::targets(&self.target_pools))
    }
}

impl fmt::Display for StartupReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_heading(f, &self.window)?;
        let Self { stable_packets, stable_ratio, .. } = self;
        let rule = format!("{stable_packets} presented packets in a row with a churn ratio of at most {stable_ratio}");
        match (self.ended, self.stabilization) {
            (None, _) => writeln!(f, "  stable          not yet: no {rule} so far")?,
            (Some(StartupEnd::Stable), stabilization) => {
                let time = stabilization.map_or_else(unknown, duration);
                let shown = |packets: Option<u64>| packets.map_or_else(unknown, |packets| packets.to_string());
                let (before, at) = (shown(self.presented_before_stable), shown(self.presented_at_stable));
                writeln!(f, "  stable          after {time}: {rule}")?;
                writeln!(f, "                  {before} packets presented before them, {at} with them")?;
            }
            (Some(StartupEnd::NotStable), _) => writeln!(f, "  stable          no: never {rule}; given up")?,
            (Some(StartupEnd::Shutdown), _) => writeln!(f, "  stable          no: the shutdown came before {rule}")?,
        }
        if let Some(bursts) = self.destroy_bursts {
            writeln!(f, "  destroy bursts  {bursts}")?;
        }
        write_body(f, &self.window)
    }
}

impl fmt::Display for WindowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_heading(f, self)?;
        write_body(f, self)
    }
}

fn write_heading(f: &mut fmt::Formatter<'_>, window: &WindowReport) -> fmt::Result {
    let WindowReport { window, open, from, until, .. } = window;
    let state = if *open { ", not ended yet" } else { "" };
    writeln!(f, "{}: {} to {}{state}", window.name(), duration(*from), duration(*until))
}

fn write_body(f: &mut fmt::Formatter<'_>, window: &WindowReport) -> fmt::Result {
    let packets = &window.packets;
    writeln!(
        f,
        "  packets         {} queued, {} submitted, {} presented, {} dropped, {} no-op, {} failed",
        packets.queued, packets.submitted, packets.presented, packets.dropped, packets.no_op, packets.failed
    )?;
    let (submissions, completed) = (packets.submissions, packets.submissions_completed);
    writeln!(f, "  submissions     {submissions} made, {completed} completed")?;
    writeln!(f, "  resources       {} created, {} destroyed", window.created, window.destroyed)?;
    let ratio = window.churn_ratio.map_or_else(|| "no packet presented".to_owned(), |ratio| format!("{ratio:.2}"));
    let churn = window.churn;
    writeln!(
        f,
        "  churn ratio     {ratio} (({} created + {} destroyed) / {} presented)",
        churn.created, churn.destroyed, packets.presented
    )?;
    if let (Some(created), Some(destroyed)) = (window.created_per_packet, window.destroyed_per_packet) {
        writeln!(f, "  per packet      {created:.2} created, {destroyed:.2} destroyed")?;
    }
    let mean = window.mean_lifetime.map_or_else(unknown, duration);
    writeln!(f, "  lifetime        {mean} mean of the destroyed, {} short-lived", window.short_lived)?;
    write_kinds(f, &window.kinds)?;
    write_contributors(f, window)?;
    write_loops(f, window)?;
    write_bursts(f, window)?;
    write_destroyed(f, window)
}

fn write_kinds(f: &mut fmt::Formatter<'_>, kinds: &[KindFigures]) -> fmt::Result {
    let mut table = Table::new([
        ("kind", Side::Left),
        ("created", Side::Right),
        ("destroyed", Side::Right),
        ("live", Side::Right),
        ("created bytes", Side::Right),
        ("mean lifetime", Side::Right),
        ("short-lived", Side::Right),
    ]);
    for kind in kinds {
        table.row([
            format!("{}{}", plain(kind.kind), if kind.passing { " *" } else { "" }),
            kind.created.to_string(),
            kind.destroyed.to_string(),
            kind.live.to_string(),
            bytes(kind.created_bytes),
            kind.mean_lifetime.map_or_else(none, duration),
            kind.short_lived.to_string(),
        ]);
    }
    write_table(f, "By kind", &table)
}

fn write_contributors(f: &mut fmt::Formatter<'_>, window: &WindowReport) -> fmt::Result {
    let mut kinds = Table::new([
        ("owner kind", Side::Left),
        ("created", Side::Right),
        ("destroyed", Side::Right),
        ("created bytes", Side::Right),
    ]);
    for kind in &window.owner_kinds {
        kinds.row([
            plain(kind.owner_kind),
            kind.created.to_string(),
            kind.destroyed.to_string(),
            bytes(kind.created_bytes),
        ]);
    }
    write_table(f, "By owner kind, what every frame makes (*) included", &kinds)?;
    let mut table = Table::new([
        ("owner", Side::Left),
        ("created", Side::Right),
        ("destroyed", Side::Right),
        ("created bytes", Side::Right),
        ("such as", Side::Left),
        ("made at", Side::Left),
    ]);
    for Contributor { owner, created, destroyed, created_bytes, kind, site } in &window.contributors {
        table.row([
            owner.to_string(),
            created.to_string(),
            destroyed.to_string(),
            bytes(*created_bytes),
            kind.map_or_else(none, plain),
            site.as_deref().map_or_else(none, plain),
        ]);
    }
    write_table(f, "Top churn contributors, by what they made again", &table)?;
    let others = window.other_contributors;
    if others.owners > 0 {
        let owners = counted(others.owners, "more owner", "more owners");
        writeln!(f, "  {owners}: {} created, {} destroyed", others.created, others.destroyed)?;
    }
    Ok(())
}

fn write_loops(f: &mut fmt::Formatter<'_>, window: &WindowReport) -> fmt::Result {
    let mut table = Table::new([
        ("owner", Side::Left),
        ("remade", Side::Right),
        ("queues, targets", Side::Right),
        ("such as", Side::Left),
        ("made at", Side::Left),
    ]);
    for RecreateLoop { owner, remade, replaced, kind, site } in &window.recreate_loops {
        table.row([
            owner.to_string(),
            remade.to_string(),
            replaced.to_string(),
            kind.map_or_else(none, plain),
            site.as_deref().map_or_else(none, plain),
        ]);
    }
    write_table(f, "Suspected recreate loops", &table)?;
    match window.recreate_loops_left_out {
        0 => Ok(()),
        more => writeln!(f, "  {}", counted(more, "more owner", "more owners")),
    }
}

fn write_bursts(f: &mut fmt::Formatter<'_>, window: &WindowReport) -> fmt::Result {
    let mut table = Table::new([("at", Side::Right), ("destroyed", Side::Right), ("created", Side::Right)]);
    for burst in &window.destroy_bursts {
        let at = format!("{:.1} s", burst.from.as_secs_f64());
        table.row([at, burst.destroyed.to_string(), burst.created.to_string()]);
    }
    write_table(f, "Top destroy bursts, by the tenth of a second", &table)
}

fn write_destroyed(f: &mut fmt::Formatter<'_>, window: &WindowReport) -> fmt::Result {
    let reasons: Vec<_> = window
        .reasons
        .iter()
        .map(|reason| format!("{} {} {}", reason.count, plain(reason.kind), reason.reason.name()))
        .collect();
    if reasons.is_empty() && window.destroyed_resources_left_out == 0 {
        return Ok(());
    }
    writeln!(f, "\n  Queues and targets destroyed: {}", reasons.join(", "))?;
    let mut table = Table::new([
        ("resource", Side::Left),
        ("label", Side::Left),
        ("owner", Side::Left),
        ("created in", Side::Left),
        ("destroyed in", Side::Left),
        ("lifetime", Side::Right),
        ("why", Side::Left),
    ]);
    for destroyed in window.destroyed_resources.iter().take(LISTED) {
        table.row([
            format!("{} #{}", plain(destroyed.kind), destroyed.id),
            destroyed.label.as_deref().map_or_else(none, quoted),
            destroyed.owner.as_ref().map_or_else(none, OwnerName::to_string),
            destroyed.created_in.as_ref().map_or_else(none, ToString::to_string),
            destroyed.destroyed_in.as_ref().map_or_else(none, ToString::to_string),
            duration(destroyed.lifetime),
            why(destroyed),
        ]);
    }
    write!(f, "{table}")?;
    let beyond = window.destroyed_resources.len().saturating_sub(LISTED) as u64;
    match beyond + window.destroyed_resources_left_out {
        0 => Ok(()),
        more => writeln!(f, "  {more} more; {beyond} of them in the JSON"),
    }
}

fn why(destroyed: &DestroyedResource) -> String {
    let how = if destroyed.explicit { ", destroyed explicitly" } else { "" };
    match (destroyed.reason, destroyed.replaced_by) {
        (DestroyReason::Replaced, Some(by)) => format!("replaced by #{by}{how}"),
        (DestroyReason::Explicit, _) => "destroyed explicitly".to_owned(),
        (DestroyReason::Released, _) => "last reference gone".to_owned(),
        (reason @ (DestroyReason::Replaced | DestroyReason::Shutdown), _) => format!("{}{how}", reason.name()),
    }
}

fn write_lanes(f: &mut fmt::Formatter<'_>, lanes: &[LaneFigures]) -> fmt::Result {
    let mut table = Table::new([
        ("lane", Side::Left),
        ("packets", Side::Right),
        ("presented", Side::Right),
        ("created", Side::Right),
        ("destroyed", Side::Right),
        ("queue to present (mean / p50 / p95 / max)", Side::Left),
        ("submit to complete", Side::Left),
    ]);
    let mean = |value: Option<f64>| value.map_or_else(none, |value| format!("{value:.2}"));
    for lane in lanes {
        table.row([
            plain(&lane.lane),
            lane.packets.to_string(),
            lane.presented_ratio.map_or_else(none, |ratio| format!("{:.0} %", ratio * 100.0)),
            mean(lane.created_per_packet),
            mean(lane.destroyed_per_packet),
            latencies(&lane.queue_to_present),
            latencies(&lane.submit_to_complete),
        ]);
    }
    write_table(f, "Lanes, over their newest packets; created and destroyed by packet", &table)
}

fn latencies(times: &Latencies) -> String {
    let Latencies { mean: Some(mean), p50: Some(p50), p95: Some(p95), max: Some(max), .. } = *times else {
        return none();
    };
    [mean, p50, p95, max].map(duration).join(" / ")
}

fn write_working_set(f: &mut fmt::Formatter<'_>, set: &WorkingSet) -> fmt::Result {
    let (touched, live) = (bytes(set.bytes), bytes(set.live_bytes));
    let packets = counted(set.packets, "packet", "packets");
    writeln!(
        f,
        "\n  Working set of the last {packets} of each lane: {touched} in {} of {live} in {}",
        counted(set.resources, "resource", "resources"),
        set.live_resources,
    )
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            ("kind", Side::Left),
            ("created", Side::Right),
            ("reused", Side::Right),
            ("recreated", Side::Right),
            ("resize requests", Side::Right),
            ("rebuilds", Side::Right),
        ]);
        for kind in &self.kinds {
            table.row([
                plain(kind.kind),
                kind.created.to_string(),
                kind.reused.to_string(),
                kind.recreated.to_string(),
                kind.resize_requests.to_string(),
                kind.resize_rebuilds.to_string(),
            ]);
        }
        write_table(f, "Optimisation-readiness, since the start", &table)?;
        let Self { resize_requests, resize_rebuilds, .. } = self;
        let reuse = self.queue_reuse_ratio.map_or_else(unknown, |ratio| format!("{:.0} %", ratio * 100.0));
        writeln!(f, "\n  resizing        {resize_requests} requests, {resize_rebuilds} rebuilds")?;
        writeln!(f, "  queue reuse     {reuse}")?;
        writeln!(f, "  pools           would have saved {}", bytes(self.pool_candidate_bytes))?;
        let mut table = Table::new([
            ("kind", Side::Left),
            ("size", Side::Right),
            ("bytes", Side::Right),
            ("made alike", Side::Right),
            ("saved", Side::Right),
        ]);
        for pool in &self.pool_candidates {
            table.row([
                plain(pool.kind),
                pool.size.map_or_else(none, |(width, height)| format!("{width}x{height}")),
                bytes(pool.bytes),
                pool.made.to_string(),
                bytes(pool.saved_bytes),
            ]);
        }
        write_table(f, "Pool candidates", &table)?;
        match self.pool_candidates_left_out {
            0 => Ok(()),
            more => writeln!(f, "  {}", counted(more, "more sort", "more sorts")),
        }
    }
}

/// A table under a title; nothing if it has no rows.
fn write_table<const N: usize>(f: &mut fmt::Formatter<'_>, title: &str, table: &Table<N>) -> fmt::Result {
    if table.is_empty() { Ok(()) } else { write!(f, "\n  {title}\n{table}") }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn none() -> String {
    "-".to_owned()
}
