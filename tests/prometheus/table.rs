//! What Prometheus answers is what the registry's table holds.

use crate::GUARD;
use crate::server::{Prometheus, Sample};
use engine_vitals_core::contract::{Figure, FrameStats, HistogramSnapshot};
use engine_vitals_core::memory::TrackingAllocator;
use engine_vitals_core::monitor::{GpuFrameMonitor, MemoryResourceMonitor, ProcessMemoryMonitor};
use engine_vitals_core::registry::{Registry, Snapshot};
use engine_vitals_prometheus::Exporter;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system();

/// Values by series.
type Values = BTreeMap<Sample, f64>;

#[test]
fn answers_are_the_figures_of_the_table() {
    let test = "answers_are_the_figures_of_the_table";
    let Some(program) = Prometheus::program(test) else { return };
    let registry = Registry::new();
    let gpu = Arc::new(GpuFrameMonitor::new("gpu"));
    registry.register(Arc::new(MemoryResourceMonitor::new("heap"))).expect("registered");
    registry.register(Arc::new(ProcessMemoryMonitor::new("process"))).expect("registered");
    registry.register(Arc::clone(&gpu)).expect("registered");
    let exporter = Exporter::builder(&registry).port(0).start().expect("served");
    let prometheus = Prometheus::start(program, &exporter.addresses()[0].to_string());
    for number in 0..1_000 {
        gpu.update_from_frame_stats(frame(number));
        registry.update();
    }

    let start = Instant::now();
    loop {
        let (before, answers, after) = scraped_between(&prometheus, &registry);
        let known: Values = before.into_iter().filter(|(series, value)| after.get(series) == Some(value)).collect();
        // What the sampler thread wrote meanwhile is left out.
        if known.len() > 40 {
            let wrong: Vec<_> = known.iter().filter(|(series, value)| answers.get(*series) != Some(*value)).collect();
            assert!(wrong.is_empty(), "the table says {wrong:#?}, Prometheus {answers:#?}");
            return;
        }
        assert!(start.elapsed() < GUARD, "only {} of {} figures rest", known.len(), after.len());
    }
}

/// A frame of 16 ms whose main pass takes the middle half.
fn frame(number: u64) -> FrameStats {
    let hooks = [0, 4, 12, 16].map(|ms| Some(Duration::from_millis(ms)));
    FrameStats { frame_number: number, hooks, cpu_preparation: Some(Duration::from_millis(2)), ..FrameStats::default() }
}

/// The table, what Prometheus then scrapes, and the table again.
fn scraped_between(prometheus: &Prometheus, registry: &Registry) -> (Values, Values, Values) {
    let before = values(&registry.snapshot());
    let now = prometheus.number("time()");
    prometheus.wait_until(&format!("min(timestamp(up{{job=\"engine\"}})) > {now}"));
    let answers = prometheus.samples("{job=\"engine\", __name__=~\"vitals_.+\"}");
    (before, answers.into_iter().collect(), values(&registry.snapshot()))
}

/// What the table would look like to Prometheus.
fn values(table: &Snapshot) -> Values {
    let figures = table.monitors.iter().flat_map(|monitor| &monitor.figures);
    let mut values: Values =
        figures.filter_map(|(figure, value)| Some((sample(figure, "", None), (*value)?.as_f64()))).collect();
    // One without a sample is unknown, and absent.
    let seen = |(_, histogram): &&(Figure, HistogramSnapshot)| histogram.count > 0;
    for (figure, histogram) in table.monitors.iter().flat_map(|monitor| &monitor.histograms).filter(seen) {
        let number = |count: u64| f64::from(u32::try_from(count).expect("few samples"));
        for (bound, count) in &histogram.buckets {
            let bound = bound.map_or("+Inf".to_owned(), |bound| bound.to_string());
            values.insert(sample(figure, "_bucket", Some(bound)), number(*count));
        }
        values.insert(sample(figure, "_sum", None), histogram.sum);
        values.insert(sample(figure, "_count", None), number(histogram.count));
    }
    values
}

fn sample(figure: &Figure, end: &str, bound: Option<String>) -> Sample {
    let mut labels: Sample = figure.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    labels.insert("__name__".into(), format!("{}{end}", figure.name));
    labels.extend(bound.map(|bound| ("le".into(), bound)));
    labels
}
