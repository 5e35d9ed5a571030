//! Render and compute passes.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;
use wgpu::custom::{
    ComputePassInterface, DispatchBindGroup, DispatchBuffer, DispatchComputePipeline, DispatchQuerySet,
    DispatchRenderBundle, DispatchRenderPipeline, DispatchTextureView, RenderPassInterface,
};
use wgpu::wgt::{BufferTransition, TextureTransition};

use super::handles::{Handle, Tracked};
use super::record::Touched;
use super::state::DeviceState;

/// A pass around another one. What it uses is put into its encoder's list when it ends.
#[derive(Debug)]
pub(super) struct Pass<P> {
    /// `None` if its encoder was finished before it began.
    real: Option<P>,
    touched: Touched,
    encoder: Arc<Mutex<Touched>>,
    device: Arc<DeviceState>,
}

impl<P> Pass<P> {
    /// A pass that goes on with the encoder's list.
    pub(super) fn new(
        real: Option<P>,
        device: &Arc<DeviceState>,
        encoder: &Arc<Mutex<Touched>>,
        touched: &mut Touched,
    ) -> Self {
        Self { real, touched: touched.split(), encoder: Arc::clone(encoder), device: Arc::clone(device) }
    }

    /// The object behind a handle, which is touched, and the real pass.
    #[inline(always)]
    fn using<'a, H: Handle>(&mut self, handle: &'a H, call: &'static str) -> Option<(&mut P, &'a Tracked<H::Real>)> {
        let own = self.device.own(handle, call)?;
        self.touched.add(&own.record);
        Some((self.real.as_mut()?, own))
    }
}

impl<P> Drop for Pass<P> {
    fn drop(&mut self) {
        self.encoder.lock().append(std::mem::replace(&mut self.touched, Touched::empty()));
    }
}

/// Methods that are forwarded as they are.
macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $name(&mut self, $($argument: $type),*) {
            if let Some(real) = &mut self.real {
                real.$name($($argument),*);
            }
        }
    )*};
}

/// Methods whose first argument is a handle that is touched.
macro_rules! touching {
    ($pass:literal: $($name:ident($handle:ident: $type:ty $(, $argument:ident: $other:ty)*);)*) => {$(
        #[inline]
        fn $name(&mut self, $handle: &$type, $($argument: $other),*) {
            if let Some((real, own)) = self.using($handle, concat!($pass, "::", stringify!($name))) {
                real.$name(&own.real, $($argument),*);
            }
        }
    )*};
}

/// What both sorts of pass have.
macro_rules! common {
    ($pass:literal) => {
        #[inline]
        fn set_bind_group(&mut self, index: u32, bind_group: Option<&DispatchBindGroup>, offsets: &[u32]) {
            match bind_group {
                Some(bind_group) => {
                    if let Some((real, own)) = self.using(bind_group, concat!($pass, "::set_bind_group")) {
                        real.set_bind_group(index, &own.real, offsets);
                    }
                }
                None => {
                    if let Some(real) = &mut self.real {
                        real.set_bind_group(index, None::<&wgpu::BindGroup>, offsets);
                    }
                }
            }
        }

        fn insert_debug_marker(&mut self, label: &str) {
            self.device.world.mark(label);
            if let Some(real) = &mut self.real {
                real.insert_debug_marker(label);
            }
        }

        fn push_debug_group(&mut self, label: &str) {
            self.device.world.mark(label);
            if let Some(real) = &mut self.real {
                real.push_debug_group(label);
            }
        }

        touching! { $pass:
            write_timestamp(query_set: DispatchQuerySet, query_index: u32);
            begin_pipeline_statistics_query(query_set: DispatchQuerySet, query_index: u32);
        }

        forward! {
            set_immediates(offset: u32, data: &[u8]);
            pop_debug_group();
            end_pipeline_statistics_query();
        }
    };
}

impl ComputePassInterface for Pass<wgpu::ComputePass<'static>> {
    common!("ComputePass");

    touching! { "ComputePass":
        set_pipeline(pipeline: DispatchComputePipeline);
        dispatch_workgroups_indirect(buffer: DispatchBuffer, offset: u64);
    }

    forward! {
        dispatch_workgroups(x: u32, y: u32, z: u32);
    }

    fn transition_resources<'a>(
        &mut self,
        buffers: &mut dyn Iterator<Item = BufferTransition<&'a DispatchBuffer>>,
        textures: &mut dyn Iterator<Item = TextureTransition<&'a DispatchTextureView>>,
    ) {
        const CALL: &str = "ComputePass::transition_resources";
        let buffers = buffer_transitions(&self.device, &mut self.touched, buffers, CALL);
        let textures: Vec<_> = textures
            .filter_map(|TextureTransition { texture, selector, state }| {
                let own = self.device.own(texture, CALL)?;
                self.touched.add(&own.record);
                Some(TextureTransition { texture: &own.real, selector, state })
            })
            .collect();
        if let Some(real) = &mut self.real {
            real.transition_resources(buffers.into_iter(), textures.into_iter());
        }
    }
}

impl RenderPassInterface for Pass<wgpu::RenderPass<'static>> {
    common!("RenderPass");

    touching! { "RenderPass":
        set_pipeline(pipeline: DispatchRenderPipeline);
        draw_indirect(buffer: DispatchBuffer, offset: u64);
        draw_indexed_indirect(buffer: DispatchBuffer, offset: u64);
        draw_mesh_tasks_indirect(buffer: DispatchBuffer, offset: u64);
        multi_draw_indirect(buffer: DispatchBuffer, offset: u64, count: u32);
        multi_draw_indexed_indirect(buffer: DispatchBuffer, offset: u64, count: u32);
        multi_draw_mesh_tasks_indirect(buffer: DispatchBuffer, offset: u64, count: u32);
    }

    forward! {
        set_blend_constant(color: wgpu::Color);
        set_scissor_rect(x: u32, y: u32, width: u32, height: u32);
        set_viewport(x: f32, y: f32, width: f32, height: f32, min_depth: f32, max_depth: f32);
        set_stencil_reference(reference: u32);
        draw(vertices: Range<u32>, instances: Range<u32>);
        draw_indexed(indices: Range<u32>, base_vertex: i32, instances: Range<u32>);
        draw_mesh_tasks(x: u32, y: u32, z: u32);
        begin_occlusion_query(query_index: u32);
        end_occlusion_query();
    }

    #[inline]
    fn set_index_buffer(
        &mut self,
        buffer: &DispatchBuffer,
        format: wgpu::IndexFormat,
        offset: u64,
        size: Option<wgpu::BufferSize>,
    ) {
        if let Some((real, own)) = self.using(buffer, "RenderPass::set_index_buffer") {
            real.set_index_buffer(slice(&own.real, offset, size), format);
        }
    }

    #[inline]
    fn set_vertex_buffer(
        &mut self,
        slot: u32,
        buffer: Option<&DispatchBuffer>,
        offset: u64,
        size: Option<wgpu::BufferSize>,
    ) {
        match buffer {
            Some(buffer) => {
                if let Some((real, own)) = self.using(buffer, "RenderPass::set_vertex_buffer") {
                    real.set_vertex_buffer(slot, Slice { buffer: &own.real, offset, size });
                }
            }
            None => {
                if let Some(real) = &mut self.real {
                    real.set_vertex_buffer(slot, None::<wgpu::BufferSlice<'_>>);
                }
            }
        }
    }

    fn multi_draw_indirect_count(
        &mut self,
        buffer: &DispatchBuffer,
        offset: u64,
        count_buffer: &DispatchBuffer,
        count_offset: u64,
        max_count: u32,
    ) {
        const CALL: &str = "RenderPass::multi_draw_indirect_count";
        if let Some((real, buffer, count)) = self.counted(buffer, count_buffer, CALL) {
            real.multi_draw_indirect_count(buffer, offset, count, count_offset, max_count);
        }
    }

    fn multi_draw_indexed_indirect_count(
        &mut self,
        buffer: &DispatchBuffer,
        offset: u64,
        count_buffer: &DispatchBuffer,
        count_offset: u64,
        max_count: u32,
    ) {
        const CALL: &str = "RenderPass::multi_draw_indexed_indirect_count";
        if let Some((real, buffer, count)) = self.counted(buffer, count_buffer, CALL) {
            real.multi_draw_indexed_indirect_count(buffer, offset, count, count_offset, max_count);
        }
    }

    fn multi_draw_mesh_tasks_indirect_count(
        &mut self,
        buffer: &DispatchBuffer,
        offset: u64,
        count_buffer: &DispatchBuffer,
        count_offset: u64,
        max_count: u32,
    ) {
        const CALL: &str = "RenderPass::multi_draw_mesh_tasks_indirect_count";
        if let Some((real, buffer, count)) = self.counted(buffer, count_buffer, CALL) {
            real.multi_draw_mesh_tasks_indirect_count(buffer, offset, count, count_offset, max_count);
        }
    }

    fn execute_bundles(&mut self, bundles: &mut dyn Iterator<Item = &DispatchRenderBundle>) {
        let mut real = SmallVec::<[&wgpu::RenderBundle; 8]>::new();
        for bundle in bundles {
            let Some(own) = self.device.own(bundle, "RenderPass::execute_bundles") else { return };
            self.touched.add(&own.record);
            real.push(&own.real);
        }
        if let Some(pass) = &mut self.real {
            pass.execute_bundles(real);
        }
    }
}

impl Pass<wgpu::RenderPass<'static>> {
    /// The real pass, the buffer of draws and the buffer of their count.
    fn counted<'a>(
        &mut self,
        buffer: &'a DispatchBuffer,
        count: &'a DispatchBuffer,
        call: &'static str,
    ) -> Option<(&mut wgpu::RenderPass<'static>, &'a wgpu::Buffer, &'a wgpu::Buffer)> {
        let (_, buffer) = self.using(buffer, call)?;
        let (real, count) = self.using(count, call)?;
        Some((real, &buffer.real, &count.real))
    }
}

/// A slice that wgpu took apart, put together where it is used: on the way there its two halves would be written and read back as one,
/// for which the processor waits.
struct Slice<'a> {
    buffer: &'a wgpu::Buffer,
    offset: u64,
    size: Option<wgpu::BufferSize>,
}

impl<'a> From<Slice<'a>> for Option<wgpu::BufferSlice<'a>> {
    #[inline(always)]
    fn from(Slice { buffer, offset, size }: Slice<'a>) -> Self {
        Some(slice(buffer, offset, size))
    }
}

/// The slice that wgpu took apart.
#[inline(always)]
pub(super) fn slice(buffer: &wgpu::Buffer, offset: u64, size: Option<wgpu::BufferSize>) -> wgpu::BufferSlice<'_> {
    match size {
        Some(size) => buffer.slice(offset..offset + size.get()),
        None => buffer.slice(offset..),
    }
}

/// The transitions of the real buffers, which are touched.
pub(super) fn buffer_transitions<'a>(
    device: &DeviceState,
    touched: &mut Touched,
    transitions: &mut dyn Iterator<Item = BufferTransition<&'a DispatchBuffer>>,
    call: &'static str,
) -> Vec<BufferTransition<&'a wgpu::Buffer>> {
    let real = |BufferTransition { buffer, state }: BufferTransition<&'a DispatchBuffer>| {
        let own = device.own(buffer, call)?;
        touched.add(&own.record);
        Some(BufferTransition { buffer: &own.real, state })
    };
    transitions.filter_map(real).collect()
}

/// The description of a compute pass with the real objects, which are touched.
pub(super) fn compute_descriptor<'a>(
    device: &DeviceState,
    touched: &mut Touched,
    descriptor: &wgpu::ComputePassDescriptor<'a>,
) -> wgpu::ComputePassDescriptor<'a> {
    let timestamp_writes = descriptor.timestamp_writes.as_ref().and_then(|writes| {
        let query_set = own(device, touched, writes.query_set, "CommandEncoder::begin_compute_pass")?;
        Some(wgpu::ComputePassTimestampWrites { query_set, ..writes.clone() })
    });
    wgpu::ComputePassDescriptor { label: descriptor.label, timestamp_writes }
}

/// Calls `begin` with the description of a render pass with the real objects, which are touched. An attachment that is not
/// this instance's is left out.
pub(super) fn with_render_descriptor<R>(
    device: &DeviceState,
    touched: &mut Touched,
    descriptor: &wgpu::RenderPassDescriptor<'_>,
    begin: impl FnOnce(wgpu::RenderPassDescriptor<'_>) -> R,
) -> R {
    const CALL: &str = "CommandEncoder::begin_render_pass";
    let mut color = SmallVec::<[_; 8]>::new();
    for attachment in descriptor.color_attachments {
        color.push(attachment.as_ref().and_then(|attachment| {
            let view = own(device, touched, attachment.view, CALL)?;
            let resolve_target = match attachment.resolve_target {
                Some(target) => Some(own(device, touched, target, CALL)?),
                None => None,
            };
            Some(wgpu::RenderPassColorAttachment { view, resolve_target, ..attachment.clone() })
        }));
    }
    let depth_stencil_attachment = descriptor.depth_stencil_attachment.as_ref().and_then(|attachment| {
        let view = own(device, touched, attachment.view, CALL)?;
        Some(wgpu::RenderPassDepthStencilAttachment { view, ..attachment.clone() })
    });
    let timestamp_writes = descriptor.timestamp_writes.as_ref().and_then(|writes| {
        let query_set = own(device, touched, writes.query_set, CALL)?;
        Some(wgpu::RenderPassTimestampWrites { query_set, ..writes.clone() })
    });
    let occlusion_query_set = descriptor.occlusion_query_set.and_then(|set| own(device, touched, set, CALL));
    begin(wgpu::RenderPassDescriptor {
        label: descriptor.label,
        color_attachments: &color,
        depth_stencil_attachment,
        timestamp_writes,
        occlusion_query_set,
        multiview_mask: descriptor.multiview_mask,
    })
}

fn own<'a, H: Handle<Real = H>>(
    device: &DeviceState,
    touched: &mut Touched,
    handle: &'a H,
    call: &'static str,
) -> Option<&'a H> {
    let own = device.own(handle, call)?;
    touched.add(&own.record);
    Some(&own.real)
}
