//! The lock of what threads share, under one name: `tests/staging/threads.rs` compiles [`shared`](super::shared) with shuttle's in its place.

pub(super) use parking_lot::{Mutex, MutexGuard};
