//! Staging rings on real devices, on one that does nothing, and between threads.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers may fail it too")]

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod frames;
mod in_place;
#[cfg(feature = "fault")]
mod injected;
mod kit;
mod odd_bytes;
mod reports;
mod textures;
mod threads;
