//! Memory that runs out, by a plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals::Tracker;
use engine_vitals::instrument::Instrumentation;
use engine_vitals::instrument::fault::{Call, Fault, FaultPlan, Rule, When};
use engine_vitals::resources::pool::{LayoutConfig, PoolError, TargetError, TargetPool};

use super::{Gpu, reports, targets};

fn failing(fault: Fault, when: When, call: Call) -> Gpu {
    let plan = FaultPlan::seeded(1).fail(Rule::new(fault, when).on(call));
    let tracker = Tracker::new();
    let gpu = reports::instrumented(&Instrumentation::builder(tracker.probe()).faults(plan).build());
    // What a pool asks for must not get here.
    gpu.device.on_uncaptured_error(Arc::new(|error: wgpu::Error| panic!("uncaptured: {error}")));
    gpu
}

#[test]
fn memory_that_runs_out_is_an_error_with_the_pools_state_and_the_pool_goes_on() {
    let gpu = failing(Fault::OutOfMemory, When::Calls(vec![2, 3, 5]), Call::CreateBuffer);
    let pool = gpu.pool(LayoutConfig::default());
    let small = pool.allocate(1_000, 4).unwrap();
    small.write(0, &[9; 1_000]).unwrap();
    for round in 1..=2 {
        let error = pool.allocate(5_000, 4).unwrap_err();
        let text = error.to_string();
        let PoolError::OutOfMemory { slab_bytes, bytes: 5_000, stats } = error else { panic!("{text}") };
        assert_eq!((stats.memory.slabs, stats.memory.live_blocks, stats.failures), (1, 1, round));
        assert!(slab_bytes >= 5_000 && text.contains(&slab_bytes.to_string()) && text.contains("1 blocks"), "{text}");
    }
    let next = pool.allocate(5_000, 4).unwrap();
    drop(next);
    gpu.queue.submit([]);
    pool.maintain();
    gpu.wait();
    // The slab of 5,000 is empty: it is given back, and the second try succeeds.
    let third = pool.allocate(10_000, 4).unwrap();
    let stats = pool.stats();
    assert_eq!((stats.memory.slabs, stats.slabs_released, stats.failures), (2, 1, 2));
    assert_eq!(gpu.contents(&[&small])[0], [9; 1_000]);
    drop((small, third));
    gpu.queue.submit([]);
    pool.maintain();
    gpu.wait();
    pool.trim();
    assert_eq!(pool.stats().memory.reserved_bytes, 0);
}

#[test]
fn an_error_of_validation_in_a_slab_is_the_requests_own() {
    let gpu = failing(Fault::Validation, When::Calls(vec![1]), Call::CreateBuffer);
    let pool = gpu.pool(LayoutConfig::default());
    let error = pool.allocate(64, 4).unwrap_err();
    assert!(matches!(error, PoolError::Buffer { .. }) && error.to_string().contains("injected fault"), "{error}");
    assert!(pool.allocate(64, 4).is_ok());
}

#[test]
fn a_target_that_there_is_no_memory_for_gets_that_of_the_idle_ones() {
    let gpu = failing(Fault::OutOfMemory, When::Calls(vec![2, 4]), Call::CreateTexture);
    let pool = TargetPool::new(&gpu.device);
    let first = pool.acquire(&targets::colour(64)).unwrap();
    let error = pool.acquire(&targets::colour(128)).unwrap_err();
    let TargetError::OutOfMemory { bytes: Some(65_536), report } = &error else { panic!("{error}") };
    assert_eq!((report.used, report.idle, report.created), (1, 0, 1));
    drop(first);
    pool.maintain();
    let second = pool.acquire(&targets::colour(32)).unwrap();
    let third = pool.acquire(&targets::colour(128)).unwrap();
    let stats = pool.stats();
    assert_eq!((stats.used, stats.idle, stats.created, stats.released), (2, 0, 3, 1), "the idle one made room");
    drop((second, third));
}

#[test]
fn nothing_is_given_out_again_while_the_gpu_is_busy() {
    let plan = FaultPlan::seeded(1).fail(Rule::new(Fault::Stall, When::Calls(vec![2])));
    let tracker = Tracker::new();
    let gpu = reports::instrumented(&Instrumentation::builder(tracker.probe()).faults(plan.clone()).build());
    let pool = gpu.pool(LayoutConfig::default());
    let block = pool.allocate(1_000, 4).unwrap();
    gpu.queue.submit([]);
    pool.maintain();
    gpu.wait();
    pool.maintain();
    // A frame that the GPU does not get done.
    drop(block);
    gpu.queue.submit([]);
    for _ in 0..3 {
        pool.maintain();
        gpu.device.poll(wgpu::PollType::Poll).unwrap();
        assert_eq!(pool.stats().memory.waiting_blocks, 1);
    }
    assert_eq!(pool.trim(), 0);
    plan.release();
    gpu.wait();
    let reserved = pool.stats().memory.reserved_bytes;
    assert!(reserved > 0 && pool.trim() == reserved);
}

#[test]
fn a_pass_of_defragmentation_that_fails_moves_nothing() {
    for (call, fault) in [
        (Call::CreateCommandEncoder, Fault::OutOfMemory),
        (Call::Finish, Fault::Validation),
        (Call::Submit, Fault::Validation),
        (Call::CreateBuffer, Fault::OutOfMemory),
    ] {
        let plan = FaultPlan::seeded(1).fail(Rule::new(fault, When::Every(1)).on(call));
        plan.disarm();
        let tracker = Tracker::new();
        let gpu = reports::instrumented(&Instrumentation::builder(tracker.probe()).faults(plan.clone()).build());
        let told = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&told);
        gpu.device.on_uncaptured_error(Arc::new(move |_: wgpu::Error| {
            counts.fetch_add(1, Ordering::Relaxed);
        }));
        let (pool, blocks) = super::blocks::two_of_eight(&gpu);
        let before = [&blocks[0], &blocks[1]].map(|block| block.location());
        plan.arm();
        assert_eq!(pool.defragment().planned, 1);
        plan.disarm();
        assert!(plan.failed() > 0, "{call:?}");
        // What a submission takes along may be at fault, and is the program's.
        assert_eq!(told.load(Ordering::Relaxed), u64::from(call == Call::Submit), "{call:?}");
        gpu.queue.submit([]);
        super::blocks::at_rest(&gpu, &pool);
        let stats = pool.stats().defrag;
        assert_eq!((stats.moved, stats.stayed), (0, 1), "{call:?}");
        assert_eq!([&blocks[0], &blocks[1]].map(|block| block.location()), before, "{call:?}");
        for _ in 0..3 {
            pool.defragment();
            super::blocks::at_rest(&gpu, &pool);
        }
        assert_eq!(pool.stats().defrag.moved, 1, "{call:?}");
        assert_eq!(gpu.contents(&[&blocks[0], &blocks[1]]), [[0; 1_024], [4; 1_024]], "{call:?}");
    }
}
