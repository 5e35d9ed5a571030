//! An engine that computes a little each frame, one frame in flight.

use std::cell::{Cell, RefCell};
use std::path::Path;

use engine_vitals::Vitals;

use crate::support;

pub(crate) struct Engine {
    pub(crate) vitals: Vitals,
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    rounds: wgpu::Buffer,
    large: [wgpu::Buffer; 2],
    /// Of the frame under way.
    rounds_now: Cell<u32>,
    in_flight: RefCell<Option<wgpu::SubmissionIndex>>,
}

/// A pass that takes as long as it is told.
const SIMULATE: &str = "
    @group(0) @binding(0) var<storage, read_write> values: array<f32>;
    @group(0) @binding(1) var<uniform> rounds: vec4<u32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
      var x = values[id.x];
      for (var round = 0u; round < rounds.x; round++) { x = fract(sin(x + f32(round)) * 43758.5); }
      values[id.x] = x;
    }";

/// Of a quiet frame.
const ROUNDS: u32 = 64;

impl Engine {
    /// With its trace in that file; `None`, and a named skip, without an adapter.
    pub(crate) fn start(test: &str, trace: &Path) -> Option<Self> {
        let vitals = Vitals::builder().port(0).trace_file(trace).start();
        let real = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let instance = vitals.wrap(real);
        let Ok(adapter) = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) else {
            support::skipped_without_adapter(test);
            return None;
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
        let buffer = |label, size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
        };
        let copied = wgpu::BufferUsages::COPY_DST;
        let values = buffer("values", 256, wgpu::BufferUsages::STORAGE);
        let rounds = buffer("rounds", 16, wgpu::BufferUsages::UNIFORM | copied);
        let large = ["from", "to"].map(|label| buffer(label, 200_000_000, wgpu::BufferUsages::COPY_SRC | copied));
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("simulate"),
            source: wgpu::ShaderSource::Wgsl(SIMULATE.into()),
        });
        let pipeline = pipeline(&device, &module);
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: values.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: rounds.as_entire_binding() },
            ],
        });
        let (rounds_now, in_flight) = (Cell::new(ROUNDS), RefCell::default());
        Some(Self { vitals, device, queue, pipeline, bind_group, rounds, large, rounds_now, in_flight })
    }

    /// Quiet frames.
    pub(crate) fn frames(&self, frames: usize) {
        for _ in 0..frames {
            self.frame(|_| {});
        }
    }

    /// A frame with more in it; its number.
    pub(crate) fn frame(&self, more: impl FnOnce(&Self)) -> u64 {
        let number = self.vitals.probe().frame_number();
        more(self);
        let rounds = self.rounds_now.replace(ROUNDS);
        self.queue.write_buffer(&self.rounds, 0, &[rounds, 0, 0, 0].map(u32::to_le_bytes).concat());
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let descriptor = wgpu::ComputePassDescriptor { label: Some("simulate"), timestamp_writes: None };
            let mut pass = encoder.begin_compute_pass(&descriptor);
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.bind_group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        let submitted = self.queue.submit([encoder.finish()]);
        if let Some(before) = self.in_flight.replace(Some(submitted)) {
            self.wait(Some(before));
        }
        self.vitals.frame();
        number
    }

    /// The pass of the frame under way takes so many rounds.
    pub(crate) fn simulate(&self, rounds: u32) {
        self.rounds_now.set(rounds);
    }

    pub(crate) fn shader_module(&self, source: &str) -> wgpu::ShaderModule {
        let source = wgpu::ShaderSource::Wgsl(source.into());
        self.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("heavy"), source })
    }

    pub(crate) fn pipeline(&self, module: &wgpu::ShaderModule) -> wgpu::ComputePipeline {
        pipeline(&self.device, module)
    }

    pub(crate) fn buffer(&self, size: u64) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST;
        self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    }

    pub(crate) fn upload(&self, bytes: &[u8]) {
        self.queue.write_buffer(&self.large[0], 0, bytes);
    }

    /// Work on the GPU that is in no pass.
    pub(crate) fn copy_and_wait<T>(&self, _: &mut T) {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for _ in 0..8 {
            encoder.copy_buffer_to_buffer(&self.large[0], 0, &self.large[1], 0, self.large[0].size());
        }
        let copied = self.queue.submit([encoder.finish()]);
        self.wait(Some(copied));
    }

    fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) {
        self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None }).unwrap();
    }
}

fn pipeline(device: &wgpu::Device, module: &wgpu::ShaderModule) -> wgpu::ComputePipeline {
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}
