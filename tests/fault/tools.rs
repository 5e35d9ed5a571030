//! Instances, and what is right once all is over.

use engine_vitals::Tracker;
use engine_vitals::instrument::Instrumentation;
use engine_vitals::instrument::fault::FaultPlan;

/// An instance of the backend that does nothing.
pub(crate) fn noop_instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop = wgpu::NoopBackendOptions { enable: true, ..Default::default() };
    wgpu::Instance::new(descriptor)
}

/// An instance with the machine's drivers, or with what `WGPU_BACKEND` says.
pub(crate) fn gpu_instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env())
}

/// What all tests have.
pub(crate) struct Stage {
    pub(crate) tracker: Tracker,
    pub(crate) plan: FaultPlan,
    pub(crate) instance: wgpu::Instance,
    pub(crate) adapter: wgpu::Adapter,
}

impl Stage {
    /// An instrumented adapter with that plan; `None` if there is none.
    pub(crate) fn new(instance: wgpu::Instance, plan: &FaultPlan) -> Option<Self> {
        let tracker = Tracker::new();
        let instance = Instrumentation::builder(tracker.probe()).faults(plan.clone()).build().wrap(instance);
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).ok()?;
        Some(Self { tracker, plan: plan.clone(), instance, adapter })
    }

    pub(crate) fn device(&self) -> Result<(wgpu::Device, wgpu::Queue), wgpu::RequestDeviceError> {
        let required_limits = wgpu::Limits::downlevel_defaults();
        pollster::block_on(
            self.adapter.request_device(&wgpu::DeviceDescriptor { required_limits, ..Default::default() }),
        )
    }

    /// Everything has been given back. To be called when the program has dropped all it had.
    pub(crate) fn assert_books_are_back_to_zero(self, what: &str) {
        let Self { tracker, instance, adapter, plan: _ } = self;
        drop((instance, adapter));
        let totals = tracker.totals();
        for (kind, counts) in totals.kinds() {
            let device = counts.device;
            assert_eq!(device.created, device.released, "{what}: {kind:?}: {counts:?}");
        }
        let device = totals.device();
        assert_eq!((device.live(), device.live_bytes(), device.pending_bytes()), (0, 0, 0), "{what}");
        let submissions = totals.submissions;
        assert_eq!(submissions.in_flight(), 0, "{what}: {submissions:?}");
        assert_eq!(submissions.unmatched_completions, 0, "{what}: {submissions:?}");
        assert_eq!(totals.inconsistencies, 0, "{what}");
        assert!(tracker.snapshot().resources.is_empty(), "{what}");
    }
}
