//! Figures that a source may have or not: of its heaps, of engines, of an allocator. Each is described once the source has told of it, and
//! keeps its place among the figures from then on.

use std::borrow::Cow;

use crate::contract::{Reading, Row, Series, Unit, VramProvider};

/// Heaps and engines that have figures. Drivers have less than ten of each; those beyond are counted.
pub(super) const MOST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Parts {
    known: Vec<Part>,
    /// The most parts that were beyond at once.
    refused: u64,
}

#[derive(Debug)]
struct Part {
    what: What,
    /// What the source said of it last; as many as it has figures.
    readings: [Reading; 4],
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// Bytes given out, and taken from the driver.
    Allocator,
    Heap(Cow<'static, str>),
    Engine(Cow<'static, str>),
}

/// Everything that a source says of its parts at one moment.
pub(super) struct Told(Vec<Part>);

impl Told {
    /// Calls nothing but the provider, which may be anybody's: no lock is held.
    pub(super) fn by(provider: &dyn VramProvider) -> Self {
        let unknown = Reading::from(None::<u64>);
        let (allocated, reserved) = (provider.get_vram_allocated_bytes(), provider.get_vram_reserved_bytes());
        let allocator = (allocated.is_some() || reserved.is_some())
            .then(|| Part { what: What::Allocator, readings: [allocated.into(), reserved.into(), unknown, unknown] });
        let heaps = provider.get_vram_heaps().into_iter().map(|heap| {
            let figures = [heap.used_bytes, heap.peak_bytes, heap.budget_bytes, heap.capacity_bytes];
            Part { what: What::Heap(heap.name), readings: figures.map(Reading::from) }
        });
        let engines = provider.get_engines_busy().into_iter().map(|engine| Part {
            what: What::Engine(engine.name),
            readings: [engine.busy.into(), unknown, unknown, unknown],
        });
        Self(allocator.into_iter().chain(heaps).chain(engines).collect())
    }

    /// Nothing.
    pub(super) fn nothing() -> Self {
        Self(Vec::new())
    }
}

impl Parts {
    /// What was told of before and is not now is unknown.
    pub(super) fn take(&mut self, told: Told) {
        for part in &mut self.known {
            part.readings = [Reading::from(None::<u64>); 4];
        }
        let mut refused = 0;
        for part in told.0 {
            if let Some(known) = self.known.iter_mut().find(|known| known.what == part.what) {
                known.readings = part.readings;
            } else if self.known.len() < MOST {
                self.known.push(part);
            } else {
                refused += 1;
            }
        }
        self.refused = self.refused.max(refused);
    }

    /// Changes when there is more to describe.
    pub(super) fn revision(&self) -> u64 {
        self.known.len() as u64 + u64::from(self.refused > 0)
    }

    pub(super) fn describe(&self, series: &mut Series, source: &'static str) {
        for part in &self.known {
            match &part.what {
                What::Allocator => describe_allocator(series),
                What::Heap(heap) => describe_heap(series, source, heap),
                What::Engine(engine) => {
                    series
                        .counter(
                            "vitals_gpu_engine_busy_seconds_total",
                            Unit::Seconds,
                            "Time that this process kept the adapter's engines of this name busy, all of one name together",
                        )
                        .label("source", source)
                        .label("engine", engine.clone());
                }
            }
        }
        if self.refused > 0 {
            series
                .counter("vitals_label_overflow_total", Unit::Count, "Names, labels or series refused for want of room")
                .label("table", "vram");
        }
    }

    pub(super) fn record(&self, row: &mut Row<'_>) {
        for part in &self.known {
            for reading in &part.readings[..part.what.figures()] {
                row.push(*reading);
            }
        }
        if self.refused > 0 {
            row.push(self.refused);
        }
    }
}

impl What {
    fn figures(&self) -> usize {
        match self {
            Self::Allocator => 2,
            Self::Heap(_) => 4,
            Self::Engine(_) => 1,
        }
    }
}

/// Figures of the one allocator inside the process, whatever the source is called.
fn describe_allocator(series: &mut Series) {
    series.gauge(
        "vitals_vram_allocated_bytes",
        Unit::Bytes,
        "Bytes given out by the allocator of the graphics library",
    );
    series.gauge(
        "vitals_vram_reserved_bytes",
        Unit::Bytes,
        "Bytes taken from the driver by the allocator of the graphics library",
    );
}

fn describe_heap(series: &mut Series, source: &'static str, heap: &str) {
    for (name, help) in [
        ("vitals_vram_heap_used_bytes", "Bytes in use of one heap, segment or region, as this source has it"),
        ("vitals_vram_heap_peak_bytes", "The most bytes of the heap that this source was seen to have in use"),
        (
            "vitals_vram_heap_budget_bytes",
            "Bytes of the heap that this process may use before the system takes some away, as this source has it",
        ),
        ("vitals_vram_heap_capacity_bytes", "Bytes that the heap holds, as this source has it"),
    ] {
        series.gauge(name, Unit::Bytes, help).label("source", source).label("heap", heap.to_owned());
    }
}
