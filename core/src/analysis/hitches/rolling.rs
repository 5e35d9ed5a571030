//! What is typical: medians of the last frames.

use std::time::Duration;

use super::super::times::Last;
use super::{FrameFacts, WORKS, Work, saturated};

/// Frames that the typical one is the median of.
pub(super) const FRAMES: usize = 120;
/// Passes that are followed by name; of others nothing is typical.
const PASSES: usize = 64;

/// The last values of one figure.
type Series = Last<FRAMES>;

#[derive(Debug, Default)]
struct WorkSeries {
    count: Series,
    bytes: Series,
    nanos: Series,
}

#[derive(Debug)]
struct PassSeries {
    name: Box<str>,
    nanos: Series,
    /// Frames seen when it was last part of one.
    last: usize,
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
            series.nanos.push(work.time.map_or(0, saturated));
        }
        for &(name, time) in facts.passes {
            if let Some(pass) = self.place_of(name) {
                pass.nanos.push(saturated(time));
            }
        }
    }

    /// The series of a pass: its own, a new one, or that of a pass that has not been seen for longer than frames are remembered.
    fn place_of(&mut self, name: &str) -> Option<&mut PassSeries> {
        let now = self.times.pushed();
        let known = self.passes.iter().position(|pass| &*pass.name == name);
        let index = known.or_else(|| {
            let new = PassSeries { name: name.into(), nanos: Series::default(), last: now };
            if self.passes.len() < PASSES {
                self.passes.push(new);
                return Some(self.passes.len() - 1);
            }
            let gone = self.passes.iter().position(|pass| now - pass.last > FRAMES)?;
            self.passes[gone] = new;
            Some(gone)
        })?;
        let pass = self.passes.get_mut(index)?;
        pass.last = now;
        Some(pass)
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
            time: Some(Duration::from_nanos(series.nanos.median())),
        }
    }

    /// `None` for a pass that is not known, of which all time is beyond the typical.
    pub(super) fn typical_pass(&self, name: &str) -> Option<Duration> {
        let pass = self.passes.iter().find(|pass| &*pass.name == name)?;
        Some(Duration::from_nanos(pass.nanos.median()))
    }
}
