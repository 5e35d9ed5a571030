//! One pool, several threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use engine_vitals::resources::pool::{LayoutConfig, PoolBlock};
use parking_lot::Mutex;

use fastrand::Rng;

use super::{noise, noop, on_each_device};

#[test]
fn threads_allocate_write_and_drop_while_one_defragments() {
    on_each_device("threads_allocate_write_and_drop_while_one_defragments", |gpu| {
        let pool = gpu.pool(LayoutConfig {
            first_slab_bytes: 4 << 10,
            largest_slab_bytes: 16 << 10,
            keep_empty_ticks: 3,
            budget_bytes: Some(16 << 20),
            ..LayoutConfig::default()
        });
        let over = AtomicBool::new(false);
        let kept: Mutex<Vec<(PoolBlock, Vec<u8>)>> = Mutex::default();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3)
                .map(|seed| {
                    let (pool, kept) = (&pool, &kept);
                    scope.spawn(move || {
                        let mut random = Rng::with_seed(seed);
                        let mut own: Vec<(PoolBlock, Vec<u8>)> = Vec::new();
                        for round in 0..600 {
                            let size = 1 + random.u64(..2_000);
                            let block = pool.allocate(size, 4).unwrap();
                            let bytes = noise(&mut random, size);
                            block.write(0, &bytes).unwrap();
                            own.push((block, bytes));
                            if own.len() > 40 {
                                for _ in 0..1 + random.u64(..3) {
                                    let gone = random.u64(..own.len() as u64) as usize;
                                    own.swap_remove(gone);
                                }
                            }
                            let one = random.u64(..own.len() as u64) as usize;
                            let (block, bytes) = &mut own[one];
                            *bytes = noise(&mut random, block.size());
                            block.write(0, bytes).unwrap();
                            if round % 50 == 49 {
                                // The thread that ends frames does not wait for this one.
                                let pins: Vec<_> = own.iter().map(|(block, _)| block.pin()).collect();
                                let read = gpu.contents(&own.iter().map(|(block, _)| block).collect::<Vec<_>>());
                                assert!(read.iter().zip(&own).all(|(read, (_, bytes))| read == bytes), "round {round}");
                                drop(pins);
                            }
                            // A handle that is dropped by another thread.
                            if random.u64(..10) == 0 {
                                let given = own.swap_remove(0);
                                kept.lock().push(given);
                            }
                        }
                        kept.lock().extend(own);
                    })
                })
                .collect();
            let (pool, over) = (&pool, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    pool.defragment();
                    gpu.queue.submit([]);
                    pool.maintain();
                    let _ = (gpu.device.poll(wgpu::PollType::Poll), pool.map());
                }
            });
            let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            over.store(true, Ordering::Relaxed);
            results.into_iter().for_each(|result| result.unwrap());
        });
        let kept = kept.into_inner();
        let read = gpu.contents(&kept.iter().map(|(block, _)| block).collect::<Vec<_>>());
        assert!(read.iter().zip(&kept).all(|(read, (_, bytes))| read == bytes));
        assert_eq!(pool.stats().memory.live_blocks, kept.len() as u64);
        drop(kept);
        gpu.queue.submit([]);
        pool.maintain();
        gpu.wait();
        pool.maintain();
        gpu.wait();
        pool.trim();
        let stats = pool.stats();
        assert_eq!((stats.memory.reserved_bytes, stats.memory.moves_under_way, stats.failures), (0, 0, 0), "{stats}");
        assert!(stats.defrag.moved > 0, "nothing was moved: {:?}", stats.defrag);
    });
}

#[test]
fn a_slab_that_one_thread_makes_is_waited_for_where_the_budget_has_no_second() {
    let gpu = noop();
    for _ in 0..100 {
        let pool = gpu.pool(LayoutConfig {
            first_slab_bytes: 4 << 10,
            largest_slab_bytes: 4 << 10,
            budget_bytes: Some(4 << 10),
            ..LayoutConfig::default()
        });
        let start = Barrier::new(4);
        let blocks: Vec<_> = std::thread::scope(|scope| {
            let one = || {
                start.wait();
                pool.allocate(1_024, 4)
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(blocks.iter().all(Result::is_ok), "all four fit the budget: {blocks:?}");
        assert_eq!((pool.stats().memory.slabs, pool.stats().failures), (1, 0));
        assert!(pool.allocate(1_024, 4).is_err());
    }
}
