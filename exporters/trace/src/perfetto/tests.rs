//! Random programs, and what must hold of every trace.

use super::schema::{Data, EventType, Trace};
use super::{LeftOut, Recorder};
use crate::pump::Format;
use engine_vitals_core::probe::{Clock, Level, Mark, New, Packet, PacketResult, Ticket, Timestamp};
use engine_vitals_core::tracker::Tracker;
use proptest::prelude::*;
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
enum Step {
    Create(bool),
    Release(usize),
    Queue(bool),
    Finish(usize),
    Submit,
    /// With the number of one in flight.
    SubmitAgain(usize),
    Complete(usize),
    Mark,
    Wait(u64),
    Read,
}

/// More resources than a program has.
const ENOUGH: usize = 1000;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(Step::Create),
        3 => any::<usize>().prop_map(Step::Release),
        2 => any::<bool>().prop_map(Step::Queue),
        2 => any::<usize>().prop_map(Step::Finish),
        2 => Just(Step::Submit),
        1 => any::<usize>().prop_map(Step::SubmitAgain),
        2 => any::<usize>().prop_map(Step::Complete),
        1 => Just(Step::Mark),
        3 => (0..3_u64).prop_map(Step::Wait),
        2 => Just(Step::Read),
    ];
    proptest::collection::vec(step, 0..200)
}

/// What is in progress when a program ends.
struct Left {
    resources: usize,
    packets: usize,
    submissions: usize,
    numbers_used_again: bool,
    events_lost: u64,
}

/// Runs a program and records it.
fn record(steps: &[Step], ring: usize, room: usize) -> (Vec<u8>, Left) {
    let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_000));
    let tracker = Tracker::builder().level(Level::Events).ring_capacity(ring).clock(clock).build();
    let probe = tracker.probe();
    let mut cursor = tracker.events();
    let mut recorder = Recorder::new(room, LeftOut::default());
    let (mut text, mut events, mut lost) = (Vec::new(), Vec::new(), 0);
    recorder.prepare(&tracker, tracker.clock().now());
    recorder.begin(&tracker, &mut text).unwrap();
    let mut read = |last: bool| {
        events.clear();
        let missed = cursor.read(&mut events).lost;
        lost += missed;
        if missed > 0 {
            recorder.lost(&tracker, missed, &mut text).unwrap();
        }
        for event in &events {
            recorder.event(&tracker, event, &mut text).unwrap();
        }
        recorder.reading_ends(&tracker, last, &mut text).unwrap();
    };
    let (mut tickets, mut packets): (Vec<Ticket>, Vec<Packet>) = Default::default();
    let (mut submissions, mut next_number, mut numbers_used_again) = (Vec::new(), 0, false);
    for step in steps {
        match *step {
            Step::Create(image) => tickets.push(probe.create(if image { New::texture(8) } else { New::buffer(8) })),
            Step::Release(which) if !tickets.is_empty() => drop(tickets.swap_remove(which % tickets.len())),
            Step::Queue(first) => packets.push(probe.packet(probe.lane(if first { "one" } else { "two" }))),
            Step::Finish(which) if !packets.is_empty() => {
                packets.swap_remove(which % packets.len()).finish(PacketResult::Presented);
            }
            Step::Submit => {
                next_number += 1;
                submissions.push(next_number);
                probe.event(Mark::submit(next_number));
            }
            Step::SubmitAgain(which) if !submissions.is_empty() => {
                numbers_used_again = true;
                probe.event(Mark::submit(submissions[which % submissions.len()]));
            }
            Step::Complete(which) if !submissions.is_empty() => {
                probe.event(Mark::complete(submissions.swap_remove(which % submissions.len())));
            }
            Step::Mark => probe.event(Mark::marker("here")),
            Step::Wait(micros) => hand.advance(Duration::from_micros(micros)),
            Step::Read => read(false),
            Step::Release(_) | Step::Finish(_) | Step::SubmitAgain(_) | Step::Complete(_) => {}
        }
    }
    read(true);
    let submissions = submissions.len();
    let (resources, packets) = (tickets.len(), packets.len());
    (text, Left { resources, packets, submissions, numbers_used_again, events_lost: lost })
}

proptest! {
    #[test]
    fn slices_nest_tracks_are_told_of_first_and_names_are_known(
        steps in steps(), ring in prop_oneof![Just(4096_usize), 2..64_usize], room in prop_oneof![Just(ENOUGH), 0..8_usize],
    ) {
        let (text, left) = record(&steps, ring, room);
        let trace = Trace::decode(&*text).unwrap();
        let mut tracks = HashSet::new();
        let (mut categories, mut names) = (HashMap::new(), HashSet::new());
        let mut events = Vec::new();
        for packet in trace.packet {
            if let Some(interned) = packet.interned_data {
                categories.extend(interned.event_categories.into_iter().filter_map(|one| Some((one.iid?, one.name?))));
                names.extend(interned.debug_annotation_names.iter().filter_map(|one| one.iid));
            }
            match packet.data {
                Some(Data::TrackDescriptor(track)) => {
                    prop_assert!(track.parent_uuid.is_none_or(|parent| tracks.contains(&parent)));
                    prop_assert!(tracks.insert(track.uuid.unwrap()), "a track is told of twice");
                }
                Some(Data::TrackEvent(event)) => {
                    let track = event.track_uuid.unwrap();
                    prop_assert!(tracks.contains(&track));
                    let category = event.category_iids.first().map(|iid| categories[iid].clone());
                    prop_assert!(event.debug_annotations.iter().all(|arg| names.contains(&arg.name_iid.unwrap())));
                    events.push((packet.timestamp.unwrap(), track, event.r#type(), category.unwrap_or_default()));
                }
                Some(Data::ClockSnapshot(_)) | None => {}
            }
        }
        // As Perfetto does: by time, and in the file's order where times are the same.
        events.sort_by_key(|(time, ..)| *time);
        let mut open: HashMap<u64, String> = HashMap::new();
        for (time, track, kind, category) in events {
            prop_assert!(time >= 1_000, "nothing is before the trace");
            match kind {
                EventType::SliceBegin => prop_assert_eq!(open.insert(track, category), None),
                EventType::SliceEnd => prop_assert!(open.remove(&track).is_some()),
                EventType::Instant | EventType::Counter | EventType::Unspecified => {}
            }
        }
        let count = |category: &str| open.values().filter(|open| *open == category).count();
        if room == ENOUGH {
            // Lost or not: the tracker was asked.
            prop_assert_eq!(count("resource"), left.resources);
        }
        if left.events_lost == 0 {
            prop_assert_eq!((count("packet"), count("submission")), (left.packets, left.submissions));
        }
        prop_assert!(count("packet") <= left.packets);
        // Two in flight by one number: which of them a completion ends is not known.
        prop_assert!(left.numbers_used_again || count("submission") <= left.submissions);
    }
}
