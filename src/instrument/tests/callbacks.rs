//! Callbacks that use the device, its queue and what they keep.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use engine_vitals_core::probe::Level;
use engine_vitals_core::tracker::Tracker;

use super::super::{Adopted, Instrumentation};
use super::{bind_group, noop, storage};

/// A hang is told after this.
const GUARD: Duration = Duration::from_secs(60);

/// Does all that a program does: makes, writes, destroys, submits, polls, opens a scope, drops.
fn busy(device: &wgpu::Device, queue: &wgpu::Queue) {
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let [from, to, destroyed] = ["from", "to", "destroyed"].map(|label| storage(device, label, 64));
    let group = bind_group(device, &from);
    queue.write_buffer(&from, 0, &[1; 16]);
    queue.write_buffer(&destroyed, 0, &[1; 16]);
    destroyed.destroy();
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(&from, 0, &to, 0, 64);
    queue.submit([encoder.finish()]);
    queue.on_submitted_work_done(|| {});
    device.poll(wgpu::PollType::Poll).unwrap();
    drop(group);
    assert!(pollster::block_on(scope.pop()).is_none());
}

#[test]
fn callbacks_may_do_what_the_program_may() {
    let tracker = Tracker::new();
    tracker.set_level(Level::Events);
    tracker.set_touch_lists(true);
    let (done, ended) = mpsc::channel();
    let probe = tracker.probe();
    std::thread::spawn(move || {
        let Adopted { device, queue, .. } = noop(&Instrumentation::new(probe));
        let called = Arc::new(AtomicUsize::new(0));
        // Callbacks that a device keeps must not keep the device: they make another one busy.
        let other = noop(&Instrumentation::new(probe));
        let callback = |of: &wgpu::Device, and: &wgpu::Queue| {
            let (device, queue, called) = (of.clone(), and.clone(), Arc::clone(&called));
            move || {
                busy(&device, &queue);
                called.fetch_add(1, Ordering::Relaxed);
            }
        };
        queue.on_submitted_work_done(callback(&device, &queue));
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mapped = [(); 3].map(|()| {
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false })
        });
        for buffer in &mapped {
            let call = callback(&device, &queue);
            buffer.map_async(wgpu::MapMode::Read, .., move |_| call());
        }
        // One is called off by its end, one by its unmapping, and one is mapped.
        let [first, second, third] = mapped;
        drop(first);
        second.unmap();
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        drop((second, third));
        assert_eq!(called.load(Ordering::Relaxed), 4);
        let call = callback(&other.device, &other.queue);
        device.on_uncaptured_error(Arc::new(move |_| call()));
        // wgpu's own error, and one of this layer.
        let _ = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 64,
            usage: wgpu::BufferUsages::empty(),
            mapped_at_creation: false,
        });
        drop(bind_group(&device, &storage(&noop(&Instrumentation::new(probe)).device, "elsewhere", 64)));
        assert_eq!(called.load(Ordering::Relaxed), 6);
        let call = callback(&other.device, &other.queue);
        device.set_device_lost_callback(move |_, _| call());
        device.destroy();
        let _ = device.poll(wgpu::PollType::Poll);
        assert_eq!(called.load(Ordering::Relaxed), 7);
        drop((device, queue));
        other.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        drop(other);
        done.send(()).unwrap();
    });
    ended.recv_timeout(GUARD).expect("no callback meets a lock");
    let totals = tracker.totals();
    assert!(totals.kinds().all(|(_, kind)| kind.device.created == kind.device.released), "{totals:?}");
}
