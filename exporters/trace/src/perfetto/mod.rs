//! A tracker's events as a Perfetto trace: packets of the trace format, appended piece by piece.
//!
//! This room owns what the trace looks like: which tracks there are, what lies on them, and how it is encoded. It must not
//! know of threads, files and readings, which are `pump.rs`'s. Memory is bounded: slices that are open and not yet written
//! to their end are kept up to a limit, and what goes beyond it is counted.
//!
//! - `schema.rs`: the messages, as Perfetto's own schema numbers them
//! - `write.rs`: one function per kind of packet, and the names that go by number
//! - `tracks.rs`: which track a slice lies on
//! - `figures.rs`: the counters
//! - `shown.rs`: what is told of a resource, an owner and a packet
//! - `recorder/`: what becomes of each event

mod figures;
mod recorder;
mod schema;
mod shown;
mod stores;
mod tracks;
mod write;

pub(crate) use recorder::{LeftOut, Recorder};

#[cfg(test)]
mod tests;
