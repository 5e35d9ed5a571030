//! What can be chosen before the start.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine_vitals_core::analysis::Rules;
use engine_vitals_core::analysis::guards::GuardSettings;
use engine_vitals_core::analysis::guards::heap::HeapGuardSettings;
use engine_vitals_core::analysis::hitches::HitchRules;
use engine_vitals_core::probe::{Level, OwnerKind, Probe, SoftBudget};
use engine_vitals_core::registry::{Registry, RegistryBuilder};
use engine_vitals_core::tracker::TrackerBuilder;

use super::Vitals;
use crate::instrument::InstrumentationBuilder;

/// A monitor that [`start`](super::start) registers, under this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StandardMonitor {
    /// `heap`: what the [`TrackingAllocator`](engine_vitals_core::memory::TrackingAllocator) counts.
    Heap,
    /// `allocator`: what the allocator inside that one says of its own memory: fragmentation.
    Allocator,
    /// `process`: memory, page faults and limits of the process, memory of the machine.
    Process,
    /// `frames`: the time between frames.
    Frames,
    /// `hitches`: frames that took too long, and what explains them.
    Hitches,
    /// `gpu`: the time of frames on the GPU.
    Gpu,
    /// `passes`: the time of passes on the GPU.
    Passes,
    /// `lifecycle`: resources, packets and submissions.
    Lifecycle,
    /// `budgets`: soft budgets of GPU memory, and the times that it ran out.
    Budgets,
    /// `reconcile`: GPU memory, source against source.
    Reconciliation,
    /// `stores`: staging rings, memory pools and pools of render targets.
    Stores,
    /// `registry`: what the registry counts of itself.
    Registry,
}

/// Sets up [`Vitals`]. Every choice has a default; [`start`](Self::start) never fails.
#[derive(Debug, Default)]
#[must_use = "start() starts measuring"]
pub struct Builder {
    pub(super) app: Option<(String, String)>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) left_out: HashSet<StandardMonitor>,
    pub(super) level: Level,
    pub(super) touch_lists: bool,
    pub(super) tracker: TrackerBuilder,
    pub(super) report: bool,
    pub(super) rules: Rules,
    pub(super) trace_file: Option<PathBuf>,
    pub(super) registry: RegistryBuilder,
    pub(super) registry_given: Option<Registry>,
    pub(super) update_every: Option<Duration>,
    pub(super) serve: Serve,
    pub(super) instrument: Option<Instrument>,
    /// `None` for the defaults, which are made where guards look.
    pub(super) guards: Option<GuardSettings>,
    /// `None` for the defaults, with costs that are measured at the start.
    pub(super) hitch_rules: Option<HitchRules>,
    /// In bytes; 0 for none.
    pub(super) heap_budget: u64,
    pub(super) heap_guards: HeapGuardSettings,
    pub(super) without_pass_times: bool,
    /// `None` for as many as the monitor has by default.
    pub(super) pass_names: Option<usize>,
    pub(super) budgets: Vec<SoftBudget>,
}

/// Choices about the instrumentation.
pub(super) struct Instrument(
    #[cfg_attr(not(feature = "telemetry"), expect(dead_code, reason = "nothing is instrumented"))]
    pub(super)  InstrumentChoices,
);

type InstrumentChoices = Box<dyn FnOnce(InstrumentationBuilder, Probe) -> InstrumentationBuilder>;

impl std::fmt::Debug for Instrument {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Instrument")
    }
}

/// Choices about the server.
#[derive(Default)]
pub(super) struct Serve {
    pub(super) off: bool,
    pub(super) port: Option<u16>,
    pub(super) address: Option<SocketAddr>,
    pub(super) token: Option<String>,
    pub(super) hosts: Vec<String>,
    pub(super) application_metrics: bool,
}

impl std::fmt::Debug for Serve {
    /// Without the token.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { off, port, address, .. } = self;
        out.debug_struct("Serve")
            .field("off", off)
            .field("port", port)
            .field("address", address)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Name and version of the application: on the page, and labels of `vitals_build_info`.
    pub fn app(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.app = Some((name.into(), version.into()));
        self
    }

    /// A fact that does not change while the program runs (a scene, a machine): a label of `vitals_build_info`.
    pub fn constant_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Leaves a monitor out.
    pub fn without(mut self, monitor: StandardMonitor) -> Self {
        self.left_out.insert(monitor);
        self
    }

    /// How much is kept of each resource; [`Level::Counters`] by default. `ENGINE_VITALS_TRACE=1` and
    /// a [trace file](Self::trace_file) ask for [`Level::Events`].
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Capacities of the tracker, kinds that its figures of churn leave out, panics on misuse; its level is that of [`level`](Self::level).
    ///
    /// ```
    /// let tracker = engine_vitals::Tracker::builder().owner_capacity(1 << 16).panic_on_misuse(true);
    /// let vitals = engine_vitals::Vitals::builder().without_server().tracker(tracker).start();
    /// # drop(vitals);
    /// ```
    pub fn tracker(mut self, tracker: TrackerBuilder) -> Self {
        self.tracker = tracker;
        self
    }

    /// Whether touches of resources are events too; off by default.
    pub fn touch_lists(mut self, on: bool) -> Self {
        self.touch_lists = on;
        self
    }

    /// Whether the [report](Vitals::report) of the startup is written on stderr when it is ready, and of all windows at the end; off by
    /// default. `ENGINE_VITALS_REPORT=1` asks for it too.
    pub fn report(mut self, on: bool) -> Self {
        self.report = on;
        self
    }

    /// What churn is judged by: how many packets make a stable window, how many resources a storm, and so on.
    pub fn churn_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Writes a trace that [Perfetto](https://ui.perfetto.dev) opens to this file, from the start until [`Vitals`] is dropped, at
    /// [`Level::Events`]; `docs/TRACE.md` tells what is in it. `ENGINE_VITALS_TRACE_FILE` names another file. Needs the feature `trace`.
    ///
    /// A file that is there is replaced; one that cannot be written is one of the [notices](Vitals::notices).
    pub fn trace_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.trace_file = Some(path.into());
        self
    }

    /// Registers and serves in this registry instead of one of its own, so that the monitors that are in it already are shown too. For
    /// monitors of [`register_resource_monitor`](engine_vitals_core::registry::global::register_resource_monitor) give it
    /// [`global::registry`](engine_vitals_core::registry::global::registry). Dropping [`Vitals`] takes the standard monitors out of it again.
    pub fn in_registry(mut self, registry: &Registry) -> Self {
        self.registry_given = Some(registry.clone());
        self
    }

    /// Budgets, caps and thresholds of the registry; those of a registry [given](Self::in_registry) stand.
    pub fn registry(mut self, registry: RegistryBuilder) -> Self {
        self.registry = registry;
        self
    }

    /// How long the registry may go without an update before a background thread updates it; one second by default. For programs that
    /// never call [`Vitals::frame`], and for the time that their frames stand still.
    pub fn update_every(mut self, interval: Duration) -> Self {
        self.update_every = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// Serves on another port of loopback than 9184; 0 is any free one. A taken port gives way to the next free one.
    pub fn port(mut self, port: u16) -> Self {
        self.serve.port = Some(port);
        self
    }

    /// Serves on this address instead of loopback, whatever [`port`](Self::port) says; a taken port gives way to the next free one. Whoever can reach it can read the figures: consider a
    /// [`bearer_token`](Self::bearer_token), and [`allow_host`](Self::allow_host) for the names by which it is reached.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.serve.address = Some(address);
        self
    }

    /// Answers only requests that carry this bearer token.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.serve.token = Some(token.into());
        self
    }

    /// Answers requests that name this host too, besides loopback names and the bound address.
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.serve.hosts.push(name.into());
        self
    }

    /// Makes ours the process's `metrics` recorder, so that the application's own `metrics` calls are on `/metrics` too. For a program
    /// that has a recorder of its own, `engine_vitals_prometheus::ExporterBuilder::join` gives it our figures instead.
    pub fn application_metrics(mut self) -> Self {
        self.serve.application_metrics = true;
        self
    }

    /// Chooses what [`Vitals::wrap`] tracks, and how. The probe is for owners that the choices name.
    ///
    /// ```
    /// use engine_vitals::{OwnerKind, ResourceKind, Vitals};
    ///
    /// let vitals = Vitals::builder()
    ///     .without_server()
    ///     .instrument(|instrument, probe| {
    ///         let ui = probe.owner_named(OwnerKind::ROOT_VISUAL, 1, "ui");
    ///         instrument.owner_of_label("egui", ui).without_kind(ResourceKind::COMMAND_ENCODER)
    ///     })
    ///     .start();
    /// # drop(vitals);
    /// ```
    pub fn instrument(
        mut self,
        choices: impl FnOnce(InstrumentationBuilder, Probe) -> InstrumentationBuilder + 'static,
    ) -> Self {
        self.instrument = Some(Instrument(Box::new(choices)));
        self
    }

    /// When the guards warn ([`Vitals::warnings`]), instead of by the defaults.
    ///
    /// ```
    /// let mut guards = engine_vitals::analysis::guards::GuardSettings::default();
    /// guards.unpolled_for = std::time::Duration::from_secs(20);
    /// let vitals = engine_vitals::Vitals::builder().without_server().guards(guards).start();
    /// # drop(vitals);
    /// ```
    pub fn guards(mut self, settings: GuardSettings) -> Self {
        self.guards = Some(settings);
        self
    }

    /// When a frame is a hitch ([`Vitals::hitches`]), how many are kept, and what amounts are taken to cost that nobody timed, instead of
    /// by the defaults. Without rules, what a block of the heap costs is measured at the start
    /// ([`HitchCosts::measured`](engine_vitals_core::analysis::hitches::HitchCosts::measured)).
    ///
    /// ```
    /// let mut rules = engine_vitals::analysis::hitches::HitchRules::default();
    /// rules.fixed = Some(std::time::Duration::from_millis(20));
    /// let vitals = engine_vitals::Vitals::builder().without_server().hitch_rules(rules).start();
    /// # drop(vitals);
    /// ```
    pub fn hitch_rules(mut self, rules: HitchRules) -> Self {
        self.hitch_rules = Some(rules);
        self
    }

    /// Bytes that the heap should stay within; none by default, and with 0. It is the capacity of the monitor `heap`, whose health check
    /// warns at 80 %; each crossing is counted and is one of the [warnings](Vitals::warnings), with the largest tags and those that grow
    /// fastest ([`MemoryResourceMonitor::with_budget`](engine_vitals_core::monitor::MemoryResourceMonitor::with_budget)).
    ///
    /// ```
    /// let vitals = engine_vitals::Vitals::builder().without_server().heap_budget(512 << 20).start();
    /// # drop(vitals);
    /// ```
    pub fn heap_budget(mut self, bytes: u64) -> Self {
        self.heap_budget = bytes;
        self
    }

    /// When a heap tag counts as growing without end, instead of by the defaults.
    pub fn heap_guards(mut self, settings: HeapGuardSettings) -> Self {
        self.heap_guards = settings;
        self
    }

    /// Bytes of GPU memory that the program wants to stay within; none by default, and with 0. Counted are all resources that are tracked,
    /// those that wait for their release too. Crossings are counted, [`Vitals::frame`] tells the pressure, and
    /// [`Vitals::before_over_budget`] may make room before a creation (docs/VRAM.md). [`Vitals::set_soft_budget`] changes it.
    ///
    /// ```
    /// use engine_vitals::probe::Pressure;
    ///
    /// let vitals = engine_vitals::Vitals::builder().without_server().gpu_budget(2 << 30).start();
    /// vitals.before_over_budget(|would| println!("make room for {} bytes", would.excess_bytes()));
    /// if vitals.frame().pressure >= Pressure::High {
    ///     // drop what was not used lately
    /// }
    /// # drop(vitals);
    /// ```
    pub fn gpu_budget(mut self, bytes: u64) -> Self {
        self.budgets.push(SoftBudget::process(bytes));
        self
    }

    /// Bytes of GPU memory that the owners of one kind want to stay within together, as [`gpu_budget`](Self::gpu_budget) for all.
    pub fn owner_budget(mut self, kind: OwnerKind, bytes: u64) -> Self {
        self.budgets.push(SoftBudget::owner(kind, bytes));
        self
    }

    /// Whether the time on the GPU of each pass on an instrumented device is taken from the start; default: yes. It can be
    /// [switched](Vitals::set_pass_times) at run time (docs/GPU.md). Off, it costs nothing.
    ///
    /// ```
    /// let vitals = engine_vitals::Vitals::builder().without_server().pass_times(false).start();
    /// vitals.set_pass_times(true);
    /// ```
    pub fn pass_times(mut self, on: bool) -> Self {
        self.without_pass_times = !on;
        self
    }

    /// Names of passes that have figures of their own, up to 256; those beyond count as `other`. 64 by default.
    pub fn pass_names(mut self, names: usize) -> Self {
        self.pass_names = Some(names);
        self
    }

    /// Opens no port.
    pub fn without_server(mut self) -> Self {
        self.serve.off = true;
        self
    }

    /// Starts measuring.
    #[must_use = "dropping it stops everything"]
    pub fn start(self) -> Vitals {
        Vitals::with(self)
    }
}
