//! What a pool does not do, and what it says then.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use engine_vitals::resources::pool::{
    BlockRequest, LayoutConfig, MemoryPool, MemoryPoolConfig, PoolError, layout::LayoutError,
};
use wgpu::BufferUsages as Usages;

use super::{noop, on_each_device};

#[test]
fn requests_that_make_no_sense_are_refused_and_counted() {
    let gpu = noop();
    let pool = gpu.pool(LayoutConfig::default());
    assert_eq!(pool.allocate(0, 4).unwrap_err(), PoolError::Request(LayoutError::Zero));
    for align in [0, 3, 12, u64::MAX] {
        assert_eq!(pool.allocate(16, align).unwrap_err(), PoolError::Request(LayoutError::Alignment { align }));
    }
    // One byte more than the largest block, what no slab can hold at that alignment, and what no number can.
    for (bytes, align) in [((256 << 20) + 1, 4), (4, 1 << 40), (u64::MAX, 4), (u64::MAX - 3, 1 << 63), (1, 1 << 63)] {
        let error = pool.allocate(bytes, align).unwrap_err();
        assert!(matches!(error, PoolError::Request(LayoutError::TooLarge { .. })), "{bytes} at {align}: {error}");
    }
    let stats = pool.stats();
    assert_eq!((stats.failures, stats.allocations, stats.slabs_made, stats.memory.reserved_bytes), (10, 0, 0, 0));
    let block = pool.allocate(10, 4).unwrap();
    for (offset, bytes) in [(0, 11), (12, 0), (4, 3), (2, 4), (1, 9), (u64::MAX, 1), (u64::MAX - 3, 4)] {
        let error = block.write(offset, &vec![1; bytes]).unwrap_err();
        assert_eq!(error, PoolError::Write { offset, bytes: bytes as u64, size: 10 });
    }
    for (offset, bytes) in [(0, 10), (0, 8), (8, 2), (4, 6), (0, 0), (8, 0)] {
        assert_eq!(block.write(offset, &vec![1; bytes]), Ok(()), "{bytes} at {offset}");
    }
}

#[test]
fn a_budget_is_kept_by_all_sets_of_usages_together_and_tells_the_pools_state() {
    let gpu = noop();
    let layout = LayoutConfig {
        budget_bytes: Some(256 << 10),
        first_slab_bytes: 64 << 10,
        largest_slab_bytes: 64 << 10,
        ..LayoutConfig::default()
    };
    let usages = vec![Usages::VERTEX, Usages::UNIFORM | Usages::STORAGE];
    let config = MemoryPoolConfig { usages: usages.clone(), layout, ..MemoryPoolConfig::default() };
    let pool = MemoryPool::with_config(&gpu.device, &gpu.queue, engine_vitals::Probe::OFF, config);
    let of = |usage, bytes| pool.request(&BlockRequest::new(bytes, 4).usage(usage));
    let vertices = of(Usages::VERTEX, 128 << 10).unwrap();
    let uniforms = of(Usages::UNIFORM, 128 << 10).unwrap();
    assert!(vertices.location().buffer.usage().contains(Usages::VERTEX | Usages::COPY_SRC | Usages::COPY_DST));
    assert!(uniforms.location().buffer.usage().contains(Usages::STORAGE));
    for usage in usages {
        let error = of(usage, 64).unwrap_err();
        let text = error.to_string();
        let PoolError::OverBudget { bytes: 64, align: 4, stats } = error else { panic!("{text}") };
        assert_eq!(stats.memory.reserved_bytes, 256 << 10);
        assert!(text.contains("262144 bytes reserved in 2 slabs") && text.contains("2 blocks"), "{text}");
    }
    let error = of(Usages::INDEX, 64).unwrap_err();
    assert!(matches!(error, PoolError::Usage { .. }) && error.to_string().contains("INDEX"), "{error}");
    assert_eq!((pool.stats().failures, pool.stats().memory.budget_bytes), (3, Some(256 << 10)));
    pool.set_budget(Some(320 << 10));
    let more = of(Usages::VERTEX, 64).unwrap();
    assert_eq!(pool.stats().memory.reserved_bytes, 320 << 10);
    // What was given back by one set serves another at once.
    drop((vertices, more));
    gpu.queue.submit([]);
    pool.maintain();
    gpu.wait();
    let larger = of(Usages::STORAGE, 192 << 10).unwrap();
    assert_eq!(pool.stats().memory.reserved_bytes, 320 << 10);
    drop((uniforms, larger));
}

#[test]
fn an_allocation_that_fits_the_budget_does_not_fail_for_empty_slabs() {
    on_each_device("an_allocation_that_fits_the_budget_does_not_fail_for_empty_slabs", |gpu| {
        let pool = gpu.pool(LayoutConfig { budget_bytes: Some(1 << 20), ..LayoutConfig::default() });
        for size in [100, 1_000, 10_000, 100_000, 1_000_000] {
            let blocks: Vec<_> = std::iter::from_fn(|| pool.allocate(size, 4).ok()).collect();
            // 100 bytes take a cell of 112.
            assert!(blocks.len() as u64 * size > (1 << 20) * 17 / 20, "{} blocks of {size}", blocks.len());
            drop(blocks);
            gpu.queue.submit([]);
            pool.maintain();
            gpu.wait();
        }
    });
}

#[test]
fn a_budget_is_used_to_the_last_byte() {
    let gpu = noop();
    for (budget, fit) in [(48 << 10, 3), ((48 << 10) - 1, 2), ((48 << 10) + 1, 3)] {
        let pool = gpu.pool(LayoutConfig { budget_bytes: Some(budget), ..LayoutConfig::default() });
        let blocks: Vec<_> = std::iter::from_fn(|| pool.allocate(16 << 10, 4).ok()).collect();
        assert_eq!((blocks.len(), pool.stats().failures), (fit, 1), "{budget}");
    }
    // Free cells of a class of less than the request, or more than twice, are no room for it; a slab without a block is.
    let pool = gpu.pool(LayoutConfig { budget_bytes: Some(16 << 10), ..LayoutConfig::default() });
    let small = pool.allocate(1_024, 4).unwrap();
    for bytes in [1_025, 512 - 32] {
        assert!(matches!(pool.allocate(bytes, 4), Err(PoolError::OverBudget { .. })), "{bytes}");
    }
    assert!(pool.allocate(1_024, 4).is_ok() && pool.allocate(600, 4).is_ok());
    drop(small);
    pool.maintain();
    assert_eq!(pool.allocate(16 << 10, 4).unwrap().size(), 16 << 10);
}

#[test]
fn a_request_takes_back_what_the_gpu_is_done_with_before_it_fails() {
    on_each_device("a_request_takes_back_what_the_gpu_is_done_with_before_it_fails", |gpu| {
        let pool = gpu.pool(LayoutConfig {
            budget_bytes: Some(64 << 10),
            first_slab_bytes: 64 << 10,
            ..LayoutConfig::default()
        });
        let blocks: Vec<_> = (0..4).map(|_| pool.allocate(16 << 10, 4).unwrap()).collect();
        drop(blocks);
        let error = pool.allocate(16 << 10, 4).unwrap_err();
        assert!(matches!(error, PoolError::OverBudget { .. }), "the frame has not ended: {error}");
        // Of the same class and of another one. Nobody polls but the requests.
        for bytes in [16 << 10, 64 << 10] {
            gpu.queue.submit([]);
            pool.maintain();
            let begun = Instant::now();
            while let Err(error) = pool.allocate(bytes, 4) {
                assert!(matches!(error, PoolError::OverBudget { .. }), "{error}");
                assert!(begun.elapsed() < Duration::from_secs(60), "the GPU has nothing to do: {error}");
            }
        }
    });
}

#[test]
fn a_callback_of_the_gpu_may_ask_for_what_does_not_fit() {
    on_each_device("a_callback_of_the_gpu_may_ask_for_what_does_not_fit", |gpu| {
        let pool = gpu.pool(LayoutConfig { budget_bytes: Some(16 << 10), ..LayoutConfig::default() });
        let block = pool.allocate(16 << 10, 4).unwrap();
        let (told, failed) = mpsc::channel();
        let same = pool.clone();
        gpu.queue.submit([]);
        gpu.queue.on_submitted_work_done(move || told.send(same.allocate(16 << 10, 4).is_err()).unwrap());
        gpu.wait();
        assert!(failed.recv_timeout(Duration::from_secs(60)).unwrap());
        drop(block);
        assert_eq!((pool.stats().failures, pool.stats().memory.live_blocks), (1, 0));
    });
}

#[test]
fn a_buffer_that_wgpu_refuses_is_an_error_and_reaches_no_handler() {
    let gpu = noop();
    gpu.device.on_uncaptured_error(std::sync::Arc::new(|error: wgpu::Error| panic!("uncaptured: {error}")));
    // Memory that the CPU writes may be copied from, and nothing else.
    let usages = vec![Usages::MAP_WRITE | Usages::VERTEX];
    let config = MemoryPoolConfig { usages, ..MemoryPoolConfig::default() };
    let pool = MemoryPool::with_config(&gpu.device, &gpu.queue, engine_vitals::Probe::OFF, config);
    let error = pool.allocate(64, 4).unwrap_err();
    assert!(matches!(error, PoolError::Buffer { .. }) && error.to_string().contains("MAP_WRITE"), "{error}");
    assert_eq!((pool.stats().memory.slabs, pool.stats().failures), (0, 1));
}

#[test]
fn a_lost_device_leaves_a_pool_that_answers_and_whose_books_go_to_zero() {
    on_each_device("a_lost_device_leaves_a_pool_that_answers", |gpu| {
        gpu.device.on_uncaptured_error(std::sync::Arc::new(|_: wgpu::Error| ()));
        let pool = gpu.pool(LayoutConfig { keep_empty_ticks: 2, ..LayoutConfig::default() });
        let mut blocks: Vec<_> = (0..100).map(|_| pool.allocate(1_000, 4).unwrap()).collect();
        blocks.retain(|block| block.location().offset % 3 == 0);
        gpu.queue.submit([]);
        pool.maintain();
        gpu.wait();
        pool.defragment();
        gpu.device.destroy();
        pool.defragment();
        pool.maintain();
        // An allocation may give a block or an error; neither hangs or panics.
        drop(pool.allocate(1 << 20, 4));
        drop(blocks);
        for _ in 0..4 {
            pool.maintain();
            let _ = gpu.device.poll(wgpu::PollType::Poll);
        }
        pool.compact(Duration::from_secs(5));
        let memory = pool.stats().memory;
        assert_eq!((memory.live_blocks, memory.waiting_blocks, memory.moves_under_way), (0, 0, 0), "{memory:?}");
        assert_eq!(memory.reserved_bytes, 0);
    });
}

#[test]
fn a_compaction_on_a_lost_device_ends() {
    on_each_device("a_compaction_on_a_lost_device_ends", |gpu| {
        gpu.device.on_uncaptured_error(std::sync::Arc::new(|_: wgpu::Error| ()));
        let (pool, blocks) = super::blocks::two_of_eight(gpu);
        gpu.device.destroy();
        let begun = Instant::now();
        assert_eq!(pool.compact(Duration::from_secs(600)).moved, 0);
        assert!(begun.elapsed() < Duration::from_secs(60));
        drop(blocks);
    });
}
