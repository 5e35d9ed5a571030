//! The tags of the load's blocks, known without asking the allocator under test.
//!
//! Blocks are made, resized and freed in scopes that nest, that are handed over by token, and that a panic leaves. What each tag must hold
//! follows from the scopes that this module has entered and from the blocks that were made in them; nothing else may allocate in a scope.

use std::cell::Cell;
use std::sync::OnceLock;

use engine_vitals_core::contract::{HeapTotals, TagTotals};
use engine_vitals_core::heap_scope;
use engine_vitals_core::memory::{HeapScope, HeapTag};

use super::random::Random;
use super::shadow::{Count, ZERO};

/// The names of the load's tags. None of them is the library's.
const NAMES: [&str; 8] = ["soak 0", "soak 1", "soak 2", "soak 3", "soak 4", "soak 5", "soak 6", "soak 7"];
/// What a panic allocates for itself in a scope: how much is not known, but that it goes back is.
const PANICS: &str = "soak panics";

/// A tag of the load, by its place in [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(usize);

thread_local! {
    /// What this thread has entered, without a destructor.
    static ENTERED: Cell<Option<Tag>> = const { Cell::new(None) };
}

/// What must be counted under one tag.
struct Shadow {
    allocations: Count,
    allocated_bytes: Count,
    deallocations: Count,
    deallocated_bytes: Count,
}

static SHADOWS: [Shadow; NAMES.len()] =
    [const { Shadow { allocations: ZERO, allocated_bytes: ZERO, deallocations: ZERO, deallocated_bytes: ZERO } };
        NAMES.len()];

/// A scope, known here and there.
pub(super) struct Within {
    _scope: HeapScope,
    before: Option<Tag>,
}

impl Drop for Within {
    fn drop(&mut self) {
        ENTERED.set(self.before);
    }
}

/// What is handed over to another thread.
#[derive(Clone, Copy)]
pub(super) struct Token {
    token: HeapTag,
    tag: Option<Tag>,
}

impl Token {
    /// Of the scope that this thread is in.
    pub(super) fn here() -> Self {
        Self { token: HeapTag::current(), tag: ENTERED.get() }
    }

    pub(super) fn enter(self) -> Within {
        Within { before: ENTERED.replace(self.tag), _scope: self.token.enter() }
    }
}

impl Tag {
    pub(super) fn any(random: &mut Random) -> Self {
        Self(random.below(NAMES.len() as u64) as usize)
    }

    /// The tag that blocks of this thread belong to now.
    pub(super) fn entered() -> Option<Self> {
        ENTERED.get()
    }

    pub(super) fn enter(self) -> Within {
        static TAGS: OnceLock<[HeapTag; NAMES.len()]> = OnceLock::new();
        Token { token: TAGS.get_or_init(|| NAMES.map(HeapTag::named))[self.0], tag: Some(self) }.enter()
    }

    pub(super) fn made(self, size: usize) {
        let shadow = &SHADOWS[self.0];
        shadow.allocations.add(1);
        shadow.allocated_bytes.add(size as u64);
    }

    pub(super) fn resized(self, old: usize, new: usize) {
        let shadow = &SHADOWS[self.0];
        shadow.allocated_bytes.add(new as u64);
        shadow.deallocated_bytes.add(old as u64);
    }

    pub(super) fn freed(self, size: usize) {
        let shadow = &SHADOWS[self.0];
        shadow.deallocations.add(1);
        shadow.deallocated_bytes.add(size as u64);
    }
}

/// Runs something in the scope of the macro, in which it may panic. It enters tags of its own for its blocks.
pub(super) fn among_panics(run: impl FnOnce()) {
    heap_scope!(PANICS);
    run();
}

/// By how much the tags are wrong, all figures of all tags together, where the totals are those of the shadow.
///
/// The tags of the load must be what this module has counted, and all tags together must be the totals.
pub(super) fn error(tags: &[TagTotals], totals: &HeapTotals) -> u64 {
    let mut error = 0;
    let mut sum = TagTotals::new("all");
    for tag in tags {
        sum.allocations += tag.allocations;
        sum.allocated_bytes += tag.allocated_bytes;
        sum.deallocations += tag.deallocations;
        sum.deallocated_bytes += tag.deallocated_bytes;
        if let Some(index) = NAMES.iter().position(|name| *name == tag.name) {
            let shadow = &SHADOWS[index];
            error += tag.allocations.abs_diff(shadow.allocations.get());
            error += tag.allocated_bytes.abs_diff(shadow.allocated_bytes.get());
            error += tag.deallocations.abs_diff(shadow.deallocations.get());
            error += tag.deallocated_bytes.abs_diff(shadow.deallocated_bytes.get());
        }
        if tag.name == PANICS {
            error += tag.allocations.abs_diff(tag.deallocations) + tag.allocated_bytes.abs_diff(tag.deallocated_bytes);
        }
    }
    error += sum.allocations.abs_diff(totals.allocations()) + sum.deallocations.abs_diff(totals.deallocations);
    error += sum.allocated_bytes.abs_diff(totals.allocated_bytes());
    error + sum.deallocated_bytes.abs_diff(totals.deallocated_bytes)
}

/// Asserts that every tag of the load, and the panics', have something to prove.
pub(super) fn assert_all_occurred(tags: &[TagTotals]) {
    for name in NAMES.into_iter().chain([PANICS]) {
        let tag = tags.iter().find(|tag| tag.name == name).expect(name);
        assert!(tag.allocations > 0 && tag.deallocations > 0, "{tag:?}");
    }
}
