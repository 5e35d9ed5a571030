use super::*;
use crate::contract::Value;
use crate::probe::{Clock, ManualClock, New, Probe};

const FRAME: Duration = Duration::from_micros(16_600);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A program on a clock that is moved by hand.
struct Program {
    tracker: Arc<Tracker>,
    monitor: HitchMonitor,
    hand: ManualClock,
}

impl Program {
    fn new(rules: HitchRules) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_700_000_000_000_000_000));
        let tracker = Arc::new(Tracker::builder().clock(clock).build());
        let monitor = HitchMonitor::new(Arc::clone(&tracker), "hitches").with_rules(rules);
        Self { tracker, monitor, hand }
    }

    /// After 100 quiet frames.
    fn warm() -> Self {
        let program = Self::new(HitchRules::default());
        for _ in 0..100 {
            assert_eq!(program.frame(|_, _| {}), None);
        }
        program
    }

    /// A frame of an engine at work, with more in it.
    fn frame(&self, more: impl FnOnce(Probe, &ManualClock)) -> Option<Hitch> {
        let probe = self.tracker.probe();
        probe.uploading(1 << 20, || self.hand.advance(Duration::from_micros(300)));
        drop(probe.create(New::buffer(1 << 10).took(Duration::from_micros(3))));
        self.hand.advance(FRAME - Duration::from_micros(300));
        more(probe, &self.hand);
        self.monitor.frame(probe.frame_ended(), None)
    }
}

#[test]
fn two_thousand_quiet_frames_are_no_hitches() {
    let program = Program::new(HitchRules::default());
    for frame in 0..2_000_u64 {
        // Up to a third longer, and with up to twice the uploads.
        let more = Duration::from_micros(frame * 7_919 % 5_500);
        let hitch = program.frame(|probe, hand| {
            hand.advance(more);
            probe.uploading(frame * 104_729 % (1 << 20), || {});
        });
        assert_eq!(hitch, None);
    }
    assert_eq!((program.monitor.count(), program.monitor.hitches().len()), (0, 0));
}

#[test]
fn each_planted_cause_comes_first() {
    type Plant = fn(Probe, &ManualClock);
    let plants: [(HitchCause, Plant); 9] = [
        (HitchCause::Pipelines, |probe, hand| {
            let begun = probe.now();
            hand.advance(ms(40));
            drop(probe.create(New::render_pipeline().begun(begun)));
        }),
        (HitchCause::ShaderModules, |probe, hand| {
            hand.advance(ms(40));
            drop(probe.create(New::of(crate::probe::ResourceKind::SHADER_MODULE, 0).took(ms(40))));
        }),
        (HitchCause::Uploads, |probe, hand| probe.uploading(200 << 20, || hand.advance(ms(40)))),
        (HitchCause::Uploads, |probe, hand| {
            probe.staged(70 << 20);
            hand.advance(ms(40));
        }),
        (HitchCause::Creations, |probe, hand| {
            for _ in 0..5_000 {
                let begun = probe.now();
                hand.advance(Duration::from_micros(8));
                drop(probe.create(New::buffer(256).begun(begun)));
            }
        }),
        (HitchCause::Submissions, |probe, hand| probe.timed(Activity::Submissions, || hand.advance(ms(40)))),
        (HitchCause::Stalls, |probe, hand| probe.timed(Activity::Stalls, || hand.advance(ms(40)))),
        (HitchCause::Stalls, |probe, hand| {
            hand.advance(ms(40));
            probe.stalled(ms(40));
        }),
        (HitchCause::External, |_, hand| hand.advance(ms(40))),
    ];
    for (cause, plant) in plants {
        let program = Program::warm();
        let hitch = program.frame(plant).unwrap();
        assert_eq!((hitch.cause(), hitch.frame), (cause, 101), "{hitch}");
        assert_eq!(program.monitor.hitches(), [hitch]);
        assert_eq!(program.frame(|_, _| {}), None);
    }
}

#[test]
fn while_off_no_frame_is_judged_and_none_takes_the_time_until_it_is_on() {
    let program = Program::warm();
    program.tracker.set_level(Level::Off);
    for _ in 0..10 {
        assert_eq!(program.frame(|_, hand| hand.advance(ms(500))), None);
    }
    program.tracker.set_level(Level::Counters);
    assert_eq!(program.frame(|_, hand| hand.advance(ms(500))), None, "it began while the level was off");
    assert_eq!(program.frame(|_, _| {}), None);
    assert!(program.frame(|_, hand| hand.advance(ms(500))).is_some());
}

#[test]
fn hitches_and_their_time_are_counted_by_cause() {
    let monitor = HitchMonitor::new(Arc::new(Tracker::new()), "hitches");
    let figures = |monitor: &HitchMonitor| {
        let mut series = Series::with_cap(100);
        monitor.describe(&mut series);
        let figures: Vec<_> = series.finish().0.into_iter().flatten().collect();
        let mut values = vec![None; figures.len()];
        monitor.record(&mut Row::new(&mut values));
        let told = figures.into_iter().zip(values).filter_map(|(figure, value)| {
            let label = figure.labels.first().map(|(_, value)| value.to_string()).unwrap_or_default();
            Some((format!("{} {label}", figure.name), value?))
        });
        told.collect::<std::collections::BTreeMap<_, _>>()
    };
    assert!(figures(&monitor).is_empty(), "nothing is known before the first frame");

    let program = Program::warm();
    program.frame(|probe, hand| probe.timed(Activity::Stalls, || hand.advance(ms(60))));
    program.frame(|probe, hand| probe.timed(Activity::Stalls, || hand.advance(ms(40))));
    program.frame(|_, hand| hand.advance(ms(30)));
    let figures = figures(&program.monitor);
    let expected = [
        ("vitals_hitches_total stalls", Value::U64(2)),
        ("vitals_hitches_total external", Value::U64(1)),
        ("vitals_hitches_total pipelines", Value::U64(0)),
        ("vitals_hitch_seconds_total stalls", Value::F64(0.1)),
        ("vitals_hitch_seconds_total external", Value::F64(0.03)),
        ("vitals_frames_over_budget_total main", Value::U64(3)),
        ("vitals_frame_budget_seconds ", Value::F64(0.033_2)),
        ("vitals_frame_longest_seconds ", Value::F64(0.076_6)),
    ];
    for (name, value) in expected {
        assert_eq!(figures.get(name), Some(&value), "{name}");
    }
}

#[test]
fn a_reader_that_follows_gets_each_hitch_once() {
    let program = Program::warm();
    program.frame(|_, hand| hand.advance(ms(50)));
    let first = program.monitor.hitches_after(0);
    assert_eq!((first.len(), first[0].number, first[0].frame), (1, 1, 101));
    assert_eq!(program.monitor.hitches_after(1), []);
    program.frame(|_, hand| hand.advance(ms(50)));
    assert_eq!(program.monitor.hitches_after(1).iter().map(|hitch| hitch.number).collect::<Vec<_>>(), [2]);
}

/// A program whose passes are read back two frames late.
struct Timed {
    program: Program,
    passes: Arc<PassTimeMonitor>,
}

impl Timed {
    fn warm() -> Self {
        let passes = Arc::new(PassTimeMonitor::new("passes"));
        let mut program = Program::new(HitchRules::default());
        program.monitor = program.monitor.with_passes(Arc::clone(&passes));
        let timed = Self { program, passes };
        for _ in 0..100 {
            assert_eq!(timed.frame(ms(6), |_, _| {}), None);
        }
        timed
    }

    /// The frame before the last one is read back, its main pass having taken so long; then the frame ends.
    fn frame(&self, main: Duration, more: impl FnOnce(Probe, &ManualClock)) -> Option<Hitch> {
        if let Some(frame) = self.program.tracker.probe().frame_number().checked_sub(2).filter(|frame| *frame > 0) {
            self.passes.pass(frame, "shadows", ms(2));
            self.passes.pass(frame, "main", main);
            self.passes.frame_complete(frame);
        }
        self.program.frame(more)
    }
}

#[test]
fn a_frame_is_judged_when_its_passes_are_read_back() {
    let timed = Timed::warm();
    // Frame 101 waits for its own work on the GPU.
    assert_eq!(timed.frame(ms(6), |probe, hand| probe.timed(Activity::Stalls, || hand.advance(ms(50)))), None);
    assert_eq!(timed.frame(ms(6), |_, _| {}), None);
    let hitch = timed.frame(ms(56), |_, _| {}).unwrap();
    let pass = hitch.causes[0].pass.as_ref().map(|pass| (&*pass.name, pass.frame));
    assert_eq!((hitch.frame, hitch.cause(), pass), (101, HitchCause::GpuPass, Some(("main", 101))), "{hitch}");
    assert_eq!(hitch.causes.len(), 1, "{hitch}");
}

#[test]
fn a_frame_whose_passes_do_not_come_is_judged_eight_frames_later_and_all_at_the_end() {
    let timed = Timed::warm();
    let long = |probe: Probe, hand: &ManualClock| probe.timed(Activity::Stalls, || hand.advance(ms(50)));
    assert_eq!(timed.program.frame(long), None);
    for _ in 102..109 {
        assert_eq!(timed.program.frame(|_, _| {}), None);
    }
    let hitch = timed.program.frame(|_, _| {}).unwrap();
    assert_eq!((hitch.frame, hitch.cause()), (101, HitchCause::Stalls));

    assert_eq!(timed.program.frame(long), None);
    assert_eq!(timed.program.monitor.count(), 1);
    timed.program.monitor.end();
    assert_eq!(timed.program.monitor.hitches().last().map(|hitch| hitch.frame), Some(110));
}

#[test]
fn where_passes_are_no_longer_timed_frames_are_judged_at_once() {
    let timed = Timed::warm();
    for _ in 0..50 {
        assert_eq!(timed.program.frame(|_, _| {}), None);
    }
    let hitch = timed.program.frame(|_, hand| hand.advance(ms(50))).unwrap();
    assert_eq!((hitch.frame, hitch.cause()), (151, HitchCause::External));
}
