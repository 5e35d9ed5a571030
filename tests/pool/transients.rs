//! Blocks that live for one frame.

use engine_vitals::resources::pool::LayoutConfig;

use super::on_each_device;

#[test]
fn a_pool_whose_blocks_live_for_one_frame_makes_no_slab_once_it_has_enough() {
    on_each_device("a_pool_whose_blocks_live_for_one_frame_makes_no_slab", |gpu| {
        let pool = gpu.pool(LayoutConfig { spare_divisor: 1, keep_empty_ticks: 30, ..LayoutConfig::default() });
        let mut made = Vec::new();
        for frame in 0..120_u64 {
            let sizes = [(48, 64 << 10), (100, 10_000), (10, 500_000)];
            let counts = sizes.map(|(count, size)| (if frame % 3 == 0 { count } else { count / 4 }, size));
            let blocks: Vec<_> = counts
                .iter()
                .flat_map(|&(count, size)| (0..count).map(move |_| size))
                .map(|size| pool.allocate(size, 256).unwrap())
                .collect();
            drop(blocks);
            gpu.queue.submit([]);
            gpu.wait();
            pool.maintain();
            made.push(pool.stats().slabs_made);
        }
        assert_eq!((made[20], pool.stats().slabs_released), (made[119], 0), "{made:?}");
        assert!(pool.stats().memory.reserved_bytes > 8 << 20, "far more than what is kept however small a pool is");
        // All of it is given back when it is not used any more.
        for _ in 0..32 {
            gpu.wait();
            pool.maintain();
        }
        assert_eq!(pool.stats().memory.reserved_bytes, 0);
    });
}
