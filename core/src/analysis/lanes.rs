//! Rolling figures of each lane, over its newest packets.

use std::time::Duration;

use crate::probe::{Lane, PacketResult};
use crate::tracker::PacketRecord;

use super::churn::ratio;

/// The newest packets of a lane, as far as they are kept.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LaneFigures {
    /// Name of the lane.
    pub lane: String,
    /// Packets looked at: those of the newest that have ended.
    pub packets: u64,
    /// The share of them that was presented, 0 to 1.
    pub presented_ratio: Option<f64>,
    /// Time from being queued to being presented.
    pub queue_to_present: Latencies,
    /// Time from the first submission to the completion of the last.
    pub submit_to_complete: Latencies,
    /// Mean number of resources that the program created while a packet was open. Packets of several lanes overlap.
    pub created_per_packet: Option<f64>,
    /// Mean number of resources that the program destroyed while a packet was open.
    pub destroyed_per_packet: Option<f64>,
}

/// Figures of some times. `None` when there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Latencies {
    /// How many times.
    pub count: u64,
    /// Their mean.
    #[cfg_attr(feature = "telemetry", serde(rename = "mean_seconds", with = "super::report::some_seconds"))]
    pub mean: Option<Duration>,
    /// The time that half of them do not exceed (nearest rank).
    #[cfg_attr(feature = "telemetry", serde(rename = "p50_seconds", with = "super::report::some_seconds"))]
    pub p50: Option<Duration>,
    /// The time that 95 of 100 do not exceed (nearest rank).
    #[cfg_attr(feature = "telemetry", serde(rename = "p95_seconds", with = "super::report::some_seconds"))]
    pub p95: Option<Duration>,
    /// The longest.
    #[cfg_attr(feature = "telemetry", serde(rename = "max_seconds", with = "super::report::some_seconds"))]
    pub max: Option<Duration>,
}

impl Latencies {
    /// The figures of these times.
    #[must_use]
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        let count = times.len();
        let rank = |percent: usize| times.get((count * percent).div_ceil(100).max(1) - 1).copied();
        let nanos = times.iter().map(Duration::as_nanos).sum::<u128>().checked_div(count as u128);
        Self {
            count: count as u64,
            mean: nanos.map(|nanos| Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))),
            p50: rank(50),
            p95: rank(95),
            max: times.last().copied(),
        }
    }
}

/// The figures of each lane that has packets among these, in the order of the lanes' numbers.
pub(super) fn lanes(packets: &[PacketRecord], name: impl Fn(Lane) -> String) -> Vec<LaneFigures> {
    let mut known: Vec<_> = packets.iter().map(|packet| packet.lane).collect();
    known.sort_unstable();
    known.dedup();
    known.into_iter().map(|lane| figures(packets.iter().filter(|packet| packet.lane == lane), name(lane))).collect()
}

fn figures<'a>(packets: impl Iterator<Item = &'a PacketRecord>, lane: String) -> LaneFigures {
    let ended: Vec<_> = packets.filter(|packet| packet.result.is_some()).collect();
    let count = ended.len() as u64;
    let presented = ended.iter().filter(|packet| packet.result == Some(PacketResult::Presented)).count() as u64;
    LaneFigures {
        lane,
        packets: count,
        presented_ratio: ratio(presented, count),
        queue_to_present: Latencies::of(ended.iter().filter_map(|packet| packet.queue_to_present())),
        submit_to_complete: Latencies::of(ended.iter().filter_map(|packet| packet.submit_to_complete())),
        created_per_packet: ratio(ended.iter().map(|packet| packet.created).sum(), count),
        destroyed_per_packet: ratio(ended.iter().map(|packet| packet.released).sum(), count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{PacketId, Timestamp};

    fn times(millis: &[u64]) -> Vec<Duration> {
        millis.iter().map(|&millis| Duration::from_millis(millis)).collect()
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        assert_eq!(Latencies::of([]), Latencies::default());
        let millis = |of: Latencies| [of.mean, of.p50, of.p95, of.max].map(|time| time.map(|time| time.as_micros()));
        assert_eq!(millis(Latencies::of(times(&[7]))), [Some(7_000); 4]);
        // Of four, half are two: the second. 95 of 100 of four are 3.8: the fourth.
        let four = Latencies::of(times(&[9, 1, 2, 4]));
        assert_eq!(millis(four), [Some(4_000), Some(2_000), Some(9_000), Some(9_000)]);
        let hundred = Latencies::of((1..=100).map(Duration::from_millis));
        assert_eq!(millis(hundred), [Some(50_500), Some(50_000), Some(95_000), Some(100_000)]);
        assert_eq!(hundred.count, 100);
    }

    #[test]
    fn a_lane_is_judged_by_its_own_ended_packets() {
        let packet = |ended: Option<(u64, PacketResult)>, submitted: Option<u64>, completed: Option<u64>, created| {
            let at = |millis: u64| Timestamp::from_unix_nanos(millis * 1_000_000);
            PacketRecord {
                id: PacketId::NONE,
                lane: Lane::OTHER,
                command: None,
                queued: at(0),
                submitted: submitted.map(at),
                completed: completed.map(at),
                ended: ended.map(|(millis, _)| at(millis)),
                result: ended.map(|(_, result)| result),
                submissions: 0,
                created,
                released: 2 * created,
            }
        };
        let packets = [
            packet(Some((10, PacketResult::Presented)), Some(2), Some(12), 1),
            packet(Some((20, PacketResult::Presented)), Some(3), None, 3),
            packet(Some((90, PacketResult::Dropped)), None, None, 2),
            packet(None, Some(4), Some(5), 100),
        ];
        let [figures] = &lanes(&packets, |lane| format!("lane {}", lane.get()))[..] else { unreachable!() };
        assert_eq!((figures.lane.as_str(), figures.packets), ("lane 1", 3));
        assert_eq!(figures.presented_ratio, Some(2.0 / 3.0));
        assert_eq!(figures.queue_to_present, Latencies::of(times(&[10, 20])), "a dropped one was not presented");
        assert_eq!(figures.submit_to_complete, Latencies::of(times(&[10])));
        assert_eq!((figures.created_per_packet, figures.destroyed_per_packet), (Some(2.0), Some(4.0)));
    }
}
