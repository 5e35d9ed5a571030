//! Command encoders and command buffers.

use std::sync::Arc;

use engine_vitals_core::probe::{New, ResourceKind};
use parking_lot::Mutex;
use wgpu::custom::{
    CommandBufferInterface, CommandEncoderInterface, DispatchBuffer, DispatchCommandBuffer, DispatchComputePass,
    DispatchQuerySet, DispatchRenderPass, DispatchTexture,
};
use wgpu::wgt::{BufferTransition, TextureTransition};

use super::accel;
#[cfg(feature = "fault")]
use super::fault::Call;
use super::pass::Pass;
use super::record::{Held, Record, Touched};
use super::state::DeviceState;
use crate::gpu::pass_timer::{EncoderPasses, PassQueries};

/// A command encoder around another one.
#[derive(Debug)]
pub(super) struct Encoder {
    /// `None` when it is finished. wgpu's interface passes `&self` where its public methods take `&mut self`.
    real: Mutex<Option<Recording>>,
    touched: Arc<Mutex<Touched>>,
    device: Arc<DeviceState>,
    record: Held,
    label: Option<Box<str>>,
}

/// The real encoder, and its passes that are timed.
#[derive(Debug)]
struct Recording {
    real: wgpu::CommandEncoder,
    passes: Option<EncoderPasses>,
}

/// A command buffer around another one.
#[derive(Debug)]
pub(super) struct CommandBuffer {
    /// Taken when it is submitted. wgpu's interface gives no more than `&self` for that.
    recorded: Mutex<Option<Recorded>>,
    device: Arc<DeviceState>,
    record: Held,
}

/// What a submission takes.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) real: wgpu::CommandBuffer,
    pub(super) touched: Touched,
    pub(super) passes: Option<EncoderPasses>,
}

impl Encoder {
    pub(super) fn new(
        real: &wgpu::Device,
        device: &Arc<DeviceState>,
        passes: Option<EncoderPasses>,
        descriptor: &wgpu::CommandEncoderDescriptor<'_>,
    ) -> Self {
        let new = New::of(ResourceKind::COMMAND_ENCODER, 0).label_opt(descriptor.label).backend(device.backend);
        #[cfg_attr(not(feature = "fault"), expect(unused_mut, reason = "only faults change it"))]
        let mut real = real.create_command_encoder(descriptor);
        #[cfg(feature = "fault")]
        device.spoil(Call::CreateCommandEncoder, descriptor.label, &mut real);
        Self {
            real: Mutex::new(Some(Recording { real, passes })),
            touched: Arc::new(Mutex::new(Touched::new())),
            device: Arc::clone(device),
            record: device.world.track(new, Vec::new(), None),
            label: descriptor.label.map(Box::from),
        }
    }

    /// Records with the real encoder, unless it is finished.
    fn with<R>(&self, record: impl FnOnce(&mut wgpu::CommandEncoder) -> R) -> Option<R> {
        self.real.lock().as_mut().map(|recording| record(&mut recording.real))
    }

    fn touch(&self, held: &Held) {
        self.touched.lock().add(held);
    }

    /// The real buffer behind a handle, which is touched.
    fn buffer<'a>(&self, buffer: &'a DispatchBuffer, call: &'static str) -> Option<&'a wgpu::Buffer> {
        let own = self.device.own(buffer, call)?;
        self.touch(&own.record);
        Some(&own.real)
    }

    fn buffer_info<'a>(
        &self,
        info: &wgpu::TexelCopyBufferInfo<'a>,
        call: &'static str,
    ) -> Option<wgpu::TexelCopyBufferInfo<'a>> {
        let own = self.device.own(info.buffer, call)?;
        self.touch(&own.record);
        Some(wgpu::TexelCopyBufferInfo { buffer: &own.real, layout: info.layout })
    }

    fn texture_info<'a>(
        &self,
        info: &wgpu::TexelCopyTextureInfo<'a>,
        call: &'static str,
    ) -> Option<wgpu::TexelCopyTextureInfo<'a>> {
        let own = self.device.own(info.texture, call)?;
        self.touch(&own.record);
        Some(wgpu::TexelCopyTextureInfo { texture: &own.real, ..*info })
    }
}

/// Queries for a pass, if it is to be timed and has no stamps of its own.
#[inline]
fn timed<'a>(passes: &'a mut Option<EncoderPasses>, own: bool, label: Option<&str>) -> Option<PassQueries<'a>> {
    let passes = passes.as_mut()?;
    if own {
        passes.own();
        return None;
    }
    passes.time(label)
}

/// Runs what follows with the handles found; without effect if one of them is not this instance's.
macro_rules! found {
    ($(let $name:ident = $found:expr;)*) => {
        $(let Some($name) = $found else { return };)*
    };
}

impl CommandEncoderInterface for Encoder {
    fn copy_buffer_to_buffer(
        &self,
        source: &DispatchBuffer,
        source_offset: u64,
        destination: &DispatchBuffer,
        destination_offset: u64,
        copy_size: Option<u64>,
    ) {
        const CALL: &str = "CommandEncoder::copy_buffer_to_buffer";
        found! {
            let source = self.buffer(source, CALL);
            let destination = self.buffer(destination, CALL);
        }
        self.with(|real| {
            real.copy_buffer_to_buffer(source, source_offset, destination, destination_offset, copy_size);
        });
    }

    fn copy_buffer_to_texture(
        &self,
        source: wgpu::TexelCopyBufferInfo<'_>,
        destination: wgpu::TexelCopyTextureInfo<'_>,
        copy_size: wgpu::Extent3d,
    ) {
        const CALL: &str = "CommandEncoder::copy_buffer_to_texture";
        found! {
            let source = self.buffer_info(&source, CALL);
            let destination = self.texture_info(&destination, CALL);
        }
        self.with(|real| real.copy_buffer_to_texture(source, destination, copy_size));
    }

    fn copy_texture_to_buffer(
        &self,
        source: wgpu::TexelCopyTextureInfo<'_>,
        destination: wgpu::TexelCopyBufferInfo<'_>,
        copy_size: wgpu::Extent3d,
    ) {
        const CALL: &str = "CommandEncoder::copy_texture_to_buffer";
        found! {
            let source = self.texture_info(&source, CALL);
            let destination = self.buffer_info(&destination, CALL);
        }
        self.with(|real| real.copy_texture_to_buffer(source, destination, copy_size));
    }

    fn copy_texture_to_texture(
        &self,
        source: wgpu::TexelCopyTextureInfo<'_>,
        destination: wgpu::TexelCopyTextureInfo<'_>,
        copy_size: wgpu::Extent3d,
    ) {
        const CALL: &str = "CommandEncoder::copy_texture_to_texture";
        found! {
            let source = self.texture_info(&source, CALL);
            let destination = self.texture_info(&destination, CALL);
        }
        self.with(|real| real.copy_texture_to_texture(source, destination, copy_size));
    }

    fn begin_compute_pass(&self, descriptor: &wgpu::ComputePassDescriptor<'_>) -> DispatchComputePass {
        let mut touched = self.touched.lock();
        let mut real = super::pass::compute_descriptor(&self.device, &mut touched, descriptor);
        let own = descriptor.timestamp_writes.is_some();
        let pass = self.real.lock().as_mut().map(|Recording { real: encoder, passes }| {
            if let Some(queries) = timed(passes, own, descriptor.label) {
                real.timestamp_writes = Some(queries.compute_pass_writes());
            }
            encoder.begin_compute_pass(&real).forget_lifetime()
        });
        DispatchComputePass::custom(Pass::new(pass, &self.device, &self.touched, &mut touched))
    }

    fn begin_render_pass(&self, descriptor: &wgpu::RenderPassDescriptor<'_>) -> DispatchRenderPass {
        let mut touched = self.touched.lock();
        let own = descriptor.timestamp_writes.is_some();
        let pass = super::pass::with_render_descriptor(&self.device, &mut touched, descriptor, |real| {
            let mut recording = self.real.lock();
            let Recording { real: encoder, passes } = recording.as_mut()?;
            let mut real = real;
            if let Some(queries) = timed(passes, own, descriptor.label) {
                real.timestamp_writes = Some(queries.render_pass_writes());
            }
            Some(encoder.begin_render_pass(&real).forget_lifetime())
        });
        DispatchRenderPass::custom(Pass::new(pass, &self.device, &self.touched, &mut touched))
    }

    fn finish(&mut self) -> DispatchCommandBuffer {
        #[cfg(feature = "fault")]
        if let Some(recording) = self.real.get_mut() {
            self.device.spoil(Call::Finish, self.label.as_deref(), &mut recording.real);
        }
        let recorded = self.real.get_mut().take().map(|Recording { real, passes }| Recorded {
            real: real.finish(),
            passes,
            touched: std::mem::replace(&mut *self.touched.lock(), Touched::new()),
        });
        std::mem::take(&mut self.record).handle_dropped();
        let new = New::of(ResourceKind::COMMAND_BUFFER, 0).label_opt(self.label.as_deref());
        let record = self.device.world.track(new.backend(self.device.backend), Vec::new(), None);
        let recorded = Mutex::new(recorded);
        DispatchCommandBuffer::custom(CommandBuffer { recorded, device: Arc::clone(&self.device), record })
    }

    fn clear_texture(&self, texture: &DispatchTexture, range: &wgpu::ImageSubresourceRange) {
        found! { let texture = self.device.own(texture, "CommandEncoder::clear_texture"); }
        self.touch(&texture.record);
        self.with(|real| real.clear_texture(&texture.real, range));
    }

    fn clear_buffer(&self, buffer: &DispatchBuffer, offset: u64, size: Option<u64>) {
        found! { let buffer = self.buffer(buffer, "CommandEncoder::clear_buffer"); }
        self.with(|real| real.clear_buffer(buffer, offset, size));
    }

    fn insert_debug_marker(&self, label: &str) {
        self.device.world.mark(label);
        self.with(|real| real.insert_debug_marker(label));
    }

    fn push_debug_group(&self, label: &str) {
        self.device.world.mark(label);
        self.with(|real| real.push_debug_group(label));
    }

    fn pop_debug_group(&self) {
        self.with(wgpu::CommandEncoder::pop_debug_group);
    }

    fn write_timestamp(&self, query_set: &DispatchQuerySet, query_index: u32) {
        found! { let set = self.device.own(query_set, "CommandEncoder::write_timestamp"); }
        self.touch(&set.record);
        self.with(|real| real.write_timestamp(&set.real, query_index));
    }

    fn resolve_query_set(
        &self,
        query_set: &DispatchQuerySet,
        first_query: u32,
        query_count: u32,
        destination: &DispatchBuffer,
        destination_offset: u64,
    ) {
        const CALL: &str = "CommandEncoder::resolve_query_set";
        found! {
            let set = self.device.own(query_set, CALL);
            let destination = self.buffer(destination, CALL);
        }
        self.touch(&set.record);
        let queries = first_query..first_query + query_count;
        self.with(|real| real.resolve_query_set(&set.real, queries, destination, destination_offset));
    }

    fn mark_acceleration_structures_built<'a>(
        &self,
        blas: &mut dyn Iterator<Item = &'a wgpu::Blas>,
        tlas: &mut dyn Iterator<Item = &'a wgpu::Tlas>,
    ) {
        let mut touched = self.touched.lock();
        self.with(|real| accel::mark_built(&self.device, &mut touched, real, blas, tlas));
    }

    fn build_acceleration_structures<'a>(
        &self,
        blas: &mut dyn Iterator<Item = &'a wgpu::BlasBuildEntry<'a>>,
        tlas: &mut dyn Iterator<Item = &'a wgpu::Tlas>,
    ) {
        let mut touched = self.touched.lock();
        self.with(|real| accel::build(&self.device, &mut touched, real, blas, tlas));
    }

    fn transition_resources<'a>(
        &mut self,
        buffers: &mut dyn Iterator<Item = BufferTransition<&'a DispatchBuffer>>,
        textures: &mut dyn Iterator<Item = TextureTransition<&'a DispatchTexture>>,
    ) {
        const CALL: &str = "CommandEncoder::transition_resources";
        let mut touched = self.touched.lock();
        let buffers = super::pass::buffer_transitions(&self.device, &mut touched, buffers, CALL);
        let textures: Vec<_> = textures
            .filter_map(|TextureTransition { texture, selector, state }| {
                let own = self.device.own(texture, CALL)?;
                touched.add(&own.record);
                Some(TextureTransition { texture: &own.real, selector, state })
            })
            .collect();
        self.with(|real| real.transition_resources(buffers.into_iter(), textures.into_iter()));
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.record.handle_dropped();
    }
}

impl CommandBufferInterface for CommandBuffer {}

impl CommandBuffer {
    /// What was recorded, once. The command buffer itself is used until its submission is complete.
    pub(super) fn take(&self) -> Option<Recorded> {
        let mut recorded = self.recorded.lock().take()?;
        recorded.touched.add(&self.record);
        Some(recorded)
    }

    pub(super) fn record(&self) -> Option<&Arc<Record>> {
        self.record.record()
    }

    /// It is one of that device's instance.
    pub(super) fn is_of(&self, device: &DeviceState) -> bool {
        Arc::ptr_eq(&self.device.world, &device.world)
    }
}

impl Drop for CommandBuffer {
    fn drop(&mut self) {
        self.record.handle_dropped();
    }
}
