use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

const FRAME: Duration = Duration::from_micros(16_600);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn work(count: u64, bytes: u64, time: Option<Duration>) -> Work {
    Work { count, bytes, time, ..Work::default() }
}

fn passes(times: &[(&str, Duration)]) -> Vec<(Arc<str>, Duration)> {
    times.iter().map(|&(name, time)| (name.into(), time)).collect()
}

/// A frame of an engine at work: it uploads, allocates and draws a little.
fn quiet(frame: u64) -> FrameFacts<'static> {
    static PASSES: LazyLock<Vec<(Arc<str>, Duration)>> =
        LazyLock::new(|| passes(&[("shadows", ms(2)), ("main", ms(6))]));
    FrameFacts::new(frame, FRAME)
        .with(HitchCause::Uploads, work(20, 1 << 20, Some(Duration::from_micros(300))))
        .with(HitchCause::HeapAllocations, work(500, 1 << 18, None))
        .with(HitchCause::Creations, work(10, 0, Some(Duration::from_micros(30))))
        .with_passes(&PASSES)
}

fn warm() -> HitchLog {
    let mut log = HitchLog::new(HitchRules::default());
    for frame in 0..100 {
        assert_eq!(log.frame(&quiet(frame)), None);
    }
    log
}

fn only(log: &mut HitchLog, facts: &FrameFacts<'_>) -> Hitch {
    log.frame(facts).expect("a hitch").clone()
}

#[test]
fn a_frame_over_twice_the_median_is_a_hitch_and_at_it_is_none() {
    let mut log = warm();
    assert_eq!(log.budget(), Some(FRAME * 2));
    assert_eq!(log.frame(&FrameFacts { time: FRAME * 2, ..quiet(100) }), None);
    let hitch = only(&mut log, &FrameFacts { time: FRAME * 2 + Duration::from_nanos(1), ..quiet(101) });
    assert_eq!((hitch.frame, hitch.typical, hitch.budget), (101, Some(FRAME), FRAME * 2));
    assert_eq!(hitch.cause(), HitchCause::External, "nothing in it was other than in every frame");
    assert_eq!(hitch.causes.len(), 1);
}

#[test]
fn a_fast_engine_may_jitter() {
    let mut log = HitchLog::new(HitchRules::default());
    for frame in 0..40 {
        log.frame(&FrameFacts::new(frame, ms(1)));
    }
    assert_eq!(log.frame(&FrameFacts::new(40, ms(5))), None);
    assert!(log.frame(&FrameFacts::new(41, ms(6))).is_some());
}

#[test]
fn a_fixed_budget_judges_the_first_frame() {
    let mut log = HitchLog::new(HitchRules { fixed: Some(ms(20)), ..HitchRules::default() });
    assert_eq!(log.frame(&FrameFacts::new(0, ms(20))), None);
    let hitch = only(&mut log, &FrameFacts::new(1, ms(21)).with(HitchCause::Pipelines, work(3, 0, Some(ms(19)))));
    assert_eq!((hitch.typical, hitch.cause(), hitch.causes[0].time), (None, HitchCause::Pipelines, ms(19)));
    let mut log = HitchLog::new(HitchRules::default());
    assert_eq!(
        (log.budget(), log.frame(&FrameFacts::new(0, Duration::from_secs(9)))),
        (None, None),
        "nothing is typical"
    );
}

#[test]
fn each_planted_cause_comes_first() {
    let planted = [
        (HitchCause::Pipelines, work(1, 0, Some(ms(45)))),
        (HitchCause::ShaderModules, work(4, 0, Some(ms(45)))),
        (HitchCause::Uploads, work(1, 200 << 20, Some(ms(45)))),
        (HitchCause::Uploads, work(1, 200 << 20, None)),
        (HitchCause::Creations, work(5_000, 0, Some(ms(45)))),
        (HitchCause::Creations, work(15_000, 0, None)),
        (HitchCause::Destructions, work(45_000, 0, None)),
        (HitchCause::Submissions, work(2, 0, Some(ms(45)))),
        (HitchCause::Stalls, work(2, 0, Some(ms(45)))),
        (HitchCause::HeapAllocations, work(900_000, 90 << 20, None)),
    ];
    for (cause, work) in planted {
        let mut log = warm();
        let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(50), ..quiet(100).with(cause, work) });
        assert_eq!(hitch.cause(), cause, "{hitch:?}");
        let basis = if work.time.is_some() { Basis::Measured } else { Basis::Estimated };
        assert_eq!((hitch.causes[0].work, hitch.causes[0].basis), (work, basis));
        let counted: Vec<_> = log.tallies().filter(|(_, tally)| tally.hitches > 0).collect();
        assert_eq!(counted, [(cause, HitchTally { hitches: 1, time: hitch.causes[0].time })]);
    }
}

#[test]
fn a_pass_that_grew_is_named() {
    let mut log = warm();
    let passes = passes(&[("shadows", ms(52)), ("main", ms(7))]);
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(50), ..quiet(100).with_passes(&passes) });
    let pass = hitch.causes[0].pass.as_ref().unwrap();
    assert_eq!((hitch.cause(), &*pass.name, pass.frame), (HitchCause::GpuPass, "shadows", 100));
    assert_eq!(
        (hitch.causes[0].time, hitch.causes.len()),
        (ms(50), 1),
        "a millisecond of the main pass explains nothing"
    );
}

#[test]
fn what_was_waited_for_comes_before_the_waiting() {
    let stalled = |frame, time| quiet(frame).with(HitchCause::Stalls, work(1, 0, Some(time)));
    let long = passes(&[("shadows", ms(42)), ("main", ms(6))]);
    let mut log = warm();
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(50), ..stalled(100, ms(48)).with_passes(&long) });
    let told = |hitch: &Hitch| hitch.causes.iter().map(|one| (one.cause, one.time)).collect::<Vec<_>>();
    assert_eq!(told(&hitch), [(HitchCause::GpuPass, ms(40)), (HitchCause::Stalls, ms(8))]);

    // The same with two frames in flight: the wait comes later than the pass that is waited for.
    let mut log = warm();
    assert_eq!(log.frame(&quiet(100).with_passes(&long)), None);
    assert_eq!(log.frame(&quiet(101)), None);
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(50), ..stalled(102, ms(48)) });
    assert_eq!(told(&hitch), [(HitchCause::GpuPass, ms(40)), (HitchCause::Stalls, ms(8))]);
    assert_eq!(hitch.causes[0].pass.as_ref().map(|pass| pass.frame), Some(100));

    // Once it has, it explains no other frame's.
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(50), ..stalled(103, ms(48)) });
    assert_eq!(told(&hitch), [(HitchCause::Stalls, ms(48))]);

    // A driver may wait in the submit.
    let mut log = warm();
    assert_eq!(log.frame(&quiet(100).with_passes(&long)), None);
    let both = stalled(101, ms(10)).with(HitchCause::Submissions, work(1, 0, Some(ms(38))));
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(50), ..both });
    assert_eq!(told(&hitch)[0], (HitchCause::GpuPass, ms(40)));
    let waits: Duration = hitch.causes[1..].iter().map(|one| one.time).sum();
    assert_eq!(waits, ms(8), "{hitch}");

    // A pass of a frame before explains waiting, and nothing else.
    let mut log = warm();
    assert_eq!(log.frame(&quiet(100).with_passes(&long)), None);
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(50), ..quiet(101) });
    assert_eq!(told(&hitch), [(HitchCause::External, ms(50))]);
    // And not for ever.
    for frame in 102..105 {
        assert_eq!(log.frame(&quiet(frame)), None);
    }
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(50), ..stalled(105, ms(48)) });
    assert_eq!(told(&hitch), [(HitchCause::Stalls, ms(48))]);
}

#[test]
fn other_threads_explain_what_the_frame_s_own_does_not() {
    let beside = Work { count: 3, elsewhere: ms(45), ..Work::default() };
    let mut log = warm();
    let facts = quiet(100).with(HitchCause::Pipelines, beside).with(HitchCause::Stalls, work(1, 0, Some(ms(40))));
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(50), ..facts });
    let causes: Vec<_> = hitch.causes.iter().map(|one| (one.cause, one.time, one.basis)).collect();
    assert_eq!(
        causes,
        [(HitchCause::Stalls, ms(40), Basis::Measured), (HitchCause::Pipelines, ms(10), Basis::OtherThreads)]
    );
}

#[test]
fn a_person_reads_it_at_once() {
    let mut log = warm();
    let long = passes(&[("shadows", ms(10)), ("main", ms(6))]);
    let facts = quiet(100)
        .with(HitchCause::Pipelines, work(3, 0, Some(ms(38))))
        .with(HitchCause::Uploads, work(20, 12_500 << 10, Some(ms(6))))
        .with_passes(&long);
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(70), ..facts });
    assert_eq!(
        hitch.to_string(),
        "frame 100 took 86.6 ms (typical 16.6 ms, budget 33.2 ms): pipelines 38.0 ms (3, measured); external 18.3 ms (unexplained); \
         gpu pass \"shadows\" 8.00 ms (10.0 ms in place of 2.00 ms); uploads 5.70 ms (12.2 MiB in 20 calls, measured)"
    );
}

#[test]
fn an_estimate_fills_only_what_no_measured_time_explains() {
    let mut log = warm();
    let facts = quiet(100)
        .with(HitchCause::Pipelines, work(1, 0, Some(ms(30))))
        .with(HitchCause::HeapAllocations, work(10_000_000, 0, None));
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(40), ..facts });
    let causes: Vec<_> = hitch.causes.iter().map(|evidence| (evidence.cause, evidence.time, evidence.basis)).collect();
    assert_eq!(
        causes,
        [(HitchCause::Pipelines, ms(30), Basis::Measured), (HitchCause::HeapAllocations, ms(10), Basis::Estimated)]
    );
}

#[test]
fn most_of_it_unexplained_is_external_first() {
    let mut log = warm();
    let facts = quiet(100).with(HitchCause::Pipelines, work(1, 0, Some(ms(10))));
    let hitch = only(&mut log, &FrameFacts { time: FRAME + ms(40), ..facts });
    let causes: Vec<_> = hitch.causes.iter().map(|evidence| (evidence.cause, evidence.time)).collect();
    assert_eq!(causes, [(HitchCause::External, ms(30)), (HitchCause::Pipelines, ms(10))]);
}

#[test]
fn the_newest_are_kept_and_all_are_counted() {
    let mut log = HitchLog::new(HitchRules { fixed: Some(ms(1)), kept: 3, ..HitchRules::default() });
    for frame in 0..10 {
        assert!(log.frame(&FrameFacts::new(frame, ms(2))).is_some());
    }
    assert_eq!(log.hitches().map(|hitch| (hitch.frame, hitch.number)).collect::<Vec<_>>(), [(7, 8), (8, 9), (9, 10)]);
    assert_eq!((log.count(), log.tallies().map(|(_, tally)| tally.hitches).sum::<u64>()), (10, 10));
}

#[test]
fn a_pass_that_there_is_no_room_to_follow_explains_nothing() {
    let many: Vec<_> = (0..rolling::PASSES + 1).map(|pass| (Arc::from(format!("pass {pass}")), ms(6))).collect();
    let mut log = HitchLog::new(HitchRules::default());
    for frame in 0..40 {
        assert_eq!(log.frame(&FrameFacts::new(frame, FRAME).with_passes(&many)), None);
    }
    let hitch = only(&mut log, &FrameFacts::new(40, FRAME + ms(50)).with_passes(&many));
    assert_eq!((hitch.cause(), hitch.causes.len()), (HitchCause::External, 1), "{hitch:?}");
}

#[test]
fn a_new_pass_takes_the_place_of_one_that_is_gone() {
    let mut log = HitchLog::new(HitchRules::default());
    let many: Vec<_> = (0..rolling::PASSES).map(|pass| (Arc::from(format!("pass {pass}")), ms(1))).collect();
    let late = passes(&[("late", ms(1))]);
    log.frame(&FrameFacts::new(0, FRAME).with_passes(&many));
    log.frame(&FrameFacts::new(1, FRAME).with_passes(&late));
    assert_eq!(log.rolling.typical_pass("late"), None, "every place is taken");
    for frame in 2..200 {
        log.frame(&FrameFacts::new(frame, FRAME).with_passes(&late));
    }
    assert_eq!(log.rolling.typical_pass("late"), Some(ms(1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// 2,000 frames each, whose time and work vary by a third.
    #[test]
    fn quiet_frames_are_no_hitches(noise in proptest::collection::vec((0_u64..33, 0_u64..33), 2_000)) {
        let mut log = HitchLog::new(HitchRules::default());
        for (frame, (slower, more)) in noise.into_iter().enumerate() {
            let facts = quiet(frame as u64).with(HitchCause::Uploads, work(20 + more, (100 + more) << 13, None));
            prop_assert_eq!(log.frame(&FrameFacts { time: FRAME * (100 + slower as u32) / 100, ..facts }), None);
        }
    }

    /// Whatever a frame says of itself, the causes stand in order, explain no more than there is to explain, and are never none.
    #[test]
    fn causes_never_explain_more_than_the_frame(
        time in 0_u64..u64::MAX,
        works in proptest::array::uniform8((any::<u64>(), any::<u64>(), proptest::option::of(any::<u64>()), any::<u64>())),
        pass in any::<u64>(),
        before in any::<u64>(),
    ) {
        let mut log = warm();
        let mut facts = FrameFacts::new(100, Duration::from_nanos(time));
        for (cause, (count, bytes, nanos, elsewhere)) in HitchCause::ALL.into_iter().zip(works) {
            let elsewhere = Duration::from_nanos(elsewhere);
            facts = facts.with(cause, Work { elsewhere, ..work(count, bytes, nanos.map(Duration::from_nanos)) });
        }
        let before = passes(&[("shadows", Duration::from_nanos(before))]);
        log.frame(&FrameFacts::new(99, FRAME).with_passes(&before));
        let passes = passes(&[("main", Duration::from_nanos(pass))]);
        if let Some(hitch) = log.frame(&facts.with_passes(&passes)) {
            let excess = hitch.time.saturating_sub(hitch.typical.unwrap_or_default());
            prop_assert!(!hitch.causes.is_empty());
            prop_assert!(hitch.causes.is_sorted_by(|one, other| one.time >= other.time));
            prop_assert!(hitch.causes.iter().all(|evidence| evidence.time <= excess));
        }
    }
}
