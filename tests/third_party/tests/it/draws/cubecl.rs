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

/// Multiplies and adds until the runtime has submitted by itself. The runtime lives in a registry of the process, and the
/// device with it: nothing ends either.
pub(crate) fn compute(gpu: Gpu) -> Vec<u8> {
    const COUNT: usize = 4096;
    let backend = gpu.adapter.get_info().backend;
    let Gpu { instance, adapter, device, queue } = gpu;
    let device = init_device(WgpuSetup { instance, adapter, device, queue, backend }, RuntimeOptions::default());
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
    pollster::block_on(client.sync()).unwrap();
    bytes
}
