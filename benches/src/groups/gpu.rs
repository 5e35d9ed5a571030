//! What it costs to have the time of frames and passes on the GPU, against the same frames without, wgpu-profiler, and wgpu's own calls alone.
//!
//! A frame has twenty passes that share its draws. The backend does nothing, so that the CPU time is wgpu's and the timers'. What is compared
//! with each other is measured in one process, in turns, since two processes differ by more than a timer costs; only what instrumentation
//! itself costs is between two. What a timer costs does not hang on the draws, and a thousand of them vary by more than it: in nanoseconds
//! it is told from frames without any.

use std::cell::RefCell;
use std::error::Error;
use std::path::Path;

use super::process::{Process, Started};
use crate::harness::{Effort, Rounds, Subject, alternate};
use crate::report::Row;

const GROUP: &str = "gpu";
const PASSES: f64 = 20.0;
/// Processes one after the other, at most, and the rounds that one is worth.
const SITTINGS: usize = 5;
const ROUNDS_OF_A_SITTING: usize = 4;
/// The most that the four hooks may add to a frame of a thousand draws, in percent.
const HOOKS_TARGET: f64 = 1.0;

/// Who takes the time of a frame.
struct Kind {
    name: &'static str,
    program: usize,
    timing: &'static str,
    /// What it is compared with; itself for a baseline.
    baseline: usize,
}

const fn kind(name: &'static str, program: usize, timing: &'static str, baseline: usize) -> Kind {
    Kind { name, program, timing, baseline }
}

/// On wgpu as it is, and instrumented.
const PROGRAMS: [(&str, &[&str]); 2] =
    [("timed", &["--stamps"]), ("instrumented", &["--stamps", "--level", "counters"])];

const PLAIN: usize = 0;
const HOOKS: usize = 2;
const PROFILER: usize = 4;
const UNTIMED: usize = 5;
const AUTOMATIC: usize = 7;
const KINDS: [Kind; 8] = [
    kind("plain", 0, "plain", PLAIN),
    kind("4 stamps, calls alone", 0, "stamps", PLAIN),
    kind("four hooks", 0, "hooks", PLAIN),
    kind("40 stamps, calls alone", 0, "pass-stamps", PLAIN),
    kind("wgpu-profiler", 0, "profiler", PLAIN),
    kind("instrumented", 1, "plain", PLAIN),
    kind("instrumented, four hooks", 1, "hooks", UNTIMED),
    kind("instrumented, each pass", 1, "automatic", UNTIMED),
];

/// A frame, by its draws.
struct Frame {
    about: &'static str,
    draws: u64,
    /// Repetitions of a round.
    times: u64,
    /// So many times more rounds than otherwise, where they are short.
    more_rounds: usize,
}

const EMPTY: usize = 0;
const THOUSAND: usize = 1;
const FRAMES: [Frame; 3] = [
    Frame { about: "no draws", draws: 0, times: 200, more_rounds: 3 },
    Frame { about: "1k draws", draws: 1_000, times: 30, more_rounds: 3 },
    Frame { about: "10k draws", draws: 10_000, times: 10, more_rounds: 1 },
];

/// Runs the programs `timed` and `instrumented` of the folder.
pub(super) fn run(effort: Effort, programs: Option<&Path>) -> Result<Vec<Row>, Box<dyn Error>> {
    let programs = programs.ok_or("the group `gpu` needs --subjects: start it by `cargo xtask bench gpu`")?;
    let measured = sittings(effort, programs)?;
    let mut rows = Vec::new();
    for (frame, rounds) in FRAMES.iter().zip(&measured) {
        for (index, kind) in KINDS.iter().enumerate() {
            let case = format!("frame of {} in 20 passes", frame.about);
            let row = Row::new(GROUP, case, kind.name, "us", rounds.value(index) / 1e3);
            rows.push(if index == PLAIN {
                row
            } else {
                row.against(KINDS[kind.baseline].name, rounds.ratio(index, kind.baseline))
            });
        }
    }
    if let (Some(empty), Some(thousand)) = (measured.get(EMPTY), measured.get(THOUSAND)) {
        rows.extend(timers(empty, thousand));
    }
    rows.extend(held(programs)?);
    Ok(rows)
}

/// What it costs to have a time.
fn timers(empty: &Rounds, thousand: &Rounds) -> Vec<Row> {
    let more = |index: usize| empty.difference(index, KINDS[index].baseline);
    let mut rows = Vec::new();
    for (index, kind) in KINDS.iter().enumerate() {
        if matches!(kind.timing, "stamps" | "hooks") {
            rows.push(Row::new(GROUP, "a frame's time", kind.name, "ns more", more(index)));
        } else if index != PLAIN && index != UNTIMED {
            let row = Row::new(GROUP, "a pass's time", kind.name, "ns more", more(index) / PASSES);
            rows.push(if index == AUTOMATIC { row.at_most(more(PROFILER) / PASSES) } else { row });
        }
    }
    let share = more(HOOKS) / thousand.value(PLAIN) * 100.0;
    rows.push(
        Row::new(GROUP, "a frame's time, of a plain frame of 1k draws", KINDS[HOOKS].name, "%", share)
            .at_most(HOOKS_TARGET),
    );
    rows
}

/// What the timers keep, and what they allocate.
fn held(programs: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    // What instrumentation keeps for a device comes with the device, and is not told from it here.
    for kind in KINDS.iter().filter(|kind| matches!(kind.timing, "hooks" | "profiler")) {
        // What is made for a device once is made anew in another process.
        let bytes = started(programs)?[kind.program].get_mut().measure(&format!("bytes {} 1", kind.timing))?;
        rows.push(Row::new(GROUP, "memory held, with the GPU's buffers", kind.name, "bytes", bytes));
    }
    let mut processes = started(programs)?;
    for kind in &KINDS {
        let process = processes[kind.program].get_mut();
        let allocations = process.measure(&format!("allocations {} 1000", kind.timing))?;
        rows.push(Row::new(GROUP, "allocations for a frame of 20 empty passes", kind.name, "allocations", allocations));
    }
    Ok(rows)
}

fn started(programs: &Path) -> Result<Vec<RefCell<Process>>, Box<dyn Error>> {
    let start = |(program, arguments): &(&str, &[&str])| match Process::start(programs, program, arguments, "noop")? {
        Started::Ready(process) => Ok(RefCell::new(process)),
        // Every machine has the backend that does nothing.
        Started::Skipped(reason) => Err(reason.into()),
    };
    PROGRAMS.iter().map(start).collect()
}

/// The rounds of each frame.
fn sittings(effort: Effort, programs: &Path) -> Result<Vec<Rounds>, Box<dyn Error>> {
    let mut all: Vec<Rounds> = Vec::new();
    let sittings = effort.rounds.div_ceil(ROUNDS_OF_A_SITTING).min(SITTINGS);
    for _ in 0..sittings {
        let processes = started(programs)?;
        for (index, &Frame { draws, times, more_rounds, .. }) in FRAMES.iter().enumerate() {
            let effort = Effort { rounds: effort.rounds.div_ceil(sittings) * more_rounds, ..effort };
            let times = effort.times(times);
            let failed = RefCell::new(None);
            let subject = |kind: &Kind| {
                let (failed, process) = (&failed, &processes[kind.program]);
                let line = format!("frames {} {draws} {times}", kind.timing);
                Subject::new(kind.name, move || {
                    process.borrow_mut().measure(&line).unwrap_or_else(|error| {
                        failed.replace(Some(error));
                        f64::NAN
                    })
                })
            };
            let mut subjects: Vec<_> = KINDS.iter().map(subject).collect();
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
    Ok(all)
}
