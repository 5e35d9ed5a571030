//! Render targets that are used again.

use engine_vitals::resources::pool::{TargetError, TargetPool, TargetPoolConfig};
use engine_vitals::{Probe, Tracker};

use super::{noop, on_each_device};

pub(crate) fn colour(side: u32) -> wgpu::TextureDescriptor<'static> {
    wgpu::TextureDescriptor {
        label: Some("colour"),
        size: wgpu::Extent3d { width: side, height: side, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    }
}

#[test]
fn a_target_is_used_again_for_the_same_descriptor_and_no_other() {
    on_each_device("a_target_is_used_again_for_the_same_descriptor_and_no_other", |gpu| {
        let pool = TargetPool::new(&gpu.device);
        let first = pool.acquire(&colour(64)).unwrap();
        assert_eq!((first.bytes(), first.texture().width()), (16_384, 64));
        let texture = first.texture().clone();
        drop(first);
        let same_frame = pool.acquire(&colour(64)).unwrap();
        assert_ne!(*same_frame.texture(), texture, "its commands may be submitted later");
        drop(same_frame);
        pool.maintain();
        let others = [
            colour(65),
            wgpu::TextureDescriptor { format: wgpu::TextureFormat::Bgra8Unorm, ..colour(64) },
            wgpu::TextureDescriptor { mip_level_count: 2, ..colour(64) },
            wgpu::TextureDescriptor { usage: wgpu::TextureUsages::RENDER_ATTACHMENT, ..colour(64) },
            wgpu::TextureDescriptor { sample_count: 4, ..colour(64) },
            wgpu::TextureDescriptor { view_formats: &[wgpu::TextureFormat::Rgba8UnormSrgb], ..colour(64) },
        ];
        let others: Vec<_> = others.iter().map(|other| pool.acquire(other).unwrap()).collect();
        assert_eq!(pool.stats().reused, 0);
        let again = pool.acquire(&wgpu::TextureDescriptor { label: Some("another name"), ..colour(64) }).unwrap();
        let stats = pool.stats();
        assert_eq!((stats.reused, stats.created, stats.used, stats.idle), (1, 8, 7, 1));
        assert_eq!(stats.idle_bytes, 16_384);
        let texture = again.texture().clone();
        again.recycle();
        assert_eq!(*pool.acquire(&colour(64)).unwrap().texture(), texture, "given out at once");
        drop(others);
        assert_eq!((pool.stats().used, pool.stats().used_bytes), (0, 0));
    });
}

#[test]
fn idle_targets_are_given_up_after_some_frames_and_beyond_some_bytes() {
    let gpu = noop();
    let config = TargetPoolConfig { keep_idle_frames: 3, idle_bytes: Some(40_000), ..TargetPoolConfig::default() };
    let pool = TargetPool::with_config(&gpu.device, Probe::OFF, config);
    let first: Vec<_> = (0..3).map(|_| pool.acquire(&colour(64)).unwrap()).collect();
    drop(first);
    pool.maintain();
    assert_eq!(
        (pool.stats().idle, pool.stats().idle_bytes, pool.stats().released),
        (2, 32_768, 1),
        "beyond 40,000 bytes"
    );
    pool.maintain();
    pool.maintain();
    assert_eq!(pool.stats().idle, 2);
    pool.maintain();
    assert_eq!((pool.stats().idle, pool.stats().idle_bytes, pool.stats().released), (0, 0, 3));
    drop(pool.acquire(&colour(64)).unwrap());
    assert_eq!((pool.trim(), pool.stats().idle), (0, 1), "commands of this frame may use it");
    pool.maintain();
    assert_eq!((pool.trim(), pool.stats().idle), (16_384, 0));
}

#[test]
fn a_descriptor_that_wgpu_refuses_is_an_error() {
    let gpu = noop();
    gpu.device.on_uncaptured_error(std::sync::Arc::new(|error: wgpu::Error| panic!("uncaptured: {error}")));
    let pool = TargetPool::new(&gpu.device);
    let zero = wgpu::Extent3d { width: 0, height: 64, depth_or_array_layers: 1 };
    let bad = [
        wgpu::TextureDescriptor { size: zero, ..colour(64) },
        colour(u32::MAX),
        wgpu::TextureDescriptor { mip_level_count: 40, ..colour(64) },
        wgpu::TextureDescriptor { sample_count: 3, ..colour(64) },
    ];
    for descriptor in bad {
        let error = pool.acquire(&descriptor).unwrap_err();
        assert!(matches!(error, TargetError::Texture { .. }), "{error}");
    }
    let stats = pool.stats();
    assert_eq!((stats.used, stats.created, stats.idle), (0, 0, 0));
}

#[test]
fn on_a_plain_device_targets_are_reported_to_the_probe_and_reuse_is_counted() {
    let gpu = noop();
    let tracker = Tracker::new();
    let pool = TargetPool::with_config(&gpu.device, tracker.probe(), TargetPoolConfig::default());
    for _ in 0..5 {
        drop(pool.acquire(&colour(64)).unwrap());
        pool.maintain();
    }
    let device = tracker.totals().device();
    assert_eq!((device.created, device.live(), device.live_bytes(), device.reused), (1, 1, 16_384, 4));
    drop(pool);
    assert_eq!(tracker.totals().device().live_bytes(), 0);
}
