//! What the books say, held against each other: totals, events and snapshot of one tracker.

use engine_vitals::probe::{Event, EventKind, Level, ResourceId, ResourceKind};
use engine_vitals::tracker::{EventCursor, Tracker};
use std::collections::BTreeMap;

/// A tracker with room for all events of the scene between two steps, and a reader of them.
pub(crate) struct Books {
    pub(crate) tracker: Tracker,
    cursor: EventCursor,
    pub(crate) events: Vec<Event>,
}

impl Books {
    pub(crate) fn open(level: Level, touch_lists: bool) -> Self {
        Self::with_room(1 << 15, level, touch_lists)
    }

    /// With room for so many events of each thread.
    pub(crate) fn with_room(events: usize, level: Level, touch_lists: bool) -> Self {
        let tracker = Tracker::builder().level(level).ring_capacity(events).build();
        tracker.set_touch_lists(touch_lists);
        let cursor = tracker.events();
        Self { tracker, cursor, events: Vec::new() }
    }

    /// Takes the events of late.
    pub(crate) fn read(&mut self) {
        let outcome = self.cursor.read(&mut self.events);
        assert_eq!(outcome.lost, 0, "the rings are too small for this test");
    }

    /// Nothing is live, pending or in flight; what was created was released, by every account.
    pub(crate) fn assert_closed(&mut self) {
        self.read();
        let totals = self.tracker.totals();
        for (kind, counts) in totals.kinds() {
            let counts = counts.device;
            assert_eq!(counts.created, counts.released, "{kind:?}: created and released; {:#?}", self.left());
            assert_eq!((counts.live(), counts.pending()), (0, 0), "{kind:?}");
            assert_eq!((counts.live_bytes(), counts.pending_bytes()), (0, 0), "bytes of {kind:?}");
            assert_eq!(counts.created_bytes, counts.released_bytes, "bytes of {kind:?}");
        }
        assert_eq!(self.left(), Vec::<String>::new());
        assert_eq!(totals.inconsistencies, 0);
        assert_eq!(totals.submissions.in_flight(), 0, "submissions in flight");
    }

    /// The events tell the same lives as the totals: each resource created once and destroyed once, and nothing happens to it
    /// before or after. For a tracker at [`Level::Events`] from beginning to end.
    pub(crate) fn assert_told(&mut self) {
        self.read();
        let mut lives: BTreeMap<ResourceId, Vec<&Event>> = BTreeMap::new();
        for event in &self.events {
            if let Some(id) = event.resource {
                lives.entry(id).or_default().push(event);
            }
        }
        let mut created: BTreeMap<ResourceKind, u64> = BTreeMap::new();
        for (id, mut life) in lives {
            // Threads tell it in their own rings.
            life.sort_by_key(|event| event.sequence);
            let kinds: Vec<_> = life.iter().map(|event| event.event).collect();
            let sequences: Vec<_> = life.iter().map(|event| event.sequence).collect();
            assert_eq!(kinds.first(), Some(&EventKind::Create), "{id:?}: {kinds:?}");
            assert_eq!(kinds.last(), Some(&EventKind::Destroy), "{id:?}: {kinds:?}");
            assert_eq!(sequences, (0..life.len() as u32).map(Some).collect::<Vec<_>>(), "{id:?}");
            let times = |kind| kinds.iter().filter(|other| **other == kind).count();
            assert_eq!((times(EventKind::Create), times(EventKind::Destroy)), (1, 1), "{id:?}");
            *created.entry(life[0].resource_kind.unwrap()).or_default() += 1;
        }
        let totals: BTreeMap<_, _> =
            self.tracker.totals().kinds().map(|(kind, counts)| (kind, counts.device.created)).collect();
        assert_eq!(created, totals, "created by the events, and by the totals");
    }

    fn left(&self) -> Vec<String> {
        let resources = self.tracker.snapshot().resources;
        resources.iter().map(|resource| format!("{:?} {:?} {:?}", resource.kind, resource.label, resource.id)).collect()
    }
}
