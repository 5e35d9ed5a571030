//! What engines ask of a pool, frame by frame: the same events at each run, for whoever plays them.
//!
//! A trace holds its demand at or below a share of the budget, counting what the GPU may still use: an allocation that fails is then the
//! pool's fault. It knows of no pool.

use std::collections::VecDeque;

use fastrand::Rng;

/// Frames in a simulated second.
pub(crate) const FRAMES_A_SECOND: u64 = 60;
/// Frames in a simulated minute.
pub(crate) const FRAMES_A_MINUTE: u64 = 60 * FRAMES_A_SECOND;
/// Frames that the GPU lies behind: what was freed in one is free so many later.
pub(crate) const FRAMES_IN_FLIGHT: u64 = 2;

/// What is asked of a pool. Keys are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A block.
    Allocate(Request),
    /// The block of that key is not needed any more.
    Free(u32),
    /// This frame writes to the block of that key.
    Use(u32),
}

/// A block that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// What it is called from now on.
    pub(crate) key: u32,
    /// How many bytes.
    pub(crate) bytes: u64,
    /// A multiple of what.
    pub(crate) align: u64,
}

/// Who churns, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Sectors of a world that come and go with the camera, 1 KiB to 1 MiB, some of whose assets outlive them; now and then a new level.
    Streaming,
    /// Glyphs that are kept for as long as they are read, 256 B to 64 KiB, under screens of up to 1 MiB images that open and close.
    Atlas,
    /// Emitters that live for seconds, write to their blocks without a pause and move to larger ones as they grow, 1 KiB to 768 KiB.
    Particles,
    /// Fills the pool with blocks of one size after the other, up to 256 in a frame, and each time keeps 2 to 85 % of them, spread over all slabs: 256 B to 256 KiB, and one byte more than the sixteenth parts of an octave, where rounding up costs most.
    Adversarial,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Streaming => "level streaming",
            Self::Atlas => "UI atlas",
            Self::Particles => "particles",
            Self::Adversarial => "adversarial",
        }
    }
}

/// How much of the budget is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Occupancy {
    /// This share, always.
    Steady(f64),
    /// From 30 % to 90 % and back, a step of 12 % each half minute, in five minutes.
    Sweep,
}

impl Occupancy {
    /// The share at that frame.
    fn at(self, frame: u64) -> f64 {
        match self {
            Self::Steady(share) => share,
            Self::Sweep => {
                let step = frame / (FRAMES_A_MINUTE / 2) % 10;
                0.3 + 0.12 * step.min(10 - step) as f64
            }
        }
    }
}

/// Events without end.
#[derive(Debug)]
pub(crate) struct Trace {
    books: Books,
    play: Play,
    occupancy: Occupancy,
    budget: u64,
}

#[derive(Debug)]
enum Play {
    Streaming(Streaming),
    Atlas(Atlas),
    Particles(Particles),
    Adversarial(Adversarial),
}

impl Trace {
    pub(crate) fn new(kind: Kind, seed: u64, budget: u64, occupancy: Occupancy) -> Self {
        let play = match kind {
            Kind::Streaming => Play::Streaming(Streaming::default()),
            Kind::Atlas => Play::Atlas(Atlas::default()),
            Kind::Particles => Play::Particles(Particles::default()),
            Kind::Adversarial => Play::Adversarial(Adversarial::default()),
        };
        Self { books: Books::new(seed), play, occupancy, budget }
    }

    /// The events of the next frame, in order.
    pub(crate) fn frame(&mut self) -> &[Event] {
        let goal = (self.budget as f64 * self.occupancy.at(self.books.frame)) as u64;
        self.books.begin(goal);
        match &mut self.play {
            Play::Streaming(streaming) => streaming.frame(&mut self.books),
            Play::Atlas(atlas) => atlas.frame(&mut self.books),
            Play::Particles(particles) => particles.frame(&mut self.books),
            Play::Adversarial(adversarial) => adversarial.frame(&mut self.books),
        }
        self.books.frame += 1;
        &self.books.events
    }

    /// Bytes asked for of all blocks that live or that the GPU may still use.
    pub(crate) fn demand(&self) -> u64 {
        self.books.demand()
    }

    /// Blocks that live.
    pub(crate) fn live(&self) -> usize {
        self.books.sizes.len() - self.books.free_keys.len()
    }
}

/// What a trace has asked for.
#[derive(Debug)]
struct Books {
    random: Rng,
    frame: u64,
    goal: u64,
    events: Vec<Event>,
    /// By key.
    sizes: Vec<u64>,
    free_keys: Vec<u32>,
    live_bytes: u64,
    /// Bytes that were freed in the frames that the GPU may still be at, this one last.
    in_flight: VecDeque<u64>,
}

impl Books {
    fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            frame: 0,
            goal: 0,
            events: Vec::new(),
            sizes: Vec::new(),
            free_keys: Vec::new(),
            live_bytes: 0,
            in_flight: VecDeque::new(),
        }
    }

    fn begin(&mut self, goal: u64) {
        self.goal = goal;
        self.events.clear();
        self.in_flight.push_back(0);
        if self.in_flight.len() as u64 > FRAMES_IN_FLIGHT + 1 {
            self.in_flight.pop_front();
        }
    }

    fn demand(&self) -> u64 {
        self.live_bytes + self.in_flight.iter().sum::<u64>()
    }

    /// Bytes that may be asked for.
    fn room(&self) -> u64 {
        self.goal.saturating_sub(self.demand())
    }

    /// Asks for a block, if the goal has room for it.
    fn allocate(&mut self, bytes: u64, align: u64) -> Option<u32> {
        if bytes > self.room() {
            return None;
        }
        let key = self.free_keys.pop().unwrap_or_else(|| {
            self.sizes.push(0);
            self.sizes.len() as u32 - 1
        });
        self.sizes[key as usize] = bytes;
        self.live_bytes += bytes;
        self.events.push(Event::Allocate(Request { key, bytes, align }));
        Some(key)
    }

    fn free(&mut self, key: u32) {
        let bytes = self.sizes[key as usize];
        self.live_bytes -= bytes;
        if let Some(now) = self.in_flight.back_mut() {
            *now += bytes;
        }
        self.free_keys.push(key);
        self.events.push(Event::Free(key));
    }

    /// From `low` to `high`, each doubling as often as any other; a multiple of `step`.
    fn size(&mut self, low: u64, high: u64, step: u64) -> u64 {
        let size = low as f64 * (high as f64 / low as f64).powf(self.random.f64());
        (size as u64).next_multiple_of(step)
    }

    /// About so many in a second.
    fn happens(&mut self, a_second: f64) -> bool {
        self.random.f64() * (FRAMES_A_SECOND as f64) < a_second
    }
}

/// Takes one of them out, whichever.
fn any<T>(of: &mut Vec<T>, random: &mut Rng) -> Option<T> {
    (!of.is_empty()).then(|| of.swap_remove(random.usize(..of.len())))
}

/// See [`Kind::Streaming`].
#[derive(Debug, Default)]
struct Streaming {
    /// The sectors that are there, the oldest first.
    sectors: VecDeque<Vec<u32>>,
    /// What is on its way out.
    leaving: Vec<u32>,
    /// Assets that outlived their sector, and until when.
    shared: VecDeque<(u64, u32)>,
    /// Assets that the newest sector still waits for.
    missing: u32,
}

impl Streaming {
    fn frame(&mut self, books: &mut Books) {
        while self.shared.front().is_some_and(|&(until, _)| until <= books.frame) {
            self.leaving.extend(self.shared.pop_front().map(|(_, key)| key));
        }
        if books.happens(1.0 / 600.0) {
            // Another level.
            for sector in std::mem::take(&mut self.sectors) {
                self.leave(sector, books);
            }
        }
        // A whole level takes four seconds in, and not less out.
        let mut a_frame = books.goal / (4 * FRAMES_A_SECOND);
        if self.missing == 0 && books.happens(2.0) {
            self.missing = books.random.u32(30..150);
            self.sectors.push_back(Vec::new());
        }
        while self.missing > 0 && a_frame > 0 {
            let small = books.random.u8(..) < 200;
            let bytes = if small { books.size(1 << 10, 64 << 10, 4) } else { books.size(64 << 10, 1 << 20, 256) };
            let align = if small { 4 } else { 256 };
            let Some(key) = books.allocate(bytes, align) else { break };
            match self.sectors.back_mut() {
                Some(newest) => newest.push(key),
                None => self.sectors.push_back(vec![key]),
            }
            self.missing -= 1;
            a_frame = a_frame.saturating_sub(bytes);
        }
        // Ahead of the camera there is always to be room for some frames more.
        let wanted = books.goal - books.goal / 16;
        let leaving: u64 = self.leaving.iter().map(|&key| books.sizes[key as usize]).sum();
        if books.live_bytes - leaving > wanted {
            if let Some(sector) = self.sectors.pop_front() {
                self.leave(sector, books);
            } else if let Some((_, key)) = self.shared.pop_front() {
                self.leaving.push(key);
            }
        }
        let mut a_frame = books.goal / (2 * FRAMES_A_SECOND);
        while a_frame > 0 {
            let Some(key) = any(&mut self.leaving, &mut books.random) else { break };
            a_frame = a_frame.saturating_sub(books.sizes[key as usize]);
            books.free(key);
        }
    }

    fn leave(&mut self, sector: Vec<u32>, books: &mut Books) {
        for key in sector {
            if books.random.u8(..) < 20 {
                let last = self.shared.back().map_or(0, |&(until, _)| until);
                self.shared.push_back((last.max(books.frame + 60 * FRAMES_A_SECOND), key));
            } else {
                self.leaving.push(key);
            }
        }
    }
}

/// See [`Kind::Atlas`].
#[derive(Debug, Default)]
struct Atlas {
    glyphs: Vec<u32>,
    screens: VecDeque<Vec<u32>>,
}

impl Atlas {
    fn frame(&mut self, books: &mut Books) {
        // Rows of a picture are copied at multiples of 256 bytes.
        let picture = |width: u64, height: u64| (4 * width).next_multiple_of(256) * height;
        for _ in 0..books.random.u32(0..40) {
            let side = books.size(8, 64, 1);
            let bytes = picture(side, side + books.random.u64(..side));
            while books.room() < bytes + books.goal / 3 {
                let Some(key) = any(&mut self.glyphs, &mut books.random) else { break };
                books.free(key);
                if books.random.u8(..) < 64 {
                    break;
                }
            }
            self.glyphs.extend(books.allocate(bytes, 256));
        }
        if books.happens(1.5) {
            let mut screen = Vec::new();
            for _ in 0..books.random.u32(20..300) {
                let (width, height) = (books.size(32, 512, 1), books.size(16, 512, 1));
                match books.allocate(picture(width, height), 256) {
                    Some(key) => screen.push(key),
                    None => break,
                }
            }
            self.screens.push_back(screen);
        }
        if books.room() < books.goal / 12 || books.happens(0.2) {
            // Mostly the oldest closes.
            let which = if books.random.u8(..) < 160 { 0 } else { books.random.usize(..self.screens.len().max(1)) };
            for key in self.screens.remove(which).unwrap_or_default() {
                books.free(key);
            }
        }
    }
}

/// See [`Kind::Particles`].
#[derive(Debug, Default)]
struct Particles {
    emitters: Vec<Emitter>,
}

#[derive(Debug)]
struct Emitter {
    key: u32,
    stride: u64,
    capacity: u64,
    wanted: u64,
    grows_by: u64,
    until: u64,
}

impl Particles {
    fn frame(&mut self, books: &mut Books) {
        let mut index = 0;
        while let Some(emitter) = self.emitters.get_mut(index) {
            // Where there is less room than there was, the first to come are ended early.
            if emitter.until <= books.frame || (books.room() < books.goal / 50 && books.random.u8(..) < 8) {
                books.free(emitter.key);
                self.emitters.swap_remove(index);
                continue;
            }
            emitter.wanted += emitter.grows_by;
            if emitter.wanted > emitter.capacity {
                let capacity = (emitter.capacity * 3 / 2).min(16 << 10);
                if let Some(key) = books.allocate(capacity * emitter.stride, 16) {
                    books.free(emitter.key);
                    (emitter.key, emitter.capacity) = (key, capacity);
                }
                emitter.wanted = emitter.wanted.min(emitter.capacity);
            }
            // Often enough that the GPU is never done with it.
            if (books.frame + u64::from(emitter.key)).is_multiple_of(FRAMES_IN_FLIGHT + 1) {
                books.events.push(Event::Use(emitter.key));
            }
            index += 1;
        }
        let most = books.goal / (40 << 10);
        for _ in 0..most.div_ceil(60) {
            let stride = [16, 32, 48][books.random.usize(..3)];
            let capacity = books.random.u64(64..512);
            let Some(key) = books.allocate(capacity * stride, 16) else { break };
            let lives = books.size(20, 600, 1);
            let grows_by = books.random.u64(0..60);
            let until = books.frame + lives;
            self.emitters.push(Emitter { key, stride, capacity, wanted: capacity, grows_by, until });
        }
    }
}

/// What the adversary gives back in a frame at most, and asks for.
const MOST_A_FRAME: u32 = 256;

/// See [`Kind::Adversarial`].
#[derive(Debug, Default)]
struct Adversarial {
    size: u64,
    /// The blocks of this size, in the order that they were given out.
    filling: Vec<u32>,
    leaving: Vec<u32>,
    /// Those kept of the sizes before, the oldest first.
    kept: VecDeque<u32>,
    kept_bytes: u64,
}

impl Adversarial {
    fn frame(&mut self, books: &mut Books) {
        let mut out = books.goal / (4 * FRAMES_A_SECOND);
        for _ in 0..MOST_A_FRAME {
            // What has to wait for the next frame stays in the list.
            let Some(key) = self.leaving.pop_if(|_| out > 0) else { break };
            out = out.saturating_sub(books.sizes[key as usize]);
            books.free(key);
        }
        let mut into = books.goal / (4 * FRAMES_A_SECOND);
        let mut full = self.size == 0;
        for _ in 0..MOST_A_FRAME {
            if into == 0 || full {
                break;
            }
            match books.allocate(self.size, 4) {
                Some(key) => self.filling.push(key),
                None => full = true,
            }
            into = into.saturating_sub(self.size);
        }
        if full && self.leaving.is_empty() {
            self.turn(books);
        }
    }

    /// The next size.
    fn turn(&mut self, books: &mut Books) {
        // What stays is spread over all slabs: so little that to move it is cheap, or so much that it is not.
        let stays =
            if books.random.bool() { 0.02 + 0.15 * books.random.f64() } else { 0.2 + 0.65 * books.random.f64() };
        for key in std::mem::take(&mut self.filling) {
            if books.random.f64() < stays {
                self.kept_bytes += books.sizes[key as usize];
                self.kept.push_back(key);
            } else {
                self.leaving.push(key);
            }
        }
        while self.kept_bytes > books.goal / 4 * 3 {
            let Some(key) = self.kept.pop_front() else { break };
            self.kept_bytes -= books.sizes[key as usize];
            self.leaving.push(key);
        }
        let octave = books.random.u32(8..18);
        self.size = (1 << octave) + (books.random.u64(..16) << octave >> 4) + 1;
    }
}
