//! Test suites of others, each run with a plain instance and with an instrumented one: the same tests pass, fail or
//! bring the process down.

use crate::programs;
use crate::support::{skipped, skipped_without_adapter};
use engine_vitals_third_party::{MODE, Mode};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    Ignored,
    /// The process died: a driver may do that to tests that pass on another.
    Died,
}

type Ends = BTreeMap<String, End>;

#[test]
fn the_suite_of_wgpu_profiler() {
    let suite = Suite { program: "profiler_suite", backend: None, least: 9 };
    suite.compare("the_suite_of_wgpu_profiler", &[Mode::Instrumented, Mode::Nested]);
}

#[test]
fn the_suite_of_wgpu_profiler_on_gl() {
    let suite = Suite { program: "profiler_suite", backend: Some("gl"), least: 9 };
    suite.compare("the_suite_of_wgpu_profiler_on_gl", &[Mode::Instrumented, Mode::Nested]);
}

#[test]
fn the_suite_of_cubecl() {
    let suite = Suite { program: "cubecl_suite", backend: None, least: 500 };
    suite.compare("the_suite_of_cubecl", &[Mode::Instrumented]);
}

struct Suite {
    program: &'static str,
    /// What `WGPU_BACKEND` is set to.
    backend: Option<&'static str>,
    /// So many tests must pass.
    least: usize,
}

impl Suite {
    /// Runs the suite with a plain instance and in these modes.
    #[expect(clippy::print_stdout, reason = "how many cases there were belongs to the result")]
    fn compare(&self, test: &str, modes: &[Mode]) {
        if !crate::gpu::available() {
            return skipped_without_adapter(test);
        }
        if self.backend == Some("gl") && !crate::gpu::available_on(wgpu::Backends::GL) {
            return skipped(test, "no GL adapter (install libegl1 and libgl1-mesa-dri)");
        }
        let program = programs::suite(self.program);
        let plain = self.run(&program, Mode::Plain, &[]);
        let passed = plain.values().filter(|end| **end == End::Passed).count();
        assert!(passed >= self.least, "{test}: {passed} of {} pass", plain.len());
        let mut deadly = Vec::new();
        for (name, end) in &plain {
            match end {
                End::Passed | End::Ignored => {}
                End::Failed => skipped(test, &format!("{name} fails on this driver, instrumented or not")),
                End::Died => {
                    skipped(test, &format!("{name} brings this driver down, instrumented or not"));
                    deadly.push(name.clone());
                }
            }
        }
        for mode in modes {
            let ends = self.run(&program, *mode, &deadly);
            let differ: Vec<_> = plain.iter().filter(|(name, end)| ends.get(*name) != Some(*end)).collect();
            assert!(differ.is_empty(), "{test}, {}: ends otherwise than {differ:?}", mode.name());
            assert_eq!(ends.len(), plain.len());
            println!("{test}: {passed} of {} pass, {} as plain", plain.len(), mode.name());
        }
    }

    /// Runs all tests one after the other, those that are `deadly` each in a process of its own. When another one brings
    /// the process down, the next process goes on with the rest.
    fn run(&self, program: &Path, mode: Mode, deadly: &[String]) -> Ends {
        let (apart, together): (Vec<_>, Vec<_>) = list(program).into_iter().partition(|name| deadly.contains(name));
        let mut ends = Ends::new();
        for mut left in std::iter::once(together).chain(apart.into_iter().map(|name| vec![name])) {
            while !left.is_empty() {
                let before = ends.len();
                let said = self.run_process(program, mode, &left);
                ends.extend(said.lines().filter_map(end));
                left.retain(|name| !ends.contains_key(name));
                assert!(ends.len() > before, "{}: no test was run: {said}", mode.name());
            }
        }
        ends
    }

    fn run_process(&self, program: &Path, mode: Mode, tests: &[String]) -> String {
        let mut suite = Command::new(program);
        suite.args(["--test-threads", "1", "--exact"]).args(tests).env(MODE, mode.name()).stdin(Stdio::null());
        suite.envs(self.backend.map(|backend| ("WGPU_BACKEND", backend)));
        String::from_utf8_lossy(&suite.output().unwrap().stdout).into_owned()
    }
}

fn list(program: &Path) -> Vec<String> {
    let output = Command::new(program).args(["--list", "--format", "terse"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// `test <name> ... <end>`; a test that has no end was the process's last.
fn end(line: &str) -> Option<(String, End)> {
    let (name, end) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    Some((
        name.to_owned(),
        match end {
            "ok" => End::Passed,
            "FAILED" => End::Failed,
            ignored if ignored.starts_with("ignored") => End::Ignored,
            _ => End::Died,
        },
    ))
}
