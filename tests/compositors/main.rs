//! The two compositors as a user runs them: as programs. Each keeps an account of its own of what it made, destroyed and showed.
#![expect(clippy::unwrap_used, reason = "a test: helpers may fail it too")]

mod against_truth;
mod program;
mod report;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use program::{Object, Program};
use support::{Xvfb, read_png, scratch, stdout};

const ELLIPSES: Program = Program("ellipse_path_compositor");
const TEXT: Program = Program("text_compositor");

#[test]
fn ellipse_path_compositor_ends_in_a_picture_of_its_cards() {
    a_run_ends_in_a_picture(&ELLIPSES, "ellipse_path_compositor_ends_in_a_picture_of_its_cards");
}

#[test]
fn text_compositor_ends_in_a_picture_of_its_cards() {
    a_run_ends_in_a_picture(&TEXT, "text_compositor_ends_in_a_picture_of_its_cards");
}

fn a_run_ends_in_a_picture(program: &Program, test: &str) {
    let picture = scratch(&format!("{test}.png"));
    let arguments = ["--frames", "12", "--size", "320x200", "--screenshot", picture.to_str().unwrap()];
    let Some(truth) = program.account(test, &arguments) else { return };
    shows_cards(&picture);
    assert!(truth.presented() < 12, "some frames are overtaken or have nothing to draw: {truth:?}");
    assert_eq!(truth.packets.len(), 12);
    every_queue_belongs_to_a_target_and_ends(&truth.objects);
}

#[test]
fn ellipse_path_compositor_shows_the_same_in_a_window() {
    a_window_shows_the_same(&ELLIPSES, "ellipse_path_compositor_shows_the_same_in_a_window");
}

#[test]
fn text_compositor_shows_the_same_in_a_window() {
    a_window_shows_the_same(&TEXT, "text_compositor_shows_the_same_in_a_window");
}

fn a_window_shows_the_same(program: &Program, test: &str) {
    let Some(display) = Xvfb::start(test) else { return };
    let picture = scratch(&format!("{test}.png"));
    let mut command = program.command();
    command.args(["--window", "--frames", "50", "--fps", "0", "--size", "320x200", "--screenshot"]).arg(&picture);
    let Some((truth, report)) = program.report_of(test, display.shows(&mut command)) else { return };
    assert_eq!(truth.presented(), 50);
    let in_the_storm = truth.packets.iter().filter(|packet| packet.phase == "startup" && packet.result == "Presented");
    let startup = &report.telemetry.startup;
    assert_eq!(startup.presented_before_stable, Some(in_the_storm.count()), "{startup:?}");
    assert!(report.leaks.is_empty(), "{:?}", report.leaks);
    shows_cards(&picture);
    every_queue_belongs_to_a_target_and_ends(&truth.objects);
}

#[test]
fn text_compositor_does_the_same_for_the_same_seed() {
    let test = "text_compositor_does_the_same_for_the_same_seed";
    let mut accounts = Vec::new();
    for seed in ["7", "7", "8"] {
        let Some(truth) = TEXT.account(test, &["--frames", "20", "--size", "160x100", "--seed", seed]) else { return };
        accounts.push(truth);
    }
    assert_eq!(accounts[0], accounts[1]);
    assert_ne!(accounts[0].objects, accounts[2].objects, "another seed, another storm");
}

/// The four cards lie where they belong, and have more than one colour each.
fn shows_cards(picture: &Path) {
    let (width, height, texels) = read_png(picture);
    assert_eq!((width, height), (320, 200));
    for (x, y) in [(16, 16), (167, 16), (167, 86), (16, 130)] {
        let card = (y + 6..y + 44).flat_map(|y| (x + 6..x + 120).map(move |x| (y * width + x) as usize * 4));
        let colors: HashSet<_> = card.map(|at| &texels[at..at + 4]).collect();
        assert!(colors.len() > 20, "the card at {x}, {y} has only {} colours", colors.len());
    }
}

/// What is made is destroyed, in the end by the teardown; each owner has at most one queue and one target at a time.
fn every_queue_belongs_to_a_target_and_ends(objects: &[Object]) {
    let mut made: BTreeMap<_, i64> = BTreeMap::new();
    for object in objects {
        assert!(object.destroyed.is_some(), "{object:?}");
        *made.entry((&object.owner, &object.what)).or_default() += 1;
    }
    for ((owner, what), made) in &made {
        let queues = objects.iter().filter(|object| object.what == "command_queue" && object.owner == **owner).count();
        assert!(what.as_str() == "command_queue" || *made >= queues as i64, "{owner:?} has queues without targets");
    }
    let torn_down = objects.iter().filter(|one| one.destroyed.as_ref().is_some_and(|end| end.because == "teardown"));
    assert_eq!(torn_down.count(), 2 * 6, "root, shadows and four children have a target and a queue each");
    let resized = objects.iter().filter(|one| one.destroyed.as_ref().is_some_and(|end| end.because == "resize"));
    assert!(resized.count() > 4, "a storm");
    assert!(objects.iter().any(|object| object.rebuilt > 0), "some only rebuild what is behind them");
    assert!(objects.iter().any(|object| object.owner.kind == "transient"));
}

#[test]
fn wrong_options_of_a_compositor_are_refused_by_name() {
    for [option, value] in [["--plant", "nothing"], ["--seed", "x"], ["--size", "0x1"], ["--frames", "-1"]] {
        let output = TEXT.command().arg(format!("{option}={value}")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(option), "{}", stdout(&output));
    }
}
