//! What a pool is made with, and what a block is asked for with.

use super::layout::LayoutConfig;

/// What a pool is made with.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryPoolConfig {
    /// Its name in reports, and the label of its buffers; "memory pool" by default.
    pub name: String,
    /// What its blocks may be used for: one set of usages or several. Each slab has one of the sets, and a block gets the first that has all that
    /// it is asked for. One set by default: vertices, indices, uniforms and storage. Copies from and to blocks are always allowed, since
    /// defragmentation copies.
    pub usages: Vec<wgpu::BufferUsages>,
    /// Sizes, growth, release, and the budget of all slabs together. What the device cannot make (`max_buffer_size`) is cut off.
    pub layout: LayoutConfig,
    /// Bytes that one pass of defragmentation copies at most; 1 MiB by default.
    pub defrag_bytes: u64,
    /// Copies that one pass of defragmentation records at most; 256 by default. Each costs about a microsecond of the CPU, and there are only as many as pay.
    pub defrag_moves: usize,
}

impl Default for MemoryPoolConfig {
    fn default() -> Self {
        use wgpu::BufferUsages as Usages;

        Self {
            name: "memory pool".to_owned(),
            usages: vec![Usages::VERTEX | Usages::INDEX | Usages::UNIFORM | Usages::STORAGE],
            layout: LayoutConfig::default(),
            defrag_bytes: 1 << 20,
            defrag_moves: 256,
        }
    }
}

/// What a block is asked for with.
///
/// ```
/// use engine_vitals::resources::pool::BlockRequest;
///
/// let request = BlockRequest::new(48 << 10, 4).usage(wgpu::BufferUsages::VERTEX).owner("terrain").label("tile 7");
/// assert_eq!(request.bytes, 49_152);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockRequest<'a> {
    /// Bytes.
    pub bytes: u64,
    /// Its offset is a multiple of this power of two; of 4 at the least. Bindings with dynamic offsets ask for the device's
    /// `min_uniform_buffer_offset_alignment` or `min_storage_buffer_offset_alignment` (256 by default).
    pub align: u64,
    /// What it is used for; empty (the default) for the pool's first set.
    pub usage: wgpu::BufferUsages,
    /// Whose it is, in maps and dumps; by default the kind of the owner in the calling thread's [`Context`](crate::Context). A pool tells
    /// 255 owners apart; what goes beyond is "other".
    pub owner: Option<&'a str>,
    /// Its name, in dumps.
    pub label: Option<&'a str>,
}

impl<'a> BlockRequest<'a> {
    /// So many bytes at a multiple of `align`.
    #[must_use]
    pub const fn new(bytes: u64, align: u64) -> Self {
        Self { bytes, align, usage: wgpu::BufferUsages::empty(), owner: None, label: None }
    }

    /// To be used for that.
    #[must_use]
    pub const fn usage(self, usage: wgpu::BufferUsages) -> Self {
        Self { usage, ..self }
    }

    /// For that part of the program.
    #[must_use]
    pub const fn owner(self, owner: &'a str) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// With that name.
    #[must_use]
    pub const fn label(self, label: &'a str) -> Self {
        Self { label: Some(label), ..self }
    }
}
