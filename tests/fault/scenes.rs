//! Three hundred frames with each fault, at every n-th call, transient and persistent.

use std::sync::mpsc;
use std::time::Duration;

use engine_vitals::instrument::fault::{Call, Fault, FaultPlan, Rule, When};

use crate::engine::{Engine, Hung, Story};
use crate::support::skipped_without_adapter;
use crate::tools::{Stage, gpu_instance, noop_instance};

/// Faults that a renderer without a window can meet.
const FAULTS: [Fault; 7] = [
    Fault::OutOfMemory,
    Fault::Validation,
    Fault::DeviceLost,
    Fault::MapFailure,
    Fault::Stall,
    Fault::NoDevice,
    Fault::Slow(Duration::from_micros(20)),
];

/// Frames after the faults are over within which the renderer must have recovered.
const RECOVERY: u64 = 10;

/// One run of the renderer.
#[derive(Clone, Debug)]
struct Scene {
    rules: Vec<Rule>,
    seed: u64,
    frames: u64,
    hung: Hung,
    /// No frame takes longer.
    hang: Duration,
}

impl Scene {
    /// What happened, how many calls failed, and how many of the frames after the faults were good. Everything has been given back.
    fn run(&self, instance: fn() -> wgpu::Instance) -> Option<(Story, u64)> {
        let (sender, frames) = mpsc::channel();
        let scene = self.clone();
        let thread = std::thread::spawn(move || scene.perform(instance(), &sender));
        loop {
            match frames.recv_timeout(self.hang) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("{self:?}: no frame within {:?}", self.hang),
            }
        }
        thread.join().unwrap_or_else(|_| panic!("{self:?}: a panic"))
    }

    fn perform(&self, instance: wgpu::Instance, progress: &mpsc::Sender<u64>) -> Option<(Story, u64)> {
        let plan = FaultPlan::seeded(self.seed).wait_limit(Duration::from_millis(1));
        let plan = self.rules.iter().cloned().fold(plan, FaultPlan::fail);
        let stage = Stage::new(instance, &plan)?;
        let mut engine = Engine::new(&stage, self.hung);
        for frame in 0..self.frames {
            engine.frame();
            progress.send(frame).unwrap();
        }
        plan.disarm();
        plan.release();
        for frame in 0..RECOVERY {
            engine.frame();
            progress.send(self.frames + frame).unwrap();
        }
        let good = engine.story.good;
        engine.frame();
        assert_eq!(engine.story.good, good + 1, "{self:?}: not recovered: {:?}", engine.story);
        let story = engine.close();
        let counts = plan.counts();
        assert_eq!(plan.failed(), counts.iter().map(|count| count.failed).sum::<u64>());
        stage.assert_books_are_back_to_zero(&format!("{self:?}"));
        Some((story, plan.failed()))
    }
}

fn scene(rules: Vec<Rule>, frames: u64, seed: u64) -> Scene {
    let hung = if seed.is_multiple_of(2) { Hung::LetGo } else { Hung::NewDevice };
    Scene { rules, seed, frames, hung, hang: Duration::from_secs(5) }
}

#[test]
fn without_faults_every_frame_is_good() {
    let (story, failed) = scene(Vec::new(), 300, 0).run(noop_instance).unwrap();
    assert_eq!((story.good, failed), (311, 0), "{story:?}");
    assert_eq!(story.devices, 13, "{story:?}");
    assert!(story.read > 200, "{story:?}");
    let Story { requests_failed, losses, errors, timeouts, maps_failed, .. } = story;
    assert_eq!((requests_failed, losses, errors, timeouts, maps_failed), (0, 0, 0, 0, 0), "{story:?}");
}

#[test]
fn the_renderer_recovers_from_each_fault_at_every_nth_call() {
    for (seed, fault) in (0..).zip(FAULTS) {
        for every in [1, 5, 50] {
            for persistent in [false, true] {
                let rule = Rule::new(fault, When::Every(every));
                let rule = if persistent { rule.persistent() } else { rule.transient() };
                let (story, failed) = scene(vec![rule], 300, seed + every).run(noop_instance).unwrap();
                // The device is asked for twelve times, if it is never lost.
                assert!(failed > 0 || (fault == Fault::NoDevice && every > 12), "{fault:?} {every} {persistent}");
                assert_consequences(fault, &story, failed);
            }
        }
    }
}

/// The program heard of what failed.
fn assert_consequences(fault: Fault, story: &Story, failed: u64) {
    match fault {
        Fault::OutOfMemory | Fault::Validation => assert!(story.errors >= failed, "{failed} {story:?}"),
        Fault::DeviceLost => assert_eq!(story.losses, failed, "{story:?}"),
        // A mapping of the timer's may fail too.
        Fault::MapFailure => assert!((1..=failed).contains(&story.maps_failed), "{failed} {story:?}"),
        Fault::Stall => assert!(story.timeouts > 0 || failed < 10, "{failed} {story:?}"),
        Fault::NoDevice => assert_eq!(story.requests_failed, failed, "{story:?}"),
        Fault::Slow(_) => assert_eq!((story.good, story.errors), (311, 0), "{story:?}"),
        other => panic!("{other:?} needs a window"),
    }
}

#[test]
fn a_driver_makes_no_difference() {
    for (seed, fault) in (0..).zip(FAULTS) {
        let mut scene = scene(vec![Rule::new(fault, When::Every(5))], 30, seed);
        // A software driver on a busy machine.
        scene.hang = Duration::from_secs(60);
        let Some((story, failed)) = scene.run(gpu_instance) else {
            return skipped_without_adapter("a_driver_makes_no_difference");
        };
        if fault != Fault::NoDevice {
            assert!(failed > 0, "{fault:?} {story:?}");
        }
        if !matches!(fault, Fault::Slow(_) | Fault::Stall | Fault::MapFailure) {
            assert_consequences(fault, &story, failed);
        }
    }
}

/// Random rules, several at a time; `ENGINE_VITALS_SEED` picks, `ENGINE_VITALS_SOAK_SCENES` says how many scenes.
#[test]
fn the_renderer_recovers_from_whatever_a_seed_brings() {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let seed = number("ENGINE_VITALS_SEED").unwrap_or(1);
    let scenes = number("ENGINE_VITALS_SOAK_SCENES").unwrap_or(if cfg!(debug_assertions) { 20 } else { 200 });
    let mut failed = 0;
    for scene_number in 0..scenes {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(scene_number));
        let rules = (0..1 + dice.roll(4)).map(|_| dice.rule()).collect();
        let (_, failures) = scene(rules, 60 + dice.roll(240), dice.roll(u64::MAX)).run(noop_instance).unwrap();
        failed += failures;
    }
    assert!(failed > 0, "{scenes} scenes without a fault");
}

/// Numbers of a seed.
struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's MMIX generator; its high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn rule(&mut self) -> Rule {
        let fault = FAULTS[self.roll(FAULTS.len() as u64) as usize];
        let when = match self.roll(4) {
            0 => When::Every(1 + self.roll(100)),
            1 => When::Calls((0..self.roll(8)).map(|_| 1 + self.roll(300)).collect()),
            2 => When::After(self.roll(300)),
            _ => When::Probability(self.roll(100) as f64 / 400.0),
        };
        let mut rule = Rule::new(fault, when);
        if self.roll(3) == 0 {
            let calls: Vec<_> = Call::ALL.iter().copied().filter(|call| fault.befalls(*call)).collect();
            rule = rule.on(calls[self.roll(calls.len() as u64) as usize]);
        }
        if self.roll(6) == 0 {
            rule = rule.labels_starting("p");
        }
        if self.roll(3) == 0 { rule.persistent() } else { rule }
    }
}
