//! Fault injection: calls that fail by a plan, so that a program can test how it recovers.
//!
//! ```
//! use engine_vitals::instrument::Instrumentation;
//! use engine_vitals::instrument::fault::{Call, Fault, FaultPlan, Rule, When};
//!
//! // Every third buffer with such a label is out of memory, and the second submission never completes until it is told to.
//! let plan = FaultPlan::seeded(7)
//!     .fail(Rule::new(Fault::OutOfMemory, When::Every(3)).on(Call::CreateBuffer).labels_starting("mesh"))
//!     .fail(Rule::new(Fault::Stall, When::Calls(vec![2])));
//!
//! let tracker = engine_vitals::Tracker::new();
//! let instrumentation = Instrumentation::builder(tracker.probe()).faults(plan.clone()).build();
//! # let options = wgpu::NoopBackendOptions { enable: true, ..Default::default() };
//! # let descriptor = wgpu::InstanceDescriptor {
//! #     backends: wgpu::Backends::NOOP,
//! #     backend_options: wgpu::BackendOptions { noop: options, ..Default::default() },
//! #     ..wgpu::InstanceDescriptor::new_without_display_handle()
//! # };
//! let instance = instrumentation.wrap(wgpu::Instance::new(descriptor));
//! # let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
//! # let (device, queue) = pollster::block_on(adapter.request_device(&Default::default())).unwrap();
//! // adapter, device, queue: as ever. The third mesh:
//! # let mesh = wgpu::BufferDescriptor { label: Some("mesh"), size: 64, usage: wgpu::BufferUsages::VERTEX, mapped_at_creation: false };
//! # let _meshes = [device.create_buffer(&mesh), device.create_buffer(&mesh)];
//! let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
//! let third = device.create_buffer(&mesh);
//! assert!(pollster::block_on(scope.pop()).is_some());
//!
//! queue.submit([]);
//! let stuck = queue.submit([]);
//! let wait = wgpu::PollType::Wait { submission_index: Some(stuck), timeout: Some(std::time::Duration::from_millis(10)) };
//! assert!(matches!(device.poll(wait.clone()), Err(wgpu::PollError::Timeout)));
//! plan.release();
//! assert!(device.poll(wait).is_ok());
//! assert_eq!(plan.counts().iter().map(|count| count.failed).collect::<Vec<_>>(), [1, 1]);
//! ```
//!
//! This room owns the plan, and decides; the objects around it ask. Each hook is one statement, and not compiled without the
//! feature `fault`. A failed call is a marker among the [events](crate::tracker), and is counted ([`FaultPlan::counts`]).
//!
//! # What a fault looks like
//! As wgpu's own, through error scopes, the handler of uncaptured errors, callbacks and results; a text says `injected fault`.
//!
//! - **Out of memory, validation error**: the object is invalid, as wgpu's is, so that using it gives wgpu's own errors. It is
//!   tracked, with no bytes. A command encoder tells of it when it is finished. A failed submission is an empty one: its commands
//!   are dropped.
//! - **Device lost**: later calls on the device find it as they find any lost device: creations give nothing, mappings an error.
//!   The submission is abandoned; those before it complete. An acquired texture of a surface is discarded first, since wgpu 30
//!   panics over one whose device is lost.
//! - **Mapping failed**: the callback is called within `map_async`. wgpu goes on taking the buffer for mapped, and for its
//!   `unmap` reports that it is not: as after any failed mapping, make another buffer, or unmap within an error scope.
//! - **A submission that stalls** runs, and so do those after it, but none is told to have ended: their callbacks, and those of
//!   mappings that were asked for since, wait. `Device::poll` that waits for it gives `PollError::Timeout` after its timeout, or
//!   [after 5 s](FaultPlan::wait_limit), until [`FaultPlan::release`]. What is still held when the device is lost or its queue's
//!   last handle is gone ends as lost: submissions are abandoned, mappings give an error, other callbacks are called.
//!
//! # What cannot fail
//! Render bundles, pipeline caches and acceleration structures: wgpu has no way to make invalid ones, or panics.

mod gate;
mod inject;
mod plan;
mod schedule;

pub use plan::FaultPlan;
pub use schedule::{Call, Fault, FaultCount, Rule, When};

pub(super) use gate::Ended;
pub(super) use inject::{DeviceFaults, Submitting};
