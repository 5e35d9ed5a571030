//! cubecl's wgpu runtime, whose default device is one that we made.

use cubecl_common::device::{Device, DeviceId};
use cubecl_core::zspace::{Shape, Strides};
use cubecl_ir::TargetProperties;
use cubecl_runtime::runtime::Runtime;
use cubecl_wgpu::{RuntimeOptions, WgpuDevice, WgpuRuntime, WgpuSetup, init_device};
use std::sync::OnceLock;

/// As `WgpuRuntime`, but for [`OurDevice`].
#[derive(Clone, Debug)]
pub(crate) struct Ours;

/// By default, the one that [`setup`] made.
#[derive(Clone, Debug)]
pub(crate) struct OurDevice(WgpuDevice);

impl Default for OurDevice {
    fn default() -> Self {
        static DEVICE: OnceLock<WgpuDevice> = OnceLock::new();
        Self(DEVICE.get_or_init(|| init_device(setup().clone(), RuntimeOptions::default())).clone())
    }
}

/// The device below it.
pub(crate) fn device() -> &'static wgpu::Device {
    &setup().device
}

impl Device for OurDevice {
    fn from_id(id: DeviceId) -> Self {
        Self(WgpuDevice::from_id(id))
    }

    fn to_id(&self) -> DeviceId {
        self.0.to_id()
    }
}

impl Runtime for Ours {
    type Server = <WgpuRuntime as Runtime>::Server;
    type Device = OurDevice;

    fn can_read_tensor(shape: &Shape, strides: &Strides) -> bool {
        WgpuRuntime::<cubecl_wgpu::AutoCompiler>::can_read_tensor(shape, strides)
    }

    fn target_properties() -> TargetProperties {
        WgpuRuntime::<cubecl_wgpu::AutoCompiler>::target_properties()
    }

    fn enumerate_devices(_kind: u16) -> Vec<DeviceId> {
        vec![OurDevice::default().to_id()]
    }
}

/// What cubecl-wgpu makes for itself when it is not given one, but in the mode that the environment asks for.
fn setup() -> &'static WgpuSetup {
    static SETUP: OnceLock<WgpuSetup> = OnceLock::new();
    SETUP.get_or_init(make_setup)
}

fn make_setup() -> WgpuSetup {
    let instance = engine_vitals_third_party::instance(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let descriptor = wgpu::DeviceDescriptor {
        required_features: adapter.features().difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        // SAFETY: the suite passes on shaders that cubecl generates, as cubecl's own device does.
        experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let backend = adapter.get_info().backend;
    WgpuSetup { instance, adapter, device, queue, backend }
}
