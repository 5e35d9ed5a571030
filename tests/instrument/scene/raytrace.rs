//! Acceleration structures: built, instanced, asked by a compute shader, compacted. Few software adapters have them.

use super::Log;
use super::kit::{compute_pipeline, run_compute};
use super::tools::Gpu;
use std::sync::mpsc;

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    if !gpu.has(wgpu::Features::EXPERIMENTAL_RAY_QUERY) {
        return log.skip("no ray queries");
    }
    let corners: [f32; 9] = [-1.0, -1.0, 0.0, 1.0, -1.0, 0.0, 0.0, 1.0, 0.0];
    let vertices = gpu.filled("triangle", bytemuck::cast_slice(&corners), wgpu::BufferUsages::BLAS_INPUT);
    let size = wgpu::BlasTriangleGeometrySizeDescriptor {
        vertex_format: wgpu::VertexFormat::Float32x3,
        vertex_count: 3,
        index_format: None,
        index_count: None,
        flags: wgpu::AccelerationStructureGeometryFlags::OPAQUE,
    };
    let blas = gpu.device.create_blas(
        &wgpu::CreateBlasDescriptor {
            label: Some("triangle"),
            flags: wgpu::AccelerationStructureFlags::PREFER_FAST_TRACE
                | wgpu::AccelerationStructureFlags::ALLOW_COMPACTION,
            update_mode: wgpu::AccelerationStructureUpdateMode::Build,
        },
        wgpu::BlasGeometrySizeDescriptors::Triangles { descriptors: vec![size.clone()] },
    );
    log.text("handle", blas.handle().is_some());
    let mut tlas = gpu.device.create_tlas(&wgpu::CreateTlasDescriptor {
        label: Some("scene"),
        max_instances: 2,
        flags: wgpu::AccelerationStructureFlags::PREFER_FAST_TRACE,
        update_mode: wgpu::AccelerationStructureUpdateMode::Build,
    });
    let place = |x: f32| [1.0, 0.0, 0.0, x, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    tlas[0] = Some(wgpu::TlasInstance::new(&blas, place(-2.0), 5, 0xff));
    tlas[1] = Some(wgpu::TlasInstance::new(&blas, place(2.0), 9, 0xff));
    let geometry = || wgpu::BlasTriangleGeometry {
        size: &size,
        vertex_buffer: &vertices,
        first_vertex: 0,
        vertex_stride: 12,
        index_buffer: None,
        first_index: None,
        transform_buffer: None,
        transform_buffer_offset: None,
    };
    gpu.submit("build", |encoder| {
        let geometry = wgpu::BlasGeometries::TriangleGeometries(vec![geometry()]);
        let entry = wgpu::BlasBuildEntry { blas: &blas, geometry };
        encoder.build_acceleration_structures([&entry], [&tlas]);
    });
    if gpu.adapter.get_info().backend == wgpu::Backend::Noop {
        gpu.submit("mark", |encoder| {
            // SAFETY: that backend has nothing to build, and reads nothing either.
            unsafe { encoder.mark_acceleration_structures_built([&blas], [&tlas]) };
        });
    }
    log.step(gpu, "built");
    log.bytes("seen", seen(gpu, &tlas));
    let (sender, results) = mpsc::channel();
    let prepared =
        gpu.invalid(|| blas.prepare_compaction_async(move |result| sender.send(result).expect("the test waits")));
    log.outcome("prepared", prepared);
    gpu.wait();
    log.text("told", format!("{:?}", results.try_iter().collect::<Vec<_>>()));
    log.text("ready", blas.ready_for_compaction());
    let mut compacted = None;
    let error = gpu.invalid(|| compacted = Some(gpu.queue.compact_blas(&blas)));
    let failed = error.is_some();
    log.outcome("compacted", error);
    if failed {
        return;
    }
    tlas[1] = compacted.map(|compacted| wgpu::TlasInstance::new(&compacted, place(0.0), 11, 0xff));
    tlas[0] = None;
    drop(blas);
    gpu.submit("build again", |encoder| encoder.build_acceleration_structures([], [&tlas]));
    log.step(gpu, "compacted");
    log.bytes("seen of the compacted", seen(gpu, &tlas));
}

/// What 16 rays meet.
fn seen(gpu: &Gpu, tlas: &wgpu::Tlas) -> Vec<u8> {
    let pipeline = compute_pipeline(
        gpu,
        "rays",
        "enable wgpu_ray_query;
         @group(0) @binding(0) var<storage, read_write> seen: array<vec4f, 16>;
         @group(0) @binding(1) var world: acceleration_structure;
         @compute @workgroup_size(16) fn main(@builtin(local_invocation_index) i: u32) {
             var query: ray_query;
             let start = vec3f(f32(i) * 0.5 - 4.0, -0.2, 2.0);
             rayQueryInitialize(&query, world, RayDesc(0u, 0xFFu, 0.01, 100.0, start, vec3f(0.0, 0.0, -1.0)));
             rayQueryProceed(&query);
             let met = rayQueryGetCommittedIntersection(&query);
             seen[i] = vec4f(f32(met.kind), met.t, f32(met.instance_custom_data), f32(i));
         }",
    );
    let seen = gpu.buffer("seen", 256, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    run_compute(gpu, &pipeline, &[seen.as_entire_binding(), tlas.as_binding()], (1, 1, 1));
    gpu.read(&seen)
}
