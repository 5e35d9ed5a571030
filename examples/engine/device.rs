//! The best adapter there is, and a device on it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine_vitals::Vitals;
use engine_vitals::gpu::AdapterFacts;
use winit::event_loop::ActiveEventLoop;
use winit::window::Window;

use super::failure::Failure;

/// Why there is no device.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// No driver offers an adapter.
    Adapter(wgpu::RequestAdapterError),
    /// `WGPU_BACKEND` names no backend.
    Backend,
    /// There is an adapter, but it gave no device.
    Device(String, wgpu::RequestDeviceError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adapter(reason) => write!(
                f,
                "no GPU adapter: {reason}\n\
                 Install a driver. On Debian and Ubuntu a software Vulkan driver that needs no GPU is in\n\
                 \x20   apt-get install mesa-vulkan-drivers libvulkan1\n\
                 If there is a driver, look at WGPU_BACKEND (vulkan, gl, metal, dx12) and VK_DRIVER_FILES."
            ),
            Self::Backend => f.write_str("WGPU_BACKEND names no backend of this program"),
            Self::Device(adapter, reason) => write!(f, "the adapter {adapter:?} gave no device: {reason}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// An open device, with what was found out about its adapter.
#[derive(Debug)]
pub(crate) struct OpenDevice {
    pub(crate) adapter: wgpu::Adapter,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    /// Set when wgpu reports an error that nobody handled, or the loss of the device.
    pub(crate) failed: Arc<AtomicBool>,
}

impl OpenDevice {
    /// The adapter, in a line.
    pub(crate) fn describe(&self) -> String {
        let AdapterFacts { name, backend, driver, .. } = AdapterFacts::new(&self.adapter.get_info());
        format!("adapter: {name} ({backend}, {driver})")
    }
}

/// The limits that a renderer asks of a device, apart from those of resolution, which are the adapter's.
pub(crate) type Limits = fn() -> wgpu::Limits;

/// The backends to try, in turn: OpenGL only where nothing else has an adapter. `WGPU_BACKEND` picks for itself.
fn backends() -> Vec<wgpu::Backends> {
    match wgpu::Backends::from_env() {
        Some(picked) => vec![picked],
        None => vec![wgpu::Backends::PRIMARY, wgpu::Backends::SECONDARY],
    }
}

/// Opens the best adapter for rendering without a window, instrumented by `vitals`.
///
/// # Errors
/// When no backend has an adapter, or the adapter gives no device.
pub(crate) fn open_offscreen(vitals: &Vitals, limits: Limits) -> Result<OpenDevice, OpenError> {
    let mut last = None;
    for backends in backends() {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends = backends;
        match open(&vitals.wrap(wgpu::Instance::new(descriptor)), None, limits) {
            Ok(open) => return Ok(open),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or(OpenError::Backend))
}

/// A surface of `window` and a device on the first backend that has an adapter for it, instrumented by `vitals`.
///
/// # Errors
/// When no backend can present, or the adapter gives no device.
pub(crate) fn open_surface(
    event_loop: &ActiveEventLoop,
    window: &Arc<Window>,
    vitals: &Vitals,
    limits: Limits,
) -> Result<(wgpu::Surface<'static>, OpenDevice), Failure> {
    let mut failure = Failure::Display("no backend can present".to_owned());
    for backends in backends() {
        let display = Box::new(event_loop.owned_display_handle());
        let mut descriptor = wgpu::InstanceDescriptor::new_with_display_handle_from_env(display);
        descriptor.backends = backends;
        let instance = vitals.wrap(wgpu::Instance::new(descriptor));
        match instance.create_surface(Arc::clone(window)) {
            Err(error) => failure = Failure::Display(format!("no surface: {error}")),
            Ok(surface) => match open(&instance, Some(&surface), limits) {
                Ok(open) => return Ok((surface, open)),
                Err(error) => failure = Failure::Open(error),
            },
        }
    }
    Err(failure)
}

/// Opens the best adapter (a GPU before software) that can present to `surface`, if there is one.
///
/// # Errors
/// When there is no adapter, or it gives no device.
fn open(
    instance: &wgpu::Instance,
    surface: Option<&wgpu::Surface<'_>>,
    limits: Limits,
) -> Result<OpenDevice, OpenError> {
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        force_fallback_adapter: false,
        compatible_surface: surface,
        apply_limit_buckets: false,
    };
    let adapter = pollster::block_on(instance.request_adapter(&options)).map_err(OpenError::Adapter)?;
    let descriptor = wgpu::DeviceDescriptor {
        label: Some(env!("CARGO_BIN_NAME")),
        required_limits: limits().using_resolution(adapter.limits()),
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
        .map_err(|reason| OpenError::Device(adapter.get_info().name, reason))?;
    let failed = Arc::new(AtomicBool::new(false));
    let on_error = Arc::clone(&failed);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        if !on_error.swap(true, Ordering::Relaxed) {
            eprintln!("wgpu reports: {error}");
        }
    }));
    let on_loss = Arc::clone(&failed);
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            eprintln!("the device was lost: {message}");
            on_loss.store(true, Ordering::Relaxed);
        }
    });
    Ok(OpenDevice { adapter, device, queue, failed })
}
