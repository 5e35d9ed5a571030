//! Two samples and the time between them, made into figures to show. Pure.

use super::passes::{self, Hitches, Pass};
use super::sample::{Figure, Histogram, Identity, Monitor, Sample};
use super::stores::{self, Pool, Ring, Targets};

/// What happened between two scrapes, and how things stood at the second.
///
/// Rates are absent at the first scrape, and where a counter has fallen: the engine was started again.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) identity: Identity,
    pub(crate) series: usize,
    /// Frames by lane, then the GPU's times, then the CPU's phases.
    pub(crate) timings: Vec<Timing>,
    /// Passes on the GPU, those that take longest in all first; none where they are not timed.
    pub(crate) passes: Vec<Pass>,
    /// Hitches by cause, those of which there are most first.
    pub(crate) hitches: Vec<Hitches>,
    /// Mean frame time of the lane with the most frames.
    pub(crate) frame: Option<FrameRate>,
    pub(crate) heap: Heap,
    /// Of the heap, most bytes first; none where its allocator keeps none.
    pub(crate) tags: Vec<Tag>,
    pub(crate) resident_bytes: Figure,
    pub(crate) system_available_bytes: Figure,
    pub(crate) vram: Vram,
    /// Staging rings, most bytes first; none where the engine has none.
    pub(crate) rings: Vec<Ring>,
    /// Memory pools, most bytes first.
    pub(crate) pools: Vec<Pool>,
    /// Pools of render targets, most bytes in use first.
    pub(crate) targets: Vec<Targets>,
    /// Most bytes first.
    pub(crate) resources: Vec<Resource>,
    pub(crate) submissions: Submissions,
    /// Those that fail first.
    pub(crate) monitors: Vec<Health>,
    /// What engine-vitals could not keep, since the engine's start; those of which there are none are left out.
    pub(crate) losses: Vec<(&'static str, f64)>,
}

/// A kind of time and how often it was taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Timing {
    pub(crate) name: String,
    pub(crate) per_second: Figure,
    pub(crate) mean: Figure,
    pub(crate) p50: Option<Quantile>,
    pub(crate) p95: Option<Quantile>,
}

/// A quantile in seconds, estimated from buckets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Quantile {
    /// Interpolated within its bucket.
    About(f64),
    /// Beyond the last bound.
    Above(f64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FrameRate {
    pub(crate) per_second: f64,
    pub(crate) mean: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Heap {
    pub(crate) live_bytes: Figure,
    pub(crate) peak_bytes: Figure,
    pub(crate) live_allocations: Figure,
    pub(crate) allocations_per_second: Figure,
    pub(crate) allocated_bytes_per_second: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) live_bytes: Figure,
    pub(crate) live_allocations: Figure,
    pub(crate) allocations_per_second: Figure,
    pub(crate) allocated_bytes_per_second: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Vram {
    pub(crate) live_bytes: Figure,
    pub(crate) pending_bytes: Figure,
    pub(crate) allocated_bytes: Figure,
    pub(crate) reserved_bytes: Figure,
    pub(crate) sources: Vec<VramSource>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct VramSource {
    pub(crate) name: String,
    pub(crate) used_bytes: Figure,
    pub(crate) budget_bytes: Figure,
    pub(crate) capacity_bytes: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Resource {
    pub(crate) kind: String,
    pub(crate) live: Figure,
    pub(crate) live_bytes: Figure,
    pub(crate) created_per_second: Figure,
    pub(crate) destroyed_per_second: Figure,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Submissions {
    pub(crate) packets_queued_per_second: Figure,
    /// By result.
    pub(crate) packets_per_second: Vec<(String, Figure)>,
    pub(crate) submitted_per_second: Figure,
    pub(crate) completed_per_second: Figure,
    pub(crate) in_flight: Figure,
    pub(crate) unsubmitted_bytes: Figure,
    pub(crate) latency: Timing,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Health {
    pub(crate) name: String,
    pub(crate) well: Option<bool>,
    pub(crate) updates_per_second: Figure,
    pub(crate) seconds_per_update: Figure,
    /// Since the engine's start.
    pub(crate) failures: Figure,
    pub(crate) usage_bytes: Figure,
}

impl Rates {
    /// The figures of `now`, and the rates since `before`, which was taken `seconds` earlier.
    pub(crate) fn between(before: Option<(&Sample, f64)>, now: &Sample) -> Self {
        let span = Span::new(before);
        let timings = timings(span, now);
        let frame = timings
            .iter()
            .take(now.times.lanes.len())
            .filter_map(|lane| Some(FrameRate { per_second: lane.per_second?, mean: lane.mean }))
            .max_by(|a, b| a.per_second.total_cmp(&b.per_second));
        let mut monitors: Vec<_> = now.monitors.iter().map(|(name, monitor)| health(span, name, monitor)).collect();
        // Stable: otherwise they stay in the order of their names.
        monitors.sort_by_key(|health| health.well != Some(false));
        Self {
            identity: now.identity.clone(),
            series: now.series,
            frame,
            timings,
            passes: passes::rates(span, now),
            hitches: passes::hitches(span, now),
            heap: Heap {
                live_bytes: now.heap.live_bytes,
                peak_bytes: now.heap.peak_bytes,
                live_allocations: now.heap.live_allocations,
                allocations_per_second: span.rate(|sample| sample.heap.allocations, now),
                allocated_bytes_per_second: span.rate(|sample| sample.heap.allocated_bytes, now),
            },
            tags: tags(span, now),
            resident_bytes: now.process.resident_bytes,
            system_available_bytes: now.process.system_available_bytes,
            vram: vram(now),
            rings: stores::rings(span, now),
            pools: stores::pools(span, now),
            targets: stores::targets(span, now),
            resources: resources(span, now),
            submissions: submissions(span, now),
            monitors,
            losses: now
                .losses
                .iter()
                .filter_map(|(what, lost)| Some((*what, lost.filter(|lost| *lost > 0.0)?)))
                .collect(),
        }
    }
}

/// The sample before and how long ago it was; nothing at the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a>(Option<(&'a Sample, f64)>);

impl<'a> Span<'a> {
    fn new(before: Option<(&'a Sample, f64)>) -> Self {
        Self(before.filter(|(_, seconds)| *seconds > 0.0))
    }

    /// Growth per second of a counter. `None` where either is unknown or it has fallen.
    pub(super) fn rate(self, of: impl Fn(&Sample) -> Figure, now: &Sample) -> Figure {
        Some(self.growth(&of, of(now))? / self.0?.1)
    }

    pub(super) fn growth(self, before: impl Fn(&'a Sample) -> Figure, now: Figure) -> Figure {
        let grown = now? - before(self.0?.0)?;
        (grown >= 0.0).then_some(grown)
    }

    fn timing(self, name: String, before: impl Fn(&'a Sample) -> Option<&'a Histogram>, now: &Histogram) -> Timing {
        let grown = self.0.and_then(|(sample, _)| since(before(sample)?, now));
        let Some(grown) = grown else { return Timing { name, ..Timing::default() } };
        Timing {
            name,
            per_second: self.0.and_then(|(_, seconds)| Some(grown.count? / seconds)),
            mean: mean(&grown),
            p50: quantile(&grown, 0.5),
            p95: quantile(&grown, 0.95),
        }
    }
}

fn timings(span: Span<'_>, now: &Sample) -> Vec<Timing> {
    let lanes = now.times.lanes.iter().map(|(name, lane)| {
        let mut timing = span.timing(
            format!("frame {name}").trim_end().to_owned(),
            |sample| Some(&sample.times.lanes.get(name)?.times),
            &lane.times,
        );
        // A lane's first frame has no time since the one before.
        timing.per_second = span.rate(|sample| sample.times.lanes.get(name)?.frames, now).or(timing.per_second);
        timing
    });
    let gpu = [
        span.timing("GPU frame".to_owned(), |sample| Some(&sample.times.gpu_frame), &now.times.gpu_frame),
        span.timing("GPU main pass".to_owned(), |sample| Some(&sample.times.gpu_main_pass), &now.times.gpu_main_pass),
    ];
    let frames: Figure = now.times.lanes.iter().fold(None, |sum, (name, lane)| {
        let grown = span.growth(|sample| sample.times.lanes.get(name)?.frames, lane.frames);
        sum.map_or(grown, |sum: f64| Some(sum + grown.unwrap_or_default()))
    });
    let phases = now.times.cpu_phases.iter().map(|(name, seconds)| {
        let grown = span.growth(|sample| *sample.times.cpu_phases.get(name)?, *seconds);
        let mean = frames.filter(|frames| *frames > 0.0).and_then(|frames| Some(grown? / frames));
        Timing { name: format!("CPU {name}"), mean, ..Timing::default() }
    });
    lanes.chain(gpu).chain(phases).collect()
}

fn tags(span: Span<'_>, now: &Sample) -> Vec<Tag> {
    let mut all: Vec<_> = now
        .tags
        .iter()
        .map(|(name, tag)| Tag {
            name: name.clone(),
            live_bytes: tag.live_bytes,
            live_allocations: tag.live_allocations,
            allocations_per_second: span.rate(|sample| sample.tags.get(name)?.allocations, now),
            allocated_bytes_per_second: span.rate(|sample| sample.tags.get(name)?.allocated_bytes, now),
        })
        .collect();
    // Stable: tags with as many bytes stay in the order of their names.
    all.sort_by(|a, b| b.live_bytes.unwrap_or(-1.0).total_cmp(&a.live_bytes.unwrap_or(-1.0)));
    all
}

fn vram(now: &Sample) -> Vram {
    let sources = now.vram.sources.iter().map(|(name, source)| VramSource {
        name: name.clone(),
        used_bytes: source.used_bytes,
        budget_bytes: source.budget_bytes,
        capacity_bytes: source.capacity_bytes,
    });
    Vram {
        live_bytes: now.vram.live_bytes,
        pending_bytes: now.vram.pending_bytes,
        allocated_bytes: now.vram.allocated_bytes,
        reserved_bytes: now.vram.reserved_bytes,
        sources: sources.collect(),
    }
}

fn resources(span: Span<'_>, now: &Sample) -> Vec<Resource> {
    let mut all: Vec<_> = now
        .resources
        .iter()
        .map(|(kind, resources)| Resource {
            kind: kind.clone(),
            live: resources.live,
            live_bytes: resources.live_bytes,
            created_per_second: span.rate(|sample| sample.resources.get(kind)?.created, now),
            destroyed_per_second: span.rate(|sample| sample.resources.get(kind)?.destroyed, now),
        })
        .collect();
    // Stable: kinds with as many bytes stay in the order of their names.
    all.sort_by(|a, b| b.live_bytes.unwrap_or(-1.0).total_cmp(&a.live_bytes.unwrap_or(-1.0)));
    all
}

fn submissions(span: Span<'_>, now: &Sample) -> Submissions {
    let submissions = &now.submissions;
    let packets = submissions
        .packets
        .keys()
        .map(|result| (result.clone(), span.rate(|sample| *sample.submissions.packets.get(result)?, now)));
    Submissions {
        packets_queued_per_second: span.rate(|sample| sample.submissions.packets_queued, now),
        packets_per_second: packets.collect(),
        submitted_per_second: span.rate(|sample| sample.submissions.submitted, now),
        completed_per_second: span.rate(|sample| sample.submissions.completed, now),
        in_flight: submissions.in_flight,
        unsubmitted_bytes: submissions.unsubmitted_bytes,
        latency: span.timing("latency".to_owned(), |sample| Some(&sample.submissions.latency), &submissions.latency),
    }
}

fn health(span: Span<'_>, name: &str, monitor: &Monitor) -> Health {
    let before = |of: fn(&Monitor) -> Figure| move |sample: &Sample| of(sample.monitors.get(name)?);
    let updates = span.growth(before(|monitor| monitor.updates), monitor.updates);
    let seconds = span.growth(before(|monitor| monitor.update_seconds), monitor.update_seconds);
    Health {
        name: name.to_owned(),
        well: monitor.success.map(|success| success == 1.0),
        updates_per_second: span.0.and_then(|(_, elapsed)| Some(updates? / elapsed)),
        seconds_per_update: updates.filter(|updates| *updates > 0.0).and_then(|updates| Some(seconds? / updates)),
        failures: monitor.failures,
        usage_bytes: monitor.usage_bytes,
    }
}

/// What a histogram has taken in between; `None` when it was not there before or has begun anew.
fn since(before: &Histogram, now: &Histogram) -> Option<Histogram> {
    let grown = |before: Figure, now: Figure| Some(now? - before?).filter(|grown| *grown >= 0.0);
    let count = grown(before.count, now.count)?;
    let buckets = now
        .buckets
        .iter()
        .map(|(bound, counted)| Some((*bound, grown(before.buckets.get(bound).copied(), Some(*counted))?)));
    Some(Histogram { count: Some(count), sum: grown(before.sum, now.sum), buckets: buckets.collect::<Option<_>>()? })
}

fn mean(histogram: &Histogram) -> Figure {
    histogram.count.filter(|count| *count > 0.0).and_then(|count| Some(histogram.sum? / count))
}

/// As Prometheus estimates it: linear within the bucket, the first of which begins at zero.
fn quantile(histogram: &Histogram, share: f64) -> Option<Quantile> {
    let buckets: Vec<_> = histogram.buckets.iter().map(|(bound, counted)| (bound.0, *counted)).collect();
    let (last, total) = *buckets.last()?;
    // Without the bucket that holds all, the rank is not known.
    if last != f64::INFINITY || total.is_nan() || total <= 0.0 {
        return None;
    }
    let rank = share * total;
    let at = buckets.iter().position(|(_, counted)| *counted >= rank)?;
    let (lower, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    let (upper, counted) = buckets[at];
    if upper == f64::INFINITY {
        return (at > 0).then_some(Quantile::Above(lower));
    }
    let within = counted - below;
    let part = if within > 0.0 { (rank - below) / within } else { 1.0 };
    Some(Quantile::About(lower + (upper - lower) * part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::watch::sample::Bound;

    fn sample(text: &str) -> Sample {
        Sample::read(text).unwrap()
    }

    const BEFORE: &str = "\
vitals_frames_total{lane=\"main\"} 100
vitals_frame_seconds_bucket{lane=\"main\",le=\"0.01\"} 50
vitals_frame_seconds_bucket{lane=\"main\",le=\"0.02\"} 99
vitals_frame_seconds_bucket{lane=\"main\",le=\"+Inf\"} 99
vitals_frame_seconds_sum{lane=\"main\"} 1
vitals_frame_seconds_count{lane=\"main\"} 99
vitals_cpu_phase_seconds_total{phase=\"submit\"} 0.5
vitals_heap_tag_bytes{tag=\"small\"} 10
vitals_heap_tag_bytes{tag=\"large\"} 4000
vitals_heap_tag_allocations_total{tag=\"large\"} 100
vitals_heap_allocations_total 1000
vitals_heap_bytes 4096
vitals_resources_live{resource=\"buffer\"} 3
vitals_resources_created_total{resource=\"buffer\"} 10
vitals_resources_destroyed_total{resource=\"buffer\"} 7
vitals_monitor_success{monitor=\"heap\"} 1
vitals_monitor_updates_total{monitor=\"heap\"} 10
vitals_monitor_update_seconds_total{monitor=\"heap\"} 0.001
";
    const AFTER: &str = "\
vitals_frames_total{lane=\"main\"} 200
vitals_frame_seconds_bucket{lane=\"main\",le=\"0.01\"} 50
vitals_frame_seconds_bucket{lane=\"main\",le=\"0.02\"} 189
vitals_frame_seconds_bucket{lane=\"main\",le=\"+Inf\"} 199
vitals_frame_seconds_sum{lane=\"main\"} 3
vitals_frame_seconds_count{lane=\"main\"} 199
vitals_cpu_phase_seconds_total{phase=\"submit\"} 0.7
vitals_heap_tag_bytes{tag=\"small\"} 20
vitals_heap_tag_bytes{tag=\"large\"} 8000
vitals_heap_tag_live_allocations{tag=\"large\"} 7
vitals_heap_tag_allocations_total{tag=\"large\"} 300
vitals_heap_tag_allocated_bytes_total{tag=\"large\"} 9000
vitals_heap_allocations_total 1500
vitals_heap_bytes 8192
vitals_resources_live{resource=\"buffer\"} 4
vitals_resources_live{resource=\"texture\"} 1
vitals_resource_live_bytes{resource=\"texture\"} 64
vitals_resources_created_total{resource=\"buffer\"} 30
vitals_resources_destroyed_total{resource=\"buffer\"} 26
vitals_monitor_success{monitor=\"heap\"} 0
vitals_monitor_updates_total{monitor=\"heap\"} 30
vitals_monitor_update_seconds_total{monitor=\"heap\"} 0.003
";

    #[test]
    fn counters_become_rates_and_gauges_stay() {
        let rates = Rates::between(Some((&sample(BEFORE), 2.0)), &sample(AFTER));
        let frame = &rates.timings[0];
        assert_eq!((frame.name.as_str(), frame.per_second, frame.mean), ("frame main", Some(50.0), Some(0.02)));
        assert_eq!(
            (frame.p50, frame.p95),
            (Some(Quantile::About(0.01 + 0.01 * 50.0 / 90.0)), Some(Quantile::Above(0.02)))
        );
        assert_eq!(rates.frame, Some(FrameRate { per_second: 50.0, mean: Some(0.02) }));
        let names: Vec<_> = rates.timings.iter().map(|timing| (timing.name.as_str(), timing.mean.is_some())).collect();
        assert_eq!(names, [("frame main", true), ("GPU frame", false), ("GPU main pass", false), ("CPU submit", true)]);
        assert!((rates.timings[3].mean.unwrap() - 0.002).abs() < 1e-12, "per frame");
        assert_eq!(rates.heap.allocations_per_second, Some(250.0));
        assert_eq!((rates.heap.live_bytes, rates.heap.peak_bytes), (Some(8192.0), None));
        let large = Tag {
            name: "large".to_owned(),
            live_bytes: Some(8000.0),
            live_allocations: Some(7.0),
            allocations_per_second: Some(100.0),
            allocated_bytes_per_second: None,
        };
        let small = Tag { name: "small".to_owned(), live_bytes: Some(20.0), ..Tag::default() };
        assert_eq!(rates.tags, [large, small], "most bytes first; a rate needs two");
        let [texture, buffer] = &rates.resources[..] else { panic!("{:?}", rates.resources) };
        assert_eq!(
            (texture.kind.as_str(), texture.live_bytes, texture.created_per_second),
            ("texture", Some(64.0), None)
        );
        assert_eq!((buffer.created_per_second, buffer.destroyed_per_second), (Some(10.0), Some(9.5)));
        let heap = &rates.monitors[0];
        assert_eq!((heap.well, heap.updates_per_second, heap.failures), (Some(false), Some(10.0), None));
        assert!((heap.seconds_per_update.unwrap() - 1e-4).abs() < 1e-12);
    }

    #[test]
    fn the_first_sample_has_levels_and_no_rates() {
        let rates = Rates::between(None, &sample(AFTER));
        assert_eq!((rates.heap.live_bytes, rates.heap.allocations_per_second), (Some(8192.0), None));
        assert_eq!((rates.frame, &rates.timings[0].mean), (None, &None));
        assert_eq!(rates.resources[1].created_per_second, None);
        let same = Rates::between(Some((&sample(BEFORE), 0.0)), &sample(AFTER));
        assert_eq!(same, rates, "no time, no rate");
    }

    #[test]
    fn an_engine_started_again_gives_no_negative_rates() {
        let rates = Rates::between(Some((&sample(AFTER), 1.0)), &sample(BEFORE));
        assert_eq!((rates.frame, rates.heap.allocations_per_second), (None, None));
        assert_eq!((&rates.timings[0].mean, rates.timings[0].p50), (&None, None));
        assert_eq!((rates.resources[0].created_per_second, rates.monitors[0].seconds_per_update), (None, None));
    }

    #[test]
    fn an_idle_engine_has_rate_zero_and_no_times() {
        let now = sample(AFTER);
        let rates = Rates::between(Some((&now, 1.0)), &now);
        assert_eq!(rates.frame, Some(FrameRate { per_second: 0.0, mean: None }));
        assert_eq!(rates.timings[0].p50, None);
        assert_eq!(rates.heap.allocations_per_second, Some(0.0));
    }

    #[test]
    fn quantiles_need_the_bucket_that_holds_all() {
        let histogram = |buckets: &[(f64, f64)]| Histogram {
            buckets: buckets.iter().map(|(bound, counted)| (Bound(*bound), *counted)).collect(),
            ..Histogram::default()
        };
        let inf = f64::INFINITY;
        assert_eq!(quantile(&histogram(&[(1.0, 5.0)]), 0.5), None);
        assert_eq!(quantile(&histogram(&[(inf, 5.0)]), 0.5), None, "no bound at all");
        assert_eq!(quantile(&histogram(&[(inf, 4.0), (1.0, 4.0)]), 0.5), Some(Quantile::About(0.5)));
        assert_eq!(quantile(&histogram(&[(1.0, 0.0), (2.0, 0.0), (inf, 4.0)]), 0.5), Some(Quantile::Above(2.0)));
    }

    proptest! {
        /// The estimate lies in the bucket that holds the sample of that rank.
        #[test]
        fn a_quantile_lies_in_the_bucket_of_its_sample(
            mut times in prop::collection::vec(0u32..120, 1..80),
            share in 0.01f64..0.99,
        ) {
            let bounds = [10.0, 20.0, 50.0, 100.0];
            let counted = |bound: f64| (Bound(bound), times.iter().filter(|time| f64::from(**time) <= bound).count() as f64);
            let histogram = Histogram {
                buckets: bounds.into_iter().chain([f64::INFINITY]).map(counted).collect(),
                ..Histogram::default()
            };
            let estimate = quantile(&histogram, share).unwrap();
            times.sort_unstable();
            let rank = (share * times.len() as f64).ceil() as usize;
            let time = f64::from(times[rank.max(1) - 1]);
            match estimate {
                Quantile::Above(bound) => prop_assert!(time > bound),
                Quantile::About(estimate) => {
                    let upper = bounds.into_iter().find(|bound| time <= *bound).unwrap();
                    let lower = bounds.into_iter().rev().find(|bound| time > *bound).unwrap_or(0.0);
                    prop_assert!(lower <= estimate && estimate <= upper, "{} {} {}", lower, estimate, upper);
                }
            }
        }
    }
}
