//! The scene puts out the same with and without instrumentation, and leaves nothing behind in the books.

use crate::books::Books;
use crate::scene::{self, Entry};
use crate::support::skipped_without_adapter;
use engine_vitals::instrument::Instrumentation;
use engine_vitals::monitor::{PassTimeMonitor, UntimedPass};
use engine_vitals::probe::Level;
use std::sync::{Arc, OnceLock};

/// Which machine the scene runs on.
#[derive(Clone, Copy)]
enum On {
    Gpu,
    Gl,
    Noop,
}

impl On {
    fn instance(self) -> wgpu::Instance {
        match self {
            Self::Gpu => scene::gpu_instance(),
            Self::Gl => scene::gl_instance(),
            Self::Noop => scene::noop_instance(),
        }
    }

    /// What the scene puts out without instrumentation; `None` without an adapter.
    fn plain(self) -> Option<&'static [Entry]> {
        static PLAIN: [OnceLock<Option<Vec<Entry>>>; 3] = [const { OnceLock::new() }; 3];
        let run = || scene::run(&self.instance(), &mut |_, _| {});
        PLAIN[self as usize].get_or_init(run).as_deref()
    }
}

/// Runs the scene on an instance that `wrap` made, and compares.
fn compare(
    test: &str,
    on: On,
    wrap: impl FnOnce(wgpu::Instance) -> wgpu::Instance,
    at_step: scene::AtStep<'_>,
) -> bool {
    let Some(plain) = on.plain() else {
        skipped_without_adapter(test);
        return false;
    };
    let instance = wrap(on.instance());
    let seen = scene::run(&instance, at_step).unwrap();
    drop(instance);
    scene::assert_same(plain, &seen);
    true
}

fn at(test: &str, on: On, level: Level, touch_lists: bool) {
    let mut books = Books::open(level, touch_lists);
    let probe = books.tracker.probe();
    if !compare(test, on, |real| Instrumentation::new(probe).wrap(real), &mut |_, _| books.read()) {
        return;
    }
    books.assert_closed();
    if level == Level::Events {
        books.assert_told();
    }
    let totals = books.tracker.totals();
    // A submission that was not tracked ends all the same.
    assert_eq!(totals.submissions.unmatched_completions == 0, level != Level::Off);
    let device = totals.device();
    match level {
        Level::Off => assert_eq!(device.created, 0, "nothing is tracked while the level is off"),
        _ => assert!(device.created > 800, "{} resources", device.created),
    }
}

#[test]
fn off() {
    at("off", On::Gpu, Level::Off, false);
    at("off", On::Noop, Level::Off, false);
}

#[test]
fn counters() {
    at("counters", On::Gpu, Level::Counters, false);
    at("counters", On::Noop, Level::Counters, false);
}

#[test]
fn events() {
    at("events", On::Gpu, Level::Events, false);
    at("events", On::Noop, Level::Events, false);
}

#[test]
fn events_and_touch_lists() {
    at("events_and_touch_lists", On::Gpu, Level::Events, true);
    at("events_and_touch_lists", On::Noop, Level::Events, true);
}

/// A few stages ask for what OpenGL lacks, and say so in the same words.
#[test]
fn on_opengl() {
    at("on_opengl", On::Gl, Level::Events, true);
}

/// An instrumented instance inside another one, each with books of its own.
#[test]
fn nested() {
    for on in [On::Gpu, On::Noop] {
        let [mut inner, mut outer] = [(); 2].map(|()| Books::open(Level::Events, true));
        let (probes, read) = ([inner.tracker.probe(), outer.tracker.probe()], &mut [&mut inner, &mut outer]);
        let wrap = |real| {
            let [inner, outer] = probes.map(Instrumentation::new);
            outer.wrap(inner.wrap(real))
        };
        if !compare("nested", on, wrap, &mut |_, _| read.iter_mut().for_each(|books| books.read())) {
            return;
        }
        for books in [&mut inner, &mut outer] {
            books.assert_closed();
            books.assert_told();
        }
        // What only the inner one sees is what the outer one makes to stand for what failed.
        let [inner, outer] = [inner, outer].map(|books| books.tracker.totals().device());
        assert_eq!((inner.created, inner.created_bytes), (outer.created, outer.created_bytes));
    }
}

/// What was made at one level and is dropped at another is in no total twice, and in none for ever.
#[test]
fn levels_that_change_on_the_way() {
    for on in [On::Gpu, On::Noop] {
        let mut books = Books::open(Level::Events, false);
        let (probe, mut step) = (books.tracker.probe(), 0);
        let levels = [Level::Off, Level::Events, Level::Counters];
        let change = &mut |_: &scene::Gpu, _: &str| {
            books.read();
            books.tracker.set_level(levels[step % 3]);
            books.tracker.set_touch_lists(step % 2 == 0);
            step += 1;
        };
        if !compare("levels_that_change_on_the_way", on, |real| Instrumentation::new(probe).wrap(real), change) {
            return;
        }
        books.assert_closed();
        assert!(books.tracker.totals().device().created > 100);
    }
}

/// With the time of each pass taken all along: the program sees nothing of it, in no pixel, error or book.
#[test]
fn passes_timed() {
    for on in [On::Gpu, On::Gl, On::Noop] {
        let mut books = Books::open(Level::Events, true);
        let (probe, monitor) = (books.tracker.probe(), Arc::new(PassTimeMonitor::new("passes")));
        let wrap = |real| Instrumentation::builder(probe).pass_sink(monitor.clone()).build().wrap(real);
        let step = &mut |_: &scene::Gpu, _: &str| {
            books.read();
            probe.frame_ended();
        };
        if !compare("passes_timed", on, wrap, step) {
            return;
        }
        books.assert_closed();
        books.assert_told();
        let report = monitor.report();
        let told: u64 = report.passes.iter().map(|pass| pass.runs).sum();
        match on {
            On::Gpu => assert!(told > 50 && report.untimed(UntimedPass::Own) > 0, "{report:#?}"),
            On::Gl => assert!(told + report.untimed(UntimedPass::Unwritten) > 50, "{report:#?}"),
            On::Noop => assert!(report.untimed(UntimedPass::Unwritten) > 50, "{report:#?}"),
        }
    }
}

/// Switched on and off at each step.
#[test]
fn passes_timed_now_and_then() {
    for on in [On::Gpu, On::Noop] {
        let mut books = Books::open(Level::Counters, false);
        let (probe, monitor) = (books.tracker.probe(), Arc::new(PassTimeMonitor::new("passes")));
        let instrumentation = Instrumentation::builder(probe).pass_sink(monitor.clone()).build();
        let mut steps = 0;
        let step = &mut |_: &scene::Gpu, _: &str| {
            books.read();
            steps += 1;
            instrumentation.set_pass_times(steps % 2 == 0);
            instrumentation.set_pass_queries_per_frame(steps % 7);
            assert_eq!(instrumentation.pass_times(), steps % 2 == 0);
        };
        if !compare("passes_timed_now_and_then", on, |real| instrumentation.wrap(real), step) {
            return;
        }
        books.assert_closed();
        assert!(monitor.report().untimed(UntimedPass::Budget) > 0);
    }
}

/// Both of two nested instrumentations time passes: the inner one finds the outer one's stamps in them, and leaves them alone.
#[test]
fn passes_timed_nested() {
    let [mut inner, mut outer] = [(); 2].map(|()| Books::open(Level::Events, false));
    let monitors = ["inner", "outer"].map(|id| Arc::new(PassTimeMonitor::new(id)));
    let probes = [inner.tracker.probe(), outer.tracker.probe()];
    let wrap = |real| {
        let [inner, outer] =
            [0, 1].map(|at| Instrumentation::builder(probes[at]).pass_sink(monitors[at].clone()).build());
        outer.wrap(inner.wrap(real))
    };
    let step = &mut |_: &scene::Gpu, _: &str| {
        inner.read();
        outer.read();
    };
    if !compare("passes_timed_nested", On::Gpu, wrap, step) {
        return;
    }
    for books in [&mut inner, &mut outer] {
        books.assert_closed();
        books.assert_told();
    }
    let [inner, outer] = monitors.map(|monitor| monitor.report());
    assert!(outer.passes.iter().map(|pass| pass.runs).sum::<u64>() > 50, "{outer:#?}");
    assert_eq!(inner.passes.len(), 0, "{inner:#?}");
    assert!(inner.untimed(UntimedPass::Own) > 50, "{inner:#?}");
}
