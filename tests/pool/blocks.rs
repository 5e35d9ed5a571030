//! Handles: counted, checked, pinned; freed when the GPU is done.

use engine_vitals::resources::pool::{LayoutConfig, PoolError};

use super::{noop, on_each_device};

#[test]
fn the_last_handle_ends_the_block_and_only_the_last() {
    let gpu = noop();
    let pool = gpu.pool(LayoutConfig::default());
    let block = pool.allocate(100, 4).unwrap();
    let id = block.id();
    let second = block.add_ref();
    assert_eq!(block.ref_count(), 2);
    assert!(!second.release() && pool.stats().memory.live_blocks == 1);
    let found = pool.find(id).unwrap();
    drop(block);
    assert_eq!(pool.stats().memory.live_blocks, 1);
    assert!(found.release() && pool.stats().memory.live_blocks == 0);
    assert_eq!(pool.find(id).unwrap_err(), PoolError::Gone);
}

#[test]
fn the_name_of_an_ended_block_is_not_that_of_its_successor() {
    let gpu = noop();
    let pool = gpu.pool(LayoutConfig::default());
    let first = pool.allocate(100, 4).unwrap();
    let (old, place) = (first.id(), first.location());
    drop(first);
    pool.maintain();
    gpu.queue.submit([]);
    pool.maintain();
    let next = pool.allocate(100, 4).unwrap();
    assert_eq!((next.location().buffer, next.location().offset), (place.buffer, place.offset), "the same bytes");
    assert_ne!(next.id(), old);
    assert_eq!(pool.find(old).unwrap_err(), PoolError::Gone);
    assert_eq!(gpu.pool(LayoutConfig::default()).find(next.id()).unwrap_err(), PoolError::Foreign);
}

#[test]
fn a_block_is_free_when_the_gpu_is_done_with_its_frame() {
    on_each_device("a_block_is_free_when_the_gpu_is_done_with_its_frame", |gpu| {
        let pool = gpu.pool(LayoutConfig::default());
        let block = pool.allocate(100, 4).unwrap();
        block.write(0, &[7; 100]).unwrap();
        drop(block);
        assert_eq!(pool.stats().memory.waiting_blocks, 1, "its frame has not ended");
        gpu.queue.submit([]);
        pool.maintain();
        gpu.wait();
        pool.maintain();
        let memory = pool.stats().memory;
        assert_eq!((memory.waiting_blocks, memory.allocated_bytes), (0, 0));
    });
}
