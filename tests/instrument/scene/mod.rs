//! The comparison scene: everything that a program can do with wgpu, by theme, and all that it can see of it, as plain
//! data. It knows wgpu and nothing else, so that it runs on any instance.
//!
//! A stage is a function of a device; what it observes goes into the [`Log`]. Between its steps it calls
//! [`Log::step`], where a test looks at the books while the stage's objects are alive.

mod bundles;
mod compute;
mod copies;
mod draw;
mod errors;
mod indirect;
mod kit;
mod lost;
mod mapping;
mod queries;
mod raytrace;
mod reflection;
mod submissions;
mod threads;
mod tools;
mod uploads;
mod views;

use std::fmt::Display;

pub(crate) use kit::compute_pipeline;
pub(crate) use tools::{Gpu, describe, gl_instance, gpu_instance, noop_instance, panic_of};

/// One thing that the scene has seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Stage and thing.
    pub(crate) name: String,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// What a buffer or a texture holds.
    Bytes(Vec<u8>),
    /// An error, a number, an order.
    Text(String),
    /// What the adapter cannot do.
    Skipped(String),
}

/// What happens at a step; gets the device and the step's name.
pub(crate) type AtStep<'a> = &'a mut dyn FnMut(&Gpu, &str);

/// What a run has seen so far.
pub(crate) struct Log<'a> {
    stage: &'static str,
    entries: Vec<Entry>,
    at_step: AtStep<'a>,
}

type Stage = (&'static str, fn(&Gpu, &mut Log<'_>));

const STAGES: &[Stage] = &[
    ("reflection", reflection::stage),
    ("shaders", reflection::shaders),
    ("uploads", uploads::stage),
    ("belt", uploads::belt),
    ("copies", copies::stage),
    ("clears", copies::clears),
    ("transitions", copies::transitions),
    ("views", views::stage),
    ("samplers", views::samplers),
    ("arrays", views::arrays),
    ("planes", views::planes),
    ("draw", draw::stage),
    ("layers", draw::layers),
    ("immediates", draw::immediates),
    ("bundles", bundles::stage),
    ("indirect", indirect::stage),
    ("multi draw", indirect::multi),
    ("compute", compute::stage),
    ("pipeline cache", compute::cache),
    ("occlusion", queries::occlusion),
    ("statistics", queries::statistics),
    ("timestamps", queries::timestamps),
    ("mapping", mapping::stage),
    ("overlaps", mapping::overlaps),
    ("mapping failures", mapping::failures),
    ("map on submit", mapping::on_submit),
    ("submissions", submissions::stage),
    ("callbacks", submissions::callbacks),
    ("scopes", errors::scopes),
    ("uncaptured", errors::uncaptured),
    ("threaded scopes", errors::threaded),
    ("mismatched", errors::mismatched),
    ("destroyed", lost::destroyed),
    ("lost", lost::stage),
    ("outlived", lost::outlived),
    ("threads", threads::stage),
    ("acceleration structures", raytrace::stage),
];

/// Runs every stage on the best adapter of `instance`; `None` without one.
pub(crate) fn run(instance: &wgpu::Instance, at_step: AtStep<'_>) -> Option<Vec<Entry>> {
    let gpu = Gpu::open(instance)?;
    Some(run_on(&gpu, at_step))
}

/// Runs every stage on a device that is there.
pub(crate) fn run_on(gpu: &Gpu, at_step: AtStep<'_>) -> Vec<Entry> {
    let mut log = Log { stage: "scene", entries: Vec::new(), at_step };
    log.step(gpu, "opened");
    for (name, stage) in STAGES {
        log.stage = name;
        let internal = gpu.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
        // A backend may have no way to do what a stage asks for, and the rest may work all the same.
        let panicked = panic_of(|| stage(gpu, &mut log));
        log.outcome("errors at its end", pollster::block_on(validation.pop()));
        log.outcome("internal errors at its end", pollster::block_on(internal.pop()));
        log.text("panics at its end", panicked);
        log.step(gpu, "end");
    }
    log.entries
}

impl Log<'_> {
    pub(crate) fn bytes(&mut self, what: &str, bytes: Vec<u8>) {
        self.push(what, Value::Bytes(bytes));
    }

    pub(crate) fn text(&mut self, what: &str, text: impl Display) {
        self.push(what, Value::Text(text.to_string()));
    }

    /// What an error scope caught.
    pub(crate) fn outcome(&mut self, what: &str, error: Option<wgpu::Error>) {
        self.text(what, error.map_or_else(|| "no error".to_owned(), |error| describe(&error)));
    }

    /// What the adapter cannot do.
    pub(crate) fn skip(&mut self, why: &str) {
        self.push("skipped", Value::Skipped(why.to_owned()));
    }

    /// Lets the test look at the books, when the GPU has nothing left to do.
    pub(crate) fn step(&mut self, gpu: &Gpu, what: &str) {
        // A lost device has nothing to do.
        let _ = gpu.device.poll(wgpu::PollType::wait_indefinitely());
        (self.at_step)(gpu, &format!("{}: {what}", self.stage));
    }

    fn push(&mut self, what: &str, value: Value) {
        self.entries.push(Entry { name: format!("{}: {what}", self.stage), value });
    }
}

/// Panics with the first difference.
pub(crate) fn assert_same(one: &[Entry], other: &[Entry]) {
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one.name, other.name);
        match (&one.value, &other.value) {
            (Value::Bytes(a), Value::Bytes(b)) => {
                assert_eq!(a.len(), b.len(), "length of {}", one.name);
                let differing = a.iter().zip(b).filter(|(a, b)| a != b).count();
                assert_eq!(differing, 0, "{} of {} bytes differ in {}", differing, a.len(), one.name);
            }
            (a, b) => assert_eq!(a, b, "{}", one.name),
        }
    }
    assert_eq!(one.len(), other.len(), "one of them has more entries");
}
