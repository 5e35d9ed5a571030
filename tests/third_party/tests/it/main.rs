//! What crates of others draw and compute with a plain `wgpu::Instance` and with an instrumented one: the same bytes,
//! and every resource in the books.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../instrument/books.rs"]
mod books;
mod draws;
mod gpu;
mod programs;
mod recipes;
mod same;
mod suites;
#[path = "../../../support/mod.rs"]
mod support;
