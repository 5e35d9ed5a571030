//! The pool on a device, with its lock, its handle and the probe, against buffers that wgpu makes anew.

use std::error::Error;
use std::hint::black_box;

use engine_vitals::Probe;
use engine_vitals::resources::pool::{MemoryPool, MemoryPoolConfig, PoolBlock};
use engine_vitals_core::probe::Level;
use engine_vitals_core::tracker::Tracker;

use super::{GROUP, OURS};
use crate::harness::{Effort, Subject, alternate, cpu_ns};
use crate::report::Row;

/// Pairs of a round: between two frames.
const PAIRS: u64 = 1_000;
const BYTES: u64 = 16 << 10;
/// Blocks that live all the while.
const LIVE: u64 = 16 * PAIRS;
/// At most this part of what a buffer costs.
const TARGET: f64 = 1.0 / 20.0;
const BUFFERS: &str = "wgpu buffers made anew";

pub(super) fn run(effort: Effort, real: Option<(&wgpu::Device, &wgpu::Queue)>) -> Result<Vec<Row>, Box<dyn Error>> {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let mut rows = on(effort, "wgpu's noop device", &device, &queue)?;
    if let Some((device, queue)) = real {
        rows.extend(on(effort, "a Vulkan device", device, queue)?);
    }
    Ok(rows)
}

fn on(
    effort: Effort,
    device_name: &str,
    device: &wgpu::Device,
    queue: &wgpu::Queue,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let trackers = [Level::Counters, Level::Events].map(|level| Tracker::builder().level(level).build());
    let pool = |probe| {
        let pool = MemoryPool::with_config(device, queue, probe, MemoryPoolConfig::default());
        // So many that what waits for the GPU is little against it.
        let kept: Result<Vec<PoolBlock>, _> = (0..LIVE).map(|_| pool.allocate(BYTES, 256)).collect();
        kept.map(|kept| (pool, kept))
    };
    let (off, counters, events) = (pool(Probe::OFF)?, pool(trackers[0].probe())?, pool(trackers[1].probe())?);
    let before = [&off, &counters, &events].map(|(pool, _)| pool.stats().slabs_made);
    let settle = |pool: Option<&MemoryPool>| {
        queue.submit([]);
        if let Some(pool) = pool {
            pool.maintain();
        }
        // What the device says to this shows in the next round.
        let _ = device.poll(wgpu::PollType::wait_indefinitely());
        if let Some(pool) = pool {
            pool.maintain();
        }
    };
    let pairs = effort.times(PAIRS);
    let of_pool = |name, pool: &MemoryPool| {
        let (pool, settle) = (pool.clone(), &settle);
        Subject::new(name, move || {
            let time = cpu_ns(pairs, || {
                black_box(pool.allocate(black_box(BYTES), 256).is_ok());
            });
            settle(Some(&pool));
            time
        })
    };
    let descriptor = wgpu::BufferDescriptor {
        label: Some("block"),
        size: BYTES,
        usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    };
    let buffers = Subject::new(BUFFERS, || {
        let time = cpu_ns(pairs, || {
            black_box(device.create_buffer(black_box(&descriptor)));
        });
        settle(None);
        time
    });
    let mut layout = Core::new();
    let core = Subject::new(OURS, move || layout.round(pairs));
    let mut subjects = [
        buffers,
        core,
        of_pool("MemoryPool, probe off", &off.0),
        of_pool("MemoryPool, probe on: Counters", &counters.0),
        of_pool("MemoryPool, probe on: Events", &events.0),
    ];
    let rounds = alternate(effort, &mut subjects);
    let case = format!("16 KiB given out and freed, {device_name}");
    let mut rows = Vec::new();
    for (index, subject) in subjects.iter().enumerate() {
        let row = Row::new(GROUP, case.clone(), subject.name, "ns", rounds.value(index));
        rows.push(match index {
            0 => row,
            1 => row.against(BUFFERS, rounds.ratio(index, 0)).at_most(TARGET),
            _ => row.against(BUFFERS, rounds.ratio(index, 0)),
        });
    }
    let after = [&off, &counters, &events].map(|(pool, _)| pool.stats().slabs_made);
    let made = after[0] - before[0];
    let pairs = (pairs * (effort.rounds as u64 + 1)) as f64;
    rows.push(Row::new(GROUP, case, "MemoryPool, probe off", "slabs made for 1,000", 1e3 * made as f64 / pairs));
    let case = format!("what the probe adds to it, {device_name}");
    for (index, subject) in [(3, "Counters"), (4, "Events")] {
        rows.push(Row::new(GROUP, case.clone(), subject, "ns more", rounds.difference(index, 2)));
    }
    Ok(rows)
}

/// The layout alone, with as many blocks.
struct Core(engine_vitals::resources::pool::layout::Layout);

impl Core {
    fn new() -> Self {
        use engine_vitals::resources::pool::layout::{Layout, LayoutConfig};

        let mut layout = Layout::new(LayoutConfig::default());
        for _ in 0..LIVE {
            black_box(layout.allocate(BYTES, 256).is_ok());
        }
        Self(layout)
    }

    fn round(&mut self, pairs: u64) -> f64 {
        cpu_ns(pairs, || {
            if let Ok(allocated) = self.0.allocate(black_box(BYTES), 256) {
                self.0.free(allocated.block, 0);
            }
        })
    }
}
