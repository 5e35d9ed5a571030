//! The atomics of a block's count, under one name: `tests/pool/counts.rs` compiles [`count`](super::count) with shuttle's in their place.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
