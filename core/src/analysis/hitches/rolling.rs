//! What is typical: medians of the last frames.

use std::sync::Arc;
use std::time::Duration;

use super::super::times::Last;
use super::{FrameFacts, WORKS, Work, saturated};

/// Frames that the typical one is the median of.
pub(super) const FRAMES: usize = 120;
/// Passes that are followed by name, as many as a monitor of them can have names (256, and `other`); of others nothing is typical.
pub(super) const PASSES: usize = 257;

/// The last values of one figure.
type Series = Last<FRAMES>;

#[derive(Debug, Default)]
struct WorkSeries {
    count: Series,
    bytes: Series,
    estimated_bytes: Series,
    nanos: Series,
    elsewhere: Series,
    /// Its time was ever measured.
    timed: bool,
}

#[derive(Debug)]
struct PassSeries {
    name: Arc<str>,
    nanos: Series,
    /// The median as of not long ago: it is asked for each frame.
    typical: u64,
    /// Frames seen when it was last part of one.
    last: usize,
}

/// A pass's median is taken anew each so many frames, and each time while there are as few.
const TAKEN_EACH: usize = 16;

/// A pass, and what it typically takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grown {
    pub(super) frame: u64,
    pub(super) name: Arc<str>,
    pub(super) time: Duration,
    pub(super) typical: Duration,
    /// How much of its growth has explained a hitch already.
    pub(super) used: Duration,
}

impl Grown {
    pub(super) fn growth(&self) -> Duration {
        self.time.saturating_sub(self.typical).saturating_sub(self.used)
    }
}

/// The last frames.
#[derive(Debug, Default)]
pub(super) struct Rolling {
    times: Series,
    work: [WorkSeries; WORKS],
    passes: Vec<PassSeries>,
}

impl Rolling {
    pub(super) fn push(&mut self, facts: &FrameFacts<'_>) {
        self.times.push(saturated(facts.time));
        for (series, work) in self.work.iter_mut().zip(facts.work) {
            series.count.push(work.count);
            series.bytes.push(work.bytes);
            series.estimated_bytes.push(work.estimated_bytes);
            series.nanos.push(work.time.map_or(0, saturated));
            series.timed |= work.time.is_some();
            series.elsewhere.push(saturated(work.elsewhere));
        }
        for (name, time) in facts.passes {
            if let Some(pass) = self.place_of(name) {
                pass.nanos.push(saturated(*time));
                let pushed = pass.nanos.pushed();
                if pushed <= TAKEN_EACH || pushed.is_multiple_of(TAKEN_EACH) {
                    pass.typical = pass.nanos.median();
                }
            }
        }
    }

    /// The series of a pass: its own, a new one, or that of a pass that has not been seen for longer than frames are remembered.
    fn place_of(&mut self, name: &Arc<str>) -> Option<&mut PassSeries> {
        let now = self.times.pushed();
        let index = match self.passes.iter().position(|pass| pass.name == *name) {
            Some(known) => known,
            None => {
                let room = self.room()?;
                let new = PassSeries { name: Arc::clone(name), nanos: Series::default(), typical: 0, last: now };
                match self.passes.get_mut(room) {
                    Some(gone) => *gone = new,
                    None => self.passes.push(new),
                }
                room
            }
        };
        let pass = self.passes.get_mut(index)?;
        pass.last = now;
        Some(pass)
    }

    /// Where a new pass would go; `None` while all places are those of passes that go on.
    fn room(&self) -> Option<usize> {
        if self.passes.len() < PASSES {
            return Some(self.passes.len());
        }
        let now = self.times.pushed();
        self.passes.iter().position(|pass| now - pass.last > FRAMES)
    }

    /// Frames remembered.
    pub(super) fn frames(&self) -> usize {
        self.times.kept().len()
    }

    pub(super) fn typical_time(&self) -> Duration {
        Duration::from_nanos(self.times.median())
    }

    pub(super) fn typical_work(&self, index: usize) -> Work {
        let Some(series) = self.work.get(index) else { return Work::default() };
        Work {
            count: series.count.median(),
            bytes: series.bytes.median(),
            estimated_bytes: series.estimated_bytes.median(),
            time: series.timed.then(|| Duration::from_nanos(series.nanos.median())),
            elsewhere: Duration::from_nanos(series.elsewhere.median()),
        }
    }

    /// A pass of a frame beside what it typically takes. All of the time of a new pass is beyond the typical; of one that there is no room to
    /// follow nothing is known.
    pub(super) fn growth(&self, frame: u64, name: &Arc<str>, time: Duration) -> Option<Grown> {
        let typical = self.typical_pass(name).or_else(|| self.room().map(|_| Duration::ZERO))?;
        Some(Grown { frame, name: Arc::clone(name), time, typical, used: Duration::ZERO })
    }

    /// The same of a pass that took far longer than it typically does.
    pub(super) fn grown(&self, frame: u64, name: &Arc<str>, time: Duration) -> Option<Grown> {
        let typical = self.typical_pass(name)?;
        let far = time > typical.saturating_mul(3) / 2 && time.saturating_sub(typical) > GROWN_AT_LEAST;
        far.then(|| Grown { frame, name: Arc::clone(name), time, typical, used: Duration::ZERO })
    }

    /// `None` for a pass that is not known.
    pub(super) fn typical_pass(&self, name: &str) -> Option<Duration> {
        let pass = self.passes.iter().find(|pass| &*pass.name == name)?;
        Some(Duration::from_nanos(pass.typical))
    }
}

/// Less growth of a pass is nothing that a later frame waits for.
const GROWN_AT_LEAST: Duration = Duration::from_micros(500);
