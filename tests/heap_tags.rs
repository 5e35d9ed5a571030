//! Whose allocations are whose, in a program whose global allocator keeps tags: ours are apart from the engine's and from those of
//! monitors that others register.
#![cfg(feature = "serve")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: helpers may fail it too")]

use std::borrow::Cow;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine_vitals::contract::{Cadence, MonitoredResourceType, ResourceUsageReport, Row, Series, TagTotals, Unit};
use engine_vitals::memory::{HeapTag, read_heap_tags};
use engine_vitals::{New, OwnerKind, ResourceMonitor, TrackingAllocator, Vitals, heap_scope};

#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system().with_tags().with_size_histogram();

/// Reads without leaving a trace in the figures: the room is there.
struct Tags(Vec<TagTotals>);

impl Tags {
    fn read(&mut self, name: &str) -> TagTotals {
        assert!(read_heap_tags(&mut self.0));
        *self.0.iter().find(|totals| totals.name == name).unwrap_or_else(|| panic!("no tag {name}"))
    }
}

/// Somebody else's monitor, which keeps a kilobyte of each run.
#[derive(Debug)]
struct Plugin {
    id: &'static str,
    cadence: Cadence,
    runs: AtomicU64,
}

const KEPT: u64 = 1_024;

impl ResourceMonitor for Plugin {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.into()
    }
    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Other("plugin")
    }
    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }
    fn update(&self) {
        std::mem::forget(black_box(vec![1_u8; KEPT as usize]));
        self.runs.fetch_add(1, Ordering::Relaxed);
    }
    fn cadence(&self) -> Cadence {
        self.cadence
    }
    fn describe(&self, series: &mut Series) {
        series.gauge("plugin_runs", Unit::Count, "Runs of a plugin").label("plugin", self.id);
    }
    fn record(&self, row: &mut Row<'_>) {
        row.push(self.runs.load(Ordering::Relaxed));
    }
}

/// The body of `/metrics`, on the client's account.
fn scrape(host: &str) -> String {
    heap_scope!("client");
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}

fn figure(text: &str, series: &str) -> u64 {
    let line =
        text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series} in {text}"));
    line.trim().parse().unwrap()
}

/// The one test of this program: what others did at the same time would be in the figures.
#[test]
fn our_own_allocations_are_ours_and_those_of_others_are_theirs() {
    let test = HeapTag::named("test").enter();
    let mut tags = Tags(Vec::with_capacity(200));
    let plugin = HeapTag::named("plugin");
    let engine = HeapTag::named("engine").enter();
    let level: Vec<u8> = black_box(vec![7; 1_000_000]);
    let (before, own_before) = (tags.read("engine"), tags.read("engine-vitals"));

    // Everything is set up, and resources are reported, from within the engine.
    let vitals = Vitals::builder().port(0).heap_budget(1 << 40).start();
    assert_eq!(tags.read("engine"), before, "start() is ours");
    let own_started = tags.read("engine-vitals");
    assert!(own_started.live_bytes() > own_before.live_bytes());
    let probe = vitals.probe();
    for index in 0..5_000 {
        let owner = probe.owner_named(OwnerKind::TRANSIENT, index % 64, "pass");
        let _context = engine_vitals::Context::current().with_owner(owner).enter();
        std::mem::forget(probe.create(New::buffer(64).label("vertices")));
    }
    assert_eq!(tags.read("engine"), before, "the book's pages are ours");
    let pages = tags.read("engine-vitals").live_bytes().unwrap() - own_started.live_bytes().unwrap();
    assert!(pages > 5_000 * 64, "{pages} bytes of the book");
    drop(engine);

    // Two plugins of somebody else, one of which runs on the sampler thread.
    let plugins = [Cadence::EachUpdate, Cadence::Every(Duration::from_millis(1))].map(|cadence| {
        let id = if cadence == Cadence::EachUpdate { "frame" } else { "sampled" };
        Arc::new(Plugin { id, cadence, runs: AtomicU64::new(0) })
    });
    for plugin_monitor in &plugins {
        let _scope = plugin.enter();
        vitals.registry().register(Arc::clone(plugin_monitor)).unwrap();
    }
    let _engine = HeapTag::named("engine").enter();

    // Frames and scrapes, after a first one of each.
    let url = vitals.url().unwrap();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    vitals.frame();
    drop(scrape(host));
    let (before, own_before, untagged) = (tags.read("engine"), tags.read("engine-vitals"), tags.read("untagged"));
    for _ in 0..50 {
        vitals.frame();
        drop(scrape(host));
    }
    let begun = Instant::now();
    while plugins[1].runs.load(Ordering::Relaxed) < 10 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the sampled plugin does not run");
        std::thread::sleep(Duration::from_millis(1));
    }
    vitals.registry().unregister("sampled");
    assert_eq!(tags.read("engine"), before);
    // The standard library copies the name of a new thread before our code runs on it; there are up to eight that render.
    let nobodys = tags.read("untagged");
    let (count, bytes) =
        (nobodys.allocations - untagged.allocations, nobodys.allocated_bytes - untagged.allocated_bytes);
    assert!(
        count <= 8 && bytes == count * "vitals-render".len() as u64,
        "{count} blocks of {bytes} bytes are nobody's"
    );
    assert!(tags.read("engine-vitals").allocations > own_before.allocations + 50);

    // Theirs are what they keep.
    let kept = || plugins.iter().map(|plugin| plugin.runs.load(Ordering::Relaxed)).sum::<u64>() * KEPT;
    let theirs = || {
        let mut tags = Tags(Vec::with_capacity(200));
        tags.read("plugin").live_bytes().unwrap()
    };
    while theirs() != kept() {
        // A run that was under way when the plugin was unregistered.
        assert!(begun.elapsed() < Duration::from_secs(30), "{} kept, {} theirs", kept(), theirs());
    }

    // The page says the same.
    vitals.registry().update();
    let (engine, own) = (tags.read("engine"), tags.read("engine-vitals"));
    let report = vitals.registry().memory("heap").unwrap().get_memory_report().unwrap();
    assert_eq!(report.engine_usage_bytes(), Some(report.current_usage_bytes - report.own_bytes.unwrap()));
    let text = scrape(host);
    for (series, value) in [
        ("vitals_heap_tag_bytes{tag=\"engine\"}", engine.live_bytes().unwrap()),
        ("vitals_heap_tag_live_allocations{tag=\"engine\"}", engine.live_allocations().unwrap()),
        ("vitals_heap_tag_allocations_total{tag=\"engine\"}", engine.allocations),
        ("vitals_heap_tag_allocated_bytes_total{tag=\"engine\"}", engine.allocated_bytes),
        ("vitals_heap_tag_bytes{tag=\"engine-vitals\"}", report.own_bytes.unwrap()),
        ("vitals_heap_budget_bytes", 1 << 40),
        ("vitals_soft_budget_crossings_total{budget=\"heap\"}", 0),
    ] {
        assert_eq!(figure(&text, series), value, "{series}");
    }
    assert!(own.live_bytes().unwrap().abs_diff(report.own_bytes.unwrap()) < 1 << 20);
    let sizes = "vitals_heap_allocation_size_bytes_bucket{le=";
    assert!(figure(&text, &format!("{sizes}\"1048576\"}}")) > figure(&text, &format!("{sizes}\"524288\"}}")));
    drop((level, test));
}
