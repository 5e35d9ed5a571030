//! The best adapter there is, and a device on it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why there is no device.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// No driver offers an adapter.
    NoAdapter(wgpu::RequestAdapterError),
    /// There is an adapter, but it gave no device.
    NoDevice(String, wgpu::RequestDeviceError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAdapter(reason) => write!(
                f,
                "no GPU adapter: {reason}\n\
                 Install a driver. On Debian and Ubuntu a software Vulkan driver that needs no GPU is in\n\
                 \x20   apt-get install mesa-vulkan-drivers libvulkan1\n\
                 If there is a driver, look at WGPU_BACKEND (vulkan, gl, metal, dx12) and VK_DRIVER_FILES."
            ),
            Self::NoDevice(adapter, reason) => write!(f, "the adapter {adapter:?} gave no device: {reason}"),
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

/// Opens the best adapter (a GPU before software) that can present to `surface`, if there is one.
///
/// # Errors
/// When there is no adapter, or it gives no device.
pub(crate) fn open(
    instance: &wgpu::Instance,
    surface: Option<&wgpu::Surface<'_>>,
    wanted: impl FnOnce(&wgpu::Adapter) -> wgpu::Features,
) -> Result<OpenDevice, OpenError> {
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        force_fallback_adapter: false,
        compatible_surface: surface,
        apply_limit_buckets: false,
    };
    let adapter = pollster::block_on(instance.request_adapter(&options)).map_err(OpenError::NoAdapter)?;
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("engine"),
        required_features: wanted(&adapter),
        required_limits: wgpu::Limits::downlevel_defaults().using_resolution(adapter.limits()),
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
        .map_err(|reason| OpenError::NoDevice(adapter.get_info().name, reason))?;
    let failed = Arc::new(AtomicBool::new(false));
    let on_error = Arc::clone(&failed);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        if !on_error.swap(true, Ordering::Relaxed) {
            eprintln!("engine: wgpu reports: {error}");
        }
    }));
    let on_loss = Arc::clone(&failed);
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            eprintln!("engine: the device was lost: {message}");
            on_loss.store(true, Ordering::Relaxed);
        }
    });
    Ok(OpenDevice { adapter, device, queue, failed })
}
