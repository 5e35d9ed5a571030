//! What a tracking allocator counts beside the totals, where it is told to: the exact peak, tags, sizes and call sites.

use std::sync::atomic::{AtomicU64, Ordering};

use super::allocator::{PeakMode, Switches};
use super::counters::Shard;
use super::heap::{self, HEAP};
use super::note::Note;
use super::tallies::{SizeTally, TagTally, Tallies, Writer};
use super::{MOST_TAGS, SHARDS, sites, tags};
use crate::contract::{HeapProfile, HeapSampleCounts, SizeHistogram, TagTotals};

type OurTallies = Tallies<MOST_TAGS, { SizeHistogram::BUCKETS }>;

/// In the order of the shards.
static TALLIES: [OurTallies; SHARDS] = [const { tallies() }; SHARDS];
/// The shared shard's.
static SHARED: OurTallies = tallies();

const fn tallies() -> OurTallies {
    Tallies {
        tags: [const {
            TagTally {
                allocations: AtomicU64::new(0),
                allocated_bytes: AtomicU64::new(0),
                deallocations: AtomicU64::new(0),
                deallocated_bytes: AtomicU64::new(0),
            }
        }; MOST_TAGS],
        sizes: [const { SizeTally { given: AtomicU64::new(0), taken: AtomicU64::new(0) } }; SizeHistogram::BUCKETS],
    }
}

/// Reads the totals of all tags, in the order in which they were named, into `totals`, whose content is replaced.
///
/// Returns whether anything was counted by tag: `false` while no allocator of the process was made
/// [`with_tags`](super::TrackingAllocator::with_tags), and without the feature `telemetry`; `totals` is then empty. Each figure is exact;
/// while threads allocate, they are not all of one instant, but never is more deallocated than allocated. Allocates only where `totals` has
/// too little room.
pub fn read_heap_tags(totals: &mut Vec<TagTotals>) -> bool {
    totals.clear();
    tags::for_each_name(|name| totals.push(TagTotals::new(name)));
    for tallies in used() {
        for (tag, total) in tallies.tags.iter().zip(totals.iter_mut()) {
            let (count, bytes) = tag.lost();
            total.deallocations += count;
            total.deallocated_bytes += bytes;
        }
    }
    // After all that was freed: see `TagTally`.
    for tallies in used() {
        for (tag, total) in tallies.tags.iter().zip(totals.iter_mut()) {
            let (count, bytes) = tag.gained();
            total.allocations += count;
            total.allocated_bytes += bytes;
        }
    }
    let counted = totals.iter().any(|total| total.allocations > 0);
    if !counted {
        totals.clear();
    }
    counted
}

/// A number that changes when [`read_heap_tags`] would give more tags than before.
#[must_use]
pub fn heap_tags_revision() -> u64 {
    tags::named() as u64
}

/// Blocks by size; `None` while no allocator of the process was made
/// [`with_size_histogram`](super::TrackingAllocator::with_size_histogram). Allocates nothing.
#[must_use]
pub fn get_size_histogram() -> Option<SizeHistogram> {
    let mut buckets = [crate::contract::SizeBucket::default(); SizeHistogram::BUCKETS];
    for tallies in used() {
        for (size, bucket) in tallies.sizes.iter().zip(&mut buckets) {
            bucket.taken += size.taken.load(Ordering::Acquire);
        }
    }
    for tallies in used() {
        for (size, bucket) in tallies.sizes.iter().zip(&mut buckets) {
            bucket.given += size.given.load(Ordering::Relaxed);
        }
    }
    buckets.iter().any(|bucket| bucket.given > 0).then(|| SizeHistogram::new(buckets))
}

/// The sample of call sites; `None` while no allocator of the process, made
/// [`with_call_sites`](super::TrackingAllocator#method.with_call_sites), has taken one. Allocates: some hundred bytes for each site.
#[must_use]
pub fn get_heap_profile() -> Option<HeapProfile> {
    sites::profile()
}

/// How many blocks were sampled for [`get_heap_profile`]; `None` as there. Allocates nothing.
#[must_use]
pub fn get_heap_sample_counts() -> Option<HeapSampleCounts> {
    sites::counts()
}

/// Those of the shared shard and of the shards that have ever been claimed.
fn used() -> impl Iterator<Item = &'static OurTallies> {
    TALLIES.iter().take(HEAP.used.load(Ordering::Relaxed)).chain([&SHARED])
}

/// Counts a block that was handed out. What is to be noted behind it.
#[inline(always)]
pub(super) fn allocated(size: usize, switches: &Switches) -> Note {
    let short = switches.peak == PeakMode::Bounded && heap::mine().counts_allocated(size);
    let site = if short { 0 } else { allocated_the_long_way(size, switches) };
    let (tallies, writer) = here();
    let note = Note { tag: tags::current(), site };
    if switches.tags {
        of_tag(tallies, note).allocated(writer, size);
    }
    if switches.sizes {
        of_size(tallies, size).give(writer);
    }
    note
}

/// Counts a block that is about to go back.
#[inline(always)]
pub(super) fn deallocated(size: usize, note: Note, switches: &Switches) {
    if switches.peak == PeakMode::Exact || !heap::mine().counts_deallocated(size) {
        deallocated_the_long_way(size, switches);
    }
    let (tallies, writer) = here();
    if switches.tags {
        of_tag(tallies, note).deallocated(writer, size);
    }
    if switches.sizes {
        of_size(tallies, size).take(writer);
    }
    if note.site != 0 {
        sites::freed(note.site, size, switches.mean_interval);
    }
}

/// Counts a block that has become another. What is to be noted behind that.
#[inline(always)]
pub(super) fn reallocated(old: usize, new: usize, note: Note, switches: &Switches) -> Note {
    let short = switches.peak == PeakMode::Bounded && heap::mine().counts_reallocated(old, new);
    let site = if short { 0 } else { reallocated_the_long_way(old, new, switches) };
    let (tallies, writer) = here();
    if switches.tags {
        of_tag(tallies, note).reallocated(writer, old, new);
    }
    if switches.sizes {
        of_size(tallies, new).give(writer);
        of_size(tallies, old).take(writer);
    }
    if note.site != 0 {
        sites::freed(note.site, old, switches.mean_interval);
    }
    Note { tag: note.tag, site }
}

#[cold]
#[inline(never)]
fn allocated_the_long_way(size: usize, switches: &Switches) -> u16 {
    let shard = heap::found(switches.inner);
    let sampled = is_sampled(shard, size, switches);
    HEAP.allocated(shard, size, switches.peak);
    if sampled { sites::sample(size, switches.mean_interval) } else { 0 }
}

#[cold]
#[inline(never)]
fn deallocated_the_long_way(size: usize, switches: &Switches) {
    let shard = heap::found(switches.inner);
    // The first distance to a sample is drawn, if this is the first that the thread counts.
    is_sampled(shard, 0, switches);
    HEAP.deallocated(shard, size, switches.peak);
}

#[cold]
#[inline(never)]
fn reallocated_the_long_way(old: usize, new: usize, switches: &Switches) -> u16 {
    let shard = heap::found(switches.inner);
    let sampled = is_sampled(shard, new, switches);
    HEAP.reallocated(shard, old, new, switches.peak);
    if sampled { sites::sample(new, switches.mean_interval) } else { 0 }
}

fn is_sampled(shard: &Shard, size: usize, switches: &Switches) -> bool {
    switches.mean_interval > 0 && HEAP.is_sampled(shard, size, switches.mean_interval)
}

/// The tallies of this thread, which has counted already.
#[inline(always)]
fn here() -> (&'static OurTallies, Writer) {
    let shard = heap::mine();
    let index = (std::ptr::from_ref(shard).addr().wrapping_sub(HEAP.shards.as_ptr().addr())) / size_of::<Shard>();
    TALLIES.get(index).map_or((&SHARED, Writer::AmongOthers), |tallies| (tallies, Writer::Alone))
}

#[inline(always)]
fn of_tag(tallies: &OurTallies, note: Note) -> &TagTally {
    // The remainder is the index itself, of whatever tag there is, and needs no check.
    &tallies.tags[usize::from(note.tag) % MOST_TAGS]
}

#[inline(always)]
fn of_size(tallies: &OurTallies, size: usize) -> &SizeTally {
    &tallies.sizes[SizeHistogram::bucket_of(size as u64)]
}
