//! Frames in a window: the packets are those of its surface.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine_vitals::Vitals;
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop};
use winit::window::{Window, WindowId};

use super::device;
use super::failure::Failure;
use super::options::Options;
use super::pace::Pace;
use super::painter::Painter;
use super::script::Fate;
use super::size::Size;
use super::telemetry;
use super::tree::Compositor;
use super::truth::Truth;

/// Opens a window and composes into it until it is closed, stopped, or has shown its frames.
///
/// # Errors
/// When there is no display, no adapter that can present, or a frame fails.
pub(crate) fn run<P: Painter>(options: &Options, stop: &'static AtomicBool) -> Result<(Vitals, Truth), Failure> {
    let event_loop = EventLoop::new().map_err(|error| Failure::Display(format!("no display: {error}")))?;
    let mut app = App::<P> { options, stop, pace: Pace::new(options.fps()), shown: None, failure: None };
    event_loop.run_app(&mut app).map_err(|error| Failure::Display(error.to_string()))?;
    if let Some(failure) = app.failure {
        return Err(failure);
    }
    let Shown { compositor, surface, .. } =
        app.shown.ok_or_else(|| Failure::Display("the event loop ended before there was a window".to_owned()))?;
    if let Some(path) = &options.screenshot {
        compositor.screenshot(path)?;
        println!("wrote {}", path.display());
    }
    drop(surface);
    compositor.close()
}

struct App<'a, P> {
    options: &'a Options,
    stop: &'static AtomicBool,
    pace: Pace,
    shown: Option<Shown<P>>,
    failure: Option<Failure>,
}

/// A window with its surface, and the compositor that fills it.
struct Shown<P> {
    compositor: Compositor<P>,
    presenter: wgpu::RenderPipeline,
    config: wgpu::SurfaceConfiguration,
    surface: wgpu::Surface<'static>,
    window: Arc<Window>,
}

impl<P: Painter> ApplicationHandler for App<'_, P> {
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
        match event {
            WindowEvent::CloseRequested => event_loop.exit(),
            WindowEvent::Resized(size) => shown.resize(size),
            WindowEvent::RedrawRequested => {
                if let Err(failure) = shown.frame() {
                    self.fail(event_loop, failure);
                }
            }
            _ => {}
        }
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        let presented = self.shown.as_ref().map_or(0, |shown| shown.compositor.presented());
        let done = self.options.frames().is_some_and(|frames| presented >= frames);
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

impl<P> App<'_, P> {
    fn fail(&mut self, event_loop: &ActiveEventLoop, failure: Failure) {
        self.failure = Some(failure);
        event_loop.exit();
    }
}

impl<P: Painter> Shown<P> {
    fn open(event_loop: &ActiveEventLoop, options: &Options) -> Result<Self, Failure> {
        let attributes = Window::default_attributes()
            .with_title(env!("CARGO_BIN_NAME"))
            .with_inner_size(PhysicalSize::new(options.size.width, options.size.height));
        let window = event_loop.create_window(attributes);
        let window = Arc::new(window.map_err(|error| Failure::Display(format!("no window: {error}")))?);
        let vitals = telemetry::start(options, P::SCRATCH);
        let (surface, open) = device::open_surface(event_loop, &window, &vitals, P::LIMITS)?;
        println!("{}", open.describe());

        let size = window.inner_size();
        let mut config = surface
            .get_default_config(&open.adapter, size.width.max(1), size.height.max(1))
            .ok_or_else(|| Failure::Display("the adapter cannot present to this window".to_owned()))?;
        // The pace is ours (--fps), so a present never waits where the surface allows that.
        config.present_mode = wgpu::PresentMode::AutoNoVsync;
        // The picture has sRGB values already: they are copied as they are.
        config.format = config.format.remove_srgb_suffix();
        surface.configure(&open.device, &config);
        let mut compositor = Compositor::new(open, options, vitals)?;
        let presenter = compositor.presenter(config.format);
        // The window may have another size than was asked for.
        compositor.resize(Size { width: config.width, height: config.height });
        Ok(Self { compositor, presenter, config, surface, window })
    }

    fn resize(&mut self, size: PhysicalSize<u32>) {
        // A minimised window has no area: the old size stays until it has one again.
        if size.width == 0 || size.height == 0 || (size.width, size.height) == (self.config.width, self.config.height) {
            return;
        }
        (self.config.width, self.config.height) = (size.width, size.height);
        self.surface.configure(&self.compositor.open_device().device, &self.config);
        self.compositor.resize(Size { width: size.width, height: size.height });
    }

    /// Draws a frame, and presents it unless it is overtaken or the surface has no texture to give.
    fn frame(&mut self) -> Result<(), Failure> {
        if self.compositor.is_idle() {
            self.compositor.skip();
            return Ok(());
        }
        let texture = match self.surface.get_current_texture() {
            wgpu::CurrentSurfaceTexture::Success(texture) | wgpu::CurrentSurfaceTexture::Suboptimal(texture) => texture,
            wgpu::CurrentSurfaceTexture::Timeout | wgpu::CurrentSurfaceTexture::Occluded => return Ok(()),
            wgpu::CurrentSurfaceTexture::Outdated | wgpu::CurrentSurfaceTexture::Lost => {
                self.surface.configure(&self.compositor.open_device().device, &self.config);
                return Ok(());
            }
            wgpu::CurrentSurfaceTexture::Validation => {
                return Err(Failure::Running("the window's surface gave no texture: validation error".to_owned()));
            }
        };
        let fate = self.compositor.draw()?;
        if fate == Fate::Presented {
            let view = texture.texture.create_view(&wgpu::TextureViewDescriptor::default());
            self.compositor.show(&self.presenter, &view);
            self.window.pre_present_notify();
            self.compositor.open_device().queue.present(texture);
        } else {
            drop(texture);
        }
        self.compositor.ended(fate);
        Ok(())
    }
}
