//! Memory pools on devices: a real one where there is an adapter, and wgpu's noop device, whose buffers hold bytes too.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: helpers may fail it too")]

mod blocks;
mod contents;
mod counts;
mod errors;
#[cfg(feature = "fault")]
mod faults;
mod page;
#[cfg(all(feature = "instrument", feature = "telemetry"))]
mod reports;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "telemetry")]
mod targets;
mod threads;
mod transients;

use fastrand::Rng;

use engine_vitals::resources::pool::{BlockLocation, LayoutConfig, MemoryPool, MemoryPoolConfig, PoolBlock};

/// A device to run on.
struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
}

/// Runs a test on the noop device, and on a real one or with a named skip.
fn on_each_device(test: &str, run: impl Fn(&Gpu)) {
    run(&noop());
    if let Some((device, queue)) = support::device(test) {
        run(&Gpu { device, queue });
    }
}

fn noop() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    Gpu { device, queue }
}

impl Gpu {
    fn pool(&self, layout: LayoutConfig) -> MemoryPool {
        let config = MemoryPoolConfig { layout, ..MemoryPoolConfig::default() };
        MemoryPool::with_config(&self.device, &self.queue, engine_vitals::Probe::OFF, config)
    }

    /// Waits until all submitted work is done.
    fn wait(&self) {
        self.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    }

    /// What lies there now.
    fn read(&self, locations: &[BlockLocation]) -> Vec<Vec<u8>> {
        let padded = |location: &BlockLocation| location.size.next_multiple_of(4);
        let size = locations.iter().map(padded).sum::<u64>().max(4);
        let back = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut offset = 0;
        for location in locations {
            encoder.copy_buffer_to_buffer(&location.buffer, location.offset, &back, offset, padded(location));
            offset += padded(location);
        }
        self.queue.submit([encoder.finish()]);
        back.slice(..).map_async(wgpu::MapMode::Read, |mapped| mapped.unwrap());
        self.wait();
        let bytes = back.slice(..).get_mapped_range().unwrap();
        let mut offset = 0;
        let mut read = Vec::new();
        for location in locations {
            read.push(bytes[offset..offset + location.size as usize].to_vec());
            offset += padded(location) as usize;
        }
        read
    }

    fn contents(&self, blocks: &[&PoolBlock]) -> Vec<Vec<u8>> {
        self.read(&blocks.iter().map(|block| block.location()).collect::<Vec<_>>())
    }
}

/// Bytes by chance.
fn noise(random: &mut Rng, count: u64) -> Vec<u8> {
    let mut bytes = vec![0; count as usize];
    random.fill(&mut bytes);
    bytes
}
