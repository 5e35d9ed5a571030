//! The same calls without instrumentation: what goes in comes out.

use std::backtrace::Backtrace;
use std::num::NonZeroU32;
use std::sync::Arc;

use engine_vitals_core::contract::Histogram;
use engine_vitals_core::probe::{OwnerId, Probe, ResourceId, ResourceKind, Shortage, ShortageCalls};

use crate::gpu::PassSink;

/// Instruments nothing: the feature `instrument` is off.
#[derive(Clone, Copy, Debug)]
pub struct Instrumentation;

impl Instrumentation {
    /// Nothing.
    #[must_use]
    pub fn new(_: Probe) -> Self {
        Self
    }

    /// Takes choices and forgets them.
    pub fn builder(_: Probe) -> InstrumentationBuilder {
        InstrumentationBuilder
    }

    /// The instance itself.
    #[must_use]
    pub fn wrap(&self, instance: wgpu::Instance) -> wgpu::Instance {
        instance
    }

    /// The four themselves.
    #[must_use]
    pub fn adopt(
        &self,
        instance: wgpu::Instance,
        adapter: wgpu::Adapter,
        device: wgpu::Device,
        queue: wgpu::Queue,
    ) -> Adopted {
        Adopted { instance, adapter, device, queue }
    }

    /// Nothing.
    pub fn set_pass_times(&self, _: bool) {}

    /// None.
    #[must_use]
    pub fn out_of_memory_calls(&self) -> ShortageCalls {
        ShortageCalls::default()
    }

    /// No.
    #[must_use]
    pub fn pass_times(&self) -> bool {
        false
    }

    /// Nothing.
    pub fn set_pass_queries_per_frame(&self, _: u32) {}

    /// `None`.
    #[must_use]
    pub fn backtrace(&self, _: ResourceId) -> Option<Arc<Backtrace>> {
        None
    }

    /// `None`.
    #[must_use]
    pub fn site(&self, _: ResourceId) -> Option<String> {
        None
    }
}

/// The four of [`Instrumentation::adopt`].
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

/// Takes choices and forgets them.
#[derive(Clone, Copy, Debug)]
#[must_use = "call `build`"]
pub struct InstrumentationBuilder;

impl InstrumentationBuilder {
    /// Nothing.
    pub fn without_kind(self, _: ResourceKind) -> Self {
        self
    }

    /// Nothing.
    pub fn without_labels_starting(self, _: impl Into<String>) -> Self {
        self
    }

    /// Nothing.
    pub fn only_labels_starting(self, _: impl Into<String>) -> Self {
        self
    }

    /// Nothing.
    pub fn owner_of_label(self, _: impl Into<String>, _: OwnerId) -> Self {
        self
    }

    /// Nothing.
    pub fn label_limit(self, _: usize) -> Self {
        self
    }

    /// Nothing.
    pub fn backtraces_every(self, _: NonZeroU32) -> Self {
        self
    }

    /// Nothing.
    pub fn timestamps(self, _: bool) -> Self {
        self
    }

    /// Nothing.
    pub fn native_handles(self, _: bool) -> Self {
        self
    }

    /// Nothing.
    pub fn submission_latencies(self, _: Arc<Histogram>) -> Self {
        self
    }

    /// Nothing.
    pub fn pass_sink(self, _: Arc<dyn PassSink>) -> Self {
        self
    }

    /// Nothing.
    pub fn pass_times(self, _: bool) -> Self {
        self
    }

    /// Nothing.
    pub fn pass_queries_per_frame(self, _: u32) -> Self {
        self
    }

    /// Nothing.
    pub fn on_out_of_memory(self, _: impl Fn(&Shortage) + Send + Sync + 'static) -> Self {
        self
    }

    /// Instruments nothing.
    #[must_use]
    pub fn build(self) -> Instrumentation {
        Instrumentation
    }
}

macro_rules! reals {
    ($($function:ident: $public:ident;)*) => {$(
        /// The object itself.
        #[must_use]
        pub fn $function(handle: &wgpu::$public) -> &wgpu::$public {
            handle
        }
    )*};
}

reals! {
    real_instance: Instance;
    real_adapter: Adapter;
    real_device: Device;
    real_queue: Queue;
    real_buffer: Buffer;
    real_texture: Texture;
}

/// `None`.
#[must_use]
pub fn device_probe(_: &wgpu::Device) -> Option<Probe> {
    None
}

/// `None`.
#[must_use]
pub fn buffer_id(_: &wgpu::Buffer) -> Option<ResourceId> {
    None
}

/// Nothing.
#[cfg(feature = "memory-pools")]
pub(crate) fn texture_reused(_: &wgpu::Texture) {}

/// A buffer, whatever it is.
#[cfg(feature = "staging-rings")]
pub(crate) fn buffer_of_kind(
    device: &wgpu::Device,
    _: ResourceKind,
    descriptor: &wgpu::BufferDescriptor<'_>,
) -> wgpu::Buffer {
    device.create_buffer(descriptor)
}

/// The buffer itself.
#[must_use]
pub fn adopt_buffer(_: &wgpu::Device, real: wgpu::Buffer, _: &wgpu::BufferDescriptor<'_>) -> wgpu::Buffer {
    real
}

/// The texture itself.
#[must_use]
pub fn adopt_texture(_: &wgpu::Device, real: wgpu::Texture, _: &wgpu::TextureDescriptor<'_>) -> wgpu::Texture {
    real
}
