//! What is written to a block is there, wherever defragmentation has moved it.

use std::time::Duration;

use engine_vitals::resources::pool::{BlockLocation, LayoutConfig, PoolBlock};

use fastrand::Rng;

use super::{Gpu, noise, on_each_device};

/// A block and what must lie in it.
struct Held {
    block: PoolBlock,
    bytes: Vec<u8>,
    last: BlockLocation,
}

fn small_slabs() -> LayoutConfig {
    LayoutConfig {
        first_slab_bytes: 8 << 10,
        largest_slab_bytes: 32 << 10,
        keep_empty_ticks: 4,
        ..LayoutConfig::default()
    }
}

#[test]
fn contents_survive_defragmentation_under_churn() {
    on_each_device("contents_survive_defragmentation_under_churn", |gpu| {
        for seed in 1..=3 {
            churn(gpu, seed);
        }
    });
}

fn churn(gpu: &Gpu, seed: u64) {
    let pool = gpu.pool(small_slabs());
    let mut random = Rng::with_seed(seed);
    let mut held: Vec<Held> = Vec::new();
    let sizes = [40, 300, 1_000, 3_001, 6_000];
    let mut seen = 0;
    for frame in 0..240 {
        // What has moved at the end of the frame before, before some of it goes.
        seen += look(&mut held);
        // Blocks come in bursts and go by chance, which leaves slabs half empty.
        if frame % 12 == 0 && held.len() < 600 {
            for _ in 0..80 {
                let most = sizes[random.u64(..5) as usize];
                let size = 1 + random.u64(..most);
                let block = pool.allocate(size, 1 << random.u64(..9)).unwrap();
                let bytes = noise(&mut random, size);
                block.write(0, &bytes).unwrap();
                held.push(Held { last: block.location(), block, bytes });
            }
        }
        for _ in 0..6 {
            if !held.is_empty() {
                let gone = random.u64(..held.len() as u64) as usize;
                held.swap_remove(gone);
            }
        }
        // Some are written again: by the CPU, and by commands.
        for _ in 0..2 {
            if !held.is_empty() {
                let one = random.u64(..held.len() as u64) as usize;
                overwrite(gpu, &mut held[one], &mut random);
            }
        }
        // What was asked for before the blocks move is good for reading until the frame ends.
        let before: Vec<BlockLocation> = held.iter().take(8).map(|held| held.block.location()).collect();
        pool.defragment();
        let filler = pool.allocate(500, 4).unwrap();
        filler.write(0, &noise(&mut random, 500)).unwrap();
        if frame % 16 == 5 {
            let read = gpu.read(&before);
            for (read, held) in read.iter().zip(&held) {
                assert!(*read == held.bytes, "seed {seed}, frame {frame}: an old place was given away too early");
            }
        } else {
            gpu.queue.submit([]);
        }
        seen += look(&mut held);
        assert_eq!(seen, pool.generation(), "each move is seen at its block, and counted once");
        if frame % 40 == 39 {
            check(gpu, &held, seed, frame);
        }
        pool.maintain();
        if random.u64(..3) == 0 {
            gpu.wait();
        }
    }
    let moved = pool.stats().defrag;
    assert!(moved.moved > 0 && moved.recovered_bytes > 0, "nothing was moved: {moved:?}");
    held.retain(|_| random.u64(..4) == 0);
    let sparse = pool.stats().memory.reserved_bytes;
    let compacted = pool.compact(Duration::from_secs(60));
    let stats = pool.stats();
    assert!(stats.memory.reserved_bytes < sparse, "{compacted:?}: {stats}");
    assert_eq!((stats.memory.moves_under_way, stats.memory.waiting_blocks), (0, 0));
    check(gpu, &held, seed, u64::MAX);
    // The books go to zero.
    held.clear();
    pool.maintain();
    gpu.wait();
    pool.trim();
    let memory = pool.stats().memory;
    assert_eq!(
        (memory.reserved_bytes, memory.allocated_bytes, memory.requested_bytes, memory.live_blocks),
        (0, 0, 0, 0)
    );
    let stats = pool.stats();
    assert_eq!(stats.slabs_made, stats.slabs_released);
    assert_eq!(stats.defrag.planned, stats.defrag.moved + stats.defrag.stayed + stats.defrag.gone);
}

/// How often the blocks have moved since they were looked at last.
fn look(held: &mut [Held]) -> u64 {
    let mut moved = 0;
    for held in held {
        let now = held.block.location();
        let same_place = (&now.buffer, now.offset) == (&held.last.buffer, held.last.offset);
        assert_eq!(now.generation == held.last.generation, same_place, "the generation tells of each move");
        assert_eq!(held.block.generation(), now.generation);
        moved += now.generation - held.last.generation;
        held.last = now;
    }
    moved
}

fn overwrite(gpu: &Gpu, held: &mut Held, random: &mut Rng) {
    let bytes = noise(random, held.bytes.len() as u64);
    if random.u64(..2) == 0 {
        held.block.write(0, &bytes).unwrap();
    } else {
        let padded = bytes.len().next_multiple_of(4);
        let source = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: padded as u64,
            usage: wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        });
        let mut whole = bytes.clone();
        whole.resize(padded, 0);
        source.slice(..).get_mapped_range_mut().unwrap().copy_from_slice(&whole);
        source.unmap();
        let to = held.block.target();
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&source, 0, &to.buffer, to.offset, padded as u64);
        gpu.queue.submit([encoder.finish()]);
    }
    held.bytes = bytes;
}

fn check(gpu: &Gpu, held: &[Held], seed: u64, frame: u64) {
    let read = gpu.contents(&held.iter().map(|held| &held.block).collect::<Vec<_>>());
    for (read, held) in read.iter().zip(held) {
        assert!(*read == held.bytes, "seed {seed}, frame {frame}: {:?} at {:?}", held.block, held.last);
    }
}
