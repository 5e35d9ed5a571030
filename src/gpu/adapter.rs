//! What to ask of an adapter, and what it is called.

use engine_vitals_core::probe::Backend;

/// The features that make GPU times possible, as far as the adapter has them. Add them to a device's required features:
/// a device that did not ask for them has no time stamps.
#[must_use]
pub fn wanted_features(adapter: &wgpu::Adapter) -> wgpu::Features {
    let wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
    adapter.features() & wanted
}

/// Where a device can take time stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimestampSupport {
    /// Nowhere: times on the GPU are absent.
    None,
    /// At the begin and the end of passes. Between passes an empty compute pass is put in to carry the stamp.
    Passes,
    /// Anywhere between passes too.
    Encoders,
}

impl TimestampSupport {
    /// What these features of a device allow.
    #[must_use]
    pub fn of(features: wgpu::Features) -> Self {
        if !features.contains(wgpu::Features::TIMESTAMP_QUERY) {
            Self::None
        } else if features.contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS) {
            Self::Encoders
        } else {
            Self::Passes
        }
    }
}

/// What an adapter is called: the labels of `vitals_adapter_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterFacts {
    /// The adapter's name, as its driver gives it.
    pub name: String,
    /// `vulkan`, `metal`, `dx12`, `gl`, `webgpu` or `noop`.
    pub backend: &'static str,
    /// The driver's name and version; empty where the backend does not tell.
    pub driver: String,
    /// Discrete, integrated, software, …
    pub device_type: wgpu::DeviceType,
}

impl AdapterFacts {
    /// The facts of an adapter, or of the adapter of a device (`device.adapter_info()`).
    #[must_use]
    pub fn new(info: &wgpu::AdapterInfo) -> Self {
        let driver = match (info.driver.trim(), info.driver_info.trim()) {
            ("", info) => info.to_owned(),
            (driver, "") => driver.to_owned(),
            (driver, info) => format!("{driver} {info}"),
        };
        Self { name: info.name.clone(), backend: backend_name(info.backend), driver, device_type: info.device_type }
    }
}

/// The API of a wgpu backend, as the event schema names it.
#[must_use]
pub fn probe_backend(backend: wgpu::Backend) -> Backend {
    match backend {
        wgpu::Backend::Noop => Backend::Noop,
        wgpu::Backend::Vulkan => Backend::Vulkan,
        wgpu::Backend::Metal => Backend::Metal,
        wgpu::Backend::Dx12 => Backend::D3D12,
        wgpu::Backend::Gl => Backend::Gl,
        wgpu::Backend::BrowserWebGpu => Backend::WebGpu,
    }
}

fn backend_name(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::Noop => "noop",
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        wgpu::Backend::Gl => "gl",
        wgpu::Backend::BrowserWebGpu => "webgpu",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn support_follows_the_features_that_the_device_has() {
        let (passes, encoders) = (wgpu::Features::TIMESTAMP_QUERY, wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);
        assert_eq!(TimestampSupport::of(wgpu::Features::empty()), TimestampSupport::None);
        assert_eq!(TimestampSupport::of(encoders), TimestampSupport::None);
        assert_eq!(TimestampSupport::of(passes), TimestampSupport::Passes);
        assert_eq!(TimestampSupport::of(passes | encoders), TimestampSupport::Encoders);
    }
}
