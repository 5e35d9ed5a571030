//! What the allocator knows, for people.

use engine_vitals::Vitals;
use engine_vitals::contract::{HeapTotals, MemoryReport, SizeHistogram, TagTotals, bytes_to_mb};
use engine_vitals::memory;

/// The heap at the end of each phase.
#[derive(Debug)]
pub(crate) struct Phases(Vec<(&'static str, HeapTotals)>);

impl Phases {
    pub(crate) fn begin() -> Self {
        let mut phases = Self(Vec::with_capacity(8));
        phases.0.push(("before", memory::get_extended_memory_stats().unwrap_or_default()));
        phases
    }

    /// A phase has ended, which is a frame to the monitors.
    pub(crate) fn end(&mut self, name: &'static str, vitals: &Vitals) {
        self.0.push((name, memory::get_extended_memory_stats().unwrap_or_default()));
        vitals.frame();
    }

    /// What each phase has changed.
    pub(crate) fn show(&self) {
        println!("growth by phase, in bytes and blocks:");
        println!(
            "  {:<10} {:>12} {:>13} {:>12} {:>12} {:>10} {:>10} {:>9}",
            "phase", "live", "change", "allocated", "freed", "blocks", "change", "reallocs"
        );
        for pair in self.0.windows(2) {
            let [(_, before), (name, after)] = pair else { continue };
            let live = |totals: &HeapTotals| (totals.live_bytes(), totals.live_allocations());
            let ((live_before, blocks_before), (live, blocks)) = (live(before), live(after));
            println!(
                "  {name:<10} {:>12} {:>13} {:>12} {:>12} {:>10} {:>10} {:>9}",
                shown(live),
                change(live_before, live),
                after.allocated_bytes() - before.allocated_bytes(),
                after.deallocated_bytes - before.deallocated_bytes,
                shown(blocks),
                change(blocks_before, blocks),
                after.reallocations - before.reallocations,
            );
        }
        println!();
    }
}

/// The extended memory analysis of one report.
pub(crate) fn analysis(report: &MemoryReport) {
    let fragmentation = match report.fragmentation_ratio {
        Some(ratio) => format!("{} ({ratio:.3})", report.fragmentation_status()),
        None => format!("{} (no figures from the allocator)", report.fragmentation_status()),
    };
    println!("Extended Memory Analysis:");
    println!("  Current: {:.2} MiB, Peak: {:.2} MiB", report.current_usage_mb(), report.peak_usage_mb());
    println!(
        "  Allocations: {} total, {} deallocations, {} reallocations",
        report.total_allocations, report.total_deallocations, report.total_reallocations
    );
    println!(
        "  Large allocations (≥1 MiB): {} ({:.1}%)",
        report.large_allocations,
        report.large_allocation_percentage()
    );
    println!(
        "  Average allocation: {:.6} MiB ({:.1} bytes)",
        report.average_allocation_size_mb(),
        report.average_allocation_size
    );
    println!("  Memory turnover: {:.2} ops/sample", report.memory_turnover_rate());
    println!("  Efficiency: {:.1}%", report.memory_utilization_efficiency());
    println!("  Fragmentation: {fragmentation}");
    println!("  Lifetime allocated: {:.2} MiB", bytes_to_mb(report.bytes_allocated_lifetime));
    println!("  Lifetime deallocated: {:.2} MiB\n", bytes_to_mb(report.bytes_deallocated_lifetime));
}

/// What each subsystem holds.
pub(crate) fn tags() {
    let Some((tags, total)) = of_one_instant() else { return println!("no allocator counts tags\n") };
    println!("heap by tag, in bytes and blocks:");
    println!(
        "  {:<14} {:>12} {:>7} {:>10} {:>14} {:>12}",
        "tag", "live", "share", "blocks", "allocated", "allocations"
    );
    let row = |name: &str, live: Option<u64>, blocks: Option<u64>, allocated: u64, allocations: u64| {
        let share = live.zip(total.live_bytes()).map(|(live, all)| live as f64 / all.max(1) as f64 * 100.0);
        let share = share.map_or_else(|| "-".to_owned(), |share| format!("{share:.1}%"));
        println!("  {name:<14} {:>12} {share:>7} {:>10} {allocated:>14} {allocations:>12}", shown(live), shown(blocks));
    };
    for tag in tags.iter().filter(|tag| tag.allocations > 0) {
        row(tag.name, tag.live_bytes(), tag.live_allocations(), tag.allocated_bytes, tag.allocations);
    }
    row("total", total.live_bytes(), total.live_allocations(), total.allocated_bytes(), total.allocations());
    println!();
}

/// Tags and totals between which nothing was allocated or freed, unless other threads never rest.
fn of_one_instant() -> Option<(Vec<TagTotals>, HeapTotals)> {
    // The room first, so that reading allocates nothing.
    let mut tags = Vec::with_capacity(memory::MOST_TAGS);
    let mut total = memory::get_extended_memory_stats()?;
    for _ in 0..1_000 {
        if !memory::read_heap_tags(&mut tags) {
            return None;
        }
        let before = std::mem::replace(&mut total, memory::get_extended_memory_stats()?);
        if before == total {
            break;
        }
    }
    Some((tags, total))
}

/// Blocks by size, those live as a bar.
pub(crate) fn sizes(histogram: &SizeHistogram) {
    println!("blocks by size:");
    println!("  {:>14} {:>12} {:>12}", "up to bytes", "given", "live");
    let most = histogram.buckets.iter().filter_map(|bucket| bucket.live()).max().unwrap_or(0);
    for (n, bucket) in histogram.buckets.iter().enumerate().filter(|(_, bucket)| bucket.given > 0) {
        let upper = SizeHistogram::upper_bytes(n).map_or_else(|| "more".to_owned(), |bytes| bytes.to_string());
        let bar = "█".repeat((bucket.live().unwrap_or(0) * 40).div_ceil(most.max(1)) as usize);
        println!("  {upper:>14} {:>12} {:>12}  {bar}", bucket.given, shown(bucket.live()));
    }
    println!();
}

/// What is not known is a dash.
fn shown(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn change(before: Option<u64>, after: Option<u64>) -> String {
    let change = before.zip(after).map(|(before, after)| after.wrapping_sub(before).cast_signed());
    change.map_or_else(|| "-".to_owned(), |change| format!("{change:+}"))
}
