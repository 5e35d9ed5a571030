//! A window under Xvfb: frames, resizes, surfaces that are outdated and made anew, with and without instrumentation. Each
//! run has a process of its own, since a process has one event loop.

mod shown;

use crate::support::{Guarded, Xvfb, skipped_without_adapter};
use std::process::{Command, Stdio};

/// Tells a child what to instrument its window with.
const LAYERS: &str = "INSTRUMENT_TEST_LAYERS";
/// What a child writes when there is no adapter for its window.
const NO_ADAPTER: &str = "no adapter";

#[test]
fn a_window_shows_the_same_and_its_frames_are_packets() {
    if let Ok(layers) = std::env::var(LAYERS) {
        return child(layers.parse().unwrap());
    }
    let test = "a_window_shows_the_same_and_its_frames_are_packets";
    let Some(display) = Xvfb::start(test) else { return };
    let plain = run(&display, 0);
    if plain.trim() == NO_ADAPTER {
        return skipped_without_adapter(test);
    }
    assert!(plain.lines().count() > 40, "{plain}");
    for layers in [1, 2] {
        let seen = run(&display, layers);
        for (plain, seen) in plain.lines().zip(seen.lines()) {
            assert_eq!(plain, seen, "in the window with {layers} layers");
        }
        assert_eq!(plain.lines().count(), seen.lines().count());
    }
}

/// The part of the test that runs in a process of its own.
fn child(layers: usize) {
    let seen = shown::run(layers).unwrap_or_else(|| NO_ADAPTER.to_owned());
    std::fs::write(std::env::var_os("INSTRUMENT_TEST_OUTPUT").unwrap(), seen).unwrap();
}

/// What a window with so many layers of instrumentation has seen.
fn run(display: &Xvfb, layers: u32) -> String {
    let file = crate::support::scratch(&format!("window-{layers}.txt"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "window::a_window_shows_the_same_and_its_frames_are_packets", "--nocapture"])
        .env(LAYERS, layers.to_string())
        .env("INSTRUMENT_TEST_OUTPUT", &file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = Guarded::spawn(display.shows(&mut command)).unwrap();
    let output = child.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "with {layers} layers: {said}");
    std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("no answer with {layers} layers: {said}"))
}
