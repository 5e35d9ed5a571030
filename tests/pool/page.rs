//! What docs/POOLS.md says of the defaults.

use engine_vitals::resources::pool::{LayoutConfig, MemoryPoolConfig, TargetPoolConfig};

const PAGE: &str = include_str!("../../docs/POOLS.md");

#[test]
fn the_page_tells_the_defaults() {
    let LayoutConfig {
        classes_per_octave,
        granularity,
        first_slab_bytes,
        largest_slab_bytes,
        largest_block_bytes,
        growth_divisor,
        spare_divisor,
        budget_bytes,
        keep_empty_ticks,
        defrag,
    } = LayoutConfig::default();
    let rows = [
        ("classes_per_octave", classes_per_octave.to_string()),
        ("granularity", format!("{granularity} B")),
        ("first_slab_bytes", format!("{} KiB", first_slab_bytes >> 10)),
        ("largest_slab_bytes", format!("{} MiB", largest_slab_bytes >> 20)),
        ("largest_block_bytes", format!("{} MiB", largest_block_bytes >> 20)),
        ("growth_divisor", growth_divisor.to_string()),
        ("spare_divisor", spare_divisor.to_string()),
        ("keep_empty_ticks", keep_empty_ticks.to_string()),
        ("budget_bytes", budget_bytes.map_or("none".to_owned(), |bytes| bytes.to_string())),
        ("defrag.least_gain", defrag.least_gain.to_string()),
    ];
    for (name, value) in rows {
        assert!(PAGE.contains(&format!("| `{name}` | {value} |")), "{name} is {value}");
    }
    let MemoryPoolConfig { defrag_bytes, defrag_moves, .. } = MemoryPoolConfig::default();
    assert!(PAGE.contains(&format!("(`defrag_bytes`, {} MiB; `defrag_moves`, {defrag_moves})", defrag_bytes >> 20)));
    let TargetPoolConfig { keep_idle_frames, .. } = TargetPoolConfig::default();
    assert!(PAGE.contains(&format!("`keep_idle_frames` ({keep_idle_frames})")));
}
