//! A known load from known places, and what the sample of call sites makes of it.

use std::hint::black_box;

use engine_vitals_core::contract::CallSite;
use engine_vitals_core::memory::get_heap_profile;

use super::switches::MOST_SIGMAS;

/// Threads that each make a share of the blocks, one after the other, most of which end long before their next sample of a size is due.
const THREADS: usize = 2_000;
/// One block in so many lives on, until another thread frees it.
const KEPT_OF: usize = 16;

/// A place in this program that makes blocks of one size, known by the function's name.
struct Place {
    name: &'static str,
    size: usize,
    /// How many blocks each thread makes.
    blocks: usize,
    make: fn(&Self, &mut Vec<Box<[u8]>>),
}

/// Far below the mean interval, around it and above, since the probability of a block to be sampled grows with its size.
const PLACES: [Place; 3] = [
    Place { name: "planted_small", size: 96, blocks: 2_048, make: planted_small },
    Place { name: "planted_middle", size: 5_000, blocks: 96, make: planted_middle },
    Place { name: "planted_large", size: 100_000, blocks: 16, make: planted_large },
];

/// The estimates for each planted place lie within [`MOST_SIGMAS`] standard deviations of what was allocated there, and of what lives.
pub(super) fn is_estimated_without_bias(mean_interval: u64) -> String {
    let threads = if cfg!(debug_assertions) { THREADS / 10 } else { THREADS };
    // With all the room that they need, so that nothing but the blocks is allocated at the places.
    let mut kept = PLACES.map(|place| Vec::with_capacity(threads * place.blocks / KEPT_OF));
    for _ in 0..threads {
        let make = || PLACES.iter().zip(&mut kept).for_each(|(place, kept)| (place.make)(place, kept));
        std::thread::scope(|scope| scope.spawn(make).join()).expect("it does not panic");
    }
    let mut said = Vec::new();
    for (place, kept) in PLACES.iter().zip(&kept) {
        assert_eq!(kept.len(), threads * place.blocks / KEPT_OF);
        let [allocated, live] = place.estimates();
        for (what, estimate, blocks) in [("allocated", allocated, threads * place.blocks), ("live", live, kept.len())] {
            let sigmas = sigmas(estimate, blocks, place.size, mean_interval);
            let size = place.size;
            assert!(
                sigmas.abs() <= MOST_SIGMAS,
                "{estimate} B {what} for {blocks} blocks of {size} B: {sigmas:+.2} sigma"
            );
            let percent = (estimate as f64 / (blocks * size) as f64 - 1.0) * 100.0;
            said.push(format!("{what} at {size} B {percent:+.2} % ({sigmas:+.2} sigma)"));
        }
    }
    drop(kept);
    assert!(PLACES.iter().all(|place| place.estimates()[1] == 0), "none of them lives");
    said.join(", ")
}

/// How far an estimate lies from the bytes of so many blocks of one size, in standard deviations.
///
/// Each block is sampled with the probability `p = 1 - exp(-size / mean_interval)` and then stands for `size / p`.
fn sigmas(estimate: u64, count: usize, size: usize, mean_interval: u64) -> f64 {
    let (count, size) = (count as f64, size as f64);
    let probability = -(-size / mean_interval as f64).exp_m1();
    let sigma = size * (count * (1.0 - probability) / probability).sqrt();
    (estimate as f64 - count * size) / sigma
}

#[inline(never)]
fn planted_small(place: &Place, kept: &mut Vec<Box<[u8]>>) {
    place.make_blocks(kept);
    black_box(place.name);
}

#[inline(never)]
fn planted_middle(place: &Place, kept: &mut Vec<Box<[u8]>>) {
    place.make_blocks(kept);
    black_box(place.size);
}

#[inline(never)]
fn planted_large(place: &Place, kept: &mut Vec<Box<[u8]>>) {
    place.make_blocks(kept);
    black_box(place.blocks);
}

impl Place {
    fn make_blocks(&self, kept: &mut Vec<Box<[u8]>>) {
        for number in 0..self.blocks {
            let block = black_box(vec![0_u8; self.size].into_boxed_slice());
            if number % KEPT_OF == 0 {
                kept.push(block);
            }
        }
    }

    /// Estimated bytes allocated and live.
    fn estimates(&self) -> [u64; 2] {
        let profile = get_heap_profile().expect("call sites are switched on");
        assert_eq!(profile.missed_samples, 0);
        let ours = profile.sites.iter().filter(|site| passes_through(site, self.name));
        ours.fold([0, 0], |[allocated, live], site| [allocated + site.allocated_bytes, live + site.live_bytes])
    }
}

fn passes_through(site: &CallSite, function: &str) -> bool {
    let mut found = false;
    for &frame in &site.frames {
        // The instruction of the call lies before the address that it returns to.
        backtrace::resolve((frame - 1) as *mut _, |symbol| {
            found |= symbol.name().is_some_and(|name| name.to_string().contains(function));
        });
    }
    found
}
