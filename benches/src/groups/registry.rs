//! What `Registry::update` and the watch for hitches cost the frame.
//!
//! The baseline of an update is to call the same monitors' `update` and `record` by hand, with no registry: no table, no isolation of panics, no budget.

use std::cell::Cell;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use engine_vitals_core::contract::{
    Cadence, FrameStats, MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row as Figures, Series, Unit,
    VramProvider,
};
use engine_vitals_core::monitor::{
    AdapterMonitor, FrameMonitor, GpuFrameMonitor, HitchMonitor, LifecycleResourceMonitor, MemoryResourceMonitor,
    PassTimeMonitor, ProcessMemoryMonitor, VramResourceMonitor,
};
use engine_vitals_core::probe::{New, Probe, ResourceKind, Ticket};
use engine_vitals_core::registry::Registry;
use engine_vitals_core::tracker::Tracker;

use crate::harness::{Effort, Subject, alternate, cpu_ns};
use crate::here;
use crate::report::Row;

const GROUP: &str = "registry";
const OURS: &str = "Registry::update";
const BY_HAND: &str = "update() and record() by hand";

pub(super) fn run(effort: Effort) -> Result<Vec<Row>, Box<dyn Error>> {
    let provider: Arc<dyn VramProvider> = Arc::new(Provider);
    let frames = Arc::new(GpuFrameMonitor::new("gpu"));
    let tracker = Arc::new(Tracker::new());
    let _resources = resources(tracker.probe());
    let intervals = Arc::new(FrameMonitor::new("frames"));
    let standard: Vec<Arc<dyn ResourceMonitor>> = vec![
        Arc::new(MemoryResourceMonitor::new("heap")),
        Arc::new(ProcessMemoryMonitor::new("process")),
        intervals.clone(),
        frames.clone(),
        Arc::new(LifecycleResourceMonitor::new(tracker, "lifecycle")),
        Arc::new(AdapterMonitor::new("adapter", "An adapter", "vulkan", "A driver")),
        Arc::new(VramResourceMonitor::new(Arc::downgrade(&provider), "vram")),
    ];
    let frame = Cell::new(0);
    let next_frame = || {
        frame.set(frame.get() + 1);
        let frame = frame.get();
        intervals.frame("main", Duration::from_micros(16_667 * frame));
        let hooks = [0, 500, 6_000, 7_000].map(|us| Some(Duration::from_micros(us + frame % 100)));
        frames.update_from_frame_stats(FrameStats { frame_number: frame, hooks, ..FrameStats::default() });
    };
    let mut rows = case(effort, "standard monitors", &standard, 5_000, 20.0, &next_frame)?;

    let thousand: Vec<Arc<dyn ResourceMonitor>> =
        (0..1_000).map(|number| Arc::new(FiveFigures { number }) as Arc<dyn ResourceMonitor>).collect();
    rows.extend(case(effort, "1,000 monitors of five figures", &thousand, 50, 1_000.0, &|| ())?);
    rows.extend(hitches(effort));
    Ok(rows)
}

/// What it costs to read what a frame did and to judge it, with the times of twenty passes and without; the feeding of the passes is left out.
fn hitches(effort: Effort) -> Vec<Row> {
    const OURS: &str = "HitchMonitor::frame";
    const PASSES: &str = "20 passes";
    const PLAIN: &str = "no passes";
    let tracker = Arc::new(Tracker::new());
    let _resources = resources(tracker.probe());
    let passes = Arc::new(PassTimeMonitor::new("passes"));
    let plain = HitchMonitor::new(Arc::clone(&tracker), "hitches");
    let timed = HitchMonitor::new(Arc::clone(&tracker), "hitches").with_passes(Arc::clone(&passes));
    let names: Vec<String> = (0..20).map(|pass| format!("pass {pass}")).collect();
    let frames = effort.times(2_000);
    let frame = |monitor: &HitchMonitor, number: u64| {
        monitor.frame(number, None);
    };
    let number = Cell::new(0_u64);
    let next = || {
        number.set(number.get() + 1);
        number.get()
    };
    let with_passes = || {
        let mut spent = 0.0;
        for _ in 0..frames {
            let number = next();
            for (pass, name) in (0_u64..).zip(&names) {
                passes.pass(number, name, Duration::from_micros(100 + number * (pass + 7) % 13));
            }
            passes.frame_complete(number);
            spent += cpu_ns(1, || frame(&timed, number));
        }
        spent / frames as f64 / 1e3
    };
    // A reading of the clock is part of each of those: of none of these.
    let clock = cpu_ns(frames, || {
        std::hint::black_box(cpu_ns(1, || ()));
    }) / 2e3;
    let mut subjects = [
        Subject::new(PLAIN, || cpu_ns(frames, || frame(&plain, next())) / 1e3),
        Subject::new(PASSES, || with_passes() - clock),
    ];
    let rounds = alternate(effort, &mut subjects);
    drop(subjects);
    let counted = here::allocations();
    (0..frames).for_each(|_| frame(&plain, next()));
    let allocations = (here::allocations() - counted) as f64 / frames as f64;
    vec![
        Row::new(GROUP, PLAIN, OURS, "us", rounds.value(0)).at_most(10.0),
        Row::new(GROUP, PASSES, OURS, "us", rounds.value(1)).at_most(10.0),
        Row::new(GROUP, PLAIN, OURS, "allocations", allocations).at_most(0.01),
    ]
}

/// A hundred live resources of each of ten kinds, reported from eight threads, as an engine that records on several would.
fn resources(probe: Probe) -> Vec<Ticket> {
    use ResourceKind as Kind;
    let kinds = [
        Kind::BUFFER,
        Kind::TEXTURE,
        Kind::TEXTURE_VIEW,
        Kind::TEXTURE_TARGET,
        Kind::SAMPLER,
        Kind::BIND_GROUP,
        Kind::RENDER_PIPELINE,
        Kind::COMPUTE_PIPELINE,
        Kind::SHADER_MODULE,
        Kind::COMMAND_BUFFER,
    ];
    let thread = |number: usize| {
        let kinds = kinds.iter().cycle().skip(number).take(125);
        kinds.map(|&kind| probe.create(New::of(kind, 4_096))).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || thread(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

/// Time and allocations of an update of these monitors; `feed` hands them what a frame brings, in the time of both subjects.
fn case(
    effort: Effort,
    case: &str,
    monitors: &[Arc<dyn ResourceMonitor>],
    updates: u64,
    target_us: f64,
    feed: &dyn Fn(),
) -> Result<Vec<Row>, Box<dyn Error>> {
    // Budgets that no pause of this machine exceeds: a monitor that is deferred or moved away would not be measured.
    let registry = Registry::builder().update_budget(Duration::MAX / 4).monitor_budget(Duration::MAX / 16).build();
    for monitor in monitors {
        registry.register_dyn(Arc::clone(monitor)).map_err(|error| error.to_string())?;
    }
    let each_update: Vec<_> = monitors.iter().filter(|monitor| monitor.cadence() == Cadence::EachUpdate).collect();
    let updates = effort.times(updates);
    let left_out = Cell::new(0);
    let update = || {
        feed();
        let summary = registry.update();
        left_out.set(left_out.get() + summary.deferred + summary.failed + (each_update.len() - summary.ran));
    };
    let mut values = vec![None; 64];
    let mut subjects = [
        Subject::new(BY_HAND, || {
            let by_hand = || {
                feed();
                for monitor in &each_update {
                    monitor.update();
                    monitor.record(&mut Figures::new(&mut values));
                }
            };
            cpu_ns(updates, by_hand) / 1e3
        }),
        Subject::new(OURS, || cpu_ns(updates, update) / 1e3),
    ];
    let rounds = alternate(effort, &mut subjects);

    let counted = here::allocations();
    (0..updates).for_each(|_| update());
    let allocations = (here::allocations() - counted) as f64 / updates as f64;
    if left_out.get() > 0 {
        return Err(
            format!("{case}: updates left out {} monitors, so that their time says nothing", left_out.get()).into()
        );
    }
    Ok(vec![
        Row::new(GROUP, case, OURS, "us", rounds.value(1)).at_most(target_us),
        Row::new(GROUP, case, BY_HAND, "us", rounds.value(0)).against(OURS, rounds.ratio(0, 1)),
        Row::new(GROUP, case, OURS, "allocations", allocations).at_most(0.0),
    ])
}

/// A source of VRAM figures that are there at once.
#[derive(Debug)]
struct Provider;

impl VramProvider for Provider {
    fn source(&self) -> &'static str {
        "bench"
    }
    fn get_vram_usage_bytes(&self) -> Option<u64> {
        Some(1 << 30)
    }
    fn get_vram_capacity_bytes(&self) -> Option<u64> {
        Some(8 << 30)
    }
}

#[derive(Debug)]
struct FiveFigures {
    number: u64,
}

impl ResourceMonitor for FiveFigures {
    fn monitor_id(&self) -> std::borrow::Cow<'static, str> {
        format!("monitor-{}", self.number).into()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Other("bench")
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::new(Some(self.number), None, None)
    }

    fn describe(&self, series: &mut Series) {
        for figure in 0..5 {
            series
                .gauge(format!("bench_{figure}_bytes"), Unit::Bytes, "A figure")
                .label("number", self.number.to_string());
        }
    }

    fn record(&self, row: &mut Figures<'_>) {
        for figure in 0..5 {
            row.push(self.number + figure);
        }
    }
}
