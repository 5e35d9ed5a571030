//! Acceleration structures, on the backend that does nothing.

use std::sync::mpsc;
use std::time::Duration;

use engine_vitals_core::probe::ResourceKind;
use engine_vitals_core::tracker::Tracker;

use super::super::{Adopted, Instrumentation};
use super::noop_with;

/// A hang is told after this.
const GUARD: Duration = Duration::from_secs(60);

fn device(tracker: &Tracker) -> Adopted {
    noop_with(
        &Instrumentation::new(tracker.probe()),
        &wgpu::DeviceDescriptor {
            required_features: wgpu::Features::EXPERIMENTAL_RAY_QUERY,
            required_limits: wgpu::Limits {
                max_acceleration_structures_per_shader_stage: 2,
                ..wgpu::Limits::default().using_minimum_supported_acceleration_structure_values()
            },
            // SAFETY: the backend does nothing.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            ..wgpu::DeviceDescriptor::default()
        },
    )
}

fn tlas(device: &wgpu::Device) -> wgpu::Tlas {
    device.create_tlas(&wgpu::CreateTlasDescriptor {
        label: None,
        max_instances: 2,
        flags: wgpu::AccelerationStructureFlags::PREFER_FAST_TRACE,
        update_mode: wgpu::AccelerationStructureUpdateMode::Build,
    })
}

fn blas(device: &wgpu::Device) -> wgpu::Blas {
    device.create_blas(
        &wgpu::CreateBlasDescriptor {
            label: None,
            flags: wgpu::AccelerationStructureFlags::PREFER_FAST_TRACE,
            update_mode: wgpu::AccelerationStructureUpdateMode::Build,
        },
        wgpu::BlasGeometrySizeDescriptors::Triangles { descriptors: Vec::new() },
    )
}

fn bound(device: &wgpu::Device, structures: &[&wgpu::Tlas]) -> wgpu::BindGroup {
    let bindings = 0..u32::try_from(structures.len()).unwrap();
    let layout: Vec<_> = bindings
        .clone()
        .map(|binding| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::AccelerationStructure { vertex_return: false },
            count: None,
        })
        .collect();
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &layout });
    let entries: Vec<_> = bindings
        .zip(structures)
        .map(|(binding, structure)| wgpu::BindGroupEntry { binding, resource: structure.as_binding() })
        .collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries })
}

#[test]
fn one_structure_may_be_bound_twice_and_built_twice() {
    let tracker = Tracker::new();
    let Adopted { device, queue, .. } = device(&tracker);
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let structure = tlas(&device);
        let group = bound(&device, &[&structure, &structure]);
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.build_acceleration_structures([], [&structure, &structure]);
        done.send(()).unwrap();
        drop((group, encoder, queue));
    });
    ended.recv_timeout(GUARD).expect("no lock is taken twice");
}

#[test]
fn a_built_structure_keeps_its_parts_until_it_is_built_of_others() {
    let tracker = Tracker::new();
    let Adopted { device, queue, .. } = device(&tracker);
    let counts = || {
        let totals = tracker.totals();
        let counts = totals.kinds().find(|(kind, _)| *kind == ResourceKind::BLAS).map(|(_, kind)| kind.device);
        counts.map(|counts| (counts.live(), counts.pending())).unwrap()
    };
    let (part, mut whole) = (blas(&device), tlas(&device));
    let identity = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    whole[0] = Some(wgpu::TlasInstance::new(&part, identity, 0, 0xff));
    let group = bound(&device, &[&whole]);
    let build = |whole: &wgpu::Tlas, parts: &[&wgpu::Blas]| {
        let [marks, mut encoder] =
            [(); 2].map(|()| device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()));
        // SAFETY: there is nothing to build, and nothing reads it.
        unsafe { marks.mark_acceleration_structures_built(parts.iter().copied(), []) };
        encoder.build_acceleration_structures([], [whole]);
        queue.submit([marks.finish(), encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    };
    build(&whole, &[&part]);
    drop(part);
    assert_eq!(counts(), (1, 0), "the instance is a handle");
    whole[0] = None;
    assert_eq!(counts(), (0, 1), "wgpu's structure refers to it");
    build(&whole, &[]);
    assert_eq!(counts(), (0, 0));
    drop(group);
}
