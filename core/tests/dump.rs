//! Dumps, their files and their differences, through the public API.
#![cfg(feature = "telemetry")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use engine_vitals_core::analysis::{Dump, DumpOptions, Leaks, Packet, ReadError, diff};
use engine_vitals_core::probe::{
    Backend, Clock, Context, Extent, Level, ManualClock, Mark, New, OwnerKind, PacketResult, Probe, ResourceKind,
    Ticket, Timestamp,
};
use engine_vitals_core::tracker::Tracker;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const MOST: u64 = 1 << 20;

fn tracker() -> (Tracker, ManualClock) {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_700_000_000_000_000_000));
    (Tracker::builder().clock(clock).build(), hand)
}

fn take(tracker: &Tracker) -> Dump {
    Dump::take(tracker, &DumpOptions::default())
}

fn file(dump: &Dump) -> Vec<u8> {
    let mut bytes = Vec::new();
    dump.write_json(&mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Dump, ReadError> {
    Dump::read_json(bytes, MOST)
}

/// A small engine's resources: all that a record can have.
fn scene(probe: Probe) -> Vec<Ticket> {
    let ui = probe.owner_named(OwnerKind::ROOT_VISUAL, 7, "ui");
    let packet = probe.packet(probe.lane("main"));
    let _frame = packet.context().with_owner(ui).enter();
    let block = probe.create(New::of(ResourceKind::MEMORY_BLOCK, 4096).label("block"));
    let within = probe.create(New::buffer(512).within(block.id()).label("vertices"));
    let extent = Extent::new(64, 32).layers(2).scale(1.5);
    let atlas =
        probe.create(New::texture(16_384).label("atlas").extent(extent).backend(Backend::Vulkan).native(u64::MAX));
    let bare = Context::NONE.enter();
    let plain = probe.create(New::buffer(100).without_site());
    drop(bare);
    atlas.touch(packet.id());
    plain.handle_dropped();
    let gone = probe.create(New::texture_target(64).label("gone"));
    gone.freed();
    packet.finish(PacketResult::Presented);
    vec![block, within, atlas, plain, gone]
}

#[test]
fn a_dump_says_what_there_is_with_names() {
    let (tracker, hand) = tracker();
    let tickets = scene(tracker.probe());
    hand.advance(Duration::from_millis(1500));
    let dump = take(&tracker);
    let label = |label: &str| dump.resources.iter().find(|one| one.label.as_deref() == Some(label)).unwrap();
    let (block, vertices, atlas) = (label("block"), label("vertices"), label("atlas"));
    assert_eq!((&*vertices.kind, vertices.bytes, vertices.within), ("buffer", 512, Some(block.id)));
    let owner = atlas.owner.as_ref().unwrap();
    assert_eq!((&*owner.kind, owner.key, owner.name.as_deref()), ("root_visual", Some(7), Some("ui")));
    assert!(atlas.site.as_ref().unwrap().contains("tests/dump.rs:"), "{atlas:?}");
    assert_eq!((atlas.extent, atlas.scale, atlas.native), (Some([64, 32, 2]), Some(1.5), Some(u64::MAX)));
    assert_eq!(atlas.created_in.as_ref().map(|packet| (&*packet.lane, packet.number)), Some(("main", 1)));
    assert_eq!(atlas.last_packet, atlas.created_in);
    assert_eq!((label("gone").held_bytes(), label("gone").is_live()), (0, false));
    let texture = dump.totals.kinds.iter().find(|line| &*line.kind == "texture").unwrap();
    assert_eq!((texture.created, texture.live_bytes), (1, 16_384));
    assert_eq!(dump.taken.since(dump.tracked_since.unwrap()), Some(Duration::from_millis(1500)));

    let text = dump.to_string();
    for line in [
        "level counters, 1.50 s after tracking began",
        "4 resources, 20.1 KiB; 1 suballocation within them, 512 B; pending of all 2, 100 B",
        "root_visual 7 \"ui\": 4 resources, 20.0 KiB",
        "unowned: 1 resource, 100 B",
        "    within memory_block ",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    drop(tickets);
    assert_eq!(take(&tracker).resources, []);
}

#[test]
fn links_packets_with_their_touches_and_the_course_of_the_run_are_in_it() {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_700_000_000_000_000_000));
    let tracker = Tracker::builder().clock(clock).level(Level::Events).build();
    let probe = tracker.probe();
    let ms = |count| hand.advance(Duration::from_millis(count));
    let texture = probe.create(New::texture(4096).label("atlas"));
    let view = probe.create(New::of(ResourceKind::TEXTURE_VIEW, 0).links(&[texture.id().unwrap()]));
    let members = [texture.id().unwrap(), view.id().unwrap()];
    let group = probe.create(New::bind_group().label("group").links(&members));
    let queue = probe.create(New::of(ResourceKind::COMMAND_QUEUE, 0).label("queue"));
    assert_eq!(take(&tracker).packets, []);
    tracker.set_touch_lists(true);
    ms(250);
    let packet = probe.packet(probe.lane("main")).with_command(77);
    let frame = packet.context().enter();
    for ticket in [&texture, &group] {
        ticket.touch(packet.id());
    }
    let scratch = probe.create(New::buffer(64).label("scratch"));
    scratch.touch(packet.id());
    ms(1);
    probe.event(Mark::submit(1));
    drop((scratch, queue));
    ms(2);
    probe.event(Mark::complete(1));
    packet.finish(PacketResult::Presented);
    drop(frame);
    let open = probe.packet(probe.lane("main"));

    let dump = take(&tracker);
    let resource = |id| dump.resources.iter().find(|one| Some(one.id) == id).unwrap();
    let id = |ticket: &Ticket| ticket.id().map(|id| id.get());
    assert_eq!(resource(id(&view)).links, [id(&texture).unwrap()]);
    assert_eq!(resource(id(&group)).links, [id(&texture).unwrap(), id(&view).unwrap()]);

    let [first, second] = &dump.packets[..] else { panic!("{:?}", dump.packets) };
    assert_eq!((&*first.lane, first.number, first.command, first.submissions), ("main", 1, Some(77), 1));
    assert_eq!((first.result.as_deref(), first.created, first.released), (Some("presented"), 1, 2));
    let after = |moment: Option<Timestamp>| moment.and_then(|moment| moment.since(first.queued));
    let [submitted, completed] = [1, 3].map(|count| Some(Duration::from_millis(count)));
    assert_eq!((after(first.submitted), after(first.completed), after(first.ended)), (submitted, completed, completed));
    let kinds =
        |packet: &Packet| packet.touches.as_ref().unwrap().iter().map(|one| one.kind.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (kinds(first), first.touches_left_out),
        (["texture", "bind_group", "buffer"].map(String::from).to_vec(), 0)
    );
    assert_eq!((second.number, second.result.as_deref(), kinds(second)), (2, None, vec![]));
    let cut = Dump::take(&tracker, &DumpOptions::default().packets(2).touches(1));
    assert_eq!((kinds(&cut.packets[0]).len(), cut.packets[0].touches_left_out), (1, 2));

    let slices: Vec<_> = dump.timeline.slices.iter().map(|slice| (slice.created, slice.released)).collect();
    // Views are a passing kind.
    assert_eq!(slices, [(3, 0), (1, 2)]);
    let [life] = &dump.timeline.lives[..] else { panic!("{:?}", dump.timeline) };
    assert_eq!((life.label.as_deref(), &*life.kind), (Some("queue"), "command_queue"));
    assert_eq!(life.released.since(life.created), Some(Duration::from_millis(251)));
    assert_eq!(life.released_in.as_ref().map(|packet| packet.number), Some(1));
    assert_eq!(Dump::take(&tracker, &DumpOptions::default().lives(0)).timeline.lives_missed, 1);

    let text = dump.to_string();
    for line in [
        format!("    -> texture {} \"atlas\"\n", id(&texture).unwrap()),
        format!(
            "  main 1: texture {} \"atlas\", bind_group {} \"group\", buffer ",
            id(&texture).unwrap(),
            id(&group).unwrap()
        ),
        "presented            1        1         2\n".to_owned(),
    ] {
        assert!(text.contains(&line), "no {line:?} in\n{text}");
    }
    assert_eq!(read(&file(&dump)).unwrap(), dump);
    open.finish(PacketResult::NoOp);
}

#[test]
fn a_dump_with_a_limit_keeps_the_biggest_and_counts_the_rest() {
    let (tracker, _) = tracker();
    let _tickets: Vec<_> = (1..=10).map(|bytes| tracker.probe().create(New::buffer(bytes))).collect();
    let dump = Dump::take(&tracker, &DumpOptions::default().resources(3));
    assert_eq!(dump.resources.iter().map(|one| one.bytes).collect::<Vec<_>>(), [8, 9, 10]);
    assert_eq!((dump.left_out.count, dump.left_out.bytes), (7, 28));
    assert!(dump.to_string().contains("note: 7 smaller resources were left out"));
}

#[test]
fn a_file_reads_back_as_it_was_with_a_record_to_a_line() {
    let (tracker, _) = tracker();
    let _tickets = scene(tracker.probe());
    let dump = take(&tracker);
    let bytes = file(&dump);
    assert_eq!(read(&bytes).unwrap(), dump);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("{\n\"format\":\"engine-vitals-snapshot\",\n\"version\":1,\n"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("{\"id\":")).count(), 5, "{text}");
    // What a later program may add is skipped.
    let more = text.replacen("\"version\":1,", "\"version\":1,\"later\":[{\"a\":[null,1.5]},\"x\"],", 1);
    assert_eq!(read(more.as_bytes()).unwrap(), dump);
}

#[test]
fn a_file_that_is_none_is_refused_with_its_place() {
    let (tracker, _) = tracker();
    let _tickets = scene(tracker.probe());
    let text = String::from_utf8(file(&take(&tracker))).unwrap();
    let refused = |text: &str| match read(text.as_bytes()) {
        Err(ReadError::Invalid { line, what, .. }) => (line, what),
        other => panic!("{other:?}"),
    };
    let with = |from: &str, to: &str| refused(&text.replacen(from, to, 1));
    let (line, what) = with("engine-vitals-snapshot", "some\\u001b[2Jthing");
    assert_eq!(line, 2);
    assert!(what.contains("is not \"engine-vitals-snapshot\"") && !what.contains('\u{1b}'), "{what}");
    let (line, what) = with("\"version\":1", "\"version\":2");
    assert!(line == 3 && what.contains("version 2 of the format is not 1"), "{what}");
    assert!(with("\"bytes\":512", "\"bytes\":-1").1.contains("integer `-1`"));
    assert!(with("\"bytes\":512", "\"bytes\":99999999999999999999").1.contains("floating point"));
    assert!(with("\"bytes\":512,", "").1.contains("missing field `bytes`"));
    assert!(with("\"run\":", "\"ran\":").1.contains("missing field `run`"));
    let words = with("\"bytes\":512", &format!("\"bytes\":\"{}\"", "x".repeat(10_000))).1;
    assert!(words.len() < 300, "{words}");
    assert!(refused("").1.contains("EOF"));
    assert!(refused("[]").1.contains("invalid length 0"));
    assert!(refused(&format!("{text}x")).1.contains("trailing"));
    assert!(refused(&text[..text.len() / 2]).1.contains("EOF"));
    let deep = format!("{{\"later\":{}", "[".repeat(100_000));
    assert!(refused(&deep).1.contains("EOF"));
    let text = text.as_bytes();
    assert!(matches!(Dump::read_json(text, text.len() as u64 - 1), Err(ReadError::TooLong { .. })));
    assert!(Dump::read_json(text, text.len() as u64).is_ok());
}

#[test]
fn a_reader_that_fails_is_told_apart() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let error = Dump::read_json(Broken, MOST).unwrap_err();
    assert!(matches!(&error, ReadError::Io(_)) && error.to_string().contains("the disk is gone"), "{error}");
}

/// Everything that is done with a dump, on one that says what it likes.
fn use_it(dump: &Dump) {
    let text = dump.to_string();
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let _ = (dump.summary().most(0).to_string(), dump.graph().most(1).to_string(), diff(dump, dump).to_string());
    let other = diff(&Dump::default(), dump);
    let _ = (other.to_string(), other.write_json(Vec::new()).unwrap());
    assert_eq!(read(&file(dump)).unwrap(), *dump);
}

#[test]
fn a_file_that_contradicts_itself_is_shown_and_no_more() {
    let one = |id: u64, more: &str| {
        format!("{{\"id\":{id},\"kind\":\"a\\u001b[2J\",\"bytes\":{},\"created_ns\":0{more}}}", u64::MAX)
    };
    let resources = [
        one(0, ",\"within\":0,\"links\":[0,0,1]"),
        one(1, ",\"links\":[0],\"label\":\"\\u202e\""),
        one(1, ",\"label\":\"\\u202e\",\"links\":[77]"),
        one(u64::MAX, ",\"destroyed\":true,\"extent\":[4294967295,0,0],\"owner\":{\"kind\":\"\"}"),
    ];
    let text = format!(
        "{{\"format\":\"engine-vitals-snapshot\",\"version\":1,\"run\":\"\\u0007\",\"taken_ns\":0,\"tracked_since_ns\":9,\
         \"level\":\"\\n\",\"totals\":{{\"peak_live_bytes\":1,\"peak_error_bytes\":2,\"telemetry_bytes\":3,\"kinds\":[],\"lanes\":[],\
         \"submissions\":{{\"submitted\":0,\"completed\":9,\"abandoned\":0,\"unsubmitted_bytes\":0}},\"events_produced\":0,\
         \"events_overwritten\":9,\"untracked_resources\":0,\"names_not_kept\":0}},\"packets\":[{{\"lane\":\"\",\"number\":0,\
         \"queued_ns\":18446744073709551615,\"ended_ns\":0,\"submissions\":0,\"created\":0,\"released\":0,\"touches\":\
         [{{\"resource\":5,\"kind\":\"\\u001b\"}}],\"touches_left_out\":18446744073709551615}}],\"timeline\":{{\"slice_ns\":0,\"slices\":\
         [{{\"from_ns\":1,\"created\":18446744073709551615,\"released\":0}}],\"lives\":[],\"lives_missed\":18446744073709551615}},\
         \"resources\":[{}]}}",
        resources.join(",")
    );
    let dump = read(text.as_bytes()).unwrap();
    assert_eq!(dump.resources.len(), 4);
    use_it(&dump);
    assert!(dump.graph().to_string().contains("(not there)"));
}

/// A step of a random engine.
#[derive(Clone, Debug)]
enum Step {
    Create { owner: u64, label: u8, bytes: u64, within: bool },
    Drop(usize),
    Resize(usize, u64),
    HandleDropped(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_u64, 0..4_u8, 0..2000_u64, any::<bool>())
            .prop_map(|(owner, label, bytes, within)| Step::Create { owner, label, bytes, within }),
        2 => any::<usize>().prop_map(Step::Drop),
        1 => (any::<usize>(), 0..2000_u64).prop_map(|(which, bytes)| Step::Resize(which, bytes)),
        1 => any::<usize>().prop_map(Step::HandleDropped),
    ];
    proptest::collection::vec(step, 0..40)
}

fn run(probe: Probe, block: &Ticket, tickets: &mut Vec<Ticket>, steps: &[Step]) {
    for step in steps {
        let pick = |which: usize, count: usize| which.checked_rem(count);
        match *step {
            Step::Create { owner, label, bytes, within } => {
                let owner = probe.owner(OwnerKind::CHILD_VISUAL, owner);
                let _owned = Context::NONE.with_owner(owner).enter();
                let label = ["a", "b\u{1b}", "c\"", "d\n"][usize::from(label)];
                let new = New::buffer(bytes).label(label);
                // Two lines, so that there are two sites.
                tickets.push(if within { probe.create(new.within(block.id())) } else { probe.create(new) });
            }
            Step::Drop(which) => drop(pick(which, tickets.len()).map(|place| tickets.swap_remove(place))),
            Step::Resize(which, bytes) => {
                if let Some(place) = pick(which, tickets.len()) {
                    tickets[place].resize(bytes);
                }
            }
            Step::HandleDropped(which) => {
                if let Some(place) = pick(which, tickets.len()) {
                    tickets[place].handle_dropped();
                }
            }
        }
    }
}

type Key = (String, Option<u64>, String, Option<String>, bool);

/// Count and bytes of: before, after, appeared, gone; count and bytes of the resized.
type Expected = ([(u64, u64); 4], (u64, i64));

/// The difference, slowly.
fn naive(older: &Dump, newer: &Dump) -> BTreeMap<Key, Expected> {
    let mut all: BTreeMap<Key, Expected> = BTreeMap::new();
    let add = |sum: &mut (u64, u64), bytes: u64| *sum = (sum.0 + 1, sum.1 + bytes);
    for (place, other, dump) in [(0, newer, older), (1, older, newer)] {
        for one in &dump.resources {
            let label = one.label.as_ref().map(ToString::to_string);
            let key = one.owner.as_ref().and_then(|owner| owner.key);
            let key = (one.kind.to_string(), key, one.site.as_ref().unwrap().to_string(), label, one.within.is_some());
            let (sums, resized) = all.entry(key).or_default();
            add(&mut sums[place], one.bytes);
            match other.resources.iter().find(|twin| twin.id == one.id) {
                None => add(&mut sums[if place == 0 { 3 } else { 2 }], one.bytes),
                Some(twin) if place == 1 && twin.bytes != one.bytes => {
                    *resized = (resized.0 + 1, resized.1 + one.bytes as i64 - twin.bytes as i64);
                }
                Some(_) => {}
            }
        }
    }
    all.retain(|_, (sums, resized)| sums[2].0 + sums[3].0 + resized.0 > 0);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_difference_is_that_of_the_naive_model(first in steps(), second in steps()) {
        let (tracker, _) = tracker();
        let probe = tracker.probe();
        let block = probe.create(New::of(ResourceKind::MEMORY_BLOCK, 1 << 20).label("block"));
        let mut tickets = Vec::new();
        run(probe, &block, &mut tickets, &first);
        let (older, older_snapshot) = (take(&tracker), tracker.snapshot());
        run(probe, &block, &mut tickets, &second);
        let (newer, newer_snapshot) = (take(&tracker), tracker.snapshot());

        let difference = diff(&older, &newer);
        let mut found = BTreeMap::new();
        for change in &difference.changes {
            let group = &change.group;
            let label = group.label.as_ref().map(ToString::to_string);
            let key = group.owner.as_ref().and_then(|owner| owner.key);
            let key = (group.kind.to_string(), key, group.site.as_ref().unwrap().to_string(), label, group.suballocations);
            let sums = [change.before, change.after, change.appeared, change.gone].map(|sum| (sum.count, sum.bytes));
            prop_assert_eq!(change.net_bytes, change.after.bytes as i64 - change.before.bytes as i64);
            found.insert(key, (sums, (change.resized, change.resized_bytes)));
        }
        prop_assert_eq!(found.len(), difference.changes.len(), "no group is there twice");
        prop_assert_eq!(&found, &naive(&older, &newer));
        prop_assert!(difference.changes.is_sorted_by(|one, next| one.net_bytes >= next.net_bytes));
        prop_assert!(difference.same_run);

        // The same through snapshots, through files, and against oneself.
        prop_assert_eq!(&newer_snapshot.diff(&older_snapshot, &tracker).changes, &difference.changes);
        let [older_file, newer_file] = [&older, &newer].map(|dump| read(&file(dump)).unwrap());
        prop_assert_eq!(&diff(&older_file, &newer_file), &difference);
        prop_assert!(diff(&newer, &newer).is_empty());
        use_it(&newer);
    }

    #[test]
    fn between_runs_what_is_alike_is_the_same(first in steps(), second in steps()) {
        let of_run = |steps: &[Step]| {
            let (tracker, _) = tracker();
            let block = tracker.probe().create(New::of(ResourceKind::MEMORY_BLOCK, 1 << 20));
            let mut tickets = Vec::new();
            run(tracker.probe(), &block, &mut tickets, steps);
            let dump = take(&tracker);
            drop(tickets);
            dump
        };
        let (one, mut same, mut other) = (of_run(&first), of_run(&first), of_run(&second));
        same.run = "another".into();
        other.run = "another".into();
        prop_assert!(diff(&one, &same).is_empty());
        let difference = diff(&one, &other);
        prop_assert!(!difference.same_run && difference.elapsed.is_none());
        for change in &difference.changes {
            let sum = |after: u64, before: u64, appeared: u64, gone: u64| after + gone == before + appeared;
            let (before, after, appeared, gone) = (change.before, change.after, change.appeared, change.gone);
            prop_assert!(sum(after.count, before.count, appeared.count, gone.count));
            prop_assert!(sum(after.bytes, before.bytes, appeared.bytes, gone.bytes));
            prop_assert_eq!(change.resized, 0);
        }
    }

    #[test]
    fn a_damaged_file_is_refused_or_read_and_never_more(
        steps in steps(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..8),
    ) {
        let (tracker, _) = tracker();
        let block = tracker.probe().create(New::of(ResourceKind::MEMORY_BLOCK, 1 << 20));
        let mut tickets = Vec::new();
        run(tracker.probe(), &block, &mut tickets, &steps);
        let mut bytes = file(&take(&tracker));
        for (place, byte, how) in damage {
            let place = place.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match how {
                0 if !bytes.is_empty() => bytes[place] = byte,
                1 if !bytes.is_empty() => drop(bytes.remove(place)),
                // What JSON is made of does the most damage.
                2 => bytes.insert(place, b"{}[],:\"\\0-e"[usize::from(byte) % 11]),
                3 if byte < 32 => bytes.truncate(place),
                _ => {}
            }
        }
        match read(&bytes) {
            Ok(dump) => use_it(&dump),
            Err(error) => prop_assert!(error.to_string().starts_with("line "), "{}", error),
        }
    }
}

#[test]
fn leaks_are_named_and_what_stands_is_told_apart() {
    let (tracker, _) = tracker();
    let probe = tracker.probe();
    assert!(Leaks::find(&tracker).is_empty());
    let device = probe.create(New::of(ResourceKind::DEVICE, 0).label("device"));
    assert!(Leaks::find(&tracker).is_empty());
    let sky = probe.owner_named(OwnerKind::EFFECT_PIPELINE, 3, "sky");
    let owned = Context::current().with_owner(sky).enter();
    let line = line!() + 1;
    let small: Vec<_> = (0..3).map(|_| probe.create(New::buffer(10).label("small"))).collect();
    let big = probe.create(New::texture(4096).label("big"));
    drop(owned);
    big.handle_dropped();
    let leaks = Leaks::find(&tracker);
    assert_eq!(leaks.resources.iter().map(|one| one.bytes).collect::<Vec<_>>(), [4096, 10, 10, 10]);
    assert_eq!(leaks.standing.len(), 1);
    let text = leaks.to_string();
    let found = text.lines().find(|found| found.contains("\"small\"")).unwrap();
    for part in ["3", "30 B", "buffer", "effect_pipeline 3 \"sky\"", &format!("tests/dump.rs:{line}:"), "live"] {
        assert!(found.contains(part), "no {part} in {found}");
    }
    assert!(text.starts_with("4 resources are not released\n") && text.contains("handle gone"), "{text}");
    assert!(text.contains("note: a device is among them"), "{text}");
    drop((device, small, big));
    assert_eq!(Leaks::find(&tracker).to_string(), "0 resources are not released\n");
}
