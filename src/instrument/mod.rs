//! Transparent instrumentation: a `wgpu::Instance` around another one, so that whatever any crate makes from it is tracked.
//!
//! ```no_run
//! let vitals = engine_vitals::start();
//! let instance = vitals.wrap(wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle()));
//! // adapter, device, queue, surface: as ever
//! ```
//!
//! Without [`Vitals`](crate::Vitals), on a bare [`Probe`](crate::Probe):
//!
//! ```
//! use engine_vitals::instrument::Instrumentation;
//!
//! let tracker = engine_vitals::Tracker::new();
//! let instrumentation = Instrumentation::new(tracker.probe());
//! let instance = instrumentation.wrap(wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle()));
//! # drop(instance);
//! ```
//!
//! This room owns the objects that stand for wgpu's, and the plan of faults to inject. It implements the traits of
//! [`wgpu::custom`] over wgpu's public API: each of its objects holds the real public object and forwards. It knows the probe
//! and what `gpu` says of descriptors; it must not know who reads.
//!
//! # What is reported
//! Every object is a resource with its label, its size, the API behind it, and the owner and packet of the calling thread's
//! [`Context`](crate::Context). Its life has its states apart: live; handle dropped (the last clone of the public handle is
//! gone); released (nothing holds it any more: no handle, view, bind group, bundle, pipeline, unsubmitted write or work in
//! flight); destroyed explicitly. A surface is a lane, a frame on it a packet: begun when the one before ends, presented by
//! `Queue::present`, dropped if its texture is dropped.
//!
//! # What is not
//! What wgpu and the driver allocate for themselves (staging buffers of `Queue::write_*`, descriptor pools, the images of a
//! swapchain) is in no public object and is the remainder between these figures and the driver's. Instances and adapters
//! hold no memory on the GPU and are no resources.
//!
//! # What wgpu makes impossible
//! `as_hal` and `as_webgpu` of an instrumented object, and `Instance::generate_report`, give `None`;
//! `Device::create_texture_from_hal`, `create_buffer_from_hal`, `create_texture_from_webgpu_handle` and
//! `Instance::create_adapter_from_hal` panic inside wgpu ("… is not core"). The remedy is the real object, from
//! [`real_device`] and the functions beside it, and [`adopt_buffer`] and [`adopt_texture`] for what was made from it.
//! A program that asks `as_hal` whether it may take a faster path takes the other one when it is instrumented.
//!
//! Three more differences can be seen: a render bundle is recorded here and encoded in its `finish`; a device has the
//! adapter's timestamp features, so that their use without having asked for them is no error (a
//! [switch](InstrumentationBuilder::timestamps)); and the numbers in a `SubmissionIndex` are this layer's.
//!
//! # A handle from elsewhere
//! A handle that was not made through this instance (the real one's, or another instrumented instance's) cannot be used with
//! it. The call has no effect and gives a validation error, through the device's error scopes and handler, that says so.
//!
//! # Locks
//! No lock of this room is held while wgpu submits, polls or presents: other people's callbacks run there.

#[cfg(feature = "instrument")]
mod accel;
#[cfg(feature = "instrument")]
mod adapter;
#[cfg(feature = "instrument")]
mod backtraces;
#[cfg(feature = "instrument")]
mod bundle;
#[cfg(feature = "instrument")]
mod create;
#[cfg(feature = "instrument")]
mod device;
#[cfg(feature = "instrument")]
mod encoder;
#[cfg(feature = "instrument")]
mod errors;
#[cfg(feature = "fault")]
pub mod fault;
#[cfg(feature = "instrument")]
mod handles;
#[cfg(feature = "instrument")]
mod instance;
#[cfg(feature = "instrument")]
mod instrumentation;
#[cfg(feature = "instrument")]
mod invalid;
#[cfg(feature = "instrument")]
mod native;
#[cfg(not(feature = "instrument"))]
mod off;
#[cfg(feature = "instrument")]
mod pass;
#[cfg(feature = "instrument")]
mod pipelines;
#[cfg(feature = "instrument")]
mod queue;
#[cfg(feature = "instrument")]
mod real;
#[cfg(feature = "instrument")]
mod record;
#[cfg(feature = "instrument")]
mod resources;
#[cfg(feature = "instrument")]
mod rules;
#[cfg(feature = "instrument")]
mod shortage;
#[cfg(feature = "instrument")]
mod site;
#[cfg(feature = "instrument")]
mod state;
#[cfg(feature = "instrument")]
mod surface;
#[cfg(feature = "instrument")]
mod targets;
#[cfg(feature = "instrument")]
#[cfg(test)]
mod tests;

#[cfg(feature = "instrument")]
pub use {
    instrumentation::{Adopted, Instrumentation, InstrumentationBuilder},
    real::{
        adopt_buffer, adopt_texture, buffer_id, device_probe, real_adapter, real_buffer, real_device, real_instance,
        real_queue, real_texture,
    },
};

#[cfg(all(not(feature = "instrument"), feature = "staging-rings"))]
pub(crate) use off::buffer_of_kind;
#[cfg(all(not(feature = "instrument"), feature = "memory-pools"))]
pub(crate) use off::texture_reused;
#[cfg(all(feature = "instrument", feature = "staging-rings"))]
pub(crate) use real::buffer_of_kind;
#[cfg(all(feature = "instrument", feature = "memory-pools"))]
pub(crate) use real::texture_reused;
#[cfg(feature = "instrument")]
pub(crate) use {device::is_guarded, instrumentation::DeviceGuard};

#[cfg(not(feature = "instrument"))]
pub use off::{
    Adopted, Instrumentation, InstrumentationBuilder, adopt_buffer, adopt_texture, buffer_id, device_probe,
    real_adapter, real_buffer, real_device, real_instance, real_queue, real_texture,
};
