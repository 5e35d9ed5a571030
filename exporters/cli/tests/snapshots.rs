//! The built program on snapshots that are good, bad or none.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use engine_vitals_core::analysis::{Dump, DumpOptions};
use engine_vitals_core::contract::{MemoryPoolReport, Store, StoreReport};
use engine_vitals_core::probe::{Context, New, OwnerKind, Ticket};
use engine_vitals_core::tracker::Tracker;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tempfile::TempDir;

/// Two snapshots of an engine that leaks between them.
struct Files {
    folder: TempDir,
    before: PathBuf,
    after: PathBuf,
}

fn files() -> Files {
    let tracker = Tracker::new();
    let probe = tracker.probe();
    let folder = TempDir::new().unwrap();
    let write = |name: &str| {
        let path = folder.path().join(name);
        let dump = Dump::take(&tracker, &DumpOptions::default());
        dump.write_json(File::create(&path).unwrap()).unwrap();
        path
    };
    let owned = Context::current().with_owner(probe.owner_named(OwnerKind::ROOT_VISUAL, 1, "ui")).enter();
    let atlas = probe.create(New::texture(1 << 20).label("atlas"));
    let scratch = probe.create(New::buffer(4096).label("scratch"));
    let before = write("before.json");
    drop(scratch);
    let leaked: Vec<Ticket> = (0..3).map(|_| probe.create(New::texture(1 << 21).label("leaked"))).collect();
    let after = write("after.json");
    drop((owned, atlas, leaked));
    Files { folder, before, after }
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_engine-vitals"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn printed(output: &Output, code: i32) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(code));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn failed(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(!error.contains('\u{1b}'), "{error:?}");
    error
}

#[test]
fn a_snapshot_is_shown_by_kind_by_owner_and_by_size() {
    let files = files();
    let shown = printed(&run(&["inspect", text(&files.after)]), 0);
    assert!(shown.contains("4 resources, 7.00 MiB"), "{shown}");
    let row = shown.lines().find(|line| line.contains("\"leaked\"")).unwrap();
    assert!(row.starts_with("  2.00 MiB  texture") && row.contains("root_visual 1 \"ui\""), "{row}");
    assert!(row.contains("snapshots.rs:"), "{row}");
    assert!(!shown.contains("resource graph"), "{shown}");
    let shown = printed(&run(&["inspect", text(&files.after), "--graph", "--packets", "--timeline", "--top", "2"]), 0);
    assert!(shown.contains("resource graph\nroot_visual 1 \"ui\": 4 resources, 7.00 MiB\n"), "{shown}");
    assert!(shown.contains("  and 2 more\n"), "{shown}");
    assert!(shown.contains("created and released since the start, without passing kinds"), "{shown}");
}

#[test]
fn the_difference_comes_with_a_code() {
    let files = files();
    let (before, after) = (text(&files.before), text(&files.after));
    let shown = printed(&run(&["diff", before, after]), 1);
    assert!(shown.starts_with("2 resources and 1.00 MiB before, 4 and 7.00 MiB after: +2, +6.00 MiB"), "{shown}");
    let rows: Vec<_> = shown.lines().skip(2).collect();
    assert!(rows[0].contains("+6.00 MiB") && rows[0].contains("\"leaked\""), "{shown}");
    assert!(rows[1].contains("-4.00 KiB") && rows[1].contains("\"scratch\""), "{shown}");
    assert_eq!(rows.len(), 2, "{shown}");

    let json: serde_json::Value = serde_json::from_str(&printed(&run(&["diff", before, after, "--json"]), 1)).unwrap();
    let first = &json["changes"][0];
    assert_eq!((&first["label"], &first["net_bytes"]), (&"leaked".into(), &(3 << 21).into()));
    assert_eq!((&first["owner"]["name"], &first["appeared"]["count"]), (&"ui".into(), &3.into()));

    assert!(printed(&run(&["diff", after, after]), 0).contains("nothing changed"));
    assert!(printed(&run(&["diff", after, before]), 1).contains("the newer dump was taken first"));
}

/// A pool that has refused so many requests.
#[derive(Debug)]
struct Refusing(AtomicU64);

impl Store for Refusing {
    fn report(&self) -> StoreReport {
        let failures = self.0.load(Ordering::Relaxed);
        StoreReport::MemoryPool(MemoryPoolReport { name: "meshes".into(), failures, ..MemoryPoolReport::default() })
    }
}

#[test]
fn a_pool_that_refuses_is_a_difference_without_any_of_resources() {
    let tracker = Tracker::new();
    let pool = Arc::new(Refusing(AtomicU64::new(1)));
    let listed: Weak<Refusing> = Arc::downgrade(&pool);
    tracker.probe().list(listed);
    let folder = TempDir::new().unwrap();
    let [before, after] = ["before.json", "after.json"].map(|name| {
        let path = folder.path().join(name);
        Dump::take(&tracker, &DumpOptions::default()).write_json(File::create(&path).unwrap()).unwrap();
        pool.0.fetch_add(4, Ordering::Relaxed);
        path
    });
    let shown = printed(&run(&["diff", text(&before), text(&after)]), 1);
    assert!(
        shown.contains("memory pools\n") && !shown.contains("staging rings") && !shown.contains("appeared"),
        "{shown}"
    );
    let row = shown.lines().find(|line| line.ends_with("meshes")).unwrap();
    assert!(row.contains("+4"), "{shown}");
    let json = printed(&run(&["diff", text(&before), text(&after), "--json"]), 1);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["memory_pools"][0]["after"]["failures"], 5);
    assert!(printed(&run(&["diff", text(&after), text(&after)]), 0).contains("nothing changed"));
}

#[test]
fn what_is_no_snapshot_is_refused_with_its_place() {
    let files = files();
    let path = |name: &str, content: &[u8]| {
        let path = files.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let good = std::fs::read(&files.after).unwrap();
    let cut = path("cut.json", &good[..good.len() / 2]);
    let other = path("other.json", b"{\"format\":\"\\u001b[2J\"}");
    let binary = path("binary", &[0xff; 100]);
    let missing = files.folder.path().join("missing.json");
    for (bad, reason) in [
        (text(&cut), "EOF"),
        (text(&other), "line 1, column"),
        (text(&binary), "line 1, column 1"),
        (text(&missing), "cannot read"),
        (text(files.folder.path()), "is no file"),
        ("/dev/zero", if cfg!(unix) { "is no file" } else { "cannot read" }),
    ] {
        for arguments in [vec!["inspect", bad], vec!["diff", text(&files.before), bad], vec!["diff", bad, bad]] {
            let error = failed(&run(&arguments), 6);
            assert!(error.contains(reason) && error.contains(bad), "{error}");
        }
    }
    failed(&run(&["inspect"]), 2);
    failed(&run(&["diff", text(&files.before)]), 2);
}

#[test]
fn exit_codes_are_in_the_help() {
    for command in ["inspect", "diff"] {
        assert!(printed(&run(&[command, "--help"]), 0).contains("6  inspect, diff: a snapshot could not be read"));
    }
}
