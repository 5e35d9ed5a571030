//! What the environment asks for at the end: a program of its own for each, which is this one run again.
#![cfg(feature = "telemetry")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use engine_vitals::analysis::Dump;
use engine_vitals::{Context, New, OwnerKind, ResourceKind, Vitals};
use std::fs::{self, File};
use std::process::{Command, Output};
use tempfile::TempDir;

/// What the program runs that the others start: an engine that drops its device and keeps a buffer.
#[test]
fn engine() {
    if std::env::var_os("AT_EXIT_ENGINE").is_none() {
        return;
    }
    let vitals = Vitals::builder().without_server().start();
    for notice in vitals.notices().iter().filter(|notice| notice.contains("ENGINE_VITALS_")) {
        println!("notice: {notice}");
    }
    let probe = vitals.probe();
    let device = probe.create(New::of(ResourceKind::DEVICE, 0));
    let queue = probe.create(New::of(ResourceKind::QUEUE, 0));
    vitals.frame();
    let owned = Context::current().with_owner(probe.owner_named(OwnerKind::ROOT_VISUAL, 1, "ui")).enter();
    let leaked = probe.create(New::buffer(4096).label("leaked"));
    drop(owned);
    drop(device);
    assert_eq!(vitals.leaks().resources.len(), 1);
    assert_eq!(vitals.dump().resources.len(), 2);
    drop(vitals);
    println!("ended");
    drop((leaked, queue));
}

fn run(variables: &[(&str, &str)]) -> Output {
    let mut engine = Command::new(std::env::current_exe().unwrap());
    engine.args(["--exact", "engine", "--nocapture"]).env("AT_EXIT_ENGINE", "1");
    engine.env_remove("ENGINE_VITALS_DUMP").env_remove("ENGINE_VITALS_LEAKS").env_remove("ENGINE_VITALS_HEAP_PROFILE");
    let output = engine.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn nothing_is_written_where_nothing_is_asked_for() {
    for variables in [&[][..], &[("ENGINE_VITALS_DUMP", ""), ("ENGINE_VITALS_LEAKS", "0")]] {
        let output = run(variables);
        assert!(out(&output).contains("ended") && !out(&output).contains("notice"), "{output:?}");
        assert_eq!(errors(&output), "");
    }
}

#[test]
fn a_dump_is_written_in_the_form_that_its_name_asks_for() {
    let folder = TempDir::new().unwrap();
    for name in ["dump.json", "dump.txt", "dump"] {
        let path = folder.path().join(name);
        let output = run(&[("ENGINE_VITALS_DUMP", path.to_str().unwrap())]);
        assert_eq!(errors(&output), "");
        if name == "dump.json" {
            let dump = Dump::read_json(File::open(&path).unwrap(), 1 << 20).unwrap();
            assert_eq!(dump.resources.iter().map(|one| &*one.kind).collect::<Vec<_>>(), ["queue", "buffer"]);
            assert_eq!(
                dump.totals.lanes.iter().map(|lane| (&*lane.lane, lane.presented)).collect::<Vec<_>>(),
                [("main", 1)]
            );
        } else {
            assert!(fs::read_to_string(&path).unwrap().contains("\"leaked\""));
        }
    }
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["dump", "dump.json", "dump.txt"]);
}

#[test]
fn leaks_are_written_with_label_owner_and_site_and_what_stands_apart() {
    let text = errors(&run(&[("ENGINE_VITALS_LEAKS", "1")]));
    assert!(text.starts_with("engine-vitals: 1 resource is not released\n"), "{text}");
    let row = text.lines().find(|line| line.contains("\"leaked\"")).unwrap();
    assert!(row.contains("root_visual 1 \"ui\"") && row.contains("tests/at_exit.rs:"), "{row}");
    let standing = text.split("still there, as they may be").nth(1).unwrap();
    assert!(standing.contains("queue") && !standing.contains("buffer"), "{text}");
}

#[test]
fn what_makes_no_sense_is_noticed() {
    let folder = TempDir::new().unwrap();
    let nowhere = folder.path().join("nowhere/dump.json");
    let output = run(&[("ENGINE_VITALS_DUMP", nowhere.to_str().unwrap()), ("ENGINE_VITALS_LEAKS", "\u{1b}[2J")]);
    assert!(out(&output).contains("notice: ENGINE_VITALS_DUMP has no effect, since its folder does not exist"));
    assert!(out(&output).contains("notice: ENGINE_VITALS_LEAKS has no effect: use 1"));
    assert!(!out(&output).contains("nowhere") && !out(&output).contains('\u{1b}'), "{output:?}");
    assert_eq!((errors(&output).as_str(), fs::read_dir(folder.path()).unwrap().count()), ("", 0));
}

/// This program's allocator is the system's.
#[test]
fn a_heap_profile_that_cannot_be_had_is_told_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("heap.folded");
    let output = run(&[("ENGINE_VITALS_HEAP_PROFILE", path.to_str().unwrap())]);
    if cfg!(feature = "call-sites") {
        let expected = "engine-vitals: no heap profile (ENGINE_VITALS_HEAP_PROFILE): no allocation was sampled: ";
        assert!(errors(&output).starts_with(expected) && errors(&output).contains("with_call_sites"), "{output:?}");
        let nowhere = folder.path().join("nowhere/heap.pb.gz");
        let output = run(&[("ENGINE_VITALS_HEAP_PROFILE", nowhere.to_str().unwrap())]);
        let expected = "notice: ENGINE_VITALS_HEAP_PROFILE has no effect, since its folder does not exist";
        assert!(out(&output).contains(expected) && errors(&output).is_empty(), "{output:?}");
    } else {
        assert!(
            out(&output).contains("notice: ENGINE_VITALS_HEAP_PROFILE has no effect: ") && errors(&output).is_empty()
        );
        assert!(out(&output).contains("`call-sites`"), "{output:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A folder that is there and takes no files.
#[cfg(target_os = "linux")]
#[test]
fn a_dump_that_cannot_be_written_is_told_and_stops_nothing() {
    let folder = TempDir::new().unwrap();
    let link = folder.path().join("folder");
    std::os::unix::fs::symlink("/proc", &link).unwrap();
    let output = run(&[("ENGINE_VITALS_DUMP", link.join("dump.json").to_str().unwrap())]);
    assert!(errors(&output).starts_with("engine-vitals: the dump (ENGINE_VITALS_DUMP) could not be written: "));
    assert!(out(&output).contains("ended"));
}
