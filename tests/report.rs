//! The lifecycle report of a whole program: on stderr, and from `Vitals`.
#![cfg(feature = "telemetry")]
#![expect(clippy::unwrap_used, reason = "a test: helpers may fail it too")]

use std::process::Command;

use engine_vitals::analysis::{Rules, StartupEnd};
use engine_vitals::{Context, New, OwnerKind, PacketResult, ResourceKind, Vitals};

/// Tells a process that it is to run the program.
const CHILD: &str = "ENGINE_VITALS_TEST_CHILD";

/// Makes a queue anew in each of five frames, calms down, and is torn down.
fn program() -> Vitals {
    let mut rules = Rules::default();
    rules.stable_packets = 3;
    let vitals = Vitals::builder().without_server().churn_rules(rules).start();
    let probe = vitals.probe();
    let owner = probe.owner_named(OwnerKind::CHILD_VISUAL, 4, "panel");
    let mut queue = None;
    for frame in 0..10 {
        if frame < 5 {
            let _owned = Context::current().with_owner(owner).enter();
            queue = Some(probe.create(New::of(ResourceKind::COMMAND_QUEUE, 0).label("panel's queue")));
        }
        vitals.frame_ended(if frame == 2 { PacketResult::Dropped } else { PacketResult::Presented });
    }
    vitals.begin_shutdown();
    drop(queue);
    vitals
}

/// What this very test writes to stderr in a process of its own, with the toggle set so.
fn stderr_of(test: &str, toggle: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("ENGINE_VITALS_REPORT", toggle)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    stderr
}

#[test]
fn the_report_is_had_at_any_time() {
    let vitals = program();
    let report = vitals.report().unwrap();
    let startup = &report.startup;
    assert_eq!(startup.ended, Some(StartupEnd::Stable));
    assert!(startup.window.packets.presented >= 3);
    // Both windows together: what the program did.
    let presented: u64 = report.windows().map(|window| window.packets.presented).sum();
    let dropped: u64 = report.windows().map(|window| window.packets.dropped).sum();
    assert_eq!((presented, dropped), (9, 1));
    let queues: Vec<_> = report.windows().flat_map(|window| &window.destroyed_resources).collect();
    assert_eq!(queues.len(), 5, "four made anew, and the last torn down");
    assert!(queues.iter().all(|queue| queue.label.as_deref() == Some("panel's queue")));
    let shutdown = report.shutdown.as_ref().unwrap();
    assert_eq!((shutdown.churn.created, shutdown.churn.destroyed), (0, 1));
    assert_eq!(startup.window.contributors[0].owner.name.as_deref(), Some("panel"));
}

#[test]
fn the_startup_is_written_once_and_all_windows_at_the_end() {
    if std::env::var_os(CHILD).is_some() {
        drop(program());
        return;
    }
    let written = stderr_of("the_startup_is_written_once_and_all_windows_at_the_end", "1");
    let (startup, end) = written.split_once("Lifecycle report").unwrap_or_else(|| panic!("no report:\n{written}"));
    let count = |text: &str, what: &str| text.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!(["StartupWindow", "SteadyStateWindow", "ShutdownWindow"].map(|name| count(startup, name)), [1, 0, 0]);
    assert_eq!(["StartupWindow", "SteadyStateWindow", "ShutdownWindow"].map(|name| count(end, name)), [1, 1, 1]);
    assert!(startup.contains("child_visual 4 \"panel\""), "{written}");
}

#[test]
fn a_toggle_that_is_not_1_writes_nothing_and_is_noticed() {
    if std::env::var_os(CHILD).is_some() {
        let vitals = program();
        let wanted = std::env::var("ENGINE_VITALS_REPORT").unwrap();
        let noticed = vitals.notices().iter().any(|notice| notice.starts_with("ENGINE_VITALS_REPORT has no effect"));
        assert_eq!(noticed, wanted != "0" && !wanted.is_empty(), "{:?}", vitals.notices());
        return;
    }
    for toggle in ["", "0", "2", "true", "1 ", "\u{1b}[2J"] {
        let written = stderr_of("a_toggle_that_is_not_1_writes_nothing_and_is_noticed", toggle);
        assert!(!written.contains("StartupWindow"), "{toggle:?}: {written}");
    }
}
