//! What a tracking allocator counts beside the totals, as the global allocator of a program: tags, sizes and call sites.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::hint::black_box;

use engine_vitals_core::contract::{SizeHistogram, TagTotals};
use engine_vitals_core::heap_scope;
use engine_vitals_core::memory::{
    HeapTag, TrackingAllocator, get_extended_memory_stats, get_heap_profile, get_size_histogram, read_heap_tags,
};

const MEAN_INTERVAL: u64 = 64 << 10;

#[global_allocator]
static HEAP: TrackingAllocator =
    TrackingAllocator::system().with_tags().with_size_histogram().with_call_sites(MEAN_INTERVAL);

fn of(name: &str) -> TagTotals {
    let mut totals = Vec::with_capacity(200);
    assert!(read_heap_tags(&mut totals));
    *totals.iter().find(|total| total.name == name).unwrap()
}

#[test]
fn a_block_belongs_to_the_tag_that_allocated_it_whoever_frees_it() {
    let block = {
        heap_scope!("maker");
        black_box(vec![1_u8; 1_000])
    };
    assert_eq!((of("maker").live_allocations(), of("maker").live_bytes()), (Some(1), Some(1_000)));
    let grown = std::thread::spawn(move || {
        heap_scope!("grower");
        let mut block = block;
        block.reserve_exact(9_000);
        block
    });
    let grown = grown.join().unwrap();
    assert_eq!((of("maker").live_allocations(), of("maker").live_bytes()), (Some(1), Some(10_000)));
    assert_eq!(of("maker").allocated_bytes, 11_000);
    std::thread::spawn(move || {
        heap_scope!("freer");
        drop(grown);
    })
    .join()
    .unwrap();
    let maker = of("maker");
    assert_eq!((maker.allocations, maker.deallocations, maker.live_bytes()), (1, 1, Some(0)));
    assert_eq!(maker.deallocated_bytes, 11_000);
}

#[test]
fn alignment_and_zeroes_are_as_asked_for() {
    let scope = HeapTag::named("aligned").enter();
    for align in [1, 2, 8, 16, 64, 4_096] {
        for size in [1, 3, 16, 4_095, 4_096, (1 << 20) + 1] {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the size is not 0.
            let block = unsafe { alloc_zeroed(layout) };
            assert!(!block.is_null() && block.addr().is_multiple_of(align));
            // SAFETY: the block has `size` bytes, zeroed.
            assert!(unsafe { std::slice::from_raw_parts(block, size) }.iter().all(|&byte| byte == 0));
            // SAFETY: the block is of this layout.
            let moved = unsafe { realloc(block, layout, 2 * size) };
            assert!(!moved.is_null() && moved.addr().is_multiple_of(align));
            // SAFETY: the block has twice as many bytes now, and may be written throughout.
            unsafe { moved.write_bytes(0xff, 2 * size) };
            // SAFETY: the block is of this layout.
            unsafe { dealloc(moved, Layout::from_size_align(2 * size, align).unwrap()) };
        }
    }
    drop(scope);
    let aligned = of("aligned");
    assert_eq!((aligned.live_allocations(), aligned.live_bytes()), (Some(0), Some(0)));
    assert_eq!(aligned.allocations, 36);
}

#[test]
fn what_cannot_be_is_refused_and_counted() {
    let failed = || get_extended_memory_stats().unwrap().failed_allocations;
    let before = failed();
    // With its note, no layout would be as large.
    let layout = Layout::from_size_align(isize::MAX as usize, 1).unwrap();
    // SAFETY: the size is not 0.
    assert!(unsafe { alloc(black_box(layout)) }.is_null());
    let small = Layout::from_size_align(8, 1).unwrap();
    // SAFETY: the size is not 0.
    let block = unsafe { alloc(small) };
    // SAFETY: the block is of this layout, and the size is none that a layout cannot have.
    assert!(unsafe { realloc(block, small, isize::MAX as usize) }.is_null());
    // SAFETY: the block is still of this layout.
    unsafe { dealloc(block, small) };
    assert_eq!(failed(), before + 2);
}

#[test]
fn sizes_are_counted_by_powers_of_two() {
    // Of a bucket that nothing else in this program is in, and whose pages are never touched.
    const SIZE: usize = 600_000_000;
    let bucket = SizeHistogram::bucket_of(SIZE as u64);
    let read = || get_size_histogram().unwrap().buckets;
    let before = read();
    let block = black_box(Vec::<u8>::with_capacity(SIZE));
    let during = read();
    assert_eq!(during[bucket].given, before[bucket].given + 1);
    assert_eq!(during[bucket].live(), before[bucket].live().map(|live| live + 1));
    drop(block);
    assert_eq!(read()[bucket].live(), before[bucket].live());
}

#[inline(never)]
fn planted() -> Vec<Vec<u8>> {
    (0..20_000).map(|_| black_box(vec![0; 256])).collect()
}

#[test]
fn the_sample_names_the_site_and_estimates_its_bytes() {
    let kept = planted();
    drop(planted());
    let profile = get_heap_profile().unwrap();
    assert_eq!(profile.mean_interval_bytes, MEAN_INTERVAL);
    let names = |site: &engine_vitals_core::contract::CallSite| {
        let mut names = Vec::new();
        for &frame in &site.frames {
            backtrace::resolve((frame - 1) as *mut _, |symbol| {
                names.extend(symbol.name().map(|name| name.to_string()));
            });
        }
        names
    };
    let ours = |site: &&engine_vitals_core::contract::CallSite| names(site).iter().any(|name| name.contains("planted"));
    let sites: Vec<_> = profile.sites.iter().filter(ours).collect();
    assert!(!sites.is_empty(), "{profile:?}");
    // The inner vectors alone are 2 x 5,120,000 bytes, some 156 samples: six standard deviations are a half.
    let (allocated, live): (u64, u64) =
        sites.iter().fold((0, 0), |sum, site| (sum.0 + site.allocated_bytes, sum.1 + site.live_bytes));
    assert!((5_000_000..20_000_000).contains(&allocated), "{allocated}");
    assert!((1_500_000..10_000_000).contains(&live), "{live}");
    drop(kept);
    let profile = get_heap_profile().unwrap();
    let live: u64 = profile.sites.iter().filter(ours).map(|site| site.live_bytes).sum();
    assert_eq!(live, 0, "all are gone");
}
