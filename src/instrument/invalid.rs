//! Objects that wgpu knows to be invalid: what a creation returns that has failed in this layer. Using one gives wgpu's own
//! errors. Each is made from a description that no device accepts, with the error of that kept from the program.

use super::errors::quietly;

pub(super) fn bind_group(real: &wgpu::Device) -> wgpu::BindGroup {
    quietly(real, |real| {
        let layout = real.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: LABEL, entries: &[] });
        let sampler = real.create_sampler(&wgpu::SamplerDescriptor::default());
        // One entry more than the layout has.
        let entry = wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Sampler(&sampler) };
        real.create_bind_group(&wgpu::BindGroupDescriptor { label: LABEL, layout: &layout, entries: &[entry] })
    })
}

pub(super) fn pipeline_layout(real: &wgpu::Device) -> wgpu::PipelineLayout {
    let immediate_size = u32::MAX;
    let descriptor = wgpu::PipelineLayoutDescriptor { label: LABEL, bind_group_layouts: &[], immediate_size };
    quietly(real, |real| real.create_pipeline_layout(&descriptor))
}

pub(super) fn render_pipeline(real: &wgpu::Device) -> wgpu::RenderPipeline {
    quietly(real, |real| {
        let module = empty_module(real);
        real.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: LABEL,
            layout: None,
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: MISSING,
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: None,
            multisample: wgpu::MultisampleState::default(),
            fragment: None,
            multiview_mask: None,
            cache: None,
        })
    })
}

pub(super) fn compute_pipeline(real: &wgpu::Device) -> wgpu::ComputePipeline {
    quietly(real, |real| {
        real.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: LABEL,
            layout: None,
            module: &empty_module(real),
            entry_point: MISSING,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        })
    })
}

/// Without planes.
pub(super) fn external_texture(
    real: &wgpu::Device,
    descriptor: &wgpu::ExternalTextureDescriptor<'_>,
) -> wgpu::ExternalTexture {
    quietly(real, |real| real.create_external_texture(descriptor, &[]))
}

#[cfg(feature = "fault")]
pub(super) use faults::*;

/// What only faults need.
#[cfg(feature = "fault")]
mod faults {
    use super::{LABEL, quietly};

    /// For no use. Its size is that of the description, since a range that lies within the one is to lie within the other.
    pub(in super::super) fn buffer(real: &wgpu::Device, descriptor: &wgpu::BufferDescriptor<'_>) -> wgpu::Buffer {
        let useless = wgpu::BufferDescriptor { usage: wgpu::BufferUsages::empty(), ..descriptor.clone() };
        quietly(real, |real| real.create_buffer(&useless))
    }

    /// For no use.
    pub(in super::super) fn texture(real: &wgpu::Device, descriptor: &wgpu::TextureDescriptor<'_>) -> wgpu::Texture {
        let useless = wgpu::TextureDescriptor { usage: wgpu::TextureUsages::empty(), ..descriptor.clone() };
        quietly(real, |real| real.create_texture(&useless))
    }

    /// Of no mips.
    pub(in super::super) fn view(real: &wgpu::Device, texture: &wgpu::Texture) -> wgpu::TextureView {
        let descriptor = wgpu::TextureViewDescriptor { label: LABEL, mip_level_count: Some(0), ..Default::default() };
        quietly(real, |_| texture.create_view(&descriptor))
    }

    pub(in super::super) fn sampler(real: &wgpu::Device) -> wgpu::Sampler {
        let descriptor = wgpu::SamplerDescriptor { label: LABEL, anisotropy_clamp: 0, ..Default::default() };
        quietly(real, |real| real.create_sampler(&descriptor))
    }

    /// Of no queries.
    pub(in super::super) fn query_set(
        real: &wgpu::Device,
        descriptor: &wgpu::QuerySetDescriptor<'_>,
    ) -> wgpu::QuerySet {
        quietly(real, |real| real.create_query_set(&wgpu::QuerySetDescriptor { count: 0, ..descriptor.clone() }))
    }

    pub(in super::super) fn shader_module(real: &wgpu::Device) -> wgpu::ShaderModule {
        let source = wgpu::ShaderSource::Wgsl(std::borrow::Cow::Borrowed("invalid"));
        quietly(real, |real| real.create_shader_module(wgpu::ShaderModuleDescriptor { label: LABEL, source }))
    }

    /// With one binding twice.
    pub(in super::super) fn bind_group_layout(real: &wgpu::Device) -> wgpu::BindGroupLayout {
        let entry = wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering),
            count: None,
        };
        let descriptor = wgpu::BindGroupLayoutDescriptor { label: LABEL, entries: &[entry, entry] };
        quietly(real, |real| real.create_bind_group_layout(&descriptor))
    }
}

fn empty_module(real: &wgpu::Device) -> wgpu::ShaderModule {
    let source = wgpu::ShaderSource::Wgsl(std::borrow::Cow::Borrowed(""));
    real.create_shader_module(wgpu::ShaderModuleDescriptor { label: LABEL, source })
}

const LABEL: Option<&str> = Some("engine-vitals: invalid");
const MISSING: Option<&str> = Some("missing");
