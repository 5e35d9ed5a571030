//! Time of reading the heap's figures once in a frame, where many threads have counted.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use engine_vitals_core::memory::{get_extended_memory_stats, get_peak_allocated_bytes};

use super::GROUP;
use crate::harness::{Effort, median, nanoseconds};
use crate::report::Row;

/// Threads that live, beside that which reads.
const THREADS: usize = 64;
const FRAMES: u64 = 300;
/// How long the others have to come to rest before the reading.
const REST: Duration = Duration::from_millis(2);
/// Nanoseconds.
const TARGET: f64 = 2_000.0;

/// In each frame every thread allocates through this program's global allocator; then all rest, and one reads: once with other
/// processors' counters still to be fetched, and once more.
pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let frames = effort.times(FRAMES);
    let (begin, end) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let (mut first, mut again) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..frames {
                    begin.wait();
                    drop(black_box(vec![1_u8; 64]));
                    end.wait();
                }
            });
        }
        for _ in 0..frames {
            begin.wait();
            end.wait();
            std::thread::sleep(REST);
            first.push(read());
            again.push(read());
        }
    });
    let row = |case, times| Row::new(GROUP, case, "TrackingAllocator", "ns", median(times)).at_most(TARGET);
    vec![
        row("all totals and the peak read, 64 threads having counted since, wall", first),
        row("all totals and the peak read, nobody having counted since, wall", again),
    ]
}

/// Nanoseconds of one reading.
fn read() -> f64 {
    let start = Instant::now();
    black_box((get_extended_memory_stats(), get_peak_allocated_bytes()));
    nanoseconds(start.elapsed())
}
