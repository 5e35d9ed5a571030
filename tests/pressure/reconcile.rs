//! The book against wgpu's allocator.

use engine_vitals::instrument::real_device;

use crate::{Program, buffer, texture};

#[test]
fn a_planted_allocation_that_is_not_tracked_is_unaccounted_under_its_name() {
    let test = "a_planted_allocation_that_is_not_tracked_is_unaccounted_under_its_name";
    let Some(program) = Program::start(test, |builder| builder) else { return };
    let Some(empty) = program.vitals.reconcile() else { panic!("a device is measured") };
    if empty.allocated.is_none() {
        let backend = program.device.adapter_info().backend;
        assert!(![wgpu::Backend::Vulkan, wgpu::Backend::Dx12].contains(&backend), "no allocator's report");
        crate::support::skipped(test, "a backend without an allocator's report");
        return;
    }
    let buffers: Vec<_> = (0..200_u64).map(|n| program.buffer("mesh", 10_000 + 4_096 * n)).collect();
    let _nameless = program.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 123_456,
        usage: wgpu::BufferUsages::VERTEX,
        mapped_at_creation: false,
    });
    let textures: Vec<_> = (0..20).map(|n| texture(&program.device, "albedo", 256 + 16 * n)).collect();
    let long = program.buffer(&"l".repeat(500), 70_000);
    let result = program.vitals.reconcile().unwrap();
    assert_eq!(result.unaccounted_bytes(), Some(0), "{result}");
    let given = result.allocated.unwrap() - result.wgpu_internal.unwrap() - result.telemetry.unwrap();
    println!("{result}");
    let tracked = result.live + result.pending - result.elsewhere.unwrap();
    assert_eq!(result.elsewhere, Some(0), "{result}");
    assert_eq!(i64::try_from(given).unwrap(), i64::try_from(tracked).unwrap() + result.alignment.unwrap());
    assert!(given.abs_diff(tracked) * 100 <= tracked, "within 1 %: {result}");

    // Past the instrumentation.
    let planted = buffer(real_device(&program.device), "planted", 5 << 20);
    let result = program.vitals.reconcile().unwrap();
    assert!((5 << 20..6 << 20).contains(&result.unaccounted_bytes().unwrap()), "{result}");
    assert_eq!(result.untracked_names.len(), 1);
    assert_eq!(result.untracked_names[0].0, "planted");
    println!("{result}");
    assert!(result.to_string().contains("\"planted\": 5.00 MiB"), "{result}");
    drop((planted, buffers, textures, long));
    program.wait();
    let result = program.vitals.reconcile().unwrap();
    assert_eq!((result.unaccounted_bytes(), result.live), (Some(0), 123_456), "{result}");
}
