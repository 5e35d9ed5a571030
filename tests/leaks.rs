//! Leaks of wgpu's objects: what a program keeps is named, what the GPU still uses is waited for.
#![cfg(feature = "instrument")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use engine_vitals::{Context, OwnerKind, Vitals, assert_no_leaks};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};

struct Rig {
    vitals: Vitals,
    device: wgpu::Device,
    queue: wgpu::Queue,
}

fn rig(instance: wgpu::Instance) -> Option<Rig> {
    let each = NonZeroU32::MIN;
    let vitals =
        Vitals::builder().without_server().instrument(move |builder, _| builder.backtraces_every(each)).start();
    let instance = vitals.wrap(instance);
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).ok()?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).ok()?;
    Some(Rig { vitals, device, queue })
}

fn noop() -> Rig {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop = wgpu::NoopBackendOptions { enable: true, ..Default::default() };
    rig(wgpu::Instance::new(descriptor)).unwrap_or_else(|| panic!("the noop backend is always there"))
}

/// On the noop backend and on the machine's own.
fn on_each(test: &str, run: impl Fn(Rig)) {
    run(noop());
    match rig(wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env())) {
        Some(rig) => run(rig),
        None => support::skipped_without_adapter(test),
    }
}

impl Rig {
    fn texture(&self, label: &str) -> wgpu::Texture {
        self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width: 64, height: 64, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        })
    }

    /// Clears the texture, and returns while the GPU may still be at it.
    fn clear(&self, texture: &wgpu::Texture) -> wgpu::TextureView {
        let view = texture.create_view(&wgpu::TextureViewDescriptor { label: Some("view"), ..Default::default() });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let attachment = wgpu::RenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations::default(),
        };
        drop(encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(attachment)],
            ..Default::default()
        }));
        self.queue.submit([encoder.finish()]);
        view
    }
}

#[test]
fn a_block_that_gives_all_back_passes_while_its_work_is_in_flight() {
    on_each("a_block_that_gives_all_back", |rig| {
        let poll = || rig.device.poll(wgpu::PollType::Poll);
        for _ in 0..3 {
            assert_no_leaks!(rig.vitals.probe(), poll = poll, {
                let texture = rig.texture("fine");
                drop(rig.clear(&texture));
            });
        }
    });
}

#[test]
fn a_planted_leak_is_named_with_its_label_and_owner() {
    on_each("a_planted_leak", |rig| {
        let probe = rig.vitals.probe();
        let mut kept = None;
        let poll = || rig.device.poll(wgpu::PollType::Poll);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            assert_no_leaks!(probe, poll = poll, {
                let owner = probe.owner_named(OwnerKind::EFFECT_PIPELINE, 3, "bloom");
                let _owned = Context::current().with_owner(owner).enter();
                drop(rig.clear(&rig.texture("fine")));
                // The view holds the texture.
                kept = Some(rig.clear(&rig.texture("planted")));
            });
        }));
        let text = *caught.unwrap_err().downcast::<String>().unwrap();
        assert!(text.starts_with("2 resources were created in this block and are not released"), "{text}");
        let row = text.lines().find(|line| line.contains("\"planted\"")).unwrap();
        for part in ["16.0 KiB", "texture_target", "effect_pipeline 3 \"bloom\"", "live"] {
            assert!(row.contains(part), "no {part} in {row}");
        }
        assert!(text.contains("\"view\"") && !text.contains("fine"), "{text}");
    });
}

#[test]
fn the_graph_has_what_refers_to_what_and_leaks_tell_the_device_apart() {
    on_each("the_graph", |rig| {
        let view = rig.clear(&rig.texture("target"));
        let dump = rig.vitals.dump();
        let by_label = |label| dump.resources.iter().find(|one| one.label.as_deref() == Some(label)).unwrap();
        assert_eq!(by_label("view").links, [by_label("target").id]);
        let link = format!("    -> texture_target {} \"target\"\n", by_label("target").id);
        assert!(dump.to_string().contains(&link), "{dump}");

        rig.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let leaks = rig.vitals.leaks();
        let labels: Vec<_> = leaks.resources.iter().filter_map(|one| one.label.as_deref()).collect();
        assert_eq!(labels, ["target", "view"], "{leaks}");
        // wgpu passes no caller on; the backtraces know.
        for one in leaks.resources.iter().chain([by_label("target"), by_label("view")]) {
            assert!(one.site.as_ref().is_some_and(|site| site.contains("tests/leaks.rs:")), "{one:?}");
        }
        assert_eq!(leaks.standing.iter().filter(|one| &*one.kind == "device").count(), 1, "{leaks}");
        drop(view);
        let Rig { vitals, device, queue } = rig;
        drop((device, queue));
        assert_eq!(vitals.leaks().to_string(), "0 resources are not released\n");
    });
}
