//! Each crate gives the same bytes with a plain instance, with an instrumented one, with one that times its passes and with one inside
//! another; in the end nothing is left in the books, and all that was in them was listed with its owner.

use crate::books::Books;
use crate::draws;
use crate::gpu::{Gpu, at_the_end, available, plain};
use crate::support::skipped_without_adapter;
use engine_vitals::instrument::Instrumentation;
use engine_vitals::monitor::{GpuPassReport, PassTimeMonitor, UntimedPass};
use engine_vitals::probe::{Context, EventKind, Level, OwnerKind, ResourceKind};
use engine_vitals::{Probe, Tracker};
use engine_vitals_third_party::against_wgpu;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

type Draw = fn(wgpu::Instance) -> Vec<u8>;

/// Draws in a context of the owner `name`.
fn draw_as(name: &str, books: &Books, draw: Draw, instance: wgpu::Instance) -> Vec<u8> {
    let owner = books.tracker.probe().owner_named(OwnerKind::ROOT_VISUAL, 1, name);
    let _owned = Context::current().with_owner(owner).enter();
    draw(instance)
}

/// The crate must make at least one resource of each of `kinds`, and run passes of these names.
fn check(name: &str, draw: Draw, kinds: &[ResourceKind], passes: &[&str]) {
    if !available() {
        return skipped_without_adapter(name);
    }
    let bytes = draw(plain());
    assert!(bytes.iter().any(|byte| *byte != bytes[0]), "nothing was drawn");
    assert!(bytes == draw(plain()), "not deterministic without instrumentation");

    let mut books = Books::open(Level::Events, true);
    let instance = Instrumentation::new(books.tracker.probe()).wrap(plain());
    assert!(bytes == draw_as(name, &books, draw, instance), "another output than with a plain instance");
    books.assert_closed();
    books.assert_told();
    assert_owned(name, &books, kinds);

    let mut books = Books::open(Level::Counters, false);
    let monitor = Arc::new(PassTimeMonitor::new("passes"));
    let timed = Instrumentation::builder(books.tracker.probe()).pass_sink(monitor.clone()).build();
    assert!(bytes == draw_as(name, &books, draw, timed.wrap(plain())), "another output when its passes are timed");
    books.assert_closed();
    assert_timed(&monitor.report(), passes);

    let (tracker, looked) = (Arc::new(Tracker::new()), Rc::new(Cell::new(0)));
    let instance = Instrumentation::new(tracker.probe()).wrap(plain());
    let (of_device, count) = (Arc::clone(&tracker), Rc::clone(&looked));
    let look = move |device: &_| {
        against_wgpu::assert_reconciled(device, &of_device);
        count.set(count.get() + 1);
    };
    assert!(bytes == at_the_end(look, || draw(instance)), "another output when it is reconciled");
    assert!(looked.get() > 0, "nobody looked");

    let mut inner = Books::open(Level::Counters, false);
    let mut outer = Books::open(Level::Events, false);
    let instance = Instrumentation::new(inner.tracker.probe()).wrap(plain());
    let instance = Instrumentation::new(outer.tracker.probe()).wrap(instance);
    assert!(bytes == draw_as(name, &outer, draw, instance), "another output when nested");
    inner.assert_closed();
    outer.assert_closed();
    assert_owned(name, &outer, kinds);
    let [inner, outer] = [inner, outer].map(|books| books.tracker.totals().device());
    assert_eq!((inner.created, inner.created_bytes), (outer.created, outer.created_bytes));
}

/// All passes without stamps of their own have a time, under these names.
fn assert_timed(report: &GpuPassReport, names: &[&str]) {
    let told: Vec<&str> = report.passes.iter().map(|pass| &*pass.name).collect();
    assert_eq!(told, names, "{report}");
    for (why, count) in report.untimed {
        assert!(why == UntimedPass::Own || count == 0, "{report}");
    }
    assert!(!names.is_empty() || report.untimed(UntimedPass::Own) > 0, "{report}");
}

/// Every resource was made in the name of the crate.
fn assert_owned(name: &str, books: &Books, kinds: &[ResourceKind]) {
    let made: Vec<_> = books.events.iter().filter(|event| event.event == EventKind::Create).collect();
    for event in &made {
        let owner = event.owner.and_then(|owner| books.tracker.owner(owner));
        assert_eq!(owner.and_then(|owner| owner.name), Some(name), "{event:?}");
    }
    for kind in kinds {
        assert!(made.iter().any(|event| event.resource_kind == Some(*kind)), "no {kind:?} was made");
    }
}

/// cubecl's runtime has a thread of its own, so that a context of ours does not reach it, and never ends. What is left in
/// the books is what wgpu itself still has.
#[test]
fn cubecl() {
    if !available() {
        return skipped_without_adapter("cubecl");
    }
    // With that check, wgpu has buffers and bind groups of its own.
    let plain = || {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.flags.remove(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
        wgpu::Instance::new(descriptor)
    };
    let compute = |instance| {
        let gpu = Gpu::new(instance, wgpu::Features::empty());
        (gpu.device.clone(), draws::cubecl::compute(gpu))
    };
    let (_, bytes) = compute(plain());
    assert!(bytes.iter().any(|byte| *byte != bytes[0]), "nothing was computed");
    let mut books = [(); 2].map(|()| Books::open(Level::Events, true));
    let monitors = ["inner", "outer"].map(|id| Arc::new(PassTimeMonitor::new(id)));
    let [inner, outer] = [0, 1].map(|i| {
        let probe = books[i].tracker.probe();
        Instrumentation::builder(probe)
            .owner_of_label("", probe.owner_named(OwnerKind::ROOT_VISUAL, 1, "cubecl"))
            .pass_sink(monitors[i].clone())
            .build()
    });
    let instances = [inner.wrap(plain()), outer.wrap(Instrumentation::new(Probe::OFF).wrap(plain()))];
    for ((instance, books), monitor) in instances.into_iter().zip(&mut books).zip(&monitors) {
        let (device, computed) = compute(instance);
        assert!(bytes == computed, "another output than with a plain instance");
        against_wgpu::settle(&device, &books.tracker);
        books.read();
        assert_owned("cubecl", books, &[ResourceKind::BUFFER, ResourceKind::COMPUTE_PIPELINE]);
        assert_timed(&monitor.report(), &["(no label)"]);
        against_wgpu::assert_counters(&device, &books.tracker);
        against_wgpu::assert_allocator(&device, &books.tracker);
        against_wgpu::assert_reconciled(&device, &books.tracker);
    }
}

#[test]
fn egui() {
    let kinds = [ResourceKind::BUFFER, ResourceKind::TEXTURE, ResourceKind::BIND_GROUP, ResourceKind::RENDER_PIPELINE];
    check("egui", draws::egui::draw, &kinds, &["egui"]);
}

#[test]
fn glyphon() {
    let kinds = [ResourceKind::BUFFER, ResourceKind::TEXTURE, ResourceKind::SAMPLER, ResourceKind::RENDER_PIPELINE];
    check("glyphon", draws::glyphon::draw, &kinds, &["(no label)"]);
}

#[test]
fn profiler() {
    // It has stamps of its own in each of its passes.
    check("profiler", draws::profiler::draw, &[ResourceKind::BUFFER, ResourceKind::QUERY_SET], &[]);
}

#[test]
fn vello() {
    let kinds = [ResourceKind::BUFFER, ResourceKind::TEXTURE, ResourceKind::COMPUTE_PIPELINE];
    check("vello", draws::vello::draw, &kinds, &["(no label)"]);
}
