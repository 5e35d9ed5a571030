//! Frames that took too long, and what explains it.
//!
//! A pure step over plain data: each frame's time and what was done in it go in, and where the frame is over its budget, a record comes out
//! that ranks what the frame did beyond the typical. Times that were measured are believed before those that are estimated from amounts,
//! and what neither explains is called external: the operating system, the driver, or code that nobody measures.

mod rolling;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use self::rolling::Rolling;

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
    /// Of one byte allocated on the heap, whose page is touched first: 0.1 ns.
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
    /// The frame waited: for a staging ring, a mapping, a surface texture.
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
    /// What it took on the CPU, where that was measured.
    pub time: Option<Duration>,
}

/// A frame, as it ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FrameFacts<'a> {
    /// Its number.
    pub frame: u64,
    /// From the end of the frame before to the end of this one.
    pub time: Duration,
    /// What was done in it.
    work: [Work; WORKS],
    /// Its passes on the GPU, by name, each name once.
    pub passes: &'a [(&'a str, Duration)],
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
    pub fn with_passes(mut self, passes: &'a [(&'a str, Duration)]) -> Self {
        self.passes = passes;
        self
    }
}

/// One frame that was over its budget.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hitch {
    /// The frame's number.
    pub frame: u64,
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
    /// Whether that was measured; else it is estimated from the amount.
    pub measured: bool,
    /// How much of it the frame did.
    pub work: Work,
    /// How much of it the typical frame does.
    pub typical: Work,
    /// The pass's name, of a pass.
    pub pass: Option<Box<str>>,
}

/// Watches frames for hitches. A step takes a microsecond and allocates nothing, but for a hitch and for a pass that is new.
#[derive(Debug)]
pub struct HitchLog {
    rules: HitchRules,
    rolling: Rolling,
    kept: VecDeque<Hitch>,
    counts: [u64; HitchCause::ALL.len()],
}

impl HitchLog {
    /// A log by these rules.
    #[must_use]
    pub fn new(rules: HitchRules) -> Self {
        Self { rules, rolling: Rolling::default(), kept: VecDeque::new(), counts: [0; HitchCause::ALL.len()] }
    }

    /// A frame has ended. Its hitch, if it is one.
    pub fn frame(&mut self, facts: &FrameFacts<'_>) -> Option<&Hitch> {
        let hitch = self.judge(facts);
        self.rolling.push(facts);
        let hitch = hitch?;
        self.counts[hitch.cause() as usize] += 1;
        self.kept.push_back(hitch);
        while self.kept.len() > self.rules.kept.max(1) {
            self.kept.pop_front();
        }
        self.kept.back()
    }

    /// The newest hitches, the oldest first.
    pub fn hitches(&self) -> impl ExactSizeIterator<Item = &Hitch> {
        self.kept.iter()
    }

    /// Hitches over life by their weightiest cause, in the order of [`HitchCause::ALL`].
    pub fn counts(&self) -> impl Iterator<Item = (HitchCause, u64)> {
        HitchCause::ALL.into_iter().zip(self.counts)
    }

    /// What the next frame may take; `None` while too few were seen.
    #[must_use]
    pub fn budget(&mut self) -> Option<Duration> {
        self.rules.fixed.or_else(|| self.typical().map(|typical| self.budget_beside(typical)))
    }

    fn typical(&mut self) -> Option<Duration> {
        let enough = self.rolling.frames() >= self.rules.warm_up.clamp(1, rolling::FRAMES);
        enough.then(|| self.rolling.typical_time())
    }

    fn budget_beside(&self, typical: Duration) -> Duration {
        let times = if self.rules.times_typical.is_finite() { self.rules.times_typical.clamp(1.0, 1e6) } else { 1e6 };
        typical.mul_f64(times).max(typical.saturating_add(self.rules.beyond_typical))
    }

    fn judge(&mut self, facts: &FrameFacts<'_>) -> Option<Hitch> {
        let typical = self.typical();
        let budget = self.rules.fixed.or_else(|| typical.map(|typical| self.budget_beside(typical)))?;
        (facts.time > budget).then(|| {
            let excess = facts.time.saturating_sub(typical.unwrap_or_default());
            Hitch { frame: facts.frame, time: facts.time, typical, budget, causes: self.causes(facts, excess) }
        })
    }

    fn causes(&mut self, facts: &FrameFacts<'_>, excess: Duration) -> Vec<Evidence> {
        let works = HitchCause::ALL.into_iter().zip(facts.work).map(|(cause, work)| {
            let typical = self.rolling.typical_work(cause as usize);
            let (time, measured) = match work.time {
                Some(time) => (time.saturating_sub(typical.time.unwrap_or_default()), true),
                None => (self.rules.costs.of(cause, work).saturating_sub(self.rules.costs.of(cause, typical)), false),
            };
            Evidence { cause, time, measured, work, typical, pass: None }
        });
        let mut causes: Vec<_> = works.collect();
        causes.extend(facts.passes.iter().map(|&(name, time)| {
            let typical = self.rolling.typical_pass(name).unwrap_or_default();
            let of = |time| Work { count: 1, bytes: 0, time: Some(time) };
            Evidence {
                cause: HitchCause::GpuPass,
                time: time.saturating_sub(typical),
                measured: true,
                work: of(time),
                typical: of(typical),
                pass: Some(name.into()),
            }
        }));
        // What was measured first, so that estimates fill the rest.
        causes.sort_by_key(|evidence| Reverse((evidence.measured, evidence.time)));
        let mut unexplained = excess;
        for evidence in &mut causes {
            evidence.time = evidence.time.min(if evidence.measured { excess } else { unexplained });
            unexplained = unexplained.saturating_sub(evidence.time);
        }
        causes.push(Evidence {
            cause: HitchCause::External,
            time: unexplained,
            measured: false,
            work: Work::default(),
            typical: Work::default(),
            pass: None,
        });
        // A twentieth of the excess explains nothing; what is left unexplained is told from a quarter on, or where there is nothing else.
        let least = |evidence: &Evidence| if evidence.cause == HitchCause::External { excess / 4 } else { excess / 20 };
        let most = causes.iter().map(|evidence| evidence.time).max().unwrap_or_default();
        causes.retain(|evidence| evidence.time > least(evidence) || evidence.time == most);
        causes.sort_by_key(|evidence| (Reverse(evidence.time), evidence.cause));
        if most.is_zero() {
            causes.retain(|evidence| evidence.cause == HitchCause::External);
        }
        causes
    }
}

impl HitchCosts {
    fn of(&self, cause: HitchCause, work: Work) -> Duration {
        let each = |one: Duration| Duration::from_nanos(saturated(one).saturating_mul(work.count));
        let bytes = |picoseconds: u64| Duration::from_nanos(work.bytes.saturating_mul(picoseconds) / 1_000);
        match cause {
            HitchCause::Uploads => bytes(self.picoseconds_per_uploaded_byte),
            HitchCause::Creations => each(self.per_creation),
            HitchCause::Destructions => each(self.per_destruction),
            HitchCause::HeapAllocations => {
                each(self.per_heap_allocation).saturating_add(bytes(self.picoseconds_per_heap_byte))
            }
            HitchCause::Pipelines
            | HitchCause::ShaderModules
            | HitchCause::Stalls
            | HitchCause::GpuPass
            | HitchCause::External => Duration::ZERO,
        }
    }
}

fn saturated(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
