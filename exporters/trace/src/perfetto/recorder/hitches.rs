//! What becomes of a frame that took too long.

use super::Recorder;
use crate::perfetto::shown::packet_name;
use crate::perfetto::write::{self, Arg, Category, number, text};
use engine_vitals_core::analysis::hitches::{Hitch, HitchCause};
use engine_vitals_core::probe::PacketId;
use engine_vitals_core::tracker::Tracker;
use std::io;
use std::time::Duration;

impl Recorder {
    /// An instant at the frame's end, to which an arrow leads from the frame's packet.
    pub(super) fn frame_hitched(&mut self, tracker: &Tracker, hitch: &Hitch, out: &mut Vec<u8>) -> io::Result<()> {
        let track = self.hitches.get(&mut self.tracks, self.process, out)?;
        let cause = hitch.cause();
        let mut args = vec![
            number(Arg::Frame, hitch.frame),
            number(Arg::FrameNanos, nanos(hitch.time)),
            number(Arg::BudgetNanos, nanos(hitch.budget)),
            text(Arg::Cause, cause.name()),
            text(Arg::Explained, hitch.to_string()),
        ];
        args.extend(hitch.typical.map(|typical| number(Arg::TypicalNanos, nanos(typical))));
        args.extend(packet_name(tracker, hitch.packet).map(|packet| text(Arg::Packet, packet)));
        for cause in HitchCause::ALL {
            let explained = hitch.causes.iter().filter(|evidence| evidence.cause == cause);
            let time = explained.fold(Duration::ZERO, |sum, evidence| sum.saturating_add(evidence.time));
            args.extend(arg_of(cause).filter(|_| !time.is_zero()).map(|arg| number(arg, nanos(time))));
        }
        let (at, flow) = (hitch.ended.unix_nanos(), hitch.packet.map(PacketId::get));
        write::instant_of(out, at, track, Category::Hitch, format!("hitch: {}", cause.name()), flow, args)
    }
}

/// Where the time goes that a cause explains; `None` for a cause that this version does not know.
fn arg_of(cause: HitchCause) -> Option<Arg> {
    Some(match cause {
        HitchCause::Pipelines => Arg::PipelinesNanos,
        HitchCause::ShaderModules => Arg::ShaderModulesNanos,
        HitchCause::Uploads => Arg::UploadsNanos,
        HitchCause::Creations => Arg::CreationsNanos,
        HitchCause::Destructions => Arg::DestructionsNanos,
        HitchCause::Submissions => Arg::SubmissionsNanos,
        HitchCause::Stalls => Arg::StallsNanos,
        HitchCause::HeapAllocations => Arg::HeapAllocationsNanos,
        HitchCause::GpuPass => Arg::GpuPassNanos,
        HitchCause::External => Arg::ExternalNanos,
        _ => return None,
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
