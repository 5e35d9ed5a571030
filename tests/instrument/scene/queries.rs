//! Every kind of query. Counts are compared; times only for being there and in order.

use super::Log;
use super::kit::{Kit, Target, cleared};
use super::tools::Gpu;

fn query_set(gpu: &Gpu, label: &str, ty: wgpu::QueryType, count: u32) -> wgpu::QuerySet {
    gpu.device.create_query_set(&wgpu::QuerySetDescriptor { label: Some(label), ty, count })
}

fn resolved(gpu: &Gpu, set: &wgpu::QuerySet, values: u64) -> Vec<u64> {
    let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
    let buffer = gpu.buffer("resolved", values * 8, usage);
    gpu.submit("resolve", |encoder| encoder.resolve_query_set(set, 0..set.count(), &buffer, 0));
    bytemuck::pod_collect_to_vec(&gpu.read(&buffer))
}

pub(super) fn occlusion(gpu: &Gpu, log: &mut Log<'_>) {
    let kit = Kit::new(gpu);
    let pipeline = kit.pipeline(gpu, 1, false);
    let target = Target::new(gpu);
    let set = query_set(gpu, "occlusion", wgpu::QueryType::Occlusion, 4);
    gpu.submit("occlusion", |encoder| {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("occlusion"),
            color_attachments: &[Some(cleared(&target.view, None))],
            occlusion_query_set: Some(&set),
            ..Default::default()
        });
        pass.set_pipeline(&pipeline);
        kit.bind(&mut pass, 0);
        for (query, instances) in [(0, 0..1), (1, 0..0), (3, 0..3)] {
            pass.begin_occlusion_query(query);
            pass.draw_indexed(0..6, 0, instances);
            pass.end_occlusion_query();
        }
    });
    log.step(gpu, "queries");
    log.text("passed", format!("{:?}", resolved(gpu, &set, 4)));
    log.outcome(
        "beyond the set",
        gpu.invalid(|| {
            let usage = wgpu::BufferUsages::QUERY_RESOLVE;
            let buffer = gpu.buffer("resolved", 256, usage);
            let mut encoder = gpu.encoder("wrong");
            encoder.resolve_query_set(&set, 2..9, &buffer, 0);
            drop(encoder.finish());
        }),
    );
    log.outcome(
        "query in query",
        gpu.invalid(|| {
            let mut encoder = gpu.encoder("wrong");
            let mut pass = target.pass(&mut encoder);
            pass.begin_occlusion_query(0);
            drop(pass);
            drop(encoder.finish());
        }),
    );
}

pub(super) fn statistics(gpu: &Gpu, log: &mut Log<'_>) {
    if !gpu.has(wgpu::Features::PIPELINE_STATISTICS_QUERY) {
        return log.skip("no pipeline statistics");
    }
    let kit = Kit::new(gpu);
    let pipeline = kit.pipeline(gpu, 1, false);
    let target = Target::new(gpu);
    let types = wgpu::PipelineStatisticsTypes::VERTEX_SHADER_INVOCATIONS
        | wgpu::PipelineStatisticsTypes::CLIPPER_INVOCATIONS
        | wgpu::PipelineStatisticsTypes::COMPUTE_SHADER_INVOCATIONS;
    let set = query_set(gpu, "statistics", wgpu::QueryType::PipelineStatistics(types), 2);
    let module = gpu.shader("nothing", "@compute @workgroup_size(8) fn main() {}");
    let compute = super::kit::compute_pipeline_of(gpu, "nothing", None, &module);
    gpu.submit("statistics", |encoder| {
        let mut pass = target.pass(encoder);
        pass.set_pipeline(&pipeline);
        kit.bind(&mut pass, 0);
        pass.begin_pipeline_statistics_query(&set, 0);
        pass.draw_indexed(0..6, 0, 0..2);
        pass.end_pipeline_statistics_query();
        drop(pass);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&compute);
        pass.begin_pipeline_statistics_query(&set, 1);
        pass.dispatch_workgroups(5, 1, 1);
        pass.end_pipeline_statistics_query();
    });
    log.text("counted", format!("{:?}", resolved(gpu, &set, 6)));
    log.step(gpu, "statistics");
}

pub(super) fn timestamps(gpu: &Gpu, log: &mut Log<'_>) {
    if !gpu.has(wgpu::Features::TIMESTAMP_QUERY) {
        return log.skip("no timestamps");
    }
    let kit = Kit::new(gpu);
    let pipeline = kit.pipeline(gpu, 1, false);
    let target = Target::new(gpu);
    let inside_encoders = gpu.has(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);
    let inside_passes = gpu.has(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES);
    log.text("inside", format!("encoders {inside_encoders}, passes {inside_passes}"));
    let set = query_set(gpu, "times", wgpu::QueryType::Timestamp, 8);
    gpu.submit("times", |encoder| {
        if inside_encoders {
            encoder.write_timestamp(&set, 0);
        }
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("times"),
            color_attachments: &[Some(cleared(&target.view, None))],
            timestamp_writes: Some(wgpu::RenderPassTimestampWrites {
                query_set: &set,
                beginning_of_pass_write_index: Some(1),
                end_of_pass_write_index: Some(3),
            }),
            ..Default::default()
        });
        pass.set_pipeline(&pipeline);
        kit.bind(&mut pass, 0);
        pass.draw_indexed(0..6, 0, 0..3);
        if inside_passes {
            pass.write_timestamp(&set, 2);
        }
        drop(pass);
        let writes = wgpu::ComputePassTimestampWrites {
            query_set: &set,
            beginning_of_pass_write_index: Some(4),
            end_of_pass_write_index: Some(6),
        };
        let mut pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("times"), timestamp_writes: Some(writes) });
        if inside_passes {
            pass.write_timestamp(&set, 5);
        }
        drop(pass);
        if inside_encoders {
            encoder.write_timestamp(&set, 7);
        }
    });
    let times = resolved(gpu, &set, 8);
    let there: Vec<_> = times.iter().map(|time| *time != 0).collect();
    log.text("there", format!("{there:?}"));
    let written: Vec<_> = times.into_iter().filter(|time| *time != 0).collect();
    log.text("in order", written.is_sorted());
    log.step(gpu, "times");
}
