//! An engine by the bare probe, on a clock moved by hand: loads, levels, resizes, scratch per frame, streaming, pauses.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine_vitals_core::contract::ResourceMonitor;
use engine_vitals_core::monitor::LifecycleResourceMonitor;
use engine_vitals_core::probe::{
    Clock, Context, Lane, Level, ManualClock, Mark, New, OwnerId, OwnerKind, PacketId, PacketResult, Probe,
    ResourceKind, Ticket, Timestamp,
};
use engine_vitals_core::tracker::Tracker;

pub(crate) use crate::faults::Fault;
use crate::faults::Planted;

/// Labels that the engine's tracker keeps: more than the engine has, fewer than the planted fault makes.
const LABELS: usize = 8_192;

/// SplitMix64: the same seed gives the same engine.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` up to `high`, both inclusive.
    pub(crate) fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// A submission that the GPU has not done yet, and what it holds.
struct InFlight {
    correlation: u64,
    frames: u64,
    /// By the planted fault.
    planted: bool,
    _held: Vec<Ticket>,
}

/// What the engine is at.
enum Phase {
    Loading { steps: u64 },
    Playing,
    Minimised { ticks: u64, tick: Duration },
    Resizing { frames: u64 },
    Untracked { frames: u64 },
}

/// Minimised for good.
const HUNG: Phase = Phase::Minimised { ticks: u64::MAX, tick: Duration::from_millis(50) };

pub(crate) struct Engine {
    pub(crate) probe: Probe,
    pub(crate) monitor: LifecycleResourceMonitor,
    tracker: Arc<Tracker>,
    clock: ManualClock,
    lane: Lane,
    random: Random,
    phase: Phase,
    frame_time: Duration,
    frames: u32,
    root: OwnerId,
    scratch: OwnerId,
    loader: OwnerId,
    streaming: OwnerId,
    queues: Vec<Ticket>,
    targets: Vec<Ticket>,
    level: Vec<Ticket>,
    tiles: VecDeque<(Ticket, u64)>,
    entities: VecDeque<Vec<Ticket>>,
    effects: VecDeque<(u32, Vec<Ticket>)>,
    glyphs: Vec<Ticket>,
    next_key: u64,
    submitted: u64,
    in_flight: VecDeque<InFlight>,
    planted: Option<Planted>,
    /// The line by which the fault was planted.
    pub(crate) planted_at: u32,
}

impl Engine {
    /// An engine that has started and begins to load its first level.
    pub(crate) fn start(seed: u64, fault: Option<Fault>) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_unix_nanos(1_800_000_000_000_000_000));
        let tracker = Arc::new(Tracker::builder().clock(clock).label_capacity(LABELS).build());
        let probe = tracker.probe();
        let mut random = Random(seed);
        let frame_time = [33_333, 16_667, 16_667, 6_944][random.within(0, 3) as usize];
        let steps = random.within(20, 200);
        let mut engine = Self {
            monitor: LifecycleResourceMonitor::new(Arc::clone(&tracker), "life"),
            lane: probe.lane("main"),
            root: probe.owner_named(OwnerKind::ROOT_VISUAL, 1, "root"),
            scratch: probe.owner_named(OwnerKind::TRANSIENT, 1, "frame scratch"),
            loader: probe.owner_named(probe.owner_kind("loader"), 1, "loader"),
            streaming: probe.owner_named(probe.owner_kind("streaming"), 1, "tiles"),
            probe,
            tracker,
            clock: hand,
            random,
            phase: Phase::Loading { steps },
            frame_time: Duration::from_micros(frame_time),
            frames: 0,
            queues: Vec::new(),
            targets: Vec::new(),
            level: Vec::new(),
            tiles: VecDeque::new(),
            entities: VecDeque::new(),
            effects: VecDeque::new(),
            glyphs: Vec::new(),
            next_key: 1_000,
            submitted: 0,
            in_flight: VecDeque::new(),
            planted: fault.map(Planted::new),
            planted_at: 0,
        };
        engine.monitor.update();
        engine.set_up();
        engine
    }

    pub(crate) fn created(&self) -> u64 {
        self.tracker.totals().device().created
    }

    /// Does one frame's work, of whatever phase, and updates the monitor.
    pub(crate) fn frame(&mut self) {
        self.frames += 1;
        match self.phase {
            Phase::Loading { steps: 0 } | Phase::Resizing { frames: 0 } | Phase::Minimised { ticks: 0, .. } => {
                self.phase = Phase::Playing;
            }
            Phase::Loading { ref mut steps } => {
                *steps -= 1;
                self.load();
            }
            Phase::Untracked { frames: 0 } => {
                self.tracker.set_level(Level::Counters);
                self.phase = Phase::Playing;
            }
            Phase::Untracked { ref mut frames } => {
                *frames -= 1;
                self.play();
            }
            Phase::Resizing { ref mut frames } => {
                *frames -= 1;
                self.resize();
                self.play();
            }
            Phase::Minimised { ref mut ticks, tick } => {
                *ticks -= 1;
                self.clock.advance(tick);
                self.rest();
            }
            Phase::Playing => {
                self.play();
                self.choose_phase();
            }
        }
        self.monitor.update();
    }

    /// Lets go of everything, in the order in which engines do.
    pub(crate) fn tear_down(mut self) -> LifecycleResourceMonitor {
        while let Some(done) = self.in_flight.pop_front() {
            self.probe.event(Mark::complete(done.correlation));
        }
        self.level.clear();
        self.monitor.update();
        self.clock.advance(Duration::from_millis(700));
        self.tiles.clear();
        self.entities.clear();
        self.effects.clear();
        self.monitor.update();
        self.clock.advance(Duration::from_millis(700));
        self.targets.clear();
        self.queues.clear();
        self.glyphs.clear();
        for _ in 0..5 {
            self.monitor.update();
            self.clock.advance(Duration::from_secs(1));
        }
        self.monitor
    }

    /// Queues, targets, pipelines: what the engine has for good. Modules and layouts go when the pipelines are made.
    fn set_up(&mut self) {
        let _root = Context::current().with_owner(self.root).enter();
        self.queues.extend((0..3).map(|_| self.probe.create(New::of(ResourceKind::COMMAND_QUEUE, 0))));
        self.make_targets();
        for _ in 0..self.random.within(20, 150) {
            let _module = self.probe.create(New::of(ResourceKind::SHADER_MODULE, 0));
            let _layout = self.probe.create(New::of(ResourceKind::PIPELINE_LAYOUT, 0));
            self.glyphs.push(self.probe.create(New::render_pipeline()));
            self.clock.advance(Duration::from_millis(self.random.within(1, 40)));
            self.monitor.update();
        }
    }

    fn make_targets(&mut self) {
        let many = self.random.within(2, 12);
        self.targets.push(self.probe.create(New::native_target(8 << 20).label("window")));
        self.targets.extend((0..many).map(|_| self.probe.create(New::texture_target(8 << 20))));
    }

    /// A step of a load: uploads through staging buffers, submitted; a loading screen or none.
    fn load(&mut self) {
        let screen = self.random.one_in(2);
        let packet = screen.then(|| self.probe.packet(self.lane));
        let mut held = Vec::new();
        {
            let _loader = Context::current().with_owner(self.loader).enter();
            for _ in 0..self.random.within(1, 30) {
                let bytes = self.random.within(1, 1 << 20);
                // Some uploads go by buffers that are nothing else to the tracker.
                let staging =
                    if self.random.one_in(2) { New::staging_buffer(bytes) } else { New::buffer(bytes).label("upload") };
                held.push(self.probe.create(staging));
                self.probe.staged(bytes);
                let new = if self.random.one_in(3) { New::buffer(bytes) } else { New::texture(bytes) };
                self.level.push(self.probe.create(new));
            }
        }
        self.clock.advance(Duration::from_millis(self.random.within(5, 120)));
        let id = packet.as_ref().map(|packet| packet.id());
        self.submit(id, held);
        if let Some(packet) = packet {
            packet.finish(PacketResult::Presented);
        }
        self.poll();
    }

    fn play(&mut self) {
        let packet = self.probe.packet(self.lane);
        let id = packet.id();
        let context = packet.context().enter();
        for kept in self.targets.iter().chain(self.level.iter().take(60)) {
            kept.touch(id);
        }
        let mut held = self.scratch(id);
        self.stream(&mut held);
        self.live_and_die();
        self.plant(id);
        self.submit(Some(id), held);
        drop(context);
        let jitter = Duration::from_micros(self.random.within(0, 3_000));
        self.clock.advance(self.frame_time + jitter);
        let result = match self.random.within(0, 99) {
            0 => PacketResult::Dropped,
            1 => PacketResult::NoOp,
            _ => PacketResult::Presented,
        };
        packet.finish(result);
        self.poll();
    }

    /// What a frame makes for itself, held until the GPU is done with it.
    fn scratch(&mut self, packet: PacketId) -> Vec<Ticket> {
        let mut held = Vec::new();
        let _scratch = Context::current().with_owner(self.scratch).enter();
        for _ in 0..self.random.within(1, 20) {
            let new = [New::texture_target(1 << 20), New::buffer(4096), New::bind_group()];
            held.push(self.probe.create(new[self.random.within(0, 2) as usize]));
        }
        let _renderer = Context::current().with_owner(self.root).enter();
        for kind in [ResourceKind::SURFACE_TEXTURE, ResourceKind::TEXTURE_VIEW, ResourceKind::COMMAND_BUFFER] {
            held.push(self.probe.create(New::of(kind, 0)));
        }
        drop(self.probe.create(New::of(ResourceKind::COMMAND_ENCODER, 0)));
        held.iter().for_each(|ticket| ticket.touch(packet));
        held
    }

    /// Tiles come as the camera moves, and go when they have not been seen for seconds.
    fn stream(&mut self, held: &mut Vec<Ticket>) {
        let _streaming = Context::current().with_owner(self.streaming).enter();
        let moving = u64::from(self.frames / 200) % 3 != 0;
        for _ in 0..if moving { self.random.within(0, 3) } else { 0 } {
            held.push(self.probe.create(New::staging_buffer(64 << 10)));
            self.probe.staged(64 << 10);
            let until = u64::from(self.frames) + self.random.within(200, 600);
            self.tiles.push_back((self.probe.create(New::texture(64 << 10)), until));
        }
        let now = u64::from(self.frames);
        self.tiles.retain(|(_, until)| *until > now);
    }

    /// Entities, each an owner of its own, are spawned and leave; effects burn for a second or a few; glyphs are laid out anew.
    fn live_and_die(&mut self) {
        if self.random.one_in(4) {
            self.next_key += 1;
            let owner = self.probe.owner(OwnerKind::CHILD_VISUAL, self.next_key);
            let _entity = Context::current().with_owner(owner).enter();
            let many = self.random.within(1, 6);
            self.entities.push_back((0..many).map(|_| self.probe.create(New::buffer(1024).label("entity"))).collect());
        }
        if self.entities.len() > 60 + self.random.within(0, 40) as usize {
            self.entities.pop_front();
        }
        if self.random.one_in(90) {
            let owner = self.probe.owner(OwnerKind::EFFECT_PIPELINE, self.random.within(1, 9));
            let _effect = Context::current().with_owner(owner).enter();
            let until = self.frames + self.random.within(30, 200) as u32;
            self.effects.push_back((until, (0..3).map(|_| self.probe.create(New::texture(1 << 20))).collect()));
        }
        self.effects.retain(|(until, _)| *until > self.frames);
        if self.random.one_in(12) {
            let _text = Context::current().with_owner(self.root).enter();
            self.glyphs.push(self.probe.create(New::buffer(16 << 10).label("text")));
            let place = self.random.within(0, self.glyphs.len() as u64 - 1);
            drop(self.glyphs.swap_remove(place as usize));
        }
    }

    /// The window is dragged: each frame another size. Some targets are resized, others are made anew.
    fn resize(&mut self) {
        let _root = Context::current().with_owner(self.root).enter();
        let size = self.random.within(1 << 20, 16 << 20);
        for (place, target) in self.targets.iter_mut().enumerate() {
            if place % 2 == 0 {
                target.resize(size);
            } else {
                *target = self.probe.create(New::texture_target(size));
                self.probe.event(Mark::ResizeRebuild { target, extent: None });
            }
        }
    }

    fn choose_phase(&mut self) {
        self.phase = match self.random.within(0, 2_999) {
            // Another level: the old one goes in one frame.
            0 => {
                self.level.clear();
                self.tiles.clear();
                self.entities.clear();
                Phase::Loading { steps: self.random.within(10, 250) }
            }
            3..=5 => Phase::Minimised {
                ticks: self.random.within(3, 120),
                tick: Duration::from_millis(self.random.within(16, 1_000)),
            },
            // Stopped, as by a debugger, for minutes: not even the monitor runs.
            6 => {
                self.clock.advance(Duration::from_secs(self.random.within(60, 600)));
                Phase::Playing
            }
            // Nothing is tracked for a while.
            10 if self.planted.is_none() => {
                self.tracker.set_level(Level::Off);
                Phase::Untracked { frames: self.random.within(1, 300) }
            }
            7..=9 => Phase::Resizing { frames: self.random.within(1, 60) },
            _ => Phase::Playing,
        };
    }

    /// Nothing is drawn, submitted or polled; what hangs in the planted fault hangs here too.
    fn rest(&mut self) {
        if let Some(planted) = &mut self.planted {
            self.planted_at = planted.at_rest(self.probe).unwrap_or(self.planted_at);
        }
    }

    fn submit(&mut self, packet: Option<PacketId>, held: Vec<Ticket>) {
        let _packet = packet.map(|packet| Context::current().with_packet(packet).enter());
        self.probe.staged(256);
        self.submitted += 1;
        let correlation = self.submitted;
        let mut by_fault = false;
        match &mut self.planted {
            Some(planted) if planted.takes_over_submission(self.frames) => {
                // What was polled before is not of the fault's making.
                let probe = self.probe;
                self.in_flight.retain(|work| {
                    if !work.planted {
                        probe.event(Mark::complete(work.correlation));
                    }
                    work.planted
                });
                by_fault = true;
                self.planted_at = planted.submit(self.probe, correlation);
                if planted.minimises() {
                    self.phase = HUNG;
                }
            }
            _ => self.probe.event(Mark::submit(correlation)),
        }
        let frames = self.random.within(0, 2);
        self.in_flight.push_back(InFlight { correlation, frames, planted: by_fault, _held: held });
    }

    /// The GPU gets on, and the program asks it how far it is.
    fn poll(&mut self) {
        if self.planted.as_ref().is_some_and(|planted| planted.never_polls(self.frames)) {
            return;
        }
        while self.in_flight.front().is_some_and(|work| work.frames == 0) {
            if let Some(done) = self.in_flight.pop_front() {
                self.probe.event(Mark::complete(done.correlation));
            }
        }
        if let Some(work) = self.in_flight.front_mut() {
            work.frames -= 1;
        }
    }

    fn plant(&mut self, packet: PacketId) {
        let Some(planted) = &mut self.planted else { return };
        if self.frames >= Planted::FROM {
            self.planted_at = planted.in_frame(self.probe, packet).unwrap_or(self.planted_at);
            if planted.minimises() {
                self.phase = HUNG;
            }
        }
    }
}
