//! What one scrape says, by meaning: totals and levels as the engine has them. Pure. Rates are made of two of these.
//!
//! What a scrape lacks is `None`, or not in its map. Series that differ in other labels than those named here (two
//! monitors of one kind) are added up.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::exposition::{Series, parse};
use super::stores::Stores;

/// The text of a scrape, understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) identity: Identity,
    pub(crate) times: Times,
    /// By name of the pass on the GPU.
    pub(crate) passes: BTreeMap<String, Pass>,
    /// By cause.
    pub(crate) hitches: BTreeMap<String, Figure>,
    pub(crate) heap: Heap,
    /// By tag of the heap.
    pub(crate) tags: BTreeMap<String, Tag>,
    pub(crate) process: Process,
    pub(crate) vram: Vram,
    pub(crate) stores: Stores,
    /// By kind of resource.
    pub(crate) resources: BTreeMap<String, Resources>,
    pub(crate) submissions: Submissions,
    /// By the monitor's name.
    pub(crate) monitors: BTreeMap<String, Monitor>,
    /// What engine-vitals could not keep, since the engine's start, by what it is.
    pub(crate) losses: BTreeMap<&'static str, Figure>,
    /// Series of engine-vitals in the scrape, those that are not looked at here too.
    pub(crate) series: usize,
}

/// A figure that may be unknown.
pub(crate) type Figure = Option<f64>;

/// Who answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) app: Option<String>,
    pub(crate) app_version: Option<String>,
    /// Version of engine-vitals.
    pub(crate) version: Option<String>,
    pub(crate) adapter: Option<String>,
    pub(crate) backend: Option<String>,
    pub(crate) driver: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Times {
    /// By lane.
    pub(crate) lanes: BTreeMap<String, Lane>,
    pub(crate) gpu_frame: Histogram,
    pub(crate) gpu_main_pass: Histogram,
    /// Seconds in all, by phase of the frame on the CPU.
    pub(crate) cpu_phases: BTreeMap<String, Figure>,
}

/// A pass on the GPU, over life.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pass {
    pub(crate) runs: Figure,
    pub(crate) seconds: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Lane {
    pub(crate) frames: Figure,
    pub(crate) times: Histogram,
}

/// A histogram of seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) count: Figure,
    pub(crate) sum: Figure,
    /// By upper bound, how many lay at or below it.
    pub(crate) buckets: BTreeMap<Bound, f64>,
}

/// The upper bound of a bucket: seconds in their order, +Inf last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound(pub(crate) f64);

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Heap {
    pub(crate) live_bytes: Figure,
    pub(crate) peak_bytes: Figure,
    pub(crate) live_allocations: Figure,
    pub(crate) allocations: Figure,
    pub(crate) allocated_bytes: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tag {
    pub(crate) live_bytes: Figure,
    pub(crate) live_allocations: Figure,
    pub(crate) allocations: Figure,
    pub(crate) allocated_bytes: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) resident_bytes: Figure,
    pub(crate) system_available_bytes: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Vram {
    pub(crate) live_bytes: Figure,
    pub(crate) pending_bytes: Figure,
    pub(crate) allocated_bytes: Figure,
    pub(crate) reserved_bytes: Figure,
    pub(crate) sources: BTreeMap<String, VramSource>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct VramSource {
    pub(crate) used_bytes: Figure,
    pub(crate) budget_bytes: Figure,
    pub(crate) capacity_bytes: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Resources {
    pub(crate) live: Figure,
    pub(crate) live_bytes: Figure,
    pub(crate) created: Figure,
    pub(crate) destroyed: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Submissions {
    pub(crate) packets_queued: Figure,
    /// Packets ended, by result.
    pub(crate) packets: BTreeMap<String, Figure>,
    pub(crate) submitted: Figure,
    pub(crate) completed: Figure,
    pub(crate) in_flight: Figure,
    pub(crate) unsubmitted_bytes: Figure,
    pub(crate) latency: Histogram,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Monitor {
    /// 1 when the last run ended well and is not stale, else 0.
    pub(crate) success: Figure,
    pub(crate) updates: Figure,
    pub(crate) update_seconds: Figure,
    pub(crate) failures: Figure,
    pub(crate) usage_bytes: Figure,
}

impl Sample {
    /// Reads a scrape.
    ///
    /// # Errors
    /// In words, when the text is not that of an engine.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut sample = Self::default();
        for series in parse(text)? {
            sample.series += 1;
            // No series belongs to two of them.
            let _ = sample.identity.take(&series)
                || sample.times.take(&series)
                || take_passes(&mut sample.passes, &series)
                || take_hitches(&mut sample.hitches, &series)
                || sample.heap.take(&series)
                || take_tags(&mut sample.tags, &series)
                || sample.process.take(&series)
                || sample.vram.take(&series)
                || sample.stores.take(&series)
                || take_resources(&mut sample.resources, &series)
                || sample.submissions.take(&series)
                || take_monitors(&mut sample.monitors, &series)
                || take_losses(&mut sample.losses, &series);
        }
        Ok(sample)
    }
}

impl Identity {
    fn take(&mut self, series: &Series) -> bool {
        let label = |name| Some(series.label(name).to_owned()).filter(|value| !value.is_empty());
        match series.name.as_str() {
            "vitals_build_info" => {
                self.app = label("app");
                self.app_version = label("app_version");
                self.version = label("version");
            }
            "vitals_adapter_info" => {
                self.adapter = label("adapter");
                self.backend = label("backend");
                self.driver = label("driver");
            }
            _ => return false,
        }
        true
    }
}

impl Times {
    fn take(&mut self, series: &Series) -> bool {
        let name = series.name.as_str();
        match name {
            "vitals_frames_total" => add(&mut entry(&mut self.lanes, series, "lane").frames, series.value),
            "vitals_cpu_phase_seconds_total" => add(entry(&mut self.cpu_phases, series, "phase"), series.value),
            _ if name.starts_with("vitals_frame_seconds") => {
                return entry(&mut self.lanes, series, "lane").times.take("vitals_frame_seconds", series);
            }
            _ => {
                return self.gpu_frame.take("vitals_gpu_frame_seconds", series)
                    || self.gpu_main_pass.take("vitals_gpu_main_pass_seconds", series);
            }
        }
        true
    }
}

fn take_passes(passes: &mut BTreeMap<String, Pass>, series: &Series) -> bool {
    let figure = match series.name.as_str() {
        "vitals_gpu_pass_runs_total" => &mut entry(passes, series, "pass").runs,
        "vitals_gpu_pass_seconds_total" => &mut entry(passes, series, "pass").seconds,
        _ => return false,
    };
    add(figure, series.value);
    true
}

fn take_hitches(hitches: &mut BTreeMap<String, Figure>, series: &Series) -> bool {
    let is_one = series.name == "vitals_hitches_total";
    if is_one {
        add(entry(hitches, series, "cause"), series.value);
    }
    is_one
}

impl Histogram {
    fn take(&mut self, name: &str, series: &Series) -> bool {
        match series.name.strip_prefix(name) {
            Some("_count") => add(&mut self.count, series.value),
            Some("_sum") => add(&mut self.sum, series.value),
            Some("_bucket") => {
                if let (Ok(bound), Some(value)) = (series.label("le").parse(), series.value) {
                    *self.buckets.entry(Bound(bound)).or_default() += value;
                }
            }
            _ => return false,
        }
        true
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Bound {}

impl Heap {
    fn take(&mut self, series: &Series) -> bool {
        let figure = match series.name.as_str() {
            "vitals_heap_bytes" => &mut self.live_bytes,
            "vitals_heap_peak_bytes" => &mut self.peak_bytes,
            "vitals_heap_live_allocations" => &mut self.live_allocations,
            "vitals_heap_allocations_total" => &mut self.allocations,
            "vitals_heap_allocated_bytes_total" => &mut self.allocated_bytes,
            _ => return false,
        };
        add(figure, series.value);
        true
    }
}

fn take_tags(tags: &mut BTreeMap<String, Tag>, series: &Series) -> bool {
    let figure = match series.name.as_str() {
        "vitals_heap_tag_bytes" => &mut entry(tags, series, "tag").live_bytes,
        "vitals_heap_tag_live_allocations" => &mut entry(tags, series, "tag").live_allocations,
        "vitals_heap_tag_allocations_total" => &mut entry(tags, series, "tag").allocations,
        "vitals_heap_tag_allocated_bytes_total" => &mut entry(tags, series, "tag").allocated_bytes,
        _ => return false,
    };
    add(figure, series.value);
    true
}

impl Process {
    fn take(&mut self, series: &Series) -> bool {
        let figure = match series.name.as_str() {
            "vitals_process_resident_bytes" => &mut self.resident_bytes,
            "vitals_system_memory_available_bytes" => &mut self.system_available_bytes,
            _ => return false,
        };
        // There is one process and one machine, however many monitors look at it.
        *figure = figure.or(series.value);
        true
    }
}

impl Vram {
    fn take(&mut self, series: &Series) -> bool {
        let sources = &mut self.sources;
        let figure = match series.name.as_str() {
            "vitals_vram_live_bytes" => &mut self.live_bytes,
            "vitals_vram_pending_bytes" => &mut self.pending_bytes,
            "vitals_vram_allocated_bytes" => &mut self.allocated_bytes,
            "vitals_vram_reserved_bytes" => &mut self.reserved_bytes,
            "vitals_vram_used_bytes" => &mut entry(sources, series, "source").used_bytes,
            "vitals_vram_budget_bytes" => &mut entry(sources, series, "source").budget_bytes,
            "vitals_vram_capacity_bytes" => &mut entry(sources, series, "source").capacity_bytes,
            _ => return false,
        };
        add(figure, series.value);
        true
    }
}

fn take_resources(resources: &mut BTreeMap<String, Resources>, series: &Series) -> bool {
    let figure = match series.name.as_str() {
        "vitals_resources_live" => &mut entry(resources, series, "resource").live,
        "vitals_resource_live_bytes" => &mut entry(resources, series, "resource").live_bytes,
        "vitals_resources_created_total" => &mut entry(resources, series, "resource").created,
        "vitals_resources_destroyed_total" => &mut entry(resources, series, "resource").destroyed,
        _ => return false,
    };
    add(figure, series.value);
    true
}

impl Submissions {
    fn take(&mut self, series: &Series) -> bool {
        let figure = match series.name.as_str() {
            "vitals_packets_queued_total" => &mut self.packets_queued,
            "vitals_packets_total" => entry(&mut self.packets, series, "result"),
            "vitals_submissions_total" => &mut self.submitted,
            "vitals_submissions_completed_total" => &mut self.completed,
            "vitals_submissions_in_flight" => &mut self.in_flight,
            "vitals_unsubmitted_bytes" => &mut self.unsubmitted_bytes,
            _ => return self.latency.take("vitals_submission_latency_seconds", series),
        };
        add(figure, series.value);
        true
    }
}

fn take_monitors(monitors: &mut BTreeMap<String, Monitor>, series: &Series) -> bool {
    let figure = match series.name.as_str() {
        "vitals_monitor_success" => &mut entry(monitors, series, "monitor").success,
        "vitals_monitor_updates_total" => &mut entry(monitors, series, "monitor").updates,
        "vitals_monitor_update_seconds_total" => &mut entry(monitors, series, "monitor").update_seconds,
        "vitals_monitor_failures_total" => &mut entry(monitors, series, "monitor").failures,
        "vitals_monitor_usage_bytes" => &mut entry(monitors, series, "monitor").usage_bytes,
        _ => return false,
    };
    add(figure, series.value);
    true
}

fn take_losses(losses: &mut BTreeMap<&'static str, Figure>, series: &Series) -> bool {
    let what = match series.name.as_str() {
        "vitals_events_lost_total" => "events",
        "vitals_untracked_resources_total" => "resources",
        "vitals_label_overflow_total" => "labels",
        _ => return false,
    };
    add(losses.entry(what).or_default(), series.value);
    true
}

/// The entry that a label of the series names.
pub(super) fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, series: &Series, label: &str) -> &'a mut T {
    map.entry(series.label(label).to_owned()).or_default()
}

pub(super) fn add(figure: &mut Figure, value: Figure) {
    if let Some(value) = value {
        *figure = Some(figure.unwrap_or_default() + value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_find_their_place() {
        let sample = Sample::read(
            "vitals_build_info{version=\"0.1.0\",app=\"demo\"} 1\n\
             vitals_adapter_info{adapter=\"llvmpipe (LLVM 15, 256 bits)\",backend=\"Vulkan\",driver=\"llvmpipe\"} 1\n\
             vitals_frames_total{lane=\"main\"} 60\n\
             vitals_frame_seconds_bucket{lane=\"main\",le=\"0.0167\"} 50\n\
             vitals_frame_seconds_bucket{lane=\"main\",le=\"+Inf\"} 60\n\
             vitals_frame_seconds_sum{lane=\"main\"} 1\n\
             vitals_frame_seconds_count{lane=\"main\"} 60\n\
             vitals_heap_allocations_total{size_class=\"small\"} 10\n\
             vitals_heap_allocations_total{size_class=\"large\"} 2\n\
             vitals_process_resident_bytes{monitor=\"a\"} 100\n\
             vitals_process_resident_bytes{monitor=\"b\"} 101\n\
             vitals_vram_used_bytes{source=\"driver\"} 7\n\
             vitals_vram_allocated_bytes NaN\n\
             vitals_resources_live{resource=\"texture\"} 3\n\
             vitals_packets_total{result=\"presented\"} 4\n\
             vitals_monitor_success{monitor=\"heap\"} 1\n\
             vitals_events_lost_total 3\n\
             vitals_some_future_figure 1\n",
        )
        .unwrap();
        let identity = &sample.identity;
        assert_eq!((identity.app.as_deref(), identity.app_version.as_deref()), (Some("demo"), None));
        assert_eq!(identity.adapter.as_deref(), Some("llvmpipe (LLVM 15, 256 bits)"));
        let lane = &sample.times.lanes["main"];
        assert_eq!((lane.frames, lane.times.count, lane.times.sum), (Some(60.0), Some(60.0), Some(1.0)));
        assert_eq!(lane.times.buckets, [(Bound(0.0167), 50.0), (Bound(f64::INFINITY), 60.0)].into());
        assert_eq!(sample.times.gpu_frame, Histogram::default());
        assert_eq!((sample.heap.allocations, sample.heap.live_bytes), (Some(12.0), None), "size classes add up");
        assert_eq!(sample.process.resident_bytes, Some(100.0), "one process is not counted twice");
        assert_eq!((sample.vram.sources["driver"].used_bytes, sample.vram.allocated_bytes), (Some(7.0), None));
        assert_eq!((sample.resources["texture"].live, sample.resources["texture"].created), (Some(3.0), None));
        assert_eq!(sample.submissions.packets["presented"], Some(4.0));
        assert_eq!(sample.monitors["heap"].success, Some(1.0));
        assert_eq!(sample.losses, [("events", Some(3.0))].into());
        assert_eq!(sample.series, 18);
    }
}
