//! Handles: counted, checked, pinned; freed when the GPU is done.

use std::time::{Duration, Instant};

use engine_vitals::resources::pool::{LayoutConfig, MemoryPool, MemoryPoolConfig, PoolBlock, PoolError};

use super::{Gpu, noop, on_each_device};

#[test]
fn the_last_handle_ends_the_block_and_only_the_last() {
    let gpu = noop();
    let pool = gpu.pool(LayoutConfig::default());
    let block = pool.allocate(100, 4).unwrap();
    assert_eq!(size_of_val(&block), 32, "as docs/POOLS.md says");
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
pub(crate) fn two_of_eight(gpu: &Gpu) -> (MemoryPool, [PoolBlock; 2]) {
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

pub(crate) fn at_rest(gpu: &Gpu, pool: &MemoryPool) {
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
        let moved = usize::from(blocks[1].generation() == 1);
        assert!(!blocks[moved].touch(&before[moved]) && blocks[1 - moved].touch(&before[1 - moved]));
        let after = [&blocks[0], &blocks[1]].map(|block| block.location());
        assert_eq!(after[0].buffer, after[1].buffer);
        assert_eq!(after.iter().map(|location| location.generation).sum::<u64>(), 1);
        assert_eq!(pool.generation(), 1);
        // The old place is kept until the frame's end, and read before that.
        assert_eq!((pool.stats().memory.waiting_blocks, pool.stats().memory.waiting_bytes), (1, 1_024));
        assert_eq!(gpu.read(&before), gpu.read(&after));
        at_rest(gpu, &pool);
        assert_eq!(pool.stats().memory.slabs, 2, "empty, and kept for some frames");
        assert_eq!(pool.defragment().recovered_bytes, 4_096);
        assert_eq!(pool.trim(), 4_096);
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
                    let to = block.location();
                    assert!(block.touch(&to), "it has not moved");
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

fn encoder(gpu: &Gpu) -> wgpu::CommandEncoder {
    gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
}

/// Takes what every other block would get, and writes to it.
fn overwrite_what_is_free(pool: &MemoryPool) -> Vec<PoolBlock> {
    let fillers: Vec<_> = (0..16).map(|_| pool.allocate(1_024, 4).unwrap()).collect();
    fillers.iter().for_each(|filler| filler.write(0, &[0xEE; 1_024]).unwrap());
    fillers
}

#[test]
fn commands_keep_a_block_and_its_place_until_they_are_done() {
    on_each_device("commands_keep_a_block_and_its_place_until_they_are_done", |gpu| {
        let (pool, blocks) = two_of_eight(gpu);
        let back = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 2_048,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        // Recorded in one frame and submitted three later, with handles dropped and passes of defragmentation in between.
        let mut late = encoder(gpu);
        assert_eq!(pool.defragment().planned, 1, "copied already, and not moved");
        for (offset, block) in [(0, &blocks[0]), (1_024, &blocks[1])] {
            block.keep_for(&late);
            let from = block.location();
            late.copy_buffer_to_buffer(&from.buffer, from.offset, &back, offset, 1_024);
        }
        let ids = [blocks[0].id(), blocks[1].id()];
        drop(blocks);
        let mut fillers = Vec::new();
        for _ in 0..3 {
            gpu.queue.submit([]);
            at_rest(gpu, &pool);
            pool.defragment();
            fillers.push(overwrite_what_is_free(&pool));
            assert!(ids.iter().all(|&id| pool.find(id).is_ok()), "kept over the end of the frame");
        }
        assert_eq!(pool.stats().defrag.moved, 0);
        gpu.queue.submit([late.finish()]);
        gpu.wait();
        assert!(ids.iter().all(|&id| pool.find(id).unwrap_err() == PoolError::Gone));
        let mut location = fillers[0][0].location();
        (location.buffer, location.offset, location.size) = (back, 0, 2_048);
        assert_eq!(gpu.read(&[location])[0], [[0; 1_024], [4; 1_024]].concat());
        let block = pool.allocate(256, 4).unwrap();
        let dropped = encoder(gpu);
        block.keep_for(&dropped);
        let id = block.id();
        drop((block, dropped));
        assert_eq!(pool.find(id).unwrap_err(), PoolError::Gone, "commands that were dropped keep nothing");
    });
}

#[test]
fn what_is_written_by_a_target_of_an_earlier_frame_is_not_lost() {
    on_each_device("what_is_written_by_a_target_of_an_earlier_frame_is_not_lost", |gpu| {
        let (pool, blocks) = two_of_eight(gpu);
        let source = |value: u8| {
            let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: 1_024,
                usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            gpu.queue.write_buffer(&buffer, 0, &[value; 1_024]);
            buffer
        };
        let targets = [blocks[0].target(), blocks[1].target()];
        for _ in 0..3 {
            gpu.queue.submit([]);
            at_rest(gpu, &pool);
            assert_eq!(pool.defragment().planned, 0);
        }
        // Recorded by targets that are then dropped, and submitted behind a pass of defragmentation.
        let mut writes = encoder(gpu);
        for (target, value) in targets.iter().zip([50, 54]) {
            writes.copy_buffer_to_buffer(&source(value), 0, &target.buffer, target.offset, 1_024);
        }
        drop(targets);
        pool.defragment();
        gpu.queue.submit([writes.finish()]);
        for _ in 0..3 {
            at_rest(gpu, &pool);
            pool.defragment();
        }
        at_rest(gpu, &pool);
        assert_eq!(pool.stats().defrag.moved, 1);
        let fillers = overwrite_what_is_free(&pool);
        assert_eq!(gpu.contents(&[&blocks[0], &blocks[1]]), [[50; 1_024], [54; 1_024]]);
        drop(fillers);
    });
}

/// A pass whose commands are refused, by what is wrong with them or with others of the submission.
fn refused_pass(gpu: &Gpu, pool: &MemoryPool, whole_encoder: bool) {
    let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let broken = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 16,
        usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut copies = encoder(gpu);
    assert_eq!(pool.defragment_in(&mut copies).planned, 1);
    let mut sibling = encoder(gpu);
    if whole_encoder {
        copies.clear_buffer(&broken, 0, Some(64));
    } else {
        sibling.clear_buffer(&broken, 0, None);
        broken.destroy();
    }
    gpu.queue.submit([copies.finish(), sibling.finish()]);
    assert!(pollster::block_on(scope.pop()).is_some(), "it was refused");
    gpu.queue.submit([]);
    gpu.wait();
    at_rest(gpu, pool);
}

#[test]
fn commands_that_wgpu_refuses_move_nothing() {
    on_each_device("commands_that_wgpu_refuses_move_nothing", |gpu| {
        for whole_encoder in [true, false] {
            let (pool, blocks) = two_of_eight(gpu);
            drop(overwrite_what_is_free(&pool));
            gpu.queue.submit([]);
            at_rest(gpu, &pool);
            let before = [&blocks[0], &blocks[1]].map(|block| block.location());
            refused_pass(gpu, &pool, whole_encoder);
            let stats = pool.stats().defrag;
            assert_eq!((stats.moved, stats.stayed), (0, 1), "the whole encoder: {whole_encoder}");
            assert_eq!([&blocks[0], &blocks[1]].map(|block| block.location()), before);
            assert_eq!(gpu.contents(&[&blocks[0], &blocks[1]]), [[0; 1_024], [4; 1_024]]);
            // The next ones are carried out.
            for _ in 0..3 {
                pool.defragment();
                at_rest(gpu, &pool);
            }
            assert_eq!(pool.stats().defrag.moved, 1);
            assert_eq!(gpu.contents(&[&blocks[0], &blocks[1]]), [[0; 1_024], [4; 1_024]]);
            // And refused again, where the buffers that tell hold the stamps of the pass that was not.
            let first = blocks[0].location().buffer;
            let mut fillers = overwrite_what_is_free(&pool);
            let third = fillers.iter().position(|filler| filler.location().buffer != first).unwrap();
            let third = fillers.swap_remove(third);
            drop(fillers);
            gpu.queue.submit([]);
            at_rest(gpu, &pool);
            refused_pass(gpu, &pool, whole_encoder);
            let stats = pool.stats().defrag;
            assert_eq!((stats.moved, stats.stayed), (1, 2), "the whole encoder: {whole_encoder}");
            assert_eq!(gpu.contents(&[&blocks[0], &blocks[1], &third]), [[0; 1_024], [4; 1_024], [0xEE; 1_024]]);
        }
    });
}

#[test]
fn passes_that_are_submitted_in_another_order_move_what_they_copied() {
    on_each_device("passes_that_are_submitted_in_another_order_move_what_they_copied", |gpu| {
        let layout = LayoutConfig { first_slab_bytes: 4 << 10, largest_slab_bytes: 4 << 10, ..LayoutConfig::default() };
        let config = MemoryPoolConfig { layout, defrag_moves: 1, ..MemoryPoolConfig::default() };
        let pool = MemoryPool::with_config(&gpu.device, &gpu.queue, engine_vitals::Probe::OFF, config);
        let mut blocks: Vec<_> = (0..32_u8)
            .map(|value| {
                let block = pool.allocate(1_024, 4).unwrap();
                block.write(0, &[value; 1_024]).unwrap();
                (block, value)
            })
            .collect();
        blocks.retain(|(_, value)| value % 4 == 0);
        gpu.queue.submit([]);
        at_rest(gpu, &pool);
        for _ in 0..4 {
            let mut encoders = [(); 3].map(|()| encoder(gpu));
            let planned: u64 = encoders.iter_mut().map(|encoder| pool.defragment_in(encoder).planned).sum();
            let [first, second, third] = encoders;
            gpu.queue.submit([third.finish()]);
            drop(second);
            gpu.queue.submit([first.finish()]);
            at_rest(gpu, &pool);
            assert!(planned <= 3);
        }
        let stats = pool.stats().defrag;
        assert!(stats.moved >= 3 && stats.stayed >= 1, "{stats:?}");
        let fillers = overwrite_what_is_free(&pool);
        let read = gpu.contents(&blocks.iter().map(|(block, _)| block).collect::<Vec<_>>());
        assert!(read.iter().zip(&blocks).all(|(read, (_, value))| *read == [*value; 1_024]));
        drop(fillers);
    });
}

#[test]
fn a_compaction_ends_where_waiting_brings_nothing() {
    on_each_device("a_compaction_ends_where_waiting_brings_nothing", |gpu| {
        let (pool, blocks) = two_of_eight(gpu);
        let mut held = encoder(gpu);
        assert_eq!(pool.defragment_in(&mut held).planned, 1);
        // The commands are not submitted, and there is no other end.
        let begun = Instant::now();
        assert_eq!(pool.compact(Duration::MAX).moved, 0);
        assert!(begun.elapsed() < Duration::from_secs(60));
        drop(held);
        // Another thread may go on meanwhile.
        let compacted = std::thread::scope(|scope| {
            let other = scope.spawn(|| (0..200).map(|_| drop(pool.allocate(300, 4).unwrap())).count());
            let compacted = pool.compact(Duration::from_secs(30));
            assert_eq!(other.join().unwrap(), 200);
            compacted
        });
        assert_eq!(compacted.moved, 1, "{compacted:?}");
        assert_eq!(gpu.contents(&[&blocks[0], &blocks[1]]), [[0; 1_024], [4; 1_024]]);
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
