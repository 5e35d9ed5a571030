//! The line of a frame that took too long. `docs/EVENTS.md` has the same as a table, and a test in `line.rs` holds the two together.

use crate::line::micros;
use engine_vitals_core::analysis::hitches::{Evidence, Hitch};
use engine_vitals_core::probe::PacketId;
use engine_vitals_core::tracker::Tracker;
use serde::Serialize;

/// A hitch as it is written. It has no `event`, and a `hitch`, by which readers tell it apart.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HitchLine<'a> {
    /// When the frame ended: milliseconds since the Unix epoch.
    ts: u64,
    /// Its place among the hitches, from 1.
    hitch: u64,
    frame: u64,
    frame_us: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    typical_us: Option<f64>,
    budget_us: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_id: Option<u64>,
    causes: Vec<CauseLine<'a>>,
}

/// One cause, the weightiest first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CauseLine<'a> {
    cause: &'a str,
    us: f64,
    basis: &'a str,
    count: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass_frame: Option<u64>,
}

impl<'a> HitchLine<'a> {
    /// The line of a hitch of the tracker's program.
    pub(crate) fn new(hitch: &'a Hitch, tracker: &Tracker) -> Self {
        Self {
            ts: hitch.ended.unix_millis(),
            hitch: hitch.number,
            frame: hitch.frame,
            frame_us: micros(hitch.time),
            typical_us: hitch.typical.map(micros),
            budget_us: micros(hitch.budget),
            lane_id: hitch.packet.and_then(|packet| tracker.lane_name(packet.lane())),
            packet_id: hitch.packet.map(PacketId::number),
            causes: hitch.causes.iter().map(CauseLine::new).collect(),
        }
    }
}

impl<'a> CauseLine<'a> {
    fn new(evidence: &'a Evidence) -> Self {
        Self {
            cause: evidence.cause.name(),
            us: micros(evidence.time),
            basis: evidence.basis.name(),
            count: evidence.work.count,
            bytes: evidence.work.bytes,
            pass: evidence.pass.as_ref().map(|pass| &*pass.name),
            pass_frame: evidence.pass.as_ref().map(|pass| pass.frame),
        }
    }
}

#[cfg(test)]
impl HitchLine<'static> {
    /// Every field there is.
    pub(crate) fn full() -> Self {
        let cause = CauseLine {
            cause: "gpu_pass",
            us: 0.5,
            basis: "measured",
            count: 1,
            bytes: 2,
            pass: Some("shadows"),
            pass_frame: Some(3),
        };
        Self {
            ts: 1,
            hitch: 2,
            frame: 3,
            frame_us: 0.5,
            typical_us: Some(0.25),
            budget_us: 0.5,
            lane_id: Some("main"),
            packet_id: Some(4),
            causes: vec![cause],
        }
    }
}
