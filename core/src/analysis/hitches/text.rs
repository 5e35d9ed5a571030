//! A hitch as one line that a person reads at once.

use std::fmt;

use super::{Evidence, Hitch, HitchCause};
use crate::analysis::text::{bytes, duration, plain};

impl fmt::Display for Hitch {
    /// `frame 1234 took 61.0 ms (typical 16.6 ms, budget 33.2 ms): pipelines 38.0 ms (3, measured); uploads 5.00 ms (…)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {} took {} (", self.frame, duration(self.time))?;
        if let Some(typical) = self.typical {
            write!(f, "typical {}, ", duration(typical))?;
        }
        write!(f, "budget {}): ", duration(self.budget))?;
        for (index, evidence) in self.causes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{evidence}")?;
            if let Some(pass) = evidence.pass.as_ref().filter(|pass| pass.frame != self.frame) {
                write!(f, " of frame {}", pass.frame)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Evidence {
    /// `uploads 5.00 ms (12.5 MiB in 20 calls, measured)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, time, basis, work, typical, pass } = self;
        let (name, time, basis) = (cause.name().replace('_', " "), duration(*time), basis.name());
        match cause {
            HitchCause::External => write!(f, "{name} {time} ({basis})"),
            HitchCause::GpuPass => {
                let pass = pass.as_ref().map(|pass| plain(&pass.name)).unwrap_or_default();
                let of = |time: Option<_>| time.map(duration).unwrap_or_default();
                write!(f, "{name} {pass:?} {time} ({} in place of {})", of(work.time), of(typical.time))
            }
            HitchCause::Uploads | HitchCause::HeapAllocations if work.bytes > 0 && work.count > 0 => {
                let what = if *cause == HitchCause::Uploads { "calls" } else { "blocks" };
                write!(f, "{name} {time} ({} in {} {what}, {basis})", bytes(work.bytes), work.count)
            }
            HitchCause::Uploads => write!(f, "{name} {time} ({}, {basis})", bytes(work.bytes)),
            HitchCause::Creations if work.bytes > 0 => {
                write!(f, "{name} {time} ({} of {}, {basis})", work.count, bytes(work.bytes))
            }
            HitchCause::Pipelines
            | HitchCause::ShaderModules
            | HitchCause::Creations
            | HitchCause::Destructions
            | HitchCause::Submissions
            | HitchCause::Stalls
            | HitchCause::HeapAllocations => write!(f, "{name} {time} ({}, {basis})", work.count),
        }
    }
}
