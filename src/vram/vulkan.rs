//! Vulkan's heaps: `VK_EXT_memory_budget`.

use ash::vk;
use engine_vitals_core::contract::VramHeap;

use super::heaps::{self, HeapProvider, HeapQuery};
use crate::instrument::real_device;

/// The heaps of a device behind Vulkan: their sizes, and by `VK_EXT_memory_budget` how much of each this process uses and may use.
///
/// The extension is one of the physical device's, which must support it; that wgpu enables it is not needed. What the usage holds is the
/// driver's choice: mostly all that this process has allocated on the device, by whatever library, in multiples of the driver's pages.
/// A refresh asks the driver one question, which costs some of them milliseconds. It holds the device, and so keeps it alive.
///
/// It takes instrumented devices too, and those of a program that uses Vulkan beside wgpu.
pub type VulkanBudgetProvider = HeapProvider<VulkanHeaps>;

/// What a [`VulkanBudgetProvider`] asks.
#[derive(Debug)]
pub struct VulkanHeaps {
    /// The real one.
    device: wgpu::Device,
    /// How budgets are asked for, or why they cannot be.
    budgets: Result<Properties2, NoBudget>,
}

/// Which name `vkGetPhysicalDeviceMemoryProperties2` has.
#[derive(Debug, Clone, Copy)]
enum Properties2 {
    /// Vulkan 1.1's.
    Core,
    /// That of `VK_KHR_get_physical_device_properties2`.
    Khr,
}

/// Why there are neither usages nor budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoBudget {
    /// The physical device does not support `VK_EXT_memory_budget`.
    Extension,
    /// Vulkan 1.0, without `VK_KHR_get_physical_device_properties2`.
    Properties2,
    /// The driver does not tell its extensions: the `VkResult`.
    Driver(i32),
}

impl std::fmt::Display for NoBudget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Extension => formatter.write_str("the driver does not support VK_EXT_memory_budget"),
            Self::Properties2 => {
                formatter.write_str("Vulkan 1.0 without VK_KHR_get_physical_device_properties2 cannot be asked")
            }
            Self::Driver(result) => write!(formatter, "the driver does not tell its extensions: VkResult {result}"),
        }
    }
}

impl std::error::Error for NoBudget {}

impl VulkanBudgetProvider {
    /// A provider for `device`; `None` if it is not one of Vulkan's. Its figures are absent until the first refresh.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Option<Self> {
        let device = real_device(device).clone();
        let budgets = with_physical_device(&device, budgets)?;
        Some(Self::of(VulkanHeaps { device, budgets }))
    }
}

impl VulkanHeaps {
    /// Why usages and budgets are absent; the capacities are there all the same. `None` if they are not.
    #[must_use]
    pub fn no_budget(&self) -> Option<NoBudget> {
        self.budgets.err()
    }
}

impl HeapQuery for VulkanHeaps {
    fn source(&self) -> &'static str {
        "vulkan"
    }

    fn query(&self) -> Option<Vec<VramHeap>> {
        with_physical_device(&self.device, |instance, physical| {
            let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
            let memory = match self.budgets {
                Ok(properties2) => memory_and_budget(instance, physical, properties2, &mut budget),
                // SAFETY: the physical device is this instance's, and both live as long as the device.
                Err(_) => unsafe { instance.raw_instance().get_physical_device_memory_properties(physical) },
            };
            let sizes: Vec<_> = memory
                .memory_heaps_as_slice()
                .iter()
                .map(|heap| (heap.size, heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL)))
                .collect();
            let known = self.budgets.is_ok().then_some((&budget.heap_usage[..], &budget.heap_budget[..]));
            heaps::of_vulkan(&sizes, known)
        })
    }
}

/// `None` if the device is not one of Vulkan's.
fn with_physical_device<R>(
    device: &wgpu::Device,
    ask: impl FnOnce(&wgpu::hal::vulkan::InstanceShared, vk::PhysicalDevice) -> R,
) -> Option<R> {
    // SAFETY: the guard is only looked at: nothing is destroyed, and it ends here.
    let hal = unsafe { device.as_hal::<wgpu::hal::api::Vulkan>() }?;
    Some(ask(hal.shared_instance(), hal.raw_physical_device()))
}

/// How budgets are asked for.
fn budgets(
    instance: &wgpu::hal::vulkan::InstanceShared,
    physical: vk::PhysicalDevice,
) -> Result<Properties2, NoBudget> {
    let raw = instance.raw_instance();
    // SAFETY: the physical device is this instance's, and both live as long as the device.
    let extensions = unsafe { raw.enumerate_device_extension_properties(physical) }
        .map_err(|result| NoBudget::Driver(result.as_raw()))?;
    let wanted = ash::ext::memory_budget::NAME;
    if !extensions.iter().any(|extension| extension.extension_name_as_c_str().is_ok_and(|name| name == wanted)) {
        return Err(NoBudget::Extension);
    }
    // SAFETY: the same.
    let device_version = unsafe { raw.get_physical_device_properties(physical) }.api_version;
    if instance.instance_api_version().min(device_version) >= vk::API_VERSION_1_1 {
        Ok(Properties2::Core)
    } else if instance.extensions().contains(&ash::khr::get_physical_device_properties2::NAME) {
        Ok(Properties2::Khr)
    } else {
        Err(NoBudget::Properties2)
    }
}

fn memory_and_budget(
    instance: &wgpu::hal::vulkan::InstanceShared,
    physical: vk::PhysicalDevice,
    properties2: Properties2,
    budget: &mut vk::PhysicalDeviceMemoryBudgetPropertiesEXT<'_>,
) -> vk::PhysicalDeviceMemoryProperties {
    let mut memory = vk::PhysicalDeviceMemoryProperties2::default().push_next(budget);
    match properties2 {
        Properties2::Core => {
            // SAFETY: instance and physical device have version 1.1, the device supports the structure in the chain, and both structures
            // live until the call returns.
            unsafe { instance.raw_instance().get_physical_device_memory_properties2(physical, &mut memory) };
        }
        Properties2::Khr => {
            let extension =
                ash::khr::get_physical_device_properties2::Instance::new(instance.entry(), instance.raw_instance());
            // SAFETY: the instance has the extension enabled; otherwise as above.
            unsafe { extension.get_physical_device_memory_properties2(physical, &mut memory) };
        }
    }
    memory.memory_properties
}
