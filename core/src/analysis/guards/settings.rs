//! The thresholds.

use std::borrow::Cow;
use std::time::Duration;

use crate::probe::ResourceKind;

/// When each guard warns. Every field has a default ([`GuardSettings::default`]) that raises nothing on a sound program; change those that
/// do not fit yours.
///
/// ```
/// use engine_vitals_core::analysis::guards::GuardSettings;
///
/// let mut settings = GuardSettings::default();
/// settings.growth_windows = 60;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GuardSettings {
    /// Whether there are guards at all; `true` by default.
    pub on: bool,
    /// How long one window is, and so how often the guards look: 1 s by default, at least 1 ms. A guard warns of a subject at most once per
    /// window. Counts below are per window; a window that came out longer, since nobody looked, takes so many times more.
    pub window: Duration,
    /// `recreate_loop`: resources that one owner has made and released again after less than a window, at least: 16 per window by default.
    pub recreate_count: u64,
    /// `recreate_loop`: and more than so many of them per presented packet: 0.5 by default.
    pub recreate_per_packet: f64,
    /// `recreate_loop`, `destroy_storm`: windows in a row in which it goes on, at least: 3 by default, so that no load is a loop. Of
    /// [costly kinds](Self::costly_kinds) one is enough.
    pub lasting_windows: u32,
    /// `destroy_storm`: resources released after less than a window, at least: 64 per window by default.
    pub storm_count: u64,
    /// `destroy_storm`: and more than so many of them per presented packet: 8 by default.
    pub storm_per_packet: f64,
    /// `recreate_loop`, `destroy_storm`: kinds that are costly to make, of which fewer are a storm, and one window is enough for a loop. Their
    /// lives are written down one by one ([`followed_kinds`](crate::tracker::TrackerBuilder::followed_kinds)). Queues, devices, surfaces and native targets by default.
    pub costly_kinds: Cow<'static, [ResourceKind]>,
    /// `destroy_storm`: resources of one costly kind released after less than a window, at least: 16 per window by default.
    pub costly_storm_count: u64,
    /// `destroy_storm`: and more than so many of them per presented packet: 1 by default. Also where no packet was presented.
    pub costly_storm_per_packet: f64,
    /// `growth`: windows that ended with more than the one before, with no fall between them and at least every other of which did: 30 by
    /// default, which is longer than most levels load. Windows in which nothing was presented are left out, once anything was.
    pub growth_windows: u32,
    /// `growth`: resources gained over these windows, without the largest jump, at least: 64 by default. A window counts as grown by a
    /// quarter of its share in this.
    pub growth_resources: u64,
    /// `growth`: or bytes gained over them, in the same way: 16 MiB by default.
    pub growth_bytes: u64,
    /// `growth`: how long after the first look growth is the start's own: 10 s by default.
    pub startup: Duration,
    /// `unsubmitted_writes`: how long staged bytes may wait for a submission: 2 s by default.
    pub unsubmitted_for: Duration,
    /// `unsubmitted_writes`: bytes that must wait unless they have become more meanwhile: 64 KiB by default. A few bytes that were written
    /// after the last frame and wait for the next do no harm.
    pub unsubmitted_bytes: u64,
    /// `never_polled`: for how long work may be submitted without any being found completed: 5 s by default.
    pub unpolled_for: Duration,
    /// `never_polled`: how long a submission may be in flight when none has ever been found completed, though no more is submitted: 30 s by
    /// default. A program that waits for a result without polling waits for ever.
    pub first_completion_within: Duration,
    /// Owners that are compared: 65,536 by default, some 240 bytes each. Those beyond are counted by `Guards::unguarded`.
    pub owners: usize,
    /// Warnings raised in one window by one guard, each of another subject, the gravest first: 16 by default. Further ones are counted by
    /// `Guards::suppressed`.
    pub most_per_window: usize,
    /// Warnings told in all, as `Guards::step` returns them for the log: 1,000 by default. Later ones are still counted
    /// and listed.
    pub most_told: u64,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            on: true,
            window: Duration::from_secs(1),
            recreate_count: 16,
            recreate_per_packet: 0.5,
            lasting_windows: 3,
            storm_count: 64,
            storm_per_packet: 8.0,
            costly_kinds: Cow::Borrowed(&[
                ResourceKind::COMMAND_QUEUE,
                ResourceKind::NATIVE_TARGET,
                ResourceKind::QUEUE,
                ResourceKind::SURFACE,
                ResourceKind::DEVICE,
            ]),
            costly_storm_count: 16,
            costly_storm_per_packet: 1.0,
            growth_windows: 30,
            growth_resources: 64,
            growth_bytes: 16 << 20,
            startup: Duration::from_secs(10),
            unsubmitted_for: Duration::from_secs(2),
            unsubmitted_bytes: 64 << 10,
            unpolled_for: Duration::from_secs(5),
            first_completion_within: Duration::from_secs(30),
            owners: 65_536,
            most_per_window: 16,
            most_told: 1_000,
        }
    }
}
