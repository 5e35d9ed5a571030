//! Building blocks for GPU memory that report what they do: each behind a feature of its own.
//!
//! This room owns the blocks. Each is a pure plan (plain data, tested without a GPU) and a thin shell that carries it out with wgpu. A block
//! takes a [`Probe`](crate::Probe) when it is made and reports under its own source; it knows nothing of who reads.
//!
//! - `staging` (feature `staging-rings`): uploads through mapped buffers that are used again and again
//! - `pool` (feature `memory-pools`): many blocks in few buffers, with defragmentation

#[cfg(feature = "memory-pools")]
pub mod pool;
#[cfg(feature = "staging-rings")]
pub mod staging;
