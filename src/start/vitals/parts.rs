//! What the parts of [`Vitals`](super::Vitals) are set up with.

use std::sync::Arc;
use std::time::Duration;

use engine_vitals_core::analysis::hitches::{HitchCosts, HitchRules};
#[cfg(feature = "trace")]
use engine_vitals_core::monitor::HitchMonitor;
use engine_vitals_core::monitor::{LifecycleResourceMonitor, PassTimeMonitor};
use engine_vitals_core::probe::{Probe, Shortage};
use engine_vitals_core::registry::{BackgroundUpdater, Registry};
use engine_vitals_core::tracker::Tracker;

use super::super::Builder;
use super::super::device::Devices;
use crate::gpu::PassSink;
use crate::instrument::Instrumentation;

/// The tracker as the builder says.
pub(super) fn built_tracker(builder: &Builder) -> Arc<Tracker> {
    let mut tracker = builder.tracker.clone().level(builder.level);
    for budget in &builder.budgets {
        tracker = tracker.soft_budget(*budget);
    }
    let tracker = tracker.build();
    tracker.set_touch_lists(builder.touch_lists);
    Arc::new(tracker)
}

/// What updates the registry between frames; `None` if there could be no thread for it.
pub(super) fn updater(
    registry: &Registry,
    every: Option<Duration>,
    notices: &mut Vec<String>,
) -> Option<BackgroundUpdater> {
    BackgroundUpdater::start(registry, every.unwrap_or(Duration::from_secs(1)))
        .map_err(|error| notices.push(format!("figures stand still between frames: no thread to update them: {error}")))
        .ok()
}

/// The defaults, with what the heap costs here.
pub(super) fn default_hitch_rules() -> HitchRules {
    let mut rules = HitchRules::default();
    rules.costs = HitchCosts::measured();
    rules
}

/// Whether some creations' backtraces are kept.
pub(super) fn takes_backtraces(instrumentation: &Instrumentation) -> bool {
    #[cfg(feature = "instrument")]
    return instrumentation.takes_backtraces();
    #[cfg(not(feature = "instrument"))]
    {
        let _ = instrumentation;
        false
    }
}

/// Frames of instrumented surfaces that have ended.
pub(super) fn surface_frames(instrumentation: &Instrumentation) -> u64 {
    #[cfg(feature = "instrument")]
    return instrumentation.surface_frames();
    #[cfg(not(feature = "instrument"))]
    {
        let _ = instrumentation;
        0
    }
}

/// What instances are wrapped with: as the builder says, and each device measured as soon as it is made.
pub(super) fn instrumentation(
    probe: Probe,
    lifecycle: &LifecycleResourceMonitor,
    passes: &Arc<PassTimeMonitor>,
    devices: &Devices,
    on_out_of_memory: impl Fn(&Shortage) + Send + Sync + 'static,
    pass_times: bool,
    choices: Option<super::super::builder::Instrument>,
) -> Instrumentation {
    let builder = Instrumentation::builder(probe)
        .submission_latencies(lifecycle.submission_latency())
        .pass_sink(Arc::clone(passes) as Arc<dyn PassSink>)
        .pass_times(pass_times)
        .on_out_of_memory(on_out_of_memory);
    #[cfg(feature = "instrument")]
    let builder = {
        let devices = devices.clone();
        builder.on_device(move |device, _| {
            Box::new(super::super::device::DeviceMonitors::new(&devices, device))
                as Box<dyn crate::instrument::DeviceGuard>
        })
    };
    #[cfg(not(feature = "instrument"))]
    let _ = devices;
    match choices {
        Some(super::super::builder::Instrument(choices)) => choices(builder, probe).build(),
        None => builder.build(),
    }
}

/// The trace file that is asked for, if it can be written.
#[cfg(feature = "trace")]
pub(super) fn created_trace_file(builder: &mut Builder, notices: &mut Vec<String>) -> Option<std::fs::File> {
    super::super::trace_file::create(
        std::env::var_os(super::super::trace_file::TOGGLE),
        builder.trace_file.take(),
        notices,
    )
}

/// None: what it takes was not built.
#[cfg(not(feature = "trace"))]
pub(super) fn created_trace_file(builder: &mut Builder, notices: &mut Vec<String>) -> Option<std::convert::Infallible> {
    let asked = std::env::var_os("ENGINE_VITALS_TRACE_FILE").is_some_and(|path| !path.is_empty());
    if asked || builder.trace_file.take().is_some() {
        notices.push("no trace file: engine-vitals was built without its feature `trace`".to_owned());
    }
    None
}

#[cfg(feature = "trace")]
pub(super) fn event_log(
    tracker: &Arc<Tracker>,
    lifecycle: &Arc<LifecycleResourceMonitor>,
    hitches: Option<&Arc<HitchMonitor>>,
    notices: &mut Vec<String>,
) -> Option<engine_vitals_trace::EventLog> {
    let lifecycle = Arc::clone(lifecycle);
    let options = engine_vitals_trace::Options::new().on_lost(move |lost| lifecycle.events_lost(lost));
    let options = match hitches {
        Some(hitches) => options.hitches(Arc::clone(hitches)),
        None => options,
    };
    engine_vitals_trace::EventLog::start(Arc::clone(tracker), std::io::stderr(), options)
        .map_err(|error| notices.push(format!("no event stream: its thread could not be started: {error}")))
        .ok()
}
