//! What a pool reports: once, by whoever knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals::Tracker;
use engine_vitals::contract::{MemoryPoolReport, StoreReport};
use engine_vitals::instrument::Instrumentation;
use engine_vitals::probe::{Context, OwnerKind, SoftBudget};
use engine_vitals::resources::pool::{BlockRequest, LayoutConfig, MemoryPool, MemoryPoolConfig, PoolBlock, TargetPool};
use parking_lot::Mutex;

use super::{Gpu, noop, targets};

/// The noop device, instrumented.
pub(crate) fn instrumented(instrumentation: &Instrumentation) -> Gpu {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop = wgpu::NoopBackendOptions { enable: true, ..Default::default() };
    let instance = instrumentation.wrap(wgpu::Instance::new(descriptor));
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    Gpu { device, queue }
}

fn report(tracker: &Tracker) -> MemoryPoolReport {
    let [StoreReport::MemoryPool(report)] = &tracker.stores()[..] else { panic!("{:?}", tracker.stores()) };
    report.clone()
}

/// On an instrumented device, and on a plain one with a probe.
fn both(run: impl Fn(&str, &Tracker, &Gpu, MemoryPool)) {
    let layout = LayoutConfig {
        classes_per_octave: 16,
        first_slab_bytes: 4 << 10,
        largest_slab_bytes: 4 << 10,
        ..LayoutConfig::default()
    };
    let config = MemoryPoolConfig { name: "meshes".to_owned(), layout, ..MemoryPoolConfig::default() };
    let tracker = Tracker::new();
    let gpu = instrumented(&Instrumentation::new(tracker.probe()));
    let pool = MemoryPool::with_config(&gpu.device, &gpu.queue, engine_vitals::Probe::OFF, config.clone());
    run("instrumented", &tracker, &gpu, pool);
    let tracker = Tracker::new();
    let gpu = noop();
    let pool = MemoryPool::with_config(&gpu.device, &gpu.queue, tracker.probe(), config);
    run("plain", &tracker, &gpu, pool);
}

#[test]
fn a_slab_is_one_resource_and_its_blocks_lie_within_it() {
    both(|device, tracker, gpu, pool| {
        let before = tracker.totals().device();
        let owner = tracker.probe().owner(OwnerKind::ROOT_VISUAL, 7);
        let owned = Context::current().with_owner(owner).enter();
        let mut blocks: Vec<PoolBlock> =
            (0..8).map(|_| pool.request(&BlockRequest::new(1_000, 4).label("mesh")).unwrap()).collect();
        drop(owned);
        let device_now = tracker.totals().device();
        assert_eq!(device_now.live_bytes() - before.live_bytes(), 8_192, "{device}: two slabs, and no block");
        assert_eq!(device_now.live() - before.live(), 2, "{device}");
        let resources = tracker.snapshot().resources;
        let slabs: Vec<_> = resources.iter().filter(|one| one.label.as_deref() == Some("meshes")).collect();
        let meshes: Vec<_> = resources.iter().filter(|one| one.label.as_deref() == Some("mesh")).collect();
        assert_eq!((slabs.len(), meshes.len()), (2, 8), "{device}");
        for slab in &slabs {
            assert_eq!((slab.bytes, slab.within), (4_096, None));
            assert_eq!(slab.owner.unwrap().kind().name(), "memory pool");
        }
        for mesh in &meshes {
            assert!(slabs.iter().any(|slab| Some(slab.id) == mesh.within));
            assert_eq!((mesh.bytes, mesh.owner), (1_000, Some(owner)));
        }
        // Blocks that move lie within the slab that they have moved to.
        let last = blocks.swap_remove(4);
        blocks.truncate(1);
        blocks.push(last);
        gpu.queue.submit([]);
        pool.maintain();
        gpu.wait();
        pool.defragment();
        gpu.wait();
        pool.maintain();
        let pass = pool.stats().defrag;
        assert_eq!((pass.moved, pass.stayed), (1, 0), "{device}");
        let resources = tracker.snapshot().resources;
        let within: Vec<_> = resources.iter().filter(|one| one.within.is_some()).map(|one| one.within).collect();
        assert_eq!(within.len(), 2);
        assert_eq!(within[0], within[1], "{device}: in one slab");
        let report = report(tracker);
        assert_eq!((&*report.name, report.reserved_bytes, report.blocks, report.slabs), ("meshes", 8_192, 2, 2));
        assert_eq!(
            (report.allocations, report.failures, report.defrag_moves, report.defrag_moved_bytes),
            (8, 0, 1, 1_000)
        );
        assert_eq!(report.requested_bytes - report.waiting_blocks * 1_000, 2_000);
        assert_eq!(report.lost_bytes(), pool.stats().memory.lost_bytes());
        drop(blocks);
        gpu.queue.submit([]);
        pool.maintain();
        gpu.wait();
        assert_eq!(pool.trim(), 8_192);
        gpu.queue.submit([]);
        gpu.wait();
        // The two buffers that tell of copies, of 12 bytes together.
        let now = tracker.totals().device();
        assert_eq!((now.live_bytes() - before.live_bytes(), now.live() - before.live()), (12, 2), "{device}");
        drop(pool);
        gpu.queue.submit([]);
        gpu.wait();
        let after = tracker.totals();
        let live = (after.device().live_bytes(), after.device().live());
        assert_eq!(live, (before.live_bytes(), before.live()), "{device}");
        assert_eq!(after.inconsistencies, 0);
        assert!(tracker.stores().is_empty(), "{device}: listed for as long as it lives");
    });
}

#[test]
fn a_pool_without_a_probe_reports_nothing_and_works() {
    let gpu = noop();
    let pool = MemoryPool::new(&gpu.device, &gpu.queue);
    let block = pool.allocate(64, 4).unwrap();
    block.write(0, &[1; 64]).unwrap();
    assert_eq!(gpu.contents(&[&block])[0], [1; 64]);
}

#[test]
fn a_pool_on_an_instrumented_device_is_listed_with_no_further_word() {
    let tracker = Tracker::new();
    let gpu = instrumented(&Instrumentation::new(tracker.probe()));
    let _pool = MemoryPool::new(&gpu.device, &gpu.queue);
    let targets_of = TargetPool::new(&gpu.device);
    let before = tracker.totals().device();
    for _ in 0..3 {
        drop(targets_of.acquire(&targets::colour(64)).unwrap());
        targets_of.maintain();
    }
    let [StoreReport::MemoryPool(_), StoreReport::TargetPool(report)] = &tracker.stores()[..] else {
        panic!("{:?}", tracker.stores())
    };
    assert_eq!((report.created, report.reused, report.idle_bytes), (1, 2, 16_384));
    let device = tracker.totals().device();
    assert_eq!(device.live_bytes() - before.live_bytes(), 16_384, "counted once");
    assert_eq!(device.reused - before.reused, 2);
}

#[test]
fn a_soft_budget_s_callback_may_drop_and_ask_for_blocks_of_the_pool_that_makes_a_slab() {
    both(|device, tracker, gpu, pool| {
        let held = Arc::new(Mutex::new(Vec::new()));
        let calls = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        tracker.set_soft_budget(SoftBudget::process(10_000));
        let ([begun, ended], theirs, same) = (calls.clone(), Arc::clone(&held), pool.clone());
        tracker.before_over_budget(move |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            // What is kept of earlier frames goes, and something is asked for: in the class of the slab that is being made.
            theirs.lock().clear();
            let block = same.allocate(1_000, 4).unwrap();
            block.write(0, &[1; 1_000]).unwrap();
            drop(block);
            let _ = (same.stats(), same.map(), same.trim());
            same.maintain();
            ended.fetch_add(1, Ordering::Relaxed);
        });
        for _ in 0..40 {
            let block = pool.allocate(1_000, 4).unwrap();
            held.lock().push(block);
        }
        let calls = calls.map(|calls| calls.load(Ordering::Relaxed));
        assert!(calls[0] > 0 && calls[0] == calls[1], "{device}: a callback panicked: {calls:?}");
        tracker.never_before_over_budget();
        held.lock().clear();
        gpu.queue.submit([]);
        pool.maintain();
        gpu.wait();
        pool.trim();
        assert_eq!((pool.stats().memory.reserved_bytes, pool.stats().failures), (0, 0), "{device}");
    });
}

#[test]
fn maps_name_every_block_and_its_owner_and_are_json_and_svg() {
    both(|device, tracker, _, pool| {
        let owner = tracker.probe().owner(OwnerKind::EFFECT_PIPELINE, 1);
        let mut blocks = Vec::new();
        for (index, who) in ["terrain", "<ui> & \"text\"\u{1}", "terrain"].iter().enumerate() {
            let request = BlockRequest::new(900 + index as u64, 4).owner(who);
            blocks.push(pool.request(&request.label("block")).unwrap());
        }
        let guard = Context::current().with_owner(owner).enter();
        blocks.push(pool.allocate(2_000, 4).unwrap());
        drop(guard);
        blocks.push(pool.allocate(100, 4).unwrap());
        let pin = blocks[0].pin();
        let map = pool.map();
        let owners: Vec<_> = map.owners().into_iter().map(|(owner, bytes)| (owner.to_string(), bytes)).collect();
        let expected =
            [("<ui> & \"text\"\u{1}", 901), ("effect_pipeline", 2_000), ("terrain", 1_802), ("unowned", 100)];
        assert_eq!(owners, expected.map(|(owner, bytes)| (owner.to_owned(), bytes)), "{device}");
        let json: serde_json::Value = serde_json::from_str(&map.to_json().to_string()).unwrap();
        assert_eq!((json["name"].as_str(), json["live_blocks"].as_u64()), (Some("meshes"), Some(5)));
        let slabs = json["heaps"][0]["slabs"].as_array().unwrap();
        let sum = |field: &str| slabs.iter().map(|slab| slab[field].as_u64().unwrap()).sum::<u64>();
        assert_eq!(sum("bytes"), json["reserved_bytes"].as_u64().unwrap());
        let listed: Vec<_> = slabs.iter().flat_map(|slab| slab["blocks"].as_array().unwrap()).collect();
        assert_eq!(listed.iter().map(|block| block["requested_bytes"].as_u64().unwrap()).sum::<u64>(), 4_803);
        assert_eq!(listed.iter().filter(|block| block["pinned"] == true).count(), 1);
        assert!(json["budget_bytes"].is_null() && slabs[0]["resource"].is_u64(), "{device}");
        for bucket in json["heaps"][0]["buckets"].as_array().unwrap() {
            assert!(bucket["occupancy_ratio"].as_f64().unwrap() > 0.0 && bucket["largest_free_bytes"].is_u64());
        }
        let picture = map.to_svg();
        let mut open = Vec::new();
        let mut paths = 0;
        let mut titles = 0;
        for event in svg::read(&picture).unwrap() {
            match event {
                svg::parser::Event::Tag(name, svg::node::element::tag::Type::Start, _) => open.push(name.to_owned()),
                svg::parser::Event::Tag(name, svg::node::element::tag::Type::End, _) => {
                    assert_eq!(open.pop().as_deref(), Some(name));
                    titles += usize::from(name == "title");
                    paths += usize::from(name == "path");
                }
                svg::parser::Event::Tag(name, _, _) => paths += usize::from(name == "path"),
                svg::parser::Event::Error(error) => panic!("{error}"),
                _ => (),
            }
        }
        assert!(open.is_empty());
        // Four owners in as many classes: the bytes, what was asked for and what is pinned of each, and what waits and is left over of each slab.
        assert_eq!((titles, paths), (4, 4 * 3 + 2 * slabs.len()), "{picture}");
        assert!(picture.contains("&lt;ui&gt; &amp;") && !picture.contains('\u{1}'));
        drop((pin, blocks));
    });
}
