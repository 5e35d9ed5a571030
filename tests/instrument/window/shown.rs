//! What happens in the window, and what is seen of it.

use crate::books::Books;
use crate::scene::{Gpu, describe, noop_instance, panic_of};
use engine_vitals::instrument::Instrumentation;
use engine_vitals::probe::{EventKind, Level, PacketResult, ResourceKind};
use std::fmt::{Display, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::platform::pump_events::EventLoopExtPumpEvents;
use winit::platform::x11::EventLoopBuilderExtX11;
use winit::window::{Window, WindowId};

/// How long the display may take for anything.
const GUARD: Duration = Duration::from_secs(60);

/// Shows frames in a window and tells what it saw; `None` without an adapter that can present.
pub(super) fn run(layers: usize) -> Option<String> {
    // The test is not on the main thread, which X11 does not mind.
    let mut events = EventLoop::builder().with_any_thread(true).build().unwrap();
    let mut app = App::default();
    let window = app.window(&mut events);
    let display = Box::new(events.owned_display_handle());
    let mut instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_with_display_handle_from_env(display));
    let mut books: Vec<_> = (0..layers).map(|_| Books::open(Level::Events, true)).collect();
    for books in &books {
        instance = Instrumentation::new(books.tracker.probe()).wrap(instance);
    }
    let surface = instance.create_surface(Arc::clone(&window)).unwrap();
    let adapter =
        pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions {
            compatible_surface: Some(&surface),
            ..Default::default()
        }));
    let (device, queue) = pollster::block_on(adapter.as_ref().ok()?.request_device(&Default::default())).unwrap();
    let gpu = Gpu { instance, adapter: adapter.unwrap(), device, queue };
    let mut shown = Shown { gpu, window, surface: Some(surface), seen: String::new(), presented: 0, dropped: 0 };
    shown.facts();
    shown.frames(&mut events, &mut app);
    shown.made_anew();
    shown.lost(&mut events, &mut app);
    shown.refusals();
    if layers > 0 {
        shown.handles_from_elsewhere();
    }
    let Shown { gpu, window, surface, seen, presented, dropped } = shown;
    drop(surface);
    drop((gpu, window));
    for books in &mut books {
        check(books, presented, dropped);
    }
    Some(seen)
}

/// Frames are packets on the lanes of their surfaces, and reconfigurations are rebuilds.
fn check(books: &mut Books, presented: u64, dropped: u64) {
    books.assert_closed();
    let totals = books.tracker.totals();
    let packets = totals.packets();
    let found = [PacketResult::Presented, PacketResult::Dropped].map(|result| packets.with_result(result));
    assert_eq!(found, [presented, dropped], "{:?}", totals.lanes);
    assert_eq!(packets.open(), 0, "{:?}", totals.lanes);
    let lanes: Vec<_> = totals.lanes.iter().map(|lane| lane.name).collect();
    // The surface that was made anew goes on with the lane of the one before.
    assert_eq!(lanes, ["surface 1", "surface 2"]);
    let of = |kind| totals.kind(kind).device.created;
    assert_eq!([of(ResourceKind::SURFACE), of(ResourceKind::SURFACE_TEXTURE)], [3, presented + dropped]);
    let events = |kind| books.events.iter().filter(|event| event.event == kind).collect::<Vec<_>>();
    let rebuilt: Vec<_> = events(EventKind::ResizeRebuild).iter().filter_map(|event| event.extent).collect();
    let sizes: Vec<_> = rebuilt.iter().map(|extent| (extent.width, extent.height)).collect();
    // What is refused for its size rebuilds nothing; that the window is gone, wgpu finds out later.
    let expected = [(120, 80), (120, 80), (200, 100), (200, 100), (160, 120), (200, 100)];
    assert_eq!(sizes, expected, "the surfaces were configured anew in these sizes");
    assert_eq!(events(EventKind::Present).len() as u64, presented);
}

#[derive(Default)]
struct App {
    /// Windows to be made, and the one that was.
    wanted: bool,
    made: Option<Arc<Window>>,
    size: PhysicalSize<u32>,
}

impl App {
    /// A new window.
    fn window(&mut self, events: &mut EventLoop<()>) -> Arc<Window> {
        self.wanted = true;
        self.until(events, |app| app.made.take())
    }

    /// Runs the event loop until there is an answer.
    fn until<T>(&mut self, events: &mut EventLoop<()>, mut answer: impl FnMut(&mut Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            events.pump_app_events(Some(Duration::from_millis(20)), self);
            if let Some(answer) = answer(self) {
                return answer;
            }
            assert!(start.elapsed() < GUARD, "the display does not answer");
        }
    }
}

impl ApplicationHandler for App {
    fn resumed(&mut self, _: &ActiveEventLoop) {}

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        if std::mem::take(&mut self.wanted) {
            let attributes = Window::default_attributes().with_inner_size(PhysicalSize::new(160, 120));
            self.made = Some(Arc::new(event_loop.create_window(attributes).unwrap()));
        }
    }

    fn window_event(&mut self, _: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        if let WindowEvent::Resized(size) = event {
            self.size = size;
        }
    }
}

struct Shown {
    gpu: Gpu,
    window: Arc<Window>,
    surface: Option<wgpu::Surface<'static>>,
    seen: String,
    presented: u64,
    dropped: u64,
}

impl Shown {
    fn surface(&self) -> &wgpu::Surface<'static> {
        self.surface.as_ref().unwrap()
    }

    fn note(&mut self, what: &str, seen: impl Display) {
        let text = format!("{what}: {seen}").replace('\n', " ");
        writeln!(self.seen, "{text}").unwrap();
    }

    fn facts(&mut self) {
        let capabilities = self.surface().get_capabilities(&self.gpu.adapter);
        self.note("capabilities", format!("{capabilities:?}"));
        self.note("supported", self.gpu.adapter.is_surface_supported(self.surface()));
        self.note("hdr", format!("{:?}", self.surface().display_hdr_info(&self.gpu.adapter)));
        let config = self.surface().get_default_config(&self.gpu.adapter, 160, 120);
        self.note("default", format!("{config:?}"));
        self.note("configured", format!("{:?}", self.surface().get_configuration()));
    }

    fn configure(&mut self, width: u32, height: u32) {
        let config = self.surface().get_default_config(&self.gpu.adapter, width, height);
        self.note("offered", config.is_some());
        let config = wgpu::SurfaceConfiguration {
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            format: wgpu::TextureFormat::Bgra8UnormSrgb,
            color_space: wgpu::SurfaceColorSpace::Auto,
            width,
            height,
            present_mode: wgpu::PresentMode::Fifo,
            desired_maximum_frame_latency: 2,
            alpha_mode: wgpu::CompositeAlphaMode::Auto,
            view_formats: Vec::new(),
        };
        let error = self.gpu.invalid(|| self.surface().configure(&self.gpu.device, &config));
        self.note("configure", format!("{width} x {height}: {:?}", error.map(|error| describe(&error))));
    }

    /// The next texture, or why there is none.
    fn acquire(&mut self) -> Option<wgpu::SurfaceTexture> {
        use wgpu::CurrentSurfaceTexture as Current;
        let (status, texture) = match self.surface().get_current_texture() {
            Current::Success(texture) => ("success", Some(texture)),
            Current::Suboptimal(texture) => ("suboptimal", Some(texture)),
            Current::Timeout => ("timeout", None),
            Current::Occluded => ("occluded", None),
            Current::Outdated => ("outdated", None),
            Current::Lost => ("lost", None),
            Current::Validation => ("validation", None),
        };
        self.note("acquired", status);
        texture
    }

    /// Draws a colour, reads it back, and presents.
    fn frame(&mut self, shade: f64) {
        let Some(frame) = self.acquire() else { return };
        let texture = &frame.texture;
        let facts = format!("{:?} {:?} {:?}", texture.size(), texture.format(), texture.usage());
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        self.gpu.submit("frame", |encoder| {
            let load = wgpu::LoadOp::Clear(wgpu::Color { r: shade, g: 0.5, b: 1.0 - shade, a: 1.0 });
            encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                label: Some("frame"),
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: &view,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations { load, store: wgpu::StoreOp::Store },
                })],
                ..Default::default()
            });
        });
        let pixels = self.gpu.read_texture(texture, 0);
        let ends = [&pixels[..4], &pixels[pixels.len() - 4..]];
        drop(view);
        self.note("texture", facts);
        self.note("pixels", format!("{} bytes, {ends:?}", pixels.len()));
        self.gpu.queue.present(frame);
        self.presented += 1;
    }

    fn frames(&mut self, events: &mut EventLoop<()>, app: &mut App) {
        self.configure(160, 120);
        for frame in 0..4 {
            self.frame(f64::from(frame) / 4.0);
        }
        // Given up: discarded, and the next one comes.
        if let Some(texture) = self.acquire() {
            drop(texture);
            self.dropped += 1;
        }
        self.frame(0.9);
        for (width, height) in [(120, 80), (200, 100)] {
            let wanted = PhysicalSize::new(width, height);
            // The answer comes as an event, or at once.
            let at_once = self.window.request_inner_size(wanted);
            app.until(events, |app| (app.size == wanted || at_once == Some(wanted)).then_some(()));
            let window = Arc::clone(&self.window);
            app.until(events, |_| (window.inner_size() == wanted).then_some(()));
            // The swapchain has the old size still.
            if let Some(texture) = self.acquire() {
                drop(texture);
                self.dropped += 1;
            }
            self.configure(width, height);
            self.frame(0.3);
            self.frame(0.6);
            // In the same size again.
            self.configure(width, height);
            self.frame(0.1);
        }
    }

    /// The surface is dropped and made anew for the same window. Two at a time have no place on it.
    fn made_anew(&mut self) {
        let size = self.window.inner_size();
        self.surface = None;
        self.surface = self.gpu.instance.create_surface(Arc::clone(&self.window)).ok();
        self.configure(size.width, size.height);
        self.frame(0.2);
        self.frame(0.4);
    }

    /// The window is gone, and with it the surface.
    fn lost(&mut self, events: &mut EventLoop<()>, app: &mut App) {
        let window = app.window(events);
        // SAFETY: the window and its display are there.
        let target = unsafe { wgpu::SurfaceTargetUnsafe::from_display_and_window(&*window, &*window) };
        // SAFETY: the display outlives the surface. The window does not, which is what is tried here: a driver for X11 asks
        // the display for it by its number, and is told that there is none.
        let surface = unsafe { self.gpu.instance.create_surface_unsafe(target.unwrap()) };
        let kept = self.surface.replace(surface.unwrap());
        self.configure(160, 120);
        self.frame(0.5);
        drop(window);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(200) {
            events.pump_app_events(Some(Duration::from_millis(20)), app);
        }
        self.note("the window is gone", "");
        for _ in 0..2 {
            if let Some(texture) = self.acquire() {
                drop(texture);
                self.dropped += 1;
            }
        }
        self.configure(160, 120);
        self.surface = kept;
    }

    fn refusals(&mut self) {
        let size = self.window.inner_size();
        let held = self.acquire().unwrap();
        let mut second = None;
        let error = self.gpu.invalid(|| second = Some(format!("{:?}", self.surface().get_current_texture())));
        self.note("a second texture", format!("{:?} {:?}", second.map(|text| text.len()), error.map(|e| describe(&e))));
        drop(held);
        self.dropped += 1;
        self.configure(0, size.height);
        self.configure(size.width, 1 << 30);
        self.configure(size.width, size.height);
        self.frame(0.8);
    }

    /// Where wgpu has no way to report an error, a panic tells what is wrong.
    fn handles_from_elsewhere(&self) {
        let plain = Gpu::open(&noop_instance()).unwrap();
        let config = self.surface().get_default_config(&self.gpu.adapter, 16, 16).unwrap();
        let panics = [
            panic_of(|| self.surface().configure(&plain.device, &config)),
            panic_of(|| _ = self.surface().get_capabilities(&plain.adapter)),
        ];
        for text in panics {
            assert!(text.contains("engine-vitals") && text.contains("instrumented instance"), "{text}");
        }
    }
}
