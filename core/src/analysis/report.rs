//! What a lifecycle report says: plain data with names in place of ids, for people ([`Display`](std::fmt::Display)) and as JSON.
//!
//! Times are since the tracker's start. In JSON a time is a number of seconds, and its name ends in `_seconds`.

use std::fmt;
use std::time::Duration;

use super::churn::Churn;
use super::lanes::LaneFigures;
use super::readiness::{Readiness, WorkingSet};
use super::windows::{StartupEnd, Window};
use crate::contract::{MemoryPoolReport, StagingRingReport, TargetPoolReport};
use crate::tracker::PacketTotals;

/// The life of a program's resources so far, window by window.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LifecycleTelemetry {
    /// When the tracker started, in milliseconds since the Unix epoch.
    pub started_unix_millis: u64,
    /// Time from the tracker's start to this report.
    #[cfg_attr(feature = "telemetry", serde(rename = "age_seconds", with = "seconds"))]
    pub age: Duration,
    /// Names of the kinds that every frame makes by its nature, which no churn figure counts.
    pub passing_kinds: Vec<&'static str>,
    /// The startup.
    pub startup: StartupReport,
    /// The steady state; `None` until the startup has ended, and if the shutdown came first.
    pub steady_state: Option<WindowReport>,
    /// The shutdown; `None` until it has begun.
    pub shutdown: Option<WindowReport>,
    /// The newest packets of each lane.
    pub lanes: Vec<LaneFigures>,
    /// What the newest packets touched; `None` if no touch was ever reported.
    pub working_set: Option<WorkingSet>,
    /// What pools and caches could save.
    pub readiness: Readiness,
    /// The staging rings that are listed at the time of the report.
    pub staging_rings: Vec<StagingRingReport>,
    /// The memory pools.
    pub memory_pools: Vec<MemoryPoolReport>,
    /// The pools of render targets.
    pub target_pools: Vec<TargetPoolReport>,
}

/// The startup: from the tracker's start to the end of the first stable window of presented packets.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StartupReport {
    /// How it ended; `None` while it goes on.
    pub ended: Option<StartupEnd>,
    /// Presented packets in a row that a stable window has.
    pub stable_packets: u32,
    /// The churn ratio up to which it is stable.
    pub stable_ratio: f64,
    /// Time from the tracker's start to the end of the first stable window; `None` if there was none.
    #[cfg_attr(feature = "telemetry", serde(rename = "stabilization_seconds", with = "some_seconds"))]
    pub stabilization: Option<Duration>,
    /// Packets that had been presented when the first stable window began.
    pub presented_before_stable: Option<u64>,
    /// Packets that had been presented when it ended.
    pub presented_at_stable: Option<u64>,
    /// Tenths of a second in which at least as many resources were destroyed as the rules call a burst; `None` while it goes on.
    pub destroy_bursts: Option<u64>,
    /// What came to pass in it.
    pub window: WindowReport,
}

/// What came to pass in a window: differences of exact counters between its two ends.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WindowReport {
    /// Which window.
    pub window: Window,
    /// It goes on: the figures are those so far.
    pub open: bool,
    /// Its begin.
    #[cfg_attr(feature = "telemetry", serde(rename = "from_seconds", with = "seconds"))]
    pub from: Duration,
    /// Its end, or the time of the report.
    #[cfg_attr(feature = "telemetry", serde(rename = "until_seconds", with = "seconds"))]
    pub until: Duration,
    /// Packets.
    pub packets: PacketFigures,
    /// Unique resources created, of every kind.
    pub created: u64,
    /// Unique resources destroyed (released), of every kind.
    pub destroyed: u64,
    /// Without the [passing kinds](LifecycleTelemetry::passing_kinds).
    pub churn: Churn,
    /// Its [`churn`](Self::churn), created and destroyed together, by presented packet; `None` when none was presented.
    pub churn_ratio: Option<f64>,
    /// Resources of its churn created for each packet queued.
    pub created_per_packet: Option<f64>,
    /// Resources of its churn destroyed for each packet queued.
    pub destroyed_per_packet: Option<f64>,
    /// Resources destroyed after a short life, passing kinds left out.
    pub short_lived: u64,
    /// Mean life of the resources destroyed, passing kinds left out; `None` when none was.
    #[cfg_attr(feature = "telemetry", serde(rename = "mean_lifetime_seconds", with = "some_seconds"))]
    pub mean_lifetime: Option<Duration>,
    /// How long the resources destroyed lived.
    pub lifetimes: Vec<LifetimeBucket>,
    /// Each kind of which one was created or destroyed: queues and targets first, then the busiest.
    pub kinds: Vec<KindFigures>,
    /// Each owner kind that created or destroyed, the busiest first.
    pub owner_kinds: Vec<OwnerKindFigures>,
    /// The sources of churn: owners by how much they created and destroyed again (the smaller of both counts), then by both together.
    pub contributors: Vec<Contributor>,
    /// The rest of them.
    pub other_contributors: Others,
    /// Owners that destroyed and made again, most of all first.
    pub recreate_loops: Vec<RecreateLoop>,
    /// More owners that did.
    pub recreate_loops_left_out: u64,
    /// The tenths of a second with most resources destroyed, most of all first; of the newest 1,024 of the run in which anything was
    /// created or destroyed ([`Tracker::bursts`](crate::tracker::Tracker::bursts)), so that a long window knows its last minutes.
    pub destroy_bursts: Vec<DestroyBurst>,
    /// How many queues and targets were destroyed, by kind and reason.
    pub reasons: Vec<ReasonFigures>,
    /// Each queue and target destroyed, in order.
    pub destroyed_resources: Vec<DestroyedResource>,
    /// More of them.
    pub destroyed_resources_left_out: u64,
}

/// Packets of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PacketFigures {
    /// Queued (begun).
    pub queued: u64,
    /// Packets with work submitted in their context.
    pub submitted: u64,
    /// Presented.
    pub presented: u64,
    /// Dropped.
    pub dropped: u64,
    /// With nothing to draw.
    pub no_op: u64,
    /// Failed.
    pub failed: u64,
    /// Submissions to a queue, in a packet's context or not.
    pub submissions: u64,
    /// Submissions completed.
    pub submissions_completed: u64,
}

impl PacketFigures {
    pub(super) fn between(begin: &super::Observation, end: &super::Observation) -> Self {
        let count = |of: fn(&PacketTotals) -> u64| of(&end.packets).saturating_sub(of(&begin.packets));
        Self {
            queued: count(|packets| packets.queued),
            submitted: count(|packets| packets.submitted),
            presented: count(|packets| packets.presented),
            dropped: count(|packets| packets.dropped),
            no_op: count(|packets| packets.no_op),
            failed: count(|packets| packets.failed),
            submissions: end.submissions.submitted.saturating_sub(begin.submissions.submitted),
            submissions_completed: end.submissions.completed.saturating_sub(begin.submissions.completed),
        }
    }
}

/// Lives of about one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LifetimeBucket {
    /// Upper bound (inclusive); `None` for those beyond the last.
    #[cfg_attr(feature = "telemetry", serde(rename = "up_to_seconds", with = "some_seconds"))]
    pub up_to: Option<Duration>,
    /// Lives up to it and beyond the bound before.
    pub count: u64,
}

/// One kind of resource in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct KindFigures {
    /// Name of the kind.
    pub kind: &'static str,
    /// Every frame makes it by its nature: no churn figure counts it.
    pub passing: bool,
    /// Created.
    pub created: u64,
    /// Destroyed.
    pub destroyed: u64,
    /// Live at the window's end.
    pub live: u64,
    /// Bytes created.
    pub created_bytes: u64,
    /// Mean life of those destroyed.
    #[cfg_attr(feature = "telemetry", serde(rename = "mean_lifetime_seconds", with = "some_seconds"))]
    pub mean_lifetime: Option<Duration>,
    /// Destroyed after a short life.
    pub short_lived: u64,
}

/// One kind of owner in a window; passing kinds included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OwnerKindFigures {
    /// Name of the owner kind.
    pub owner_kind: &'static str,
    /// Created.
    pub created: u64,
    /// Destroyed.
    pub destroyed: u64,
    /// Bytes created.
    pub created_bytes: u64,
}

/// An owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OwnerName {
    /// Name of its kind.
    pub kind: &'static str,
    /// The program's number for it; `None` for those beyond the tracker's limit.
    pub key: Option<u64>,
    /// Its name for people.
    pub name: Option<String>,
}

/// An owner by what it creates and destroys in a window, passing kinds left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Contributor {
    /// The owner.
    pub owner: OwnerName,
    /// Created.
    pub created: u64,
    /// Destroyed.
    pub destroyed: u64,
    /// Bytes created.
    pub created_bytes: u64,
    /// Kind of the resource that it destroyed last, or made last if it destroyed none.
    pub kind: Option<&'static str>,
    /// The line of source that made that one.
    pub site: Option<String>,
}

/// Owners that are not listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Others {
    /// How many.
    pub owners: u64,
    /// What they created.
    pub created: u64,
    /// What they destroyed.
    pub destroyed: u64,
}

/// An owner that destroyed and made again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RecreateLoop {
    /// The owner.
    pub owner: OwnerName,
    /// Resources that it made again after it had destroyed others, one for one, by the thread that had destroyed them; at least the
    /// replaced queues and targets.
    pub remade: u64,
    /// Of these, queues and targets that were seen to be replaced by one of their kind.
    pub replaced: u64,
    /// Kind of the resource that it destroyed last.
    pub kind: Option<&'static str>,
    /// The line of source that made that one.
    pub site: Option<String>,
}

/// A tenth of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DestroyBurst {
    /// Its begin.
    #[cfg_attr(feature = "telemetry", serde(rename = "from_seconds", with = "seconds"))]
    pub from: Duration,
    /// Destroyed in it.
    pub destroyed: u64,
    /// Created in it.
    pub created: u64,
}

/// Why a queue or target was destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DestroyReason {
    /// Its owner made another of its kind in its place, within the same packet or the next.
    Replaced,
    /// The program was shutting down.
    Shutdown,
    /// The program destroyed it, and made no other.
    Explicit,
    /// Its last reference went, and no other was made.
    Released,
}

/// How many were destroyed for a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ReasonFigures {
    /// Name of the kind.
    pub kind: &'static str,
    /// Why.
    pub reason: DestroyReason,
    /// How many, as far as each was written down.
    pub count: u64,
}

/// A packet by its lane and its number there, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PacketRef {
    /// Name of the lane.
    pub lane: String,
    /// Number of the packet.
    pub number: u64,
}

/// A queue or target that was destroyed. What is unknown is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DestroyedResource {
    /// Its id.
    pub id: u64,
    /// Name of its kind.
    pub kind: &'static str,
    /// Its label.
    pub label: Option<String>,
    /// Its owner.
    pub owner: Option<OwnerName>,
    /// The line of source that made it.
    pub site: Option<String>,
    /// Its bytes.
    pub bytes: u64,
    /// The packet in which it was created.
    pub created_in: Option<PacketRef>,
    /// The packet in which it was destroyed; `None` when none was under way.
    pub destroyed_in: Option<PacketRef>,
    /// When it was destroyed.
    #[cfg_attr(feature = "telemetry", serde(rename = "destroyed_at_seconds", with = "seconds"))]
    pub destroyed_at: Duration,
    /// How long it lived.
    #[cfg_attr(feature = "telemetry", serde(rename = "lifetime_seconds", with = "seconds"))]
    pub lifetime: Duration,
    /// The window in which it was destroyed.
    pub window: Window,
    /// Why.
    pub reason: DestroyReason,
    /// The id of the resource in its place, if it was replaced.
    pub replaced_by: Option<u64>,
    /// The program destroyed it; else its last reference went.
    pub explicit: bool,
}

impl DestroyReason {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Shutdown => "shutdown",
            Self::Explicit => "explicit",
            Self::Released => "released",
        }
    }
}

impl LifecycleTelemetry {
    /// The windows that have begun, in their order.
    pub fn windows(&self) -> impl Iterator<Item = &WindowReport> {
        std::iter::once(&self.startup.window).chain(&self.steady_state).chain(&self.shutdown)
    }

    /// One JSON object. Without the feature `telemetry`, when there are no reports, `null`.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[cfg(feature = "telemetry")]
        return serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned());
        #[cfg(not(feature = "telemetry"))]
        "null".to_owned()
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", super::text::plain(self.kind))?;
        match self.key {
            Some(key) => write!(f, " {key}")?,
            None => write!(f, " (beyond the limit)")?,
        }
        match &self.name {
            Some(name) => write!(f, " {}", super::text::quoted(name)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PacketRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", super::text::plain(&self.lane), self.number)
    }
}

/// A [`Duration`] as a number of seconds.
#[cfg(feature = "telemetry")]
pub(super) mod seconds {
    use std::time::Duration;

    pub(crate) fn serialize<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }
}

/// An optional [`Duration`] as a number of seconds.
#[cfg(feature = "telemetry")]
pub(super) mod some_seconds {
    use serde::Serialize;
    use std::time::Duration;

    pub(crate) fn serialize<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs_f64()).serialize(serializer)
    }
}
