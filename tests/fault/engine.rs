//! A small renderer that makes everything anew often, and recovers from whatever goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use engine_vitals::contract::VramProvider;
use engine_vitals::gpu::{FrameTimer, Submissions};
use engine_vitals::monitor::GpuFrameMonitor;
use engine_vitals::probe::Probe;
use engine_vitals::vram::AllocatorReportProvider;

use crate::tools::Stage;

/// What the renderer does about a submission that does not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hung {
    /// Goes on, and waits until the driver lets go of it.
    LetGo,
    /// Gives up its device and takes another.
    NewDevice,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Story {
    /// Frames that were rendered without an error.
    pub(crate) good: u64,
    pub(crate) devices: u64,
    pub(crate) requests_failed: u64,
    pub(crate) losses: u64,
    pub(crate) errors: u64,
    pub(crate) timeouts: u64,
    pub(crate) maps_failed: u64,
    pub(crate) read: u64,
}

pub(crate) struct Engine<'s> {
    stage: &'s Stage,
    gpu: Option<Gpu>,
    kit: Option<Kit>,
    hung: Hung,
    frame: u64,
    pub(crate) story: Story,
}

/// A device, and what hears of it.
struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    heard: Arc<Heard>,
    submissions: Submissions,
    timer: FrameTimer,
    memory: AllocatorReportProvider,
}

#[derive(Default)]
struct Heard {
    lost: AtomicBool,
    losses: AtomicU64,
    errors: AtomicU64,
}

/// What is made once for a device.
struct Kit {
    layout: wgpu::BindGroupLayout,
    pipeline: wgpu::RenderPipeline,
    compute: wgpu::ComputePipeline,
    uniforms: wgpu::Buffer,
    queries: wgpu::QuerySet,
    readback: wgpu::Buffer,
    /// The outcome of the mapping under way.
    mapped: Option<mpsc::Receiver<bool>>,
    /// A mapping has failed, so that all is to be made anew.
    unreadable: bool,
}

const SIZE: u32 = 64;
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
const SHADER: &str = "
    @group(0) @binding(0) var<uniform> tint: vec4f;
    @group(0) @binding(1) var how: sampler;
    @group(0) @binding(2) var picture: texture_2d<f32>;
    @vertex fn vertex(@location(0) place: vec2f) -> @builtin(position) vec4f { return vec4f(place, 0.0, 1.0); }
    @fragment fn fragment() -> @location(0) vec4f { return tint * textureSample(picture, how, vec2f(0.5)); }
    @compute @workgroup_size(1) fn compute() { }
";

impl<'s> Engine<'s> {
    pub(crate) fn new(stage: &'s Stage, hung: Hung) -> Self {
        Self { stage, gpu: None, kit: None, hung, frame: 0, story: Story::default() }
    }

    /// One frame, or what can be had of it.
    pub(crate) fn frame(&mut self) {
        self.frame += 1;
        // Now and then the user changes a setting that needs another device.
        if self.frame.is_multiple_of(25) || self.gpu.as_ref().is_some_and(|gpu| gpu.heard.lost.load(Ordering::Relaxed))
        {
            self.give_up();
        }
        if self.gpu.is_none() {
            match Gpu::new(self.stage) {
                Ok(gpu) => self.gpu = Some(gpu),
                Err(_) => self.story.requests_failed += 1,
            }
            self.story.devices += u64::from(self.gpu.is_some());
        }
        let Some(gpu) = &self.gpu else { return };
        let errors = gpu.heard.errors.load(Ordering::Relaxed);
        let kit = self.kit.get_or_insert_with(|| Kit::new(gpu));
        gpu.frame(kit, self.frame, &mut self.story);
        if self.frame.is_multiple_of(8) && !gpu.wait(&mut self.story) {
            match self.hung {
                Hung::LetGo => {
                    self.stage.plan.release();
                    gpu.wait(&mut self.story);
                }
                Hung::NewDevice => return self.give_up(),
            }
        }
        let failed = gpu.heard.errors.load(Ordering::Relaxed) > errors || gpu.heard.lost.load(Ordering::Relaxed);
        if failed || kit.unreadable {
            self.kit = None;
        } else {
            self.story.good += 1;
        }
    }

    fn give_up(&mut self) {
        self.kit = None;
        if let Some(gpu) = self.gpu.take() {
            self.story.errors += gpu.heard.errors.load(Ordering::Relaxed);
            self.story.losses += gpu.heard.losses.load(Ordering::Relaxed);
        }
    }

    /// The end of the program.
    pub(crate) fn close(mut self) -> Story {
        self.give_up();
        self.story
    }
}

impl Gpu {
    fn new(stage: &Stage) -> Result<Self, wgpu::RequestDeviceError> {
        let (device, queue) = stage.device()?;
        let heard = Arc::new(Heard::default());
        let told = Arc::clone(&heard);
        device.on_uncaptured_error(Arc::new(move |_| _ = told.errors.fetch_add(1, Ordering::Relaxed)));
        let told = Arc::clone(&heard);
        device.set_device_lost_callback(move |reason, text| {
            if reason == wgpu::DeviceLostReason::Unknown {
                assert!(text.contains("injected fault: device lost"), "{text}");
                told.lost.store(true, Ordering::Relaxed);
                told.losses.fetch_add(1, Ordering::Relaxed);
            }
        });
        let timer = FrameTimer::new(&device, &queue, Arc::new(GpuFrameMonitor::new("gpu")));
        let memory = AllocatorReportProvider::new(&device);
        Ok(Self { device, queue, heard, submissions: Submissions::new(Probe::OFF), timer, memory })
    }

    /// False if the work does not complete in time.
    fn wait(&self, story: &mut Story) -> bool {
        let timeout = Some(Duration::from_millis(500));
        match self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout }) {
            Ok(_) => true,
            Err(wgpu::PollError::Timeout) => {
                story.timeouts += 1;
                false
            }
            Err(wgpu::PollError::WrongSubmissionIndex(..)) => panic!("a submission that no one made"),
        }
    }

    fn frame(&self, kit: &mut Kit, number: u64, story: &mut Story) {
        let mut timed = self.timer.begin();
        let target = self.texture("target", wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC);
        let view = target.create_view(&wgpu::TextureViewDescriptor::default());
        let group = kit.bind(self);
        let vertices = self.vertices();
        self.queue.write_buffer(&kit.uniforms, 0, &[number as u8; 16]);
        // An encoder that is given up.
        drop(self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("given up") }));
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("frame") });
        timed.start(&mut encoder);
        {
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                label: Some("main"),
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: &view,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations::default(),
                })],
                occlusion_query_set: Some(&kit.queries),
                timestamp_writes: timed.main_pass(),
                ..Default::default()
            });
            pass.set_pipeline(&kit.pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.set_vertex_buffer(0, vertices.slice(..));
            pass.begin_occlusion_query(0);
            pass.draw(0..3, 0..1);
            pass.end_occlusion_query();
        }
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&kit.compute);
            pass.dispatch_workgroups(1, 1, 1);
        }
        let reads = kit.mapped.is_none();
        if reads {
            encoder.copy_texture_to_buffer(
                target.as_image_copy(),
                wgpu::TexelCopyBufferInfo {
                    buffer: &kit.readback,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset: 0,
                        bytes_per_row: Some(4 * SIZE),
                        rows_per_image: None,
                    },
                },
                target.size(),
            );
        }
        timed.end(&mut encoder);
        timed.submit(|| self.submissions.submit(&self.queue, [encoder.finish()]));
        let (sender, receiver) = mpsc::channel();
        self.queue.on_submitted_work_done(move || _ = sender.send(()));
        if reads {
            let (sender, receiver) = mpsc::channel();
            kit.readback.map_async(wgpu::MapMode::Read, .., move |result| _ = sender.send(result.is_ok()));
            kit.mapped = Some(receiver);
        }
        // What a lost device answers does not matter; it is heard of by its callback.
        let _ = self.device.poll(wgpu::PollType::Poll);
        drop(receiver);
        if number.is_multiple_of(16) {
            self.memory.refresh();
        }
        kit.read(story);
    }

    fn texture(&self, label: &str, usage: wgpu::TextureUsages) -> wgpu::Texture {
        self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width: SIZE, height: SIZE, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage,
            view_formats: &[],
        })
    }

    fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        self.device.create_buffer(&descriptor)
    }

    /// Written while it is mapped at its creation.
    fn vertices(&self) -> wgpu::Buffer {
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("vertices"),
            size: 24,
            usage: wgpu::BufferUsages::VERTEX,
            mapped_at_creation: true,
        });
        if let Ok(mut mapped) = buffer.get_mapped_range_mut(..) {
            let corners: [f32; 6] = [-1.0, -1.0, 3.0, -1.0, -1.0, 3.0];
            mapped.slice(..).copy_from_slice(bytemuck::cast_slice(&corners));
        }
        buffer.unmap();
        buffer
    }
}

impl Kit {
    fn new(gpu: &Gpu) -> Self {
        let Gpu { device, .. } = gpu;
        let source = wgpu::ShaderSource::Wgsl(SHADER.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("shader"), source });
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty,
            count: None,
        };
        let uniform = wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let texture = wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: true },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("layout"),
            entries: &[
                entry(0, uniform),
                entry(1, wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering)),
                entry(2, texture),
            ],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("layout"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("pipeline"),
            layout: Some(&pipeline_layout),
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("vertex"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[Some(wgpu::VertexBufferLayout {
                    array_stride: 8,
                    step_mode: wgpu::VertexStepMode::Vertex,
                    attributes: &wgpu::vertex_attr_array![0 => Float32x2],
                })],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: None,
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("fragment"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets: &[Some(FORMAT.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        let compute = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("compute"),
            layout: None,
            module: &module,
            entry_point: Some("compute"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let queries = wgpu::QuerySetDescriptor { label: Some("queries"), ty: wgpu::QueryType::Occlusion, count: 2 };
        let readback = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Self {
            uniforms: gpu.buffer("uniforms", 16, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST),
            queries: device.create_query_set(&queries),
            readback: gpu.buffer("readback", u64::from(4 * SIZE * SIZE), readback),
            mapped: None,
            unreadable: false,
            layout,
            pipeline,
            compute,
        }
    }

    /// A picture that is uploaded, and the bind group of a frame with it.
    fn bind(&self, gpu: &Gpu) -> wgpu::BindGroup {
        let picture = gpu.texture("picture", wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST);
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * SIZE), rows_per_image: None };
        gpu.queue.write_texture(picture.as_image_copy(), &[7; (4 * SIZE * SIZE) as usize], layout, picture.size());
        let view = picture.create_view(&wgpu::TextureViewDescriptor::default());
        let sampler = gpu.device.create_sampler(&wgpu::SamplerDescriptor::default());
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("group"),
            layout: &self.layout,
            entries: &[
                entry(0, self.uniforms.as_entire_binding()),
                entry(1, wgpu::BindingResource::Sampler(&sampler)),
                entry(2, wgpu::BindingResource::TextureView(&view)),
            ],
        })
    }

    /// Reads what a mapping that is done has brought, or learns that it failed.
    fn read(&mut self, story: &mut Story) {
        let Some(mapped) = &self.mapped else { return };
        match mapped.try_recv() {
            Ok(true) => {
                if let Ok(view) = self.readback.get_mapped_range(..) {
                    assert_eq!(view.len(), (4 * SIZE * SIZE) as usize);
                    story.read += 1;
                }
                self.readback.unmap();
                self.mapped = None;
            }
            Ok(false) | Err(mpsc::TryRecvError::Disconnected) => {
                self.unreadable = true;
                story.maps_failed += 1;
            }
            Err(mpsc::TryRecvError::Empty) => {}
        }
    }
}
