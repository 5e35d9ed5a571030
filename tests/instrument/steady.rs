//! The scene itself: what it puts out depends on nothing but the adapter, so that two runs can be compared.

use crate::scene::{self, Entry, Value};
use crate::support::{skipped, skipped_without_adapter};

#[test]
fn the_scene_puts_out_the_same_twice() {
    let test = "the_scene_puts_out_the_same_twice";
    let Some(first) = scene::run(&scene::gpu_instance(), &mut |_, _| {}) else {
        return skipped_without_adapter(test);
    };
    for Entry { name, value } in &first {
        if let Value::Skipped(why) = value {
            skipped(test, &format!("{name}: {why}"));
        }
    }
    no_stray_errors(&first);
    let varied = |bytes: &[u8]| bytes.iter().any(|byte| *byte != bytes[0]);
    let drawn = first.iter().filter(|entry| matches!(&entry.value, Value::Bytes(bytes) if varied(bytes)));
    assert!(drawn.count() > 60, "the scene draws nothing");
    let second = scene::run(&scene::gpu_instance(), &mut |_, _| {}).unwrap();
    scene::assert_same(&first, &second);
}

#[test]
fn the_scene_runs_on_the_noop_backend() {
    let first = scene::run(&scene::noop_instance(), &mut |_, _| {}).unwrap();
    no_stray_errors(&first);
    let second = scene::run(&scene::noop_instance(), &mut |_, _| {}).unwrap();
    scene::assert_same(&first, &second);
}

/// Every error of the scene is one that it asks for.
fn no_stray_errors(entries: &[Entry]) {
    let ends: Vec<_> = entries.iter().filter(|entry| entry.name.ends_with(" at its end")).collect();
    assert!(ends.len() > 100, "{} ends of stages", ends.len());
    for Entry { name, value } in ends {
        let fine = ["no error", "no panic"].map(|text| Value::Text(text.to_owned()));
        assert!(fine.contains(value), "{name}: {value:?}");
    }
}
