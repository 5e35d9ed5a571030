//! The graphics API's own handles, where the real object gives one: with the features `vulkan`, `metal` and `dx12`, each for its
//! own. One costs the lock that wgpu takes for `as_hal`.

use engine_vitals_core::probe::Backend;

use super::real::{real_buffer, real_texture};

/// Whether that API's valid buffers and textures all have handles here: one without is invalid, and has no memory.
pub(super) fn tells(backend: Backend) -> bool {
    let vulkan =
        cfg!(all(feature = "vulkan", any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")));
    let dx12 = cfg!(all(feature = "dx12", windows));
    (vulkan && backend == Backend::Vulkan) || (dx12 && backend == Backend::D3D12)
}

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident: $type:ident by $real:ident;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(object: &wgpu::$type) -> Option<u64> {
            let object = $real(object);
            #[cfg(all(feature = "vulkan", any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
            {
                use ash::vk::Handle as _;
                // SAFETY: the guard is only looked at: nothing is destroyed, and it ends here.
                if let Some(vulkan) = unsafe { object.as_hal::<wgpu::hal::api::Vulkan>() } {
                    // SAFETY: the handle is told as a number, by which nobody destroys it.
                    return Some(unsafe { vulkan.raw_handle() }.as_raw());
                }
            }
            #[cfg(all(feature = "dx12", windows))]
            {
                use windows_core::Interface as _;
                // SAFETY: the guard is only looked at: nothing is destroyed, and it ends here.
                if let Some(dx12) = unsafe { object.as_hal::<wgpu::hal::api::Dx12>() } {
                    // SAFETY: the resource is not released; its address is told as a number.
                    return Some(unsafe { dx12.raw_resource() }.as_raw().addr() as u64);
                }
            }
            let _ = object;
            None
        }
    )*};
}

handles! {
    /// A buffer's handle: `VkBuffer`, `ID3D12Resource`. Metal's is not to be had.
    buffer: Buffer by real_buffer;
    /// A texture's handle: `VkImage`, `ID3D12Resource`.
    core_texture: Texture by real_texture;
}

/// A texture's handle: `VkImage`, `ID3D12Resource`, `MTLTexture`.
pub(super) fn texture(object: &wgpu::Texture) -> Option<u64> {
    #[cfg(all(feature = "metal", target_vendor = "apple"))]
    {
        // SAFETY: the guard is only looked at: nothing is destroyed, and it ends here.
        if let Some(metal) = unsafe { real_texture(object).as_hal::<wgpu::hal::api::Metal>() } {
            return Some(std::ptr::from_ref(metal.raw_handle()).addr() as u64);
        }
    }
    core_texture(object)
}
