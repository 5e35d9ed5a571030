//! The queue: writes, submissions, presents.

use std::cell::RefCell;
use std::sync::Arc;

use engine_vitals_core::probe::{Activity, Context, Level, New, ResourceKind};
use parking_lot::Mutex;
use smallvec::SmallVec;
use wgpu::custom::{
    BoxSubmittedWorkDoneCallback, DispatchBlas, DispatchBuffer, DispatchCommandBuffer, DispatchQueueWriteBuffer,
    DispatchSurfaceOutputDetail, QueueInterface, QueueWriteBufferInterface,
};

use super::encoder::{CommandBuffer, Recorded};
#[cfg(feature = "fault")]
use super::fault::{Call, Ended, Submitting};
use super::handles::Tracked;
use super::record::{Held, Holds, Record, Touched};
use super::state::{DeviceState, Used};
use super::surface::Detail;
use crate::gpu::Completion;
use crate::gpu::pass_timer::{EncoderPasses, PassTimer};

/// A queue around another one.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) real: wgpu::Queue,
    device: Arc<DeviceState>,
    record: Held,
}

impl Queue {
    pub(super) fn new(real: wgpu::Queue, device: Arc<DeviceState>, record: Held) -> Self {
        Self { real, device, record }
    }

    /// So many bytes go to an object with the next submission, which keeps it until then. Those of another device wgpu refuses.
    fn staged<T>(&self, own: &Tracked<T>, bytes: u64) {
        if Arc::ptr_eq(&own.device, &self.device) {
            self.device.staged(&own.record, bytes);
        }
    }

    /// The command buffers of this instance among those given, with all that they use.
    fn take(&self, command_buffers: &mut dyn Iterator<Item = DispatchCommandBuffer>) -> Taken {
        let mut real = Vec::with_capacity(command_buffers.size_hint().0);
        let mut used = Touched::new();
        let mut named = Vec::new();
        let mut passes = SmallVec::new();
        let names = self.device.world.probe.level() == Level::Events;
        for command_buffer in command_buffers {
            match command_buffer.as_custom::<CommandBuffer>().filter(|ours| ours.is_of(&self.device)) {
                Some(ours) => {
                    if let Some(recorded) = ours.take() {
                        let Recorded { real: command_buffer, touched, passes: timed } = recorded;
                        real.push(command_buffer);
                        passes.extend(timed);
                        used.append(touched);
                        named.extend(ours.record().filter(|_| names).cloned());
                    }
                }
                None => self.device.errors.foreign("command buffer", "Queue::submit"),
            }
        }
        Taken { real, used, named, passes }
    }

    /// Ends a submission when it is done.
    #[cfg(not(feature = "fault"))]
    fn follow(&self, end: End) {
        self.real.on_submitted_work_done(move || end.completed());
    }

    /// Ends a submission when it may be told to have ended.
    #[cfg(feature = "fault")]
    fn follow(&self, end: End) {
        self.real.on_submitted_work_done(self.device.gated(end.number, move |ended| match ended {
            Ended::Done => end.completed(),
            Ended::Lost => drop(end),
        }));
    }

    /// The packet under way uses these.
    fn touch(&self, used: &[Arc<Record>]) {
        let probe = self.device.world.probe;
        let packet = Context::current().packet();
        if probe.level() != Level::Off && probe.touch_lists() && !packet.is_none() {
            probe.touching(packet, |touches| used.iter().for_each(|record| record.touch(touches)));
        }
    }
}

/// What a submission takes of its command buffers.
struct Taken {
    real: Vec<wgpu::CommandBuffer>,
    used: Touched,
    /// The command buffers' own records, where they are named in an event.
    named: Vec<Arc<Record>>,
    /// Their passes that are timed.
    passes: SmallVec<[EncoderPasses; 2]>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        #[cfg(feature = "fault")]
        self.device.end_faults();
        self.record.handle_dropped();
        self.device.queue_dropped();
    }
}

/// Whether wgpu takes a write of so many bytes. What it refuses it does not keep.
fn takes(buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> bool {
    let aligned =
        offset.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) && bytes.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
    let inside = offset.checked_add(bytes).is_some_and(|end| end <= buffer.size());
    aligned && inside && buffer.usage().contains(wgpu::BufferUsages::COPY_DST)
}

/// Bytes of the blocks that a write of that size writes; all there are, where a format has no such size.
fn written(texture: &wgpu::Texture, aspect: wgpu::TextureAspect, size: wgpu::Extent3d) -> u64 {
    let (width, height) = texture.format().block_dimensions();
    let rows = u64::from(size.height.div_ceil(height)) * u64::from(size.depth_or_array_layers);
    let blocks = rows.saturating_mul(size.width.div_ceil(width).into());
    match texture.format().block_copy_size(Some(aspect)) {
        Some(bytes) => blocks.saturating_mul(bytes.into()),
        None if blocks == 0 => 0,
        None => u64::MAX,
    }
}

impl QueueInterface for Queue {
    fn write_buffer(&self, buffer: &DispatchBuffer, offset: u64, data: &[u8]) {
        let Some(own) = self.device.own(buffer, "Queue::write_buffer") else { return };
        #[cfg(feature = "fault")]
        if self.device.fails(Call::WriteBuffer) {
            return;
        }
        if !data.is_empty() && takes(&own.real, offset, data.len() as u64) {
            self.staged(own, data.len() as u64);
        }
        let probe = self.device.world.probe;
        probe.uploading(data.len() as u64, || self.real.write_buffer(&own.real, offset, data));
    }

    fn create_staging_buffer(&self, _: wgpu::BufferSize) -> Option<DispatchQueueWriteBuffer> {
        // wgpu validates first and creates at once.
        OPENED.take().map(|view| DispatchQueueWriteBuffer::custom(StagingView(Mutex::new(Some(view)))))
    }

    fn validate_write_buffer(&self, buffer: &DispatchBuffer, offset: u64, size: wgpu::BufferSize) -> Option<()> {
        let own = self.device.own(buffer, "Queue::write_buffer_with")?;
        #[cfg(feature = "fault")]
        if self.device.fails(Call::WriteBuffer) {
            return None;
        }
        let probe = self.device.world.probe;
        // A new staging buffer, as for a write; its bytes are counted when it is written.
        let view = probe.uploading_in_part(size.get(), || self.real.write_buffer_with(&own.real, offset, size))?;
        OPENED.set(Some(view));
        Some(())
    }

    fn write_staging_buffer(&self, buffer: &DispatchBuffer, _: u64, staging: &DispatchQueueWriteBuffer) {
        let view = staging.as_custom::<StagingView>().and_then(|staging| staging.0.lock().take());
        if let (Some(view), Some(own)) = (view, self.device.own(buffer, "Queue::write_buffer_with")) {
            let bytes = view.len() as u64;
            self.staged(own, bytes);
            // Its end is the write.
            self.device.world.probe.uploading(bytes, || drop(view));
        }
    }

    fn write_texture(
        &self,
        texture: wgpu::TexelCopyTextureInfo<'_>,
        data: &[u8],
        layout: wgpu::TexelCopyBufferLayout,
        size: wgpu::Extent3d,
    ) {
        let Some(own) = self.device.own(texture.texture, "Queue::write_texture") else { return };
        #[cfg(feature = "fault")]
        if self.device.fails(Call::WriteTexture) {
            return;
        }
        let bytes = written(&own.real, texture.aspect, size).min(data.len() as u64);
        if bytes > 0 && own.real.usage().contains(wgpu::TextureUsages::COPY_DST) {
            self.staged(own, bytes);
        }
        let real = wgpu::TexelCopyTextureInfo { texture: &own.real, ..texture };
        self.device.world.probe.uploading(bytes, || self.real.write_texture(real, data, layout, size));
    }

    #[cfg(target_arch = "wasm32")]
    fn copy_external_image_to_texture(
        &self,
        source: &wgpu::CopyExternalImageSourceInfo,
        destination: wgpu::CopyExternalImageDestInfo<&wgpu::Texture>,
        size: wgpu::Extent3d,
    ) {
        let Some(own) = self.device.own(destination.texture, "Queue::copy_external_image_to_texture") else { return };
        self.staged(own, 0);
        let wgpu::CopyExternalImageDestInfo { mip_level, origin, aspect, color_space, premultiplied_alpha, .. } =
            destination;
        let destination = wgpu::CopyExternalImageDestInfo {
            texture: &own.real,
            mip_level,
            origin,
            aspect,
            color_space,
            premultiplied_alpha,
        };
        self.real.copy_external_image_to_texture(source, destination, size);
    }

    fn submit(&self, command_buffers: &mut dyn Iterator<Item = DispatchCommandBuffer>) -> u64 {
        let Taken { mut real, used, named, passes } = self.take(command_buffers);
        #[cfg(feature = "fault")]
        let submitting = self.device.submitting(&mut real);
        #[cfg(feature = "fault")]
        let passes = if submitting == Submitting::Refused { PassTimer::refused(passes) } else { passes };
        real.extend(PassTimer::resolve(passes));
        let used = self.device.starts(used);
        self.touch(used.records());
        let end = End::begin(&self.device, used, self.record.record(), &named);
        drop(named);
        let number = end.number;
        #[cfg(feature = "fault")]
        self.device.hold(number, submitting);
        // No lock is held: other people's callbacks run in here, and an error may panic.
        let index = self.device.world.probe.timed(Activity::Submissions, || self.real.submit(real));
        self.device.submitted.lock().submitted(number, index, Arc::clone(&end.used));
        #[cfg(feature = "fault")]
        if submitting == Submitting::Lost {
            return number;
        }
        self.follow(end);
        #[cfg(feature = "fault")]
        self.device.tell();
        number
    }

    fn get_timestamp_period(&self) -> f32 {
        self.real.get_timestamp_period()
    }

    fn on_submitted_work_done(&self, callback: BoxSubmittedWorkDoneCallback) {
        // wgpu submits what was written when it is asked for the end of what was submitted.
        if !self.device.writes.lock().records().is_empty() {
            self.follow(End::of_writes(&self.device));
        }
        #[cfg(feature = "fault")]
        let callback = self.device.gated_callback(callback);
        self.real.on_submitted_work_done(callback);
    }

    fn compact_blas(&self, blas: &DispatchBlas) -> (Option<u64>, DispatchBlas) {
        let own = self.device.own(blas, "Queue::compact_blas").unwrap_or_else(|| no_such(blas));
        let real = self.real.compact_blas(&own.real);
        let (handle, new) = (real.handle(), New::of(ResourceKind::BLAS, 0));
        let compacted = self.device.tracked(real, new, Holds::default());
        // The next submission copies the one into the other.
        for record in [&own.record, &compacted.record] {
            self.device.staged(record, 0);
        }
        (handle, DispatchBlas::custom(compacted))
    }

    fn present(&self, detail: &DispatchSurfaceOutputDetail) {
        #[cfg(feature = "fault")]
        self.device.world.befalls(Call::Present, None);
        match detail.as_custom::<Detail>() {
            Some(detail) => detail.present(&self.real),
            None => self.device.errors.foreign("surface texture", "Queue::present"),
        }
    }
}

/// wgpu has no way to make an invalid acceleration structure, so there is nothing to return.
#[expect(clippy::panic, reason = "wgpu panics here too for a handle of another instance; this says what is wrong")]
fn no_such<T>(_: &DispatchBlas) -> T {
    panic!(
        "engine-vitals: the acceleration structure given to `Queue::compact_blas` was not made by this instrumented instance"
    );
}

/// Ends a submission when wgpu has called or dropped its callback: what only it kept is released.
pub(super) struct End {
    device: Arc<DeviceState>,
    number: u64,
    completion: Option<Completion>,
    used: Arc<Used>,
}

impl End {
    fn begin(device: &Arc<DeviceState>, used: Arc<Used>, queue: Option<&Arc<Record>>, named: &[Arc<Record>]) -> Self {
        let command_buffers: SmallVec<[_; 8]> = named.iter().map(|record| record.ticket()).collect();
        let queue = queue.map(|record| record.ticket());
        let (number, completion) = device.submissions.begin_instrumented(queue, &command_buffers);
        Self { device: Arc::clone(device), number, completion: Some(completion), used }
    }

    /// Of what was written, which wgpu submits by itself.
    pub(super) fn of_writes(device: &Arc<DeviceState>) -> Self {
        Self::begin(device, device.starts(Touched::new()), None, &[])
    }

    pub(super) fn completed(mut self) {
        if let Some(completion) = self.completion.take() {
            completion.completed();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.device.ended(self.number, &self.used);
    }
}

thread_local! {
    /// The view that `validate_write_buffer` opened and `create_staging_buffer` takes.
    static OPENED: RefCell<Option<wgpu::QueueWriteBufferView>> = const { RefCell::new(None) };
}

/// A view into wgpu's own staging buffer. wgpu's interface gives no more than `&self` to end it.
struct StagingView(Mutex<Option<wgpu::QueueWriteBufferView>>);

impl std::fmt::Debug for StagingView {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("StagingView")
    }
}

impl QueueWriteBufferInterface for StagingView {
    fn len(&self) -> usize {
        self.0.lock().as_ref().map_or(0, wgpu::QueueWriteBufferView::len)
    }

    unsafe fn write_slice(&mut self) -> wgpu::WriteOnly<'_, [u8]> {
        match self.0.get_mut() {
            Some(view) => view.slice(..),
            None => wgpu::WriteOnly::from_mut(&mut []),
        }
    }
}
