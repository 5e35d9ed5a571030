//! What the command line says.

use bytesize::ByteSize;
use clap::Parser;

/// Uploads through a staging ring, and prints what they cost beyond copying the bytes.
#[derive(Debug, Parser)]
#[command(name = "staging_ring", version)]
pub(crate) struct Options {
    /// Transfers, one after the other
    #[arg(long, default_value_t = 100)]
    pub(crate) transfers: u64,
    /// Size of each: 100MB, 64KiB, …
    #[arg(long, default_value = "100MB", value_parser = size)]
    pub(crate) size: ByteSize,
    /// Writes that make up a transfer
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pieces: u32,
    /// Buffers of the ring
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) buffers: u32,
    /// Goes on in the end until Ctrl+C, for a look at /metrics
    #[arg(long)]
    pub(crate) stay: bool,
}

impl Options {
    /// Bytes of a write: whole words, so that each is a plain copy.
    pub(crate) fn piece_bytes(&self) -> usize {
        self.size.0.div_ceil(self.pieces.into()).next_multiple_of(4) as usize
    }
}

fn size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse()?;
    if (4..=4 << 30).contains(&size.0) {
        Ok(size)
    } else {
        Err("the size must lie between 4 bytes and 4 GiB".to_owned())
    }
}
