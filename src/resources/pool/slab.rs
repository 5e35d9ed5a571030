//! The buffer of a slab: made with no lock held, with errors caught, and counted once.

use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use engine_vitals_core::probe::{Context, New, OwnerId, Probe, ResourceId, Ticket};

use crate::instrument;

/// Makes buffers in a pool's name.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) device: wgpu::Device,
    /// Where blocks, and buffers that the device does not report itself, are reported.
    pub(super) probe: Probe,
    /// The device reports what is made from it.
    pub(super) instrumented: bool,
    /// The pool, as an owner.
    pub(super) owner: OwnerId,
}

/// A buffer, as long as the pool keeps it.
#[derive(Debug)]
pub(super) struct SlabBuffer {
    pub(super) buffer: wgpu::Buffer,
    /// The resource that it is; `None` where it is not tracked.
    pub(super) id: Option<ResourceId>,
    /// Its life, where the device does not report that.
    _ticket: Ticket,
}

/// Why there is no buffer.
#[derive(Debug)]
pub(super) enum NoBuffer {
    OutOfMemory,
    Refused(String),
}

impl Maker {
    /// On an instrumented device what is made is reported by that, to its probe; on another it is reported here, to `probe`.
    pub(super) fn new(device: &wgpu::Device, probe: Probe, owner_kind: &str, key: u64, name: &str) -> Self {
        let own = instrument::device_probe(device);
        let probe = own.unwrap_or(probe);
        let owner = probe.owner_named(probe.owner_kind(owner_kind), key, name);
        Self { device: device.clone(), probe, instrumented: own.is_some(), owner }
    }

    /// Runs user code where a soft budget is exceeded: hold no lock.
    pub(super) fn buffer(&self, name: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<SlabBuffer, NoBuffer> {
        self.raw_buffer(&wgpu::BufferDescriptor {
            label: Some(name),
            size: bytes,
            usage: usage | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// The same as described.
    pub(super) fn raw_buffer(&self, descriptor: &wgpu::BufferDescriptor<'_>) -> Result<SlabBuffer, NoBuffer> {
        let new = New::buffer(descriptor.size).label_opt(descriptor.label);
        let (buffer, ticket) = self.make(new, || self.device.create_buffer(descriptor))?;
        let id = ticket.id().or_else(|| instrument::buffer_id(&buffer));
        Ok(SlabBuffer { buffer, id, _ticket: ticket })
    }

    /// Records and submits commands of the pool's own. Where wgpu cannot make them there are none; what has become of them is seen otherwise.
    pub(super) fn submit(&self, queue: &wgpu::Queue, label: &str, record: impl FnOnce(&mut wgpu::CommandEncoder)) {
        let commands = self.caught(|| {
            let _owned = Context::current().with_owner(self.owner).enter();
            let mut encoder =
                self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(label) });
            record(&mut encoder);
            encoder.finish()
        });
        if let Ok(commands) = commands {
            // Errors of what else goes with a submission are the program's own, but for the memory that it takes.
            let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
            queue.submit([commands]);
            drop(scope.pop());
        }
    }

    /// Makes an object in the pool's name and reports it, unless the device does. Its errors do not reach the device's handler.
    pub(super) fn make<T>(&self, new: New<'_>, make: impl FnOnce() -> T) -> Result<(T, Ticket), NoBuffer> {
        let _owned = Context::current().with_owner(self.owner).enter();
        let probe = if self.instrumented { Probe::OFF } else { self.probe };
        let new = new.without_site().begun(probe.now());
        let _announced = probe.announce(&new);
        let made = self.caught(make)?;
        Ok((made, probe.create(new)))
    }

    /// Makes something whose errors reach nobody else.
    fn caught<T>(&self, make: impl FnOnce() -> T) -> Result<T, NoBuffer> {
        let out_of_memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        let refused = now(validation.pop());
        let short = now(out_of_memory.pop());
        if short.is_some() {
            return Err(NoBuffer::OutOfMemory);
        }
        if let Some(error) = refused {
            return Err(NoBuffer::Refused(error.to_string()));
        }
        Ok(made)
    }
}

/// What a scope has caught. In a browser nobody knows yet: what is wrong there shows when the object is used.
fn now(popped: impl Future<Output = Option<wgpu::Error>>) -> Option<wgpu::Error> {
    match pin!(popped).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(error) => error,
        Poll::Pending => None,
    }
}
