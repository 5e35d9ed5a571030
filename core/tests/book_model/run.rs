//! The same steps on a tracker and on the model.

use engine_vitals_core::probe::{
    Clock, Context, EventKind, Extent, Lane, Level, Mark, New, OwnerId, OwnerKind, Packet, PacketId, PacketResult,
    Probe, ResourceId, Ticket, Timestamp,
};
use engine_vitals_core::tracker::{PASSING_KINDS, ResourceRecord, Tracker};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

use super::model::{Life, Model};
use super::{KINDS, Op, SHORT, SHORT_PACKETS};

/// Runs the same steps on a tracker and on the model.
pub(crate) struct Run {
    pub(crate) tracker: Tracker,
    clock: engine_vitals_core::probe::ManualClock,
    pub(crate) model: Model,
    /// Tracked and untracked resources that are held.
    held: Vec<(Ticket, Option<Life>)>,
    packet: Option<Packet>,
    lane: Lane,
    owner: OwnerId,
}

impl Run {
    pub(crate) fn new() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_000_000_000));
        let tracker = Tracker::builder().clock(clock).level(Level::Events).ring_capacity(1024);
        let tracker = tracker.short_lived(SHORT_PACKETS, SHORT).build();
        let lane = tracker.probe().lane("test");
        let model = Model { level: Level::Events, ..Model::default() };
        Self { tracker, clock: hand, model, held: Vec::new(), packet: None, lane, owner: OwnerId::NONE }
    }

    pub(crate) fn step(&mut self, op: Op) {
        self.clock.advance(Duration::from_millis(1));
        let packet = self.packet.as_ref().map_or(PacketId::NONE, Packet::id);
        let mut context = Context::NONE.with_owner(self.owner);
        if !packet.is_none() {
            context = context.with_packet(packet);
        }
        let _context = context.enter();
        match op {
            Op::Create { .. } => self.create(op, packet),
            Op::Owner(_) | Op::BeginPacket | Op::EndPacket(_) | Op::Stage(_) | Op::Submit | Op::Complete => {
                self.frame(&op, packet);
            }
            Op::Level(level) => {
                self.tracker.set_level(level);
                self.model.level = level;
            }
            Op::TouchLists(on) => {
                self.tracker.set_touch_lists(on);
                self.model.touch_lists = on;
            }
            Op::Resize { which, .. }
            | Op::HandleDropped(which)
            | Op::Destroyed(which)
            | Op::Freed(which)
            | Op::Touch(which)
            | Op::Rebuilt(which)
            | Op::Drop(which) => {
                if !self.held.is_empty() {
                    let which = which % self.held.len();
                    self.change(&op, which, packet);
                }
            }
        }
    }

    fn create(&mut self, op: Op, packet: PacketId) {
        let Op::Create { kind, bytes, label, extent, within, native } = op else { unreachable!() };
        let within =
            within.filter(|_| !self.held.is_empty()).and_then(|which| self.held[which % self.held.len()].0.id());
        let mut new = New::of(KINDS[kind], bytes).label_opt(label.as_deref()).within(within);
        let extent = extent.map(|(width, height)| Extent::new(width, height).scale(1.5));
        if let Some(extent) = extent {
            new = new.extent(extent);
        }
        if let Some(native) = native {
            new = new.native(native);
        }
        let ticket = self.tracker.probe().create(new);
        assert_eq!(ticket.id().is_some(), self.model.level != Level::Off);
        let created = self.tracker.clock().now();
        let label = label.map(|label| label[..label.floor_char_boundary(128)].to_owned());
        let life = ticket.id().map(|id| Life {
            id,
            kind: KINDS[kind],
            bytes,
            owner: self.owner,
            label,
            extent,
            within,
            native,
            created,
            created_in: packet,
            last_packet: PacketId::NONE,
            handle_dropped: false,
            destroyed: false,
            freed: false,
            sequence: 0,
        });
        let life = life.map(|mut life| {
            self.model.counts(&life, |counts| {
                counts.created += 1;
                counts.created_bytes += bytes;
            });
            self.model.event(created, EventKind::Create, &mut life, packet);
            life.sequence = 1;
            life
        });
        self.held.push((ticket, life));
    }

    fn change(&mut self, op: &Op, which: usize, packet: PacketId) {
        let now = self.tracker.clock().now();
        let model = &mut self.model;
        let (ticket, life) = &mut self.held[which];
        let Some(life) = life else {
            // Unknown for life: nothing that is done to it may show.
            match op {
                Op::Resize { bytes, .. } => ticket.resize(*bytes),
                Op::HandleDropped(_) => ticket.handle_dropped(),
                Op::Destroyed(_) => ticket.destroyed(),
                Op::Freed(_) => ticket.freed(),
                Op::Touch(_) => touch(self.tracker.probe(), ticket, packet, which),
                Op::Drop(_) => drop(self.held.swap_remove(which)),
                _ => {}
            }
            return;
        };
        match op {
            Op::Resize { bytes, extent, .. } => {
                let bytes = *bytes;
                let old = life.bytes;
                let pending = life.handle_dropped || life.destroyed;
                match extent {
                    &Some((width, height)) => {
                        life.extent = Some(Extent::new(width, height));
                        ticket.resize_to(bytes, Extent::new(width, height));
                    }
                    None => ticket.resize(bytes),
                }
                model.counts(life, |counts| {
                    counts.rebuilds += 1;
                    let (old, bytes) = if life.freed { (0, 0) } else { (old, bytes) };
                    let (grown, shrunk) = (bytes.saturating_sub(old), old.saturating_sub(bytes));
                    counts.created_bytes += grown;
                    counts.left_live_bytes += if pending { grown } else { shrunk };
                    counts.released_bytes += shrunk;
                });
                life.bytes = bytes;
                model.event(now, EventKind::ResizeRebuild, life, packet);
            }
            Op::HandleDropped(_) => {
                ticket.handle_dropped();
                model.leave_live(life);
                life.handle_dropped = true;
            }
            Op::Destroyed(_) => {
                ticket.destroyed();
                model.leave_live(life);
                if !life.destroyed {
                    model.counts(life, |counts| counts.destroyed += 1);
                    model.misuses += u64::from(life.last_packet == packet && !packet.is_none());
                }
                life.destroyed = true;
            }
            Op::Freed(_) => {
                ticket.freed();
                model.leave_live(life);
                model.counts(life, |counts| {
                    counts.destroyed += u64::from(!life.destroyed);
                    counts.released_bytes += if life.freed { 0 } else { life.bytes };
                });
                (life.destroyed, life.freed) = (true, true);
            }
            Op::Touch(_) => {
                touch(self.tracker.probe(), ticket, packet, which);
                if model.level != Level::Off && life.last_packet != packet {
                    life.last_packet = packet;
                    model.misuses += u64::from(life.destroyed);
                    if model.touch_lists {
                        model.event(now, EventKind::Bind, life, packet);
                    }
                }
            }
            Op::Rebuilt(_) => {
                self.tracker.probe().event(Mark::ResizeRebuild { target: ticket, extent: None });
                if model.level != Level::Off {
                    model.counts(life, |counts| counts.rebuilds += 1);
                    model.event(now, EventKind::ResizeRebuild, life, packet);
                }
            }
            Op::Drop(_) => {
                model.leave_live(life);
                let in_use = life.last_packet == packet && !packet.is_none();
                model.misuses += u64::from(in_use && !life.destroyed);
                let lived = now.since(life.created).unwrap_or_default();
                let packets = packet.number().checked_sub(life.created_in.number());
                let same_lane = !packet.is_none() && !life.created_in.is_none();
                let short = lived < SHORT || (same_lane && packets.is_some_and(|packets| packets < SHORT_PACKETS));
                model.counts(life, |counts| {
                    counts.released += 1;
                    counts.short_lived += u64::from(short && !PASSING_KINDS.contains(&life.kind));
                    counts.lifetime_nanos += lived.as_nanos() as u64;
                    counts.released_bytes += if life.freed { 0 } else { life.bytes };
                });
                model.event(now, EventKind::Destroy, life, packet);
                drop(self.held.swap_remove(which));
            }
            _ => unreachable!(),
        }
    }

    fn frame(&mut self, op: &Op, packet: PacketId) {
        let now = self.tracker.clock().now();
        let (probe, on) = (self.tracker.probe(), self.model.level != Level::Off);
        let model = &mut self.model;
        match op {
            Op::Owner(key) => self.owner = key.map_or(OwnerId::NONE, |key| probe.owner(OwnerKind::CHILD_VISUAL, key)),
            Op::BeginPacket => {
                // The packet before, if any, is dropped.
                if let Some(packet) = self.packet.take() {
                    let id = packet.id();
                    drop(packet);
                    end(model, now, id, self.owner, PacketResult::Dropped);
                }
                let packet = probe.packet(self.lane);
                if on {
                    model.queued += 1;
                    model.bare(now, EventKind::Marker, None, packet.id(), self.owner, None);
                }
                self.packet = Some(packet);
            }
            Op::EndPacket(result) => {
                if let Some(packet) = self.packet.take() {
                    let id = packet.id();
                    packet.finish(*result);
                    end(model, now, id, self.owner, *result);
                }
            }
            Op::Stage(bytes) => {
                probe.staged(*bytes);
                model.staged += if on { *bytes } else { 0 };
            }
            Op::Submit => {
                probe.event(Mark::submit(1));
                if on {
                    let went = model.staged - model.taken;
                    model.taken = model.staged;
                    model.submitted += 1;
                    model.bare(now, EventKind::Submit, Some(went), packet, self.owner, None);
                }
            }
            Op::Complete => {
                probe.event(Mark::complete(1));
                if model.completed < model.submitted {
                    model.completed += 1;
                } else {
                    model.unmatched += 1;
                }
                model.bare(now, EventKind::Complete, None, packet, self.owner, None);
            }
            _ => unreachable!(),
        }
    }

    pub(crate) fn check_totals(&self) -> Result<(), TestCaseError> {
        let totals = self.tracker.totals();
        let model = &self.model;
        for kind in KINDS {
            let found = totals.kind(kind);
            for (within, counts) in [(false, found.device), (true, found.within)] {
                prop_assert_eq!(
                    counts,
                    model.kinds.get(&(kind, within)).copied().unwrap_or_default(),
                    "{:?} {}",
                    kind,
                    within
                );
            }
        }
        for kind in [OwnerKind::UNOWNED, OwnerKind::CHILD_VISUAL] {
            let found = totals.owner_kind(kind);
            for (within, counts) in [(false, found.device), (true, found.within)] {
                prop_assert_eq!(
                    counts,
                    model.owners.get(&(kind, within)).copied().unwrap_or_default(),
                    "{:?} {}",
                    kind,
                    within
                );
            }
        }
        let held: u64 = self
            .held
            .iter()
            .filter_map(|(_, life)| life.as_ref())
            .filter(|life| life.within.is_none() && !life.freed)
            .map(|life| life.bytes)
            .sum();
        prop_assert_eq!(totals.device().live_bytes() + totals.device().pending_bytes(), held);
        let packets = totals.packets();
        prop_assert_eq!(packets.queued, model.queued);
        prop_assert_eq!(PacketResult::ALL.map(|result| packets.with_result(result)), model.results);
        let submissions = totals.submissions;
        prop_assert_eq!(
            (submissions.submitted, submissions.completed, submissions.unmatched_completions),
            (model.submitted, model.completed, model.unmatched)
        );
        prop_assert_eq!((submissions.staged_bytes, submissions.submitted_bytes), (model.staged, model.taken));
        // What every frame makes by its nature is in no lifetime and in no burst.
        let passing = self.tracker.passing_kinds();
        let lives = || model.kinds.iter().filter(|((kind, _), _)| !passing.contains(kind)).map(|(_, counts)| counts);
        let released: u64 = lives().map(|counts| counts.released).sum();
        let lived: u64 = lives().map(|counts| counts.lifetime_nanos).sum();
        prop_assert_eq!((totals.lifetimes.count, totals.lifetimes.sum), (released, Duration::from_nanos(lived)));
        let bursts = self.tracker.bursts();
        let created: u64 = lives().map(|counts| counts.created).sum();
        prop_assert_eq!(bursts.iter().map(|burst| burst.created).sum::<u64>(), created);
        prop_assert_eq!(bursts.iter().map(|burst| burst.released).sum::<u64>(), released);
        let mut owners = Vec::new();
        self.tracker.owner_totals(&mut owners);
        let owners: BTreeMap<_, _> = owners.into_iter().map(|owner| (owner.owner, owner.counts)).collect();
        prop_assert_eq!(&owners, &model.keys);
        prop_assert_eq!(totals.misuses, model.misuses);
        prop_assert_eq!(totals.inconsistencies, 0);
        prop_assert_eq!(totals.overflows, Default::default());
        Ok(())
    }

    pub(crate) fn check_snapshot(&self) -> Result<(), TestCaseError> {
        let snapshot = self.tracker.snapshot();
        prop_assert_eq!(snapshot.contended, 0);
        let found: BTreeMap<ResourceId, &ResourceRecord> = snapshot.resources.iter().map(|r| (r.id, r)).collect();
        let lives: Vec<&Life> = self.held.iter().filter_map(|(_, life)| life.as_ref()).collect();
        prop_assert_eq!((found.len(), snapshot.resources.len()), (lives.len(), lives.len()));
        for life in lives {
            let record =
                found.get(&life.id).copied().ok_or_else(|| TestCaseError::fail(format!("{life:?} is missing")))?;
            let some = |packet: PacketId| (!packet.is_none()).then_some(packet);
            prop_assert_eq!(
                (record.kind, record.bytes, record.native, record.within),
                (life.kind, life.bytes, life.native, life.within)
            );
            prop_assert_eq!((&record.label, record.extent, record.created), (&life.label, life.extent, life.created));
            let states = (record.handle_dropped, record.destroyed, record.freed);
            prop_assert_eq!(states, (life.handle_dropped, life.destroyed, life.freed));
            prop_assert_eq!((record.created_in, record.last_packet), (some(life.created_in), some(life.last_packet)));
            prop_assert_eq!(record.owner, (!life.owner.is_none()).then_some(life.owner));
            prop_assert!(record.site.is_some_and(|site| site.file().ends_with("run.rs")));
        }
        Ok(())
    }
}

/// Alone or as one of several: it is the same.
fn touch(probe: Probe, ticket: &Ticket, packet: PacketId, which: usize) {
    if which.is_multiple_of(2) {
        ticket.touch(packet);
    } else {
        probe.touching(packet, |touches| [ticket, ticket].into_iter().for_each(|ticket| touches.touch(ticket)));
    }
}

fn end(model: &mut Model, now: Timestamp, id: PacketId, owner: OwnerId, result: PacketResult) {
    if id.is_none() {
        return;
    }
    model.results[result.index()] += 1;
    let kind = if result == PacketResult::Presented { EventKind::Present } else { EventKind::Marker };
    model.bare(now, kind, None, id, owner, Some(result));
}
