//! Call sites: which places in the program the sampled blocks come from.
//!
//! The table is static and of a fixed size, so that the hook never allocates; a site is entered once, by whoever samples it first, and
//! stays. What finds no place is counted without frames. Nothing here knows a function's name: addresses are turned into names by whoever
//! reads the profile.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::contract::{CallSite, HeapProfile, HeapSampleCounts};

/// Call sites that the table holds. Miri, which takes no samples, is slow to fill it in a test.
const SITES: usize = if cfg!(miri) { 64 } else { 16_384 };
/// Frames of a site, from the innermost on.
const FRAMES: usize = 64;
/// Places that a site is looked for in.
const PROBES: usize = 32;
/// Estimated blocks are kept in parts of this: a sample may stand for 1.3 of them.
const PARTS: f64 = 65_536.0;

static TABLE: [Site; SITES] = [const { Site::new() }; SITES];
/// What found no place in the table.
static OTHER: Site = Site::new();
/// The number of [`OTHER`]; the site at index `n` of the table has the number `n + 1`.
const OTHER_NUMBER: u16 = SITES as u16 + 1;
/// 0 before the first sample.
static MEAN_INTERVAL: AtomicU64 = AtomicU64::new(0);
static MISSED: AtomicU64 = AtomicU64::new(0);
/// Samples of all sites, so that who counts them need not look at each.
static SAMPLES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread is taking a sample: what the walk over its stack might allocate is not sampled.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

struct Site {
    /// Of the frames; 0 while the place is free.
    hash: AtomicU64,
    /// How many of the frames are written; 0 until they are.
    depth: AtomicU32,
    frames: [AtomicUsize; FRAMES],
    samples: AtomicU64,
    gained: Estimate,
    lost: Estimate,
}

/// Estimated blocks and bytes.
struct Estimate {
    parts: AtomicU64,
    bytes: AtomicU64,
}

impl Estimate {
    const fn new() -> Self {
        Self { parts: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// What is lost is added with Release and read first, with Acquire: who sees a loss then sees the gain before it.
    fn add(&self, weight: Weight, order: Ordering) {
        self.parts.fetch_add(weight.parts, order);
        self.bytes.fetch_add(weight.bytes, order);
    }

    fn read(&self, order: Ordering) -> Weight {
        Weight { parts: self.parts.load(order), bytes: self.bytes.load(order) }
    }
}

impl Site {
    const fn new() -> Self {
        Self {
            hash: AtomicU64::new(0),
            depth: AtomicU32::new(0),
            frames: [const { AtomicUsize::new(0) }; FRAMES],
            samples: AtomicU64::new(0),
            gained: Estimate::new(),
            lost: Estimate::new(),
        }
    }

    fn read(&self) -> CallSite {
        let depth = self.depth.load(Ordering::Acquire) as usize;
        let lost = self.lost.read(Ordering::Acquire);
        let gained = self.gained.read(Ordering::Relaxed);
        CallSite {
            frames: self.frames.iter().take(depth).map(|frame| frame.load(Ordering::Relaxed)).collect(),
            samples: self.samples.load(Ordering::Relaxed),
            allocations: blocks(gained.parts),
            allocated_bytes: gained.bytes,
            live_allocations: blocks(gained.parts.saturating_sub(lost.parts)),
            live_bytes: gained.bytes.saturating_sub(lost.bytes),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn blocks(parts: u64) -> f64 {
    parts as f64 / PARTS
}

/// What one sampled block stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weight {
    parts: u64,
    bytes: u64,
}

impl Weight {
    /// A block of this size is in the sample with the probability `1 - exp(-size / mean)`, and stands for as many as it is improbable.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn of(size: usize, mean_interval: u64) -> Self {
        let size = size as f64;
        let probability = -(-size / mean_interval as f64).exp_m1();
        Self { parts: (PARTS / probability).round() as u64, bytes: (size / probability).round() as u64 }
    }
}

/// Samples a block that is about to be handed out. The number of its call site.
///
/// Called from the allocator's hook: walks the stack, and neither allocates nor locks where the platform's unwinder does not.
#[cold]
#[inline(never)]
pub(super) fn sample(size: usize, mean_interval: u64) -> u16 {
    if BUSY.try_with(|busy| busy.replace(true)).unwrap_or(true) {
        MISSED.fetch_add(1, Ordering::Relaxed);
        return 0;
    }
    MEAN_INTERVAL.store(mean_interval, Ordering::Relaxed);
    let mut frames = [0; FRAMES];
    let depth = walk(&mut frames);
    let number = number_of(frames.get(..depth).unwrap_or_default());
    let site = site(number);
    site.samples.fetch_add(1, Ordering::Relaxed);
    SAMPLES.fetch_add(1, Ordering::Relaxed);
    site.gained.add(Weight::of(size, mean_interval), Ordering::Relaxed);
    // It was there a moment ago.
    let _ = BUSY.try_with(|busy| busy.set(false));
    number
}

/// A block of the sample is about to go back.
#[cold]
#[inline(never)]
pub(super) fn freed(number: u16, size: usize, mean_interval: u64) {
    site(number).lost.add(Weight::of(size, mean_interval), Ordering::Release);
}

/// What the sample says; `None` before the first. Allocates.
pub(super) fn profile() -> Option<HeapProfile> {
    let mean_interval = MEAN_INTERVAL.load(Ordering::Relaxed);
    let known = |site: &&Site| site.depth.load(Ordering::Acquire) > 0;
    (mean_interval > 0).then(|| {
        let sites = TABLE.iter().filter(known).map(Site::read).collect();
        HeapProfile::new(mean_interval, sites, OTHER.read(), MISSED.load(Ordering::Relaxed))
    })
}

/// `None` before the first sample. Allocates nothing.
pub(super) fn counts() -> Option<HeapSampleCounts> {
    (MEAN_INTERVAL.load(Ordering::Relaxed) > 0).then(|| HeapSampleCounts {
        samples: SAMPLES.load(Ordering::Relaxed),
        missed: MISSED.load(Ordering::Relaxed),
        unplaced: OTHER.samples.load(Ordering::Relaxed),
    })
}

fn site(number: u16) -> &'static Site {
    usize::from(number).checked_sub(1).and_then(|index| TABLE.get(index)).unwrap_or(&OTHER)
}

/// The number of the site with these frames, which is entered if it is new and there is a place.
fn number_of(frames: &[usize]) -> u16 {
    let hash = hash_of(frames);
    if frames.is_empty() {
        return OTHER_NUMBER;
    }
    for probe in 0..PROBES {
        let index = (hash as usize).wrapping_add(probe) % SITES;
        let Some(site) = TABLE.get(index) else { break };
        let number = index as u16 + 1;
        match site.hash.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                for (place, &frame) in site.frames.iter().zip(frames) {
                    place.store(frame, Ordering::Relaxed);
                }
                site.depth.store(frames.len() as u32, Ordering::Release);
                return number;
            }
            // Two sites of one hash would be counted as one: of 16,384 sites, once in 10^11 programs.
            Err(present) if present == hash => return number,
            Err(_) => {}
        }
    }
    OTHER_NUMBER
}

/// Never 0.
fn hash_of(frames: &[usize]) -> u64 {
    let mixed = frames.iter().fold(0_u64, |hash, &frame| {
        let mixed = (hash ^ frame as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    });
    mixed.max(1)
}

/// Writes the addresses of this thread's stack, the innermost first. How many.
#[cfg(all(feature = "call-sites", not(miri), not(all(windows, target_arch = "x86"))))]
fn walk(frames: &mut [usize; FRAMES]) -> usize {
    let mut depth = 0;
    let keep = |frame: &backtrace::Frame| {
        let address = frame.ip().addr();
        // The caller of a thread's first function is given as 0.
        if let Some(place) = frames.get_mut(depth).filter(|_| address != 0) {
            *place = address;
            depth += 1;
        }
        depth < FRAMES
    };
    // SAFETY: it must not run beside other functions of the crate that look symbols up through a library that is not safe for threads
    // (Windows' dbghelp). Walking the stack does so on 32-bit Windows alone.
    unsafe { backtrace::trace_unsynchronized(keep) };
    depth
}

#[cfg(not(all(feature = "call-sites", not(miri), not(all(windows, target_arch = "x86")))))]
fn walk(_frames: &mut [usize; FRAMES]) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampled_block_stands_for_as_many_as_it_is_improbable() {
        // 1 / (1 - exp(-1)) = 1.581976..
        let one = Weight::of(1 << 19, 1 << 19);
        assert_eq!(one, Weight { parts: (1.581_976_706_869_326_4_f64 * PARTS).round() as u64, bytes: 829_411 });
        // A small block stands for about one interval, and a large one for itself.
        let (small, large) = (Weight::of(16, 1 << 19), Weight::of(1 << 26, 1 << 19));
        assert_eq!(small.bytes, (1 << 19) + 8);
        assert_eq!(small.parts, ((1 << 15) * 65_536) + 32_768);
        assert_eq!(large, Weight { parts: 65_536, bytes: 1 << 26 });
    }

    /// The one test that writes to the table, so that none disturbs another.
    #[test]
    fn sites_are_found_again_and_what_finds_no_place_is_counted_apart() {
        let chain = |number: usize| [number, number + 1, number + 2];
        let first = number_of(&chain(1));
        assert_ne!(first, OTHER_NUMBER);
        assert_eq!(number_of(&chain(1)), first);
        assert_ne!(number_of(&chain(2)), first);
        assert_eq!(site(first).read().frames, chain(1));
        assert_eq!(number_of(&[]), OTHER_NUMBER);

        let long = [7; FRAMES];
        assert_eq!(site(number_of(&long)).read().frames, long);

        let numbers: Vec<_> = (0..2 * SITES).map(|seed| number_of(&chain(1_000 * seed))).collect();
        let placed = numbers.iter().filter(|&&number| number != OTHER_NUMBER).count();
        assert!(placed < SITES && placed > SITES * 9 / 10, "{placed}");
        let again: Vec<_> = (0..2 * SITES).map(|seed| number_of(&chain(1_000 * seed))).collect();
        assert_eq!(numbers, again);
        assert!(std::ptr::eq(site(OTHER_NUMBER), &OTHER) && std::ptr::eq(site(u16::MAX), &OTHER));
    }
}
