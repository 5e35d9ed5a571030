//! What happens in which frame. Made from the seed before the first frame, and the same on every machine.

use super::options::Plant;

/// Children of the root.
pub(crate) const CHILDREN: usize = 4;
/// The child that a planted fault is in.
pub(crate) const FAULTY_CHILD: usize = 2;

/// Frames of a planted recreate loop.
const LOOP_FRAMES: usize = 60;
/// Thumbnails that a planted leak leaves, one in each of the first steady frames.
const LEAKED: u64 = 24;
/// Steady frames of planted writes that nothing submits.
const UNSUBMITTED_FRAMES: u64 = 60;
/// Steady frames from one repaint of a child to the next: what moves in between is composed of what is there.
const REPAINT_EVERY: u64 = 64;
/// The steady frame in which a planted target is destroyed while it is used.
const DESTROY_IN_USE: u64 = 8;
/// A layout in its final size, in percent.
const FULL: u32 = 100;

/// All frames of a run.
#[derive(Debug)]
pub(crate) struct Script {
    plant: Plant,
    startup: Vec<Step>,
}

/// One frame.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub(crate) fate: Fate,
    /// A pass of the layout, which asks every visual for a size.
    pub(crate) layout: Option<Layout>,
    /// Transients that come, by their keys.
    pub(crate) appear: Vec<u64>,
    /// Transients that go.
    pub(crate) vanish: Vec<u64>,
    /// A size that does not settle: the faulty child's is smaller by so many pixels.
    pub(crate) wobble: u32,
    /// A child that is painted again though its size stays, by its place.
    pub(crate) repaint: Option<usize>,
    /// A thumbnail that is never released, by its number.
    pub(crate) leak: Option<u64>,
    /// The looks of the layers are written, though nothing will be drawn.
    pub(crate) writes: bool,
    /// The faulty child's target is destroyed after it was drawn with.
    pub(crate) destroy_in_use: bool,
}

/// How a frame ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is shown.
    #[default]
    Presented,
    /// It is drawn, but a newer layout is there before it is shown.
    Dropped,
    /// Nothing has changed: there is nothing to draw.
    NoOp,
}

/// The sizes of a pass, in percent of the final ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) picture: u32,
    pub(crate) children: [u32; CHILDREN],
}

impl Layout {
    /// Everything in its final size.
    pub(crate) const FINAL: Self = Self { picture: FULL, children: [FULL; CHILDREN] };
}

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Up to the last frame of the resize storm.
    Startup,
    /// After it.
    Steady,
    /// The teardown.
    Shutdown,
}

impl Script {
    pub(crate) fn new(seed: u64, plant: Plant) -> Self {
        let mut random = Random(seed);
        let passes = 3 + random.below(3);
        let (mut startup, mut laid_out) = (Vec::new(), Vec::new());
        let mut layout = Layout { picture: 40, children: [40; CHILDREN] };
        for pass in 0..passes {
            layout = if pass + 1 == passes { Layout::FINAL } else { layout.grown(&mut random, pass) };
            laid_out.push(startup.len());
            let overtaken = pass == 1 || (pass > 1 && pass + 1 < passes && random.below(3) == 0);
            let fate = if overtaken { Fate::Dropped } else { Fate::Presented };
            startup.push(Step { layout: Some(layout), fate, ..Step::default() });
            // The storm ends with its last pass.
            if pass + 1 == passes {
                break;
            }
            let idle = if pass == 0 { 1 } else { random.below(2) };
            startup.extend((0..idle).map(|_| Step { fate: Fate::NoOp, ..Step::default() }));
            startup.extend((0..random.below(3)).map(|_| Step::default()));
        }
        // Each transient lives from one pass of the layout to the next.
        for key in 1..=2 + random.below(2) {
            let pass = random.below(passes - 1) as usize;
            startup[laid_out[pass]].appear.push(key);
            startup[laid_out[pass + 1]].vanish.push(key);
        }
        if plant == Plant::RecreateLoop {
            startup.resize(startup.len().max(LOOP_FRAMES), Step::default());
            // It ends with the final size.
            for (step, wobble) in startup.iter_mut().rev().zip([0, 1].into_iter().cycle()) {
                step.wobble = wobble;
                step.fate = Fate::Presented;
            }
        }
        Self { plant, startup }
    }

    /// The frame of that number, from 1.
    pub(crate) fn step(&self, frame: u64) -> Step {
        let place = usize::try_from(frame.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(step) = self.startup.get(place) {
            return step.clone();
        }
        let steady = frame - self.startup.len() as u64;
        let writes = self.plant == Plant::UnsubmittedWrites && steady <= UNSUBMITTED_FRAMES;
        Step {
            fate: if writes { Fate::NoOp } else { Fate::Presented },
            writes,
            repaint: (steady.is_multiple_of(REPAINT_EVERY)).then_some((steady / REPAINT_EVERY) as usize % CHILDREN),
            leak: (self.plant == Plant::Leak && steady <= LEAKED).then_some(steady),
            destroy_in_use: self.plant == Plant::DestroyInUse && steady == DESTROY_IN_USE,
            ..Step::default()
        }
    }

    /// What is planted.
    pub(crate) fn plant(&self) -> Plant {
        self.plant
    }

    /// Whether the frame of that number is part of the storm.
    pub(crate) fn phase(&self, frame: u64) -> Phase {
        if frame <= self.startup.len() as u64 { Phase::Startup } else { Phase::Steady }
    }
}

impl Layout {
    /// Nearer to the final sizes. The picture grows in each pass, a child in two of three.
    fn grown(mut self, random: &mut Random, pass: u64) -> Self {
        self.picture = 40 + 12 * pass as u32 + random.below(6) as u32;
        for child in &mut self.children {
            if random.below(3) > 0 {
                *child = self.picture;
            }
        }
        self
    }
}

/// SplitMix64: a few numbers from a seed.
struct Random(u64);

impl Random {
    /// A number below `limit`, which is not 0. Evenly enough for the few that are asked for.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}
