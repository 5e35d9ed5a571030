//! A program that loses its device and takes another, again and again: one lost-callback for each, nothing left in the book, flat memory.
//!
//! A hundred times, or as often as `ENGINE_VITALS_SOAK_DEVICES` says; `cargo xtask soak devices` makes it a thousand.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test: helpers fail it and tell of it too")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine_vitals::memory::get_currently_allocated_bytes;
use engine_vitals::monitor::{GpuPassReport, UntimedPass};
use engine_vitals::{Tracker, TrackingAllocator, Vitals};
use parking_lot::Mutex;
use support::skipped_without_adapter;

#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system();

/// The heap is one for both tests.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Devices that come and go before what is held is looked at: caches fill, threads claim what they keep.
const WARM_UP: u64 = 50;
/// What may stay of each device on the program's heap, and of all of them: a table that grows once, the counters of a thread (97 KB) that two
/// claim when they first report at the same time. A device that stays keeps some ten KiB, a hundred of them a MiB.
const HEAP_BYTES_EACH: u64 = 64;
const HEAP_BYTES_ONCE: u64 = 256 << 10;

#[test]
fn devices_that_do_nothing() {
    let _one = ONE_AT_A_TIME.lock();
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop = wgpu::NoopBackendOptions::enabled();
    let grown = cycles("noop", &wgpu::Instance::new(descriptor), devices()).unwrap();
    grown.assert_flat();
}

#[test]
fn devices_of_the_gpu() {
    let _one = ONE_AT_A_TIME.lock();
    let instance = || wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let Some(grown) = cycles("the GPU", &instance(), devices()) else {
        return skipped_without_adapter("devices_of_the_gpu");
    };
    grown.assert_flat();
    // The driver's own memory is not on this heap. What stays of it stays of the same devices without Vitals, too.
    let plain = bare("the GPU", &instance(), devices()).unwrap();
    if let (Some(ours), Some(plain)) = (grown.resident_each(), plain.resident_each()) {
        assert!(
            ours < plain.max(0.0) + 16_384.0,
            "resident bytes for each device: {ours:.0}, without Vitals {plain:.0}"
        );
    }
}

/// How many come and go.
fn devices() -> u64 {
    std::env::var("ENGINE_VITALS_SOAK_DEVICES").map_or(100, |count| count.parse().unwrap())
}

/// What the process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    heap: u64,
    resident: Option<u64>,
    threads: Option<usize>,
    files: Option<usize>,
    monitors: usize,
}

impl Held {
    fn now(monitors: usize) -> Self {
        let entries = |folder: &str| std::fs::read_dir(folder).ok().map(Iterator::count);
        let statm = std::fs::read_to_string("/proc/self/statm").ok();
        let pages = statm.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
        Self {
            heap: get_currently_allocated_bytes().unwrap(),
            resident: pages.map(|pages| pages * 4_096),
            threads: entries("/proc/self/task"),
            files: entries("/proc/self/fd"),
            monitors,
        }
    }

    /// At the end: what threads of Vitals' own hold for a moment is not held.
    fn in_the_end(monitors: usize, most: u64) -> Self {
        let began = Instant::now();
        while get_currently_allocated_bytes().unwrap() > most && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(50));
        }
        Self::now(monitors)
    }
}

fn most_heap(first: Held, devices: u64) -> u64 {
    first.heap + HEAP_BYTES_ONCE + HEAP_BYTES_EACH * devices
}

/// After the warm-up, and at the end.
#[derive(Debug)]
struct Grown {
    devices: u64,
    first: Held,
    last: Held,
}

impl Grown {
    fn heap_each(&self) -> f64 {
        (self.last.heap as f64 - self.first.heap as f64) / self.devices as f64
    }

    fn resident_each(&self) -> Option<f64> {
        Some((self.last.resident? as f64 - self.first.resident? as f64) / self.devices as f64)
    }

    #[track_caller]
    fn assert_flat(&self) {
        let Self { first, last, .. } = self;
        assert!(
            last.heap <= most_heap(*first, self.devices),
            "{:.0} bytes of each device stay: {self:#?}",
            self.heap_each()
        );
        assert_eq!(
            (first.threads, first.files, first.monitors),
            (last.threads, last.files, last.monitors),
            "threads, open files and monitors: {self:#?}"
        );
    }

    fn report(&self, name: &str, took: Duration) {
        let resident = self.resident_each().map_or("unknown".to_owned(), |bytes| format!("{bytes:+.0}"));
        eprintln!(
            "{name}: {} devices in {:.1} s; bytes for each: heap {:+.1}, resident {resident}; {:?}",
            self.devices,
            took.as_secs_f64(),
            self.heap_each(),
            self.last,
        );
    }
}

/// What a program hears of a device.
#[derive(Default)]
struct Heard {
    lost: AtomicU64,
    delivered: AtomicU64,
}

impl engine_vitals::gpu::FrameSink for Heard {
    fn frame(&self, _: engine_vitals::contract::FrameStats) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Devices one after the other under Vitals, instrumented and watched; `None` without an adapter.
fn cycles(name: &str, instance: &wgpu::Instance, count: u64) -> Option<Grown> {
    // The ends of the last 4,096 lives of queues and targets are kept, which a thousand devices do not fill: none are followed here.
    let tracker = Tracker::builder().followed_kinds(&[]);
    let vitals = Vitals::builder().without_server().tracker(tracker).start();
    let instance = vitals.wrap(instance.clone());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).ok()?;
    let heard = Arc::new(Heard::default());
    // Ends the startup, and fills what is kept of the last packets.
    (0..2_000).for_each(|_| _ = vitals.frame());
    let began = Instant::now();
    let mut first = None;
    for cycle in 0..WARM_UP + count {
        if cycle == WARM_UP {
            first = Some(Held::now(vitals.registry().monitors().len()));
        }
        live_and_die(&adapter, &heard, Some(&vitals));
        vitals.frame();
        assert_eq!(heard.lost.load(Ordering::Relaxed), cycle + 1, "each device is lost once");
    }
    // The callback of one that is told twice may come late.
    instance.poll_all(false);
    let first: Held = first?;
    let last = Held::in_the_end(vitals.registry().monitors().len(), most_heap(first, count));
    let grown = Grown { devices: count, first, last };
    grown.report(&format!("{name}, with Vitals"), began.elapsed());
    assert_eq!(heard.lost.load(Ordering::Relaxed), WARM_UP + count);
    let totals = vitals.tracker().totals();
    let device = totals.device();
    assert_eq!((device.live(), device.live_bytes(), device.pending_bytes()), (0, 0, 0), "{totals:#?}");
    assert_eq!(totals.submissions.in_flight(), 0, "{totals:#?}");
    assert!(device.created > 20 * count, "{totals:#?}");
    assert!(vitals.leaks().is_empty(), "{}", vitals.leaks());
    assert_timed(&vitals.pass_monitor().report(), WARM_UP + count);
    Some(grown)
}

/// Of each device four passes were to be timed, the last of which never ran: told or counted, once.
#[track_caller]
fn assert_timed(report: &GpuPassReport, devices: u64) {
    let told = report.pass("timed").map_or(0, |pass| pass.runs);
    let left = report.untimed(UntimedPass::Failed) + report.untimed(UntimedPass::Unwritten);
    assert_eq!((told + left, report.untimed(UntimedPass::Unsubmitted)), (3 * devices, devices), "{report}");
    eprintln!("{told} of {} passes were read back", 3 * devices);
}

/// The same devices without Vitals.
fn bare(name: &str, instance: &wgpu::Instance, count: u64) -> Option<Grown> {
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).ok()?;
    let heard = Arc::new(Heard::default());
    let began = Instant::now();
    let mut first = None;
    for cycle in 0..WARM_UP + count {
        if cycle == WARM_UP {
            first = Some(Held::now(0));
        }
        live_and_die(&adapter, &heard, None);
    }
    let grown = Grown { devices: count, first: first?, last: Held::now(0) };
    grown.report(&format!("{name}, without"), began.elapsed());
    Some(grown)
}

/// A device with a few resources, that is destroyed with frames in flight, used after that, and dropped.
fn live_and_die(adapter: &wgpu::Adapter, heard: &Arc<Heard>, vitals: Option<&Vitals>) {
    let descriptor = wgpu::DeviceDescriptor {
        required_features: engine_vitals::gpu::wanted_features(adapter),
        required_limits: wgpu::Limits::downlevel_defaults(),
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    // After the loss all fails.
    device.on_uncaptured_error(Arc::new(|_: wgpu::Error| {}));
    let told = Arc::clone(heard);
    device.set_device_lost_callback(move |reason, text| {
        assert_eq!(reason, wgpu::DeviceLostReason::Destroyed, "{text}");
        told.lost.fetch_add(1, Ordering::Relaxed);
    });
    let watch = vitals.map(|vitals| vitals.watch_device(&device, &queue));
    let alone = engine_vitals::gpu::FrameTimer::new(&device, &queue, Arc::clone(heard) as _);
    let scene = Scene::new(&device);
    let mut open = Vec::new();
    for frame in 0..4 {
        let mut frames: Vec<_> =
            watch.iter().map(engine_vitals::DeviceWatch::timer).chain([&alone]).map(|timer| timer.begin()).collect();
        queue.write_buffer(&scene.buffers[0], 0, &[frame; 256]);
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        frames.iter_mut().for_each(|timed| timed.start(&mut encoder));
        scene.draw(&mut encoder, "stamped", frames[0].main_pass());
        // Vitals times this one: with query sets and read-backs of its own.
        scene.draw(&mut encoder, "timed", None);
        frames.iter_mut().for_each(|timed| timed.end(&mut encoder));
        if frame == 3 {
            // This one is never submitted.
            open.push((frames, encoder.finish()));
        } else {
            frames[0].submit(|| queue.submit([encoder.finish()]));
            frames.iter_mut().skip(1).for_each(|timed| timed.submit(|| ()));
        }
    }
    scene.buffers[1].map_async(wgpu::MapMode::Read, .., |_| ());
    device.destroy();
    let mut late = alone.begin();
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    late.start(&mut encoder);
    late.end(&mut encoder);
    late.submit(|| queue.submit([encoder.finish()]));
    // What a lost device answers to a poll does not matter.
    let timeout = Some(Duration::from_secs(60));
    let _ = device.poll(wgpu::PollType::Wait { submission_index: None, timeout });
    drop((open, late));
    assert_eq!(alone.timestamps().in_flight(), 0, "{alone:?}");
}

/// Some of each kind that owns memory.
struct Scene {
    buffers: Vec<wgpu::Buffer>,
    view: wgpu::TextureView,
    _texture: wgpu::Texture,
    _group: wgpu::BindGroup,
}

impl Scene {
    fn new(device: &wgpu::Device) -> Self {
        let buffer = |usage, size| {
            let descriptor = wgpu::BufferDescriptor { label: Some("cycle"), size, usage, mapped_at_creation: false };
            device.create_buffer(&descriptor)
        };
        let mut buffers: Vec<_> =
            (0..8).map(|_| buffer(wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST, 4_096)).collect();
        buffers[1] = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST, 4_096);
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("cycle"),
            size: wgpu::Extent3d { width: 128, height: 128, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("cycle"),
            entries: &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::VERTEX,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Uniform,
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            }],
        });
        let entries = [wgpu::BindGroupEntry { binding: 0, resource: buffers[0].as_entire_binding() }];
        let group = wgpu::BindGroupDescriptor { label: Some("cycle"), layout: &layout, entries: &entries };
        Self {
            view: texture.create_view(&wgpu::TextureViewDescriptor::default()),
            _group: device.create_bind_group(&group),
            _texture: texture,
            buffers,
        }
    }

    fn draw(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        label: &str,
        writes: Option<wgpu::RenderPassTimestampWrites<'_>>,
    ) {
        drop(encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some(label),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::GREEN), store: wgpu::StoreOp::Store },
            })],
            timestamp_writes: writes,
            ..Default::default()
        }));
    }
}
