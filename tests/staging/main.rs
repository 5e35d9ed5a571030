//! Staging rings on real devices, on one that does nothing, and between threads.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers may fail it too")]

#[path = "../support/mod.rs"]
mod support;

mod frames;
mod in_place;
mod kit;
mod odd_bytes;
mod reports;
mod textures;
