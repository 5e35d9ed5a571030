//! Frames in a window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop};
use winit::window::{Window, WindowId};

use crate::device;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::options::Options;
use crate::pace::Pace;
use crate::size::Size;
use crate::status::Status;
use crate::telemetry;

/// Opens a window and renders into it; returns the engine when it is closed, stopped, or has presented its frames.
///
/// # Errors
/// When there is no display, no adapter that can present, or a frame fails.
pub(crate) fn run(options: &Options, stop: &'static AtomicBool) -> Result<Engine, Failure> {
    let event_loop = EventLoop::new().map_err(|error| Failure::Display(format!("no display: {error}")))?;
    let mut app = App {
        options,
        stop,
        pace: Pace::new(options.fps),
        status: Status::new(),
        shown: None,
        failure: None,
        presented: 0,
    };
    event_loop.run_app(&mut app).map_err(|error| Failure::Display(error.to_string()))?;
    app.status.end();
    if let Some(failure) = app.failure {
        return Err(failure);
    }
    let shown =
        app.shown.ok_or_else(|| Failure::Display("the event loop ended before there was a window".to_owned()))?;
    println!("presented {} frames", app.presented);
    shown.engine.finish()?;
    Ok(shown.engine)
}

struct App<'a> {
    options: &'a Options,
    stop: &'static AtomicBool,
    pace: Pace,
    status: Status,
    shown: Option<Shown>,
    failure: Option<Failure>,
    presented: u64,
}

/// A window with its surface, and the engine that draws into it.
struct Shown {
    window: Arc<Window>,
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    blitter: wgpu::util::TextureBlitter,
    /// What the live panel is told and asks for, unless there is no panel.
    ui: Option<egui_winit::State>,
    engine: Engine,
}

impl ApplicationHandler for App<'_> {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        if self.shown.is_none() {
            match Shown::open(event_loop, self.options) {
                Ok(shown) => self.shown = Some(shown),
                Err(failure) => self.fail(event_loop, failure),
            }
        }
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let Some(shown) = &mut self.shown else { return };
        if let Some(ui) = &mut shown.ui {
            let _ = ui.on_window_event(&shown.window, &event);
        }
        match event {
            WindowEvent::CloseRequested => event_loop.exit(),
            WindowEvent::Resized(size) => {
                if let Err(failure) = shown.resize(size) {
                    self.fail(event_loop, failure);
                }
            }
            WindowEvent::RedrawRequested => {
                match shown.frame() {
                    Ok(presented) => self.presented += u64::from(presented),
                    Err(failure) => return self.fail(event_loop, failure),
                }
                self.status.frame(shown.engine.frames(), || shown.engine.status());
            }
            _ => {}
        }
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        let done = self.options.frames != 0 && self.presented >= self.options.frames;
        if done || self.stop.load(Ordering::Relaxed) {
            return event_loop.exit();
        }
        let now = Instant::now();
        if now >= self.pace.due() {
            self.pace.started(now);
            if let Some(shown) = &self.shown {
                shown.window.request_redraw();
            }
        }
        // Woken at least ten times a second, so that Ctrl-C is heard.
        let wake = self.pace.due().min(now + Duration::from_millis(100));
        event_loop.set_control_flow(ControlFlow::WaitUntil(wake));
    }
}

impl App<'_> {
    fn fail(&mut self, event_loop: &ActiveEventLoop, failure: Failure) {
        self.failure = Some(failure);
        event_loop.exit();
    }
}

impl Shown {
    fn open(event_loop: &ActiveEventLoop, options: &Options) -> Result<Self, Failure> {
        let no_window = |error: &dyn std::fmt::Display| Failure::Display(format!("no window: {error}"));
        let attributes = Window::default_attributes()
            .with_title("engine-vitals demo")
            .with_inner_size(PhysicalSize::new(options.size.width, options.size.height));
        let window = Arc::new(event_loop.create_window(attributes).map_err(|error| no_window(&error))?);
        let vitals = telemetry::start(options)?;
        let (surface, open) = device::open_surface(event_loop, &window, &vitals, wgpu::Limits::downlevel_defaults)?;
        println!("{}", open.describe());
        telemetry::announce(&vitals, options);
        let engine = Engine::new(open, options, vitals)?;

        let size = window.inner_size();
        let mut config = surface
            .get_default_config(engine.adapter(), size.width.max(1), size.height.max(1))
            .ok_or_else(|| Failure::Display("the adapter cannot present to this window".to_owned()))?;
        // The pace is ours (--fps), so a present never waits where the surface allows that.
        config.present_mode = wgpu::PresentMode::AutoNoVsync;
        let formats = surface.get_capabilities(engine.adapter()).formats;
        config.format = formats.iter().copied().find(wgpu::TextureFormat::is_srgb).unwrap_or(config.format);
        surface.configure(engine.device(), &config);
        let blitter = wgpu::util::TextureBlitter::new(engine.device(), config.format);
        let ui = engine.ui().map(|context| {
            let scale = Some(window.scale_factor() as f32);
            let largest = Some(engine.device().limits().max_texture_dimension_2d as usize);
            egui_winit::State::new(context.clone(), egui::ViewportId::ROOT, event_loop, scale, None, largest)
        });
        let mut shown = Self { window, surface, config, blitter, ui, engine };
        // The window may have another size than was asked for.
        shown.engine.resize(Size { width: shown.config.width, height: shown.config.height })?;
        Ok(shown)
    }

    fn resize(&mut self, size: PhysicalSize<u32>) -> Result<(), Failure> {
        // A minimised window has no area: the old targets stay until it has one again.
        if size.width == 0 || size.height == 0 || (size.width, size.height) == (self.config.width, self.config.height) {
            return Ok(());
        }
        (self.config.width, self.config.height) = (size.width, size.height);
        self.surface.configure(self.engine.device(), &self.config);
        self.engine.resize(Size { width: size.width, height: size.height })
    }

    /// Renders and presents one frame; false when the surface had no texture to give.
    fn frame(&mut self) -> Result<bool, Failure> {
        let texture = match self.surface.get_current_texture() {
            wgpu::CurrentSurfaceTexture::Success(texture) | wgpu::CurrentSurfaceTexture::Suboptimal(texture) => texture,
            wgpu::CurrentSurfaceTexture::Timeout | wgpu::CurrentSurfaceTexture::Occluded => return Ok(false),
            wgpu::CurrentSurfaceTexture::Outdated | wgpu::CurrentSurfaceTexture::Lost => {
                self.surface.configure(self.engine.device(), &self.config);
                return Ok(false);
            }
            wgpu::CurrentSurfaceTexture::Validation => {
                return Err(Failure::Running("the window's surface gave no texture: validation error".to_owned()));
            }
        };
        let view = texture.texture.create_view(&wgpu::TextureViewDescriptor::default());
        let (blitter, device) = (&self.blitter, self.engine.device().clone());
        let show = |encoder: &mut wgpu::CommandEncoder, picture: &wgpu::TextureView| {
            blitter.copy(&device, encoder, picture, &view);
        };
        let present = |queue: &wgpu::Queue| {
            self.window.pre_present_notify();
            queue.present(texture);
        };
        let input = self.ui.as_mut().map(|ui| ui.take_egui_input(&self.window)).unwrap_or_default();
        let asks = self.engine.render(input, show, Some(present))?;
        if let (Some(ui), Some(asks)) = (&mut self.ui, asks) {
            ui.handle_platform_output(&self.window, asks);
        }
        Ok(true)
    }
}
