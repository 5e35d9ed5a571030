//! The notes behind blocks, under the standard library's own collections: `cargo xtask platforms miri` runs this program under Miri.
//!
//! What a collection hands back to the allocator is a pointer that may reach no further than the bytes that it asked for, while the note
//! lies behind these. A program of its own and without a harness, so that Miri is through with it in seconds.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test program without the standard harness")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::mpsc;

use engine_vitals_core::memory::{HeapTag, TrackingAllocator, get_extended_memory_stats, read_heap_tags};

#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system().with_tags().with_size_histogram();

#[repr(align(64))]
struct Aligned([u8; 100]);

/// Blocks of every collection that treats its pointer in a way of its own.
fn collections() -> impl Sized {
    let mut numbers = Vec::new();
    numbers.extend(0..100_u32);
    numbers.truncate(7);
    numbers.shrink_to_fit();
    let slice = numbers.clone().into_boxed_slice();
    let shared: Rc<[u32]> = numbers.iter().copied().collect();
    let text = format!("{numbers:?}").into_boxed_str();
    let map: BTreeMap<_, _> = (0..30).map(|key| (key, Box::new(key))).collect();
    let aligned = black_box(Box::new(Aligned([1; 100])));
    assert_eq!(aligned.0[99], 1);
    (numbers, slice, Rc::clone(&shared), shared, text, map, aligned, vec![0_u64; 33])
}

fn main() {
    let tag = HeapTag::named("notes");
    {
        let _scope = tag.enter();
        drop(black_box(collections()));
    }
    // Made on one thread, grown and freed on another.
    let (give, take) = mpsc::channel::<Vec<u8>>();
    let taker = std::thread::spawn(move || {
        for mut bytes in take {
            bytes.resize(500, 2);
            assert_eq!((bytes[0], bytes[499]), (1, 2));
        }
    });
    for _ in 0..3 {
        let scope = tag.enter();
        let bytes = vec![1; 10];
        drop(scope);
        give.send(bytes).unwrap();
    }
    drop(give);
    taker.join().unwrap();
    let mut tags = Vec::new();
    assert!(read_heap_tags(&mut tags));
    let notes = tags.iter().find(|tag| tag.name == "notes").unwrap();
    assert!(notes.allocations > 40, "{notes:?}");
    assert_eq!((notes.live_allocations(), notes.live_bytes()), (Some(0), Some(0)));
    assert_eq!(get_extended_memory_stats().unwrap().failed_allocations, 0);
    println!("test the_notes_behind_blocks_are_read_whoever_frees_them ... ok: {} blocks", notes.allocations);
}
