//! At every step the books hold what wgpu itself says that the device has: its counters of objects, and its allocator's
//! report by label.

use crate::books::Books;
use crate::scene::{self, Gpu};
use crate::support::skipped_without_adapter;
use engine_vitals::instrument::Instrumentation;
use engine_vitals::probe::{Level, ResourceKind};
use engine_vitals::tracker::ResourceRecord;
use std::collections::BTreeMap;

/// An instance that makes no buffers and bind groups of its own to check indirect draws with.
fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.flags.remove(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
    wgpu::Instance::new(descriptor)
}

/// Runs the scene and calls `check` wherever no device but the scene's own is alive.
fn at_every_step(test: &str, check: &mut dyn FnMut(&Gpu, &str, &[ResourceRecord])) {
    let mut books = Books::open(Level::Counters, false);
    let instance = Instrumentation::new(books.tracker.probe()).wrap(instance());
    let mut steps = 0;
    let at_step = &mut |gpu: &Gpu, step: &str| {
        let held = books.tracker.snapshot().resources;
        if held.iter().filter(|resource| resource.kind == ResourceKind::DEVICE).count() == 1 {
            check(gpu, step, &held);
            steps += 1;
        }
    };
    if scene::run(&instance, at_step).is_none() {
        return skipped_without_adapter(test);
    }
    assert!(steps > 60, "{steps} steps were checked");
    books.assert_closed();
}

#[test]
fn totals_equal_the_counters_of_wgpu_at_every_step() {
    let mut before = None;
    at_every_step("totals_equal_the_counters_of_wgpu_at_every_step", &mut |gpu, step, held| {
        let now = counted(&gpu.device.get_internal_counters().hal);
        let before = before.get_or_insert(now);
        // What is destroyed has no native object any more.
        let there: Vec<_> = held.iter().filter(|resource| !resource.destroyed).map(|resource| resource.kind).collect();
        let of = |kinds: &[ResourceKind]| there.iter().filter(|kind| kinds.contains(kind)).count() as isize;
        for ((kind, now), (_, before)) in now.into_iter().zip(*before) {
            let (wgpu, ours) = (now - before, of(&[kind]));
            // Views that wgpu makes to clear textures, and layouts that it derives from shaders, live as long as those.
            let own = match kind {
                ResourceKind::TEXTURE_VIEW => of(&[ResourceKind::TEXTURE, ResourceKind::TEXTURE_TARGET]) * 18,
                ResourceKind::PIPELINE_LAYOUT => of(&[ResourceKind::RENDER_PIPELINE, ResourceKind::COMPUTE_PIPELINE]),
                _ => 0,
            };
            let fewer = FEWER.iter().find(|(at, of, _)| (*at, *of) == (step, kind)).map_or(0, |(.., fewer)| *fewer);
            assert!((ours - fewer..=ours + own).contains(&wgpu), "{step}: {kind:?}: wgpu has {wgpu}, we hold {ours}");
        }
    });
}

/// Where wgpu has fewer native objects than the program has objects.
const FEWER: [(&str, ResourceKind, isize); 2] = [
    // Of equal layouts it makes one.
    ("pipeline cache: caches", ResourceKind::BIND_GROUP_LAYOUT, 2),
    // It frees a native bind group with the buffer in it that is destroyed.
    ("destroyed: a bind group of a destroyed buffer", ResourceKind::BIND_GROUP, 1),
];

/// Kinds for which wgpu's counters are sound on Vulkan. Buffers are not among them, since wgpu's own count too: see below.
fn counted(hal: &wgpu::wgt::HalCounters) -> [(ResourceKind, isize); 9] {
    [
        (ResourceKind::TEXTURE_VIEW, hal.texture_views.read()),
        (ResourceKind::BIND_GROUP, hal.bind_groups.read()),
        (ResourceKind::BIND_GROUP_LAYOUT, hal.bind_group_layouts.read()),
        (ResourceKind::PIPELINE_LAYOUT, hal.pipeline_layouts.read()),
        (ResourceKind::RENDER_PIPELINE, hal.render_pipelines.read()),
        (ResourceKind::COMPUTE_PIPELINE, hal.compute_pipelines.read()),
        (ResourceKind::SAMPLER, hal.samplers.read()),
        (ResourceKind::SHADER_MODULE, hal.shader_modules.read()),
        (ResourceKind::QUERY_SET, hal.query_sets.read()),
    ]
}

#[test]
fn the_allocator_has_what_we_hold_by_label_and_nothing_else() {
    let test = "the_allocator_has_what_we_hold_by_label_and_nothing_else";
    at_every_step(test, &mut |gpu, step, held| {
        let Some(report) = gpu.device.generate_allocator_report() else {
            panic!("no allocator report of this backend");
        };
        let mut allocated: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for allocation in &report.allocations {
            allocated.entry(&allocation.name).or_default().push(allocation.size);
        }
        let mut ours: BTreeMap<&str, Vec<&ResourceRecord>> = BTreeMap::new();
        for resource in held {
            if [ResourceKind::BUFFER, ResourceKind::TEXTURE, ResourceKind::TEXTURE_TARGET].contains(&resource.kind) {
                ours.entry(resource.label.as_deref().unwrap_or_default()).or_default().push(resource);
            }
        }
        for (label, mut sizes) in allocated {
            let Some(mut ours) = ours.remove(label) else {
                assert!(label.starts_with("(wgpu internal)"), "{step}: the books do not have {label:?}");
                continue;
            };
            let living = ours.iter().filter(|resource| !resource.destroyed).count();
            // The memory of what was destroyed is given back with the next submission at the latest.
            let fits = (living..=ours.len()).contains(&sizes.len());
            assert!(fits, "{step}: {} allocations of {label:?}, {living} living of {} held", sizes.len(), ours.len());
            if living < ours.len() {
                continue;
            }
            sizes.sort_unstable();
            ours.sort_unstable_by_key(|resource| resource.bytes);
            for (allocated, ours) in sizes.into_iter().zip(ours) {
                // Rows, layers and mips are aligned, and buffers padded.
                let fits = ours.bytes..=3 * ours.bytes + 64;
                assert!(fits.contains(&allocated), "{step}: {label:?}: {allocated} allocated, {} held", ours.bytes);
            }
        }
        let missing: Vec<_> = ours.into_values().flatten().filter(|resource| !resource.destroyed).collect();
        assert!(missing.is_empty(), "{step}: the allocator does not have {missing:?}");
    });
}
