//! Draws whose counts come from buffers.

use super::Log;
use super::kit::{Kit, Target};
use super::tools::Gpu;

/// Vertices, instances, first vertex, first instance, three times.
const COMMANDS: [u32; 12] = [3, 1, 0, 0, 3, 2, 1, 0, 4, 3, 0, 0];
/// Indices, instances, first index, base vertex, first instance, twice.
const INDEXED: [u32; 10] = [6, 2, 0, 0, 0, 3, 3, 3, 0, 0];

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let kit = Kit::new(gpu);
    let pipeline = kit.pipeline(gpu, 1, false);
    let commands = gpu.filled("commands", bytemuck::cast_slice(&COMMANDS), wgpu::BufferUsages::INDIRECT);
    let indexed = gpu.filled("indexed", bytemuck::cast_slice(&INDEXED), wgpu::BufferUsages::INDIRECT);
    let target = Target::new(gpu);
    log.step(gpu, "buffers");
    gpu.submit("indirect", |encoder| {
        let mut pass = target.pass(encoder);
        pass.set_pipeline(&pipeline);
        kit.bind(&mut pass, 0);
        pass.draw_indirect(&commands, 16);
        kit.bind(&mut pass, 2);
        pass.draw_indexed_indirect(&indexed, 20);
    });
    log.bytes("picture", gpu.read_texture(&target.color, 0));
    let wrong = gpu.filled("wrong", bytemuck::cast_slice(&COMMANDS), wgpu::BufferUsages::VERTEX);
    for (what, buffer, offset) in
        [("odd offset", &commands, 2), ("beyond the end", &commands, 44), ("a buffer without its usage", &wrong, 0)]
    {
        let error = gpu.invalid(|| {
            let mut encoder = gpu.encoder("wrong");
            let mut pass = target.pass(&mut encoder);
            pass.set_pipeline(&pipeline);
            kit.bind(&mut pass, 0);
            pass.draw_indirect(buffer, offset);
            drop(pass);
            drop(encoder.finish());
        });
        log.outcome(what, error);
    }
}

pub(super) fn multi(gpu: &Gpu, log: &mut Log<'_>) {
    let kit = Kit::new(gpu);
    let pipeline = kit.pipeline(gpu, 1, false);
    let commands = gpu.filled("commands", bytemuck::cast_slice(&COMMANDS), wgpu::BufferUsages::INDIRECT);
    let indexed = gpu.filled("indexed", bytemuck::cast_slice(&INDEXED), wgpu::BufferUsages::INDIRECT);
    let target = Target::new(gpu);
    gpu.submit("multi", |encoder| {
        let mut pass = target.pass(encoder);
        pass.set_pipeline(&pipeline);
        kit.bind(&mut pass, 1);
        pass.multi_draw_indirect(&commands, 0, 3);
        kit.bind(&mut pass, 0);
        pass.multi_draw_indexed_indirect(&indexed, 0, 2);
    });
    log.bytes("several", gpu.read_texture(&target.color, 0));
    if !gpu.has(wgpu::Features::MULTI_DRAW_INDIRECT_COUNT) {
        return log.skip("no counts of indirect draws");
    }
    let counts = gpu.filled("counts", bytemuck::cast_slice(&[9u32, 2, 1]), wgpu::BufferUsages::INDIRECT);
    gpu.submit("counted", |encoder| {
        let mut pass = target.pass(encoder);
        pass.set_pipeline(&pipeline);
        kit.bind(&mut pass, 2);
        pass.multi_draw_indirect_count(&commands, 0, &counts, 4, 3);
        kit.bind(&mut pass, 1);
        pass.multi_draw_indexed_indirect_count(&indexed, 0, &counts, 8, 2);
    });
    log.bytes("counted", gpu.read_texture(&target.color, 0));
    log.step(gpu, "counted");
}
