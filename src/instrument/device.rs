//! The device.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use engine_vitals_core::probe::{Activity, Context, New, ResourceKind, Timestamp};
use parking_lot::Mutex;
use wgpu::custom::{
    BoxDeviceLostCallback, DeviceInterface, DispatchBindGroup, DispatchBindGroupLayout, DispatchBlas, DispatchBuffer,
    DispatchCommandEncoder, DispatchComputePipeline, DispatchExternalTexture, DispatchPipelineCache,
    DispatchPipelineLayout, DispatchQuerySet, DispatchRenderBundleEncoder, DispatchRenderPipeline, DispatchSampler,
    DispatchShaderModule, DispatchTexture, DispatchTlas, PopErrorScopeFuture,
};

use super::bundle::BundleEncoder;
use super::encoder::Encoder;
use super::handles::Tracked;
use super::instrumentation::DeviceGuard;
use super::queue::Queue;
use super::real::{new_texture, real_device, real_queue};
use super::record::Held;
use super::state::{DeviceState, Found, World, failed};
use crate::gpu::pass_timer::{EncoderPasses, PassTimer, Retry};

/// A device around another one.
pub(super) struct Device {
    /// What measures the device ends before it.
    guard: Option<Box<dyn DeviceGuard>>,
    pub(super) real: wgpu::Device,
    pub(super) state: Arc<DeviceState>,
    record: Held,
    /// Times its passes, from the first that is to be timed, if it can.
    passes: OnceLock<Arc<PassTimer>>,
    retry: Retry,
    /// Nanoseconds of a tick of its clock.
    timestamp_period: f32,
    /// Features that it has and the program did not ask for.
    added: wgpu::Features,
    pub(super) limits: wgpu::Limits,
}

impl Device {
    /// A device and its queue, with what the world's hook wants to be kept with them.
    pub(super) fn around(
        real: wgpu::Device,
        queue: wgpu::Queue,
        added: wgpu::Features,
        world: &Arc<World>,
        label: Option<&str>,
    ) -> (Self, Queue) {
        let backend = crate::gpu::probe_backend(real.adapter_info().backend);
        let new = |kind| New::of(kind, 0).backend(backend).label_opt(label);
        let record = world.track(new(ResourceKind::DEVICE), Vec::new(), None);
        let state = DeviceState::new(Arc::clone(world), &real, &record);
        let guard = world.on_device.as_ref().map(|hook| hook(real_device(&real), real_queue(&queue)));
        let timestamp_period = queue.get_timestamp_period();
        let queue = Queue::new(queue, Arc::clone(&state), world.track(new(ResourceKind::QUEUE), Vec::new(), None));
        let limits = real.limits();
        let passes = OnceLock::new();
        let retry = Retry::default();
        (Self { guard, real, state, record, passes, retry, timestamp_period, added, limits }, queue)
    }

    /// When a creation begins, from which follows how long it took; `None` while nothing is tracked.
    #[inline]
    pub(super) fn begun(&self) -> Option<Timestamp> {
        self.state.world.probe.now()
    }

    /// The object that stands for a texture.
    pub(super) fn texture_around(
        &self,
        real: wgpu::Texture,
        descriptor: &wgpu::TextureDescriptor<'_>,
        begun: Option<Timestamp>,
    ) -> Tracked<wgpu::Texture> {
        self.tracked_texture(real, self.new_texture(descriptor).begun(begun), descriptor)
    }

    fn new_texture<'a>(&self, descriptor: &wgpu::TextureDescriptor<'a>) -> New<'a> {
        let new = new_texture(descriptor).backend(self.state.backend);
        if beyond(&self.limits, descriptor) { failed(new) } else { new }
    }

    fn tracked_texture(
        &self,
        real: wgpu::Texture,
        new: New<'_>,
        descriptor: &wgpu::TextureDescriptor<'_>,
    ) -> Tracked<wgpu::Texture> {
        let new = self.state.world.native(new, || super::native::texture(&real));
        let record = self.state.world.track_texture(new, descriptor);
        Tracked { real, record, device: Arc::clone(&self.state) }
    }

    /// For the passes of an encoder that is made now, if they are to be timed.
    fn pass_times(&self) -> Option<EncoderPasses> {
        let timing = &self.state.world.passes;
        if !timing.is_on() {
            return None;
        }
        if let Some(timer) = self.passes.get() {
            return Some(timer.encoder());
        }
        let made = self.retry.attempt(|| PassTimer::new(timing, &self.real, self.timestamp_period))?;
        // Another thread may have been faster.
        Some(self.passes.get_or_init(|| made).encoder())
    }

    /// With the real numbers of submissions.
    fn poll_real(&self, poll: &wgpu::wgt::PollType<u64>) -> Result<wgpu::PollStatus, wgpu::PollError> {
        let poll = match *poll {
            wgpu::wgt::PollType::Poll => wgpu::PollType::Poll,
            wgpu::wgt::PollType::Wait { submission_index: None, timeout } => {
                wgpu::PollType::Wait { submission_index: None, timeout }
            }
            wgpu::wgt::PollType::Wait { submission_index: Some(number), timeout } => {
                let found = self.state.submitted.lock().find(number);
                match found {
                    Found::Index(index) => wgpu::PollType::Wait { submission_index: Some(index), timeout },
                    Found::Unknown(last) => return Err(wgpu::PollError::WrongSubmissionIndex(number, last)),
                }
            }
        };
        match poll {
            wgpu::PollType::Poll => self.real.poll(poll),
            wgpu::PollType::Wait { .. } => self.state.world.probe.timed(Activity::Stalls, || self.real.poll(poll)),
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.record.handle_dropped();
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Device").field("real", &self.real).finish_non_exhaustive()
    }
}

/// Whether a texture is larger than any of the device's.
fn beyond(limits: &wgpu::Limits, descriptor: &wgpu::TextureDescriptor<'_>) -> bool {
    let (side, depth) = match descriptor.dimension {
        wgpu::TextureDimension::D1 => (limits.max_texture_dimension_1d, 1),
        wgpu::TextureDimension::D2 => (limits.max_texture_dimension_2d, limits.max_texture_array_layers),
        wgpu::TextureDimension::D3 => (limits.max_texture_dimension_3d, limits.max_texture_dimension_3d),
    };
    let wgpu::Extent3d { width, height, depth_or_array_layers } = descriptor.size;
    width > side || height > side || depth_or_array_layers > depth
}

/// Whether the device is measured since it was made.
pub(crate) fn is_guarded(device: &wgpu::Device) -> bool {
    device.as_custom::<Device>().is_some_and(|device| device.guard.is_some())
}

/// How an object is created is told in `create.rs`, by the functions of the same names.
impl DeviceInterface for Device {
    /// Those that the program asked for; to a tool, in an untracked context, all that there are.
    fn features(&self) -> wgpu::Features {
        if Context::current().is_untracked() { self.real.features() } else { self.real.features() - self.added }
    }

    fn limits(&self) -> wgpu::Limits {
        self.real.limits()
    }

    fn adapter_info(&self) -> wgpu::AdapterInfo {
        self.real.adapter_info()
    }

    fn create_shader_module(
        &self,
        descriptor: wgpu::ShaderModuleDescriptor<'_>,
        checks: wgpu::ShaderRuntimeChecks,
    ) -> DispatchShaderModule {
        DispatchShaderModule::custom(self.shader_module(descriptor, checks))
    }

    unsafe fn create_shader_module_passthrough(
        &self,
        descriptor: &wgpu::ShaderModuleDescriptorPassthrough<'_>,
    ) -> DispatchShaderModule {
        // SAFETY: the caller vouches for the shader.
        DispatchShaderModule::custom(unsafe { self.shader_module_passthrough(descriptor) })
    }

    fn create_bind_group_layout(&self, descriptor: &wgpu::BindGroupLayoutDescriptor<'_>) -> DispatchBindGroupLayout {
        DispatchBindGroupLayout::custom(self.bind_group_layout(descriptor))
    }

    fn create_bind_group(&self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> DispatchBindGroup {
        DispatchBindGroup::custom(self.bind_group(descriptor))
    }

    fn create_pipeline_layout(&self, descriptor: &wgpu::PipelineLayoutDescriptor<'_>) -> DispatchPipelineLayout {
        DispatchPipelineLayout::custom(self.pipeline_layout(descriptor))
    }

    fn create_render_pipeline(&self, descriptor: &wgpu::RenderPipelineDescriptor<'_>) -> DispatchRenderPipeline {
        DispatchRenderPipeline::custom(self.render_pipeline(descriptor))
    }

    fn create_mesh_pipeline(&self, descriptor: &wgpu::MeshPipelineDescriptor<'_>) -> DispatchRenderPipeline {
        DispatchRenderPipeline::custom(self.mesh_pipeline(descriptor))
    }

    fn create_compute_pipeline(&self, descriptor: &wgpu::ComputePipelineDescriptor<'_>) -> DispatchComputePipeline {
        DispatchComputePipeline::custom(self.compute_pipeline(descriptor))
    }

    unsafe fn create_pipeline_cache(&self, descriptor: &wgpu::PipelineCacheDescriptor<'_>) -> DispatchPipelineCache {
        // SAFETY: the caller vouches for the data.
        DispatchPipelineCache::custom(unsafe { self.pipeline_cache(descriptor) })
    }

    fn create_buffer(&self, descriptor: &wgpu::BufferDescriptor<'_>) -> DispatchBuffer {
        DispatchBuffer::custom(self.buffer(descriptor))
    }

    fn create_texture(&self, descriptor: &wgpu::TextureDescriptor<'_>) -> DispatchTexture {
        let new = self.new_texture(descriptor);
        let making = self.state.begin(&new);
        #[cfg(feature = "fault")]
        if let Some(failed) = self.failed_texture(descriptor) {
            return DispatchTexture::custom(failed);
        }
        let new = new.begun(self.begun());
        let make = || self.real.create_texture(descriptor);
        let (real, new) = self.state.make(Some(&making), &self.real, new, make);
        DispatchTexture::custom(self.tracked_texture(real, new, descriptor))
    }

    fn create_external_texture(
        &self,
        descriptor: &wgpu::ExternalTextureDescriptor<'_>,
        planes: &[&wgpu::TextureView],
    ) -> DispatchExternalTexture {
        DispatchExternalTexture::custom(self.external_texture(descriptor, planes))
    }

    fn create_blas(
        &self,
        descriptor: &wgpu::CreateBlasDescriptor<'_>,
        sizes: wgpu::BlasGeometrySizeDescriptors,
    ) -> (Option<u64>, DispatchBlas) {
        let blas = self.blas(descriptor, sizes);
        (blas.real.handle(), DispatchBlas::custom(blas))
    }

    fn create_tlas(&self, descriptor: &wgpu::CreateTlasDescriptor<'_>) -> DispatchTlas {
        DispatchTlas::custom(self.tlas(descriptor))
    }

    fn create_sampler(&self, descriptor: &wgpu::SamplerDescriptor<'_>) -> DispatchSampler {
        DispatchSampler::custom(self.sampler(descriptor))
    }

    fn create_query_set(&self, descriptor: &wgpu::QuerySetDescriptor<'_>) -> DispatchQuerySet {
        DispatchQuerySet::custom(self.query_set(descriptor))
    }

    fn create_command_encoder(&self, descriptor: &wgpu::CommandEncoderDescriptor<'_>) -> DispatchCommandEncoder {
        DispatchCommandEncoder::custom(Encoder::new(&self.real, &self.state, self.pass_times(), descriptor))
    }

    fn create_render_bundle_encoder(
        &self,
        descriptor: &wgpu::RenderBundleEncoderDescriptor<'_>,
    ) -> DispatchRenderBundleEncoder {
        DispatchRenderBundleEncoder::custom(BundleEncoder::new(&self.real, &self.state, descriptor))
    }

    fn set_device_lost_callback(&self, callback: BoxDeviceLostCallback) {
        // wgpu's public method takes what can be called again, and calls it once.
        let callback = Arc::new(Mutex::new(Some(callback)));
        #[cfg(feature = "fault")]
        self.state.set_lost_callback(&callback);
        self.real.set_device_lost_callback(move |reason, message| {
            let callback = callback.lock().take();
            if let Some(callback) = callback {
                callback(reason, message);
            }
        });
    }

    fn on_uncaptured_error(&self, handler: Arc<dyn wgpu::UncapturedErrorHandler>) {
        self.state.errors.set_handler(&self.real, handler);
    }

    fn push_error_scope(&self, filter: wgpu::ErrorFilter) -> u32 {
        self.state.errors.push(&self.real, filter)
    }

    fn pop_error_scope(&self, index: u32) -> Pin<Box<dyn PopErrorScopeFuture>> {
        self.state.errors.pop(index)
    }

    unsafe fn start_graphics_debugger_capture(&self) {
        // SAFETY: the caller's duties are those of the real method.
        unsafe { self.real.start_graphics_debugger_capture() }
    }

    unsafe fn stop_graphics_debugger_capture(&self) {
        // SAFETY: the caller's duties are those of the real method.
        unsafe { self.real.stop_graphics_debugger_capture() }
    }

    fn poll(&self, poll: wgpu::wgt::PollType<u64>) -> Result<wgpu::PollStatus, wgpu::PollError> {
        #[cfg(feature = "fault")]
        if let Some(faults) = &self.state.faults {
            return faults.poll(&poll, || self.poll_real(&poll));
        }
        self.poll_real(&poll)
    }

    fn get_internal_counters(&self) -> wgpu::InternalCounters {
        self.real.get_internal_counters()
    }

    fn generate_allocator_report(&self) -> Option<wgpu::AllocatorReport> {
        self.real.generate_allocator_report()
    }

    fn destroy(&self) {
        if let Some(record) = self.record.record() {
            record.destroyed();
        }
        self.real.destroy();
    }
}
