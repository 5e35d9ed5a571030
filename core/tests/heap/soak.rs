//! The soak: a load of 64 threads in a process of its own, compared with the shadow from before `main` to after the last exit handler.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(target_os = "linux")]
use super::edges::{self, Foreign};
use super::load::{Done, Load};
use super::shadow::Compared;
use super::switches::Errors;
use super::{end_the_process_on_a_panic, operations, seed};

/// Threads of the load, at any time.
const THREADS: usize = 64;
/// Comparisons during the load, while all threads are alive and none allocates.
const RESTS: u64 = 10;
/// The argument that makes a program the child.
const CHILD: &str = "--soak-in-this-process";

static SOAKING: AtomicBool = AtomicBool::new(false);

/// Whether this process is the child, and has begun.
#[cfg(target_os = "linux")]
pub(super) fn is_soaking() -> bool {
    SOAKING.load(Ordering::Relaxed)
}

/// What the child's lines begin with.
const STAGE: &str = "stage ";
const DONE: &str = "done: ";

/// Every figure compared, told by the child in one line that `expected_stages` names.
pub(super) fn report(stage: &str, compared: &Compared) {
    let (operations, bytes, counts) = (compared.operations(), compared.byte_error(), compared.count_error());
    match compared.switched {
        None => println!("{STAGE}{stage} operations {operations} byte-error {bytes} count-error {counts}"),
        Some(Errors { tags, sizes, allocated_sigmas, live_sigmas }) => println!(
            "{STAGE}{stage} operations {operations} byte-error {bytes} count-error {counts} tag-error {tags} \
             size-error {sizes} allocated-sigmas {allocated_sigmas:.2} live-sigmas {live_sigmas:.2}"
        ),
    }
}

/// Such a line.
struct Report<'a> {
    stage: &'a str,
    operations: u64,
    /// Those of the totals.
    errors: [u64; 2],
    switched: Option<Errors>,
}

impl<'a> Report<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let words: Vec<&str> = line.strip_prefix(STAGE)?.split(' ').collect();
        let number = |text: &str| text.parse().expect(line);
        let [stage, "operations", operations, "byte-error", bytes, "count-error", counts, ref rest @ ..] = words[..]
        else {
            panic!("not a stage: {line}");
        };
        let switched = match *rest {
            [] => None,
            ["tag-error", tags, "size-error", sizes, "allocated-sigmas", allocated, "live-sigmas", live] => {
                Some(Errors {
                    tags: number(tags),
                    sizes: number(sizes),
                    allocated_sigmas: allocated.parse().expect(line),
                    live_sigmas: live.parse().expect(line),
                })
            }
            _ => panic!("not a stage: {line}"),
        };
        Some(Self { stage, operations: number(operations), errors: [number(bytes), number(counts)], switched })
    }
}

fn expected_stages() -> Vec<String> {
    let linux = |stage: &str| cfg!(target_os = "linux").then(|| stage.to_owned());
    let rests = (0..RESTS).map(|rest| format!("rest-{rest}"));
    let start = linux("before-main").into_iter().chain(["start-of-main".to_owned()]);
    start.chain(rests).chain(["all-joined".to_owned()]).chain(linux("at-exit")).chain(linux("after-exit")).collect()
}

/// Soaks in a child process, and asserts that it reported every stage, with no error in any.
pub(super) fn soak() -> String {
    let program = std::env::current_exe().expect("a test program knows its file");
    let output = Command::new(program).arg(CHILD).stderr(Stdio::inherit()).output().expect("it can be started again");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the child ended with {}:\n{said}", output.status);
    let reports: Vec<Report<'_>> = said.lines().filter_map(Report::parse).collect();
    let stages: Vec<&str> = reports.iter().map(|report| report.stage).collect();
    assert_eq!(stages, expected_stages(), "{said}");
    for report in &reports {
        assert_eq!(report.errors, [0, 0], "{}:\n{said}", report.stage);
        assert_eq!(report.switched.is_some(), crate::MEAN_INTERVAL.is_some(), "{}:\n{said}", report.stage);
        assert!(report.switched.is_none_or(|errors| errors.none()), "{}:\n{said}", report.stage);
    }
    let last = reports.last().expect("there are stages");
    assert!(last.operations >= operations(), "{said}");
    let done = said.lines().find_map(|line| line.strip_prefix(DONE)).expect("the child tells what it did");
    let switched = last.switched.map_or_else(String::new, |errors| {
        format!(
            " (those of tags and sizes too; the sample's estimates at the end within {:.2} standard deviations)",
            errors.allocated_sigmas.max(errors.live_sigmas)
        )
    });
    format!("{} operations, byte error 0 at {} stages{switched}; {done}", last.operations, reports.len())
}

/// Does the child's work if the program was started as the child. The caller then returns from `main`, and the process ends as any other.
pub(super) fn was_the_child() -> bool {
    if !std::env::args().any(|argument| argument == CHILD) {
        return false;
    }
    SOAKING.store(true, Ordering::Relaxed);
    #[cfg(target_os = "linux")]
    {
        report("before-main", &edges::compared_before_main());
        edges::register_exit_handler();
    }
    report("start-of-main", &Compared::now());
    end_the_process_on_a_panic();
    let load = Load { threads: THREADS, operations: operations(), rests: RESTS, seed: seed() };
    let done = load.run(|rest| report(&format!("rest-{rest}"), &Compared::now()));
    #[cfg(target_os = "linux")]
    (0..3).for_each(|_| Foreign::that_allocates_at_its_very_end().join().expect("it does not panic"));
    let compared = Compared::now();
    report("all-joined", &compared);
    compared.assert_every_kind_occurred();
    let Done { threads, foreign, panicked, caught, crossings, polls } = done;
    assert!(threads > THREADS as u64 && panicked > 0 && caught > 0 && crossings > 0 && polls > 0, "{done:?}");
    assert_eq!(foreign > 0, cfg!(target_os = "linux"), "{done:?}");
    println!(
        "{DONE}seed {}: {threads} threads, {THREADS} at a time, {foreign} of them foreign, {panicked} ended by a panic; \
         {caught} panics survived, {crossings} blocks crossed threads, {polls} readings meanwhile",
        seed()
    );
    true
}
