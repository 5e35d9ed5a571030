//! The exporter over real sockets, with real monitors.

// Clippy takes helpers for tests only where this is said.
#[cfg(test)]
mod common;
mod figures;
mod flood;
mod http;
mod runtimes;
