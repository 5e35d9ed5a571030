//! The time of each pass on an instrumented device: what is told is right, what is not told is counted, and nothing else changes.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod counted;
mod frames;
mod kit;
mod lost;
#[path = "../support/mod.rs"]
mod support;
mod switched;
