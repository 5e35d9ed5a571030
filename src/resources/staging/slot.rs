//! The buffers of a ring: how they are made, in whose name, and what to do when there is no memory for one.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

use engine_vitals_core::probe::{Context, New, OwnerId, Probe, ResourceKind, Ticket};

use crate::instrument;

/// Makes the buffers of one ring.
pub(super) struct Maker {
    pub(super) device: wgpu::Device,
    pub(super) probe: Probe,
    /// The device tells the probe itself what is made from it.
    pub(super) told_by_device: bool,
    owner: OwnerId,
    name: String,
    /// What staging buffers are for beside copies.
    usage: wgpu::BufferUsages,
}

/// A staging buffer.
pub(super) struct Slot {
    pub(super) buffer: wgpu::Buffer,
    /// While it is mapped.
    pub(super) view: Option<wgpu::BufferViewMut>,
    /// Where the GPU uses in-place bytes, if it cannot use them where they lie: of the same size.
    pub(super) twin: Option<wgpu::Buffer>,
    /// The submission that last used it, where it is known.
    pub(super) submission: Option<wgpu::SubmissionIndex>,
    tickets: Vec<Ticket>,
}

/// Where words come together of which only some bytes are written.
pub(super) struct Word {
    pub(super) texels: wgpu::Texture,
    _ticket: Ticket,
}

impl Maker {
    pub(super) fn new(device: &wgpu::Device, probe: Probe, name: &str, usage: wgpu::BufferUsages) -> Self {
        static RINGS: AtomicU64 = AtomicU64::new(0);
        let key = RINGS.fetch_add(1, Ordering::Relaxed);
        Self {
            device: device.clone(),
            probe,
            told_by_device: instrument::device_probe(device) == Some(probe),
            owner: probe.owner_named(probe.owner_kind("staging ring"), key, name),
            name: name.to_owned(),
            usage,
        }
    }

    /// A mapped buffer. Without a view where there is no memory for it, or the device is lost.
    pub(super) fn slot(&self, bytes: u64) -> Slot {
        let usage = self.usage | wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        let (buffer, ticket) = self.buffer(ResourceKind::STAGING_BUFFER, bytes, usage, true);
        let view = ticket.as_ref().and_then(|_| buffer.get_mapped_range_mut(..).ok());
        Slot { buffer, view, twin: None, submission: None, tickets: ticket.into_iter().collect() }
    }

    /// Gives a slot its twin. False where there is no memory for it.
    pub(super) fn twin(&self, slot: &mut Slot, usage: wgpu::BufferUsages) -> bool {
        let bytes = slot.buffer.size();
        let usage = usage | wgpu::BufferUsages::COPY_DST;
        let (twin, ticket) = self.buffer(ResourceKind::BUFFER, bytes, usage, false);
        let Some(ticket) = ticket else { return false };
        slot.twin = Some(twin);
        slot.tickets.push(ticket);
        true
    }

    /// Bytes wait for a submission. Only an instrumented device tells the probe of those; elsewhere the ring's own figure has them.
    #[inline]
    #[track_caller]
    pub(super) fn staged(&self, bytes: u64) {
        if self.told_by_device {
            self.probe.staged(bytes);
        }
    }

    /// Four texels of a byte each: where the bytes of a word come together of which only some are written.
    pub(super) fn word(&self) -> Option<Word> {
        let descriptor = wgpu::TextureDescriptor {
            label: Some(&self.name),
            size: wgpu::Extent3d { width: 4, height: 1, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::R8Uint,
            usage: wgpu::TextureUsages::COPY_SRC | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        };
        let _in_its_name = Context::current().with_owner(self.owner).enter();
        let (texels, is_made) = self.caught(|device| device.create_texture(&descriptor));
        is_made.then(|| Word { texels, _ticket: self.teller().create(New::texture(4).label(&self.name)) })
    }

    /// Who hears of what is made: nobody, where the device tells.
    fn teller(&self) -> Probe {
        if self.told_by_device { Probe::OFF } else { self.probe }
    }

    /// A buffer, with a ticket if it was made.
    fn buffer(
        &self,
        kind: ResourceKind,
        bytes: u64,
        usage: wgpu::BufferUsages,
        mapped: bool,
    ) -> (wgpu::Buffer, Option<Ticket>) {
        let descriptor =
            wgpu::BufferDescriptor { label: Some(&self.name), size: bytes, usage, mapped_at_creation: mapped };
        let _in_its_name = Context::current().with_owner(self.owner).enter();
        let probe = self.teller();
        let new = New::of(kind, bytes).label(&self.name);
        let _announced = probe.announce(&new);
        let (buffer, is_made) = self.caught(|device| instrument::buffer_of_kind(device, kind, &descriptor));
        (buffer, is_made.then(|| probe.create(new)))
    }

    /// Makes something, and whether it was made without an error.
    fn caught<T>(&self, make: impl FnOnce(&wgpu::Device) -> T) -> (T, bool) {
        const FILTERS: [wgpu::ErrorFilter; 3] =
            [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory];
        let scopes = FILTERS.map(|filter| self.device.push_error_scope(filter));
        let made = make(&self.device);
        let mut failed = false;
        for scope in scopes.into_iter().rev() {
            failed |= at_once(scope.pop()).flatten().is_some();
        }
        (made, !failed)
    }
}

/// What a future has now. On the web errors come later: there a buffer that was not made is one that cannot be mapped.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
