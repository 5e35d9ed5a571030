//! What the book writes down beside its totals: owners, packets, submissions, lives, lifetimes, bursts, misuses, pool candidates.
#![cfg(feature = "telemetry")]

use engine_vitals_core::probe::{
    Clock, Context, EventKind, Extent, Level, ManualClock, Mark, New, OwnerKind, PacketResult, Probe, ResourceKind,
    Ticket, Timestamp,
};
use engine_vitals_core::tracker::{Burst, MisuseKind, PASSING_KINDS, Tracker, TrackerBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const START: u64 = 1_700_000_000_000_000_000;
const MS: Duration = Duration::from_millis(1);

fn tracker(set: impl FnOnce(TrackerBuilder) -> TrackerBuilder) -> (Tracker, Probe, ManualClock) {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(START));
    let tracker = set(Tracker::builder().clock(clock)).build();
    let probe = tracker.probe();
    (tracker, probe, hand)
}

#[test]
fn owners_are_counted_by_key_across_threads_and_without_passing_kinds() {
    let (tracker, probe, _) = tracker(|builder| builder);
    let [one, two] = [7, 8].map(|key| probe.owner(OwnerKind::CHILD_VISUAL, key));
    let _idle = probe.owner(OwnerKind::CHILD_VISUAL, 9);
    let guard = Context::current().with_owner(one).enter();
    let line = line!() + 1;
    let kept = probe.create(New::texture(100));
    drop(probe.create(New::buffer(10)));
    for kind in PASSING_KINDS {
        drop(probe.create(New::of(kind, 1)));
    }
    drop(guard);
    std::thread::spawn(move || {
        let _guard = Context::NONE.with_owner(two).enter();
        drop(probe.create(New::buffer(20)));
        drop(kept);
    })
    .join()
    .unwrap();
    let mut owners = Vec::new();
    tracker.owner_totals(&mut owners);
    let counted: Vec<_> = owners
        .iter()
        .map(|owner| (owner.owner, owner.counts.created, owner.counts.released, owner.counts.created_bytes))
        .collect();
    assert_eq!(counted, [(one, 2, 2, 110), (two, 1, 1, 20)]);
    assert_eq!(owners.iter().map(|owner| owner.remade).collect::<Vec<_>>(), [0, 0], "nothing was made after a release");
    assert_eq!(owners[0].kind, Some(ResourceKind::TEXTURE), "the last released");
    assert_eq!(owners[0].site.unwrap().line(), line);
    assert_eq!(tracker.totals().device().created, 3 + PASSING_KINDS.len() as u64);
}

#[test]
fn what_is_made_after_a_release_is_made_again_and_a_teardown_is_not() {
    let (tracker, probe, _) = tracker(|builder| builder);
    let owner = probe.owner(OwnerKind::ROOT_VISUAL, 1);
    let _guard = Context::current().with_owner(owner).enter();
    let remade = || {
        let mut owners = Vec::new();
        tracker.owner_totals(&mut owners);
        owners[0].remade
    };
    let make = || probe.create(New::native_target(1));
    let loaded: Vec<_> = (0..20).map(|_| make()).collect();
    let mut target = make();
    for _ in 0..5 {
        drop(std::mem::replace(&mut target, Ticket::EMPTY));
        target = make();
    }
    assert_eq!(remade(), 5);
    for _ in 0..5 {
        // Made before the one in its place goes: the first of these follows no release.
        target = make();
    }
    assert_eq!(remade(), 9);
    drop((loaded, target));
    assert_eq!(remade(), 9, "a teardown");
    drop(make());
    assert_eq!(remade(), 10);
}

#[test]
fn a_packet_is_written_down_from_its_queueing_to_the_completion_of_its_work() {
    let (tracker, probe, hand) = tracker(|builder| builder.packet_capacity(2));
    let lane = probe.lane("main");
    let before = probe.create(New::buffer(1));
    let packet = probe.packet(lane).with_command(41);
    let id = packet.id();
    {
        let _guard = packet.context().enter();
        drop((before, probe.create(New::buffer(2))));
        hand.advance(MS);
        let line = line!() + 1;
        probe.event(Mark::submit(1));
        probe.event(Mark::submit(2));
        let submissions = tracker.submissions(9);
        assert_eq!(
            submissions.iter().map(|s| (s.correlation, s.packet)).collect::<Vec<_>>(),
            [(1, Some(id)), (2, Some(id))]
        );
        assert_eq!(submissions[0].site.unwrap().line(), line);
    }
    hand.advance(MS);
    packet.finish(PacketResult::Presented);
    drop(probe.create(New::buffer(3)));
    hand.advance(MS);
    probe.event(Mark::complete(2));
    assert_eq!(tracker.packets(9)[0].completed, None, "one is in flight");
    assert_eq!(tracker.oldest_in_flight().unwrap().correlation, 1);
    hand.advance(MS);
    probe.event(Mark::complete(1));
    let record = tracker.packets(9)[0];
    assert_eq!((record.id, record.lane, record.command), (id, lane, Some(41)));
    assert_eq!((record.result, record.submissions), (Some(PacketResult::Presented), 2));
    assert_eq!((record.created, record.released), (1, 2));
    assert_eq!((record.queue_to_present(), record.submit_to_complete()), (Some(2 * MS), Some(3 * MS)));
    assert_eq!(tracker.oldest_in_flight(), None);

    hand.advance(MS);
    let open = probe.packet(lane);
    drop(probe.packet(lane));
    let kept = tracker.packets(9);
    assert_eq!(kept.iter().map(|packet| packet.id.number()).collect::<Vec<_>>(), [2, 3], "two are kept");
    assert_eq!(kept.iter().map(|packet| packet.result).collect::<Vec<_>>(), [None, Some(PacketResult::Dropped)]);
    drop(open);
    assert_eq!(tracker.totals().packets().queued, 3);
}

#[test]
fn submissions_in_flight_keep_the_oldest_however_many_there_are() {
    let (tracker, probe, _) = tracker(|builder| builder);
    (1..=3_000).for_each(|number| probe.event(Mark::submit(number)));
    assert_eq!(tracker.oldest_in_flight().unwrap().correlation, 1);
    assert_eq!(tracker.submissions(1)[0].correlation, 3_000);
    probe.event(Mark::Abandoned { correlation: 1 });
    assert!(tracker.oldest_in_flight().unwrap().correlation > 1);
}

#[test]
fn a_submission_names_its_queue_and_its_command_buffers() {
    let (tracker, probe, _) = tracker(|builder| builder.level(Level::Events));
    let queue = probe.create(New::of(ResourceKind::COMMAND_QUEUE, 0));
    let buffers = [1, 2].map(|_| probe.create(New::of(ResourceKind::COMMAND_BUFFER, 0)));
    let mut events = tracker.events();
    let command_buffers = [&buffers[0], &buffers[1]];
    probe.event(Mark::Submit { correlation: 5, queue: Some(&queue), command_buffers: &command_buffers });
    let mut read = Vec::new();
    events.read(&mut read);
    let seen: Vec<_> = read.iter().map(|event| (event.event, event.resource, event.correlation)).collect();
    assert_eq!(
        seen,
        [
            (EventKind::Submit, queue.id(), Some(5)),
            (EventKind::Bind, buffers[0].id(), Some(5)),
            (EventKind::Bind, buffers[1].id(), Some(5)),
        ]
    );
    let submission = tracker.submissions(1)[0];
    assert_eq!((submission.queue, submission.command_buffers), (queue.id(), 2));
}

#[test]
fn staged_bytes_wait_since_the_first_of_them_and_name_who_staged_it() {
    let (tracker, probe, hand) = tracker(|builder| builder);
    assert_eq!(tracker.unsubmitted(), None);
    let owner = probe.owner(OwnerKind::TRANSIENT, 1);
    let target = {
        let _guard = Context::current().with_owner(owner).enter();
        probe.create(New::buffer(64))
    };
    probe.staged_into(&target, 10);
    hand.advance(MS);
    probe.staged(20);
    let waiting = tracker.unsubmitted().unwrap();
    assert_eq!((waiting.bytes, waiting.since.unix_nanos()), (30, START));
    assert_eq!((waiting.first, waiting.owner, waiting.site), (target.id(), Some(owner), None));
    probe.event(Mark::submit(1));
    assert_eq!(tracker.unsubmitted(), None);
    let line = line!() + 1;
    probe.staged(5);
    let waiting = tracker.unsubmitted().unwrap();
    assert_eq!((waiting.bytes, waiting.since.unix_nanos(), waiting.first), (5, START + 1_000_000, None));
    assert_eq!(waiting.site.unwrap().line(), line);
}

#[test]
fn the_ends_of_followed_kinds_are_written_down_with_owner_packet_and_site() {
    let (tracker, probe, hand) = tracker(|builder| builder);
    let owner = probe.owner(OwnerKind::ROOT_VISUAL, 3);
    let lane = probe.lane("main");
    let first = probe.packet(lane);
    let made_in = first.id();
    let line = line!() + 3;
    let queue = {
        let _guard = first.context().with_owner(owner).enter();
        probe.create(New::of(ResourceKind::COMMAND_QUEUE, 0).label("queue of the root"))
    };
    first.finish(PacketResult::Presented);
    hand.advance(5 * MS);
    let second = probe.packet(lane);
    let guard = second.context().enter();
    queue.destroyed();
    drop(queue);
    drop(probe.create(New::buffer(1)));
    drop(guard);
    let lives = tracker.lives();
    assert_eq!((lives.ended.len(), lives.missed), (1, 0));
    let life = &lives.ended[0];
    assert_eq!((life.label.as_deref(), life.owner), (Some("queue of the root"), Some(owner)));
    assert_eq!((life.created_in, life.released_in), (Some(made_in), Some(second.id())));
    assert_eq!((life.site.unwrap().line(), life.explicit), (line, true));
    assert_eq!(life.released.since(life.created), Some(5 * MS));
    second.finish(PacketResult::NoOp);

    for _ in 0..5_000 {
        drop(probe.create(New::native_target(1)));
    }
    let lives = tracker.lives();
    assert_eq!(lives.ended.len() as u64 + lives.missed, 5_001);
}

#[test]
fn short_lives_are_those_of_few_packets_or_little_time() {
    let (tracker, probe, hand) = tracker(|builder| builder.short_lived(2, 10 * MS));
    let lane = probe.lane("main");
    let mut packet = probe.packet(lane);
    let next = |packet: &mut engine_vitals_core::probe::Packet| {
        std::mem::replace(packet, probe.packet(lane)).finish(PacketResult::Presented);
        hand.advance(20 * MS);
    };
    let make = |packet: &engine_vitals_core::probe::Packet| {
        let _guard = packet.context().enter();
        probe.create(New::buffer(8))
    };
    let drop_in = |packet: &engine_vitals_core::probe::Packet, ticket| {
        let _guard = packet.context().enter();
        drop(ticket);
    };
    let short = || tracker.totals().device().short_lived;
    let ticket = make(&packet);
    next(&mut packet);
    drop_in(&packet, ticket);
    assert_eq!(short(), 1, "one packet later, 20 ms");
    let ticket = make(&packet);
    next(&mut packet);
    next(&mut packet);
    drop_in(&packet, ticket);
    assert_eq!(short(), 1, "two packets later, 40 ms");
    drop(make(&packet));
    assert_eq!(short(), 2, "no packet at the end, no time");
    drop(probe.create(New::of(ResourceKind::TEXTURE_VIEW, 0)));
    assert_eq!(short(), 2, "a passing kind");
    let totals = tracker.totals();
    assert_eq!(totals.lifetimes.count, 3, "without the passing kind");
    assert_eq!(totals.lifetimes.sum, 60 * MS);
    assert_eq!(totals.kind(ResourceKind::BUFFER).device.mean_lifetime(), Some(20 * MS));
    let at_most = |time: Duration| totals.lifetimes.buckets.iter().rfind(|(bound, _)| *bound <= time).unwrap().1;
    assert_eq!((at_most(MS), at_most(17 * MS), at_most(70 * MS)), (1, 1, 3));
}

#[test]
fn bursts_are_counted_by_tenths_of_a_second() {
    let (tracker, probe, hand) = tracker(|builder| builder);
    let tickets: Vec<_> = (0..5).map(|_| probe.create(New::buffer(1))).collect();
    hand.advance(250 * MS);
    std::thread::spawn(move || drop(tickets)).join().unwrap();
    drop(probe.create(New::buffer(1)));
    let at = |bucket: u64| Timestamp::from_unix_nanos(START + bucket * 100_000_000);
    let bursts: Vec<_> = tracker.bursts().iter().map(|burst| (burst.from, burst.created, burst.released)).collect();
    assert_eq!(bursts, [(at(0), 5, 0), (at(2), 1, 6)]);
    assert_eq!(Burst::SPAN, 100 * MS);
}

#[test]
fn reuse_and_resizes_are_counted_for_kind_and_owner() {
    let (tracker, probe, _) = tracker(|builder| builder);
    let owner = probe.owner(OwnerKind::ROOT_VISUAL, 1);
    let guard = Context::current().with_owner(owner).enter();
    let mut target = probe.create(New::native_target(10));
    drop(guard);
    target.reused();
    target.resize_requested();
    target.resize_requested();
    target.resize(20);
    let counts = tracker.totals().kind(ResourceKind::NATIVE_TARGET).device;
    assert_eq!((counts.reused, counts.resize_requests, counts.rebuilds), (1, 2, 1));
    let mut owners = Vec::new();
    tracker.owner_totals(&mut owners);
    assert_eq!(owners[0].counts, counts);
}

#[test]
fn misuses_are_named_and_a_mere_handle_drop_is_none() {
    let (tracker, probe, _) = tracker(|builder| builder);
    let packet = probe.packet(probe.lane("main"));
    let make = |label| probe.create(New::buffer(1).label(label));
    let [in_use, ended, dropped, instrumented, after] =
        ["in use", "ended", "dropped", "instrumented", "after"].map(make);
    let unsited = probe.create(New::buffer(1).without_site());
    for ticket in [&in_use, &ended, &dropped, &unsited] {
        ticket.touch(packet.id());
    }
    let line = line!() + 1;
    in_use.destroyed();
    drop(ended);
    dropped.handle_dropped();
    drop(unsited);
    after.destroyed();
    after.touch(packet.id());
    drop(instrumented);
    let id = packet.id();
    packet.finish(PacketResult::Presented);
    drop(dropped);
    let misuses = tracker.misuses();
    let seen: Vec<_> = misuses.records.iter().map(|misuse| (misuse.what, misuse.label.as_deref().unwrap())).collect();
    assert_eq!(
        seen,
        [
            (MisuseKind::DestroyedInUse, "in use"),
            (MisuseKind::DestroyedInUse, "ended"),
            (MisuseKind::UsedAfterDestroy, "after"),
        ]
    );
    assert_eq!((misuses.total, tracker.totals().misuses), (3, 3));
    assert!(misuses.records.iter().all(|misuse| misuse.packet == id && misuse.site.is_some()));
    assert_eq!(misuses.records[0].at.unwrap().line(), line);
}

#[test]
fn a_misuse_panics_where_that_is_asked_for_and_the_books_stay_true() {
    let (tracker, probe, _) = tracker(|builder| builder.panic_on_misuse(true));
    let packet = probe.packet(probe.lane("main"));
    let target = probe.create(New::native_target(1).label("shown"));
    target.touch(packet.id());
    let panic = catch_unwind(AssertUnwindSafe(|| drop(target))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("\"shown\"") && text.contains("history.rs"), "{text}");
    assert_eq!(tracker.totals().device().live(), 0);
    assert_eq!(tracker.totals().device().released, 1);
}

#[test]
fn short_lived_resources_that_are_alike_are_candidates_for_a_pool() {
    let (tracker, probe, _) = tracker(|builder| builder);
    let scratch = New::texture(1_000).extent(Extent::new(10, 25)).descriptor(3);
    for _ in 0..5 {
        drop(probe.create(scratch));
        drop(probe.create(New::buffer(16)));
    }
    drop(probe.create(scratch.descriptor(4)));
    let candidates = tracker.pool_candidates();
    let seen: Vec<_> =
        candidates.iter().map(|one| (one.kind, one.bytes, one.descriptor, one.made, one.saved_bytes)).collect();
    assert_eq!(seen, [(ResourceKind::TEXTURE, 1_000, 3, 5, 4_000), (ResourceKind::BUFFER, 16, 0, 5, 64)]);
}

#[test]
fn a_snapshot_tells_what_a_resource_refers_to() {
    let (tracker, probe, _) = tracker(|builder| builder);
    let texture = probe.create(New::texture(1).label("texture"));
    let links = [texture.id().unwrap()];
    let view = probe.create(New::of(ResourceKind::TEXTURE_VIEW, 0).links(&links).descriptor(9));
    let snapshot = tracker.snapshot();
    let of = |id| snapshot.resources.iter().find(|record| Some(record.id) == id).unwrap();
    assert_eq!((&of(view.id()).links[..], of(view.id()).descriptor), (&links[..], 9));
    assert_eq!((of(view.id()).label.clone(), of(texture.id()).links.len()), (None, 0));
    drop(view);
    let plain = probe.create(New::of(ResourceKind::TEXTURE_VIEW, 0).label("plain"));
    let snapshot = tracker.snapshot();
    let record = snapshot.resources.iter().find(|record| Some(record.id) == plain.id()).unwrap();
    assert_eq!((record.links.len(), record.label.as_deref()), (0, Some("plain")), "a slot used again forgets");
}
