//! wgpu-profiler: scopes on encoders, render and compute passes over several frames. Its times differ in every run, so
//! the bytes are the tree of its results: labels, nesting, whether there is a time and whether it runs forward.

use crate::gpu::Gpu;
use wgpu_profiler::{GpuProfiler, GpuProfilerSettings, GpuTimerQueryResult};

pub(crate) fn draw(instance: wgpu::Instance) -> Vec<u8> {
    let gpu = Gpu::new(instance, GpuProfiler::ALL_WGPU_TIMER_FEATURES);
    let mut profiler = GpuProfiler::new(&gpu.device, GpuProfilerSettings::default()).unwrap();
    let target = gpu.target(wgpu::TextureFormat::Rgba8Unorm, wgpu::TextureUsages::RENDER_ATTACHMENT);
    let view = target.create_view(&wgpu::TextureViewDescriptor::default());
    let mut bytes = Vec::new();
    for frame in 0..4_u32 {
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut outer = profiler.scope(format!("frame {frame}"), &mut encoder);
            for pass in 0..=frame * 10 {
                let color = wgpu::Color { r: f64::from(pass) / 40.0, g: 0.5, b: f64::from(frame) / 4.0, a: 1.0 };
                let attachment = wgpu::RenderPassColorAttachment {
                    view: &view,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations { load: wgpu::LoadOp::Clear(color), store: wgpu::StoreOp::Store },
                };
                let descriptor =
                    wgpu::RenderPassDescriptor { color_attachments: &[Some(attachment)], ..Default::default() };
                let mut inner = outer.scoped_render_pass(format!("pass {pass}"), descriptor);
                drop(inner.scope("inside"));
            }
            drop(outer.scoped_compute_pass("compute"));
        }
        profiler.resolve_queries(&mut encoder);
        gpu.queue.submit([encoder.finish()]);
        profiler.end_frame().unwrap();
        gpu.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let results = profiler.process_finished_frame(gpu.queue.get_timestamp_period()).unwrap();
        results.iter().for_each(|result| describe(result, 0, &mut bytes));
        bytes.extend(gpu.texels(&target));
    }
    bytes
}

fn describe(result: &GpuTimerQueryResult, depth: u8, bytes: &mut Vec<u8>) {
    bytes.push(depth);
    bytes.extend(result.label.bytes());
    bytes.push(result.time.as_ref().map_or(2, |time| u8::from(time.start <= time.end)));
    result.nested_queries.iter().for_each(|nested| describe(nested, depth + 1, bytes));
}
