//! cubecl-wgpu: kernels of its own language on a device that is there already, their results read back.

use crate::gpu::Gpu;
use cubecl_core as cubecl;
use cubecl_core::prelude::*;
use cubecl_runtime::runtime::Runtime;
use cubecl_wgpu::{RuntimeOptions, WgpuRuntime, WgpuSetup, init_device};

#[cube(launch)]
fn scale_and_add(input: &[f32], factor: f32, output: &mut [f32]) {
    if ABSOLUTE_POS < output.len() {
        output[ABSOLUTE_POS] += input[ABSOLUTE_POS] * factor;
    }
}

pub(crate) fn draw(instance: wgpu::Instance) -> Vec<u8> {
    const COUNT: usize = 4096;
    let gpu = Gpu::new(instance, wgpu::Features::empty());
    let backend = gpu.adapter.get_info().backend;
    let setup =
        WgpuSetup { instance: gpu.instance, adapter: gpu.adapter, device: gpu.device, queue: gpu.queue, backend };
    let device = init_device(setup, RuntimeOptions::default());
    let client = <WgpuRuntime as Runtime>::client(&device);
    let values: Vec<f32> = (0..COUNT).map(|i| i as f32 * 0.25).collect();
    let input = client.create_from_slice(bytemuck::cast_slice(&values));
    let output = client.create_from_slice(bytemuck::cast_slice(&values));
    for step in 0..40 {
        scale_and_add::launch(
            &client,
            CubeCount::new_1d(COUNT as u32 / 64),
            CubeDim::new_1d(64),
            // SAFETY: both handles hold `COUNT` values.
            unsafe { BufferArg::from_raw_parts(input.clone(), COUNT) },
            step as f32,
            // SAFETY: as above.
            unsafe { BufferArg::from_raw_parts(output.clone(), COUNT) },
        );
    }
    let bytes = client.read_one(output).unwrap().to_vec();
    drop(input);
    client.memory_cleanup().unwrap();
    bytes
}
