//! Render bundle encoders: recorded here, and encoded when they are finished, since wgpu's own does not leave its thread.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use engine_vitals_core::probe::{New, ResourceKind};
use wgpu::custom::{
    DispatchBindGroup, DispatchBuffer, DispatchRenderBundle, DispatchRenderPipeline, RenderBundleEncoderInterface,
};

use super::errors::quietly;
use super::handles::{Handle, Tracked};
use super::pass::slice;
use super::record::{Holds, Touched};
use super::state::DeviceState;

/// A render bundle encoder around another one that is still to be made.
#[derive(Debug)]
pub(super) struct BundleEncoder {
    real: wgpu::Device,
    device: Arc<DeviceState>,
    descriptor: Descriptor,
    operations: Vec<Operation>,
    touched: Touched,
}

/// What the real encoder is to be made with.
#[derive(Debug)]
struct Descriptor {
    label: Option<String>,
    color_formats: Vec<Option<wgpu::TextureFormat>>,
    depth_stencil: Option<wgpu::RenderBundleDepthStencil>,
    sample_count: u32,
    multiview: Option<NonZeroU32>,
}

impl Descriptor {
    fn borrow(&self) -> wgpu::RenderBundleEncoderDescriptor<'_> {
        wgpu::RenderBundleEncoderDescriptor {
            label: self.label.as_deref(),
            color_formats: &self.color_formats,
            depth_stencil: self.depth_stencil,
            sample_count: self.sample_count,
            multiview: self.multiview,
        }
    }
}

/// One call.
#[derive(Debug)]
enum Operation {
    SetPipeline(wgpu::RenderPipeline),
    SetBindGroup(u32, Option<wgpu::BindGroup>, Box<[u32]>),
    SetIndexBuffer(wgpu::Buffer, wgpu::IndexFormat, u64, Option<wgpu::BufferSize>),
    SetVertexBuffer(u32, Option<(wgpu::Buffer, u64, Option<wgpu::BufferSize>)>),
    SetImmediates(u32, Box<[u8]>),
    Draw(Range<u32>, Range<u32>),
    DrawIndexed(Range<u32>, i32, Range<u32>),
    DrawIndirect(wgpu::Buffer, u64),
    DrawIndexedIndirect(wgpu::Buffer, u64),
}

impl Operation {
    fn encode<'a>(&'a self, real: &mut wgpu::RenderBundleEncoder<'a>) {
        match self {
            Self::SetPipeline(pipeline) => real.set_pipeline(pipeline),
            Self::SetBindGroup(index, bind_group, offsets) => real.set_bind_group(*index, bind_group.as_ref(), offsets),
            Self::SetIndexBuffer(buffer, format, offset, size) => {
                real.set_index_buffer(slice(buffer, *offset, *size), *format);
            }
            Self::SetVertexBuffer(slot, buffer) => {
                let buffer = buffer.as_ref().map(|(buffer, offset, size)| slice(buffer, *offset, *size));
                real.set_vertex_buffer(*slot, buffer);
            }
            Self::SetImmediates(offset, data) => real.set_immediates(*offset, data),
            Self::Draw(vertices, instances) => real.draw(vertices.clone(), instances.clone()),
            Self::DrawIndexed(indices, base, instances) => real.draw_indexed(indices.clone(), *base, instances.clone()),
            Self::DrawIndirect(buffer, offset) => real.draw_indirect(buffer, *offset),
            Self::DrawIndexedIndirect(buffer, offset) => real.draw_indexed_indirect(buffer, *offset),
        }
    }
}

impl BundleEncoder {
    pub(super) fn new(
        real: &wgpu::Device,
        device: &Arc<DeviceState>,
        descriptor: &wgpu::RenderBundleEncoderDescriptor<'_>,
    ) -> Self {
        // A description that wgpu refuses is refused here and now, as it would be.
        drop(real.create_render_bundle_encoder(descriptor));
        Self {
            real: real.clone(),
            device: Arc::clone(device),
            descriptor: Descriptor {
                label: descriptor.label.map(str::to_owned),
                color_formats: descriptor.color_formats.to_vec(),
                depth_stencil: descriptor.depth_stencil,
                sample_count: descriptor.sample_count,
                multiview: descriptor.multiview,
            },
            operations: Vec::new(),
            touched: Touched::new(),
        }
    }

    /// The real object behind a handle, which the bundle keeps.
    fn own<H: Handle>(&mut self, handle: &H, call: &'static str) -> Option<H::Real>
    where
        H::Real: Clone,
    {
        let own = self.device.own(handle, call)?;
        self.touched.add(&own.record);
        Some(own.real.clone())
    }

    fn bundle(self, descriptor: &wgpu::RenderBundleDescriptor<'_>) -> Tracked<wgpu::RenderBundle> {
        // What wgpu refuses it has refused when this encoder was made.
        let mut encoder = quietly(&self.real, |real| real.create_render_bundle_encoder(&self.descriptor.borrow()));
        for operation in &self.operations {
            operation.encode(&mut encoder);
        }
        let real = encoder.finish(descriptor);
        let new = New::of(ResourceKind::RENDER_BUNDLE, 0).label_opt(descriptor.label);
        self.device.tracked(real, new, Holds::of(self.touched))
    }
}

impl RenderBundleEncoderInterface for BundleEncoder {
    fn set_pipeline(&mut self, pipeline: &DispatchRenderPipeline) {
        if let Some(pipeline) = self.own(pipeline, "RenderBundleEncoder::set_pipeline") {
            self.operations.push(Operation::SetPipeline(pipeline));
        }
    }

    fn set_bind_group(&mut self, index: u32, bind_group: Option<&DispatchBindGroup>, offsets: &[u32]) {
        let bind_group = match bind_group {
            Some(bind_group) => match self.own(bind_group, "RenderBundleEncoder::set_bind_group") {
                Some(own) => Some(own),
                None => return,
            },
            None => None,
        };
        self.operations.push(Operation::SetBindGroup(index, bind_group, offsets.into()));
    }

    fn set_index_buffer(
        &mut self,
        buffer: &DispatchBuffer,
        format: wgpu::IndexFormat,
        offset: u64,
        size: Option<wgpu::BufferSize>,
    ) {
        if let Some(buffer) = self.own(buffer, "RenderBundleEncoder::set_index_buffer") {
            self.operations.push(Operation::SetIndexBuffer(buffer, format, offset, size));
        }
    }

    fn set_vertex_buffer(
        &mut self,
        slot: u32,
        buffer: Option<&DispatchBuffer>,
        offset: u64,
        size: Option<wgpu::BufferSize>,
    ) {
        let buffer = match buffer {
            Some(buffer) => match self.own(buffer, "RenderBundleEncoder::set_vertex_buffer") {
                Some(own) => Some((own, offset, size)),
                None => return,
            },
            None => None,
        };
        self.operations.push(Operation::SetVertexBuffer(slot, buffer));
    }

    fn set_immediates(&mut self, offset: u32, data: &[u8]) {
        self.operations.push(Operation::SetImmediates(offset, data.into()));
    }

    fn draw(&mut self, vertices: Range<u32>, instances: Range<u32>) {
        self.operations.push(Operation::Draw(vertices, instances));
    }

    fn draw_indexed(&mut self, indices: Range<u32>, base_vertex: i32, instances: Range<u32>) {
        self.operations.push(Operation::DrawIndexed(indices, base_vertex, instances));
    }

    fn draw_indirect(&mut self, buffer: &DispatchBuffer, offset: u64) {
        if let Some(buffer) = self.own(buffer, "RenderBundleEncoder::draw_indirect") {
            self.operations.push(Operation::DrawIndirect(buffer, offset));
        }
    }

    fn draw_indexed_indirect(&mut self, buffer: &DispatchBuffer, offset: u64) {
        if let Some(buffer) = self.own(buffer, "RenderBundleEncoder::draw_indexed_indirect") {
            self.operations.push(Operation::DrawIndexedIndirect(buffer, offset));
        }
    }

    fn finish(self, descriptor: &wgpu::RenderBundleDescriptor<'_>) -> DispatchRenderBundle {
        DispatchRenderBundle::custom(self.bundle(descriptor))
    }

    fn finish_boxed(self: Box<Self>, descriptor: &wgpu::RenderBundleDescriptor<'_>) -> DispatchRenderBundle {
        self.finish(descriptor)
    }
}
