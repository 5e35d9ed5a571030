//! The monitor of the heap over a real allocator that keeps tags and sizes: what an update allocates (nothing), and that a spike between two
//! updates, a budget and a tag's bytes are seen.
#![cfg(feature = "telemetry")]

mod counting;

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use counting::Counting;
use engine_vitals_core::contract::{MemoryMonitor, Value};
use engine_vitals_core::heap_scope;
use engine_vitals_core::memory::{TrackingAllocator, get_extended_memory_stats};
use engine_vitals_core::monitor::MemoryResourceMonitor;
use engine_vitals_core::registry::{HealthIssue, Registry};

#[global_allocator]
static HEAP: TrackingAllocator<Counting<System>> =
    TrackingAllocator::new(Counting(System)).with_tags().with_size_histogram();

const MIB: usize = 1 << 20;

/// The one test of this program: the heap is the process's.
#[test]
fn updates_allocate_nothing_and_see_tags_budgets_and_spikes() {
    // However busy the machine is, no update is late.
    let hour = Duration::from_secs(3_600);
    let registry = Registry::builder().monitor_budget(hour).update_budget(hour).build();
    let live = get_extended_memory_stats().unwrap().live_bytes().unwrap();
    let budget = live + 100 * MIB as u64;
    let monitor = Arc::new(MemoryResourceMonitor::new("heap").with_budget(budget));
    registry.register(Arc::clone(&monitor)).unwrap();
    let update = || {
        let before = counting::allocations();
        registry.update();
        counting::allocations() - before
    };
    let value = |name: &str, labels: &[(&str, &str)]| registry.snapshot().value(name, labels);
    let crossings = || value("vitals_soft_budget_crossings_total", &[("budget", "heap")]);

    {
        heap_scope!("meshes");
        std::mem::forget(black_box(vec![1_u8; 3_000]));
    }
    // The tag is new, and described anew.
    assert!(update() > 0);
    assert_eq!((0..100).map(|_| update()).sum::<u64>(), 0, "in steady state");
    assert_eq!(value("vitals_heap_tag_bytes", &[("tag", "meshes")]), Some(Value::U64(3_000)));
    assert_eq!(value("vitals_heap_tag_live_allocations", &[("tag", "meshes")]), Some(Value::U64(1)));

    // A frame that allocates: its traffic, and the change that stays.
    update();
    let kept = black_box(vec![0_u8; 5_000]);
    drop(black_box(vec![0_u8; 7_000]));
    update();
    let report = monitor.get_memory_report().unwrap();
    assert_eq!((report.frame_allocations, report.frame_allocated_bytes), (2, 12_000));
    assert_eq!((report.allocation_delta_count, report.allocation_delta_bytes), (1, 5_000));
    drop(kept);
    update();
    let report = monitor.get_memory_report().unwrap();
    assert_eq!((report.allocation_delta_count, report.allocation_delta_bytes), (-1, -5_000));
    assert_eq!(report.frame_allocations, 0);

    // A spike between two updates.
    assert_eq!(crossings(), Some(Value::U64(0)));
    drop(black_box(vec![1_u8; 150 * MIB]));
    update();
    assert_eq!(crossings(), Some(Value::U64(1)));
    let text = monitor.warnings()[0].to_string();
    assert!(text.contains("between two updates"), "{text}");

    // Within the budget, near it, and above it.
    let near = {
        heap_scope!("textures");
        black_box(vec![1_u8; 90 * MIB])
    };
    update();
    let health = registry.health();
    assert!(matches!(health[0].issue, HealthIssue::NearCapacity { percent } if percent > 80.0), "{health:?}");
    assert_eq!(crossings(), Some(Value::U64(1)));
    let above = {
        heap_scope!("textures");
        black_box(vec![1_u8; 20 * MIB])
    };
    update();
    assert_eq!(crossings(), Some(Value::U64(2)));
    let text = monitor.warnings()[0].to_string();
    assert!(text.starts_with("heap_budget: the heap is above its budget of "), "{text}");
    assert!(text.contains("largest tags: \"textures\" 110 MiB") && text.contains("\"textures\" +110 MiB"), "{text}");
    assert_eq!(value("vitals_guard_warnings_total", &[("guard", "heap_budget")]), Some(Value::U64(2)));
    drop((near, above));
    update();
    assert_eq!(registry.health().len(), 0);
    assert_eq!(monitor.growth_suspects(), []);
}
