//! The guards over wgpu programs through `Vitals::wrap`: a sound one raises nothing, and each planted fault is the first that is raised, with
//! its owner.
#![cfg(feature = "instrument")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: helpers may fail it too")]

mod support;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use engine_vitals::analysis::guards::{GuardSettings, Warning};
use engine_vitals::contract::Value;
use engine_vitals::probe::{Level, ResourceKind};
use engine_vitals::{Context, OwnerKind, Vitals};

/// The owner in whose name the faults are.
const CULPRIT: u64 = 4_711;

/// An engine of a texture, a buffer and a submission per frame.
struct Program {
    name: &'static str,
    vitals: Vitals,
    device: wgpu::Device,
    queue: wgpu::Queue,
    target: wgpu::TextureView,
    uniforms: wgpu::Buffer,
}

/// Windows of a tenth of a second, and what is counted per window a tenth or less.
fn settings() -> GuardSettings {
    let mut settings = GuardSettings::default();
    settings.window = Duration::from_millis(100);
    settings.recreate_count = 4;
    settings.growth_windows = 6;
    settings.growth_resources = 12;
    settings.startup = Duration::ZERO;
    settings.unsubmitted_for = Duration::from_millis(300);
    settings.first_completion_within = Duration::from_millis(500);
    settings
}

impl Program {
    /// On the noop backend, and on the machine's adapter if there is one.
    fn on_both(test: &str) -> Vec<Self> {
        let mut real = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        real.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
        let real = Self::open("real", real, 0);
        if real.is_none() {
            support::skipped_without_adapter(test);
        }
        [Self::on_noop(0)].into_iter().chain(real).collect()
    }

    /// On the noop backend, with a backtrace of every so-manieth creation.
    fn on_noop(backtraces_every: u32) -> Self {
        let mut noop = wgpu::InstanceDescriptor::new_without_display_handle();
        noop.backends = wgpu::Backends::NOOP;
        noop.backend_options.noop = wgpu::NoopBackendOptions { enable: true, ..Default::default() };
        Self::open("noop", noop, backtraces_every).unwrap()
    }

    fn open(name: &'static str, descriptor: wgpu::InstanceDescriptor, backtraces_every: u32) -> Option<Self> {
        let vitals = Vitals::builder().without_server().level(Level::Counters).touch_lists(true).guards(settings());
        let every = NonZeroU32::new(backtraces_every);
        let vitals = vitals.instrument(move |instrument, _| match every {
            Some(every) => instrument.backtraces_every(every),
            None => instrument,
        });
        let vitals = vitals.start();
        let instance = vitals.wrap(wgpu::Instance::new(descriptor));
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).ok()?;
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
        let target = texture(&device, "target").create_view(&wgpu::TextureViewDescriptor::default());
        let uniforms = buffer(&device, "uniforms");
        Some(Self { name, vitals, device, queue, target, uniforms })
    }

    /// Clears the target and submits; does in between what is planted.
    fn frame(&self, planted: &mut dyn FnMut(&Self, &mut wgpu::CommandEncoder)) {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.queue.write_buffer(&self.uniforms, 0, &[7; 64]);
        encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("clear"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.target,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations::default(),
            })],
            ..Default::default()
        });
        {
            let owner = self.vitals.probe().owner_named(OwnerKind::CHILD_VISUAL, CULPRIT, "culprit");
            let _owner = Context::current().with_owner(owner).enter();
            planted(self, &mut encoder);
        }
        self.queue.submit([encoder.finish()]);
    }

    fn poll(&self) {
        self.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    }

    /// Sound frames first: they raise nothing. Then the planted ones, until something is raised. The first of it.
    fn first_raised(&self, frame: impl FnMut(&Self)) -> Warning {
        let sound = Instant::now();
        while sound.elapsed() < 10 * settings().window {
            self.frame(&mut |_, _| {});
            self.poll();
            self.vitals.frame();
        }
        let raised: Vec<_> = self.vitals.warnings().iter().map(ToString::to_string).collect();
        assert!(raised.is_empty(), "{}: sound frames: {raised:#?}", self.name);
        self.raised(frame)
    }

    /// Frames until something is raised. The first of it.
    fn raised(&self, mut frame: impl FnMut(&Self)) -> Warning {
        let planted = Instant::now();
        while planted.elapsed() < Duration::from_secs(60) {
            frame(self);
            self.vitals.frame();
            if let Some(warning) = self.vitals.warnings().first() {
                self.is_counted(warning);
                return warning.clone();
            }
        }
        panic!("{}: nothing was raised within a minute", self.name)
    }

    /// The counter of its guard is there, and so are those of the others, at zero.
    fn is_counted(&self, warning: &Warning) {
        self.vitals.registry().update();
        let table = self.vitals.registry().snapshot();
        let count = |guard| table.value("vitals_guard_warnings_total", &[("guard", guard)]).and_then(Value::as_u64);
        assert!(count(warning.guard) >= Some(warning.windows), "{}", warning.guard);
        assert_eq!(count("label_overflow"), Some(0));
    }
}

fn texture(device: &wgpu::Device, label: &str) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d { width: 64, height: 64, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::RENDER_ATTACHMENT,
        view_formats: &[],
    })
}

fn buffer(device: &wgpu::Device, label: &str) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: 256 << 10,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    })
}

#[track_caller]
fn is_of_the_culprit(program: &Program, warning: &Warning, guard: &str) {
    assert_eq!(warning.guard, guard, "{}: {warning}", program.name);
    let owner = warning.owner.map(|owner| (owner.kind, owner.key, owner.name));
    assert_eq!(owner, Some(("child_visual", Some(CULPRIT), Some("culprit"))), "{}: {warning}", program.name);
}

#[test]
fn textures_made_anew_each_frame_are_a_recreate_loop() {
    for program in Program::on_both("textures_made_anew_each_frame_are_a_recreate_loop") {
        let warning = program.first_raised(|program| {
            program.frame(&mut |program, _| {
                (0..4).for_each(|_| drop(texture(&program.device, "layer")));
            });
            program.poll();
        });
        is_of_the_culprit(&program, &warning, "recreate_loop");
        assert_eq!(warning.resource, Some(ResourceKind::TEXTURE_TARGET.name()), "{warning}");
    }
}

#[test]
fn a_buffer_kept_of_each_frame_is_growth() {
    for program in Program::on_both("a_buffer_kept_of_each_frame_is_growth") {
        let mut kept = Vec::new();
        let warning = program.first_raised(|program| {
            program.frame(&mut |program, _| kept.push(buffer(&program.device, "leaked")));
            program.poll();
            // Some thousand are enough.
            std::thread::sleep(Duration::from_millis(2));
        });
        is_of_the_culprit(&program, &warning, "growth");
        assert_eq!(warning.resource, Some("buffer"), "{warning}");
    }
}

#[test]
fn a_leak_of_wgpu_objects_is_named_with_its_line_where_backtraces_are_sampled() {
    let program = Program::on_noop(1);
    let mut kept = Vec::new();
    let warning = program.first_raised(|program| {
        program.frame(&mut |program, _| kept.push(buffer(&program.device, "leaked")));
        program.poll();
        std::thread::sleep(Duration::from_millis(2));
    });
    is_of_the_culprit(&program, &warning, "growth");
    let site = warning.site.unwrap();
    assert!(site.contains("tests/guards.rs:") && warning.text.contains(&site), "{}", warning.text);
    // The innermost frame of the program's own is the call of wgpu's method.
    let line: usize = site.split(':').nth(1).unwrap().parse().unwrap();
    let source = include_str!("guards.rs").lines().nth(line - 1).unwrap();
    assert_eq!(source.trim(), "device.create_buffer(&wgpu::BufferDescriptor {", "{site}");
}

#[test]
fn writes_without_a_submission_are_found() {
    for program in Program::on_both("writes_without_a_submission_are_found") {
        let owner = program.vitals.probe().owner_named(OwnerKind::CHILD_VISUAL, CULPRIT, "culprit");
        let warning = program.first_raised(|program| {
            let _owner = Context::current().with_owner(owner).enter();
            program.queue.write_buffer(&program.uniforms, 0, &[1; 4096]);
            std::thread::sleep(Duration::from_millis(2));
        });
        assert_eq!(warning.guard, "unsubmitted_writes", "{}: {warning}", program.name);
        assert!(warning.owner.is_some(), "{}: {warning}", program.name);
    }
}

#[test]
fn work_that_is_never_polled_is_found() {
    for program in Program::on_both("work_that_is_never_polled_is_found") {
        if program.name == "noop" {
            // Its submissions are done, and said to be, as soon as they are made.
            continue;
        }
        // Each submission polls too: what hangs is who submits and then waits.
        program.frame(&mut |_, _| {});
        let warning = program.raised(|_| std::thread::sleep(Duration::from_millis(2)));
        assert_eq!(warning.guard, "never_polled", "{warning}");
    }
}

#[test]
fn a_buffer_destroyed_while_the_open_packet_uses_it_is_found() {
    for program in Program::on_both("a_buffer_destroyed_while_the_open_packet_uses_it_is_found") {
        let warning = program.first_raised(|program| {
            let mut used = None;
            program.frame(&mut |program, encoder| {
                let source = buffer(&program.device, "careless");
                encoder.copy_buffer_to_buffer(&source, 0, &program.uniforms, 0, 256);
                used = Some(source);
            });
            // Submitted, and the frame has not ended.
            used.unwrap().destroy();
            program.poll();
        });
        is_of_the_culprit(&program, &warning, "destroyed_in_use");
        assert_eq!(warning.label.as_deref(), Some("careless"), "{warning}");
    }
}
