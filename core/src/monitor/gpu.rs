//! The time that frames take on a graphics adapter.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::analysis::{TimeStats, TimeWindow};
use crate::contract::{
    CpuPhase, FrameStats, GpuHook, GpuMonitor, GpuReport, Histogram, MonitorRef, MonitoredResourceType,
    ResourceMonitor, ResourceUsageReport, Row, Series, Unit,
};

/// Why a frame has no time on the GPU although its timer could have taken one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum TimerSkip {
    /// All readbacks were in flight: the timer never waits.
    InFlight = 0,
    /// The timestamps were out of order or had wrapped.
    Disorder = 1,
    /// The readback failed, as it does when the device is lost.
    Failed = 2,
}

impl TimerSkip {
    const ALL: [(Self, &'static str); 3] =
        [(Self::InFlight, "in_flight"), (Self::Disorder, "disorder"), (Self::Failed, "failed")];
}

/// Reports the newest finished frame, the statistics of the last 1,024, and keeps the distribution of all.
///
/// It is handed each frame by [`update_from_frame_stats`](Self::update_from_frame_stats): from the `FrameTimer` of the crate
/// `engine-vitals`, or from an engine's own timers. A frame whose times on the GPU are unknown counts in the CPU phases alone. It has no
/// bytes, so its usage report is empty.
#[derive(Debug)]
pub struct GpuFrameMonitor {
    id: Cow<'static, str>,
    frame: Arc<Histogram>,
    main_pass: Arc<Histogram>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    report: Option<GpuReport>,
    phases: [Option<Duration>; CpuPhase::ALL.len()],
    windows: Windows,
    skips: [u64; TimerSkip::ALL.len()],
}

#[derive(Debug, Default, Clone)]
struct Windows {
    gpu_frame: TimeWindow,
    main_pass: TimeWindow,
    phases: [TimeWindow; CpuPhase::ALL.len()],
}

/// The statistics of the last frames, each of the last 1,024 in which it was measured; `None` for what was never measured. The phases on the
/// CPU do not overlap. Its `Display` is a line for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuWindow {
    /// On the GPU, from FrameStart to FrameEnd.
    pub gpu_frame: Option<TimeStats>,
    /// On the GPU, from MainPassBegin to MainPassEnd.
    pub main_pass: Option<TimeStats>,
    /// On the CPU, from the frame's begin to its first hook.
    pub preparation: Option<TimeStats>,
    /// On the CPU, from the first hook to the submission.
    pub encode: Option<TimeStats>,
    /// On the CPU, in submitting.
    pub submission: Option<TimeStats>,
    /// On the CPU, in presenting.
    pub present: Option<TimeStats>,
}

impl fmt::Display for GpuWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gpu_frame, main_pass, preparation, encode, submission, present } = self;
        let known = [
            ("GPU frame", gpu_frame),
            ("GPU main pass", main_pass),
            ("CPU prepare", preparation),
            ("CPU encode", encode),
            ("CPU submit", submission),
            ("CPU present", present),
        ];
        for (name, stats) in known {
            if let Some(stats) = stats {
                writeln!(f, "{name:<13}  {stats}")?;
            }
        }
        Ok(())
    }
}

impl GpuFrameMonitor {
    /// A monitor with this name.
    #[must_use]
    pub fn new(id: impl Into<Cow<'static, str>>) -> Self {
        Self {
            id: id.into(),
            frame: Arc::new(Histogram::for_gpu_work()),
            main_pass: Arc::new(Histogram::for_gpu_work()),
            state: Mutex::default(),
        }
    }

    /// Takes the times of one finished frame. Frames may come in any order; the report keeps the one with the highest number.
    pub fn update_from_frame_stats(&self, stats: FrameStats) {
        let report = GpuReport::from(stats);
        let frame = stats.between(GpuHook::FrameStart, GpuHook::FrameEnd);
        let main_pass = stats.between(GpuHook::MainPassBegin, GpuHook::MainPassEnd);
        for (histogram, time) in [(&self.frame, frame), (&self.main_pass, main_pass)] {
            if let Some(time) = time {
                histogram.record(time);
            }
        }
        let mut state = self.state.lock();
        let State { report: newest, phases, windows, .. } = &mut *state;
        push(&mut windows.gpu_frame, frame);
        push(&mut windows.main_pass, main_pass);
        for phase in CpuPhase::ALL {
            let time = stats.phase(phase);
            add(&mut phases[phase as usize], time);
            push(&mut windows.phases[phase as usize], time);
        }
        if newest.is_none_or(|last| last.frame_number <= report.frame_number) {
            *newest = Some(report);
        }
    }

    /// The statistics of the last 1,024 frames. It copies 48 KiB and sorts them: ask now and then, not each frame.
    #[must_use]
    pub fn window(&self) -> GpuWindow {
        let Windows { gpu_frame, main_pass, phases } = self.state.lock().windows.clone();
        let [preparation, encode, submission, present] = phases.map(|phase| phase.stats());
        GpuWindow {
            gpu_frame: gpu_frame.stats(),
            main_pass: main_pass.stats(),
            preparation,
            encode,
            submission,
            present,
        }
    }

    /// Counts a frame whose time on the GPU was not taken.
    pub fn frame_skipped(&self, why: TimerSkip) {
        self.state.lock().skips[why as usize] += 1;
    }
}

impl ResourceMonitor for GpuFrameMonitor {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.clone()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Gpu
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }

    fn describe(&self, series: &mut Series) {
        series.histogram(
            "vitals_gpu_frame_seconds",
            "Time of a frame on the GPU, from its first hook to its last",
            &self.frame,
        );
        series.histogram("vitals_gpu_main_pass_seconds", "Time of a frame's main pass on the GPU", &self.main_pass);
        for phase in CpuPhase::ALL {
            series
                .counter(
                    "vitals_cpu_phase_seconds_total",
                    Unit::Seconds,
                    "Time on the CPU spent in a phase of the frame; phases do not overlap",
                )
                .label("phase", phase.name());
        }
        for (_, why) in TimerSkip::ALL {
            series
                .counter(
                    "vitals_gpu_frames_skipped_total",
                    Unit::Count,
                    "Frames whose time on the GPU was not taken, by reason",
                )
                .label("reason", why);
        }
    }

    fn record(&self, row: &mut Row<'_>) {
        let state = self.state.lock();
        for total in state.phases {
            row.push(total);
        }
        for count in state.skips {
            row.push(state.report.map(|_| count));
        }
    }

    fn view(self: Arc<Self>) -> Option<MonitorRef> {
        Some(MonitorRef::Gpu(self))
    }
}

impl GpuMonitor for GpuFrameMonitor {
    fn get_gpu_report(&self) -> Option<GpuReport> {
        self.state.lock().report
    }
}

/// Adds a time to a total, which stays unknown until a first time is known.
fn add(total: &mut Option<Duration>, time: Option<Duration>) {
    if let Some(time) = time {
        *total = Some(total.unwrap_or_default().saturating_add(time));
    }
}

fn push(window: &mut TimeWindow, time: Option<Duration>) {
    if let Some(time) = time {
        window.push(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Value;

    fn stats(frame_number: u64, hooks_us: [Option<u64>; 4]) -> FrameStats {
        FrameStats { frame_number, hooks: hooks_us.map(|us| us.map(Duration::from_micros)), ..FrameStats::default() }
    }

    fn recorded(monitor: &GpuFrameMonitor) -> [Option<Value>; 7] {
        let mut values = [None; 7];
        monitor.record(&mut Row::new(&mut values));
        values
    }

    #[test]
    fn durations_are_differences_of_hooks() {
        let monitor = GpuFrameMonitor::new("gpu");
        assert_eq!(monitor.get_gpu_report(), None);
        monitor.update_from_frame_stats(stats(3, [Some(0), Some(100), Some(1_100), Some(4_000)]));
        let report = monitor.get_gpu_report().unwrap();
        assert_eq!(report.frame_number, 3);
        assert_eq!(report.frame_total_duration_us(), Some(4_000));
        assert_eq!(report.main_pass_duration_us(), Some(1_000));
        assert_eq!(report.main_pass_duration(), Some(Duration::from_millis(1)));
        assert_eq!((monitor.frame.snapshot().count, monitor.main_pass.snapshot().sum), (1, 0.001));
    }

    #[test]
    fn without_timestamps_the_cpu_times_stay() {
        let monitor = GpuFrameMonitor::new("gpu");
        assert_eq!(recorded(&monitor), [None; 7]);
        for frame_number in 1..=2 {
            monitor.update_from_frame_stats(FrameStats {
                frame_number,
                cpu_preparation: Some(Duration::from_millis(2)),
                cpu_submission: Some(Duration::from_micros(500)),
                ..FrameStats::default()
            });
        }
        let report = monitor.get_gpu_report().unwrap();
        assert_eq!((report.frame_total_duration_us(), report.main_pass_duration_us()), (None, None));
        assert_eq!((report.cpu_preparation_time_us, report.cpu_submission_time_us), (Some(2_000), Some(500)));
        assert_eq!(monitor.frame.snapshot().count, 0);
        let seconds = [Some(Value::F64(0.004)), None, Some(Value::F64(0.001)), None];
        assert_eq!(recorded(&monitor)[..4], seconds, "nothing is known of encoding and presenting");
    }

    #[test]
    fn hooks_out_of_order_give_no_duration_and_late_frames_do_not_replace_newer_ones() {
        let monitor = GpuFrameMonitor::new("gpu");
        monitor.update_from_frame_stats(stats(8, [Some(10), None, Some(5), Some(4)]));
        let report = monitor.get_gpu_report().unwrap();
        assert_eq!((report.frame_total_duration_us(), report.main_pass_duration_us()), (None, None));
        monitor.update_from_frame_stats(stats(7, [Some(0), None, None, Some(4)]));
        assert_eq!(monitor.get_gpu_report().unwrap().frame_number, 8);
        assert_eq!(monitor.frame.snapshot().count, 1);
        monitor.frame_skipped(TimerSkip::Disorder);
        assert_eq!(recorded(&monitor)[4..], [0, 1, 0].map(|count| Some(Value::U64(count))));
    }

    #[test]
    fn phases_do_not_overlap_and_windows_hold_what_was_measured() {
        let monitor = GpuFrameMonitor::new("gpu");
        assert_eq!(monitor.window(), GpuWindow::default());
        assert_eq!(monitor.window().to_string(), "");
        for frame_number in 1..=2_000 {
            monitor.update_from_frame_stats(FrameStats {
                hooks: [Some(0), None, None, Some(frame_number)].map(|us| us.map(Duration::from_micros)),
                frame_number,
                cpu_preparation: Some(Duration::from_millis(5)),
                cpu_encode: Some(Duration::from_millis(3)),
                cpu_submission: Some(Duration::from_millis(1)),
                cpu_present: (frame_number % 2 == 0).then_some(Duration::from_millis(7)),
            });
        }
        let report = monitor.get_gpu_report().unwrap();
        assert_eq!((report.cpu_preparation_time_us, report.cpu_encode_time_us), (Some(5_000), Some(3_000)));
        assert_eq!((report.cpu_submission_time_us, report.cpu_present_time_us), (Some(1_000), Some(7_000)));
        assert_eq!(recorded(&monitor)[..4], [4.0, 6.0, 2.0, 7.0].map(|seconds| Some(Value::F64(seconds))));
        let window = monitor.window();
        let frames = window.gpu_frame.unwrap();
        assert_eq!(
            (frames.count, frames.min, frames.max),
            (1_024, Duration::from_micros(977), Duration::from_millis(2))
        );
        assert_eq!(window.main_pass, None);
        assert_eq!(window.preparation.unwrap().p50, Duration::from_millis(2));
        assert_eq!((window.encode.unwrap().p99, window.present.unwrap().count), (Duration::from_millis(3), 1_000));
        let text = window.to_string();
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.starts_with("GPU frame      1024 frames: min 977.0µs, "), "{text}");
    }
}
