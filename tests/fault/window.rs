//! A window under Xvfb whose surface fails, in a process of its own, since a process has one event loop.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine_vitals::PacketResult;
use engine_vitals::instrument::fault::{Call, Fault, FaultPlan, Rule, When};
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::platform::pump_events::EventLoopExtPumpEvents;
use winit::platform::x11::EventLoopBuilderExtX11;
use winit::window::{Window, WindowId};

use crate::support::{Guarded, Xvfb, scratch, skipped_without_adapter};
use crate::tools::Stage;

/// Where the child writes what it did.
const OUTPUT: &str = "FAULT_TEST_OUTPUT";
const SIZE: u32 = 64;
const FRAMES: u64 = 40;

#[test]
fn a_window_is_drawn_again_after_each_fault_of_its_surface() {
    if let Some(output) = std::env::var_os(OUTPUT) {
        return child(&output);
    }
    let test = "a_window_is_drawn_again_after_each_fault_of_its_surface";
    let Some(display) = Xvfb::start(test) else { return };
    let file = scratch("window-faults.txt");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "window::a_window_is_drawn_again_after_each_fault_of_its_surface", "--nocapture"])
        .env(OUTPUT, &file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = Guarded::spawn(display.shows(&mut command)).unwrap().output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    match std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("no answer: {said}")).as_str() {
        "no adapter" => skipped_without_adapter(test),
        cases => assert_eq!(cases, "28 cases"),
    }
}

/// The part of the test that runs in a process of its own.
fn child(output: &OsStr) {
    // The test is not on the main thread, which X11 does not mind.
    let mut events = EventLoop::builder().with_any_thread(true).build().unwrap();
    let window = window(&mut events);
    let faults = [
        Fault::SurfaceLost,
        Fault::SurfaceOutdated,
        Fault::SurfaceTimeout,
        Fault::SurfaceOccluded,
        Fault::Validation,
        Fault::DeviceLost,
        Fault::Slow(Duration::from_micros(100)),
    ];
    let mut cases = 0;
    for fault in faults {
        for every in [2, 7] {
            for persistent in [false, true] {
                let rule = Rule::new(fault, When::Every(every));
                let rule = if fault == Fault::DeviceLost { rule } else { rule.on(Call::GetCurrentTexture) };
                let rule = if persistent { rule.persistent() } else { rule };
                if perform(&events, &window, rule).is_none() {
                    return std::fs::write(output, "no adapter").unwrap();
                }
                cases += 1;
            }
        }
    }
    std::fs::write(output, format!("{cases} cases")).unwrap();
}

/// Frames while the rule holds and after it; `None` without an adapter that can present.
fn perform(events: &EventLoop<()>, window: &Arc<Window>, rule: Rule) -> Option<()> {
    let what = format!("{rule:?}");
    let plan = FaultPlan::seeded(1).fail(rule);
    let display = Box::new(events.owned_display_handle());
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_with_display_handle_from_env(display));
    let stage = Stage::new(instance, &plan)?;
    let mut shown = Shown::new(&stage, window);
    if !stage.adapter.is_surface_supported(shown.surface.as_ref()?) {
        return None;
    }
    for _ in 0..FRAMES {
        shown.frame();
    }
    let failed = plan.failed();
    assert!(failed >= 1, "{what}");
    plan.disarm();
    // One frame may be needed to hear of a loss.
    shown.frame();
    let presented = shown.presented;
    (0..3).for_each(|_| shown.frame());
    assert_eq!(shown.presented, presented + 3, "{what}: not recovered");
    let (presented, dropped) = (shown.presented, shown.dropped);
    drop(shown);
    let packets = stage.tracker.totals().packets();
    let ended = [PacketResult::Presented, PacketResult::Dropped].map(|result| packets.with_result(result));
    assert_eq!(ended, [presented, dropped], "{what}");
    assert_eq!(packets.open(), 0, "{what}");
    stage.assert_books_are_back_to_zero(&what);
    Some(())
}

/// A program with a window that recovers as wgpu's documentation says.
struct Shown<'s> {
    stage: &'s Stage,
    window: &'s Arc<Window>,
    surface: Option<wgpu::Surface<'static>>,
    gpu: Option<(wgpu::Device, wgpu::Queue)>,
    configured: bool,
    lost: Arc<AtomicBool>,
    errors: Arc<AtomicU64>,
    presented: u64,
    dropped: u64,
}

impl<'s> Shown<'s> {
    fn new(stage: &'s Stage, window: &'s Arc<Window>) -> Self {
        let surface = stage.instance.create_surface(Arc::clone(window)).ok();
        Self {
            stage,
            window,
            surface,
            gpu: None,
            configured: false,
            lost: Arc::default(),
            errors: Arc::default(),
            presented: 0,
            dropped: 0,
        }
    }

    fn device(&mut self) {
        let (device, queue) = self.stage.device().unwrap();
        let errors = Arc::clone(&self.errors);
        device.on_uncaptured_error(Arc::new(move |_| _ = errors.fetch_add(1, Ordering::Relaxed)));
        self.lost = Arc::default();
        let lost = Arc::clone(&self.lost);
        device.set_device_lost_callback(move |_, _| lost.store(true, Ordering::Relaxed));
        self.gpu = Some((device, queue));
        self.configured = false;
    }

    fn another_surface(&mut self) {
        // Two at a time have no place on a window.
        self.surface = None;
        self.surface = self.stage.instance.create_surface(Arc::clone(self.window)).ok();
        self.configured = false;
    }

    fn frame(&mut self) {
        use wgpu::CurrentSurfaceTexture as Current;
        if self.gpu.is_none() || self.lost.load(Ordering::Relaxed) {
            // wgpu keeps a texture of a lost device for acquired, and configures its surface no more.
            self.another_surface();
            self.device();
        }
        let (Some((device, queue)), Some(surface)) = (&self.gpu, &self.surface) else {
            panic!("no device, no surface")
        };
        if !self.configured {
            let config = surface.get_default_config(&self.stage.adapter, SIZE, SIZE).unwrap();
            surface.configure(device, &config);
            self.configured = true;
        }
        let texture = match surface.get_current_texture() {
            Current::Success(texture) | Current::Suboptimal(texture) => texture,
            Current::Timeout | Current::Occluded | Current::Validation => return,
            Current::Outdated => return self.configured = false,
            Current::Lost => return self.another_surface(),
        };
        let view = texture.texture.create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("frame"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations::default(),
            })],
            ..Default::default()
        });
        queue.submit([encoder.finish()]);
        drop(view);
        if self.lost.load(Ordering::Relaxed) {
            drop(texture);
            self.dropped += 1;
        } else {
            queue.present(texture);
            self.presented += 1;
        }
    }
}

/// A window that is shown.
fn window(events: &mut EventLoop<()>) -> Arc<Window> {
    #[derive(Default)]
    struct App(Option<Arc<Window>>);

    impl ApplicationHandler for App {
        fn resumed(&mut self, _: &ActiveEventLoop) {}

        fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
            let attributes = Window::default_attributes().with_inner_size(PhysicalSize::new(SIZE, SIZE));
            self.0.get_or_insert_with(|| Arc::new(event_loop.create_window(attributes).unwrap()));
        }

        fn window_event(&mut self, _: &ActiveEventLoop, _: WindowId, _: WindowEvent) {}
    }

    let mut app = App::default();
    let start = Instant::now();
    loop {
        events.pump_app_events(Some(Duration::from_millis(20)), &mut app);
        if let Some(window) = app.0.clone() {
            return window;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the display does not answer");
    }
}
