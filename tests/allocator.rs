//! The allocator inside the one that counts is read without anybody's doing, and its fragmentation is one series.
#![cfg(all(feature = "telemetry", target_os = "linux", target_env = "gnu"))]

use std::io::Write;
use std::time::{Duration, Instant};

use engine_vitals::memory::InnerAllocator;
use engine_vitals::{TrackingAllocator, Vitals};

#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system();

#[test]
fn start_reads_the_allocator() {
    let Some(now) = InnerAllocator::System.read_memory() else {
        let why = "no figures: a glibc before 2.33, or another malloc (LD_PRELOAD)";
        let line = format!("SKIPPED: start_reads_the_allocator: {why}\n");
        // Straight to the descriptor: the harness keeps what a passing test prints.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    };
    let vitals = Vitals::builder().without_server().start();
    let began = Instant::now();
    let ratio = loop {
        let table = vitals.registry().snapshot();
        if let Some(ratio) = table.value("vitals_heap_fragmentation_ratio", &[]) {
            break ratio.as_f64();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no fragmentation after a minute");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!((0.0..1.0).contains(&ratio), "{ratio}");
    let table = vitals.registry().snapshot();
    let bytes = |state| {
        let value = table.value("vitals_heap_allocator_bytes", &[("state", state)])?;
        value.as_u64()
    };
    let (allocated, mapped) = (bytes("allocated").unwrap(), bytes("mapped").unwrap());
    assert!(allocated <= mapped && mapped >= now.mapped.unwrap() / 2, "{now:?}, {allocated}, {mapped}");
    assert!((ratio - (1.0 - allocated as f64 / mapped as f64)).abs() < 1e-12);
    assert_eq!((bytes("active"), bytes("resident"), bytes("retained")), (None, None, None));
    assert_eq!(
        table.value("vitals_heap_allocator_info", &[("allocator", "system")]).and_then(|one| one.as_u64()),
        Some(1)
    );

    let report = vitals.registry().memory("heap").unwrap();
    report.update_memory_stats();
    assert_eq!(report.get_memory_report().unwrap().fragmentation_ratio, Some(ratio));
}
