//! A device whose passes are timed, and passes to time.

use std::sync::Arc;
use std::time::Duration;

use engine_vitals::instrument::{Instrumentation, InstrumentationBuilder};
use engine_vitals::monitor::{FramePasses, GpuPassReport, PassTimeMonitor, UntimedPass};
use engine_vitals::{Probe, Tracker};

use crate::support::skipped_without_adapter;

/// An instrumented device that tells a monitor of its passes.
pub(crate) struct Timed {
    // The device goes before the book that it is in.
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) instrumentation: Instrumentation,
    pub(crate) monitor: Arc<PassTimeMonitor>,
    pub(crate) tracker: Tracker,
    target: wgpu::TextureView,
    slow: wgpu::RenderPipeline,
    numbers: wgpu::BindGroup,
    compute: wgpu::ComputePipeline,
}

/// On which machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Gpu,
    Gl,
    Noop,
}

impl On {
    pub(crate) fn instance(self) -> wgpu::Instance {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        match self {
            Self::Gpu => {}
            Self::Gl => descriptor.backends = wgpu::Backends::GL,
            Self::Noop => {
                descriptor.backends = wgpu::Backends::NOOP;
                descriptor.backend_options.noop.enable = true;
            }
        }
        wgpu::Instance::new(descriptor)
    }
}

impl Timed {
    /// On the best adapter; a named skip without one.
    pub(crate) fn open(test: &str) -> Option<Self> {
        Self::open_with(test, On::Gpu, wgpu::Features::empty(), |builder| builder)
    }

    pub(crate) fn open_with(
        test: &str,
        on: On,
        features: wgpu::Features,
        choose: impl FnOnce(InstrumentationBuilder) -> InstrumentationBuilder,
    ) -> Option<Self> {
        let tracker = Tracker::new();
        let monitor = Arc::new(PassTimeMonitor::new("passes"));
        let builder = Instrumentation::builder(tracker.probe()).pass_sink(monitor.clone());
        let instrumentation = choose(builder).build();
        let opened = device(&instrumentation.wrap(on.instance()), features);
        if opened.is_none() {
            skipped_without_adapter(test);
        }
        let (device, queue) = opened?;
        let target = target(&device);
        let slow = slow_pipeline(&device);
        let compute = compute_pipeline(&device);
        let numbers = numbers(&device, &compute);
        Some(Self { device, queue, instrumentation, monitor, tracker, target, slow, numbers, compute })
    }

    pub(crate) fn probe(&self) -> Probe {
        self.tracker.probe()
    }

    pub(crate) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// A render pass that runs a fragment shader with so many rounds for each texel, on 256 x 256 of them.
    pub(crate) fn render(&self, encoder: &mut wgpu::CommandEncoder, label: Option<&str>, rounds: u32) {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label,
            color_attachments: &[Some(self.attachment())],
            ..Default::default()
        });
        if rounds > 0 {
            pass.set_pipeline(&self.slow);
            // The number of rounds is that of the instance.
            pass.draw(0..3, rounds..rounds + 1);
        }
    }

    pub(crate) fn attachment(&self) -> wgpu::RenderPassColorAttachment<'_> {
        wgpu::RenderPassColorAttachment {
            view: &self.target,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::GREEN), store: wgpu::StoreOp::Store },
        }
    }

    /// A compute pass.
    pub(crate) fn compute(&self, encoder: &mut wgpu::CommandEncoder, label: Option<&str>) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes: None });
        pass.set_pipeline(&self.compute);
        pass.set_bind_group(0, &self.numbers, &[]);
        pass.dispatch_workgroups(16, 1, 1);
    }

    pub(crate) fn submit(&self, record: impl FnOnce(&mut wgpu::CommandEncoder)) {
        let mut encoder = self.encoder();
        record(&mut encoder);
        self.queue.submit([encoder.finish()]);
    }

    /// Waits until all submitted work is done.
    pub(crate) fn wait(&self) {
        let timeout = Some(Duration::from_secs(60));
        self.device
            .poll(wgpu::PollType::Wait { submission_index: None, timeout })
            .expect("the GPU is done in a minute");
    }

    pub(crate) fn report(&self) -> GpuPassReport {
        self.monitor.report()
    }

    pub(crate) fn untimed(&self, why: UntimedPass) -> u64 {
        self.report().untimed(why)
    }

    /// How much is known of a frame, and the sum of its passes.
    pub(crate) fn frame(&self, frame: u64) -> (FramePasses, Duration) {
        let mut passes = Vec::new();
        let known = self.monitor.read_frame(frame, &mut passes);
        (known, passes.iter().map(|(_, time)| *time).sum())
    }

    /// The query sets that the device has, by wgpu's own count.
    pub(crate) fn query_sets(&self) -> isize {
        engine_vitals::instrument::real_device(&self.device).get_internal_counters().hal.query_sets.read()
    }
}

/// Passes that were told, and those that were counted.
pub(crate) fn told(report: &GpuPassReport) -> u64 {
    report.passes.iter().map(|pass| pass.runs).sum()
}

pub(crate) fn counted(report: &GpuPassReport) -> u64 {
    report.untimed.iter().map(|(_, passes)| passes).sum()
}

pub(crate) fn device(
    instance: &wgpu::Instance,
    required_features: wgpu::Features,
) -> Option<(wgpu::Device, wgpu::Queue)> {
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).ok()?;
    let descriptor = wgpu::DeviceDescriptor {
        required_features,
        required_limits: wgpu::Limits::downlevel_defaults(),
        ..Default::default()
    };
    Some(pollster::block_on(adapter.request_device(&descriptor)).unwrap())
}

fn target(device: &wgpu::Device) -> wgpu::TextureView {
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width: 256, height: 256, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
        view_formats: &[],
    });
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

const SLOW: &str = "
    struct Corner { @builtin(position) at: vec4f, @location(0) @interpolate(flat) rounds: u32 }
    @vertex fn corner(@builtin(vertex_index) i: u32, @builtin(instance_index) rounds: u32) -> Corner {
        return Corner(vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0), rounds);
    }
    @fragment fn texel(corner: Corner) -> @location(0) vec4f {
        var x = corner.at.x + corner.at.y;
        for (var round = 0u; round < corner.rounds; round += 1u) { x = fract(sin(x) * 43758.5); }
        return vec4f(x, x, x, 1.0);
    }
";

fn slow_pipeline(device: &wgpu::Device) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("slow"),
        source: wgpu::ShaderSource::Wgsl(SLOW.into()),
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("slow"),
        layout: None,
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::TextureFormat::Rgba8Unorm.into())],
        }),
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        multiview_mask: None,
        cache: None,
    })
}

fn compute_pipeline(device: &wgpu::Device) -> wgpu::ComputePipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("numbers"),
        source: wgpu::ShaderSource::Wgsl(
            "@group(0) @binding(0) var<storage, read_write> numbers: array<u32>;
             @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { numbers[id.x] += 1u; }"
                .into(),
        ),
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("numbers"),
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

fn numbers(device: &wgpu::Device, pipeline: &wgpu::ComputePipeline) -> wgpu::BindGroup {
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4 * 1024,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() }],
    })
}
