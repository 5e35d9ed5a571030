//! An instrumented device and the books that it is kept in.

use crate::books::Books;
use crate::scene::{self, Gpu};
use crate::support::skipped_without_adapter;
use engine_vitals::instrument::{Instrumentation, InstrumentationBuilder};
use engine_vitals::probe::{Event, EventKind, Level, ResourceKind};
use engine_vitals::tracker::ResourceRecord;

pub(crate) struct Bench {
    pub(crate) gpu: Gpu,
    pub(crate) books: Books,
}

impl Bench {
    /// On the machine's adapter; a named skip without one.
    pub(crate) fn on_gpu(test: &str) -> Option<Self> {
        let bench = Self::open(&scene::gpu_instance, |builder| builder);
        if bench.is_none() {
            skipped_without_adapter(test);
        }
        bench
    }

    pub(crate) fn on_noop() -> Self {
        Self::noop_with(|builder| builder)
    }

    /// On the noop backend, with more said to the builder.
    pub(crate) fn noop_with(say: impl FnOnce(InstrumentationBuilder) -> InstrumentationBuilder) -> Self {
        Self::open(&scene::noop_instance, say).unwrap()
    }

    /// On the noop backend, and on the machine's adapter if there is one.
    pub(crate) fn on_both(test: &str) -> Vec<Self> {
        [Self::on_noop()].into_iter().chain(Self::on_gpu(test)).collect()
    }

    fn open(
        instance: &dyn Fn() -> wgpu::Instance,
        say: impl FnOnce(InstrumentationBuilder) -> InstrumentationBuilder,
    ) -> Option<Self> {
        let books = Books::open(Level::Events, false);
        let instrumentation = say(Instrumentation::builder(books.tracker.probe())).build();
        let gpu = Gpu::open(&instrumentation.wrap(instance()))?;
        Some(Self { gpu, books })
    }

    /// The only resource with that label.
    pub(crate) fn resource(&self, label: &str) -> Option<ResourceRecord> {
        let mut found: Vec<_> = self.books.tracker.snapshot().resources;
        found.retain(|resource| resource.label.as_deref() == Some(label));
        assert!(found.len() <= 1, "{label:?} is there {} times", found.len());
        found.pop()
    }

    /// Live and pending bytes of a kind.
    pub(crate) fn bytes(&self, kind: ResourceKind) -> (u64, u64) {
        let counts = self.books.tracker.totals().kind(kind).device;
        (counts.live_bytes(), counts.pending_bytes())
    }

    /// Whether wgpu's allocator has memory under that label; `None` where it cannot be asked.
    pub(crate) fn allocated(&self, label: &str) -> Option<bool> {
        let report = self.gpu.device.generate_allocator_report()?;
        Some(report.allocations.iter().any(|allocation| allocation.name == label))
    }

    /// The events of a kind so far.
    pub(crate) fn events(&mut self, kind: EventKind) -> Vec<Event> {
        self.books.read();
        self.books.events.iter().filter(|event| event.event == kind).copied().collect()
    }

    /// Drops the device and checks that the books close.
    pub(crate) fn close(self) {
        let Self { gpu, mut books } = self;
        drop(gpu);
        books.assert_closed();
        books.assert_told();
    }
}
