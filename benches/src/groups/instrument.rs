//! What instrumentation costs a program that draws with wgpu, against the same program on plain wgpu.
//!
//! Each subject is a process of its own (`benches/subject`), since the features of all crates in one program are one: the baseline's wgpu
//! has no `custom`. The processes answer in turns, and are started anew for each sitting, so that no figure hangs on where one process
//! happened to lie in memory. The backend does nothing, so that the CPU time is wgpu's own and the instrumentation's: on a driver that
//! works the ratios are smaller. Whole frames on lavapipe are beside it, by the CPU time of all threads, since it draws on its own.

use std::cell::RefCell;
use std::error::Error;
use std::path::Path;

use super::process::{Process, Started};
use crate::harness::{Effort, Rounds, Subject, alternate};
use crate::report::Row;

const GROUP: &str = "instrument";
const BASELINE: &str = "plain";
/// Processes that each subject has one after the other, at most, and the rounds that one is worth.
const SITTINGS: usize = 5;
const ROUNDS_OF_A_SITTING: usize = 4;

/// A program, and what it is told to be.
struct Kind {
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    /// The most that a frame of ten thousand draws may cost, as a ratio to plain.
    frame: Option<f64>,
    /// The most that a buffer may cost, likewise.
    buffer: Option<f64>,
}

/// Frames with everything on, and buffers at whatever level.
const FRAME_TARGET: Option<f64> = Some(1.10);
const FRAME_OFF_TARGET: Option<f64> = Some(1.04);
const BUFFER_TARGET: Option<f64> = Some(1.35);

const KINDS: [Kind; 6] = [
    Kind { name: BASELINE, program: "plain", arguments: &[], frame: None, buffer: None },
    Kind { name: "custom, unused", program: "custom", arguments: &[], frame: None, buffer: None },
    instrumented("Off", &["--level", "off"], FRAME_OFF_TARGET),
    instrumented("Counters", &["--level", "counters"], FRAME_TARGET),
    instrumented(EVENTS, &["--level", "events"], FRAME_TARGET),
    instrumented(TOUCHES, &["--level", "events", "--touch-lists"], FRAME_TARGET),
];
const EVENTS: &str = "Events";
const TOUCHES: &str = "Events, touch lists";

const fn instrumented(name: &'static str, arguments: &'static [&'static str], frame: Option<f64>) -> Kind {
    Kind { name, program: "instrumented", arguments, frame, buffer: BUFFER_TARGET }
}

/// A case of the subject.
struct Case {
    name: &'static str,
    about: &'static str,
    /// Repetitions of a round.
    times: u64,
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Nanoseconds,
    Microseconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
        }
    }

    fn nanoseconds(self) -> f64 {
        match self {
            Self::Nanoseconds => 1.0,
            Self::Microseconds => 1e3,
        }
    }
}

const fn case(name: &'static str, about: &'static str, times: u64, unit: Unit) -> Case {
    Case { name, about, times, unit }
}

const FRAME: &str = "frame10k";
const BUFFER: &str = "buffer";
/// What touch lists may cost for each call of the frame that binds something, in nanoseconds.
const TOUCH_TARGET: f64 = 3.0;
/// Such calls in the frame.
const BINDS: f64 = 20_000.0;

const ON_NOTHING: [Case; 12] = [
    case("draw", "draw", 200_000, Unit::Nanoseconds),
    case("set-bind-group", "set_bind_group", 200_000, Unit::Nanoseconds),
    case("set-vertex-buffer", "set_vertex_buffer", 200_000, Unit::Nanoseconds),
    case("pass", "render pass, begin + end", 10_000, Unit::Nanoseconds),
    case(BUFFER, "buffer, create + drop", 20_000, Unit::Nanoseconds),
    case("texture", "texture, create + drop", 20_000, Unit::Nanoseconds),
    case("target", "render target, create + drop", 20_000, Unit::Nanoseconds),
    case("bind-group", "bind group of 3, create + drop", 10_000, Unit::Nanoseconds),
    case("write-buffer", "write_buffer of 64 B", 20_000, Unit::Nanoseconds),
    case("submit", "encoder, pass, submit, poll", 2_000, Unit::Nanoseconds),
    case("frame1k", "frame of 1k draws", 60, Unit::Microseconds),
    case(FRAME, "frame of 10k draws", 10, Unit::Microseconds),
];

const ON_LAVAPIPE: [Case; 2] = [
    case("wait1k", "frame of 1k draws on lavapipe, all threads", 5, Unit::Microseconds),
    case("wait10k", "frame of 10k draws on lavapipe, all threads", 1, Unit::Microseconds),
];

/// Runs the programs `plain`, `custom` and `instrumented` of the folder.
pub(super) fn run(effort: Effort, programs: Option<&Path>) -> Result<Vec<Row>, Box<dyn Error>> {
    let programs =
        programs.ok_or("the group `instrument` needs --subjects: start it by `cargo xtask bench instrument`")?;
    let mut rows = Vec::new();
    for (backend, cases) in [("noop", &ON_NOTHING[..]), ("lavapipe", &ON_LAVAPIPE[..])] {
        if let Some(measured) = sittings(effort, programs, backend, cases)? {
            for (case, rounds) in cases.iter().zip(&measured) {
                rows.extend(case_rows(case, rounds));
            }
        }
    }
    Ok(rows)
}

fn case_rows(case: &Case, rounds: &Rounds) -> Vec<Row> {
    let unit = case.unit.name();
    let row = |(index, kind): (usize, &Kind)| {
        let row = Row::new(GROUP, case.about, kind.name, unit, rounds.value(index) / case.unit.nanoseconds());
        if index == 0 {
            return row;
        }
        let row = row.against(BASELINE, rounds.ratio(index, 0));
        let target = match case.name {
            FRAME => kind.frame,
            BUFFER => kind.buffer,
            _ => None,
        };
        match target {
            Some(target) => row.at_most(target),
            None => row,
        }
    };
    let mut rows: Vec<_> = KINDS.iter().enumerate().map(row).collect();
    let place = |name| KINDS.iter().position(|kind| kind.name == name);
    if let (FRAME, Some(events), Some(touches)) = (case.name, place(EVENTS), place(TOUCHES)) {
        let touch = rounds.difference(touches, events) / BINDS;
        rows.push(
            Row::new(GROUP, "touch lists, for each bind of 10k draws", TOUCHES, "ns more", touch).at_most(TOUCH_TARGET),
        );
    }
    rows
}

/// The rounds of each case; `None` where the machine has no such adapter, which is said.
fn sittings(
    effort: Effort,
    programs: &Path,
    backend: &str,
    cases: &[Case],
) -> Result<Option<Vec<Rounds>>, Box<dyn Error>> {
    let mut all: Vec<Rounds> = Vec::new();
    let sittings = effort.rounds.div_ceil(ROUNDS_OF_A_SITTING).min(SITTINGS);
    for _ in 0..sittings {
        let mut processes = Vec::new();
        for kind in &KINDS {
            match Process::start(programs, kind.program, kind.arguments, backend)? {
                Started::Ready(process) => processes.push(RefCell::new(process)),
                Started::Skipped(reason) => {
                    eprintln!("SKIPPED: {GROUP} on {backend}: {reason}");
                    return Ok(None);
                }
            }
        }
        let effort = Effort { rounds: effort.rounds.div_ceil(sittings), ..effort };
        for (index, case) in cases.iter().enumerate() {
            let times = effort.times(case.times);
            let failed = RefCell::new(None);
            let subject = |(kind, process): (&Kind, _)| {
                let (failed, process): (_, &RefCell<Process>) = (&failed, process);
                Subject::new(kind.name, move || {
                    process.borrow_mut().measure(&format!("{} {times}", case.name)).unwrap_or_else(|error| {
                        failed.replace(Some(error));
                        f64::NAN
                    })
                })
            };
            let mut subjects: Vec<_> = KINDS.iter().zip(&processes).map(subject).collect();
            let rounds = alternate(effort, &mut subjects);
            drop(subjects);
            if let Some(error) = failed.into_inner() {
                return Err(error);
            }
            match all.get_mut(index) {
                Some(before) => before.append(rounds),
                None => all.push(rounds),
            }
        }
    }
    Ok(Some(all))
}
