//! Thresholds before, at and after; and what could make a guard lie: clocks, levels, other trackers, gaps, floods.

use std::collections::HashSet;
use std::time::Duration;

use super::{Guard, GuardInput, GuardSettings, Guards, Warning};
use crate::probe::kind::{ROWS, kind_row};
use crate::probe::{Counts, Lane, Level, OwnerId, OwnerKind, ResourceKind, Timestamp};
use crate::tracker::{
    LaneTotals, Misuses, OverflowTotals, Owner, OwnerTotals, PacketTotals, SubmissionRecord, SubmissionTotals, Totals,
    Unsubmitted,
};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// What a tracker would answer, set by hand.
#[derive(Clone, Debug)]
struct Told {
    nanos: u64,
    level: Level,
    presented: u64,
    kinds: Vec<(ResourceKind, Counts)>,
    owners: Vec<(OwnerId, Counts)>,
    submissions: SubmissionTotals,
    overflows: OverflowTotals,
    waiting: Option<(u64, u64)>,
    oldest: Option<u64>,
    misuses: u64,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            nanos: 1_000 * SECOND,
            level: Level::Counters,
            presented: 0,
            kinds: Vec::new(),
            owners: Vec::new(),
            submissions: SubmissionTotals::default(),
            overflows: OverflowTotals::default(),
            waiting: None,
            oldest: None,
            misuses: 0,
        }
    }
}

impl Told {
    fn step(&self, guards: &mut Guards) -> Vec<Warning> {
        let mut totals = Totals { time: Timestamp::from_unix_nanos(self.nanos), ..Totals::default() };
        totals.rows.resize(ROWS, Counts::default());
        for (kind, counts) in &self.kinds {
            totals.rows[kind_row(*kind, false)] = *counts;
        }
        let packets = PacketTotals { queued: self.presented, presented: self.presented, ..PacketTotals::default() };
        totals.lanes.push(LaneTotals { lane: Lane::OTHER, name: "other", packets });
        (totals.submissions, totals.overflows) = (self.submissions, self.overflows);
        let site = std::panic::Location::caller();
        let owners: Vec<_> = self
            .owners
            .iter()
            .map(|(owner, counts)| OwnerTotals {
                owner: *owner,
                counts: *counts,
                remade: 0,
                kind: Some(ResourceKind::TEXTURE),
                site: Some(site),
            })
            .collect();
        let input = GuardInput {
            time: totals.time,
            level: self.level,
            totals: &totals,
            owners: &owners,
            misuses: &Misuses { records: Vec::new(), total: self.misuses },
            unsubmitted: self.waiting.map(|(bytes, since)| Unsubmitted {
                bytes,
                since: Timestamp::from_unix_nanos(since),
                first: None,
                owner: None,
                site: None,
            }),
            oldest_in_flight: self.oldest.map(|submitted| SubmissionRecord {
                correlation: 1,
                queue: None,
                packet: None,
                owner: None,
                site: None,
                submitted: Timestamp::from_unix_nanos(submitted),
                completed: None,
                abandoned: false,
                staged_bytes: 0,
                command_buffers: 0,
            }),
            lives: &Vec::new,
            owner: &|owner| Some(Owner { kind: owner.kind(), key: u64::from(owner.get()), name: None }),
        };
        guards.step(&input).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.nanos += time.as_nanos() as u64;
    }
}

fn owner(index: u32) -> OwnerId {
    OwnerId::of(OwnerKind::CHILD_VISUAL, index)
}

/// So many made and released, each after that long.
fn remade(times: u64, life: Duration) -> Counts {
    Counts {
        created: times,
        left_live: times,
        released: times,
        lifetime_nanos: times * life.as_nanos() as u64,
        ..Counts::default()
    }
}

/// The guards that warn when an owner remakes so many a window, each after that long, at so many packets a window, for so many windows.
fn raised_by(
    remade_each: u64,
    life: Duration,
    presented: u64,
    windows: u64,
    window: Duration,
) -> HashSet<&'static str> {
    let mut guards = Guards::new(GuardSettings::default());
    let mut told = Told { owners: vec![(owner(1), Counts::default())], ..Told::default() };
    let mut raised = HashSet::new();
    for turn in 0..=windows {
        let counts = remade(turn * remade_each, life);
        told.owners[0].1 = counts;
        told.kinds = vec![(ResourceKind::TEXTURE, counts)];
        told.presented = turn * presented;
        raised.extend(told.step(&mut guards).into_iter().map(|warning| warning.guard));
        told.pass(window);
    }
    raised
}

const WINDOW: Duration = Duration::from_secs(1);
const FRAME: Duration = Duration::from_millis(1);

#[test]
fn a_loop_is_one_from_its_thresholds_on() {
    let loops = |each, presented, windows| raised_by(each, FRAME, presented, windows, WINDOW).contains("recreate_loop");
    assert!([loops(15, 10, 9), loops(16, 10, 9)] == [false, true], "16 in a window");
    assert!([loops(30, 60, 9), loops(31, 60, 9)] == [false, true], "more than a half per packet");
    assert!([loops(100, 60, 2), loops(100, 60, 3)] == [false, true], "three windows");
    assert!(!loops(1_000, 0, 9), "against nothing presented there is no ratio");
    assert!(raised_by(100, Duration::from_secs(2), 60, 9, WINDOW).is_empty(), "what lives long is no loop");
}

#[test]
fn a_storm_is_one_from_its_thresholds_on() {
    let storms = |each, presented| raised_by(each, FRAME, presented, 9, WINDOW).contains("destroy_storm");
    assert_eq!([storms(63, 2), storms(64, 2)], [false, true]);
    assert_eq!([storms(480, 60), storms(481, 60)], [false, true]);
}

#[test]
fn a_window_that_came_out_long_takes_as_many_times_more() {
    let minute = Duration::from_secs(60);
    let loops = |each| raised_by(each, FRAME, 100, 9, minute).contains("recreate_loop");
    assert_eq!([loops(16 * 60 - 1), loops(16 * 60)], [false, true]);
}

/// An owner that loops hard enough for every guard of churn.
fn looping(told: &mut Told, turn: u64) {
    told.owners = vec![(owner(1), remade(turn * 1_000, FRAME))];
    told.kinds = vec![(ResourceKind::TEXTURE, remade(turn * 1_000, FRAME))];
    told.presented = turn * 60;
}

#[test]
fn a_clock_that_goes_back_begins_anew_and_finds_again() {
    let mut guards = Guards::new(GuardSettings::default());
    let mut told = Told::default();
    for turn in 1..=3 {
        looping(&mut told, turn);
        assert_eq!(told.step(&mut guards), []);
        told.pass(WINDOW);
    }
    told.nanos -= 500 * SECOND;
    for turn in 4..=6 {
        looping(&mut told, turn);
        assert_eq!(told.step(&mut guards), [], "turn {turn}");
        told.pass(WINDOW);
    }
    looping(&mut told, 7);
    assert!(!told.step(&mut guards).is_empty());
}

#[test]
fn a_step_before_its_time_looks_at_nothing() {
    let mut guards = Guards::new(GuardSettings::default());
    let mut told = Told::default();
    assert!(guards.due(Timestamp::from_unix_nanos(told.nanos)));
    told.step(&mut guards);
    for turn in 1..50 {
        looping(&mut told, turn);
        told.pass(Duration::from_millis(10));
        assert!(!guards.due(Timestamp::from_unix_nanos(told.nanos)));
        assert_eq!(told.step(&mut guards), []);
    }
}

#[test]
fn what_happens_around_a_time_switched_off_is_not_judged() {
    let mut guards = Guards::new(GuardSettings::default());
    let mut told = Told::default();
    told.waiting = Some((1 << 20, told.nanos));
    for turn in 0..20 {
        looping(&mut told, turn);
        told.level = if turn % 2 == 0 { Level::Counters } else { Level::Off };
        assert_eq!(told.step(&mut guards), [], "turn {turn}");
        told.pass(WINDOW);
    }
}

#[test]
fn another_tracker_s_counters_are_not_compared() {
    let mut guards = Guards::new(GuardSettings::default());
    let mut told = Told::default();
    for turn in [50, 1, 40, 2, 30, 3] {
        looping(&mut told, turn);
        assert_eq!(told.step(&mut guards), [], "turn {turn}");
        told.pass(WINDOW);
    }
}

#[test]
fn time_that_nobody_watched_ages_nothing() {
    let mut guards = Guards::new(GuardSettings::default());
    let mut told = Told::default();
    told.submissions = SubmissionTotals { submitted: 2, completed: 1, ..SubmissionTotals::default() };
    told.waiting = Some((1 << 20, told.nanos));
    told.oldest = Some(told.nanos);
    told.step(&mut guards);
    told.pass(Duration::from_secs(3_600));
    told.submissions.submitted += 1;
    let texts: Vec<_> = told.step(&mut guards).into_iter().map(|warning| warning.guard).collect();
    // Two windows at most are counted of the hour.
    assert_eq!(texts, ["unsubmitted_writes"], "2 s of waiting are seen, 5 s without a completion are not");
    for _ in 0..2 {
        told.pass(WINDOW);
        told.submissions.submitted += 1;
        assert!(told.step(&mut guards).iter().all(|warning| warning.guard == "unsubmitted_writes"));
    }
    told.pass(WINDOW);
    told.submissions.submitted += 1;
    assert!(told.step(&mut guards).iter().any(|warning| warning.guard == "never_polled"));
}

#[test]
fn a_few_bytes_that_wait_are_no_pile_unless_they_grow() {
    let waits = |bytes: u64, more: u64| {
        let mut guards = Guards::new(GuardSettings::default());
        let mut told = Told::default();
        let since = told.nanos;
        let mut raised = 0;
        for turn in 0..6 {
            told.waiting = Some((bytes + turn * more, since));
            raised += told.step(&mut guards).len();
            told.pass(WINDOW);
        }
        raised > 0
    };
    assert_eq!([waits(65_535, 0), waits(65_536, 0), waits(1, 1)], [false, true, true]);
}

#[test]
fn work_at_rest_is_left_alone_once_anything_was_found_completed() {
    let rests = |completed: u64| {
        let mut guards = Guards::new(GuardSettings::default());
        let mut told = Told::default();
        told.submissions = SubmissionTotals { submitted: completed + 1, completed, ..SubmissionTotals::default() };
        told.oldest = Some(told.nanos);
        (0..60).any(|_| {
            told.pass(WINDOW);
            !told.step(&mut guards).is_empty()
        })
    };
    assert_eq!([rests(0), rests(7)], [true, false]);
}

#[test]
fn growth_needs_its_windows_its_gain_and_no_fall() {
    let grows = |at: &dyn Fn(u64) -> u64, turns: u64| {
        let mut guards = Guards::new(GuardSettings::default());
        let mut told = Told::default();
        (0..turns).find(|turn| {
            let created = at(*turn);
            told.owners = vec![(owner(1), Counts { created, ..Counts::default() })];
            told.presented = turn * 60;
            let raised = told.step(&mut guards);
            told.pass(WINDOW);
            !raised.is_empty()
        })
    };
    // 10 s are the start's own, 30 windows of growth follow.
    assert_eq!(grows(&|turn| turn * 60, 200), Some(39));
    assert_eq!(grows(&|turn| turn, 200), Some(74), "64 and the largest jump");
    assert_eq!(grows(&|turn| turn / 3 * 60, 400), None, "two windows of three stand still");
    assert_eq!(grows(&|turn| 1_000 + turn * 60 - turn / 20 * 100 * u64::from(turn % 20 == 0), 400), None, "it falls");
    assert_eq!(grows(&|turn| turn.min(25) * 60, 400), None, "a load that ends");
    assert_eq!(grows(&|turn| turn / 2 + 5_000 * u64::from(turn > 20), 130), None, "a trickle and a jump");
}

#[test]
fn overflows_and_misuses_are_told_of_the_window_only() {
    let mut guards = Guards::new(GuardSettings::default());
    let mut told = Told { misuses: 3, ..Told::default() };
    told.overflows.labels = 10;
    // What was there at first is told where it is exact.
    assert_eq!(told.step(&mut guards).iter().map(|warning| warning.guard).collect::<Vec<_>>(), ["destroyed_in_use"]);
    told.pass(WINDOW);
    assert_eq!(told.step(&mut guards), []);
    told.pass(WINDOW);
    told.overflows.labels = 25;
    let raised = told.step(&mut guards);
    assert_eq!((raised.len(), raised[0].guard, raised[0].figures[0].value), (1, "label_overflow", 15));
}

#[test]
fn a_flood_of_owners_is_bounded_and_counted() {
    let settings = GuardSettings::default();
    let (most, kept) = (settings.most_per_window, settings.owners);
    let mut guards = Guards::new(settings);
    let mut told = Told::default();
    let many = 100_000;
    for turn in 0..5 {
        told.owners = (1..=many).map(|index| (owner(index), remade(turn * 100, FRAME))).collect();
        told.presented = turn * 60;
        // Others come first: places are of no use.
        told.owners.rotate_left(turn as usize * 7);
        let told_now = told.step(&mut guards).len();
        assert!(told_now <= most + 1, "{told_now}");
        told.pass(WINDOW);
    }
    assert_eq!(guards.unguarded(), u64::from(many) - kept as u64);
    assert_eq!(guards.suppressed() + 2 * most as u64, guards.raised(Guard::RecreateLoop));
    assert!(guards.raised(Guard::RecreateLoop) > 100_000);
    assert!(guards.warnings().len() <= 64);
}

#[test]
fn what_goes_on_is_told_ever_more_seldom_and_counted_each_time() {
    let mut guards = Guards::new(GuardSettings::default());
    let mut told = Told::default();
    let mut told_at = Vec::new();
    for turn in 0..40 {
        told.owners = vec![(owner(1), remade(turn * 100, FRAME))];
        told.presented = turn * 60;
        told_at.extend(told.step(&mut guards).iter().map(|warning| warning.windows));
        told.pass(WINDOW);
    }
    assert_eq!(told_at, [1, 2, 4, 8, 16, 32]);
    assert_eq!(guards.raised(Guard::RecreateLoop), 37);
    let warnings = guards.warnings();
    let [warning] = warnings.as_slice() else { panic!("{warnings:#?}") };
    assert_eq!((warning.windows, warning.last_ms - warning.first_ms), (37, 36_000));
    let json = serde_json::to_value(warning).unwrap();
    assert_eq!(json["guard"], "recreate_loop");
    assert_eq!(json["owner"]["kind"], "child_visual");
    assert_eq!(json["resource"], "texture");
    assert!(json["site"].as_str().unwrap().contains("tests.rs:"), "{json}");
    assert_eq!(json["figures"][0], serde_json::json!({ "name": "created", "value": 100 }));
}

#[test]
fn switched_off_guards_are_never_due() {
    let guards = Guards::new(GuardSettings { on: false, ..GuardSettings::default() });
    assert!(!guards.due(Timestamp::from_unix_nanos(1)));
}

fn counts() -> impl Strategy<Value = Counts> {
    let word = || prop_oneof![0..200_u64, (1_u64 << 48)..(1 << 49), any::<u64>()];
    (word(), word(), word(), word(), word(), word()).prop_map(|(created, bytes, left, released, rebuilds, life)| {
        Counts {
            created,
            created_bytes: bytes,
            left_live: left,
            released,
            rebuilds,
            lifetime_nanos: life,
            ..Counts::default()
        }
    })
}

fn told() -> impl Strategy<Value = Told> {
    let owners = prop::collection::vec((1..9_u32, counts()), 0..6);
    let kinds = prop::collection::vec((0..32_usize, counts()), 0..4);
    let small = || 0..(1_u64 << 60);
    let times = (
        0..3_000 * SECOND,
        any::<bool>(),
        prop::option::of((any::<u64>(), any::<u64>())),
        prop::option::of(any::<u64>()),
    );
    (owners, kinds, times, small(), small(), small(), any::<u64>(), any::<u64>()).prop_map(
        |(owners, kinds, (nanos, on, waiting, oldest), presented, submitted, completed, misuses, labels)| Told {
            nanos,
            level: if on { Level::Counters } else { Level::Off },
            presented,
            kinds: kinds.into_iter().map(|(kind, counts)| (ResourceKind::at(kind), counts)).collect(),
            owners: owners.into_iter().map(|(index, counts)| (owner(index), counts)).collect(),
            submissions: SubmissionTotals { submitted, completed, ..SubmissionTotals::default() },
            overflows: OverflowTotals { labels, ..OverflowTotals::default() },
            waiting,
            oldest,
            misuses,
        },
    )
}

proptest! {
    /// Whatever a tracker answers, in whatever order: no panic, and all that is kept stays within its bounds.
    #[test]
    fn nonsense_breaks_nothing(answers in prop::collection::vec(told(), 1..40)) {
        let mut guards = Guards::new(GuardSettings { most_told: 20, ..GuardSettings::default() });
        let mut told = 0;
        for answer in answers {
            told += answer.step(&mut guards).len();
            prop_assert!(guards.warnings().len() <= 64);
        }
        prop_assert!(told <= 20);
    }
}
