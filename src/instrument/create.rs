//! Creations: the real object, and the record of the new one with what it keeps alive.

use engine_vitals_core::probe::{New, ResourceKind};

use super::device::Device;
use super::handles::{Handle, Tracked};
use super::invalid;
use super::native;
use super::real::{buffer_of_kind, take_adopted, take_kind};
use super::record::Holds;
use super::state::failed;

/// Returns what a creation returns that fails by the plan of faults.
macro_rules! failing {
    ($device:expr, $call:ident, $new:expr, $invalid:expr) => {
        #[cfg(feature = "fault")]
        if let Some(failed) = $device.state.failed(super::fault::Call::$call, $new, &$device.real, $invalid) {
            return failed;
        }
    };
}

pub(super) use failing;

impl Device {
    pub(super) fn shader_module(
        &self,
        descriptor: wgpu::ShaderModuleDescriptor<'_>,
        checks: wgpu::ShaderRuntimeChecks,
    ) -> Tracked<wgpu::ShaderModule> {
        let label = descriptor.label;
        failing!(
            self,
            CreateShaderModule,
            New::of(ResourceKind::SHADER_MODULE, 0).label_opt(label),
            invalid::shader_module
        );
        let new = New::of(ResourceKind::SHADER_MODULE, 0).label_opt(label).begun(self.begun());
        // SAFETY: the checks are those that the program chose, through a safe method or under its own promise.
        let real = unsafe { self.real.create_shader_module_trusted(descriptor, checks) };
        self.state.tracked(real, new, Holds::default())
    }

    /// # Safety
    /// As `wgpu::Device::create_shader_module_passthrough`.
    pub(super) unsafe fn shader_module_passthrough(
        &self,
        descriptor: &wgpu::ShaderModuleDescriptorPassthrough<'_>,
    ) -> Tracked<wgpu::ShaderModule> {
        failing!(
            self,
            CreateShaderModule,
            New::of(ResourceKind::SHADER_MODULE, 0).label_opt(descriptor.label),
            invalid::shader_module
        );
        let new = New::of(ResourceKind::SHADER_MODULE, 0).label_opt(descriptor.label).begun(self.begun());
        // SAFETY: the caller vouches for the shader.
        let real = unsafe { self.real.create_shader_module_passthrough(descriptor.clone()) };
        self.state.tracked(real, new, Holds::default())
    }

    pub(super) fn bind_group_layout(
        &self,
        descriptor: &wgpu::BindGroupLayoutDescriptor<'_>,
    ) -> Tracked<wgpu::BindGroupLayout> {
        failing!(
            self,
            CreateBindGroupLayout,
            New::of(ResourceKind::BIND_GROUP_LAYOUT, 0).label_opt(descriptor.label),
            invalid::bind_group_layout
        );
        let begun = self.begun();
        let real = self.real.create_bind_group_layout(descriptor);
        let new = New::of(ResourceKind::BIND_GROUP_LAYOUT, 0).label_opt(descriptor.label).begun(begun);
        self.state.tracked(real, new, Holds::default())
    }

    pub(super) fn bind_group(&self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> Tracked<wgpu::BindGroup> {
        failing!(self, CreateBindGroup, New::bind_group().label_opt(descriptor.label), invalid::bind_group);
        let begun = self.begun();
        let mut members = Members { device: self, holds: Holds::default() };
        let real = members.bind_group(descriptor).unwrap_or_else(|| invalid::bind_group(&self.real));
        self.state.tracked(real, New::bind_group().label_opt(descriptor.label).begun(begun), members.holds)
    }

    pub(super) fn pipeline_layout(
        &self,
        descriptor: &wgpu::PipelineLayoutDescriptor<'_>,
    ) -> Tracked<wgpu::PipelineLayout> {
        failing!(
            self,
            CreatePipelineLayout,
            New::of(ResourceKind::PIPELINE_LAYOUT, 0).label_opt(descriptor.label),
            invalid::pipeline_layout
        );
        let begun = self.begun();
        let mut holds = Holds::default();
        let mut layouts = Vec::with_capacity(descriptor.bind_group_layouts.len());
        let own = descriptor.bind_group_layouts.iter().try_for_each(|layout| {
            let layout = match layout {
                Some(layout) => {
                    let own = self.state.own(*layout, "Device::create_pipeline_layout")?;
                    holds.add(&own.record);
                    Some(&own.real)
                }
                None => None,
            };
            layouts.push(layout);
            Some(())
        });
        let real = match own {
            Some(()) => self.real.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                bind_group_layouts: &layouts,
                ..descriptor.clone()
            }),
            None => invalid::pipeline_layout(&self.real),
        };
        let new = New::of(ResourceKind::PIPELINE_LAYOUT, 0).label_opt(descriptor.label).begun(begun);
        self.state.tracked(real, new, holds)
    }

    /// # Safety
    /// As `wgpu::Device::create_pipeline_cache`.
    pub(super) unsafe fn pipeline_cache(
        &self,
        descriptor: &wgpu::PipelineCacheDescriptor<'_>,
    ) -> Tracked<wgpu::PipelineCache> {
        // SAFETY: the caller vouches for the data.
        let real = unsafe { self.real.create_pipeline_cache(descriptor) };
        let new = New::of(ResourceKind::PIPELINE_CACHE, 0).label_opt(descriptor.label);
        self.state.tracked(real, new, Holds::default())
    }

    pub(super) fn buffer(&self, descriptor: &wgpu::BufferDescriptor<'_>) -> Tracked<wgpu::Buffer> {
        let usage = descriptor.usage.bits();
        let kind = take_kind();
        let new = New::of(kind, descriptor.size).label_opt(descriptor.label).backend(self.state.backend);
        let new = new.descriptor((usage ^ usage >> 15) as u16);
        let new = if descriptor.size > self.limits.max_buffer_size { failed(new) } else { new };
        let adopted = take_adopted();
        let making = adopted.is_none().then(|| self.state.begin(&new));
        if adopted.is_none() {
            failing!(self, CreateBuffer, New::of(kind, 0).label_opt(descriptor.label), |real| {
                invalid::buffer(real, descriptor)
            });
        }
        let begun = self.begun().filter(|_| adopted.is_none());
        let make = || adopted.unwrap_or_else(|| buffer_of_kind(&self.real, kind, descriptor));
        let (real, new) = self.state.make(making.as_ref(), &self.real, new.begun(begun), make);
        let new = self.state.world.native(new, || native::buffer(&real));
        let buffer = self.state.tracked(real, new, Holds::default());
        drop(making);
        // Memory that can be mapped to be written is written in place.
        let in_place = descriptor.usage.contains(wgpu::BufferUsages::MAP_WRITE);
        if let (Some(record), true, false) = (buffer.record.record(), descriptor.mapped_at_creation, in_place) {
            record.set_unwritten(descriptor.size);
        }
        buffer
    }

    /// A texture that is out of memory, or refused.
    #[cfg(feature = "fault")]
    pub(super) fn failed_texture(&self, descriptor: &wgpu::TextureDescriptor<'_>) -> Option<Tracked<wgpu::Texture>> {
        let new = New::of(super::real::new_texture(descriptor).kind, 0).label_opt(descriptor.label);
        let invalid = |real: &_| invalid::texture(real, descriptor);
        self.state.failed(super::fault::Call::CreateTexture, new.backend(self.state.backend), &self.real, invalid)
    }

    pub(super) fn external_texture(
        &self,
        descriptor: &wgpu::ExternalTextureDescriptor<'_>,
        planes: &[&wgpu::TextureView],
    ) -> Tracked<wgpu::ExternalTexture> {
        let mut holds = Holds::default();
        let own = planes.iter().map(|plane| {
            let own = self.state.own(*plane, "Device::create_external_texture")?;
            holds.add(&own.record);
            Some(&own.real)
        });
        let real = match own.collect::<Option<Vec<_>>>() {
            Some(planes) => self.real.create_external_texture(descriptor, &planes),
            None => invalid::external_texture(&self.real, descriptor),
        };
        self.state.tracked(real, New::of(ResourceKind::EXTERNAL_TEXTURE, 0).label_opt(descriptor.label), holds)
    }

    pub(super) fn sampler(&self, descriptor: &wgpu::SamplerDescriptor<'_>) -> Tracked<wgpu::Sampler> {
        failing!(self, CreateSampler, New::of(ResourceKind::SAMPLER, 0).label_opt(descriptor.label), invalid::sampler);
        let begun = self.begun();
        let real = self.real.create_sampler(descriptor);
        let new = New::of(ResourceKind::SAMPLER, 0).label_opt(descriptor.label).begun(begun);
        self.state.tracked(real, new, Holds::default())
    }

    pub(super) fn query_set(&self, descriptor: &wgpu::QuerySetDescriptor<'_>) -> Tracked<wgpu::QuerySet> {
        failing!(self, CreateQuerySet, New::of(ResourceKind::QUERY_SET, 0).label_opt(descriptor.label), |real| {
            invalid::query_set(real, descriptor)
        });
        let begun = self.begun();
        let real = self.real.create_query_set(descriptor);
        let new = New::of(ResourceKind::QUERY_SET, 0).label_opt(descriptor.label).begun(begun);
        self.state.tracked(real, new, Holds::default())
    }
}

/// Finds the real members of a bind group, and their records.
struct Members<'a> {
    device: &'a Device,
    holds: Holds,
}

impl Members<'_> {
    /// The real bind group; `None` if a member is not this instance's.
    fn bind_group(&mut self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> Option<wgpu::BindGroup> {
        // Arrays are gathered first: entries borrow from them.
        let mut buffers = Vec::new();
        let mut samplers = Vec::new();
        let mut views = Vec::new();
        for entry in descriptor.entries {
            match entry.resource {
                wgpu::BindingResource::BufferArray(array) => {
                    buffers.push(array.iter().map(|one| self.binding(one)).collect::<Option<Vec<_>>>()?);
                }
                wgpu::BindingResource::SamplerArray(array) => {
                    samplers.push(array.iter().map(|one| self.own(*one)).collect::<Option<Vec<_>>>()?);
                }
                wgpu::BindingResource::TextureViewArray(array) => {
                    views.push(array.iter().map(|one| self.own(*one)).collect::<Option<Vec<_>>>()?);
                }
                _ => {}
            }
        }
        let (mut buffers, mut samplers, mut views) = (buffers.iter(), samplers.iter(), views.iter());
        let mut entries = smallvec::SmallVec::<[_; 8]>::with_capacity(descriptor.entries.len());
        for entry in descriptor.entries {
            let resource = match &entry.resource {
                wgpu::BindingResource::Buffer(binding) => wgpu::BindingResource::Buffer(self.binding(binding)?),
                wgpu::BindingResource::BufferArray(_) => wgpu::BindingResource::BufferArray(buffers.next()?),
                wgpu::BindingResource::Sampler(sampler) => wgpu::BindingResource::Sampler(self.own(*sampler)?),
                wgpu::BindingResource::SamplerArray(_) => wgpu::BindingResource::SamplerArray(samplers.next()?),
                wgpu::BindingResource::TextureView(view) => wgpu::BindingResource::TextureView(self.own(*view)?),
                wgpu::BindingResource::TextureViewArray(_) => wgpu::BindingResource::TextureViewArray(views.next()?),
                wgpu::BindingResource::AccelerationStructure(structure) => {
                    wgpu::BindingResource::AccelerationStructure(self.own(*structure)?)
                }
                wgpu::BindingResource::ExternalTexture(texture) => {
                    wgpu::BindingResource::ExternalTexture(self.own(*texture)?)
                }
                other => self.unknown(other)?,
            };
            entries.push(wgpu::BindGroupEntry { binding: entry.binding, resource });
        }
        let layout = self.own(descriptor.layout)?;
        let descriptor = wgpu::BindGroupDescriptor { label: descriptor.label, layout, entries: &entries };
        Some(self.device.real.create_bind_group(&descriptor))
    }

    fn own<'a, H: Handle<Real = H>>(&mut self, handle: &'a H) -> Option<&'a H> {
        let own = self.device.state.own(handle, CALL)?;
        self.holds.add(&own.record);
        Some(&own.real)
    }

    fn binding<'a>(&mut self, binding: &wgpu::BufferBinding<'a>) -> Option<wgpu::BufferBinding<'a>> {
        Some(wgpu::BufferBinding { buffer: self.own(binding.buffer)?, ..binding.clone() })
    }

    /// A sort of resource that this release does not know.
    fn unknown<'a>(&self, resource: &wgpu::BindingResource<'_>) -> Option<wgpu::BindingResource<'a>> {
        self.device
            .state
            .errors
            .validation(format!("engine-vitals: `{CALL}` cannot forward a resource like {resource:?}"));
        None
    }
}

const CALL: &str = "Device::create_bind_group";
