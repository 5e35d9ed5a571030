//! What [`start`](super::start) returns.

mod gpu;
mod monitors;
mod parts;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals_core::analysis::guards::{self, Warning};
use engine_vitals_core::analysis::hitches::Hitch;
use engine_vitals_core::analysis::{Dump, DumpOptions, Leaks, LifecycleTelemetry};
use engine_vitals_core::contract::ResolvedProfile;
use engine_vitals_core::memory::{self, HeapTag};
use engine_vitals_core::monitor::{
    BudgetMonitor, FrameMonitor, GpuFrameMonitor, HitchMonitor, LifecycleResourceMonitor, MemoryResourceMonitor,
    PassTimeMonitor, ReconciliationMonitor,
};
use engine_vitals_core::probe::{Context, Lane, Level, Packet, PacketResult, Probe};
use engine_vitals_core::registry::{BackgroundUpdater, Registry};
use engine_vitals_core::tracker::Tracker;
use parking_lot::Mutex;
use web_time::Instant;

use self::monitors::Monitors;
#[cfg(feature = "trace")]
use self::parts::event_log;
use self::parts::{built_tracker, created_trace_file, instrumentation, surface_frames, takes_backtraces, updater};
use super::at_exit::AtExit;
use super::device::Devices;
use super::heap_profile::{self, HeapProfileError};
use super::reports::Reports;
use super::{Builder, FrameSummary, StandardMonitor, toggles};
use crate::instrument::{Adopted, Instrumentation};

/// The lane of [`Vitals::frame`].
const LANE: &str = "main";

/// Everything that [`start`](super::start) has set up. Dropping it closes the port, ends its threads, stops tracking and takes the standard
/// monitors out of the registry.
///
/// All methods may be called from any thread.
#[derive(Debug)]
pub struct Vitals {
    // Fields are dropped in this order: first what shows, then what measures.
    #[cfg(feature = "serve")]
    exporter: Option<engine_vitals_prometheus::Exporter>,
    #[cfg(feature = "trace")]
    event_log: Option<engine_vitals_trace::EventLog>,
    #[cfg(feature = "trace")]
    trace_file: Option<engine_vitals_trace::TraceFile>,
    _updater: Option<BackgroundUpdater>,
    packet: Mutex<Option<Packet>>,
    registry: Registry,
    /// The ids of the standard monitors that are in it.
    registered: Vec<Cow<'static, str>>,
    tracker: Arc<Tracker>,
    heap: Arc<MemoryResourceMonitor>,
    frames: Arc<FrameMonitor>,
    /// Absent where it was left out.
    hitches: Option<Arc<HitchMonitor>>,
    gpu: Arc<GpuFrameMonitor>,
    passes: Arc<PassTimeMonitor>,
    /// The devices that are measured now.
    devices: Devices,
    lifecycle: Arc<LifecycleResourceMonitor>,
    budgets: Arc<BudgetMonitor>,
    reconcile: Arc<ReconciliationMonitor>,
    reports: Option<Reports>,
    lane: Lane,
    began: Instant,
    notices: Arc<Mutex<Vec<String>>>,
    instrumentation: Instrumentation,
    /// Frames of surfaces that had ended at the last frame.
    surface_frames: AtomicU64,
    at_exit: AtExit,
}

impl Vitals {
    /// Sets up other than the defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn with(mut builder: Builder) -> Self {
        let _own = HeapTag::OWN.enter();
        let mut notices = Vec::new();
        let at_exit = AtExit::from_env(&mut notices);
        let report = builder.report | toggles::REPORT.is_on(&mut notices);
        let trace = toggles::TRACE.is_on(&mut notices);
        let trace_file = created_trace_file(&mut builder, &mut notices);
        if trace || trace_file.is_some() {
            builder.level = Level::Events;
        }
        let tracker = built_tracker(&builder);
        let registry = builder.registry_given.clone().unwrap_or_else(|| builder.registry.clone().build());
        let monitors = Monitors::of(&tracker, &mut builder);
        let registered = monitors.register(&tracker, &registry, &builder.left_out, &mut notices);
        let Monitors { heap, frames, hitches, gpu, passes, lifecycle, budgets, reconcile } = monitors;
        let reports = report.then(|| Reports::of(&lifecycle));
        let updater = updater(&registry, builder.update_every, &mut notices);
        let hitches = (!builder.left_out.contains(&StandardMonitor::Hitches)).then_some(hitches);
        #[cfg(feature = "trace")]
        let event_log = trace.then(|| event_log(&tracker, &lifecycle, hitches.as_ref(), &mut notices)).flatten();
        #[cfg(feature = "trace")]
        let trace_file = trace_file
            .and_then(|file| super::trace_file::start(file, &tracker, &lifecycle, hitches.as_ref(), &mut notices));
        let notices = Arc::new(Mutex::new(notices));
        #[cfg(feature = "serve")]
        let exporter = super::serve::serve(&registry, &tracker, hitches.as_ref(), &builder, &notices);
        let devices = Devices::in_registry(&registry, &reconcile);
        let instrumentation = instrumentation(
            tracker.probe(),
            &lifecycle,
            &passes,
            &devices,
            super::shortages::capture(&budgets, &reconcile),
            !builder.without_pass_times,
            builder.instrument.take(),
        );
        Self {
            #[cfg(feature = "serve")]
            exporter,
            #[cfg(feature = "trace")]
            event_log,
            #[cfg(feature = "trace")]
            trace_file,
            _updater: updater,
            packet: Mutex::default(),
            lane: tracker.probe().lane(LANE),
            registry,
            registered,
            tracker,
            heap,
            frames,
            hitches,
            gpu,
            passes,
            devices,
            lifecycle,
            budgets,
            reconcile,
            reports,
            began: Instant::now(),
            notices,
            instrumentation,
            surface_frames: AtomicU64::new(0),
            at_exit,
        }
    }

    /// An instance that is used as the given one and tracks all that any crate makes from it. The memory of each device made from it is
    /// measured for as long as its handle lives. See [`instrument`](crate::instrument) for what is seen and what is not.
    ///
    /// ```no_run
    /// let vitals = engine_vitals::start();
    /// let instance = vitals.wrap(wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle()));
    /// ```
    #[must_use]
    pub fn wrap(&self, instance: wgpu::Instance) -> wgpu::Instance {
        self.instrumentation.wrap(instance)
    }

    /// The same for a program whose framework has made all four already (eframe's `WgpuSetup::Existing`, Bevy's
    /// `RenderCreation::Manual`): give the framework the four that this returns.
    #[must_use]
    pub fn adopt(
        &self,
        instance: wgpu::Instance,
        adapter: wgpu::Adapter,
        device: wgpu::Device,
        queue: wgpu::Queue,
    ) -> Adopted {
        self.instrumentation.adopt(instance, adapter, device, queue)
    }

    /// What [`wrap`](Self::wrap) and [`adopt`](Self::adopt) instrument with.
    #[must_use]
    pub fn instrumentation(&self) -> &Instrumentation {
        &self.instrumentation
    }

    /// A frame has ended: its packet on the lane `main` is presented, the next one is begun and made part of the calling thread's
    /// [`Context`], and the registry is updated. Call it once a frame, after presenting.
    ///
    /// A program with an instrumented surface has its packets on the surface's lane, which `Queue::present` ends: then there are none
    /// on `main`.
    /// The answer tells how near the [soft budgets](Builder::gpu_budget) are: a program under pressure makes room now, while it has the time.
    pub fn frame(&self) -> FrameSummary {
        self.frame_ended(PacketResult::Presented)
    }

    /// [`frame`](Self::frame) for a frame with another end than being presented.
    pub fn frame_ended(&self, result: PacketResult) -> FrameSummary {
        let _own = HeapTag::OWN.enter();
        self.frames.frame(LANE, self.began.elapsed());
        let probe = self.probe();
        let packet = self.packet.lock().as_ref().map(Packet::id).filter(|packet| !packet.is_none());
        let number = probe.frame_ended();
        #[cfg(feature = "instrument")]
        self.instrumentation.frame_ended();
        let hitch = self.hitches.as_ref().and_then(|hitches| hitches.frame(number, packet));
        let surface_frames = surface_frames(&self.instrumentation);
        if surface_frames != self.surface_frames.swap(surface_frames, Ordering::Relaxed) {
            if let Some(open) = self.packet.lock().take() {
                open.finish(PacketResult::NoOp);
            }
        } else {
            let mut open = self.packet.lock();
            // What was made before the first frame belongs to no packet, so that one is begun and ended at once.
            open.take().unwrap_or_else(|| probe.packet(self.lane)).finish(result);
            let next = probe.packet(self.lane);
            next.context().make_current();
            *open = Some(next);
        }
        let update = self.registry.update();
        FrameSummary { update, pressure: self.tracker.pressure(), hitch: hitch.map(Box::new) }
    }

    /// The calling thread's context with the packet of the frame under way: enter it on another thread that works for the same frame.
    #[must_use]
    pub fn context(&self) -> Context {
        self.packet.lock().as_ref().map_or_else(Context::current, Packet::context)
    }

    /// Where resources are reported.
    #[must_use]
    pub fn probe(&self) -> Probe {
        self.tracker.probe()
    }

    /// The read side of what is reported there.
    #[must_use]
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// What the guards have warned of (docs/GUARDS.md, docs/HEAP.md): the last 64 warnings about resources, then the last 64 about the heap,
    /// one for each guard and subject, the last raised at the end.
    /// With the feature `log` they are logged, too.
    ///
    /// Sites of wgpu's objects are those of sampled backtraces, where
    /// [`backtraces_every`](crate::instrument::InstrumentationBuilder::backtraces_every) takes them.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.lifecycle.warnings();
        if takes_backtraces(&self.instrumentation) {
            guards::locate(&mut warnings, &self.tracker, |id| self.instrumentation.site(id));
        }
        warnings.extend(self.heap.warnings());
        warnings
    }

    /// The last frames that took far longer than the typical one, the oldest first, each with what explains it (docs/HITCHES.md): 64 of
    /// them, and by the rules that [`Builder::hitch_rules`] sets. Empty where [`StandardMonitor::Hitches`] was left out.
    ///
    /// A frame is judged some frames after its end where its passes are timed on the GPU. With the feature `log` hitches are logged, too.
    ///
    /// ```
    /// let vitals = engine_vitals::Vitals::builder().without_server().start();
    /// for hitch in vitals.hitches() {
    ///     println!("{hitch}");
    /// }
    /// ```
    #[must_use]
    pub fn hitches(&self) -> Vec<Hitch> {
        self.hitches.as_ref().map(|hitches| hitches.hitches()).unwrap_or_default()
    }

    /// Everything that the tracker knows now: resources with what they refer to, the last packets, the course of the run. It writes
    /// itself as JSON ([`Dump::write_json`]) and as text ([`Display`](std::fmt::Display)). The same is at `/dump.json` and `/dump.txt`
    /// of the page, and with `ENGINE_VITALS_DUMP=path` in a file when this is dropped: as JSON if the path ends in `.json`.
    ///
    /// Creation sites of wgpu's objects are those of sampled backtraces, where
    /// [`backtraces_every`](crate::instrument::InstrumentationBuilder::backtraces_every) takes them; on the page they are left out.
    #[must_use]
    pub fn dump(&self) -> Dump {
        let mut dump = Dump::take(&self.tracker, &DumpOptions::default());
        dump.set_hitches(&self.hitches());
        dump.locate(|id| self.instrumentation.site(id));
        dump
    }

    /// The resources that are not released now. Ask when the device and all that was made from it are dropped. With
    /// `ENGINE_VITALS_LEAKS=1` they are written to standard error when this is dropped.
    #[must_use]
    pub fn leaks(&self) -> Leaks {
        let mut leaks = Leaks::find(&self.tracker);
        leaks.locate(|id| self.instrumentation.site(id));
        leaks
    }

    /// The call sites of the heap, with the names of their functions; `None` while the global allocator samples none
    /// ([`with_call_sites`](engine_vitals_core::memory::TrackingAllocator), feature `call-sites`).
    ///
    /// [`top`](ResolvedProfile::top) is a table of the largest. The first call reads the program's debug information and may take
    /// seconds: see [`HeapProfile::resolve`](engine_vitals_core::contract::HeapProfile::resolve). The same is at `/heap.txt` of the page.
    ///
    /// ```
    /// use engine_vitals::contract::HeapMeasure;
    ///
    /// let vitals = engine_vitals::Vitals::builder().without_server().start();
    /// if let Some(profile) = vitals.heap_profile() {
    ///     print!("{}", profile.top(20, HeapMeasure::LiveBytes));
    /// }
    /// ```
    #[must_use]
    pub fn heap_profile(&self) -> Option<ResolvedProfile> {
        heap_profile::take()
    }

    /// Writes the call sites of the heap to a file: as folded stacks of the live bytes if the path ends in `.folded`, as a table if it ends
    /// in `.txt`, otherwise (`.pb.gz`) in pprof's format, for which it needs the feature `trace`. The same is at `/heap.folded`, `/heap.txt`
    /// and `/heap.pb.gz` of the page, and with `ENGINE_VITALS_HEAP_PROFILE=path` in a file when this is dropped.
    ///
    /// A file that is there is replaced as a whole. Takes as long as [`heap_profile`](Self::heap_profile).
    ///
    /// # Errors
    /// [`HeapProfileError`]: nothing was sampled, the feature is lacking, or the file could not be written; then what was there before is
    /// still there.
    pub fn write_heap_profile(&self, path: impl AsRef<Path>) -> Result<(), HeapProfileError> {
        heap_profile::write(path.as_ref())
    }

    /// The registry: register more monitors here.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The monitor of the heap: its last report, and the tags that grow without end
    /// ([`growth_suspects`](MemoryResourceMonitor::growth_suspects)).
    #[must_use]
    pub fn heap_monitor(&self) -> &Arc<MemoryResourceMonitor> {
        &self.heap
    }

    /// What the life of the program's resources was so far: packets, churn, its sources, and why each queue and target was destroyed,
    /// by startup, steady state and shutdown. As text by its `Display`, as JSON by
    /// [`to_json`](LifecycleTelemetry::to_json). `None` if nothing was ever tracked.
    ///
    /// It takes a snapshot: a tenth of a second for a million live resources. `ENGINE_VITALS_REPORT=1`, or
    /// [`Builder::report`](super::Builder::report), writes the startup's part on stderr when it is ready, and all of it at the end.
    #[must_use]
    pub fn report(&self) -> Option<LifecycleTelemetry> {
        self.lifecycle.telemetry()
    }

    /// The program begins to shut down: what it destroys from here on is the teardown, and not churn. Call it before the first resource
    /// is destroyed for good; of several calls the first counts. Without it, the shutdown begins when this is dropped.
    pub fn begin_shutdown(&self) {
        self.lifecycle.begin_shutdown();
    }

    /// Where the page is, such as `http://127.0.0.1:9184/`; `None` when nothing is served.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        #[cfg(feature = "serve")]
        return self.exporter.as_ref().map(engine_vitals_prometheus::Exporter::url);
        #[cfg(not(feature = "serve"))]
        None
    }

    /// What is missing, and what to do about it. Empty when all is there.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let mut notices = all_notices(&self.notices);
        if let Some(last) = self.out_of_memory().last() {
            let times = self.budgets.out_of_memory_count();
            notices.push(format!(
                "GPU memory ran out {times} times (Vitals::out_of_memory tells what held it), last: {}",
                last.summary()
            ));
        }
        #[cfg(feature = "trace")]
        if let Some(error) = self.event_log.as_ref().and_then(engine_vitals_trace::EventLog::error) {
            notices.push(format!("the event stream has ended: {error}"));
        }
        #[cfg(feature = "trace")]
        if let Some(error) = self.trace_file.as_ref().and_then(engine_vitals_trace::TraceFile::error) {
            notices.push(format!("the trace has ended: {error}"));
        }
        notices
    }
}

impl Drop for Vitals {
    fn drop(&mut self) {
        if let Some(open) = self.packet.get_mut().take() {
            open.finish(PacketResult::NoOp);
        }
        if let Some(hitches) = &self.hitches {
            hitches.end();
        }
        self.at_exit.write(|| self.dump(), heap_profile::write, || self.leaks());
        self.lifecycle.end();
        if let Some(reports) = &self.reports {
            reports.end(&self.lifecycle);
        }
        for id in &self.registered {
            self.registry.unregister(id);
        }
    }
}

/// The notices kept, with those that depend on the moment.
pub(super) fn all_notices(kept: &Mutex<Vec<String>>) -> Vec<String> {
    let mut notices = kept.lock().clone();
    if memory::get_currently_allocated_bytes().is_none() {
        notices.push(
            "no heap figures: make engine_vitals::TrackingAllocator the #[global_allocator] of the program".to_owned(),
        );
    }
    notices
}
