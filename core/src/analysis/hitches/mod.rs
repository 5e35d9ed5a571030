//! Frames that took too long, and what explains it.
//!
//! A pure step over plain data: each frame's time and what was done in it go in, and where the frame is over its budget, a record comes out
//! that ranks what the frame did beyond the typical. What the frame's own thread was measured to spend is believed first, then passes on the
//! GPU for which the frame waited, then what other threads did meanwhile, then estimates from amounts; what none of these explains is called
//! external: the operating system, the driver, or code that nobody measures.

mod explain;
mod rolling;
#[cfg(test)]
mod tests;
mod text;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::probe::{PacketId, Timestamp};

use self::rolling::{Grown, Rolling};

/// When a frame is a hitch, and how many are kept.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HitchRules {
    /// A frame may take this many times the typical one; 2 by default.
    pub times_typical: f64,
    /// And at least this much more than the typical one, so that a fast engine's jitter is no hitch; 4 ms by default.
    pub beyond_typical: Duration,
    /// A budget that replaces both; none by default.
    pub fixed: Option<Duration>,
    /// Frames that must have been seen before one is judged by the typical; 30 by default, at most [`TYPICAL_FRAMES`](Self::TYPICAL_FRAMES).
    pub warm_up: usize,
    /// Records kept, the newest; 64 by default.
    pub kept: usize,
    /// What amounts are taken to cost where no time was measured.
    pub costs: HitchCosts,
}

impl HitchRules {
    /// The typical frame is the median of so many before.
    pub const TYPICAL_FRAMES: usize = rolling::FRAMES;
}

impl Default for HitchRules {
    fn default() -> Self {
        Self {
            times_typical: 2.0,
            beyond_typical: Duration::from_millis(4),
            fixed: None,
            warm_up: 30,
            kept: 64,
            costs: HitchCosts::default(),
        }
    }
}

/// Estimates for what was counted and not timed. They only fill what measured times leave unexplained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HitchCosts {
    /// Of one byte uploaded: 0.6 ns, as `Queue::write_buffer` takes for 100 MiB.
    pub picoseconds_per_uploaded_byte: u64,
    /// Of one resource created: 3 us.
    pub per_creation: Duration,
    /// Of one resource destroyed: 1 us.
    pub per_destruction: Duration,
    /// Of one block allocated on the heap: 50 ns.
    pub per_heap_allocation: Duration,
    /// Of one byte that the heap grows by, whose page is touched first: 0.1 ns.
    pub picoseconds_per_heap_byte: u64,
}

impl Default for HitchCosts {
    fn default() -> Self {
        Self {
            picoseconds_per_uploaded_byte: 600,
            per_creation: Duration::from_micros(3),
            per_destruction: Duration::from_micros(1),
            per_heap_allocation: Duration::from_nanos(50),
            picoseconds_per_heap_byte: 100,
        }
    }
}

/// What can make a frame long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HitchCause {
    /// Pipelines were compiled.
    Pipelines,
    /// Shader modules were compiled.
    ShaderModules,
    /// Bytes were uploaded.
    Uploads,
    /// Resources were created.
    Creations,
    /// Resources were destroyed.
    Destructions,
    /// Submitting work took long.
    Submissions,
    /// The frame waited: for the GPU, a surface texture, the display, room in a staging ring.
    Stalls,
    /// Blocks were allocated on the heap.
    HeapAllocations,
    /// A pass took longer on the GPU.
    GpuPass,
    /// Nothing that was measured or counted explains it.
    External,
}

/// Causes with amounts of their own.
const WORKS: usize = HitchCause::GpuPass as usize;

impl HitchCause {
    /// All of them.
    pub const ALL: [Self; WORKS + 2] = [
        Self::Pipelines,
        Self::ShaderModules,
        Self::Uploads,
        Self::Creations,
        Self::Destructions,
        Self::Submissions,
        Self::Stalls,
        Self::HeapAllocations,
        Self::GpuPass,
        Self::External,
    ];

    /// The name in metrics and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pipelines => "pipelines",
            Self::ShaderModules => "shader_modules",
            Self::Uploads => "uploads",
            Self::Creations => "creations",
            Self::Destructions => "destructions",
            Self::Submissions => "submissions",
            Self::Stalls => "stalls",
            Self::HeapAllocations => "heap_allocations",
            Self::GpuPass => "gpu_pass",
            Self::External => "external",
        }
    }
}

/// How much of one kind of work a frame did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// How often.
    pub count: u64,
    /// Of how many bytes.
    pub bytes: u64,
    /// Bytes whose cost is estimated: of uploads those that no timed call dealt with, where others were timed; of the heap those that it grew
    /// by, whose pages are touched first.
    pub estimated_bytes: u64,
    /// What it took on the thread that ends the frame, where that was measured.
    pub time: Option<Duration>,
    /// What it took on other threads, as far as that was measured. They may have worked beside the frame and not held it up.
    pub elsewhere: Duration,
}

/// A frame, as it ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FrameFacts<'a> {
    /// Its number.
    pub frame: u64,
    /// From the end of the frame before to the end of this one.
    pub time: Duration,
    /// When it ended.
    pub ended: Timestamp,
    /// The packet of the same frame, where that is known.
    pub packet: Option<PacketId>,
    /// What was done in it.
    work: [Work; WORKS],
    /// Its passes on the GPU, by name, each name once.
    pub passes: &'a [(Arc<str>, Duration)],
}

impl<'a> FrameFacts<'a> {
    /// A frame that did nothing that was counted.
    #[must_use]
    pub fn new(frame: u64, time: Duration) -> Self {
        Self { frame, time, ..Self::default() }
    }

    /// With so much work of this kind; passes and what is external have none.
    #[must_use]
    pub fn with(mut self, cause: HitchCause, work: Work) -> Self {
        if let Some(place) = self.work.get_mut(cause as usize) {
            *place = work;
        }
        self
    }

    /// With these passes.
    #[must_use]
    pub fn with_passes(self, passes: &[(Arc<str>, Duration)]) -> FrameFacts<'_> {
        FrameFacts { passes, ..self }
    }

    /// Ended then, as that packet.
    #[must_use]
    pub fn ended(self, ended: Timestamp, packet: Option<PacketId>) -> Self {
        Self { ended, packet, ..self }
    }
}

/// One frame that was over its budget.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hitch {
    /// Its place among the hitches, from 1.
    pub number: u64,
    /// The frame's number.
    pub frame: u64,
    /// When the frame ended.
    pub ended: Timestamp,
    /// The packet of the same frame, where that is known.
    pub packet: Option<PacketId>,
    /// Its time.
    pub time: Duration,
    /// The median of the frames before it; `None` where too few were seen and the budget is fixed.
    pub typical: Option<Duration>,
    /// What it might have taken.
    pub budget: Duration,
    /// What explains it, the weightiest first. Never empty.
    pub causes: Vec<Evidence>,
}

impl Hitch {
    /// The weightiest cause.
    #[must_use]
    pub fn cause(&self) -> HitchCause {
        self.causes.first().map_or(HitchCause::External, |evidence| evidence.cause)
    }
}

/// What speaks for one cause.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Evidence {
    /// The cause.
    pub cause: HitchCause,
    /// The time beyond the typical frame's that it explains.
    pub time: Duration,
    /// How that is known.
    pub basis: Basis,
    /// How much of it the frame did.
    pub work: Work,
    /// How much of it the typical frame does.
    pub typical: Work,
    /// The pass, of a pass.
    pub pass: Option<PassEvidence>,
}

/// Which pass took longer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassEvidence {
    /// Its name.
    pub name: Arc<str>,
    /// The frame whose pass it was: that of the hitch, or an earlier one whose work on the GPU was waited for.
    pub frame: u64,
}

/// How the time that a cause explains is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Basis {
    /// Measured, on the thread that ends the frame or on the GPU.
    Measured,
    /// Measured on other threads, which may have worked beside the frame.
    OtherThreads,
    /// Estimated from the amount ([`HitchCosts`]).
    Estimated,
    /// What is left.
    Remainder,
}

impl Basis {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::OtherThreads => "on other threads",
            Self::Estimated => "estimated",
            Self::Remainder => "unexplained",
        }
    }
}

/// Watches frames for hitches. A step takes a microsecond and a tenth of one for each pass, and allocates nothing, but for a hitch and for a
/// pass that is new or grew.
#[derive(Debug)]
pub struct HitchLog {
    rules: HitchRules,
    rolling: Rolling,
    kept: VecDeque<Hitch>,
    tallies: [HitchTally; HitchCause::ALL.len()],
    hitches: u64,
    budget: Option<Duration>,
    /// Passes of the last frames that grew: the work of several frames is in flight at once, and who waits, waits for the oldest.
    grown: VecDeque<Grown>,
}

/// What one cause came to, over life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HitchTally {
    /// Hitches of which it was the weightiest cause.
    pub hitches: u64,
    /// Time that it explains of all hitches, whether the weightiest or not.
    pub time: Duration,
}

impl HitchLog {
    /// A log by these rules.
    #[must_use]
    pub fn new(rules: HitchRules) -> Self {
        Self {
            budget: rules.fixed,
            rules,
            rolling: Rolling::default(),
            kept: VecDeque::new(),
            tallies: Default::default(),
            hitches: 0,
            grown: VecDeque::new(),
        }
    }

    /// A frame has ended. Its hitch, if it is one.
    pub fn frame(&mut self, facts: &FrameFacts<'_>) -> Option<&Hitch> {
        let hitch = self.judge(facts);
        self.remember(facts);
        let hitch = hitch?;
        // What a pass has explained of this frame it does not explain of the next.
        for evidence in &hitch.causes {
            let same = |grown: &&mut Grown| {
                evidence.pass.as_ref().is_some_and(|pass| (pass.frame, &pass.name) == (grown.frame, &grown.name))
            };
            if let Some(grown) = self.grown.iter_mut().find(same) {
                grown.used = grown.used.saturating_add(evidence.time);
            }
        }
        self.hitches += 1;
        for (cause, tally) in HitchCause::ALL.into_iter().zip(&mut self.tallies) {
            tally.hitches += u64::from(hitch.cause() == cause);
            let explained = hitch.causes.iter().filter(|evidence| evidence.cause == cause);
            tally.time = explained.fold(tally.time, |sum, evidence| sum.saturating_add(evidence.time));
        }
        self.kept.push_back(hitch);
        while self.kept.len() > self.rules.kept.max(1) {
            self.kept.pop_front();
        }
        self.kept.back()
    }

    /// The newest hitches, the oldest first.
    pub fn hitches(&self) -> impl ExactSizeIterator<Item = &Hitch> + DoubleEndedIterator {
        self.kept.iter()
    }

    /// Hitches over life.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.hitches
    }

    /// What each cause came to over life, in the order of [`HitchCause::ALL`].
    pub fn tallies(&self) -> impl Iterator<Item = (HitchCause, HitchTally)> {
        HitchCause::ALL.into_iter().zip(self.tallies)
    }

    /// What the next frame may take; `None` while too few were seen.
    #[must_use]
    pub fn budget(&self) -> Option<Duration> {
        self.budget
    }

    fn typical(&self) -> Option<Duration> {
        let enough = self.rolling.frames() >= self.rules.warm_up.clamp(1, rolling::FRAMES);
        enough.then(|| self.rolling.typical_time())
    }

    fn budget_beside(&self, typical: Duration) -> Duration {
        let times = if self.rules.times_typical.is_finite() { self.rules.times_typical.clamp(1.0, 1e6) } else { 1e6 };
        typical.mul_f64(times).max(typical.saturating_add(self.rules.beyond_typical))
    }

    fn judge(&self, facts: &FrameFacts<'_>) -> Option<Hitch> {
        let budget = self.budget.filter(|budget| facts.time > *budget)?;
        let typical = self.typical();
        let excess = facts.time.saturating_sub(typical.unwrap_or_default());
        Some(Hitch {
            number: self.hitches + 1,
            frame: facts.frame,
            ended: facts.ended,
            packet: facts.packet,
            time: facts.time,
            typical,
            budget,
            causes: self.causes(facts, excess),
        })
    }

    fn remember(&mut self, facts: &FrameFacts<'_>) {
        let oldest = facts.frame.saturating_sub(GPU_FRAMES_IN_FLIGHT);
        self.grown.retain(|grown| grown.frame > oldest);
        for (name, time) in facts.passes {
            self.grown.extend(self.rolling.grown(facts.frame, name, *time));
        }
        self.rolling.push(facts);
        self.budget = self.rules.fixed.or_else(|| self.typical().map(|typical| self.budget_beside(typical)));
    }
}

/// Frames before, whose passes are looked at for what was waited for.
const GPU_FRAMES_IN_FLIGHT: u64 = 3;

fn saturated(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
