//! What a program says once: what is tracked, and which instance.

use std::backtrace::Backtrace;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals_core::contract::Histogram;
use engine_vitals_core::probe::{OwnerId, Probe, ResourceId, ResourceKind, Shortage, ShortageCalls};
use parking_lot::Mutex;

use super::adapter::Adapter;
use super::backtraces::Backtraces;
use super::device::Device;
use super::instance::Instance;
use super::rules::{self, Rules};
use super::shortage::{Listeners, Tell};
use super::state::World;
use super::targets::Targets;
use crate::gpu::PassSink;
use crate::gpu::pass_timer::{self, PassTiming};

/// Instruments instances of wgpu. Cheap to clone; clones share everything, and what one of them wrapped may be used with what
/// another one wrapped only if wgpu itself allows it.
#[derive(Clone, Debug)]
pub struct Instrumentation {
    world: Arc<World>,
}

impl Instrumentation {
    /// Everything that is made is reported to `probe`.
    #[must_use]
    pub fn new(probe: Probe) -> Self {
        Self::builder(probe).build()
    }

    /// With other than the defaults.
    pub fn builder(probe: Probe) -> InstrumentationBuilder {
        InstrumentationBuilder {
            probe,
            rules: Rules::default(),
            backtraces_every: 0,
            timestamps: true,
            native_handles: true,
            latencies: None,
            pass_times: true,
            pass_sink: None,
            pass_queries: pass_timer::DEFAULT_QUERIES,
            on_device: None,
            on_shortage: Vec::new(),
            #[cfg(feature = "fault")]
            faults: None,
        }
    }

    /// An instance that is used as the given one and tracks all that is made from it. It may be an instrumented one itself.
    #[must_use]
    pub fn wrap(&self, instance: wgpu::Instance) -> wgpu::Instance {
        wgpu::Instance::from_custom(Instance::new(instance, Arc::clone(&self.world)))
    }

    /// The same for a program whose framework has made all four already. What was made from the device before is not tracked,
    /// and cannot be used with the device that this returns; [`adopt_buffer`](super::adopt_buffer) and
    /// [`adopt_texture`](super::adopt_texture) bring it in.
    #[must_use]
    pub fn adopt(
        &self,
        instance: wgpu::Instance,
        adapter: wgpu::Adapter,
        device: wgpu::Device,
        queue: wgpu::Queue,
    ) -> Adopted {
        let (device, queue) = Device::around(device, queue, wgpu::Features::empty(), &self.world, None);
        Adopted {
            instance: self.wrap(instance),
            adapter: wgpu::Adapter::from_custom(Adapter::new(adapter, Arc::clone(&self.world))),
            device: wgpu::Device::from_custom(device),
            queue: wgpu::Queue::from_custom(queue),
        }
    }

    /// Where a live resource was created, if [backtraces](InstrumentationBuilder::backtraces_every) are on and its creation was
    /// sampled. Symbols are looked up when it is shown.
    #[must_use]
    pub fn backtrace(&self, resource: ResourceId) -> Option<Arc<Backtrace>> {
        self.world.backtraces.get(resource)
    }

    /// The line of the program in that backtrace, `file:line:column`, or the function where the program has no line numbers. Symbols are
    /// looked up now, which takes milliseconds at first.
    #[must_use]
    pub fn site(&self, resource: ResourceId) -> Option<String> {
        self.backtrace(resource).and_then(|backtrace| super::site::site(&backtrace))
    }

    /// Backtraces of creations are taken.
    pub(crate) fn takes_backtraces(&self) -> bool {
        self.world.backtraces.every > 0
    }

    /// How often what [is called when memory runs out](InstrumentationBuilder::on_out_of_memory) was called, and how that ended.
    #[must_use]
    pub fn out_of_memory_calls(&self) -> ShortageCalls {
        self.world.shortages.calls()
    }

    /// Whether the time of passes on the GPU is taken from now on: of those in encoders that are made from now on. Without a
    /// [sink](InstrumentationBuilder::pass_sink), and on devices without time stamps, none is.
    pub fn set_pass_times(&self, on: bool) {
        self.world.passes.set(on);
    }

    /// Whether the time of passes on the GPU is taken.
    #[must_use]
    pub fn pass_times(&self) -> bool {
        self.world.passes.is_on()
    }

    /// Queries that the passes of a frame may use from now on, as [before the start](InstrumentationBuilder::pass_queries_per_frame).
    pub fn set_pass_queries_per_frame(&self, queries: u32) {
        self.world.passes.set_queries_per_frame(queries);
    }

    /// A frame has ended: what of its passes was read back already is complete.
    pub(crate) fn frame_ended(&self) {
        self.world.passes.tell_finished();
    }

    /// What everything that is wrapped shares.
    pub(super) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    /// Frames of surfaces that have ended, by being presented or dropped.
    pub(crate) fn surface_frames(&self) -> u64 {
        self.world.frames.load(Ordering::Relaxed)
    }
}

/// The instrumented four of [`Instrumentation::adopt`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Adopted {
    /// The instance.
    pub instance: wgpu::Instance,
    /// The adapter.
    pub adapter: wgpu::Adapter,
    /// The device.
    pub device: wgpu::Device,
    /// The queue.
    pub queue: wgpu::Queue,
}

/// Kept for as long as a device's handle is.
pub(crate) trait DeviceGuard: wgpu::WasmNotSendSync + 'static {}

impl<T: wgpu::WasmNotSendSync + 'static> DeviceGuard for T {}

/// Is told of each device that is made: the real one.
pub(super) type DeviceHook = Box<dyn MakeDeviceGuard>;

/// A function from the real device and queue to what is kept with them.
pub(crate) trait MakeDeviceGuard:
    Fn(&wgpu::Device, &wgpu::Queue) -> Box<dyn DeviceGuard> + wgpu::WasmNotSendSync
{
}

impl<T: Fn(&wgpu::Device, &wgpu::Queue) -> Box<dyn DeviceGuard> + wgpu::WasmNotSendSync> MakeDeviceGuard for T {}

/// What is tracked, and how.
#[must_use = "call `build`"]
pub struct InstrumentationBuilder {
    probe: Probe,
    rules: Rules,
    backtraces_every: u32,
    timestamps: bool,
    native_handles: bool,
    latencies: Option<Arc<Histogram>>,
    pass_times: bool,
    pass_sink: Option<Arc<dyn PassSink>>,
    pass_queries: u32,
    on_device: Option<DeviceHook>,
    on_shortage: Vec<Tell>,
    #[cfg(feature = "fault")]
    faults: Option<super::fault::FaultPlan>,
}

impl InstrumentationBuilder {
    /// Leaves objects of that kind out. What they keep alive is still known to be kept.
    pub fn without_kind(mut self, kind: ResourceKind) -> Self {
        self.rules.without_kinds |= rules::bit(kind);
        self
    }

    /// Leaves out objects whose label begins like this.
    pub fn without_labels_starting(mut self, prefix: impl Into<String>) -> Self {
        self.rules.without_labels.push(prefix.into());
        self
    }

    /// Tracks only objects whose label begins like this, or like that of another such call.
    pub fn only_labels_starting(mut self, prefix: impl Into<String>) -> Self {
        self.rules.only_labels.push(prefix.into());
        self
    }

    /// Objects whose label begins like this and that are made outside any owner's [`Context`](crate::Context) are `owner`'s. Of
    /// several prefixes that fit, the longest counts; the empty one fits all, even objects without a label.
    pub fn owner_of_label(mut self, prefix: impl Into<String>, owner: OwnerId) -> Self {
        self.rules.owners.push((prefix.into(), owner));
        self
    }

    /// Keeps the labels of at most so many objects at a time; those made beyond have none. Default: as many as the tracker keeps.
    pub fn label_limit(mut self, labels: usize) -> Self {
        self.rules.label_limit = Some(labels);
        self
    }

    /// Keeps a backtrace of every so-manieth creation ([`Instrumentation::backtrace`], and the sites in `Vitals::dump` and
    /// `Vitals::leaks`), of 4,096 live resources at most. Default:
    /// none. One costs tens of microseconds.
    pub fn backtraces_every(mut self, creations: NonZeroU32) -> Self {
        self.backtraces_every = creations.get();
        self
    }

    /// Whether devices get the adapter's timestamp features beside those that they ask for, so that times on the GPU can be
    /// measured. `Device::features` does not tell of them. Default: yes.
    pub fn timestamps(mut self, yes: bool) -> Self {
        self.timestamps = yes;
        self
    }

    /// Whether the API's own handles of buffers and textures are told (`VkBuffer`, `VkImage`, `ID3D12Resource`, `MTLTexture`), with
    /// the crate's features `vulkan`, `dx12` and `metal`. Default: yes; without these features there are none.
    pub fn native_handles(mut self, yes: bool) -> Self {
        self.native_handles = yes;
        self
    }

    /// Records how long submissions take in `latencies`. Default: nowhere.
    pub fn submission_latencies(mut self, latencies: Arc<Histogram>) -> Self {
        self.latencies = Some(latencies);
        self
    }

    /// Tells `sink` the time on the GPU of each render and compute pass that has no time stamps of its own, whoever records it, under its
    /// label. Default: nobody is told, and nothing is timed. It needs a device with `TIMESTAMP_QUERY`, which it gets by
    /// [`timestamps`](Self::timestamps) where the adapter has it.
    pub fn pass_sink(mut self, sink: Arc<dyn PassSink>) -> Self {
        self.pass_sink = Some(sink);
        self
    }

    /// Whether passes are timed from the start, if there is a [sink](Self::pass_sink); default: yes. It can be
    /// [switched](Instrumentation::set_pass_times) at run time. Off, it costs nothing.
    pub fn pass_times(mut self, yes: bool) -> Self {
        self.pass_times = yes;
        self
    }

    /// Queries that the passes of a frame may use on each device, two for each pass; 256 by default. Passes beyond are not timed, and counted.
    /// In a program that tells of no frames ([`Probe::frame_ended`]) so many may be in flight.
    pub fn pass_queries_per_frame(mut self, queries: u32) -> Self {
        self.pass_queries = queries;
        self
    }

    /// Calls `tell` whenever a device's memory runs out, beside those that were given before: once for each error of that sort, in the
    /// thread that gets it, before the program learns of it. With `Vitals` it is told already (`Vitals::out_of_memory`).
    ///
    /// A panic in it is caught, and the program learns of the error all the same. If memory runs out for what it creates itself, on its own
    /// thread, the program learns of that, but `tell` and its likes do not. Both are counted
    /// ([`out_of_memory_calls`](Instrumentation::out_of_memory_calls)).
    ///
    /// A failed creation of a buffer or texture is told at once, even inside an error scope. Of other calls inside a scope only the first
    /// error is known, when the scope is popped. Of a device that was made elsewhere and [adopted](Instrumentation::adopt), errors that no
    /// scope takes are told once the program has set a handler through the instrumented device: it may have set one before.
    pub fn on_out_of_memory(mut self, tell: impl Fn(&Shortage) + Send + Sync + 'static) -> Self {
        self.on_shortage.push(Arc::new(tell));
        self
    }

    /// Makes calls fail by `plan`. Default: none fails.
    #[cfg(feature = "fault")]
    pub fn faults(mut self, plan: super::fault::FaultPlan) -> Self {
        self.faults = Some(plan);
        self
    }

    /// Calls `hook` with each device that is made, the real one and its queue, and keeps what it returns until the last handle of
    /// the instrumented device is gone.
    pub(crate) fn on_device(mut self, hook: impl MakeDeviceGuard + 'static) -> Self {
        self.on_device = Some(Box::new(hook));
        self
    }

    /// Ready to wrap.
    #[must_use]
    pub fn build(self) -> Instrumentation {
        let passes = PassTiming::new(self.probe, self.pass_sink, self.pass_times, self.pass_queries);
        Instrumentation {
            world: Arc::new(World {
                probe: self.probe,
                rules: self.rules,
                backtraces: Backtraces::new(self.backtraces_every.into()),
                targets: Targets::default(),
                timestamps: self.timestamps,
                native_handles: self.native_handles,
                latencies: self.latencies,
                passes,
                on_device: self.on_device,
                shortages: Listeners::new(self.on_shortage),
                #[cfg(feature = "fault")]
                faults: self.faults,
                surfaces: Mutex::default(),
                frames: AtomicU64::new(0),
            }),
        }
    }
}

impl fmt::Debug for InstrumentationBuilder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("InstrumentationBuilder")
            .field("probe", &self.probe)
            .field("rules", &self.rules)
            .field("timestamps", &self.timestamps)
            .finish_non_exhaustive()
    }
}
