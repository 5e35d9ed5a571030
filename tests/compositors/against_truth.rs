//! What the report says of a run, and nothing else, against the program's own account.

use std::collections::BTreeMap;

use crate::program::{Object, Owner, Program, Truth};
use crate::report::{Packets, Report, Reuse};
use crate::{ELLIPSES, TEXT};

/// Frames of these runs: longer than the longest startup and the stable window after it.
const FRAMES: &str = "110";
const WINDOWS: [&str; 3] = ["StartupWindow", "SteadyStateWindow", "ShutdownWindow"];

#[test]
fn ellipse_path_compositor_reports_how_many_startup_frames_were_presented() {
    let test = "ellipse_path_compositor_reports_how_many_startup_frames_were_presented";
    startup_frames_are_exact(&ELLIPSES, test, &["3"]);
}

#[test]
fn text_compositor_reports_how_many_startup_frames_were_presented() {
    let test = "text_compositor_reports_how_many_startup_frames_were_presented";
    startup_frames_are_exact(&TEXT, test, &["0", "1", "2", "3", "4", "5"]);
}

fn startup_frames_are_exact(program: &Program, test: &str, seeds: &[&str]) {
    for seed in seeds {
        let Some((truth, report)) = program.report(test, &["--frames", FRAMES, "--seed", seed]) else { return };
        let startup = &report.telemetry.startup;
        assert_eq!(startup.ended.as_deref(), Some("stable"), "seed {seed}: {startup:?}");
        let in_the_storm = truth.packets.iter().filter(|packet| packet.phase == "startup");
        let in_the_storm = in_the_storm.filter(|packet| packet.result == "Presented").count();
        assert_eq!(startup.presented_before_stable, Some(in_the_storm), "seed {seed}");
        let at_stable = in_the_storm + startup.stable_packets;
        assert_eq!(startup.presented_at_stable, Some(at_stable), "seed {seed}");

        let until = end_of_startup(&truth, &report) as usize;
        assert_eq!(startup.window.packets, packets(&truth, 0..until), "seed {seed}");
        let [_, steady, shutdown] = report.telemetry.windows();
        assert_eq!(steady.packets, packets(&truth, until..truth.packets.len()), "seed {seed}");
        assert_eq!(shutdown.packets, packets(&truth, 0..0), "seed {seed}: nothing is presented in the teardown");
    }
}

#[test]
fn ellipse_path_compositor_reports_why_each_queue_and_target_was_destroyed() {
    let test = "ellipse_path_compositor_reports_why_each_queue_and_target_was_destroyed";
    every_end_is_explained(&ELLIPSES, test, &[["2", "none"]]);
}

#[test]
fn text_compositor_reports_why_each_queue_and_target_was_destroyed() {
    let test = "text_compositor_reports_why_each_queue_and_target_was_destroyed";
    every_end_is_explained(&TEXT, test, &[["0", "none"], ["6", "none"], ["14", "none"], ["1", "recreate-loop"]]);
}

/// What the report says of a destroyed queue or target: kind, owner, packets of its creation and its end, window, reason.
type End<'a> = (&'a str, &'a Owner, Option<u64>, Option<u64>, &'a str, &'a str);

fn every_end_is_explained(program: &Program, test: &str, runs: &[[&str; 2]]) {
    for [seed, plant] in runs {
        let arguments = ["--frames", FRAMES, "--seed", seed, "--plant", plant];
        let Some((truth, report)) = program.report(test, &arguments) else { return };
        let until = end_of_startup(&truth, &report);
        let mut expected: Vec<End<'_>> = truth.objects.iter().map(|object| expected_end(object, until)).collect();
        let mut reported: Vec<End<'_>> = Vec::new();
        for (window, name) in report.telemetry.windows().into_iter().zip(WINDOWS) {
            assert_eq!((window.window.as_str(), window.destroyed_resources_left_out), (name, 0));
            for end in &window.destroyed_resources {
                if !["command_queue", "native_target"].contains(&end.kind.as_str()) {
                    continue;
                }
                let number = |packet: &Option<crate::report::Packet>| {
                    packet.as_ref().map(|packet| {
                        assert_eq!(packet.lane, "compositor");
                        packet.number
                    })
                };
                let site = end.site.as_deref().unwrap();
                assert!(site.contains("compositor/visual.rs:") || site.contains("compositor/tree.rs:"), "{end:?}");
                let owner = end.owner.as_ref().unwrap();
                let packets = [number(&end.created_in), number(&end.destroyed_in)];
                reported.push((&end.kind, owner, packets[0], packets[1], &end.window, &end.reason));
            }
        }
        expected.sort_unstable();
        reported.sort_unstable();
        assert_eq!(reported, expected, "seed {seed}, {plant}");
    }
}

fn expected_end(object: &Object, end_of_startup: u64) -> End<'_> {
    let end = object.destroyed.as_ref().unwrap();
    let window = match end.packet {
        None => "ShutdownWindow",
        Some(packet) if packet <= end_of_startup => "StartupWindow",
        Some(_) => "SteadyStateWindow",
    };
    let reason = match end.because.as_str() {
        "resize" => "replaced",
        "vanished" => "released",
        "teardown" => "shutdown",
        other => other,
    };
    (&object.what, &object.owner, object.created.packet, end.packet, window, reason)
}

#[test]
fn ellipse_path_compositor_has_the_planted_loop_first_among_the_sources_of_churn() {
    let test = "ellipse_path_compositor_has_the_planted_loop_first_among_the_sources_of_churn";
    the_planted_loop_comes_first(&ELLIPSES, test);
}

#[test]
fn text_compositor_has_the_planted_loop_first_among_the_sources_of_churn() {
    let test = "text_compositor_has_the_planted_loop_first_among_the_sources_of_churn";
    the_planted_loop_comes_first(&TEXT, test);
}

fn the_planted_loop_comes_first(program: &Program, test: &str) {
    let arguments = ["--frames", FRAMES, "--plant", "recreate-loop"];
    let Some((truth, report)) = program.report(test, &arguments) else { return };
    let planted = truth.planted.as_ref().unwrap();
    let startup = &report.telemetry.startup.window;
    let first = &startup.contributors[0];
    assert_eq!(&first.owner, planted, "{:?}", startup.contributors);
    let of_planted = startup.destroyed_resources.iter().filter(|end| end.owner.as_ref() == Some(planted));
    let queues: Vec<_> = of_planted.filter(|end| end.kind == "command_queue").collect();
    let at_resizing =
        |site: &Option<String>| site.as_deref().is_some_and(|site| site.contains("compositor/visual.rs:"));
    // The first of them was made with the tree.
    assert!(queues.iter().skip(1).all(|end| at_resizing(&end.site) && end.reason == "replaced"), "{queues:?}");
    assert!(at_resizing(&first.site), "{first:?}");
    let suspected = &startup.recreate_loops[0];
    assert_eq!(&suspected.owner, planted, "{:?}", startup.recreate_loops);
    let replaced = truth.objects.iter().filter(|object| {
        object.owner == *planted && object.destroyed.as_ref().is_some_and(|end| end.because == "resize")
    });
    let replaced = replaced.count();
    assert!(replaced > 50 && suspected.replaced >= replaced, "{replaced} were replaced: {suspected:?}");
    assert!(suspected.remade >= suspected.replaced, "{suspected:?}");
    assert!(first.created >= replaced as u64 && first.destroyed >= replaced as u64, "{first:?}");
}

#[test]
fn ellipse_path_compositor_tells_churn_at_the_start_from_destruction_at_the_end() {
    let test = "ellipse_path_compositor_tells_churn_at_the_start_from_destruction_at_the_end";
    startup_and_shutdown_are_apart(&ELLIPSES, test, &["4"]);
}

#[test]
fn text_compositor_tells_churn_at_the_start_from_destruction_at_the_end() {
    let test = "text_compositor_tells_churn_at_the_start_from_destruction_at_the_end";
    startup_and_shutdown_are_apart(&TEXT, test, &["0", "15", "16"]);
}

fn startup_and_shutdown_are_apart(program: &Program, test: &str, seeds: &[&str]) {
    for seed in seeds {
        let Some((truth, report)) = program.report(test, &["--frames", FRAMES, "--seed", seed]) else { return };
        let until = end_of_startup(&truth, &report);
        for what in ["command_queue", "native_target"] {
            let mut live = 0;
            for (window, name) in report.telemetry.windows().into_iter().zip(WINDOWS) {
                let [created, destroyed] = lives_of(&truth, what, name, until);
                live = live + created - destroyed;
                let figures = window.kind(what).map_or([0; 2], |kind| [kind.created, kind.destroyed]);
                assert_eq!(figures, [created, destroyed], "seed {seed}, {what}, {name}");
                if let Some(kind) = window.kind(what) {
                    assert_eq!(kind.live, live, "seed {seed}, {what}, {name}");
                    assert_eq!(kind.mean_lifetime_seconds.is_some(), destroyed > 0, "seed {seed}, {what}, {name}");
                }
            }
            assert_eq!(live, 0);
        }
        let [startup, steady, shutdown] = report.telemetry.windows();
        // The report was asked for in the shutdown.
        assert_eq!([startup.open, steady.open, shutdown.open], [false, false, true], "seed {seed}");
        for window in [startup, shutdown] {
            assert!(window.mean_lifetime_seconds.is_some_and(|mean| mean > 0.0), "seed {seed}");
            assert!(window.destroy_bursts.first().is_some_and(|burst| burst.destroyed > 0), "seed {seed}");
        }
    }
}

#[test]
fn ellipse_path_compositor_reports_what_was_reused_rebuilt_and_made_anew() {
    reuse_is_exact(&ELLIPSES, "ellipse_path_compositor_reports_what_was_reused_rebuilt_and_made_anew", &["5"]);
}

#[test]
fn text_compositor_reports_what_was_reused_rebuilt_and_made_anew() {
    reuse_is_exact(&TEXT, "text_compositor_reports_what_was_reused_rebuilt_and_made_anew", &["0", "9", "12"]);
}

fn reuse_is_exact(program: &Program, test: &str, seeds: &[&str]) {
    for seed in seeds {
        let Some((truth, report)) = program.report(test, &["--frames", "20", "--seed", seed]) else { return };
        let readiness = &report.telemetry.readiness;
        for what in ["command_queue", "native_target"] {
            let objects: Vec<_> = truth.objects.iter().filter(|object| object.what == what).collect();
            let sum = |of: fn(&Object) -> u64| objects.iter().map(|object| of(object)).sum();
            let expected = Reuse {
                kind: what.to_owned(),
                created: objects.len() as u64,
                reused: sum(|object| object.reused),
                recreated: sum(|object| u64::from(object.destroyed.as_ref().unwrap().because == "resize")),
                resize_requests: sum(|object| object.asked),
                resize_rebuilds: sum(|object| object.rebuilt),
            };
            assert!(expected.recreated > 0 && expected.reused + expected.resize_rebuilds > 0, "{expected:?}");
            assert_eq!(readiness.kinds.iter().find(|kind| kind.kind == what), Some(&expected), "seed {seed}");
        }
        let queues = || readiness.kinds.iter().filter(|kind| ["command_queue", "queue"].contains(&kind.kind.as_str()));
        let reused = queues().map(|kind| kind.reused).sum::<u64>() as f64;
        let created = queues().map(|kind| kind.created).sum::<u64>() as f64;
        let ratio = readiness.queue_reuse_ratio.unwrap();
        assert!((ratio - reused / (reused + created)).abs() < 1e-9, "seed {seed}: {ratio}");
    }
}

#[test]
fn text_compositor_reports_the_planted_leak_with_its_owner_and_site() {
    let test = "text_compositor_reports_the_planted_leak_with_its_owner_and_site";
    let Some((truth, report)) = TEXT.report(test, &["--frames", FRAMES, "--plant", "leak"]) else { return };
    let planted = truth.planted.as_ref().unwrap();
    let never_destroyed = truth.objects.iter().filter(|object| object.destroyed.is_none());
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    for object in never_destroyed {
        assert_eq!(&object.owner, planted);
        *expected.entry(&object.what).or_default() += 1;
    }
    for (what, count) in expected {
        let leak = report.leaks.iter().find(|leak| leak.kind == what);
        let leak = leak.unwrap_or_else(|| panic!("no {what} among {:?}", report.leaks));
        assert_eq!((leak.owner.as_ref(), leak.count), (Some(planted), count));
        assert!(leak.site.as_deref().is_some_and(|site| site.contains("compositor/tree.rs:")), "{leak:?}");
    }
    // The texture behind each of them is the biggest of what was leaked.
    assert_eq!(report.leaks[0].owner.as_ref(), Some(planted), "{:?}", report.leaks);
}

/// Guards look once a second: these runs last for some.
const PACED: [&str; 2] = ["--fps", "15"];

#[test]
fn text_compositor_warns_of_the_planted_recreate_loop_by_owner_and_site() {
    let test = "text_compositor_warns_of_the_planted_recreate_loop_by_owner_and_site";
    warns_of_the_planted(test, "recreate-loop", "recreate_loop");
}

#[test]
fn text_compositor_warns_of_the_target_that_is_destroyed_while_it_is_used() {
    let test = "text_compositor_warns_of_the_target_that_is_destroyed_while_it_is_used";
    warns_of_the_planted(test, "destroy-in-use", "destroyed_in_use");
}

#[test]
fn text_compositor_warns_of_the_writes_that_nothing_submits() {
    let test = "text_compositor_warns_of_the_writes_that_nothing_submits";
    warns_of_the_planted(test, "unsubmitted-writes", "unsubmitted_writes");
}

/// What wgpu's objects are in has an owner, and no line of source: wgpu's methods do not know their callers.
fn warns_of_the_planted(test: &str, plant: &str, guard: &str) {
    let arguments = [&PACED[..], &["--frames", "66", "--plant", plant]].concat();
    let Some((truth, report)) = TEXT.report(test, &arguments) else { return };
    let guards: Vec<_> = report.warnings.iter().map(|warning| warning.guard.as_str()).collect();
    // A loop of queues may be a storm, too.
    assert!(guards.contains(&guard) && guards.iter().all(|one| [guard, "destroy_storm"].contains(one)), "{guards:?}");
    for warning in &report.warnings {
        assert_eq!(warning.owner, truth.planted, "{warning:?}");
        let site = warning.site.as_deref();
        let seen_by_wgpu_alone = guard == "unsubmitted_writes" && site.is_none();
        assert!(seen_by_wgpu_alone || site.is_some_and(|site| site.contains("compositor/visual.rs:")), "{warning:?}");
    }
}

#[test]
fn ellipse_path_compositor_without_a_planted_fault_raises_nothing() {
    clean_seeds_raise_nothing(&ELLIPSES, "ellipse_path_compositor_without_a_planted_fault_raises_nothing", 0..2);
}

#[test]
fn text_compositor_without_a_planted_fault_raises_nothing_over_20_seeds() {
    clean_seeds_raise_nothing(&TEXT, "text_compositor_without_a_planted_fault_raises_nothing_over_20_seeds", 0..20);
}

fn clean_seeds_raise_nothing(program: &Program, test: &str, seeds: std::ops::Range<u32>) {
    let seeds: Vec<_> = seeds.map(|seed| seed.to_string()).collect();
    // They wait for the time to pass, most of the time: some at once.
    for some in seeds.chunks(10) {
        let clean = |seed: &str| {
            let arguments = [&PACED[..], &["--frames", "66", "--seed", seed]].concat();
            let Some((_, report)) = program.report(&format!("{test}-{seed}"), &arguments) else { return };
            assert!(report.warnings.is_empty(), "seed {seed}: {:?}", report.warnings);
            assert!(report.leaks.is_empty(), "seed {seed}: {:?}", report.leaks);
        };
        std::thread::scope(|scope| some.iter().for_each(|seed| drop(scope.spawn(|| clean(seed)))));
    }
}

/// The number of the packet with which the reported startup ended.
fn end_of_startup(truth: &Truth, report: &Report) -> u64 {
    let presented = report.telemetry.startup.window.packets.presented;
    let shown = truth.packets.iter().filter(|packet| packet.result == "Presented");
    shown.take(presented).last().map_or(0, |packet| packet.number)
}

/// The account's packets from one to another.
fn packets(truth: &Truth, range: std::ops::Range<usize>) -> Packets {
    let packets = &truth.packets[range];
    let count = |result| packets.iter().filter(|packet| packet.result == result).count();
    let (presented, dropped, no_op) = (count("Presented"), count("Dropped"), count("NoOp"));
    Packets { queued: packets.len(), presented, dropped, no_op, failed: 0 }
}

/// What the account says was created and destroyed in a window.
fn lives_of(truth: &Truth, what: &str, window: &str, end_of_startup: u64) -> [usize; 2] {
    let within = |packet: Option<u64>| match packet {
        None => window == "ShutdownWindow",
        Some(packet) if packet <= end_of_startup => window == "StartupWindow",
        Some(_) => window == "SteadyStateWindow",
    };
    let objects = || truth.objects.iter().filter(|object| object.what == what);
    let created = objects().filter(|object| within(object.created.packet)).count();
    let destroyed = objects().filter(|object| object.destroyed.as_ref().is_some_and(|end| within(end.packet))).count();
    [created, destroyed]
}
