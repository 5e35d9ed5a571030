//! The faults that are planted, each by a line of this file.

use engine_vitals_core::probe::{Context, ContextGuard, Mark, New, OwnerKind, PacketId, Probe, ResourceKind, Ticket};

/// As sites name it.
pub(crate) const FILE: &str = file!();

pub(crate) const LEAKY: u64 = 7_001;
pub(crate) const LOOPING: u64 = 7_002;
pub(crate) const STORMING: u64 = 50_000;
pub(crate) const WRITING: u64 = 7_004;
pub(crate) const CARELESS: u64 = 7_005;
pub(crate) const TALKATIVE: u64 = 7_006;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A texture a frame that is never let go.
    Leak,
    /// One buffer that grows by a page each frame.
    Swelling,
    /// Two textures made anew each frame.
    RecreateLoop,
    /// A queue and a target of one owner made anew in each of thirty frames.
    QueueLoop,
    /// Two queues made and destroyed each frame.
    QueueStorm,
    /// Twelve buffers a frame, each of another owner.
    ScatteredStorm,
    /// The window is minimised, and its writes are still staged.
    Unsubmitted,
    /// Work is submitted and never polled.
    NeverPolled,
    /// The first submission is waited for without polling.
    AwaitedWithoutPoll,
    UseAfterDestroy,
    DestroyInUse,
    /// Far more labels than there is room for.
    Labels,
}

/// A fault at work.
pub(crate) struct Planted {
    fault: Fault,
    kept: Vec<Ticket>,
    key: u64,
    resting: bool,
}

impl Planted {
    /// The frame from which it works.
    pub(crate) const FROM: u32 = 700;

    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, kept: Vec::new(), key: 0, resting: false }
    }

    /// The window is minimised from now on.
    pub(crate) fn minimises(&self) -> bool {
        self.resting
    }

    pub(crate) fn never_polls(&self, frame: u32) -> bool {
        self.takes_over_submission(frame) || (self.fault == Fault::AwaitedWithoutPoll)
    }

    pub(crate) fn takes_over_submission(&self, frame: u32) -> bool {
        match self.fault {
            Fault::NeverPolled => frame >= Self::FROM,
            Fault::AwaitedWithoutPoll => true,
            _ => false,
        }
    }

    /// Submits in the engine's place. Returns the line.
    pub(crate) fn submit(&mut self, probe: Probe, correlation: u64) -> u32 {
        let _owner = owned(probe, OwnerKind::EFFECT_PIPELINE, WRITING);
        let line = line!() + 1;
        probe.event(Mark::submit(correlation));
        // Now it waits for the result.
        self.resting = self.fault == Fault::AwaitedWithoutPoll;
        line
    }

    /// Works within a frame. Returns the line.
    pub(crate) fn in_frame(&mut self, probe: Probe, packet: PacketId) -> Option<u32> {
        match self.fault {
            Fault::Leak => {
                let _owner = owned(probe, OwnerKind::CHILD_VISUAL, LEAKY);
                let line = line!() + 1;
                self.kept.push(probe.create(New::texture(64 << 10).label("leaked")));
                Some(line)
            }
            Fault::Swelling => {
                let _owner = owned(probe, OwnerKind::CHILD_VISUAL, LEAKY);
                let line = line!() + 2;
                if self.kept.is_empty() {
                    self.kept.push(probe.create(New::buffer(64 << 10)));
                }
                self.key += 64 << 10;
                self.kept.first_mut()?.resize(self.key);
                Some(line)
            }
            Fault::RecreateLoop => {
                let _owner = owned(probe, OwnerKind::CHILD_VISUAL, LOOPING);
                self.kept.clear();
                let line = line!() + 1;
                self.kept.extend((0..2).map(|_| probe.create(New::texture(1 << 20))));
                Some(line)
            }
            Fault::QueueLoop => {
                self.key += 1;
                self.kept.clear();
                let _owner = owned(probe, OwnerKind::CHILD_VISUAL, LOOPING);
                let line = line!() + 3;
                if self.key <= 30 {
                    let kinds = [ResourceKind::COMMAND_QUEUE, ResourceKind::NATIVE_TARGET];
                    self.kept.extend(kinds.map(|kind| probe.create(New::of(kind, 0).label("unsettled"))));
                }
                Some(line)
            }
            Fault::QueueStorm => {
                self.kept.clear();
                let line = line!() + 4;
                for _ in 0..2 {
                    self.key = (self.key + 1) % 200;
                    let _owner = owned(probe, OwnerKind::ROOT_VISUAL, STORMING + self.key);
                    self.kept.push(probe.create(New::of(ResourceKind::COMMAND_QUEUE, 0)));
                }
                Some(line)
            }
            Fault::ScatteredStorm => {
                self.kept.clear();
                let line = line!() + 4;
                for _ in 0..12 {
                    self.key += 1;
                    let _owner = owned(probe, OwnerKind::CHILD_VISUAL, 100_000 + self.key);
                    self.kept.push(probe.create(New::buffer(4096)));
                }
                Some(line)
            }
            Fault::Unsubmitted => {
                self.resting = true;
                None
            }
            Fault::UseAfterDestroy => {
                let _owner = owned(probe, OwnerKind::CHILD_VISUAL, CARELESS);
                let line = line!() + 1;
                let ticket = probe.create(New::buffer(4096).label("careless"));
                ticket.destroyed();
                ticket.touch(packet);
                self.kept.push(ticket);
                Some(line)
            }
            Fault::DestroyInUse => {
                let _owner = owned(probe, OwnerKind::CHILD_VISUAL, CARELESS);
                let ticket = probe.create(New::buffer(4096).label("careless"));
                ticket.touch(packet);
                let line = line!() + 1;
                ticket.destroyed();
                self.kept.push(ticket);
                Some(line)
            }
            Fault::Labels => {
                let _owner = owned(probe, OwnerKind::EFFECT_PIPELINE, TALKATIVE);
                if !self.kept.is_empty() {
                    return None;
                }
                let line = line!() + 1;
                self.kept.extend((0..9_000).map(|_| probe.create(New::buffer(4).label("one of thousands"))));
                Some(line)
            }
            Fault::NeverPolled | Fault::AwaitedWithoutPoll => None,
        }
    }

    /// Works while nothing is drawn. Returns the line.
    pub(crate) fn at_rest(&mut self, probe: Probe) -> Option<u32> {
        (self.fault == Fault::Unsubmitted && self.resting).then(|| {
            let _owner = owned(probe, OwnerKind::EFFECT_PIPELINE, WRITING);
            let line = line!() + 1;
            probe.staged(4 << 10);
            line
        })
    }
}

fn owned(probe: Probe, kind: OwnerKind, key: u64) -> ContextGuard {
    Context::current().with_owner(probe.owner_named(kind, key, "planted")).enter()
}
