//! The time between frames, lane by lane.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::analysis::{TimeStats, TimeWindow};
use crate::contract::{Histogram, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row, Series, Unit};

/// Frames of lanes beyond this many count as the lane `other`, which has no times: those between frames of different lanes are none.
const LANES: usize = 16;
const OTHER: &str = "other";

/// Keeps the distribution of the time between one frame and the next of each lane (a surface, or a named headless stream).
///
/// Nothing is counted for a lane before its first frame. The frames of lanes beyond the sixteenth count together, as the lane `other`,
/// without times. It has no bytes, so its usage report is empty.
#[derive(Debug)]
pub struct FrameMonitor {
    id: Cow<'static, str>,
    lanes: Mutex<Vec<Lane>>,
}

#[derive(Debug)]
struct Lane {
    name: Cow<'static, str>,
    times: Arc<Histogram>,
    window: TimeWindow,
    frames: u64,
    last: Option<Duration>,
}

impl FrameMonitor {
    /// A monitor with this name.
    #[must_use]
    pub fn new(id: impl Into<Cow<'static, str>>) -> Self {
        Self { id: id.into(), lanes: Mutex::default() }
    }

    /// Counts a frame of the lane with this name, ended at `now`, a time since any fixed moment. A time before that of the frame before
    /// counts the frame and leaves its time out.
    pub fn frame(&self, lane: &str, now: Duration) {
        let mut lanes = self.lanes.lock();
        let known = lanes.iter().position(|known| known.name == lane);
        let index = known.unwrap_or_else(|| {
            let name = if lanes.len() < LANES { Cow::Owned(lane.to_owned()) } else { Cow::Borrowed(OTHER) };
            lanes.iter().position(|known| known.name == name).unwrap_or_else(|| {
                let times = Arc::new(Histogram::for_frames());
                lanes.push(Lane { name, times, window: TimeWindow::default(), frames: 0, last: None });
                lanes.len() - 1
            })
        });
        let lane = &mut lanes[index];
        lane.frames += 1;
        if lane.name == OTHER {
            return;
        }
        if let Some(time) = lane.last.replace(now).and_then(|last| now.checked_sub(last)) {
            lane.times.record(time);
            lane.window.push(time);
        }
    }

    /// The statistics of the last 1,024 times between frames of the lane; `None` for a lane that is not known or has no times yet. It
    /// copies and sorts them: ask now and then, not each frame.
    #[must_use]
    pub fn window(&self, lane: &str) -> Option<TimeStats> {
        let window = self.lanes.lock().iter().find(|known| known.name == lane)?.window.clone();
        window.stats()
    }
}

impl ResourceMonitor for FrameMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Other("frames")
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }

    fn description_revision(&self) -> u64 {
        self.lanes.lock().len() as u64
    }

    fn describe(&self, series: &mut Series) {
        for lane in &*self.lanes.lock() {
            series
                .histogram("vitals_frame_seconds", "Time from the end of one frame to the end of the next", &lane.times)
                .label("lane", lane.name.clone());
            series.counter("vitals_frames_total", Unit::Count, "Frames ended").label("lane", lane.name.clone());
        }
    }

    fn record(&self, row: &mut Row<'_>) {
        for lane in &*self.lanes.lock() {
            row.push(lane.frames);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Value;

    const MS: Duration = Duration::from_millis(1);

    fn recorded(monitor: &FrameMonitor) -> Vec<(String, Option<Value>)> {
        let mut series = Series::with_cap(100);
        monitor.describe(&mut series);
        let counters = series.finish().0.into_iter().flatten().filter(|figure| figure.name.ends_with("_total"));
        let lanes: Vec<_> = counters.map(|figure| figure.labels[0].1.to_string()).collect();
        let mut values = vec![None; lanes.len()];
        monitor.record(&mut Row::new(&mut values));
        lanes.into_iter().zip(values).collect()
    }

    #[test]
    fn each_lane_has_its_own_times() {
        let monitor = FrameMonitor::new("frames");
        assert_eq!(recorded(&monitor), []);
        for now in [0, 16, 33, 30] {
            monitor.frame("main", now * MS);
        }
        monitor.frame("second", MS);
        let one = |count| Some(Value::U64(count));
        assert_eq!(recorded(&monitor), [("main".to_owned(), one(4)), ("second".to_owned(), one(1))]);
        let lanes = monitor.lanes.lock();
        let main = lanes[0].times.snapshot();
        assert_eq!((main.count, main.sum), (2, 0.033), "the frame that went back in time has no time");
        assert_eq!(lanes[1].times.snapshot().count, 0);
        drop(lanes);
        let window = monitor.window("main").unwrap();
        assert_eq!((window.count, window.min, window.max), (2, 16 * MS, 17 * MS));
        assert_eq!((monitor.window("second"), monitor.window("third")), (None, None));
    }

    #[test]
    fn lanes_beyond_the_cap_share_one() {
        let monitor = FrameMonitor::new("frames");
        for lane in 0..1_000 {
            monitor.frame(&lane.to_string(), MS);
        }
        let lanes = recorded(&monitor);
        assert_eq!(lanes.len(), LANES + 1);
        assert_eq!(monitor.lanes.lock()[LANES].times.snapshot().count, 0, "frames of different lanes are no interval");
        assert_eq!(lanes[LANES], (OTHER.to_owned(), Some(Value::U64(1_000 - LANES as u64))));
    }
}
