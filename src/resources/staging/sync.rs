//! The lock and the atomics of what threads share, under one name: `tests/staging/threads.rs` compiles [`shared`](super::shared) with shuttle's in its place.

pub(super) use parking_lot::{Mutex, MutexGuard};
pub(super) use std::sync::atomic::{AtomicU64, Ordering};
