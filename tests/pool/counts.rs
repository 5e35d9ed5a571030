//! The handles of a block and threads: `count.rs` under every schedule that shuttle tries, with shuttle's atomics in the place of the standard ones.

#[path = "../../src/resources/pool/count.rs"]
mod count;

mod sync {
    pub(super) use shuttle::sync::atomic::{AtomicU64, Ordering};
}

use std::sync::Arc;

use shuttle::sync::Mutex;

use self::count::Count;

/// A block, as its pool knows it.
struct Block {
    count: Count,
    /// It has ended. What a pool's lock guards.
    ended: Mutex<bool>,
    ticket: Mutex<Option<u32>>,
    tracked: bool,
}

impl Block {
    /// As `MemoryPool::find`.
    fn find(&self) -> bool {
        let ended = self.ended.lock().unwrap();
        !*ended && self.count.add_to_some()
    }

    /// As the drop of a `PoolBlock`.
    fn give_up(&self) -> bool {
        let mut ticket = None;
        let take = self.tracked.then_some(|| ticket = self.ticket.lock().unwrap().take());
        let Some(mut ended) = self.count.give_up(take, || self.ended.lock().unwrap()) else { return false };
        assert!(!std::mem::replace(&mut ended, true), "it ends once");
        drop(ended);
        assert_eq!(ticket.is_some(), self.tracked, "its ticket goes with it");
        true
    }

    fn assert_lives(&self) {
        assert!(!*self.ended.lock().unwrap() && self.count.get() > 0, "it lives as long as there is a handle");
    }
}

/// Three handles, one of which is cloned, and somebody who knows the name.
fn model(tracked: bool) {
    let block = Arc::new(Block {
        count: Count::default(),
        ended: Mutex::new(false),
        ticket: Mutex::new(tracked.then_some(7)),
        tracked,
    });
    block.count.begin();
    block.count.add();
    let spawn = |run: fn(&Block) -> u32| {
        let block = Arc::clone(&block);
        shuttle::thread::spawn(move || run(&block))
    };
    let threads = [
        spawn(|block| u32::from(block.give_up())),
        spawn(|block| {
            block.count.add();
            let first = block.give_up();
            block.assert_lives();
            u32::from(first) + u32::from(block.give_up())
        }),
        spawn(|block| {
            if !block.find() {
                return 0;
            }
            block.assert_lives();
            u32::from(block.give_up())
        }),
    ];
    let ends: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(ends, 1, "one handle was the last");
    assert!(*block.ended.lock().unwrap() && !block.find());
}

#[test]
fn a_block_ends_once_and_is_not_found_afterwards() {
    for tracked in [false, true] {
        shuttle::check_dfs(move || model(tracked), Some(10_000));
        shuttle::check_random(move || model(tracked), 2_000);
    }
}
