//! Handles: counted, checked, pinned; freed when the GPU is done.

use engine_vitals::resources::pool::{LayoutConfig, MemoryPool, PoolBlock, PoolError};

use super::{Gpu, noop, on_each_device};

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
        // One that was at rest for long may be read by this frame too.
        let block = pool.allocate(100, 4).unwrap();
        at_rest(gpu, &pool);
        at_rest(gpu, &pool);
        drop(block);
        assert_eq!(pool.stats().memory.waiting_blocks, 1);
        at_rest(gpu, &pool);
        assert_eq!(pool.stats().memory.waiting_blocks, 0);
    });
}

#[test]
fn of_threads_that_release_at_once_one_ends_the_block() {
    let gpu = noop();
    let pool = gpu.pool(LayoutConfig::default());
    for _ in 0..200 {
        let block = pool.allocate(100, 4).unwrap();
        let mut handles = vec![block];
        handles.extend((0..4).map(|_| handles[0].add_ref()).collect::<Vec<_>>());
        let ended: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = handles.into_iter().map(|handle| scope.spawn(|| handle.release())).collect();
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
        });
        assert_eq!((ended, pool.stats().memory.live_blocks), (1, 0));
    }
}

/// Slabs of four cells of 1 KiB; of eight blocks the first of each slab is left. One can be moved to the other.
fn two_of_eight(gpu: &Gpu) -> (MemoryPool, [PoolBlock; 2]) {
    let pool =
        gpu.pool(LayoutConfig { first_slab_bytes: 4 << 10, largest_slab_bytes: 4 << 10, ..LayoutConfig::default() });
    let mut blocks: Vec<_> = (0..8).map(|_| pool.allocate(1_024, 4).unwrap()).collect();
    for (index, block) in blocks.iter().enumerate() {
        block.write(0, &[index as u8; 1_024]).unwrap();
    }
    let second = blocks.swap_remove(4);
    let first = blocks.swap_remove(0);
    drop(blocks);
    gpu.queue.submit([]);
    at_rest(gpu, &pool);
    assert_ne!(first.location().buffer, second.location().buffer);
    (pool, [first, second])
}

fn at_rest(gpu: &Gpu, pool: &MemoryPool) {
    pool.maintain();
    gpu.wait();
    pool.maintain();
}

#[test]
fn a_move_is_one_when_its_copy_is_made_and_the_slab_is_recovered_later() {
    on_each_device("a_move_is_one_when_its_copy_is_made_and_the_slab_is_recovered_later", |gpu| {
        let (pool, blocks) = two_of_eight(gpu);
        let before = [&blocks[0], &blocks[1]].map(|block| block.location());
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let planned = pool.defragment_in(&mut encoder);
        assert_eq!((planned.planned, planned.planned_bytes, planned.moved), (1, 1_024, 0));
        gpu.wait();
        assert_eq!(pool.defragment().moved, 0, "nothing was submitted");
        assert_eq!([&blocks[0], &blocks[1]].map(|block| block.location()), before);
        gpu.queue.submit([encoder.finish()]);
        gpu.wait();
        assert_eq!([&blocks[0], &blocks[1]].map(|block| block.location()), before, "nobody was told yet");
        let pass = pool.defragment();
        assert_eq!((pass.planned, pass.moved, pass.moved_bytes, pass.recovered_bytes), (0, 1, 1_024, 0));
        let after = [&blocks[0], &blocks[1]].map(|block| block.location());
        assert_eq!(after[0].buffer, after[1].buffer);
        assert_eq!(after.iter().map(|location| location.generation).sum::<u64>(), 1);
        assert_eq!(pool.generation(), 1);
        // The old place is kept until the frame's end, and read before that.
        assert_eq!((pool.stats().memory.waiting_blocks, pool.stats().memory.waiting_bytes), (1, 1_024));
        assert_eq!(gpu.read(&before), gpu.read(&after));
        at_rest(gpu, &pool);
        assert_eq!(pool.stats().memory.slabs, 2, "empty, and kept for some frames");
        assert_eq!(pool.trim(), 4_096);
        assert_eq!(pool.defragment().recovered_bytes, 4_096);
        assert_eq!(gpu.contents(&[&blocks[0], &blocks[1]]), [[0; 1_024], [4; 1_024]]);
    });
}

#[test]
fn commands_that_are_dropped_move_nothing_and_a_later_pass_does() {
    on_each_device("commands_that_are_dropped_move_nothing_and_a_later_pass_does", |gpu| {
        let (pool, blocks) = two_of_eight(gpu);
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        assert_eq!(pool.defragment_in(&mut encoder).planned, 1);
        drop(encoder);
        let pass = pool.defragment();
        assert_eq!((pass.stayed, pass.planned), (1, 1), "given up, and planned anew");
        gpu.wait();
        assert_eq!(pool.defragment().moved, 1);
        assert_eq!(gpu.contents(&[&blocks[0], &blocks[1]]), [[0; 1_024], [4; 1_024]]);
    });
}

#[test]
fn a_block_that_is_written_while_it_is_copied_stays_with_what_was_written() {
    on_each_device("a_block_that_is_written_while_it_is_copied_stays", |gpu| {
        for by_touch in [false, true] {
            let (pool, blocks) = two_of_eight(gpu);
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            assert_eq!(pool.defragment_in(&mut encoder).planned, 1);
            // The copy comes first, the writes second.
            gpu.queue.submit([encoder.finish()]);
            for (index, block) in blocks.iter().enumerate() {
                let new = [100 + index as u8; 1_024];
                if by_touch {
                    block.touch();
                    let to = block.location();
                    gpu.queue.write_buffer(&to.buffer, to.offset, &new);
                } else {
                    block.write(0, &new).unwrap();
                }
            }
            gpu.queue.submit([]);
            gpu.wait();
            let pass = pool.defragment();
            assert_eq!((pass.moved, pass.stayed, pass.planned), (0, 1, 0), "written in this frame: not planned anew");
            assert_eq!(gpu.contents(&[&blocks[0], &blocks[1]]), [[100; 1_024], [101; 1_024]]);
            at_rest(gpu, &pool);
            assert_eq!(pool.defragment().planned, 1, "at rest again");
        }
    });
}

#[test]
fn pinned_blocks_stay_until_the_last_pin_is_gone() {
    let gpu = noop();
    let (pool, blocks) = two_of_eight(&gpu);
    let pins: Vec<_> = blocks.iter().flat_map(|block| [block.pin(), block.pin()]).collect();
    assert_eq!(pool.defragment().planned, 0);
    let mut pins = pins.into_iter();
    drop((pins.next(), pins.nth(1)));
    assert_eq!(pool.defragment().planned, 0, "each is pinned still");
    drop(pins);
    assert_eq!(pool.defragment().planned, 0, "it may have been pinned to be written in this frame");
    at_rest(&gpu, &pool);
    // A pin that comes while the copy is made holds too, even if it is gone when the copy is.
    assert_eq!(pool.defragment().planned, 1);
    drop([&blocks[0], &blocks[1]].map(PoolBlock::pin));
    gpu.wait();
    let pass = pool.defragment();
    assert_eq!((pass.moved, pass.stayed), (0, 1));
    at_rest(&gpu, &pool);
    assert_eq!(pool.defragment().planned, 1);
    let pins: Vec<_> = blocks.iter().map(PoolBlock::pin).collect();
    gpu.wait();
    let pass = pool.defragment();
    assert_eq!((pass.moved, pass.stayed), (0, 1));
    drop(pins);
    at_rest(&gpu, &pool);
    assert_eq!(pool.defragment().planned, 1);
}

#[test]
fn commands_keep_a_block_that_is_dropped_before_they_are_submitted() {
    on_each_device("commands_keep_a_block_that_is_dropped_before_they_are_submitted", |gpu| {
        let pool = gpu.pool(LayoutConfig::default());
        let block = pool.allocate(256, 4).unwrap();
        let id = block.id();
        let encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        block.keep_for(&encoder);
        drop(block);
        gpu.queue.submit([]);
        at_rest(gpu, &pool);
        assert!(pool.find(id).is_ok(), "kept over the end of the frame");
        gpu.queue.submit([encoder.finish()]);
        gpu.wait();
        assert_eq!(pool.find(id).unwrap_err(), PoolError::Gone);
        let second = pool.allocate(256, 4).unwrap();
        let encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        second.keep_for(&encoder);
        let id = second.id();
        drop((second, encoder));
        assert_eq!(pool.find(id).unwrap_err(), PoolError::Gone, "commands that were dropped keep nothing");
    });
}

#[test]
fn blocks_live_on_without_their_pool_and_are_where_they_were() {
    on_each_device("blocks_live_on_without_their_pool", |gpu| {
        let pool = gpu.pool(LayoutConfig::default());
        let block = pool.allocate(64, 4).unwrap();
        drop(pool);
        block.write(0, &[3; 64]).unwrap();
        assert_eq!(gpu.contents(&[&block])[0], [3; 64]);
    });
}

#[test]
fn alignments_are_kept_and_large_blocks_have_a_slab_of_their_own() {
    let gpu = noop();
    let pool = gpu.pool(LayoutConfig::default());
    let mut blocks = Vec::new();
    for shift in 0..=16 {
        for size in [1, 100, 5_000, 70_000] {
            let block = pool.allocate(size, 1 << shift).unwrap();
            assert!(block.location().offset.is_multiple_of(1 << shift), "{size} at {}", 1 << shift);
            blocks.push(block);
        }
    }
    let large = pool.allocate((33 << 20) + 1, 256).unwrap();
    let location = large.location();
    // A class of a thirty-second of an octave.
    assert_eq!((location.offset, location.buffer.size()), (0, 34 << 20));
    assert_eq!(pool.allocate_bucket(1_000).unwrap().location().offset % 256, 0);
}
