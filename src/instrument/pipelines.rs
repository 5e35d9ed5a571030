//! Pipelines and shader modules.

use std::pin::Pin;

use engine_vitals_core::probe::{New, ResourceKind};
use wgpu::custom::{
    ComputePipelineInterface, DispatchBindGroupLayout, PipelineCacheInterface, RenderPipelineInterface,
    ShaderCompilationInfoFuture, ShaderModuleInterface,
};

use super::create::failing;
use super::device::Device;
use super::handles::{Handle, Tracked};
use super::invalid;
use super::record::Holds;

impl Device {
    pub(super) fn render_pipeline(
        &self,
        descriptor: &wgpu::RenderPipelineDescriptor<'_>,
    ) -> Tracked<wgpu::RenderPipeline> {
        failing!(
            self,
            CreateRenderPipeline,
            New::render_pipeline().label_opt(descriptor.label),
            invalid::render_pipeline
        );
        let mut parts = Parts { device: self, holds: Holds::default(), call: "Device::create_render_pipeline" };
        let new = New::render_pipeline().label_opt(descriptor.label).begun(self.begun());
        let made = parts.render_pipeline(descriptor).map(|real| self.real.create_render_pipeline(&real));
        self.pipeline(made, new, parts.holds, invalid::render_pipeline)
    }

    pub(super) fn mesh_pipeline(&self, descriptor: &wgpu::MeshPipelineDescriptor<'_>) -> Tracked<wgpu::RenderPipeline> {
        failing!(
            self,
            CreateRenderPipeline,
            New::of(ResourceKind::OTHER_PIPELINE, 0).label_opt(descriptor.label),
            invalid::render_pipeline
        );
        let mut parts = Parts { device: self, holds: Holds::default(), call: "Device::create_mesh_pipeline" };
        let new = New::of(ResourceKind::OTHER_PIPELINE, 0).label_opt(descriptor.label).begun(self.begun());
        let made = parts.mesh_pipeline(descriptor).map(|real| self.real.create_mesh_pipeline(&real));
        self.pipeline(made, new, parts.holds, invalid::render_pipeline)
    }

    pub(super) fn compute_pipeline(
        &self,
        descriptor: &wgpu::ComputePipelineDescriptor<'_>,
    ) -> Tracked<wgpu::ComputePipeline> {
        failing!(
            self,
            CreateComputePipeline,
            New::compute_pipeline().label_opt(descriptor.label),
            invalid::compute_pipeline
        );
        let mut parts = Parts { device: self, holds: Holds::default(), call: "Device::create_compute_pipeline" };
        let new = New::compute_pipeline().label_opt(descriptor.label).begun(self.begun());
        let made = parts.compute_pipeline(descriptor).map(|real| self.real.create_compute_pipeline(&real));
        self.pipeline(made, new, parts.holds, invalid::compute_pipeline)
    }

    fn pipeline<P>(
        &self,
        made: Option<P>,
        new: New<'_>,
        holds: Holds,
        invalid: impl FnOnce(&wgpu::Device) -> P,
    ) -> Tracked<P> {
        let real = made.unwrap_or_else(|| invalid(&self.real));
        self.state.tracked(real, new, holds)
    }
}

/// Finds the real parts of a pipeline, and their records; `None` if one is not this instance's.
struct Parts<'a> {
    device: &'a Device,
    holds: Holds,
    call: &'static str,
}

impl Parts<'_> {
    fn render_pipeline<'a>(
        &mut self,
        descriptor: &wgpu::RenderPipelineDescriptor<'a>,
    ) -> Option<wgpu::RenderPipelineDescriptor<'a>> {
        Some(wgpu::RenderPipelineDescriptor {
            layout: self.own_opt(descriptor.layout)?,
            vertex: wgpu::VertexState { module: self.own(descriptor.vertex.module)?, ..descriptor.vertex.clone() },
            fragment: self.fragment(descriptor.fragment.as_ref())?,
            cache: self.cache(descriptor.cache)?,
            ..descriptor.clone()
        })
    }

    fn mesh_pipeline<'a>(
        &mut self,
        descriptor: &wgpu::MeshPipelineDescriptor<'a>,
    ) -> Option<wgpu::MeshPipelineDescriptor<'a>> {
        let task = match &descriptor.task {
            Some(task) => Some(wgpu::TaskState { module: self.own(task.module)?, ..task.clone() }),
            None => None,
        };
        Some(wgpu::MeshPipelineDescriptor {
            layout: self.own_opt(descriptor.layout)?,
            task,
            mesh: wgpu::MeshState { module: self.own(descriptor.mesh.module)?, ..descriptor.mesh.clone() },
            fragment: self.fragment(descriptor.fragment.as_ref())?,
            cache: self.cache(descriptor.cache)?,
            ..descriptor.clone()
        })
    }

    fn compute_pipeline<'a>(
        &mut self,
        descriptor: &wgpu::ComputePipelineDescriptor<'a>,
    ) -> Option<wgpu::ComputePipelineDescriptor<'a>> {
        Some(wgpu::ComputePipelineDescriptor {
            layout: self.own_opt(descriptor.layout)?,
            module: self.own(descriptor.module)?,
            cache: self.cache(descriptor.cache)?,
            ..descriptor.clone()
        })
    }

    fn fragment<'a>(&mut self, fragment: Option<&wgpu::FragmentState<'a>>) -> Option<Option<wgpu::FragmentState<'a>>> {
        match fragment {
            Some(fragment) => {
                Some(Some(wgpu::FragmentState { module: self.own(fragment.module)?, ..fragment.clone() }))
            }
            None => Some(None),
        }
    }

    /// A pipeline is made from its cache and does not keep it.
    fn cache<'a>(&self, cache: Option<&'a wgpu::PipelineCache>) -> Option<Option<&'a wgpu::PipelineCache>> {
        match cache {
            Some(cache) => self.device.state.own(cache, self.call).map(|own| Some(&own.real)),
            None => Some(None),
        }
    }

    fn own_opt<'a, H: Handle<Real = H>>(&mut self, handle: Option<&'a H>) -> Option<Option<&'a H>> {
        match handle {
            Some(handle) => self.own(handle).map(Some),
            None => Some(None),
        }
    }

    fn own<'a, H: Handle<Real = H>>(&mut self, handle: &'a H) -> Option<&'a H> {
        let own = self.device.state.own(handle, self.call)?;
        self.holds.add(&own.record);
        Some(&own.real)
    }
}

impl ShaderModuleInterface for Tracked<wgpu::ShaderModule> {
    fn get_compilation_info(&self) -> Pin<Box<dyn ShaderCompilationInfoFuture>> {
        Box::pin(self.real.get_compilation_info())
    }
}

impl RenderPipelineInterface for Tracked<wgpu::RenderPipeline> {
    fn get_bind_group_layout(&self, index: u32) -> DispatchBindGroupLayout {
        self.layout(self.real.get_bind_group_layout(index))
    }
}

impl ComputePipelineInterface for Tracked<wgpu::ComputePipeline> {
    fn get_bind_group_layout(&self, index: u32) -> DispatchBindGroupLayout {
        self.layout(self.real.get_bind_group_layout(index))
    }
}

impl<P> Tracked<P> {
    /// The public handle of a layout that the pipeline has.
    fn layout(&self, real: wgpu::BindGroupLayout) -> DispatchBindGroupLayout {
        let new = New::of(ResourceKind::BIND_GROUP_LAYOUT, 0);
        DispatchBindGroupLayout::custom(self.device.tracked(real, new, Holds::default()))
    }
}

impl PipelineCacheInterface for Tracked<wgpu::PipelineCache> {
    fn get_data(&self) -> Option<Vec<u8>> {
        self.real.get_data()
    }
}
